//! PostgreSQL's part of the doctor: whether it answers, where its data stands, what would end a standby's life. Pure.

use super::{Finding, Patient};
use crate::look::vitals::Room;
use crate::look::{Machine, ServerSight};
use crate::resource::postgres::replay::{Wait, advice, targets, waits};
use crate::wanted::cluster_at;

impl Patient<'_> {
    pub(super) fn postgresql(&self, machine: &Machine) -> Option<Finding> {
        let at = cluster_at(self.spec, self.host)?;
        Some(match self.facts.server(self.host, &at.cluster) {
            Ok(ServerSight::Up(server)) => self.well("postgresql", if server.in_recovery { "a standby" } else { "a primary" }.to_owned()),
            Ok(ServerSight::Down) if !self.is_standby() => {
                self.bad("postgresql", format!("cluster {} is not running", at.cluster), "start it: it is production's database")
            }
            Ok(ServerSight::Down) => self.well("postgresql", "not running, or not installed yet".into()),
            Err(error) => {
                self.bad("postgresql", error.to_string(), &format!("the login needs a PostgreSQL role: createuser {}", machine.user))
            }
        })
    }

    /// A recovery target sleeps on production, and ends recovery on a standby.
    pub(super) fn recovery(&self) -> Vec<Finding> {
        let Some(at) = cluster_at(self.spec, self.host) else { return Vec::new() };
        let Ok(Some(server)) = at.server(self.facts) else { return Vec::new() };
        if !server.in_recovery {
            let asleep = targets(server).into_iter().map(|target| {
                let name = target.split(' ').next().unwrap_or_default().to_owned();
                let how = if target.contains("postgresql.auto.conf") { format!("ALTER SYSTEM RESET {name}") } else { format!("take {name} out there") };
                let why = "left by a restore, it sleeps on a primary; a copy that keeps it promotes itself, or stops. otr takes it out of its copies";
                self.bad("recovery", target, &format!("{why}; here: {how}"))
            });
            return asleep.collect();
        }
        let cluster = self.facts.cluster(self.host, &at.cluster).ok().and_then(|cluster| cluster.as_ref());
        match waits(server, cluster.and_then(|cluster| cluster.state.as_ref()).map(|state| &state.parameters)) {
            None => Vec::new(),
            Some(Wait::Delay(delay)) => {
                let seen = format!(
                    "replays {delay} late; after a restart it receives nothing for as long, and what production commits then is nowhere else"
                );
                vec![self.well("recovery", seen)]
            }
            Some(wait) => vec![self.bad("recovery", "its replay waits, or would end".into(), &advice(&at, &wait, Some(server)))],
        }
    }

    /// The disk on which the data stands, or its copy will.
    pub(super) fn data_disk(&self) -> Option<Room> {
        let at = cluster_at(self.spec, self.host)?;
        let (free, mounted_at) = self.facts.cluster(self.host, &at.cluster).ok()?.as_ref()?.layout.room.clone()?;
        Some(Room { mounted_at: mounted_at.into(), free, size: free })
    }
}
