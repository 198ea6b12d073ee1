//! Mounts: packages, credentials, fstab or units, the mounts themselves, and Odoo's refusal to run
//! without those it needs.

use std::path::PathBuf;

use super::List;
use crate::action::Attributes;
use crate::name::{Mode, PackageName, UnitName, Word};
use crate::resource::ResourceId;
use crate::resource::bucket::Bucket;
use crate::resource::file::File;
use crate::resource::mount::Mount;
use crate::resource::mount::fstab::{Fstab, line};
use crate::spec::{Mount as Wish, MountStyle, Role, Spec};
use crate::storage::{self, kind, unit};

/// The packages of all mounts.
pub fn packages(spec: &Spec) -> Vec<PackageName> {
    let mounts = spec.storage.mounts.iter();
    let names = mounts.flat_map(|mount| {
        let known = kind(&mount.kind).packages.iter().filter_map(|name| name.parse().ok());
        known.chain(mount.packages.iter().cloned())
    });
    let mut all: Vec<PackageName> = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// Every mount of a host. Gives those that Odoo's data needs.
pub fn mounts(list: &mut List<'_>, software: &[ResourceId]) -> Vec<ResourceId> {
    let spec = list.spec().clone();
    let Ok(root) = "root".parse::<Word>() else { return Vec::new() };
    let attributes = |mode| Attributes { owner: root.clone(), group: root.clone(), mode: Mode(mode) };
    // At a promotion it is to be tried.
    let buckets = if list.inputs.promoting { &[][..] } else { &spec.storage.buckets };
    for url in buckets {
        list.add(Bucket { host: list.host.clone(), url: url.clone() }, &[]);
    }
    if spec.storage.mounts.is_empty() {
        return Vec::new();
    }
    let options = |mount: &Wish| {
        let said = match list.role {
            Role::Standby => [mount.options.clone(), mount.standby_options.clone()].concat(),
            _ => mount.options.clone(),
        };
        kind(&mount.kind).options(&said)
    };
    let all: Vec<(&Wish, Vec<String>)> = spec.storage.mounts.iter().map(|mount| (mount, options(mount))).collect();
    let lines = all.iter().map(|(mount, options)| {
        let written =
            (mount.style == MountStyle::Fstab).then(|| line(&mount.from, &mount.at, &kind(&mount.kind).in_fstab(&mount.kind), options));
        (mount.at.clone(), written)
    });
    let fstab = Fstab { host: list.host.clone(), attributes: attributes(0o644), lines: lines.collect() };
    let fstab = list.add(fstab, software);
    let (mut needed, mut guarded) = (Vec::new(), Vec::new());
    for (mount, options) in all {
        let mut needs = [software, std::slice::from_ref(&fstab)].concat();
        for (path, content) in &mount.credentials {
            let content = list.inputs.setting(content).map(|text| text.map(|text| format!("{}\n", text.trim_end_matches('\n'))));
            let file = File { host: list.host.clone(), path: PathBuf::from(path), content, attributes: attributes(0o600) };
            needs.push(list.add(file, software));
        }
        let waits = is_automount(mount, &options);
        // systemd sets up no automount where its file system is mounted already.
        let name = if waits { storage::automount(&mount.at) } else { unit(&mount.at) };
        let Ok(name) = name.parse::<UnitName>() else { continue };
        if mount.style == MountStyle::Unit {
            let text = unit_text(mount, &options);
            let path = PathBuf::from(format!("/etc/systemd/system/{name}"));
            needs.push(list.add(File { host: list.host.clone(), path, content: Ok(text.into()), attributes: attributes(0o644) }, software));
        }
        let resource = Mount {
            host: list.host.clone(),
            at: mount.at.clone(),
            from: mount.from.clone(),
            word: mount.kind.clone(),
            options,
            unit: name,
            own_unit: mount.style == MountStyle::Unit,
            immutable: mount.immutable,
        };
        let id = list.add(resource, &needs);
        if spec.needs_mount(mount) {
            needed.push(id);
            guarded.push((&mount.at, waits));
        }
    }
    guard(list, &spec, &guarded, &attributes(0o644), &mut needed);
    needed
}

/// systemd mounts it at the first access. A unit of otr's own is mounted at boot.
fn is_automount(mount: &Wish, options: &[String]) -> bool {
    mount.style == MountStyle::Fstab && options.iter().any(|option| option == "x-systemd.automount")
}

/// A unit that systemd would have made of a line of fstab.
fn unit_text(mount: &Wish, options: &[String]) -> String {
    let escaped = |text: &str| text.replace('%', "%%");
    let (told, options): (Vec<&str>, Vec<&str>) =
        options.iter().map(String::as_str).filter(|option| *option != "nofail").partition(|option| option.starts_with("x-systemd."));
    let known = kind(&mount.kind);
    let mut order = if known.network { "After=network-online.target\nWants=network-online.target\n".to_owned() } else { String::new() };
    let mut limit = String::new();
    // Of these systemd reads only those of fstab.
    for directive in told.into_iter().filter_map(storage::directive) {
        if directive.starts_with("TimeoutSec=") { &mut limit } else { &mut order }.push_str(&escaped(&directive));
    }
    format!(
        "# Written by otr.\n[Unit]\nDescription={at}, for Odoo\n{order}\n[Mount]\nWhat={}\nWhere={at}\nType={}\nOptions={}\n{limit}\n[Install]\nWantedBy=multi-user.target\n",
        escaped(&mount.from),
        known.in_fstab(&mount.kind),
        escaped(&options.join(",")),
        at = escaped(&mount.at.to_string_lossy()),
    )
}

/// Odoo is not started without its files, and stopped when they go away: it would make new ones
/// in the bare directory, and its garbage collector would take the rows for files that are gone.
///
/// An automount is the mount, waiting: when nobody has used it for a while its file system goes, and comes back at
/// the next access. Odoo is bound to the automount alone.
fn guard(list: &mut List<'_>, spec: &Spec, mounts: &[(&PathBuf, bool)], attributes: &Attributes, needed: &mut Vec<ResourceId>) {
    let Some(odoo) = &spec.odoo else { return };
    if mounts.is_empty() {
        return;
    }
    let escaped = |path: &std::path::Path| path.to_string_lossy().replace('%', "%%").replace(' ', "\\x20");
    let mut text = String::from("# Written by otr: Odoo never runs without its files.\n[Unit]\n");
    for (place, waits) in mounts {
        let at = escaped(place);
        text += &match waits {
            // Wanted, not required: where the file system was mounted by hand no automount can be set up.
            true => format!("Wants={0}\nAfter={0}\nPartOf={0}\nAssertPathIsMountPoint={at}\n", storage::automount(place)),
            false => format!("RequiresMountsFor={at}\nBindsTo={}\nAssertPathIsMountPoint={at}\n", unit(place)),
        };
    }
    let path = PathBuf::from(format!("/etc/systemd/system/{}.d/otr-storage.conf", odoo.unit));
    let file = File { host: list.host.clone(), path: path.clone(), content: Ok(text.into()), attributes: attributes.clone() };
    // Only then: an Odoo that runs and is bound to a mount that cannot be made is stopped by systemd.
    let id = list.add(file, needed);
    needed.push(id);
    list.reads.entry(odoo.unit.clone()).or_default().push(path);
}
