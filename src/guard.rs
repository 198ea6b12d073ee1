//! The boot guard: whether a service may start on this host. Pure.
//!
//! systemd asks it before every start of PostgreSQL, Redis and Odoo. A standby starts as one
//! without a question. What takes the role of production starts only if no peer has a higher
//! epoch: a production that lost its power and comes back after a promotion stays down.

use serde::{Deserialize, Serialize};

use crate::epoch::Epoch;
use crate::name::{HostName, UnitName};
pub use crate::spec::BootWithoutPeer;

/// Where the guard finds what it must know, on every guarded host.
pub const CONFIG: &str = "/etc/otr/guard.json";

/// Is there while this host was production since it booted: allowed by the guard, promoted, or
/// put there by a person who knows that no peer is production.
pub const PRODUCTION_SINCE_BOOT: &str = "/run/otr/production";

/// What the guard must know. It does not say who is production: that is what it finds out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// This host.
    pub host: HostName,
    /// The installation, which names the epoch's file.
    pub installation: String,
    /// The cluster's folder of configuration.
    pub cluster: std::path::PathBuf,
    /// Its data, where the configuration names no other place.
    pub data: std::path::PathBuf,
    /// Odoo's service.
    pub odoo: Option<UnitName>,
    /// Redis' service and its configuration.
    pub redis: Option<(UnitName, std::path::PathBuf)>,
    /// Whom to ask: name and address.
    pub peers: Vec<(HostName, String)>,
    /// The port each peer answers on.
    pub port: u16,
    /// What to do if one gives no answer.
    pub boot_without_peer: BootWithoutPeer,
}

/// The role a host would start in, from what is on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskRole {
    /// It follows another one (`standby.signal`, `replicaof`).
    Standby,
    /// It would take writes.
    Primary,
}

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// PostgreSQL or Redis, in the role that is on disk.
    Data,
    /// Odoo, which runs on production only.
    Odoo,
}

/// What a peer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its role on disk.
    pub role: DiskRole,
}

impl Answer {
    /// The line it sends.
    pub fn line(&self) -> String {
        let production = self.epoch.production.as_ref().map_or("-", HostName::as_str);
        let role = if self.role == DiskRole::Standby { "standby" } else { "primary" };
        format!("otr-epoch {} {production} {role}\n", self.epoch.number)
    }

    /// Reads the line; anything else is no answer.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_suffix('\n')?.strip_prefix("otr-epoch ")?.split(' ');
        let number = words.next()?.parse().ok()?;
        let production = match words.next()? {
            "-" => None,
            host => Some(host.parse().ok()?),
        };
        let role = match words.next()? {
            "standby" => DiskRole::Standby,
            "primary" => DiskRole::Primary,
            _ => return None,
        };
        words.next().is_none().then_some(Self { epoch: Epoch { number, production }, role })
    }
}

/// Everything the decision is made from.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// This host.
    pub me: &'a HostName,
    /// What is started.
    pub service: Service,
    /// This host's epoch.
    pub own: &'a Epoch,
    /// The role on its disk.
    pub role: DiskRole,
    /// Each peer and what it answered, if it did.
    pub peers: &'a [(HostName, Option<Answer>)],
    /// What the spec says about a peer without an answer.
    pub policy: BootWithoutPeer,
    /// This host was production since it booted.
    pub ran: bool,
}

/// Whether it may start, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Start(String),
    /// No.
    Refuse(String),
    /// Not before a peer answers.
    Wait(String),
}

/// Decides.
pub fn decide(question: &Question<'_>) -> Verdict {
    let Question { me, own, policy, .. } = question;
    match (question.service, question.role) {
        (Service::Data, DiskRole::Standby) => return Verdict::Start(format!("{me} starts as a standby")),
        (Service::Odoo, DiskRole::Standby) => return Verdict::Refuse(format!("{me} is a standby, and Odoo runs on production only")),
        (_, DiskRole::Primary) => {}
    }
    if let Some(production) = own.production.as_ref().filter(|production| production != me) {
        return Verdict::Refuse(format!("epoch {} is {production}'s: {me} was production before; `otr rejoin {me}`", own.number));
    }
    for (peer, answer) in question.peers {
        let Some(Answer { epoch, .. }) = answer else { continue };
        // A higher one that names this host was raised for it, and was cut off before it was told.
        if epoch.number > own.number && epoch.production.as_ref() != Some(me) {
            let promoted = epoch.production.as_ref().unwrap_or(peer);
            return Verdict::Refuse(format!(
                "{peer} has epoch {epoch}, {me} has {own}: {promoted} was promoted meanwhile; `otr rejoin {me}`"
            ));
        }
        if epoch.number == own.number && epoch.production != own.production {
            return Verdict::Refuse(format!("{peer} claims epoch {epoch} too, {me} has {own}: a person must name the survivor"));
        }
    }
    let Some((silent, _)) = question.peers.iter().find(|(_, answer)| answer.is_none()) else {
        return Verdict::Start(format!("no peer has a higher epoch than {own}"));
    };
    if question.ran {
        return Verdict::Start(format!("{silent} gives no answer, and {me} was production since it booted"));
    }
    let spec = format!("{silent} gives no answer, and the spec says `boot_without_peer: ");
    match policy {
        BootWithoutPeer::Start => Verdict::Start(spec + "start`"),
        BootWithoutPeer::Wait => {
            let how = format!("wait`; if you know that {silent} is no production: touch {PRODUCTION_SINCE_BOOT}");
            Verdict::Wait(spec + &how)
        }
        BootWithoutPeer::StayDown => Verdict::Refuse(spec + "stay_down`"),
    }
}

impl Config {
    /// What a unit is, if it is guarded.
    pub fn service(&self, unit: &str) -> Option<Service> {
        let is = |known: Option<&UnitName>| known.is_some_and(|known| known.as_str() == unit);
        match () {
            () if is(self.odoo.as_ref()) => Some(Service::Odoo),
            () if is(self.redis.as_ref().map(|(unit, _)| unit)) || unit.starts_with("postgresql@") => Some(Service::Data),
            () => None,
        }
    }

    /// Redis' configuration, where the unit is Redis: its role is kept there.
    pub fn redis_config(&self, unit: &str) -> Option<&std::path::Path> {
        self.redis.as_ref().filter(|(redis, _)| redis.as_str() == unit).map(|(_, config)| config.as_path())
    }

    /// The data directory, as the cluster's postgresql.conf says it.
    pub fn data_directory(&self, postgresql_conf: &str) -> std::path::PathBuf {
        let said = postgresql_conf.lines().filter_map(|line| line.trim_start().strip_prefix("data_directory")).next_back();
        let said = said.and_then(|rest| rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('\'')?.split('\'').next());
        said.map_or_else(|| self.data.clone(), Into::into)
    }
}

/// The role a redis.conf gives.
pub fn redis_role(config: &str) -> DiskRole {
    let follows = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        (name == "replicaof" || name == "slaveof") && words.next().is_some_and(|host| !host.eq_ignore_ascii_case("no"))
    };
    if config.lines().any(follows) { DiskRole::Standby } else { DiskRole::Primary }
}

#[cfg(test)]
mod tests;
