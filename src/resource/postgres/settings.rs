//! otr's settings of postgresql.conf: as a file, and as what the running server uses.

use std::collections::BTreeMap;

use super::{ClusterAt, Reach, attributes};
use crate::action::{Action, UnitVerb};
use crate::facts::{FactError, Facts};
use crate::format::postgres::{normalised, setting};
use crate::look::Look;
use crate::name::HostName;
use crate::resource::{Change, Decision, Difference, Kind, Resource, ResourceId, Shown, file};

/// A standby must have at least production's values of these, or its replay stops
/// (PostgreSQL's documentation, "Administrator's Overview" of hot standby).
pub const AT_LEAST_PRODUCTIONS: [&str; 5] =
    ["max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"];

/// The five parameters of a running server.
pub fn five(settings: &BTreeMap<String, crate::look::Setting>) -> BTreeMap<String, u64> {
    AT_LEAST_PRODUCTIONS.iter().filter_map(|name| Some(((*name).to_owned(), settings.get(*name)?.value.parse().ok()?))).collect()
}

/// Those of the five in which a standby is below its primary: promoting it would end in its shutdown.
pub fn below(own: &BTreeMap<String, u64>, primary: &BTreeMap<String, u64>) -> Vec<String> {
    let lower = |(name, theirs): (&String, &u64)| {
        let own = own.get(name).filter(|own| *own < theirs)?;
        Some(format!("{name} is {own}, on production {theirs}"))
    };
    primary.iter().filter_map(lower).collect()
}

/// The settings of one host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where.
    pub at: ClusterAt,
    /// Name → value, as far as the spec alone decides.
    pub fixed: BTreeMap<String, String>,
    /// On a standby: where it gets its data.
    pub follows: Option<Follows>,
    /// On production: the standbys a commit waits for.
    pub synchronous: Vec<String>,
    /// On production: the standbys that must have the higher of the five parameters first.
    pub followers: Vec<ClusterAt>,
}

/// Whom a standby follows.
#[derive(Debug, Clone)]
pub struct Follows {
    /// Production's cluster.
    pub production: ClusterAt,
    /// How to reach it.
    pub reach: Reach,
    /// The rest of the connection string.
    pub login: String,
    /// The slot to use.
    pub slot: Option<String>,
}

impl Follows {
    /// `primary_conninfo`. Its password is in a file only postgres reads.
    pub fn conninfo(&self, facts: &Facts) -> Result<String, FactError> {
        Ok(format!("host={} port={} {}", self.reach.address(facts)?, self.production.cluster.port, self.login))
    }
}

impl Settings {
    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks = file::looks(&self.at.host, &self.at.settings_file(), false);
        looks.push((self.at.host.clone(), Look::Cluster(self.at.cluster.clone())));
        looks.push((self.at.host.clone(), Look::Server(self.at.cluster.clone())));
        for follower in &self.followers {
            looks.push((follower.host.clone(), Look::Server(follower.cluster.clone())));
            looks.push((follower.host.clone(), Look::Cluster(follower.cluster.clone())));
        }
        if let Some(follows) = &self.follows {
            looks.push((follows.production.host.clone(), Look::Server(follows.production.cluster.clone())));
            if follows.reach.said.is_none() {
                looks.push((follows.reach.host.clone(), Look::Machine));
            }
        }
        looks
    }

    /// Every setting, or what must be known first.
    fn wanted(&self, facts: &Facts) -> Result<Result<BTreeMap<String, String>, Decision>, FactError> {
        let mut wanted = self.fixed.clone();
        if let Some(follows) = &self.follows {
            let Some(production) = follows.production.server(facts)? else {
                return Ok(Err(Decision::waits(format!("PostgreSQL on {}", follows.production.host))));
            };
            wanted.insert("primary_conninfo".into(), follows.conninfo(facts)?);
            if let Some(slot) = &follows.slot {
                wanted.insert("primary_slot_name".into(), slot.clone());
            }
            // Until production's lower value is replayed a restart with it would end at once.
            let cluster = facts.cluster(&self.at.host, &self.at.cluster).ok().and_then(|cluster| cluster.as_ref());
            let recorded = cluster.and_then(|cluster| cluster.state.as_ref()).map(|state| &state.parameters);
            for name in AT_LEAST_PRODUCTIONS {
                let theirs = production.settings.get(name).and_then(|s| s.value.parse::<u64>().ok());
                let ours = wanted.get(name).and_then(|value| value.parse::<u64>().ok());
                let replayed = recorded.and_then(|recorded| recorded.get(name)).copied();
                if let Some(value) = theirs.max(ours).max(replayed) {
                    wanted.insert(name.to_owned(), value.to_string());
                }
            }
        } else if let Some(text) = facts.content(&self.at.host, &self.at.settings_file())? {
            // What a promoted standby took over from the production before it stays: lowering it needs a person.
            for name in AT_LEAST_PRODUCTIONS {
                let line = text.text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix("= '")?.strip_suffix('\''));
                if let (Some(value), false) = (line, wanted.contains_key(name)) {
                    wanted.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        if let Some(waits) = self.standbys_first(&wanted, facts)? {
            return Ok(Err(waits));
        }
        if let (false, Some(server)) = (self.synchronous.is_empty(), self.at.server(facts)?) {
            let names = format!("ANY 1 ({})", self.synchronous.join(", "));
            // A commit would wait for ever for a standby that never was there. Once it was, the guarantee stays.
            let set = server.settings.get("synchronous_standby_names").is_some_and(|s| s.value == names);
            if set || self.synchronous.iter().any(|name| server.senders.get(name).is_some_and(|state| state == "streaming")) {
                wanted.insert("synchronous_standby_names".into(), names);
            }
        }
        Ok(Ok(wanted))
    }

    /// Raised on the standbys first: one that replays a higher value than its own stops.
    fn standbys_first(&self, wanted: &BTreeMap<String, String>, facts: &Facts) -> Result<Option<Decision>, FactError> {
        if self.followers.is_empty() {
            return Ok(None);
        }
        let Some(own) = self.at.server(facts)?.map(|server| five(&server.settings)) else { return Ok(None) };
        let raised: BTreeMap<String, u64> = AT_LEAST_PRODUCTIONS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), wanted.get(*name)?.parse().ok()?)))
            .filter(|(name, value)| own.get(name).is_some_and(|own| own < value))
            .collect();
        for follower in self.followers.iter().filter(|_| !raised.is_empty()) {
            let names: Vec<String> = raised.iter().map(|(name, value)| format!("{name} {value}")).collect();
            let first = || {
                let (host, names) = (&follower.host, names.join(", "));
                Some(Decision::waits(format!(
                    "{host} to run with {names} first; then PostgreSQL is restarted here, which interrupts users"
                )))
            };
            match follower.server(facts) {
                Ok(Some(server)) if server.in_recovery && below(&five(&server.settings), &raised).is_empty() => {}
                // Not a standby yet: its copy of production begins with production's values.
                Ok(Some(server)) if !server.in_recovery => {}
                Ok(Some(_)) | Err(_) => return Ok(first()),
                Ok(None) => match facts.cluster(&follower.host, &follower.cluster) {
                    Ok(None) => {}
                    // One that is down comes back with what its own file says.
                    _ => return Ok(first()),
                },
            }
        }
        Ok(None)
    }
}

/// The file.
#[derive(Debug)]
pub struct SettingsFile(pub Settings);

impl Resource for SettingsFile {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.0.at.host, Kind::File, self.0.at.settings_file().display().to_string())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        self.0.looks()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let at = &self.0.at;
        let attributes = attributes(0o644);
        if let Some(waits) = file::account_missing(&at.host, &attributes, facts)? {
            return Ok(waits);
        }
        // A cluster whose data may not be seen (an observed host) is there.
        if matches!(facts.cluster(&at.host, &at.cluster), Ok(None)) {
            return Ok(Decision::waits(format!("PostgreSQL cluster {} (a package makes it)", at.cluster)));
        }
        let wanted = match self.0.wanted(facts)? {
            Ok(wanted) => wanted,
            Err(waits) => return Ok(waits),
        };
        let mut text = String::from("# Written by otr. Changes made here are drift; the spec's replication.parameters adds to it.\n");
        text.extend(wanted.iter().map(|(name, value)| setting(name, value)));
        let text = text.into();
        let path = at.settings_file();
        let is = facts.content(&at.host, &path)?.as_ref().map(|content| content.text.as_str());
        file::settle(&at.host, &path, file::content_differences(is, &text), &text, &attributes, facts)
    }
}

/// What the running server uses.
#[derive(Debug)]
pub struct LiveSettings(pub Settings);

impl Resource for LiveSettings {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.0.at.host, Kind::Postgresql, "settings")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks = self.0.looks();
        let host = &self.0.at.host;
        looks.push((host.clone(), Look::Path(self.0.at.hba_file())));
        looks
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let at = &self.0.at;
        let Some(server) = at.server(facts)? else {
            return Ok(Decision::waits(format!("PostgreSQL on {}", at.host)));
        };
        if self.0.follows.is_some() && !server.in_recovery {
            // Another primary is not this standby's server; its own resource says what becomes of it.
            return Ok(Decision::waits(format!("a standby's server on {}", at.host)));
        }
        let wanted = match self.0.wanted(facts)? {
            Ok(wanted) => wanted,
            Err(waits) => return Ok(waits),
        };
        let mut change = Change::default();
        let (mut restart, mut anew) = (false, false);
        for path in [at.settings_file(), at.hba_file()] {
            // Without the right to see it (an observed host) the values below still tell.
            let Ok(Some(entry)) = facts.path(&at.host, &path) else { continue };
            if entry.mtime > server.loaded_at {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                change.differences.push(Difference::new(format!("{name} loaded"), "before its last change", "as on disk"));
            }
        }
        let reload = !change.differences.is_empty();
        // Only what stands in otr's own file can be overruled by another one.
        let ours = facts.content(&at.host, &at.settings_file())?.as_ref().map_or("", |content| content.text.as_str());
        for (name, value) in &wanted {
            let Some(live) = server.settings.get(name) else { continue };
            if normalised(&live.value) == normalised(value) && !live.pending_restart {
                continue;
            }
            let lower = |value: &str| value.parse::<u64>().ok();
            if AT_LEAST_PRODUCTIONS.contains(&name.as_str())
                && self.0.follows.is_some()
                && lower(value) < lower(&live.value)
                && !ours.contains(&setting(name, value))
            {
                // Production was lowered in this very run: the file comes first.
                return Ok(Decision::waits(format!("{name} in {}", at.settings_file().display())));
            }
            let wish = if live.pending_restart { format!("{value} (needs a restart)") } else { value.clone() };
            change.differences.push(Difference::new(name, shown(name, &live.value), shown(name, &wish)));
            restart |= live.pending_restart;
            anew |= live.context == "postmaster";
            match &live.source_file {
                Some(file) if file.ends_with("/postgresql.auto.conf") => {
                    change.actions.push(Action::ResetSetting { cluster: at.cluster.clone(), name: name.clone() })
                }
                Some(file)
                    if !reload
                        && !live.pending_restart
                        && ours.contains(&setting(name, value))
                        && *file != at.settings_file().display().to_string() =>
                {
                    return Err(FactError::Refused(format!(
                        "{}: {name} is {} because {file} sets it and is read after {}; take it out there",
                        at.host,
                        live.value,
                        at.settings_file().display()
                    )));
                }
                _ => {}
            }
        }
        if change.differences.is_empty() {
            return Ok(Decision::Holds);
        }
        let start_anew = Action::Unit { unit: at.unit(), verb: UnitVerb::Restart };
        if restart {
            change.actions.push(start_anew);
        } else {
            // The server reads the values first: one that it does not take must not keep it from starting.
            change.actions.push(Action::ReloadPostgres { cluster: at.cluster.clone() });
            change.foreseen.extend(anew.then_some(start_anew));
        }
        Ok(Decision::Change(change))
    }
}

/// A connection string of somebody else's making may hold a password.
fn shown(name: &str, value: &str) -> Shown {
    match name == "primary_conninfo" && value.contains("password") {
        true => Shown::Sensitive,
        false => value.into(),
    }
}
