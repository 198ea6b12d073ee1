//! The boot guard on simulated machines: what it reads, whom it hears, and systemd's obedience.

use std::path::Path;

use super::machine::Machine;
use super::streaming::Machines;
use crate::epoch::Epoch;
use crate::guard::{Answer, CONFIG, Config, DiskRole, Question, Verdict, decide, redis_role};
use crate::look::life::{Answers, Ask, PortAnswer, PortState};

/// Every machine hears from those it reaches.
pub fn settle(machines: &mut Machines) {
    let answers: Vec<(String, Option<Answer>)> =
        machines.values().flat_map(|machine| machine.addresses.iter().map(|address| (address.clone(), machine.answer()))).collect();
    for machine in machines.values_mut() {
        let others = answers.iter().filter(|(address, _)| !machine.addresses.contains(address));
        machine.neighbours = others.filter_map(|(address, answer)| Some((address.clone(), answer.clone()?))).collect();
    }
    let open: Vec<(String, Vec<u16>)> =
        machines.values().flat_map(|machine| machine.addresses.iter().map(|address| (address.clone(), machine.open_ports()))).collect();
    for machine in machines.values_mut() {
        machine.open = if machine.is_reachable() { open.iter().cloned().collect() } else { Default::default() };
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

    /// The ports that take a connection from the network.
    fn open_ports(&self) -> Vec<u16> {
        if !self.is_reachable() {
            return Vec::new();
        }
        let number = |text: &str| text.parse::<u16>().ok();
        let mut ports = vec![22];
        ports.extend(self.clusters.values().filter_map(|cluster| number(cluster.server.as_ref()?.value("port"))));
        ports.extend(self.is_active("odoo.service").then(|| self.odoo_port()));
        ports.extend(self.is_active("redis-server.service").then_some(6379));
        ports.extend(self.guard_config().filter(|_| self.is_active("otr-epoch.socket")).map(|config| config.port));
        ports
    }

    /// What another machine's ports answer, if the way there is open.
    pub(super) fn hears_of(&self, ask: &Ask) -> Answers {
        let open = self.open.get(&ask.address);
        let state = |port: &u16| match open {
            Some(open) if open.contains(port) => PortState::Open,
            Some(open) if !open.is_empty() => PortState::Refused,
            _ => PortState::Silent,
        };
        let answer = |port: &u16| PortAnswer { address: ask.address.clone(), port: *port, state: state(port), said: None };
        Answers { addresses: vec![ask.address.clone()], ports: ask.ports.iter().map(answer).collect() }
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
