//! What only a promotion wants: replay finished, the server a primary, the promotion proven.

use super::postgres::ClusterAt;
use super::postgres::replay::{Wait, advice, waits};
use super::{Decision, Difference, Kind, Resource, ResourceId};
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::look::postgres::lsn_bytes;
use crate::name::{DatabaseName, HostName};

/// One thing a promotion wants of the new production's server.
#[derive(Debug)]
pub struct Promotion {
    /// The server that is promoted.
    pub at: ClusterAt,
    /// What is wanted of it.
    pub goal: Goal,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Nothing keeps the replay back: neither a pause by hand nor a delay.
    Resumed,
    /// All that was received is replayed.
    Replayed,
    /// It takes writes, on a new timeline.
    Promoted,
    /// The slot of the one that will follow is there, before its WAL could go.
    Slot {
        /// Its name.
        name: String,
    },
    /// The new timeline is on disk: without a checkpoint pg_rewind may find nothing to do.
    Checkpointed,
}

impl Resource for Promotion {
    fn id(&self) -> ResourceId {
        let name = match &self.goal {
            Goal::Resumed => "resumed",
            Goal::Replayed => "replayed",
            Goal::Slot { name } => name,
            Goal::Promoted => "promoted",
            Goal::Checkpointed => "checkpointed",
        };
        ResourceId::new(&self.at.host, Kind::Promotion, name)
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks = vec![Look::Server(self.at.cluster.clone())];
        if self.goal == Goal::Checkpointed {
            looks.push(Look::Cluster(self.at.cluster.clone()));
        }
        looks.into_iter().map(|look| (self.at.host.clone(), look)).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let host = &self.at.host;
        let Some(server) = self.at.server(facts)? else {
            return Ok(Decision::waits(format!("PostgreSQL on {host}")));
        };
        let cluster = self.at.cluster.clone();
        Ok(match &self.goal {
            Goal::Resumed => match waits(server, None) {
                Some(wait @ (Wait::ByHand | Wait::Delay(_))) => Decision::from_parts(
                    vec![Difference::new("replay", advice(&self.at, &wait, Some(server)), "all that was received")],
                    vec![Action::ReplayAll { cluster }],
                ),
                _ => Decision::Holds,
            },
            Goal::Replayed if !server.in_recovery => Decision::Holds,
            // A primary that lost its power may have sent half a record: nothing is left to wait for.
            Goal::Replayed if server.starved && server.receiver.as_ref().is_none_or(|receiver| receiver.status != "streaming") => {
                Decision::Holds
            }
            Goal::Replayed => {
                let position = |lsn: &Option<String>| lsn.as_deref().and_then(lsn_bytes);
                match (position(&server.lsn), position(&server.replay_lsn)) {
                    (Some(received), Some(replayed)) if replayed >= received => Decision::Holds,
                    (Some(received), Some(replayed)) => Decision::settles(format!("the replay of {} bytes of WAL", received - replayed)),
                    _ => Decision::Holds,
                }
            }
            Goal::Slot { name } if server.slots.contains_key(name) => Decision::Holds,
            Goal::Slot { name } => Decision::from_parts(
                vec![Difference::new("slot", super::Shown::Absent, "physical")],
                vec![Action::CreateSlot { cluster, slot: name.clone() }],
            ),
            Goal::Promoted if server.in_recovery => {
                Decision::from_parts(vec![Difference::new("server", "a standby", "a primary")], vec![Action::Promote { cluster }])
            }
            Goal::Promoted => Decision::Holds,
            Goal::Checkpointed if server.in_recovery => Decision::waits(format!("a primary on {host}")),
            Goal::Checkpointed => match facts.cluster(host, &self.at.cluster)?.as_ref().and_then(|c| c.state.as_ref()) {
                Some(state) if state.timeline < server.timeline => Decision::from_parts(
                    vec![Difference::new("timeline on disk", state.timeline.to_string(), server.timeline.to_string())],
                    vec![Action::Checkpoint { cluster }],
                ),
                _ => Decision::Holds,
            },
        })
    }
}

/// Asset bundles whose files are lost: a row without a file is a broken page for ever, a
/// missing row is made again by Odoo.
#[derive(Debug)]
pub struct LostBundles {
    /// The new production's server.
    pub at: ClusterAt,
    /// Whose bundles.
    pub database: DatabaseName,
    /// The store of that database.
    pub directory: std::path::PathBuf,
}

impl LostBundles {
    fn look(&self) -> Look {
        Look::LostBundles { cluster: self.at.cluster.clone(), database: self.database.clone(), directory: self.directory.clone() }
    }
}

impl Resource for LostBundles {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Promotion, format!("bundles of {}", self.database))
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        vec![(self.at.host.clone(), self.look())]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let Some(lost) = facts.lost_bundles(&self.at.host, &self.at.cluster, &self.database, &self.directory)? else {
            return Err(FactError::Refused(format!("{} has no filestore at {}", self.at.host, self.directory.display())));
        };
        let names: Vec<String> = lost.iter().cloned().collect();
        let differences = names.iter().map(|name| Difference::new(name, "a row without its file", "made again by Odoo")).collect();
        let forget = Action::ForgetBundles { cluster: self.at.cluster.clone(), database: self.database.clone(), names };
        Ok(Decision::from_parts(differences, vec![forget]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::{ClusterName, Server, ServerSight, Sight};

    /// Half a record arrived, up to the end of its page, before the primary lost its power.
    #[test]
    fn half_a_record_is_not_waited_for_once_nobody_sends() {
        let decide = |starved: bool, receiver: Option<&str>| {
            let receiver = receiver
                .map(|status| serde_json::json!({"status": status, "slot": null, "sender": null, "timeline": 1, "latest_end_lsn": null}));
            let server: Server = serde_json::from_value(serde_json::json!({
                "in_recovery": true, "system_identifier": "7", "timeline": 1, "lsn": "0/406E000", "replay_lsn": "0/406DED0",
                "last_replayed_at": null, "replay_paused": false, "starved": starved, "receiver": receiver, "slots": {}, "senders": {},
                "settings": {}, "replication_roles": {}, "sees_verifiers": true, "databases": {}, "loaded_at": 0.0, "started_at": 0.0,
                "file_errors": []
            }))
            .unwrap();
            let cluster = ClusterName { version: 13, name: "main".parse().unwrap(), port: 5432 };
            let at = ClusterAt { host: "erp2".parse().unwrap(), cluster: cluster.clone() };
            let seen = [(Look::Server(cluster), Ok(Sight::Server(ServerSight::Up(Box::new(server)))))].into();
            let facts = Facts::new([(at.host.clone(), Ok(seen))].into());
            (Promotion { at, goal: Goal::Replayed }).decide(&facts).unwrap()
        };
        assert_eq!(decide(true, None), Decision::Holds);
        for (starved, receiver) in [(true, Some("streaming")), (false, None)] {
            assert!(matches!(decide(starved, receiver), Decision::Waits { .. }), "{receiver:?}");
        }
    }
}
