//! Whether Odoo's session module can run with the Redis of a host. Changes nothing.

use std::path::PathBuf;

use super::{Decision, Kind, Resource, ResourceId};
use crate::facts::{FactError, Facts};
use crate::look::{Look, RedisSight};
use crate::name::HostName;

/// A module that asks more of Redis than every version can answer.
#[derive(Debug)]
pub struct Module {
    /// Where.
    pub host: HostName,
    /// The module.
    pub name: &'static str,
    /// The server's configuration.
    pub config: PathBuf,
    /// Its port.
    pub port: u16,
    /// The oldest version that will do.
    pub least: u32,
    /// What an older one does not answer.
    pub why: &'static str,
}

impl Resource for Module {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::SessionModule, self.name)
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        vec![(self.host.clone(), Look::Redis { config: self.config.clone(), port: self.port })]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let sight = facts.redis(&self.host, &self.config, self.port)?;
        match (sight, sight.major()) {
            (RedisSight::Up { .. }, Some(major)) if major < self.least => Err(FactError::Refused(format!(
                "{0} cannot run with the Redis {1} of {2}: {3}. Use Redis {4}, or session_redis; or say `sessions: {{patched: true}}` if \
                 its code was changed",
                self.name,
                sight.info("redis_version").unwrap_or_default(),
                self.host,
                self.why,
                self.least
            ))),
            (RedisSight::Up { .. }, _) => Ok(Decision::Holds),
            _ => Ok(Decision::waits(format!("Redis on {}", self.host))),
        }
    }
}
