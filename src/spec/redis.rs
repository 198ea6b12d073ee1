//! The Redis server of every member.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Memory, OptionValue, Sentinel, Setting};
use crate::name::{UnitName, Word};

/// The Redis server of every member: production is the primary, standbys are replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Redis {
    /// Redis itself, or Valkey.
    #[serde(default)]
    pub software: RedisSoftware,
    /// Its configuration; /etc/redis/redis.conf or /etc/valkey/valkey.conf if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<PathBuf>,
    /// The service; redis-server.service or valkey-server.service if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<UnitName>,
    /// The server's port. With `tls:` it speaks TLS there, and nothing else.
    #[serde(default = "redis_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Addresses to listen on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<String>,
    /// The password clients and replicas give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Setting>,
    /// The memory limit: bytes such as 512mb, or a share of the machine such as 25%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maxmemory: Option<Memory>,
    /// What happens at the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maxmemory_policy: Option<EvictionPolicy>,
    /// Whether writes are logged to disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appendonly: Option<bool>,
    /// How soon such a write is flushed to the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appendfsync: Option<AppendFsync>,
    /// Further users (ACL). Named ones alone may do what their `commands` and `keys` say.
    #[serde(default)]
    pub users: IndexMap<Word, RedisUser>,
    /// TLS instead of plain connections, also for replication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RedisTls>,
    /// Sentinels, on this host and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,
    /// Further directives of redis.conf, set in the file and live.
    #[serde(default)]
    pub parameters: IndexMap<String, OptionValue>,
}

/// Which program answers as Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RedisSoftware {
    /// redis-server.
    #[default]
    Redis,
    /// valkey-server, its descendant under a free licence.
    Valkey,
}

impl RedisSoftware {
    /// The name of its account and of its folders.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        }
    }
}

/// A user of Redis (ACL).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisUser {
    /// Its password.
    pub password: Setting,
    /// Patterns of the keys it may touch.
    #[serde(default = "all_keys")]
    pub keys: Vec<String>,
    /// What it may do, as ACL rules (redis.io, "ACL"): `+@all`, `+@read`, `-@dangerous`, `+get`.
    #[serde(default = "all_commands")]
    pub commands: Vec<String>,
}

/// Certificates of the server. otr writes them beside its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisTls {
    /// The server's certificate, PEM. It must hold the name `localhost` and the hosts' addresses.
    pub certificate: Setting,
    /// Its private key, PEM.
    pub key: Setting,
    /// The certificate of the authority that signed it, PEM.
    pub authority: Setting,
    /// Clients need a certificate of the same authority. Odoo's modules have none to show.
    #[serde(default)]
    pub verify_clients: bool,
}

/// `appendfsync` of redis.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AppendFsync {
    /// Before each answer: nothing is lost, and every write waits for the disk.
    Always,
    /// Each second: a power cut loses at most that.
    Everysec,
    /// When the kernel likes.
    No,
}

impl AppendFsync {
    /// The word of redis.conf.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Everysec => "everysec",
            Self::No => "no",
        }
    }
}

/// `maxmemory-policy` of redis.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are Redis's own")]
pub enum EvictionPolicy {
    VolatileLru,
    AllkeysLru,
    VolatileLfu,
    AllkeysLfu,
    VolatileRandom,
    AllkeysRandom,
    VolatileTtl,
    Noeviction,
}

impl EvictionPolicy {
    /// The word of redis.conf.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VolatileLru => "volatile-lru",
            Self::AllkeysLru => "allkeys-lru",
            Self::VolatileLfu => "volatile-lfu",
            Self::AllkeysLfu => "allkeys-lfu",
            Self::VolatileRandom => "volatile-random",
            Self::AllkeysRandom => "allkeys-random",
            Self::VolatileTtl => "volatile-ttl",
            Self::Noeviction => "noeviction",
        }
    }
}

impl Redis {
    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        let name = self.software.as_str();
        self.config.clone().unwrap_or_else(|| format!("/etc/{name}/{name}.conf").into())
    }
    /// The service.
    pub fn unit(&self) -> UnitName {
        self.unit.clone().unwrap_or_else(|| unit(self.software))
    }
    /// The package that brings it.
    pub fn package(&self) -> &'static str {
        match self.software {
            RedisSoftware::Redis => "redis-server",
            RedisSoftware::Valkey => "valkey-server",
        }
    }
    /// A file beside the configuration.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.config().parent().unwrap_or(Path::new("/etc")).join(name)
    }
    /// The authority's certificate, where otr writes it: Odoo reads it too, and Debian lets nobody
    /// but Redis into /etc/redis.
    pub fn authority(&self) -> Option<PathBuf> {
        self.tls.as_ref().map(|_| "/etc/ssl/otr-redis-ca.crt".into())
    }
}

fn redis_port() -> u16 {
    6379
}
fn all_keys() -> Vec<String> {
    vec!["*".into()]
}
fn all_commands() -> Vec<String> {
    vec!["+@all".into(), "-@admin".into()]
}
#[allow(clippy::expect_used, reason = "literals; a test parses them")]
fn unit(software: RedisSoftware) -> UnitName {
    format!("{}-server.service", software.as_str()).parse().expect("a unit name")
}

#[cfg(test)]
mod tests {
    #[test]
    fn defaults_are_names() {
        super::unit(super::RedisSoftware::Redis);
        super::unit(super::RedisSoftware::Valkey);
    }

    #[test]
    fn valkey_stands_in_its_own_places() {
        let valkey: super::Redis = serde_json::from_str(r#"{"software": "valkey"}"#).unwrap();
        assert_eq!(valkey.config().to_str(), Some("/etc/valkey/valkey.conf"));
        assert_eq!((valkey.unit().as_str(), valkey.package()), ("valkey-server.service", "valkey-server"));
        let moved: super::Redis = serde_json::from_str(r#"{"config": "/srv/redis.conf"}"#).unwrap();
        assert_eq!(moved.beside("x").to_str(), Some("/srv/x"));
    }
}
