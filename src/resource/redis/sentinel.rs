//! A sentinel on one host, and what the sentinels say together.
//!
//! Sentinel rewrites its file whenever it learns something. otr owns some directives: those that a
//! running sentinel takes are said to it, and it writes them; the others are changed while it is
//! stopped. Everything else in the file is Sentinel's.

use std::path::{Path, PathBuf};

use crate::action::{Action, RedisServer, SentinelAction};
use crate::facts::{FactError, Facts};
use crate::look::{Look, RedisSight, SentinelSight};
use crate::name::{HostName, UnitName};
use crate::resource::{Change, Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::secret::{SecretError, Text};

/// How to ask the sentinels.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The name they know the primary by.
    pub name: String,
    /// Their port.
    pub port: u16,
    /// Their hosts.
    pub hosts: Vec<HostName>,
    /// The Redis servers: host and address.
    pub servers: Vec<(HostName, String)>,
}

impl Watch {
    /// What must be seen.
    pub fn looks(&self) -> impl Iterator<Item = (HostName, Look)> + '_ {
        self.hosts.iter().map(|host| (host.clone(), self.look()))
    }

    fn look(&self) -> Look {
        Look::Sentinel { port: self.port, name: self.name.clone() }
    }

    /// The newest word of those that know the primary; `None` if none of them watches it yet.
    ///
    /// # Errors
    /// None that answers knows it, and one could not be asked.
    pub fn says<'a>(&self, facts: &'a Facts) -> Result<Option<&'a SentinelSight>, FactError> {
        let sights: Vec<_> = self.hosts.iter().map(|host| facts.sentinel(host, self.port, &self.name)).collect();
        let known = sights.iter().filter_map(|sight| sight.as_ref().ok().filter(|sight| sight.address().is_some()));
        match known.max_by_key(|sight| sight.number("config-epoch")) {
            Some(sight) => Ok(Some(sight)),
            None => sights.into_iter().find_map(Result::err).map_or(Ok(None), Err),
        }
    }

    /// Whether an address is a host's.
    pub fn is(&self, host: &HostName, address: &str) -> bool {
        self.servers.iter().any(|(name, at)| name == host && at == address)
    }

    /// The host behind an address.
    pub fn host_at(&self, address: &str) -> Option<&HostName> {
        self.servers.iter().find(|(_, at)| at == address).map(|(host, _)| host)
    }
}

/// A sentinel on one host.
#[derive(Debug)]
pub struct Sentinel {
    /// Where.
    pub host: HostName,
    /// Its service.
    pub unit: UnitName,
    /// Its file.
    pub config: PathBuf,
    /// How it is asked.
    pub watch: Watch,
    /// It decides which Redis is the primary; otherwise the primary is production's.
    pub decides: bool,
    /// Production, and its Redis.
    pub production: (HostName, RedisServer),
    /// How many must agree.
    pub quorum: u32,
    /// What `SENTINEL SET` takes and `SENTINEL MASTER` shows.
    pub options: Vec<(&'static str, String)>,
    /// The password of Redis.
    pub password: Option<Result<Text, SecretError>>,
    /// What it reads at its start alone: directive and value.
    pub directives: Vec<(String, String)>,
}

/// What Debian's file watches before anybody told it anything.
const EXAMPLE: &str = "sentinel monitor mymaster";

/// Every line about it: one that stayed would name a primary that Sentinel does not know, and it would
/// not start. Which there are differs between Redis 6, 7 and Valkey.
fn of_example(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (sentinel, option, name) = (words.next()?, words.next()?, words.next()?);
        (sentinel.eq_ignore_ascii_case("sentinel") && name == "mymaster").then(|| format!("sentinel {} {name}", option.to_lowercase()))
    });
    lines.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// The value of a directive of one word or of several.
fn said(text: &str, directive: &str) -> Option<String> {
    let wanted: Vec<&str> = directive.split_whitespace().collect();
    text.lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (name, value) = words.split_at_checked(wanted.len())?;
            let same = name.iter().zip(&wanted).all(|(is, wanted)| is.eq_ignore_ascii_case(wanted));
            let value = value.join(" ");
            same.then(|| {
                value
                    .strip_prefix('"')
                    .and_then(|rest| rest.strip_suffix('"'))
                    .map_or(value.clone(), |v| v.replace("\\\"", "\"").replace("\\\\", "\\"))
            })
        })
        .next_back()
}

impl Sentinel {
    /// Programs it is to call that are not there: it would not start with them.
    fn missing(&self, facts: &Facts) -> Result<Vec<&str>, FactError> {
        let scripts = self.directives.iter().filter(|(name, _)| name.starts_with("sentinel "));
        let there = |path: &str| Ok::<_, FactError>(facts.path(&self.host, Path::new(path))?.is_some());
        scripts.filter_map(|(_, path)| there(path).map(|there| (!there).then_some(path.as_str())).transpose()).collect()
    }

    /// What it reads at its start.
    fn file(&self, text: &str, missing: &[&str]) -> Change {
        let mut change = Change::default();
        let watches = said(text, &format!("sentinel monitor {}", self.watch.name)).is_some();
        let mut set = Vec::new();
        for (name, value) in &self.directives {
            // A script belongs to a primary that it watches.
            if name.starts_with("sentinel ") && (!watches || missing.contains(&value.as_str())) {
                continue;
            }
            let is = said(text, name);
            if is.as_ref() != Some(value) {
                change.differences.push(Difference::new(format!("{name} in the file"), is, value.clone()));
                set.push((name.clone(), value.clone()));
            }
        }
        let example = said(text, EXAMPLE).filter(|at| at.starts_with("127.0.0.1 "));
        if let Some(at) = &example {
            change.differences.push(Difference::new("mymaster, the package's example", at.clone(), Shown::Absent));
        }
        if !change.differences.is_empty() {
            change.actions.push(Action::Sentinel(SentinelAction::Configure {
                unit: self.unit.clone(),
                config: self.config.clone(),
                set,
                without: example.iter().flat_map(|_| of_example(text)).collect(),
            }));
        }
        change
    }

    /// The primary it must watch, if it watches none or another one.
    ///
    /// # Errors
    /// What must come first.
    fn watched(&self, sight: &SentinelSight, facts: &Facts) -> Result<Option<(String, u16)>, String> {
        let (production, server) = &self.production;
        let Some((_, at)) = self.watch.servers.iter().find(|(host, _)| host == production) else { return Ok(None) };
        let wanted = match (sight.address(), self.decides) {
            (Some(_), true) => return Ok(None),
            (Some((is, port)), false) if is == at && port == server.port => return Ok(None),
            // One that lost its file learns from the others where the primary went.
            (None, true) => match self.watch.says(facts) {
                Ok(Some(other)) => other.address().map(|(address, port)| (address.to_owned(), port)),
                Ok(None) => None,
                // Not known is not absent: another one may know better than the spec.
                Err(error) => return Err(format!("the other sentinels: {error}")),
            },
            _ => None,
        };
        let wanted = wanted.unwrap_or_else(|| (at.clone(), server.port));
        let there = self.watch.host_at(&wanted.0).unwrap_or(production);
        match facts.redis(there, &server.config, server.port) {
            Ok(redis @ RedisSight::Up { .. }) if redis.info("role") == Some("master") => Ok(Some(wanted)),
            _ => Err(format!("the Redis of {there} to be the primary")),
        }
    }

    fn options(&self, sight: &SentinelSight, text: &str, anew: bool) -> Result<Change, FactError> {
        let mut change = Change::default();
        let name = &self.watch.name;
        let mut set = |option: &str, difference: Difference, value: Text| {
            change.differences.push(difference);
            change.actions.push(Action::Sentinel(SentinelAction::Set {
                port: self.watch.port,
                name: name.clone(),
                option: option.to_owned(),
                value,
            }));
        };
        let quorum = ("quorum", self.quorum.to_string());
        for (option, value) in self.options.iter().chain([&quorum]) {
            let is = sight.field(option).filter(|_| !anew);
            if is != Some(value) {
                set(option, Difference::new(*option, is.map(str::to_owned), value.clone()), value.clone().into());
            }
        }
        if let Some(password) = &self.password {
            let password = password.as_ref().map_err(Clone::clone)?;
            let is = said(text, &format!("sentinel auth-pass {name}")).filter(|_| !anew);
            if is.as_deref() != Some(password.expose()) {
                let shown = is.map_or(Shown::Absent, |_| Shown::Sensitive);
                set("auth-pass", Difference { what: "auth-pass".into(), is: shown, wanted: Shown::Sensitive }, password.clone());
            }
        }
        Ok(change)
    }
}

impl Resource for Sentinel {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Sentinel, self.watch.name.clone())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks: Vec<_> = self.watch.looks().collect();
        looks.push((self.host.clone(), Look::SecretContent(self.config.clone())));
        let scripts = self.directives.iter().filter(|(name, _)| name.starts_with("sentinel "));
        looks.extend(scripts.map(|(_, path)| (self.host.clone(), Look::Path(path.into()))));
        let RedisServer { config, port } = &self.production.1;
        looks.extend(self.watch.servers.iter().map(|(host, _)| (host.clone(), Look::Redis { config: config.clone(), port: *port })));
        looks
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let Some(text) = facts.secret_content(&self.host, &self.config)? else {
            return Ok(Decision::waits(format!("{}, which its package brings", self.config.display())));
        };
        let text = text.expose();
        let missing = self.missing(facts)?;
        let change = self.file(text, &missing);
        if !change.differences.is_empty() {
            return Ok(Decision::Change(change));
        }
        let sight = facts.sentinel(&self.host, self.watch.port, &self.watch.name)?;
        if *sight == SentinelSight::Down {
            return Ok(Decision::waits(self.unit.to_string()));
        }
        let primary = match self.watched(sight, facts) {
            Ok(primary) => primary,
            Err(first) => return Ok(Decision::waits(first)),
        };
        let mut change = self.options(sight, text, primary.is_some())?;
        if let Some(primary) = primary {
            let shown = |address: &str, port: u16| format!("{address}:{port}");
            let is = sight.address().map(|(address, port)| shown(address, port));
            change.differences.insert(0, Difference::new("primary", is, shown(&primary.0, primary.1)));
            let (name, port, quorum) = (self.watch.name.clone(), self.watch.port, self.quorum);
            change.actions.insert(0, Action::Sentinel(SentinelAction::Watch { port, name, primary, quorum }));
        }
        if !change.differences.is_empty() {
            return Ok(Decision::Change(change));
        }
        if let Some(script) = missing.first() {
            return Ok(Decision::waits(format!("{script} on {}: Sentinel does not start without it", self.host)));
        }
        Ok(match sight.has_quorum() {
            true => Decision::Holds,
            false => Decision::settles("enough sentinels to agree"),
        })
    }
}

#[cfg(test)]
mod tests;
