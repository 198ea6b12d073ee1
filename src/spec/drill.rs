//! What a drill's Odoo is given.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OptionValue;

/// The Odoo of `otr drill`: it runs on a copy, without a network, and gets nothing of production's
/// environment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// Variables of its environment: what modules need to be loaded at all (`RUNNING_ENV`, an
    /// `AWS_HOST`). Nothing of `odoo.environment` or `sessions.environment` is in it, and what
    /// production writes with is refused here.
    #[serde(default)]
    pub environment: IndexMap<String, OptionValue>,
    /// Options of its odoo.conf, besides those that every Odoo needs to load its code.
    #[serde(default)]
    pub options: IndexMap<String, OptionValue>,
    /// Odoo's program and what stands before its options, where that is not how `ExecStart=` of its
    /// unit begins: `[/opt/odoo/venv/bin/python, /opt/odoo/odoo-bin]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

/// Options of odoo.conf that a drill sets itself.
pub const FIXED: [&str; 22] = [
    "db_host",
    "db_port",
    "db_user",
    "db_password",
    "db_name",
    "db_sslmode",
    "dbfilter",
    "list_db",
    "data_dir",
    "workers",
    "max_cron_threads",
    "http_port",
    "xmlrpc_port",
    "http_interface",
    "xmlrpc_interface",
    "http_enable",
    "proxy_mode",
    "smtp_server",
    "logfile",
    "syslog",
    "pidfile",
    "addons_path",
];

/// Whether a variable or option of that name is what somebody writes with: its name says key,
/// secret, token, password or credential, or it is an object store's and not merely its address.
pub fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let of_a_store = ["AWS_", "AZURE_", "GOOGLE_", "GCS_", "S3_", "SWIFT_", "OS_"].iter().any(|start| name.starts_with(start));
    has(&["KEY", "SECRET", "TOKEN", "PASSW", "CREDENTIAL", "SIGNATURE", "CONNECTION_STRING"])
        || of_a_store && !has(&["HOST", "REGION", "BUCKET", "ENDPOINT", "URL", "CONTAINER"])
}

#[cfg(test)]
mod tests {
    use super::is_credential;

    #[test]
    fn an_address_is_no_credential() {
        for name in
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_CONNECTION_STRING", "s3_token", "AZURE_CLIENT", "db_password"]
        {
            assert!(is_credential(name), "{name}");
        }
        for name in ["AWS_HOST", "AWS_REGION", "AWS_BUCKETNAME", "RUNNING_ENV", "workers"] {
            assert!(!is_credential(name), "{name}");
        }
    }
}
