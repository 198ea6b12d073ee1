//! What only a promotion wants: replay finished, the server a primary, the promotion proven.

use super::postgres::ClusterAt;
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
            Goal::Replayed if !server.in_recovery => Decision::Holds,
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
    /// Remembers up to when it was verified.
    pub stamp: std::path::PathBuf,
}

impl Resource for LostBundles {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Promotion, format!("bundles of {}", self.database))
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let looks = [
            Look::Attachments(self.at.cluster.clone(), self.database.clone()),
            Look::Store { directory: self.directory.clone(), stamp: self.stamp.clone() },
        ];
        looks.into_iter().map(|look| (self.at.host.clone(), look)).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let needed = facts.attachments(&self.at.host, &self.at.cluster, &self.database)?;
        let Some(store) = facts.store(&self.at.host, &self.directory, &self.stamp)? else {
            return Err(FactError::Refused(format!("{} has no filestore at {}", self.at.host, self.directory.display())));
        };
        let names: Vec<String> =
            needed.iter().filter(|(name, a)| a.regenerable && !store.contains_key(*name)).map(|(name, _)| name.clone()).collect();
        let differences = names.iter().map(|name| Difference::new(name, "a row without its file", "made again by Odoo")).collect();
        let forget = Action::ForgetBundles { cluster: self.at.cluster.clone(), database: self.database.clone(), names };
        Ok(Decision::from_parts(differences, vec![forget]))
    }
}
