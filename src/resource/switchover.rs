//! What a switchover wants: the old production's server stopped in order, and proof that the
//! other has all of it.

use super::postgres::ClusterAt;
use super::{Decision, Difference, Kind, Resource, ResourceId};
use crate::action::{Action, UnitVerb};
use crate::facts::{FactError, Facts};
use crate::look::postgres::lsn_bytes;
use crate::look::{ClusterState, Look};
use crate::name::HostName;

/// A server that is stopped. In a switchover in order, so that its last record is a checkpoint.
#[derive(Debug)]
pub struct Stopped {
    /// Which.
    pub at: ClusterAt,
}

/// A standby that has replayed everything a stopped primary ever wrote.
#[derive(Debug)]
pub struct CaughtUp {
    /// The standby.
    pub at: ClusterAt,
    /// The stopped primary.
    pub old: ClusterAt,
    /// It was proven before, and since then the old one can start as a standby only.
    pub again: bool,
}

/// The control data of a cluster.
pub fn state<'a>(facts: &'a Facts, at: &ClusterAt) -> Result<&'a ClusterState, FactError> {
    let cluster = facts.cluster(&at.host, &at.cluster)?.as_ref();
    cluster
        .and_then(|cluster| cluster.state.as_ref())
        .ok_or_else(|| FactError::Refused(format!("{} has no cluster {}", at.host, at.cluster)))
}

fn look(at: &ClusterAt, look: Look) -> (HostName, Look) {
    (at.host.clone(), look)
}

impl Resource for Stopped {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Promotion, "stopped")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let looks = [Look::Cluster(self.at.cluster.clone()), Look::Server(self.at.cluster.clone())];
        looks.into_iter().map(|seen| look(&self.at, seen)).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let Some(cluster) = facts.cluster(&self.at.host, &self.at.cluster)? else { return Ok(Decision::Holds) };
        if !cluster.running {
            return Ok(Decision::Holds);
        }
        let stop = Action::Unit { unit: self.at.unit(), verb: UnitVerb::Stop };
        // A checkpoint now makes the one of the stop short.
        let primary = self.at.server(facts)?.is_some_and(|server| !server.in_recovery);
        let mut actions: Vec<Action> = primary.then(|| Action::Checkpoint { cluster: self.at.cluster.clone() }).into_iter().collect();
        actions.push(stop);
        Ok(Decision::from_parts(vec![Difference::new("server", "running", "stopped")], actions))
    }
}

impl Resource for CaughtUp {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Promotion, "caught-up")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        vec![look(&self.at, Look::Server(self.at.cluster.clone())), look(&self.old, Look::Cluster(self.old.cluster.clone()))]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let (host, old) = (&self.at.host, &self.old.host);
        let Some(server) = self.at.server(facts)? else { return Ok(Decision::waits(format!("PostgreSQL on {host}"))) };
        if !server.in_recovery {
            return Ok(Decision::Holds);
        }
        if facts.cluster(old, &self.old.cluster)?.as_ref().is_some_and(|cluster| cluster.running) {
            return Err(FactError::Refused(format!(
                "PostgreSQL runs again on {old} after it had stopped; find out what started it, and run this again"
            )));
        }
        let last = state(facts, &self.old)?;
        let standby = self.again && last.state == "shut down in recovery";
        if last.state != "shut down" && !standby {
            return Err(FactError::Refused(format!(
                "PostgreSQL on {old} did not stop in order (pg_controldata says: {}), so its last record is not known",
                last.state
            )));
        }
        let position = |lsn: &Option<String>| lsn.as_deref().and_then(lsn_bytes);
        // The checkpoint of the stop is the very last record: whoever replayed past its first byte has it all.
        // Started and stopped as a standby since, it has what it replayed.
        let beyond = if standby { position(&last.replayed) } else { Some(0) };
        match (position(&last.checkpoint), beyond, position(&server.replay_lsn)) {
            (Some(end), Some(beyond), Some(replayed)) if replayed > end && replayed >= beyond => Ok(Decision::Holds),
            (Some(_), Some(_), Some(_)) => Ok(Decision::settles(format!("the last bytes of {old} to be replayed on {host}"))),
            _ => Err(FactError::Refused(format!("how far {host} is cannot be compared with {old}"))),
        }
    }
}
