//! Where Odoo keeps login sessions, and through which module.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Memcached, OptionValue, Setting, Span};
use crate::session::{Module, Store};

/// Where Odoo keeps sessions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// The kind of store.
    #[serde(default)]
    pub store: SessionStore,
    /// The Odoo module that reaches it: mangono-addon-redis-session-store,
    /// mangono-odoo-redis-session, session_redis, session_db, muk_session_store, or any other by the
    /// name it has in server_wide_modules; then `environment` and `options` are all it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The module's version on PyPI; the newest that fits if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Separates installations that share one server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How long a login lives without being used; the module's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Span>,
    /// How long a visit without login lives; the module's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous_expiration: Option<Span>,
    /// Redis's database number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// The user of `redis.users` that Odoo logs in as; the default user if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A Redis elsewhere, which otr does not set up; the one of each host itself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<SessionServer>,
    /// `store: database`: the connection, or a database's name. odoo.databases' first if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<Setting>,
    /// `store: memcached`: the server otr sets up on every member; its defaults if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memcached: Option<Memcached>,
    /// Further variables of Odoo's environment, which the module reads.
    #[serde(default)]
    pub environment: IndexMap<String, OptionValue>,
    /// Further options of odoo.conf, which the module reads.
    #[serde(default)]
    pub options: IndexMap<String, OptionValue>,
    /// The module's code was changed so that it runs here: versions it does not know are not refused.
    #[serde(default)]
    pub patched: bool,
}

/// The kind of session store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionStore {
    /// Odoo's default: files under data_dir/sessions, copied by `otr sync`.
    #[default]
    Filesystem,
    /// Redis or Valkey.
    Redis,
    /// A table of PostgreSQL.
    Database,
    /// memcached.
    Memcached,
}

/// A Redis that otr does not set up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionServer {
    /// Its name or address.
    #[schemars(length(min = 1))]
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Setting>,
    /// It is a Redis Cluster. No session module otr knows can use one; a patched one or your own may.
    #[serde(default)]
    pub cluster: bool,
    /// It speaks TLS; the file of the authority that signed its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<std::path::PathBuf>,
}

impl Sessions {
    /// The module, if otr knows it.
    pub fn known(&self) -> Option<&'static Module> {
        Module::find(self.module.as_deref()?)
    }
    /// What stands for its module in `server_wide_modules`.
    pub fn addon(&self) -> Option<&str> {
        self.known().map(|module| module.addon).or(self.module.as_deref())
    }
    /// What the module's Python part is to be installed as, for an Odoo.
    pub fn requirements(&self, odoo: Option<u32>) -> Vec<String> {
        self.known().map(|module| (module.requirements)(self.version.as_deref(), odoo)).unwrap_or_default()
    }
}

impl SessionStore {
    /// As the modules tell stores apart.
    pub fn of_module(self) -> Option<Store> {
        match self {
            SessionStore::Redis => Some(Store::Redis),
            SessionStore::Database => Some(Store::Database),
            SessionStore::Filesystem | SessionStore::Memcached => None,
        }
    }
}

fn port() -> u16 {
    6379
}
