//! memcached, where `sessions: {store: memcached}` wants one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SessionStore, Size, Spec};

/// The memcached of every member. It neither replicates nor keeps anything over a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Memcached {
    /// How much it may hold. At the limit it drops what was unused for longest.
    pub memory: Size,
    /// Its port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Where it listens. It asks nobody for a password.
    pub listen: String,
    /// How many clients at once.
    #[schemars(range(min = 1))]
    pub connections: u32,
}

impl Default for Memcached {
    fn default() -> Self {
        Self { memory: Size(64 << 20), port: 11211, listen: "127.0.0.1".into(), connections: 1024 }
    }
}

impl Spec {
    /// The memcached that sessions are kept in.
    pub fn memcached(&self) -> Option<Memcached> {
        (self.sessions.store == SessionStore::Memcached).then(|| self.sessions.memcached.clone().unwrap_or_default())
    }
}
