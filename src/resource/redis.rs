//! A Redis server: its configuration as file and as live value, and its replication role.
//!
//! The file is written and the same value is set live; CONFIG REWRITE is never used, for it
//! reformats the file.

use std::collections::BTreeMap;

use super::postgres::Reach;
use super::{Change, Decision, Difference, Kind, Resource, ResourceId, Shown, file};
use crate::action::{Action, Attributes, RedisServer, UnitVerb};
use crate::facts::{FactError, Facts};
use crate::format::directives;
use crate::look::{Look, RedisSight};
use crate::name::{HostName, UnitName};
use crate::secret::{Secret, SecretError, Text};

/// A Redis server on one host.
#[derive(Debug)]
pub struct Redis {
    /// Where.
    pub host: HostName,
    /// Its file and port.
    pub server: RedisServer,
    /// Its service.
    pub unit: UnitName,
    /// Owner, group, mode of its file.
    pub attributes: Attributes,
    /// Directive → value, the same in the file and live.
    pub settings: BTreeMap<String, Result<Text, SecretError>>,
    /// On a standby: production, and its port.
    pub follows: Option<(Reach, u16)>,
    /// A promotion runs: the replica may become a primary, and the old primary a replica.
    pub promoting: bool,
}

/// Directives that Redis before 7 reads only at start (redis.io, "CONFIG SET").
const AT_START_BEFORE_7: [&str; 2] = ["bind", "port"];
const SECRET: [&str; 2] = ["requirepass", "masterauth"];

impl Redis {
    fn replica_of(&self, facts: &Facts) -> Result<Option<(String, u16)>, FactError> {
        self.follows.as_ref().map(|(reach, port)| Ok((reach.address(facts)?, *port))).transpose()
    }

    /// Differences between the file and the wish, and the file with them removed.
    fn file(&self, text: &str, primary: Option<&(String, u16)>) -> Result<(Vec<Difference>, String), FactError> {
        let mut differences = Vec::new();
        let mut changes = BTreeMap::new();
        let mut compare = |name: &str, wanted: Option<&Text>| {
            let is = directives::get(text, name);
            let equal = match (&is, wanted) {
                (Some(is), Some(wanted)) => same(name, is, wanted.expose()),
                (None, None) => true,
                _ => false,
            };
            if !equal {
                differences.push(difference(format!("{name} in the file"), name, is, wanted));
                changes.insert(name.to_owned(), wanted.map(|text| text.expose().to_owned()));
            }
        };
        for (name, value) in &self.settings {
            compare(name, Some(value.as_ref().map_err(Clone::clone)?));
        }
        let replicaof = primary.map(|(host, port)| Text::Plain(format!("{host} {port}")));
        // The old spelling of replicaof would win or lose by its place in the file.
        compare("slaveof", None);
        compare("replicaof", replicaof.as_ref());
        Ok((differences, directives::edited(text, &changes)))
    }

    /// A start with `appendonly yes` reads the append-only file alone: while it is not written
    /// yet, every key is lost (redis.io, "Redis persistence"). So the running server writes it
    /// first, and nothing else is done meanwhile.
    fn writes_append_only_file(sight: &RedisSight) -> bool {
        ["aof_rewrite_in_progress", "aof_rewrite_scheduled"].iter().any(|field| sight.info(field) == Some("1"))
    }

    /// Differences between the live server and the wish.
    fn live(&self, sight: &RedisSight, primary: Option<&(String, u16)>, change: &mut Change) -> Result<bool, FactError> {
        let RedisSight::Up { settings, secrets, .. } = sight else { return Ok(false) };
        let old = sight.info("redis_version").and_then(|v| v.split('.').next()?.parse::<u32>().ok()).is_some_and(|major| major < 7);
        let mut restart = false;
        let mut last = Vec::new();
        for (name, value) in &self.settings {
            let value = value.as_ref().map_err(Clone::clone)?;
            let is = settings.get(name).cloned().or_else(|| secrets.get(name).map(|s| s.expose().to_owned()));
            if is.as_ref().is_some_and(|is| same(name, is, value.expose())) {
                continue;
            }
            change.differences.push(difference(format!("{name} live"), name, is, Some(value)));
            if old && AT_START_BEFORE_7.contains(&name.as_str()) {
                restart = true;
                continue;
            }
            let set = Action::SetRedis { server: self.server.clone(), name: name.clone(), value: value.clone() };
            // Once requirepass is set, the file's password no longer opens the server: it goes last.
            if name == "requirepass" { last.push(set) } else { change.actions.push(set) }
        }
        let is = replication(sight);
        let wanted = primary.map_or_else(|| "primary".to_owned(), |(host, port)| format!("replica of {host}:{port}"));
        if is != wanted {
            change.differences.push(Difference::new("role", is, wanted));
            change.actions.push(Action::ReplicateRedis { server: self.server.clone(), primary: primary.cloned() });
        }
        change.actions.append(&mut last);
        Ok(restart)
    }
}

impl Resource for Redis {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Redis, format!("port {}", self.server.port))
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks = file::looks(&self.host, &self.server.config, true);
        looks.push((self.host.clone(), Look::Redis { config: self.server.config.clone(), port: self.server.port }));
        if let Some((reach, _)) = self.follows.as_ref().filter(|(reach, _)| reach.said.is_none()) {
            looks.push((reach.host.clone(), Look::Machine));
        }
        looks
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        if let Some(waits) = file::account_missing(&self.host, &self.attributes, facts)? {
            return Ok(waits);
        }
        let Some(text) = facts.secret_content(&self.host, &self.server.config)? else {
            return Ok(Decision::waits(format!("{} (a package brings it)", self.server.config.display())));
        };
        let sight = facts.redis(&self.host, &self.server.config, self.server.port)?;
        if Self::writes_append_only_file(sight) {
            return Ok(Decision::settles("Redis's append-only file to be written"));
        }
        let primary = self.replica_of(facts)?;
        if primary.is_none() && !self.promoting && sight.info("role") == Some("slave") {
            return Err(FactError::Refused(format!(
                "the spec says that {0} is production, but its Redis is a {1}; `otr promote {0}` makes it a primary",
                self.host,
                replication(sight)
            )));
        }
        let (differences, edited) = self.file(text.expose(), primary.as_ref())?;
        let mut change = Change { differences, ..Change::default() };
        let mut restart = self.live(sight, primary.as_ref(), &mut change)?;
        if *sight == RedisSight::Refused {
            change.differences.push(Difference::new("password", "the running server has another one than its file", "the same"));
            restart = true;
        }
        let edited = Text::Sensitive(Secret::new(edited));
        let settled = file::settle(&self.host, &self.server.config, Vec::new(), &edited, &self.attributes, facts)?;
        if edited.expose() != text.expose() {
            change.actions.push(Action::WriteFile {
                path: self.server.config.clone(),
                content: edited,
                attributes: self.attributes.clone(),
            });
        } else if let Decision::Change(attributes) = settled {
            change.differences.extend(attributes.differences);
            change.actions.extend(attributes.actions);
        }
        if restart {
            // A start reads the whole file, so nothing needs to be set live before it but the append-only file.
            change.actions.retain(|action| match action {
                Action::WriteFile { .. } | Action::SetAttributes { .. } => true,
                Action::SetRedis { name, .. } => name == "appendonly",
                _ => false,
            });
            change.actions.push(Action::Unit { unit: self.unit.clone(), verb: UnitVerb::Restart });
        }
        let keys = sight.info("db0").and_then(|db| db.split(',').next()?.strip_prefix("keys=")?.parse::<u64>().ok()).unwrap_or(0);
        if primary.is_some() && !self.promoting && sight.info("role") == Some("master") && keys > 0 {
            change.discards = Some(format!("Redis on {}: {keys} keys, which replication replaces by production's", self.host));
        }
        if !change.differences.is_empty() {
            return Ok(Decision::Change(change));
        }
        Ok(match (sight, &primary) {
            (RedisSight::Down, _) => Decision::waits(format!("Redis on {}", self.host)),
            (_, Some((host, port))) if sight.info("master_link_status") != Some("up") => {
                Decision::settles(format!("Redis's link to {host}:{port}"))
            }
            _ => Decision::Holds,
        })
    }
}

fn replication(sight: &RedisSight) -> String {
    match (sight.info("role"), sight.info("master_host"), sight.info("master_port")) {
        (Some("slave"), Some(host), Some(port)) => format!("replica of {host}:{port}"),
        _ => "primary".into(),
    }
}

fn difference(what: String, name: &str, is: Option<String>, wanted: Option<&Text>) -> Difference {
    let hide = SECRET.contains(&name) || wanted.is_some_and(Text::is_sensitive);
    let show = |text: Option<String>| match text {
        None => Shown::Absent,
        Some(text) if text.is_empty() && hide => Shown::Absent,
        Some(_) if hide => Shown::Sensitive,
        Some(text) => text.into(),
    };
    Difference { what, is: show(is), wanted: show(wanted.map(|text| text.expose().to_owned())) }
}

/// Redis answers sizes in bytes whatever unit the file has (`1k` is 1000, `1kb` 1024: redis.conf).
fn same(name: &str, is: &str, wanted: &str) -> bool {
    is == wanted || (name == "maxmemory" && bytes(is).is_some() && bytes(is) == bytes(wanted))
}

fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let factor = match unit {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_compared_as_bytes() {
        assert!(same("maxmemory", "536870912", "512mb"));
        assert!(!same("maxmemory", "512", "512mb"));
        assert!(!same("save", "1kb", "1024"), "only where Redis means bytes");
    }
}
