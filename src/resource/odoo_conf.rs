//! odoo.conf: the keys the spec names, in the rendering each Odoo version reads.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Decision, Difference, Kind, Resource, ResourceId, Shown, file};
use crate::action::{Attributes, Reader};
use crate::facts::{FactError, Facts};
use crate::format::credentials::{holds_password, is_secret_key, odoo_password_matches};
use crate::format::ini::Ini;
use crate::look::Look;
use crate::name::{HostName, UnitName};
use crate::secret::{Secret, SecretError, Text};
use crate::spec::{CloneSpec, OptionValue, Unmanaged};

/// odoo.conf of one host.
#[derive(Debug)]
pub struct OdooConf {
    /// Where.
    pub host: HostName,
    /// Its path.
    pub path: PathBuf,
    /// The unit that runs Odoo: with its interpreter the file is read.
    pub unit: UnitName,
    /// Owner, group, mode.
    pub attributes: Attributes,
    /// Key → rendered value.
    pub options: BTreeMap<String, Result<Text, SecretError>>,
    /// What happens to other keys.
    pub unmanaged: Unmanaged,
    /// Take production's other keys, but for these.
    pub clone: Option<(HostName, CloneSpec)>,
}

/// Keys that say something of the host and not of the installation.
const HOST_KEYS: [&str; 16] = [
    "workers",
    "max_cron_threads",
    "data_dir",
    "db_host",
    "db_port",
    "db_sslmode",
    "db_replica_host",
    "db_replica_port",
    "http_interface",
    "xmlrpc_interface",
    "netrpc_interface",
    "xmlrpcs_interface",
    "logfile",
    "pidfile",
    "pg_path",
    "geoip_database",
];

const SECTION: &str = "options";

impl Resource for OdooConf {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::OdooConf, self.path.display().to_string())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        // The file on the host holds passwords whatever the spec says.
        let there = self.clone.iter().map(|(production, _)| (production.clone(), Look::SecretContent(self.path.clone())));
        file::looks(&self.host, &self.path, true).into_iter().chain(there).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        if let Some(waits) = file::account_missing(&self.host, &self.attributes, facts)? {
            return Ok(waits);
        }
        let ini = self.read(facts, &self.host)?.unwrap_or_default();
        let mut differences = Vec::new();
        let mut changes = BTreeMap::new();
        for (key, value) in &self.options {
            let value = value.as_ref().map_err(Clone::clone)?;
            let is = ini.get(SECTION, key);
            if is.is_some_and(|is| equal(key, is, value)) {
                continue;
            }
            let hide = value.is_sensitive() || is_secret_key(key);
            differences.push(difference(key, is, Some(value.expose()), hide));
            changes.insert(key.clone(), Some(value.expose().to_owned()));
        }
        let there = self.there(facts)?;
        for (key, wanted) in there.iter().flatten() {
            let is = ini.get(SECTION, key);
            if !is.is_some_and(|is| is == wanted.expose() || equal(key, is, &wanted.expose().into())) {
                differences.push(difference(key, is, Some(wanted.expose()), is_secret_key(key)));
                changes.insert(key.clone(), Some(wanted.expose().to_owned()));
            }
        }
        // A clone has no more keys than its production.
        if self.unmanaged == Unmanaged::Remove || there.is_some() {
            let known = |key: &&str| {
                let of_host = self.unmanaged == Unmanaged::Keep && !self.clones(key);
                self.options.contains_key(*key) || there.as_ref().is_some_and(|there| there.contains_key(*key)) || of_host
            };
            for key in ini.keys(SECTION).filter(|key| !known(key)) {
                differences.push(difference(key, ini.get(SECTION, key), None, is_secret_key(key)));
                changes.insert(key.to_owned(), None);
            }
        }
        let edited = ini
            .edited(SECTION, &changes)
            .map_err(|why| FactError::Refused(format!("{}: {} cannot be edited: {why}", self.host, self.path.display())))?;
        let text = Text::Sensitive(Secret::new(edited));
        let reader = Reader::Odoo { unit: self.unit.clone(), user: self.attributes.owner.clone(), keys: changes.into_keys().collect() };
        file::settle(&self.host, &self.path, differences, &text, &self.attributes, Some(reader), facts)
    }
}

impl OdooConf {
    fn read(&self, facts: &Facts, host: &HostName) -> Result<Option<Ini>, FactError> {
        let Some(text) = facts.secret_content(host, &self.path)? else { return Ok(None) };
        Ini::parse(text.expose()).map(Some).map_err(|e| {
            FactError::Refused(format!(
                "{host}: {} is not a file Odoo can read: {e}; mend it by hand, or move it away",
                self.path.display()
            ))
        })
    }

    /// Whether production decides about a key that the spec does not name.
    fn clones(&self, key: &str) -> bool {
        self.clone.as_ref().is_some_and(|(_, clone)| clone.takes(key)) && !HOST_KEYS.contains(&key)
    }

    /// The keys that production has and the spec does not name.
    fn there(&self, facts: &Facts) -> Result<Option<BTreeMap<String, Secret>>, FactError> {
        let Some((production, _)) = &self.clone else { return Ok(None) };
        let missing =
            || FactError::Refused(format!("{production} has no {}: no key is taken from it, and none is removed", self.path.display()));
        let ini = self.read(facts, production)?.filter(|ini| ini.keys(SECTION).next().is_some()).ok_or_else(missing)?;
        let takes = |key: &&str| self.clones(key) && !self.options.contains_key(*key);
        let value = |key: &str| Some((key.to_owned(), Secret::new(ini.get(SECTION, key)?)));
        Ok(Some(ini.keys(SECTION).filter(takes).filter_map(value).collect()))
    }
}

fn difference(key: &str, is: Option<&str>, wanted: Option<&str>, hide: bool) -> Difference {
    let show = |value: Option<&str>| match value {
        None => Shown::Absent,
        Some(text) if hide || holds_password(text) => Shown::Sensitive,
        Some(text) => text.into(),
    };
    Difference { what: key.to_owned(), is: show(is), wanted: show(wanted) }
}

fn equal(key: &str, is: &str, wanted: &Text) -> bool {
    if key == "admin_passwd" {
        return odoo_password_matches(is, &Secret::new(wanted.expose()));
    }
    let list = |text: &str| text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>();
    is == wanted.expose() || list(is) == list(wanted.expose())
}

/// Options that are switches in every version; elsewhere `False` means "unset".
const SWITCHES: [&str; 16] = [
    "list_db",
    "proxy_mode",
    "http_enable",
    "x_sendfile",
    "syslog",
    "log_db",
    "smtp_ssl",
    "unaccent",
    "reportgz",
    "import_partial",
    "test_enable",
    "with_demo",
    "default_productivity_apps",
    "overwrite_existing_translations",
    "without_demo",
    "skip_auto_install",
];

/// Options that 19 reads as a number or one word of several: an empty one stops its start.
const TYPED: [&str; 29] = [
    "db_maxconn",
    "db_maxconn_gevent",
    "db_port",
    "db_replica_port",
    "db_sslmode",
    "gevent_port",
    "http_port",
    "import_file_maxbytes",
    "import_file_timeout",
    "limit_memory_hard",
    "limit_memory_hard_gevent",
    "limit_memory_soft",
    "limit_memory_soft_gevent",
    "limit_request",
    "limit_time_cpu",
    "limit_time_real",
    "limit_time_real_cron",
    "limit_time_worker_cron",
    "log_level",
    "longpolling_port",
    "max_cron_threads",
    "osv_memory_count_limit",
    "smtp_port",
    "transient_age_limit",
    "websocket_keep_alive_timeout",
    "websocket_rate_limit_burst",
    "websocket_rate_limit_delay",
    "workers",
    "xmlrpc_port",
];

/// A value as Odoo `version` reads it (source: odoo/tools/config.py of 14 and 19). 14 takes `False` for
/// "unset"; 19 warns and skips it unless the option is a switch, and wants it empty, or `None` where
/// empty is an error. For `db_replica_host` empty switches a development mode on: 18 needs `false`,
/// 19 `None`.
pub fn rendered(key: &str, value: &OptionValue, version: Option<u32>) -> String {
    let new = version.is_some_and(|v| v >= 19);
    match value {
        OptionValue::Bool(false) if key == "db_replica_host" => if new { "None" } else { "false" }.into(),
        OptionValue::Bool(false) if new && TYPED.contains(&key) => "None".into(),
        OptionValue::Bool(false) if new && !SWITCHES.contains(&key) => String::new(),
        OptionValue::Bool(true) => "True".into(),
        OptionValue::Bool(false) => "False".into(),
        OptionValue::Int(number) => number.to_string(),
        OptionValue::Float(number) => format!("{number:?}"),
        OptionValue::List(items) => items.join(","),
        OptionValue::Text(text) => text.clone(),
        OptionValue::Secret(reference) => reference.secret.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_gets_what_it_reads() {
        let off = OptionValue::Bool(false);
        assert_eq!(rendered("db_host", &off, Some(14)), "False");
        assert_eq!(rendered("db_host", &off, Some(19)), "");
        assert_eq!((rendered("db_port", &off, Some(14)), rendered("db_port", &off, Some(19))), ("False".into(), "None".into()));
        assert_eq!(rendered("list_db", &off, Some(19)), "False");
        assert_eq!(rendered("db_replica_host", &off, Some(18)), "false");
        assert_eq!(rendered("db_replica_host", &off, Some(19)), "None");
        assert_eq!(rendered("transient_age_limit", &OptionValue::Float(1.0), None), "1.0");
        assert_eq!(rendered("addons_path", &OptionValue::List(vec!["/a".into(), "/b".into()]), None), "/a,/b");
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        let url = "postgres://odoo:hunter2@db.example.net:5432/acme";
        let shown = difference("db_url", Some(url), None, false);
        assert_eq!((shown.is, shown.wanted), (Shown::Sensitive, Shown::Absent));
        assert!(!holds_password("https://erp.example.net:8069/web") && !holds_password("smtp://ops@mail.example.net"));
    }

    #[test]
    fn spaces_between_paths_are_no_drift() {
        assert!(equal("addons_path", "/a, /b", &"/a,/b".into()));
        assert!(!equal("addons_path", "/b,/a", &"/a,/b".into()), "the order decides which module wins");
    }
}
