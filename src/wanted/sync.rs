//! Data that follows production: the filestore, and sessions kept in the file system.

use super::{List, cluster_at};
use crate::resource::ResourceId;
use crate::resource::filestore::{Filestore, Tree};
use crate::spec::{Role, SessionStore};

/// Where the time of the last verification of a store is kept.
pub fn stamp(database: &str) -> std::path::PathBuf {
    format!("/var/lib/otr/verified-{database}").into()
}

/// How many files, changed since then, are hashed by who cannot wait: a status or a promotion. A plan
/// and a scrub hash all of them.
pub const HASHED: Option<u32> = Some(2000);

/// The filestore of each database.
pub fn filestore(list: &mut List<'_>, database: &[ResourceId], directories: &[ResourceId]) {
    let spec = list.spec().clone();
    let (Some(odoo), Some(at), Role::Standby) = (&spec.odoo, cluster_at(&spec, list.host), list.role) else { return };
    let needs = [database, directories].concat();
    for name in &odoo.databases {
        // Both hosts see the same files: there is nothing to copy, and nothing to delete either.
        if spec.is_shared(&odoo.data_dir.join("filestore").join(name.as_str())) {
            continue;
        }
        let resource = Filestore {
            at: at.clone(),
            production: spec.production.clone(),
            database: name.clone(),
            directory: odoo.data_dir.join("filestore").join(name.as_str()),
            mount: spec.mount_of(&odoo.data_dir.join("filestore").join(name.as_str())),
            stamp: stamp(name.as_str()),
            owner: odoo.user.clone(),
        };
        list.add(resource, &needs);
    }
}

/// Sessions, where they are files.
pub fn sessions(list: &mut List<'_>) {
    let spec = list.spec().clone();
    let (Some(odoo), SessionStore::Filesystem) = (&spec.odoo, spec.sessions.store) else { return };
    if spec.is_shared(&odoo.data_dir.join("sessions")) {
        return;
    }
    let resource = Tree {
        host: list.host.clone(),
        production: spec.production.clone(),
        directory: odoo.data_dir.join("sessions"),
        mount: spec.mount_of(&odoo.data_dir.join("sessions")),
        owner: odoo.user.clone(),
        checksum: list.inputs.checksum,
    };
    list.add(resource, &[]);
}
