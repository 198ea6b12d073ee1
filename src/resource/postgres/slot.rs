//! Replication slots: one for each standby on production, and no other of otr's anywhere.

use super::ClusterAt;
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::name::HostName;
use crate::resource::{Decision, Difference, Kind, Resource, ResourceId, Shown};

/// A slot that must be there.
#[derive(Debug)]
pub struct Slot {
    /// Production's cluster.
    pub at: ClusterAt,
    /// Its name.
    pub name: String,
}

impl Resource for Slot {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Slot, &self.name)
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        vec![(self.at.host.clone(), Look::Server(self.at.cluster.clone()))]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let Some(server) = self.at.server(facts)? else {
            return Ok(Decision::waits(format!("PostgreSQL on {}", self.at.host)));
        };
        let create = Action::CreateSlot { cluster: self.at.cluster.clone(), slot: self.name.clone() };
        Ok(match server.slots.get(&self.name) {
            None => Decision::from_parts(vec![Difference::new("slot", Shown::Absent, "physical")], vec![create]),
            // A lost slot has thrown WAL away; the standby must be copied anew, which its own resource decides.
            Some(slot) if slot.wal_status.as_deref() == Some("lost") => Decision::from_parts(
                vec![Difference::new("slot", "lost: production threw away WAL the standby had not got", "reserved")],
                vec![Action::DropSlot { cluster: self.at.cluster.clone(), slot: self.name.clone() }, create],
            ),
            Some(_) => Decision::Holds,
        })
    }
}

/// Slots of otr's that serve nobody: they keep WAL until the disk is full.
#[derive(Debug)]
pub struct StaleSlots {
    /// The cluster.
    pub at: ClusterAt,
    /// The slots that belong there.
    pub keep: Vec<String>,
    /// The host is a standby: a primary that runs there all the same is left alone.
    pub standby: bool,
}

impl Resource for StaleSlots {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Slot, "stale")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        vec![(self.at.host.clone(), Look::Server(self.at.cluster.clone()))]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let Some(server) = self.at.server(facts)? else { return Ok(Decision::Holds) };
        if self.standby && !server.in_recovery {
            return Ok(Decision::Holds);
        }
        let stale = server.slots.iter().filter(|(name, slot)| name.starts_with("otr_") && !slot.active && !self.keep.contains(name));
        let (differences, actions) = stale
            .map(|(name, _)| {
                let drop = Action::DropSlot { cluster: self.at.cluster.clone(), slot: name.clone() };
                (Difference::new(name, "a slot nobody uses, keeping WAL", Shown::Absent), drop)
            })
            .unzip();
        Ok(Decision::from_parts(differences, actions))
    }
}
