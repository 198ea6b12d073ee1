//! The boot guard on simulated machines: what it reads, whom it hears, and systemd's obedience.

use std::path::Path;

use super::machine::Machine;
use super::streaming::Machines;
use crate::epoch::Epoch;
use crate::guard::{Answer, CONFIG, Config, DiskRole, Question, Verdict, decide, redis_role};

/// Every machine hears from those it reaches.
pub fn settle(machines: &mut Machines) {
    let answers: Vec<(String, Option<Answer>)> =
        machines.values().flat_map(|machine| machine.addresses.iter().map(|address| (address.clone(), machine.answer()))).collect();
    for machine in machines.values_mut() {
        let others = answers.iter().filter(|(address, _)| !machine.addresses.contains(address));
        machine.neighbours = others.filter_map(|(address, answer)| Some((address.clone(), answer.clone()?))).collect();
    }
}

impl Machine {
    fn guard_config(&self) -> Option<Config> {
        serde_json::from_str(self.files.text(CONFIG)).ok()
    }

    fn epoch(&self, config: &Config) -> Epoch {
        Epoch::parse(self.files.text(Epoch::path(&config.installation))).unwrap_or_default()
    }

    fn role_on_disk(&self, config: &Config) -> DiskRole {
        let data = config.data_directory(self.files.text(config.cluster.join("postgresql.conf")));
        if self.files.get(data.join("standby.signal")).is_some() { DiskRole::Standby } else { DiskRole::Primary }
    }

    /// What a peer hears, while the machine can be reached and its socket listens.
    fn answer(&self) -> Option<Answer> {
        let config = self.guard_config().filter(|_| self.is_reachable() && self.is_active("otr-epoch.socket"))?;
        Some(Answer { epoch: self.epoch(&config), role: self.role_on_disk(&config) })
    }

    /// What ExecCondition says to a start: an error where it is skipped.
    pub(super) fn ask_guard(&mut self, unit: &str) -> Result<(), String> {
        let drop_in = Path::new("/etc/systemd/system").join(format!("{unit}.d/otr-guard.conf"));
        if self.files.get(&drop_in).is_none() {
            return Ok(());
        }
        let config = self.guard_config().ok_or("the guard has no configuration")?;
        let service = config.service(unit).ok_or("the guard does not know it")?;
        let role = match config.redis_config(unit) {
            Some(path) => redis_role(self.files.text(path)),
            None => self.role_on_disk(&config),
        };
        let hears = |address: &String| self.neighbours.get(address).filter(|_| self.is_reachable()).cloned();
        let peers: Vec<_> = config.peers.iter().map(|(peer, address)| (peer.clone(), hears(address))).collect();
        let own = self.epoch(&config);
        let ran = self.production;
        let question = Question { me: &config.host, service, own: &own, role, peers: &peers, policy: config.boot_without_peer, ran };
        match decide(&question) {
            Verdict::Start(_) => {
                self.production |= role == DiskRole::Primary;
                Ok(())
            }
            Verdict::Refuse(why) | Verdict::Wait(why) => Err(why),
        }
    }
}
