//! Odoo: its directories, configuration and service.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{List, root_file};
use crate::action::Attributes;
use crate::name::{Mode, UnitName};
use crate::resource::ResourceId;
use crate::resource::file::{Directory, File};
use crate::resource::odoo_conf::{OdooConf, rendered};
use crate::resource::unit::{Unit, UnitState};
use crate::session::server_wide;
use crate::spec::{OptionValue, Role};

/// Every level down to each filestore belongs to Odoo's user; one level that belongs to root
/// makes Odoo answer 500. The first three levels (`/var/lib/odoo`) are the package's.
pub fn directories(list: &mut List<'_>, software: &[ResourceId]) -> Vec<ResourceId> {
    let Some(odoo) = list.spec().odoo.clone() else { return Vec::new() };
    let mut levels: Vec<(PathBuf, u32)> = Vec::new();
    let mut parents: Vec<PathBuf> = odoo.data_dir.ancestors().skip(1).filter(|p| p.components().count() > 4).map(PathBuf::from).collect();
    parents.reverse();
    levels.extend(parents.into_iter().chain([odoo.data_dir.clone()]).map(|path| (path, 0o755)));
    levels.push((odoo.data_dir.join("sessions"), 0o700));
    levels.push((odoo.data_dir.join("filestore"), 0o755));
    levels.extend(odoo.databases.iter().map(|database| (odoo.data_dir.join("filestore").join(database.as_str()), 0o755)));
    let attributes = |mode| Attributes { owner: odoo.user.clone(), group: odoo.user.clone(), mode: Mode(mode) };
    // What production serves to both is made there; a standby may not even write to it.
    let standby = list.role == Role::Standby;
    let spec = list.spec().clone();
    levels
        .into_iter()
        .filter(|(path, _)| !(standby && spec.is_shared(path)))
        .map(|(path, mode)| list.add(Directory { host: list.host.clone(), path, attributes: attributes(mode) }, software))
        .collect()
}

/// odoo.conf: base options, then the role's, then the host's.
pub fn configuration(list: &mut List<'_>, software: &[ResourceId]) -> Vec<ResourceId> {
    let spec = list.spec().clone();
    let Some(odoo) = &spec.odoo else { return Vec::new() };
    let version = spec.odoo_version();
    let role = if list.role == Role::Production { &odoo.production } else { &odoo.standby };
    let host = spec.hosts.get(list.host).map(|host| &host.odoo);
    let mut options: BTreeMap<String, OptionValue> = BTreeMap::new();
    for layer in [Some(&odoo.options), Some(role), host].into_iter().flatten() {
        options.extend(layer.iter().map(|(key, value)| (key.to_lowercase(), value.clone())));
    }
    let mut texts: BTreeMap<String, _> = options
        .into_iter()
        .map(|(key, value)| {
            let text = list.inputs.option(&value, |value| rendered(&key, value, version));
            (key, text)
        })
        .collect();
    if let Some(addon) = spec.sessions.addon() {
        let is = match texts.get("server_wide_modules") {
            Some(Ok(text)) => Some(text.expose().to_owned()),
            _ => None,
        };
        texts.insert("server_wide_modules".into(), Ok(server_wide(is.as_deref(), version, addon).into()));
        // What the spec itself says of an option counts more.
        for (key, value) in super::sessions::options(list) {
            texts.entry(key).or_insert(value);
        }
    }
    let resource = OdooConf {
        host: list.host.clone(),
        path: odoo.config.clone(),
        unit: odoo.unit.clone(),
        attributes: Attributes { owner: odoo.user.clone(), group: odoo.user.clone(), mode: Mode(0o640) },
        options: texts,
        unmanaged: odoo.unmanaged,
        clone: odoo.clone.clone().filter(|_| list.role == Role::Standby).map(|clone| (spec.production.clone(), clone)),
    };
    vec![list.add(resource, software)]
}

/// The service runs on production; a standby's was masked before anything else.
///
/// Neither Debian's unit nor Odoo's own waits for PostgreSQL, and neither starts again when it
/// loses that race at boot: a promoted host would come back from a power cut without Odoo.
pub fn service(list: &mut List<'_>, needs: &[ResourceId]) {
    let Some(odoo) = list.spec().odoo.clone() else { return };
    boots_after_its_servers(list, &odoo.unit);
    if list.role == Role::Production {
        runs(list, list.running(), needs);
    }
}

/// It runs now; what the next boot does is for later.
pub fn serves(list: &mut List<'_>, needs: &[ResourceId]) {
    runs(list, UnitState::Started, needs);
}

fn runs(list: &mut List<'_>, state: UnitState, needs: &[ResourceId]) {
    let Some(odoo) = list.spec().odoo.clone() else { return };
    let mut reads = list.reads.remove(&odoo.unit).unwrap_or_default();
    reads.push(odoo.config);
    let unit = Unit { host: list.host.clone(), unit: odoo.unit, state, reads, reloads: false };
    list.add(unit, needs);
}

/// Where services of this host are what Odoo needs, it starts after them, and again if it fails.
fn boots_after_its_servers(list: &mut List<'_>, unit: &UnitName) {
    let spec = list.spec();
    let database = spec.replication.as_ref().map(|_| "postgresql.service".to_owned());
    let servers: Vec<String> = database.into_iter().chain(spec.redis.as_ref().map(|redis| redis.unit().to_string())).collect();
    let Some(attributes) = root_file(0o644).filter(|_| !servers.is_empty()) else { return };
    let text = format!("# Written by otr.\n[Unit]\nAfter={}\n\n[Service]\nRestart=on-failure\nRestartSec=5\n", servers.join(" "));
    let path = format!("/etc/systemd/system/{unit}.d/otr.conf").into();
    let file = File { host: list.host.clone(), path, content: Ok(text.into()), attributes };
    list.add(file, &[]);
}
