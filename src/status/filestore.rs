//! What would be lost of the filestores if production died now.

use serde::Serialize;

use super::Status;
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::name::{DatabaseName, HostName};
use crate::spec::Spec;
use crate::wanted::{HASHED, cluster_at, stamp};

/// One database's filestore on a standby.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FilestoreStatus {
    /// Whose.
    pub database: String,
    /// Files its rows refer to.
    pub needed: usize,
    /// Of these, files that are absent or damaged.
    pub missing: usize,
    /// Their bytes, as the database says.
    pub missing_bytes: u64,
    /// Of the missing, asset bundles: Odoo makes them again.
    pub rebuildable: usize,
    /// Of the missing, files that production does not have either; absent if it gave no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_on_production: Option<usize>,
    /// The missing ones Odoo cannot make again, at most 1000.
    pub lost: Vec<LostFile>,
    #[serde(skip)]
    absent: Vec<String>,
}

/// A file that would be lost if production died now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LostFile {
    /// Its name in the store.
    pub store_name: String,
    /// The attachment's name.
    pub name: String,
    /// The model it belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The record it belongs to.
    #[serde(skip_serializing_if = "is_zero")]
    pub record: i64,
    /// Bytes, as the database says.
    pub bytes: u64,
    /// Production does not have it either.
    pub on_production: Option<bool>,
}

impl std::fmt::Display for LostFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = if self.model.is_empty() { String::new() } else { format!(" of {} {}", self.model, self.record) };
        let gone = if self.on_production == Some(false) { ", missing on production too" } else { "" };
        write!(f, "{}{of} ({}{gone})", self.name, self.store_name)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Production is asked about so many missing files at most.
const ASKED: usize = 1000;

pub(super) fn filestore_status(
    spec: &Spec,
    facts: &Facts,
    host: &HostName,
    database: &DatabaseName,
) -> Result<Option<FilestoreStatus>, FactError> {
    let (Some(odoo), Some(at)) = (&spec.odoo, cluster_at(spec, host)) else { return Ok(None) };
    if at.server(facts)?.is_none() {
        return Ok(None);
    }
    let directory = odoo.data_dir.join("filestore").join(database.as_str());
    if spec.is_shared(&directory) {
        return Ok(None);
    }
    let needed = facts.attachments(host, &at.cluster, database)?;
    let store = facts.store(host, &directory, &stamp(database.as_str()), HASHED)?;
    let sound = |name: &String| {
        let file = store.as_ref().and_then(|files| files.get(name));
        file.is_some_and(|file| file.sha1.as_ref().is_none_or(|sha1| name.ends_with(sha1.as_str())))
    };
    let missing: Vec<_> = needed.iter().filter(|(name, _)| !sound(name)).collect();
    let lost = missing.iter().filter(|(_, attachment)| !attachment.regenerable).take(ASKED).map(|(name, attachment)| LostFile {
        store_name: (*name).clone(),
        name: attachment.name.clone(),
        model: attachment.model.clone(),
        record: attachment.record,
        bytes: attachment.size,
        on_production: None,
    });
    Ok(Some(FilestoreStatus {
        database: database.to_string(),
        needed: needed.len(),
        missing: missing.len(),
        missing_bytes: missing.iter().map(|(_, attachment)| attachment.size).sum(),
        rebuildable: missing.iter().filter(|(_, attachment)| attachment.regenerable).count(),
        missing_on_production: None,
        lost: lost.collect(),
        absent: missing.iter().take(ASKED).map(|(name, _)| (*name).clone()).collect(),
    }))
}

fn directory(spec: &Spec, database: &str) -> Option<std::path::PathBuf> {
    Some(spec.odoo.as_ref()?.data_dir.join("filestore").join(database))
}

/// What production must be asked about files that are missing here.
pub fn second_looks(spec: &Spec, status: &Status) -> Vec<(HostName, Look)> {
    let stores = status.hosts.iter().flat_map(|host| &host.filestores).filter(|store| !store.absent.is_empty());
    let look = |store: &FilestoreStatus| {
        let look = Look::Present { directory: directory(spec, &store.database)?, names: store.absent.clone() };
        Some((spec.production.clone(), look))
    };
    stores.filter_map(look).collect()
}

/// Tells apart what production lost too from what is only not copied yet.
pub fn tell_apart(spec: &Spec, status: &mut Status, facts: &Facts) {
    for store in status.hosts.iter_mut().flat_map(|host| &mut host.filestores).filter(|store| !store.absent.is_empty()) {
        let Some(directory) = directory(spec, &store.database) else { continue };
        let Ok(there) = facts.present(&spec.production, &directory, &store.absent) else { continue };
        let has = |name: &String| there.as_ref().is_some_and(|there| there.contains(name));
        store.missing_on_production = Some(store.absent.iter().filter(|name| !has(name)).count());
        for file in &mut store.lost {
            file.on_production = Some(has(&file.store_name));
        }
    }
}
