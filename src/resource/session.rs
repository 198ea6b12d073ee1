//! Whether Odoo's session module can run with what is installed on a host. Changes nothing.

use std::path::PathBuf;

use super::{Decision, Kind, Resource, ResourceId};
use crate::facts::{FactError, Facts};
use crate::look::{Look, RedisSight, Site};
use crate::name::HostName;

/// A module that does not run with every version of something else.
#[derive(Debug)]
pub struct Module {
    /// Where.
    pub host: HostName,
    /// The module.
    pub name: &'static str,
    /// What it does not run with.
    pub need: Need,
    /// Why.
    pub why: &'static str,
}

/// What a module needs of a host.
#[derive(Debug)]
pub enum Need {
    /// A Redis of at least that version.
    Redis {
        /// The server's configuration.
        config: PathBuf,
        /// Its port.
        port: u16,
        /// The version.
        least: u32,
    },
    /// A Python module below that version.
    Python {
        /// Where Odoo's modules are.
        site: Site,
        /// The module.
        module: &'static str,
        /// The version.
        below: u32,
    },
}

impl Module {
    fn refuse(&self, with: &str, remedy: &str) -> FactError {
        FactError::Refused(format!(
            "{} cannot run with {with} of {}: {}. {remedy}; or say `sessions: {{patched: true}}` if its code was changed",
            self.name, self.host, self.why
        ))
    }
}

impl Resource for Module {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::SessionModule, self.name)
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let looks = match &self.need {
            Need::Redis { config, port, .. } => vec![Look::Redis { config: config.clone(), port: *port }],
            // A virtual environment sees the system's modules too.
            Need::Python { site, .. } => vec![Look::Python(site.clone()), Look::Python(Site::System)],
        };
        looks.into_iter().map(|look| (self.host.clone(), look)).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let major = |version: &str| version.split('.').next().and_then(|n| n.parse::<u32>().ok());
        match &self.need {
            Need::Redis { config, port, least } => {
                let sight = facts.redis(&self.host, config, *port)?;
                match (sight, sight.major()) {
                    (RedisSight::Up { .. }, Some(is)) if is < *least => {
                        let with = format!("the Redis {}", sight.info("redis_version").unwrap_or_default());
                        Err(self.refuse(&with, &format!("Use Redis {least}, or session_redis")))
                    }
                    (RedisSight::Up { .. }, _) => Ok(Decision::Holds),
                    _ => Ok(Decision::waits(format!("Redis on {}", self.host))),
                }
            }
            Need::Python { site, module, below } => {
                let (own, system) = (facts.python(&self.host, site)?, facts.python(&self.host, &Site::System)?);
                let places = [&own.modules, &system.modules, &system.from_apt];
                match places.iter().find_map(|modules| modules.get(*module)) {
                    Some(version) if major(version).is_some_and(|is| is >= *below) => {
                        Err(self.refuse(&format!("the {module} {version}"), "Use another module, or store: redis"))
                    }
                    _ => Ok(Decision::Holds),
                }
            }
        }
    }
}
