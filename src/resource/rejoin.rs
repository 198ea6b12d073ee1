//! What a rejoin wants of a cluster that left production's history, as an old production or as a
//! standby that had more than the one which was promoted: marked as a standby, recovered, its own
//! data kept, and its history taken back to where it left production's. The decision is pure.

use std::path::PathBuf;

use super::postgres::ClusterAt;
use super::postgres::settings::Follows;
use super::postgres::standby::can_be_replaced;
use super::switchover::state;
use super::{Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::look::postgres::{lsn_bytes, lsn_text};
use crate::look::{ClusterState, Look, Server};
use crate::name::HostName;

/// How a host can follow production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It has nothing that production has not: it only follows.
    Attach,
    /// It wrote after the histories parted: what it wrote there is taken back.
    Rewind {
        /// Where they parted.
        from: String,
    },
    /// Its data cannot be taken back and is copied anew.
    Rebuild {
        /// Why.
        why: String,
    },
}

/// Where production's history left a timeline.
fn fork(timeline: u32, production: &ClusterState) -> Option<&String> {
    production.history.iter().find(|(known, _)| *known == timeline).map(|(_, lsn)| lsn)
}

/// A standby that has more of an old timeline than production took over from it: where they parted, and
/// how far it is. It cannot follow: PostgreSQL never goes back by itself.
pub fn ahead(standby: &Server, production: &ClusterState) -> Option<(String, String)> {
    let parted = fork(standby.timeline, production).filter(|_| standby.in_recovery)?;
    let reached = standby.reached()?;
    (reached > lsn_bytes(parted)?).then(|| (parted.clone(), lsn_text(reached)))
}

/// Decides from control data of a cluster that stopped in order, and of production; and from how far a
/// standby was while it ran, which its control data need not say.
pub fn way(target: &ClusterState, production: &ClusterState, reached: Option<&str>) -> Way {
    let rebuild = |why: String| Way::Rebuild { why };
    if target.system_identifier != production.system_identifier {
        return rebuild("it is another system, no copy of production".into());
    }
    if target.timeline == production.timeline {
        return match target.was_primary() {
            // Two histories under one number: pg_rewind compares the numbers and finds nothing to do.
            true => rebuild(format!("it took writes on timeline {}, which is production's own", target.timeline)),
            false => Way::Attach,
        };
    }
    if target.timeline > production.timeline {
        return rebuild(format!("it is on timeline {}, above production's {}", target.timeline, production.timeline));
    }
    let Some(parted) = fork(target.timeline, production) else {
        return rebuild(format!("its timeline {} is none that production came from", target.timeline));
    };
    let position = |lsn: &Option<String>| lsn.as_deref().and_then(lsn_bytes);
    let (Some(last), Some(fork)) = (position(&target.checkpoint), lsn_bytes(parted)) else {
        return rebuild("where it stopped cannot be seen".into());
    };
    let beyond = match target.was_primary() {
        // Its last record is the checkpoint; one that begins before the parting is common to both.
        true => last >= fork || !target.is_clean(),
        false => position(&target.replayed).is_some_and(|replayed| replayed > fork),
    };
    match (beyond, reached.and_then(lsn_bytes).is_some_and(|reached| reached > fork)) {
        (false, false) => Way::Attach,
        (false, true) => rebuild("it received more than its control data says, which pg_rewind would not find".into()),
        (true, _) if target.mounted => {
            rebuild("its data directory is a mount point, in which pg_rewind would delete what is kept of its own data".into())
        }
        (true, _) if !target.rewindable => {
            rebuild("it has neither checksums nor wal_log_hints, without which pg_rewind cannot tell what changed".into())
        }
        (true, _) if !target.was_primary() && !target.is_clean() => {
            rebuild("it was cut off while it replayed, and pg_rewind needs a server that stopped in order".into())
        }
        (true, _) => Way::Rewind { from: parted.clone() },
    }
}

/// `standby.signal` is there: whatever starts the server, it starts as a standby.
#[derive(Debug)]
pub struct Marked {
    /// The cluster.
    pub at: ClusterAt,
}

/// A stopped cluster whose crash is behind it.
#[derive(Debug)]
pub struct Recovered {
    /// The cluster.
    pub at: ClusterAt,
}

/// A copy of what only this cluster has.
#[derive(Debug)]
pub struct Kept {
    /// The cluster.
    pub at: ClusterAt,
    /// Production's.
    pub production: ClusterAt,
    /// How far it was while it ran as a standby; `X/Y`.
    pub reached: Option<String>,
}

/// Its history is a part of production's.
#[derive(Debug)]
pub struct Joined {
    /// The cluster.
    pub at: ClusterAt,
    /// Whom it follows.
    pub follows: Follows,
    /// A copy that replaces it leaves the old data beside it.
    pub keep_old: bool,
    /// How far it was while it ran as a standby; `X/Y`.
    pub reached: Option<String>,
}

fn looks(at: &ClusterAt) -> Vec<(HostName, Look)> {
    vec![(at.host.clone(), Look::Cluster(at.cluster.clone()))]
}

fn data(facts: &Facts, at: &ClusterAt) -> Result<PathBuf, FactError> {
    let cluster = facts.cluster(&at.host, &at.cluster)?.as_ref();
    let cluster = cluster.ok_or_else(|| FactError::Refused(format!("{} has no cluster {}", at.host, at.cluster)))?;
    Ok(cluster.data_directory.clone().into())
}

/// What stands beside the data begins so.
fn beside(facts: &Facts, at: &ClusterAt) -> Result<String, FactError> {
    Ok(facts.cluster(&at.host, &at.cluster)?.as_ref().map(crate::look::Cluster::beside).unwrap_or_default())
}

impl Resource for Marked {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Promotion, "standby.signal")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        looks(&self.at)
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let marked = facts.cluster(&self.at.host, &self.at.cluster)?.as_ref().is_some_and(|cluster| cluster.standby_signal);
        if marked {
            return Ok(Decision::Holds);
        }
        let mark = Action::MarkStandby { data_directory: data(facts, &self.at)? };
        Ok(Decision::from_parts(vec![Difference::new("standby.signal", Shown::Absent, "present")], vec![mark]))
    }
}

impl Resource for Recovered {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Promotion, "recovered")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        looks(&self.at)
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let is = state(facts, &self.at)?;
        // A standby that was cut off recovers when it starts again as one.
        if is.is_clean() || !is.was_primary() {
            return Ok(Decision::Holds);
        }
        let recover = Action::RecoverCluster { cluster: self.at.cluster.clone(), data_directory: data(facts, &self.at)? };
        Ok(Decision::from_parts(vec![Difference::new("cluster state", is.state.as_str(), "shut down")], vec![recover]))
    }
}

impl Kept {
    fn place(beside: &str, state: &ClusterState) -> PathBuf {
        let at = state.checkpoint.clone().unwrap_or_default().replace('/', "-");
        format!("{beside}diverged-{}-{at}", state.timeline).into()
    }
}

impl Resource for Kept {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Promotion, "kept")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        [looks(&self.at), looks(&self.production)].concat()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let is = state(facts, &self.at)?;
        if !matches!(way(is, state(facts, &self.production)?, self.reached.as_deref()), Way::Rewind { .. }) {
            // A copy made anew leaves the old data beside it; attaching discards nothing.
            return Ok(Decision::Holds);
        }
        let from = data(facts, &self.at)?;
        let to = Self::place(&beside(facts, &self.at)?, is);
        let kept =
            facts.cluster(&self.at.host, &self.at.cluster)?.as_ref().is_some_and(|c| c.kept.iter().any(|at| to.as_os_str() == at.as_str()));
        if kept {
            return Ok(Decision::Holds);
        }
        let keep = Action::KeepData { data_directory: from, to: to.clone() };
        Ok(Decision::from_parts(vec![Difference::new("copy", Shown::Absent, to.display().to_string())], vec![keep]))
    }
}

impl Resource for Joined {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Promotion, "joined")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut all = [looks(&self.at), looks(&self.follows.production)].concat();
        all.push((self.follows.production.host.clone(), Look::Server(self.follows.production.cluster.clone())));
        if self.follows.reach.said.is_none() {
            all.push((self.follows.reach.host.clone(), Look::Machine));
        }
        all
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let directory = data(facts, &self.at)?;
        let begun = facts.cluster(&self.at.host, &self.at.cluster)?.as_ref().is_some_and(|cluster| cluster.rewinding);
        let conninfo = self.follows.conninfo(facts)?;
        let way = match begun {
            true => Way::Rebuild { why: "a pg_rewind was cut off, so its data is neither old nor new".into() },
            false => way(state(facts, &self.at)?, state(facts, &self.follows.production)?, self.reached.as_deref()),
        };
        let cluster = self.at.cluster.clone();
        Ok(match way {
            Way::Attach => Decision::Holds,
            Way::Rewind { from } => Decision::from_parts(
                vec![Difference::new("history", format!("its own after {from}"), "production's")],
                vec![Action::Rewind { cluster, data_directory: directory, conninfo: format!("{conninfo} dbname=postgres") }],
            ),
            Way::Rebuild { why } => {
                let slot = self.follows.slot.clone();
                let Some(primary) = self.follows.production.server(facts)? else {
                    return Ok(Decision::waits(format!("PostgreSQL on {}", self.follows.production.host)));
                };
                if let Some(is) = facts.cluster(&self.at.host, &self.at.cluster)? {
                    can_be_replaced(&self.at, is, primary)?;
                }
                let spaces = primary.spaces.clone();
                let mark = PathBuf::from(format!("{}rewinding", beside(facts, &self.at)?));
                let mut actions =
                    vec![Action::BaseBackup { cluster, data_directory: directory, conninfo, slot, spaces, keep_old: self.keep_old }];
                if begun {
                    actions.push(Action::RemoveFile { path: mark });
                }
                Decision::from_parts(vec![Difference::new("data", why, "a copy of production")], actions)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(state: &str, timeline: u32, checkpoint: &str, history: &[(u32, &str)]) -> ClusterState {
        ClusterState {
            state: state.into(),
            system_identifier: "7".into(),
            timeline,
            checkpoint: Some(checkpoint.into()),
            replayed: None,
            rewindable: true,
            mounted: false,
            parameters: Default::default(),
            history: history.iter().map(|(timeline, lsn)| (*timeline, (*lsn).to_owned())).collect(),
        }
    }

    #[test]
    fn the_way_back_is_decided_by_timelines_and_ends() {
        let production = cluster("in production", 3, "0/9000028", &[(1, "0/5000000"), (2, "0/8000000")]);
        let way = |target: &ClusterState| super::way(target, &production, None);
        assert_eq!(way(&cluster("shut down", 2, "0/7FFFF88", &[])), Way::Attach);
        assert_eq!(way(&cluster("shut down", 2, "0/8000000", &[])), Way::Rewind { from: "0/8000000".into() });
        assert_eq!(way(&cluster("shut down", 1, "0/6000000", &[])), Way::Rewind { from: "0/5000000".into() });
        assert_eq!(way(&cluster("in archive recovery", 3, "0/8000060", &[])), Way::Attach);
        // A standby of the one before: its checkpoint is common to both, and so is what it replayed, or not.
        let standby = |state: &str, replayed: &str| ClusterState { replayed: Some(replayed.into()), ..cluster(state, 2, "0/7000028", &[]) };
        assert_eq!(way(&standby("shut down in recovery", "0/8000000")), Way::Attach);
        assert_eq!(way(&standby("in archive recovery", "0/7FFFFFF")), Way::Attach, "it goes on where it was cut off");
        assert_eq!(way(&standby("shut down in recovery", "0/8000001")), Way::Rewind { from: "0/8000000".into() });
        let rebuilt = |target: &ClusterState| matches!(way(target), Way::Rebuild { .. });
        assert!(rebuilt(&standby("in archive recovery", "0/8000001")), "pg_rewind needs a clean stop");
        let hidden = super::way(&standby("shut down in recovery", "0/7FFFFFF"), &production, Some("0/8000001"));
        assert!(matches!(hidden, Way::Rebuild { .. }), "{hidden:?}");
        assert!(rebuilt(&cluster("shut down", 3, "0/8000060", &[])), "standby.signal was deleted by hand: no fork, yet another history");
        assert!(rebuilt(&cluster("shut down", 4, "0/8000060", &[])));
        assert!(rebuilt(&ClusterState { mounted: true, ..cluster("shut down", 2, "0/8000000", &[]) }));
        assert!(rebuilt(&ClusterState { rewindable: false, ..cluster("shut down", 2, "0/8000000", &[]) }));
        assert!(rebuilt(&ClusterState { system_identifier: "8".into(), ..cluster("shut down", 2, "0/1", &[]) }));
    }
}
