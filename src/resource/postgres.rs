//! PostgreSQL's resources, and what they share: where Debian keeps a cluster's files.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::facts::{FactError, Facts};
use crate::look::{ClusterName, Server, ServerSight};
use crate::name::{HostName, Mode, UnitName, Word};

pub mod hba;
pub mod measure;
pub mod password;
pub mod primary;
pub mod replay;
pub mod role;
pub mod settings;
pub mod slot;
pub mod standby;

/// One cluster on one host.
#[derive(Debug, Clone)]
pub struct ClusterAt {
    /// Where.
    pub host: HostName,
    /// Which.
    pub cluster: ClusterName,
}

impl ClusterAt {
    /// `/etc/postgresql/13/main`.
    pub fn directory(&self) -> PathBuf {
        PathBuf::from(format!("/etc/postgresql/{}/{}", self.cluster.version, self.cluster.name))
    }
    /// otr's own file of settings. It stands outside the data directory, where pg_rewind and
    /// pg_basebackup would overwrite it.
    pub fn settings_file(&self) -> PathBuf {
        self.directory().join("conf.d/50-otr.conf")
    }
    /// pg_hba.conf.
    pub fn hba_file(&self) -> PathBuf {
        self.directory().join("pg_hba.conf")
    }
    /// The service.
    #[allow(clippy::expect_used, reason = "a version and a Word make a unit name; a test shows it")]
    pub fn unit(&self) -> UnitName {
        format!("postgresql@{}-{}.service", self.cluster.version, self.cluster.name).parse().expect("a unit name")
    }
    /// The server if it runs.
    pub fn server<'a>(&self, facts: &'a Facts) -> Result<Option<&'a Server>, FactError> {
        Ok(match facts.server(&self.host, &self.cluster)? {
            ServerSight::Down => None,
            ServerSight::Up(server) => Some(server),
        })
    }
}

/// Owner and mode of a file that belongs to PostgreSQL.
#[allow(clippy::expect_used, reason = "a literal; a test parses it")]
pub(crate) fn attributes(mode: u32) -> crate::action::Attributes {
    let postgres: Word = "postgres".parse().expect("a user name");
    crate::action::Attributes { owner: postgres.clone(), group: postgres, mode: Mode(mode) }
}

/// The slot and application name of a standby. PostgreSQL allows lower case, digits and `_`.
pub fn slot_name(host: &HostName) -> String {
    format!("otr_{}", host.as_str().to_ascii_lowercase().replace('-', "_"))
}

/// How a host is reached by the others.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Which host.
    pub host: HostName,
    /// What the spec says.
    pub said: Option<String>,
}

impl Reach {
    /// The address other hosts connect to.
    pub fn address(&self, facts: &Facts) -> Result<String, FactError> {
        if let Some(said) = &self.said {
            return Ok(said.clone());
        }
        let machine = facts.machine(&self.host)?;
        machine.addresses.first().cloned().ok_or_else(|| {
            FactError::Refused(format!("{} has no address the other hosts could use; say hosts.{}.listen", self.host, self.host))
        })
    }

    /// The addresses it may connect from.
    pub fn sources(&self, facts: &Facts) -> Result<Vec<IpAddr>, FactError> {
        if let Some(address) = self.said.as_ref().and_then(|said| said.parse().ok()) {
            return Ok(vec![address]);
        }
        Ok(facts.machine(&self.host)?.addresses.iter().filter_map(|a| a.parse().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_names() {
        let at =
            ClusterAt { host: "erp-1".parse().unwrap(), cluster: ClusterName { version: 13, name: "main".parse().unwrap(), port: 5432 } };
        assert_eq!(at.unit().as_str(), "postgresql@13-main.service");
        assert_eq!(slot_name(&at.host), "otr_erp_1");
        attributes(0o640);
    }
}
