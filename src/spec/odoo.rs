//! Odoo: its configuration file, databases and directories.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CloneSpec, OptionValue};
use crate::look::Visit;
use crate::name::{DatabaseName, HostName, UnitName, Word};

/// Odoo on every member of the pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Odoo {
    /// The major version. Derived from a package `odoo-NN` in `packages.install` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 99))]
    pub version: Option<u32>,
    /// odoo.conf.
    #[serde(default = "config")]
    pub config: PathBuf,
    /// The service.
    #[serde(default = "unit")]
    pub unit: UnitName,
    /// The account it runs as.
    #[serde(default = "user")]
    pub user: Word,
    /// Where the filestore and sessions are. Its parents down from `home` are kept owned by `user`.
    #[serde(default = "data_dir")]
    pub data_dir: PathBuf,
    /// The databases whose attachments are kept in step.
    #[serde(default)]
    pub databases: Vec<DatabaseName>,
    /// Options of odoo.conf on every host.
    #[serde(default)]
    pub options: IndexMap<String, OptionValue>,
    /// Options on production; they win over `options`.
    #[serde(default)]
    pub production: IndexMap<String, OptionValue>,
    /// Options on a standby; they win over `options`.
    #[serde(default)]
    pub standby: IndexMap<String, OptionValue>,
    /// Variables of the service's environment, which modules read (attachment_s3: AWS_HOST …). They
    /// stand in a file that only root reads.
    #[serde(default)]
    pub environment: IndexMap<String, OptionValue>,
    /// What to do with keys of odoo.conf that the spec does not name.
    #[serde(default)]
    pub unmanaged: Unmanaged,
    /// Standbys take the keys of production's odoo.conf that the spec does not name, but for those of
    /// the host itself (workers, data_dir, http_interface …); `ignore` leaves out more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone: Option<CloneSpec>,
    /// Add-on directories.
    #[serde(default)]
    pub addons: Addons,
}

/// What happens to keys the spec does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unmanaged {
    /// They stay.
    #[default]
    Keep,
    /// They are drift, and removed.
    Remove,
}

/// Add-on directories outside packages.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Addons {
    /// The directories.
    #[serde(default)]
    pub paths: Vec<PathBuf>,
    /// Standbys take production's: files, links and whole checkouts; `ignore` names what is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone: Option<CloneSpec>,
}

impl Odoo {
    /// What a browser asks for, of each database.
    pub fn visits(&self, port: u16) -> Vec<Visit> {
        let visit = |database: Option<&DatabaseName>| Visit {
            unit: Some(self.unit.clone()),
            config: self.config.clone(),
            port,
            database: database.cloned(),
        };
        match self.databases.as_slice() {
            [] => vec![visit(None)],
            databases => databases.iter().map(|database| visit(Some(database))).collect(),
        }
    }
}

impl super::Spec {
    /// The port Odoo serves at once `host` is production.
    pub fn http_port(&self, host: &HostName) -> u16 {
        let odoo = self.odoo.as_ref();
        let layers = [self.hosts.get(host).map(|host| &host.odoo), odoo.map(|odoo| &odoo.production), odoo.map(|odoo| &odoo.options)];
        let said = layers.into_iter().flatten().find_map(|options| match options.get("http_port").or_else(|| options.get("xmlrpc_port")) {
            Some(OptionValue::Int(port)) => u16::try_from(*port).ok(),
            _ => None,
        });
        said.unwrap_or(8069)
    }
}

fn config() -> PathBuf {
    "/etc/odoo/odoo.conf".into()
}
#[allow(clippy::expect_used, reason = "a literal; a test parses it")]
fn unit() -> UnitName {
    "odoo.service".parse().expect("a unit name")
}
#[allow(clippy::expect_used, reason = "a literal; a test parses it")]
fn user() -> Word {
    "odoo".parse().expect("a user name")
}
fn data_dir() -> PathBuf {
    "/var/lib/odoo/.local/share/Odoo".into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn defaults_are_names() {
        super::unit();
        super::user();
    }
}
