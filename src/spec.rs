//! The spec: the one file people write, as types. `otr schema` is derived from these types.
//!
//! Nothing here reads a disk ([`load`]) or judges meaning ([`check`]).

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod check;
pub mod data;
pub mod drill;
pub mod edit;
pub mod failover;
pub mod host;
pub mod load;
pub mod maintenance;
pub mod memcached;
pub mod odoo;
pub mod problem;
pub mod redis;
pub mod requirement;
pub mod schema;
pub mod sentinel;
pub mod sessions;
pub mod software;
pub mod storage;
pub mod system;
pub mod tree;
pub mod value;

pub use data::{DEFAULT_SLOT_KEEP, FileSource, FileSpec, Filestore, Mode as ReplicationMode, Replication, Schedule};
pub use drill::Drill;
pub use failover::{BootWithoutPeer, Failover, FailoverVerb, Fence, Hook, HookHost, IfItFails, StepName};
pub use host::{Access, Become, HostRole, HostSpec, SshClient, SshOptions};
pub use maintenance::{Maintenance, Window};
pub use memcached::Memcached;
pub use odoo::{Odoo, Unmanaged};
pub use redis::{EvictionPolicy, Redis, RedisSoftware, RedisTls};
pub use sentinel::{Decides, Sentinel};
pub use sessions::{SessionServer, SessionStore, Sessions};
pub use software::{Clone as CloneSpec, Packages, PackagesClone, Pip, SetClone, SourcesClone, matches};
pub use storage::{Mount, MountStyle, Storage};
pub use system::System;
pub use value::{Memory, OptionValue, Percent, Setting, Size, Span};

use crate::look::ClusterName;
use crate::name::{HostName, Word};
use crate::secret::SecretSource;
use requirement::PackageSpec;

/// What every machine of one Odoo installation must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The version of this format. Always 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The installation's name, used in file and log names.
    pub name: Word,
    /// The host that is production now: the one line a promotion changes.
    pub production: HostName,
    /// The machines.
    pub hosts: IndexMap<HostName, HostSpec>,
    /// Debian packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<Packages>,
    /// What Odoo and PostgreSQL depend on and no package says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// Python modules installed with pip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pip: Option<Pip>,
    /// Odoo itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odoo: Option<Odoo>,
    /// Where Odoo keeps login sessions.
    #[serde(default)]
    pub sessions: Sessions,
    /// The Redis server on every host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,
    /// Mounts and other shared storage.
    #[serde(default)]
    pub storage: Storage,
    /// PostgreSQL streaming replication from production to every standby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<Replication>,
    /// Any other file, written from a template.
    #[serde(default)]
    pub files: Vec<FileSpec>,
    /// How attachments follow the database.
    #[serde(default)]
    pub filestore: Filestore,
    /// Timers that run otr on the standbys (systemd.time(7) calendar events).
    #[serde(default)]
    pub schedule: Schedule,
    /// When production's services may be restarted without `--restarts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// Promotion, switchover, and the guard that keeps an old production down.
    #[serde(default)]
    pub failover: Failover,
    /// What the Odoo of `otr drill` is given.
    #[serde(default)]
    pub drill: Drill,
    /// Values for templates, as `vars.NAME`.
    #[serde(default)]
    pub vars: IndexMap<String, OptionValue>,
}

/// What a host is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes the writes.
    Production,
    /// Follows production.
    Standby,
    /// Neither: a third voice for Sentinel.
    Witness,
}

impl Role {
    /// The word the spec and reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Production => "production",
            Role::Standby => "standby",
            Role::Witness => "witness",
        }
    }
}

impl Spec {
    /// The replicated PostgreSQL cluster: the same name on every member.
    pub fn cluster(&self) -> Option<ClusterName> {
        let replication = self.replication.as_ref()?;
        Some(ClusterName { version: replication.postgresql, name: replication.cluster.clone(), port: replication.port })
    }

    /// The role of a host: production by the spec's one line, else standby unless it says witness.
    pub fn role(&self, host: &HostName) -> Role {
        match self.hosts.get(host) {
            _ if *host == self.production => Role::Production,
            Some(spec) if spec.role == Some(HostRole::Witness) => Role::Witness,
            _ => Role::Standby,
        }
    }

    /// The hosts that follow production, in the spec's order.
    pub fn standbys(&self) -> impl Iterator<Item = &HostName> {
        self.hosts.keys().filter(|host| self.role(host) == Role::Standby)
    }

    /// The hosts that hold data: production and the standbys.
    pub fn members(&self) -> impl Iterator<Item = &HostName> {
        self.hosts.keys().filter(|host| self.role(host) != Role::Witness)
    }

    /// Odoo's major version, said or read from a package's name.
    pub fn odoo_version(&self) -> Option<u32> {
        let said = self.odoo.as_ref()?.version;
        let packages = || {
            let names = self.packages.as_ref()?.install.iter().filter_map(|text| text.parse::<PackageSpec>().ok());
            names.filter_map(|p| p.name.as_str().strip_prefix("odoo-")?.parse().ok()).next()
        };
        said.or_else(packages)
    }

    /// The same installation after `host` was promoted.
    pub fn with_production(&self, host: &HostName) -> Spec {
        Spec { production: host.clone(), ..self.clone() }
    }

    /// Every map of free values in the spec, with its path.
    pub fn option_maps(&self) -> Vec<(String, &IndexMap<String, OptionValue>)> {
        let mut maps = vec![("vars".to_owned(), &self.vars)];
        for (name, host) in &self.hosts {
            maps.push((format!("hosts.{name}.vars"), &host.vars));
            maps.push((format!("hosts.{name}.odoo"), &host.odoo));
        }
        if let Some(odoo) = &self.odoo {
            maps.push(("odoo.options".into(), &odoo.options));
            maps.push(("odoo.production".into(), &odoo.production));
            maps.push(("odoo.standby".into(), &odoo.standby));
            maps.push(("odoo.environment".into(), &odoo.environment));
        }
        maps.push(("drill.environment".into(), &self.drill.environment));
        maps.push(("drill.options".into(), &self.drill.options));
        maps.push(("sessions.environment".into(), &self.sessions.environment));
        maps.push(("sessions.options".into(), &self.sessions.options));
        maps
    }

    /// Every secret the spec refers to, with the path of the value that names it.
    pub fn secrets(&self) -> Vec<(String, &SecretSource)> {
        let mut found = Vec::new();
        for (at, map) in self.option_maps() {
            for (key, value) in map {
                if let OptionValue::Secret(reference) = value {
                    found.push((format!("{at}.{key}"), &reference.secret));
                }
            }
        }
        let redis = self.redis.as_ref();
        let tls = redis.and_then(|r| r.tls.as_ref());
        let mut passwords = vec![
            ("redis.password".to_owned(), redis.and_then(|r| r.password.as_ref())),
            ("redis.tls.certificate".into(), tls.map(|tls| &tls.certificate)),
            ("redis.tls.key".into(), tls.map(|tls| &tls.key)),
            ("redis.tls.authority".into(), tls.map(|tls| &tls.authority)),
            ("replication.password".into(), self.replication.as_ref().and_then(|r| r.password.as_ref())),
            ("sessions.uri".into(), self.sessions.uri.as_ref()),
            ("sessions.server.password".into(), self.sessions.server.as_ref().and_then(|s| s.password.as_ref())),
        ];
        for (name, user) in redis.iter().flat_map(|redis| &redis.users) {
            passwords.push((format!("redis.users.{name}.password"), Some(&user.password)));
        }
        for (number, mount) in self.storage.mounts.iter().enumerate() {
            for (path, content) in &mount.credentials {
                passwords.push((format!("storage.mounts[{number}].credentials.{path}"), Some(content)));
            }
        }
        for (at, password) in passwords {
            if let Some(Setting::Secret(reference)) = password {
                found.push((at, &reference.secret));
            }
        }
        found
    }
}
