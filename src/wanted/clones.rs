//! Files and small trees that a standby takes from production.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::List;
use crate::resource::addons::Addons;
use crate::resource::folder::Folder;
use crate::resource::rest::rest_file;
use crate::resource::unit::{TreeReader, Unit};
use crate::resource::{Kind, ResourceId};
use crate::spec::{CloneSpec, Role};

/// The spec's `files:` with `clone`, and the units that read them. Last on the list: what otr itself
/// writes on this host is known by then, and is left alone.
pub fn files(list: &mut List<'_>, software: &[ResourceId]) {
    if list.role != Role::Standby {
        return;
    }
    let spec = list.spec().clone();
    let mut own: BTreeSet<PathBuf> =
        list.wanted.iter().map(|wanted| wanted.resource.id().name).filter(|name| name.starts_with('/')).map(PathBuf::from).collect();
    own.extend(spec.odoo.iter().map(|odoo| odoo.config.clone()).chain(spec.redis.iter().map(|redis| redis.config())));
    // What keeps a standby's Odoo down is no part of production's.
    own.extend(spec.odoo.iter().map(|odoo| rest_file(&odoo.unit)));
    let mut units: IndexMap<_, (Vec<PathBuf>, Vec<ResourceId>)> = IndexMap::new();
    for file in spec.files.iter().filter(|file| file.clone && file.hosts.as_ref().is_none_or(|hosts| hosts.contains(list.host))) {
        let resource = Folder {
            host: list.host.clone(),
            production: spec.production.clone(),
            path: file.path.clone(),
            ignore: CloneSpec { ignore: file.ignore.clone() },
            own: own.clone(),
            show: file.show,
        };
        let id = list.add(resource, software);
        if let Some(unit) = &file.unit {
            let (trees, ids) = units.entry(unit.clone()).or_default();
            trees.push(file.path.clone());
            ids.push(id);
        }
    }
    for (name, (trees, needs)) in units {
        // Odoo's, Redis' and otr's own services are decided about elsewhere; a standby's Odoo rests.
        if list.wanted.iter().any(|wanted| wanted.resource.id().name == name.as_str()) {
            continue;
        }
        let reads = list.reads.remove(&name).unwrap_or_default();
        let files = list.wanted.iter().map(|wanted| wanted.resource.id());
        let needs: Vec<ResourceId> = files
            .filter(|id| id.kind == Kind::File && reads.iter().any(|path| path.as_path() == Path::new(&id.name)))
            .chain(needs)
            .collect();
        let unit = Unit { host: list.host.clone(), unit: name, state: list.running(), reads, reloads: true };
        list.add(TreeReader { unit, trees }, &needs);
    }
}

/// Add-on directories of production's, where they are not the same storage.
pub fn addons(list: &mut List<'_>, software: &[ResourceId]) {
    let spec = list.spec().clone();
    let (Some(odoo), Role::Standby) = (&spec.odoo, list.role) else { return };
    let Some(clone) = &odoo.addons.clone else { return };
    for root in odoo.addons.paths.iter().filter(|root| !spec.is_shared(root)) {
        let (host, production, mount) = (list.host.clone(), spec.production.clone(), spec.mount_of(root));
        list.add(Addons { host, production, root: root.clone(), mount, ignore: clone.clone() }, software);
    }
}
