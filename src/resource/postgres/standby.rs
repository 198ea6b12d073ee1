//! A standby's server follows production: the same system, in recovery, streaming.

use std::path::PathBuf;

use super::replay::{Wait, advice, waits};
use super::{ClusterAt, settings::Follows};
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::look::{Cluster, ClusterState, Look, Server};
use crate::name::HostName;
use crate::resource::rejoin::ahead;
use crate::resource::{Change, Decision, Difference, Kind, Resource, ResourceId, Shown};

/// A standby's server.
#[derive(Debug)]
pub struct Standby {
    /// The standby's cluster.
    pub at: ClusterAt,
    /// Whom it follows.
    pub follows: Follows,
}

impl Resource for Standby {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Standby, self.at.cluster.to_string())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks: Vec<(HostName, Look)> = [Look::Cluster(self.at.cluster.clone()), Look::Server(self.at.cluster.clone())]
            .into_iter()
            .map(|look| (self.at.host.clone(), look))
            .collect();
        let production = &self.follows.production;
        looks.push((production.host.clone(), Look::Server(production.cluster.clone())));
        looks.push((production.host.clone(), Look::Cluster(production.cluster.clone())));
        if self.follows.reach.said.is_none() {
            looks.push((self.follows.reach.host.clone(), Look::Machine));
        }
        looks
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let production = &self.follows.production.host;
        let Some(cluster) = facts.cluster(&self.at.host, &self.at.cluster)? else {
            return Ok(Decision::waits(format!("PostgreSQL cluster {} (a package makes it)", self.at.cluster)));
        };
        let Some(primary) = self.follows.production.server(facts)? else {
            return Ok(Decision::waits(format!("PostgreSQL on {production}")));
        };
        if primary.in_recovery {
            return Ok(Decision::waits(format!("a primary on {production}, whose PostgreSQL is a standby itself")));
        }
        let server = self.at.server(facts)?;
        let Some(state) = &cluster.state else {
            return self.copy(cluster, primary, facts, Difference::new("data", Shown::Absent, self.origin()), None);
        };
        if state.system_identifier != primary.system_identifier {
            let is = format!("another cluster (system {})", state.system_identifier);
            return self.copy(cluster, primary, facts, Difference::new("data", is, self.origin()), at_stake(server));
        }
        match server {
            Some(server) if server.in_recovery => self.running(cluster, server, primary, facts),
            Some(server) => self.second_primary(cluster, server, primary, facts),
            None => self.stopped(cluster, state, primary, facts),
        }
    }
}

impl Standby {
    fn origin(&self) -> String {
        format!("a copy of {}", self.follows.production.host)
    }

    fn copy(
        &self,
        cluster: &Cluster,
        primary: &Server,
        facts: &Facts,
        difference: Difference,
        discards: Option<String>,
    ) -> Result<Decision, FactError> {
        can_be_replaced(&self.at, cluster, primary)?;
        let action = Action::BaseBackup {
            cluster: self.at.cluster.clone(),
            data_directory: PathBuf::from(&cluster.data_directory),
            conninfo: self.follows.conninfo(facts)?,
            slot: self.follows.slot.clone(),
            spaces: primary.spaces.clone(),
            keep_old: discards.is_some(),
        };
        let discards =
            discards.map(|what| format!("PostgreSQL {} on {}: {what}; it would be kept beside the copy", self.at.cluster, self.at.host));
        Ok(Decision::Change(Change { differences: vec![difference], actions: vec![action], discards, ..Change::default() }))
    }

    fn follow(&self, cluster: &Cluster, difference: Difference) -> Decision {
        let data_directory = PathBuf::from(&cluster.data_directory);
        Decision::from_parts(vec![difference], vec![Action::FollowPrimary { cluster: self.at.cluster.clone(), data_directory }])
    }

    fn running(&self, cluster: &Cluster, server: &Server, primary: &Server, facts: &Facts) -> Result<Decision, FactError> {
        let slot = self.follows.slot.as_ref().and_then(|name| primary.slots.get(name));
        if slot.is_some_and(|slot| slot.wal_status.as_deref() == Some("lost")) {
            let is = "fell behind: production threw away WAL it had not got";
            return self.copy(cluster, primary, facts, Difference::new("replication", is, "streaming"), None);
        }
        if server.timeline > primary.timeline {
            return self.copy(
                cluster,
                primary,
                facts,
                Difference::new("timeline", server.timeline.to_string(), primary.timeline.to_string()),
                Some(format!("it is on timeline {}, {} on {}", server.timeline, self.follows.production.host, primary.timeline)),
            );
        }
        if let Some((parted, reached)) = self.ahead(server, facts) {
            let (host, production) = (&self.at.host, &self.follows.production.host);
            return Err(FactError::Refused(format!(
                "{host} has WAL of timeline {} up to {reached}, and {production} left that timeline at {parted}: it cannot follow as it is. \
                 `otr rejoin {host}` keeps what only it has and makes it a standby again",
                server.timeline
            )));
        }
        if !cluster.standby_signal {
            // It runs as a standby now and would start as a second primary.
            return Ok(self.follow(cluster, Difference::new("standby.signal", Shown::Absent, "present")));
        }
        let wait = waits(server, cluster.state.as_ref().map(|state| &state.parameters));
        match &wait {
            Some(wait @ Wait::ByHand) => {
                return Err(FactError::Refused(format!("{}: replay is paused: {}", self.at.host, advice(&self.at, wait, Some(server)))));
            }
            // Its settings are put right by their own resource.
            Some(wait @ (Wait::Parameter(_) | Wait::Target(_))) => {
                return Ok(Decision::waits(format!("its settings: {}", advice(&self.at, wait, Some(server)))));
            }
            _ => {}
        }
        Ok(match (&server.receiver, wait) {
            // One that still follows the production before has the timeline before.
            (Some(receiver), _) if receiver.status == "streaming" && receiver.timeline >= primary.timeline => Decision::Holds,
            (_, Some(Wait::Delay(delay))) => Decision::settles(format!(
                "streaming from {}: since it was started it works off what it has, each commit {delay} late, and receives nothing",
                self.follows.production.host
            )),
            _ => Decision::settles(format!("streaming from {}", self.follows.production.host)),
        })
    }

    /// Where the server left production's history, and how far it is. Production's control data may be
    /// hidden (an observed host): then PostgreSQL's log alone says why nothing streams.
    fn ahead(&self, server: &Server, facts: &Facts) -> Option<(String, String)> {
        let production = &self.follows.production;
        let state = facts.cluster(&production.host, &production.cluster).ok()?.as_ref()?.state.as_ref()?;
        ahead(server, state)
    }

    /// Same system, and both take writes.
    fn second_primary(&self, cluster: &Cluster, server: &Server, primary: &Server, facts: &Facts) -> Result<Decision, FactError> {
        let fresh = server.databases.is_empty();
        let lsn = |server: &Server| server.lsn.clone().unwrap_or_else(|| "?".into());
        let stake = (!fresh).then(|| {
            format!(
                "split brain: it takes writes (timeline {}, at {}) while {} does too (timeline {}, at {})",
                server.timeline,
                lsn(server),
                self.follows.production.host,
                primary.timeline,
                lsn(primary)
            )
        });
        let wanted = format!("a standby of {}", self.follows.production.host);
        self.copy(cluster, primary, facts, Difference::new("server", "a primary", wanted), stake)
    }

    fn stopped(&self, cluster: &Cluster, state: &ClusterState, primary: &Server, facts: &Facts) -> Result<Decision, FactError> {
        if cluster.standby_signal && state.timeline <= primary.timeline {
            return Ok(self.follow(cluster, Difference::new("server", "stopped", "running")));
        }
        let stake = format!(
            "it was a primary when it stopped ({}, timeline {}) and may hold writes that {} has not",
            state.state, state.timeline, self.follows.production.host
        );
        self.copy(cluster, primary, facts, Difference::new("server", "stopped as a primary", "a standby"), Some(stake))
    }
}

/// A copy finds its place, and room, before anything is stopped.
pub fn can_be_replaced(at: &ClusterAt, cluster: &Cluster, primary: &Server) -> Result<(), FactError> {
    let (host, data) = (&at.host, &cluster.data_directory);
    if cluster.layout.wal_mounted {
        return Err(FactError::Refused(format!(
            "{host}: {data}/pg_wal is a mount point, so the data directory cannot be replaced by a copy: mount that disk elsewhere, and let pg_wal be a link to a folder on it"
        )));
    }
    let needed: u64 = primary.databases.values().sum();
    match &cluster.layout.room {
        Some((free, mounted)) if *free < needed => Err(FactError::Refused(format!(
            "{host}: a copy of {} MB has no room at {mounted}, where {data} stands: {} MB are free, and what is there stays until the copy is whole",
            needed >> 20,
            free >> 20
        ))),
        _ => Ok(()),
    }
}

/// Databases that a copy would replace, in words; `None` if there is nothing to lose.
fn at_stake(server: Option<&Server>) -> Option<String> {
    match server {
        None => Some("a stopped cluster whose databases cannot be seen".into()),
        Some(server) if server.databases.is_empty() => None,
        Some(server) => {
            let list: Vec<String> = server.databases.iter().map(|(name, bytes)| format!("database {name} ({} MB)", bytes >> 20)).collect();
            Some(list.join(", "))
        }
    }
}
