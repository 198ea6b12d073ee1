//! A Redis server: its configuration as file and as live value, and its replication role.
//!
//! The file is written and the same value is set live; CONFIG REWRITE is never used, for it
//! reformats the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::postgres::Reach;
use super::{Change, Decision, Difference, Kind, Resource, ResourceId, Shown, file};
use crate::action::{Action, Attributes, Reader, RedisServer, UnitVerb};
use crate::facts::{FactError, Facts};
use crate::format::directives;
use crate::look::{Look, RedisSight};
use crate::name::{HostName, UnitName};
use crate::secret::{Secret, SecretError, Text};
use crate::spec::Memory;
use place::Place;
use values::{at_start, is_secret, other_name, same};

mod place;
pub mod sentinel;
pub mod users;
mod values;

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
    /// The spec sets up replication; without that one that follows already goes on.
    pub replicates: bool,
    /// The memory limit; a share is one of what the host has.
    pub maxmemory: Option<Memory>,
    /// The other members: an empty replica is not promoted while one of them has the keys.
    pub others: Vec<HostName>,
    /// Sentinel decides which server is the primary: how to ask it.
    pub sentinel: Option<sentinel::Watch>,
    /// A promotion runs: the replica may become a primary, and the old primary a replica.
    pub promoting: bool,
}

/// What Debian's own file says that the server cannot do without. Source: redis.conf of Debian 11
/// to 13; the unit says the rest on the command line.
const BARE: &str = "# Written by otr: the file of the package was gone.\nprotected-mode yes\ntimeout 0\ndatabases 16\n";

type Settings = BTreeMap<String, Result<Text, SecretError>>;

impl Redis {
    fn look(&self) -> Look {
        Look::Redis { config: self.server.config.clone(), port: self.server.port }
    }

    /// Where the file that stood here before otr's first change is kept.
    fn backup(&self) -> PathBuf {
        let path = self.server.config.strip_prefix("/").unwrap_or(&self.server.config);
        PathBuf::from(crate::action::script::BACKUPS).join(path)
    }

    fn settings(&self, facts: &Facts) -> Result<Settings, FactError> {
        let mut settings = self.settings.clone();
        if let Some(limit) = self.maxmemory {
            let text = match limit {
                Memory::Bytes(size) => size.to_string(),
                Memory::Share(_) => limit.bytes(facts.machine(&self.host)?.memory).to_string(),
            };
            settings.insert("maxmemory".into(), Ok(Text::Plain(text)));
        }
        Ok(settings)
    }

    /// A file that somebody removed: as it was before otr's first change, or the least that runs.
    fn lost(&self, facts: &Facts) -> Result<Secret, FactError> {
        if let Some(kept) = facts.secret_content(&self.host, &self.backup())? {
            return Ok(kept.clone());
        }
        let name = self.attributes.owner.as_str();
        let own = format!("pidfile /run/{name}/{name}-server.pid\nlogfile /var/log/{name}/{name}-server.log\ndir /var/lib/{name}\n");
        Ok(Secret::new(format!("{BARE}{own}")))
    }

    /// A replica that never had production's keys, while another member still has them.
    fn empty(&self, sight: &RedisSight, facts: &Facts) -> Option<String> {
        let offset = sight.info("slave_repl_offset").and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
        // One byte is what a replica has that emptied itself for a primary it cannot read.
        if sight.info("role") != Some("slave") || sight.keys() > 0 || offset > 1 {
            return None;
        }
        let (other, keys) = self.others.iter().find_map(|other| {
            let there = facts.redis(other, &self.server.config, self.server.port).ok()?;
            (there.info("role") == Some("master") && there.keys() > 0).then(|| (other, there.keys()))
        })?;
        Some(format!(
            "the Redis of {0} is empty and never received anything, while {other}'s has {keys} keys: promoted now, everybody \
             would be logged out. Let it follow first (`otr apply`), or take that loss with REPLICAOF NO ONE on {0}",
            self.host
        ))
    }

    /// A server older than the one it follows empties itself before it finds that it cannot read it.
    fn too_old(&self, sight: &RedisSight, facts: &Facts) -> Option<String> {
        let (reach, _) = self.follows.as_ref().filter(|_| !self.promoting)?;
        let there = facts.redis(&reach.host, &self.server.config, self.server.port).ok()?.version()?;
        let own = sight.version().filter(|own| *own < there)?;
        Some(format!(
            "the Redis of {} is {}.{}, older than {}'s {}.{}: it cannot follow it, and would lose its own keys in the attempt; upgrade it first",
            self.host, own.0, own.1, reach.host, there.0, there.1
        ))
    }

    /// Differences between the file and the wish, and the file with them removed.
    fn file(settings: &Settings, text: &str, primary: Option<&(String, u16)>) -> Result<(Vec<Difference>, String), FactError> {
        let mut differences = Vec::new();
        let mut changes = BTreeMap::new();
        let mut compare = |name: &str, wanted: Option<&Text>| {
            let names = [Some(name), other_name(name)].into_iter().flatten();
            let spelled: Vec<(&str, String)> = names.filter_map(|name| Some((name, directives::get(text, name)?))).collect();
            let is = spelled.last().map(|(_, is)| is.clone());
            let equal = match wanted {
                Some(wanted) => is.is_some() && spelled.iter().all(|(_, is)| same(name, is, wanted.expose())),
                None => is.is_none(),
            };
            if !equal {
                differences.push(difference(format!("{name} in the file"), name, is, wanted));
                changes.insert(name.to_owned(), wanted.map(|text| text.expose().to_owned()));
                changes.extend(spelled.iter().filter(|(other, _)| *other != name).map(|(other, _)| ((*other).to_owned(), None)));
            }
        };
        for (name, value) in settings {
            compare(name, Some(value.as_ref().map_err(Clone::clone)?));
        }
        let replicaof = primary.map(|(host, port)| Text::Plain(format!("{host} {port}")));
        // The old spelling of replicaof would win or lose by its place in the file.
        compare("slaveof", None);
        compare("replicaof", replicaof.as_ref());
        if stale_user(settings, text) {
            differences.push(Difference { what: "user default in the file".into(), is: Shown::Sensitive, wanted: Shown::Absent });
            changes.insert("user".into(), None);
        }
        Ok((differences, directives::edited(text, &changes)))
    }

    /// A start with `appendonly yes` reads the append-only file alone: while it is not written
    /// yet, every key is lost (redis.io, "Redis persistence"). So the running server writes it
    /// first, and nothing else is done meanwhile.
    fn writes_append_only_file(sight: &RedisSight) -> bool {
        ["aof_rewrite_in_progress", "aof_rewrite_scheduled"].iter().any(|field| sight.info(field) == Some("1"))
    }

    /// Differences between the live server and the wish.
    fn live(&self, wanted: &Settings, sight: &RedisSight, place: &Place, change: &mut Change) -> Result<bool, FactError> {
        let RedisSight::Up { settings, secrets, .. } = sight else { return Ok(false) };
        // A server that does not answer CONFIG takes what changed in its file at a start alone.
        let mut restart = !sight.answers_config() && !change.differences.is_empty();
        let mut last = Vec::new();
        for (name, value) in wanted.iter().filter(|_| sight.answers_config()) {
            let value = value.as_ref().map_err(Clone::clone)?;
            let is = settings.get(name).cloned().or_else(|| secrets.get(name).map(|s| s.expose().to_owned()));
            if is.as_ref().is_some_and(|is| same(name, is, value.expose())) {
                continue;
            }
            change.differences.push(difference(format!("{name} live"), name, is, Some(value)));
            if at_start(name, sight.major()) {
                restart = true;
                continue;
            }
            let set = Action::SetRedis { server: self.server.clone(), name: name.clone(), value: value.clone() };
            // Once requirepass is set, the file's password no longer opens the server: it goes last.
            if name == "requirepass" { last.push(set) } else { change.actions.push(set) }
        }
        let (is, wanted) = (replication(sight), place.role());
        // Where Sentinel decides, it makes it so within seconds, and two would pull at it.
        if is != wanted && !place.by_sentinel {
            change.differences.push(Difference::new("role", is, wanted));
            change.actions.push(Action::ReplicateRedis { server: self.server.clone(), primary: place.primary.clone() });
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
        looks.push((self.host.clone(), self.look()));
        looks.push((self.host.clone(), Look::SecretContent(self.backup())));
        if matches!(self.maxmemory, Some(Memory::Share(_))) {
            looks.push((self.host.clone(), Look::Machine));
        }
        if self.promoting {
            looks.extend(self.others.iter().map(|other| (other.clone(), self.look())));
        }
        looks.extend(self.follows.iter().map(|(reach, _)| (reach.host.clone(), self.look())));
        looks.extend(self.sentinel.iter().flat_map(sentinel::Watch::looks));
        if let Some((reach, _)) = self.follows.as_ref().filter(|(reach, _)| reach.said.is_none()) {
            looks.push((reach.host.clone(), Look::Machine));
        }
        looks
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        if let Some(waits) = file::account_missing(&self.host, &self.attributes, facts)? {
            return Ok(waits);
        }
        let there = facts.secret_content(&self.host, &self.server.config)?;
        let lost = if there.is_none() { Some(self.lost(facts)?) } else { None };
        let Some(text) = there.as_ref().or(lost.as_ref()) else { return Ok(Decision::Holds) };
        let sight = facts.redis(&self.host, &self.server.config, self.server.port)?;
        if Self::writes_append_only_file(sight) {
            return Ok(Decision::settles("Redis's append-only file to be written"));
        }
        if let Some(empty) = self.empty(sight, facts).filter(|_| self.promoting) {
            return Err(FactError::Refused(empty));
        }
        if let Some(old) = self.too_old(sight, facts) {
            return Err(FactError::Refused(old));
        }
        let place = self.place(facts)?;
        if let Some(decision) = self.fails_over(&place, sight, facts)? {
            return Ok(decision);
        }
        let primary = place.primary.clone();
        if primary.is_none() && !place.by_sentinel && !self.promoting && sight.info("role") == Some("slave") {
            return Err(FactError::Refused(format!(
                "the spec says that {0} is production, but its Redis is a {1}; `otr promote {0}` makes it a primary",
                self.host,
                replication(sight)
            )));
        }
        let mut settings = self.settings(facts)?;
        speaks_plainly(&mut settings, text.expose(), self.server.port);
        let (mut differences, edited) = Self::file(&settings, text.expose(), primary.as_ref())?;
        if lost.is_some() {
            differences.insert(0, Difference::new("file", Shown::Absent, "a file"));
        }
        let mut change = Change { differences, ..Change::default() };
        let restart = self.live(&settings, sight, &place, &mut change)?;
        // Nothing is restarted to get in: that would log out everybody else.
        if *sight == RedisSight::Refused && change.differences.is_empty() {
            return Err(FactError::Refused(format!(
                "the Redis of {} takes no password that stands in {} (with what it includes, and its ACL file): put the one it \
                 has into the spec as `redis.password`, or set it there by hand: CONFIG SET requirepass",
                self.host,
                self.server.config.display()
            )));
        }
        let edited = Text::Sensitive(Secret::new(edited));
        let settled = file::settle(&self.host, &self.server.config, Vec::new(), &edited, &self.attributes, None, facts)?;
        if lost.is_some() || edited.expose() != text.expose() {
            change.actions.push(Action::WriteFile {
                path: self.server.config.clone(),
                content: edited,
                attributes: self.attributes.clone(),
                reader: Some(Reader::Redis { user: self.attributes.owner.clone() }),
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
        let keys = sight.keys();
        if primary.is_some() && !place.by_sentinel && !self.promoting && sight.info("role") == Some("master") && keys > 0 {
            change.discards = Some(format!("Redis on {}: {keys} keys, which replication replaces by production's", self.host));
        }
        if !change.differences.is_empty() {
            return Ok(Decision::Change(change));
        }
        Ok(match (sight, &primary) {
            (RedisSight::Down, _) => Decision::waits(format!("Redis on {}", self.host)),
            _ if place.by_sentinel && replication(sight) != place.role() => {
                Decision::settles(format!("Sentinel to make the Redis of {} a {}", self.host, place.role()))
            }
            (_, Some((host, port))) if sight.info("master_link_status") != Some("up") => {
                Decision::settles(format!("Redis's link to {host}:{port}"))
            }
            _ => Decision::Holds,
        })
    }
}

/// A spec without TLS wants the port plain: its directives are said only to a server that has them.
fn speaks_plainly(settings: &mut Settings, text: &str, port: u16) {
    let speaks = directives::get(text, "tls-port").is_some_and(|at| at == port.to_string());
    if speaks && !settings.contains_key("tls-port") {
        let plain = [("tls-port", "0".to_owned()), ("port", port.to_string()), ("tls-replication", "no".into())];
        settings.extend(plain.map(|(name, value)| (name.to_owned(), Ok(Text::Plain(value)))));
    }
}

/// A failover of Sentinel's makes the server rewrite its file, with a line for the user `default`.
/// At a start it wins over `requirepass`, and beside an `aclfile` the server does not start.
fn stale_user(settings: &Settings, text: &str) -> bool {
    let alone = text.lines().filter(|line| line.trim_start().starts_with("user ")).count() == 1;
    let Some(user) = directives::get(text, "user").filter(|user| alone && user.starts_with("default ")) else { return false };
    let password = settings.get("requirepass").and_then(|text| text.as_ref().ok());
    settings.contains_key("aclfile") || password.is_some_and(|password| !user.contains(&users::hashed(password.expose())))
}

fn replication(sight: &RedisSight) -> String {
    match (sight.info("role"), sight.info("master_host"), sight.info("master_port")) {
        (Some("slave"), Some(host), Some(port)) => format!("replica of {host}:{port}"),
        _ => "primary".into(),
    }
}

fn difference(what: String, name: &str, is: Option<String>, wanted: Option<&Text>) -> Difference {
    let hide = is_secret(name) || wanted.is_some_and(Text::is_sensitive);
    let show = |text: Option<String>| match text {
        None => Shown::Absent,
        Some(text) if text.is_empty() && hide => Shown::Absent,
        Some(_) if hide => Shown::Sensitive,
        Some(text) => text.into(),
    };
    Difference { what, is: show(is), wanted: show(wanted.map(|text| text.expose().to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valkeys_own_word_for_a_directive_is_the_same_directive() {
        let settings = Settings::from([("masterauth".to_owned(), Ok(Text::from("new")))]);
        let (differences, edited) = Redis::file(&settings, "primaryauth \"new\"\n", None).unwrap();
        assert!(differences.is_empty() && edited == "primaryauth \"new\"\n", "a failover of Sentinel's wrote it: {edited}");
        let (_, edited) = Redis::file(&settings, "primaryauth old\nport 6379\n", None).unwrap();
        assert_eq!(edited, "port 6379\nmasterauth new\n");
        let (differences, edited) = Redis::file(&settings, "masterauth old\nprimaryauth new\n", None).unwrap();
        assert!(differences.len() == 1 && edited == "masterauth new\n", "of two, one would win by its place: {edited}");
    }

    #[test]
    fn a_port_that_still_speaks_tls_is_seen() {
        let tls = "port 0\ntls-port 6379\ntls-cert-file /etc/redis/otr-redis.crt\ntls-replication yes\n";
        let mut settings = Settings::new();
        speaks_plainly(&mut settings, tls, 6379);
        let (differences, edited) = Redis::file(&settings, tls, None).unwrap();
        assert_eq!(
            (differences.len(), edited.as_str()),
            (3, "port 6379\ntls-port 0\ntls-cert-file /etc/redis/otr-redis.crt\ntls-replication no\n")
        );
        let mut none = Settings::new();
        speaks_plainly(&mut none, "port 6379\n", 6379);
        speaks_plainly(&mut none, "port 6379\ntls-port 6380\n", 6379);
        assert!(none.is_empty(), "a second port of somebody's own is not otr's, and an old server knows no such word");
    }

    #[test]
    fn what_a_rewrite_left_goes_once_it_is_wrong() {
        let settings = |name: &str, value: &str| Settings::from([(name.to_owned(), Ok(Text::from(value)))]);
        let file = format!("port 6379\nuser default on {} ~* +@all\n", users::hashed("old"));
        assert!(!stale_user(&settings("requirepass", "old"), &file));
        let (differences, edited) = Redis::file(&settings("requirepass", "new"), &file, None).unwrap();
        assert!(differences.len() == 2 && !edited.contains("user"), "{edited}");
        assert!(stale_user(&settings("aclfile", "/etc/redis/otr-users.acl"), &file));
        assert!(!stale_user(&settings("requirepass", "new"), &format!("{file}user bob on nopass\n")), "somebody's own users are not otr's");
    }
}
