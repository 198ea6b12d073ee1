//! Mounts: places that clash, options a filestore does not bear, and what goes unencrypted.

use std::path::Path;

use super::Findings;
use crate::name::UnitName;
use crate::spec::{HostSpec, Mount, MountStyle, Spec};
use crate::storage::{self, Source, kind, unit};

pub(super) fn check(spec: &Spec, findings: &mut Findings<'_>) {
    places(spec, findings);
    buckets(spec, findings);
    for (number, mount) in spec.storage.mounts.iter().enumerate() {
        options(number, mount, findings);
        source(number, mount, findings);
    }
}

fn buckets(spec: &Spec, findings: &mut Findings<'_>) {
    for (number, url) in spec.storage.buckets.iter().enumerate() {
        let at = format!("storage.buckets[{number}]");
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let host = rest.map_or("", |rest| rest.split('/').next().unwrap_or_default());
        if host.is_empty() || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            findings.value(&at, format!("{url:?} is no address of a bucket"), "https://s3.example.net/acme");
        } else if host.contains('@') || url.contains("sig=") || url.contains("X-Amz-Signature") {
            findings.value(&at, "a key in an address is seen by everybody", "leave it out: otr asks without one");
        } else if url.starts_with("http:") {
            findings.note(&at, "what Odoo stores there goes unencrypted over the network", "https://");
        } else if spec.storage.buckets[..number].contains(url) {
            findings.value(&at, "it stands there twice", "");
        }
    }
}

fn places(spec: &Spec, findings: &mut Findings<'_>) {
    let mounts = &spec.storage.mounts;
    for (number, mount) in mounts.iter().enumerate() {
        let at = format!("storage.mounts[{number}].at");
        if findings.absolute(&at, &mount.at) && mount.at == Path::new("/") {
            findings.value(&at, "the root of the file system is no mount point of Odoo's", "");
        }
        for (earlier, other) in mounts[..number].iter().enumerate() {
            let line = findings.line(&format!("storage.mounts[{earlier}].at"));
            let (here, there) = (mount.at.display(), other.at.display());
            let message = match (mount.at.starts_with(&other.at), other.at.starts_with(&mount.at)) {
                (true, true) => format!("{here} is mounted twice"),
                (true, false) => format!("{here} lies inside the mount {there}"),
                (false, true) => format!("{here} would hide the mount {there} inside it"),
                _ => continue,
            };
            findings.value(&at, message, format!("the other mount is on line {line}; give each its own place"));
            break;
        }
        // GlusterFS is served by those who mount it.
        let Some((source, _)) = mount.from.split_once(':').filter(|_| mount.kind != "glusterfs") else { continue };
        // Every member mounts it, also the one it comes from.
        let member =
            spec.members().find(|name| name.as_str() == source || spec.hosts.get(*name).and_then(HostSpec::reached_at) == Some(source));
        if let Some(member) = member {
            findings.value(
                &format!("storage.mounts[{number}].from"),
                format!("{member} would mount {} from itself: it names itself as its source", mount.at.display()),
                "name a machine outside the pair: all hosts that hold data mount it",
            );
        }
    }
}

fn options(number: usize, mount: &Mount, findings: &mut Findings<'_>) {
    let known = kind(&mount.kind);
    for (key, said) in [("options", &mount.options), ("standby_options", &mount.standby_options)] {
        for (n, danger) in known.dangers(said) {
            let path = format!("storage.mounts[{number}].{key}[{n}]");
            if danger.option == "password=" {
                findings.value(&path, danger.why, "");
            } else {
                let shown = said.get(n).map_or("", String::as_str);
                findings.note(&path, format!("{shown} is unsafe for Odoo's files: {}", danger.why), "");
            }
        }
        for (n, option) in said.iter().enumerate().filter(|(_, option)| option.is_empty() || option.contains([',', '\n'])) {
            findings.value(
                &format!("storage.mounts[{number}].{key}[{n}]"),
                format!("{option:?} is not one option"),
                "one entry for each option",
            );
        }
        let unread = |option: &str| option.starts_with("x-systemd.") && storage::directive(option).is_none();
        for (n, option) in said.iter().enumerate().filter(|(_, option)| mount.style == MountStyle::Unit && unread(option)) {
            findings.value(&format!("storage.mounts[{number}].{key}[{n}]"), format!("a unit has no {option}"), "style: fstab");
        }
    }
    let encrypted = mount.options.iter().any(|option| known.encrypted.contains(&option.as_str()));
    if !known.encrypted.is_empty() && !encrypted {
        findings.note(
            &format!("storage.mounts[{number}].type"),
            format!("{} crosses the network unencrypted", mount.at.display()),
            format!("options: [{}]", known.encrypted.join(" | ")),
        );
    }
}

fn source(number: usize, mount: &Mount, findings: &mut Findings<'_>) {
    let known = kind(&mount.kind);
    let from = format!("storage.mounts[{number}].from");
    if known.source == Source::Folder {
        findings.absolute(&from, Path::new(&mount.from));
    }
    if mount.shared && known.source == Source::Device {
        findings.key(
            &format!("storage.mounts[{number}].shared"),
            format!("{} is for one machine: two that mount it at once destroy it", mount.kind),
            "leave `shared` out, or use a file system made for several (nfs4, glusterfs, an object store)",
        );
    }
    if unit(&mount.at).parse::<UnitName>().is_err() {
        findings.value(&format!("storage.mounts[{number}].at"), "systemd has no name for a mount there", "a shorter path");
    }
    for path in mount.credentials.keys() {
        findings.absolute(&crate::spec::tree::join(&format!("storage.mounts[{number}].credentials"), path), Path::new(path));
    }
}
