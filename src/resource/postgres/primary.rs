//! Production's server takes writes. If it does not, only a promotion may change that.

use super::ClusterAt;
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::name::HostName;
use crate::resource::{Decision, Kind, Resource, ResourceId};

/// The role of production's server.
#[derive(Debug)]
pub struct Primary {
    /// Production's cluster.
    pub at: ClusterAt,
}

impl Resource for Primary {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Replication, "primary")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        vec![(self.at.host.clone(), Look::Server(self.at.cluster.clone()))]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let host = &self.at.host;
        match self.at.server(facts)? {
            None => Ok(Decision::waits(format!("PostgreSQL on {host}"))),
            Some(server) if server.in_recovery => Err(FactError::Refused(format!(
                "the spec says that {host} is production, but its PostgreSQL is a standby (timeline {}); \
                 if it must take over, run `otr promote {host}`; else correct `production:` in the spec",
                server.timeline
            ))),
            Some(_) => Ok(Decision::Holds),
        }
    }
}
