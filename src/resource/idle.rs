//! Odoo on a standby cannot be started. A standby whose PostgreSQL takes writes may be the true
//! production, promoted while the spec still says otherwise: then a person must decide first.

use super::postgres::ClusterAt;
use super::unit::Unit;
use super::{Decision, Resource, ResourceId};
use crate::facts::{FactError, Facts};
use crate::look::{Look, Server};
use crate::name::HostName;

/// A unit that is kept down on a standby.
#[derive(Debug)]
pub struct Idle {
    /// The unit.
    pub unit: Unit,
    /// The standby's cluster, and production's.
    pub clusters: Option<(ClusterAt, ClusterAt)>,
}

impl Resource for Idle {
    fn id(&self) -> ResourceId {
        self.unit.id()
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let servers = self.clusters.iter().flat_map(|(here, production)| [here, production]);
        self.unit.looks().into_iter().chain(servers.map(|at| (at.host.clone(), Look::Server(at.cluster.clone())))).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let decision = self.unit.decide(facts)?;
        let (Decision::Change(mut change), Some((here, production))) = (decision.clone(), &self.clusters) else { return Ok(decision) };
        let Some(server) = here.server(facts)?.filter(|server| !server.in_recovery && !server.databases.is_empty()) else {
            return Ok(decision);
        };
        // The higher timeline is right. A production that cannot be seen proves nothing.
        if production.server(facts).is_ok_and(|other| other.is_some_and(|other| left_behind(server, other))) {
            return Ok(decision);
        }
        change.discards = Some(format!(
            "{0} is a standby, says the spec, but its PostgreSQL takes writes (timeline {1}) and {2}'s is not ahead of it: \
             {3} would stop there. If {0} was promoted, write `production: {0}`",
            here.host, server.timeline, production.host, self.unit.unit
        ));
        Ok(Decision::Change(change))
    }
}

/// Whether a promotion of `other` left `server` behind.
fn left_behind(server: &Server, other: &Server) -> bool {
    !other.in_recovery && other.system_identifier == server.system_identifier && other.timeline > server.timeline
}
