//! otr's settings of postgresql.conf: as a file, and as what the running server uses.

use std::collections::{BTreeMap, BTreeSet};

use super::measure::{self, Measure, RECOVERY, at_least, rank, same, taken_over};
use super::{ClusterAt, Reach, attributes};
use crate::action::{Action, UnitVerb};
use crate::facts::{FactError, Facts};
use crate::format::postgres::setting;
use crate::look::postgres::TARGETS;
use crate::look::{Look, Server};
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

/// How a standby's file begins the line of each logical slot that production had.
pub const LOGICAL_SLOT: &str = "# A promotion loses production's logical slot ";

/// The settings of one host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where.
    pub at: ClusterAt,
    /// Name → value, as far as the spec alone decides.
    pub fixed: BTreeMap<String, String>,
    /// Those of them that the spec says; the others are otr's own wish.
    pub said: BTreeSet<String>,
    /// How the other members reach this host, and production.
    pub reaches: (Reach, Reach),
    /// How many standbys follow production.
    pub standbys: u64,
    /// A promotion is under way.
    pub promoting: bool,
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
            looks.push((follows.production.host.clone(), Look::Content(follows.production.settings_file())));
        }
        for reach in [&self.reaches.0, &self.reaches.1].into_iter().filter(|reach| reach.said.is_none()) {
            looks.push((reach.host.clone(), Look::Machine));
        }
        looks
    }

    fn measure<'a>(&self, server: &'a Server, said: &'a BTreeSet<String>, address: Option<&'a str>) -> Measure<'a> {
        Measure { server, said, standbys: self.standbys, address, promoting: self.promoting }
    }

    /// What the spec says, but for that of which the production before had more: until the spec says something
    /// else, that is what production has.
    fn said_on(&self, at: &ClusterAt, facts: &Facts) -> BTreeSet<String> {
        let text = facts.content(&at.host, &at.settings_file()).ok().and_then(|content| content.as_ref()).map(|content| &content.text);
        let taken_over = |name: &String| {
            let line = self.fixed.get(name).map(|value| taken_over(name, value));
            line.is_some_and(|line| text.is_some_and(|text| text.lines().any(|is| is == line)))
        };
        self.said.iter().filter(|name| !taken_over(name)).cloned().collect()
    }

    /// Which of the settings are more than the spec says, for the day when this host is production.
    fn more_than_said(&self, wanted: &BTreeMap<String, String>) -> Vec<String> {
        let more = |(name, value): &(&String, &String)| {
            let said = self.fixed.get(*name).filter(|_| self.said.contains(*name));
            said.is_some_and(|said| rank(name, value, None) > rank(name, said, None))
        };
        wanted.iter().filter(more).filter_map(|(name, _)| Some(taken_over(name, self.fixed.get(name)?) + "\n")).collect()
    }

    /// On a standby: production's logical slots, on record for the day when production cannot be asked.
    fn slots_that_stay_behind(&self, facts: &Facts) -> Vec<String> {
        let production = self.follows.as_ref().and_then(|follows| follows.production.server(facts).ok().flatten());
        production.into_iter().flat_map(measure::logical_slots).map(|slot| format!("{LOGICAL_SLOT}{slot}\n")).collect()
    }

    /// Every setting, or what must be known first.
    fn wanted(&self, facts: &Facts) -> Result<Result<BTreeMap<String, String>, Decision>, FactError> {
        let mut wanted = self.fixed.clone();
        let cluster = facts.cluster(&self.at.host, &self.at.cluster).ok().and_then(|cluster| cluster.as_ref());
        let own = self.at.server(facts);
        let address = self.reaches.0.address(facts).ok();
        if let Some(follows) = &self.follows {
            let Some(production) = follows.production.server(facts)? else {
                return Ok(Err(Decision::waits(format!("PostgreSQL on {}", follows.production.host))));
            };
            if let Ok(Some(server)) = own {
                let measure = self.measure(server, &self.said, address.as_deref());
                wanted.iter_mut().for_each(|(name, value)| *value = measure.of_a_standby(name, value));
            }
            let there = self.reaches.1.address(facts).ok();
            let said = self.said_on(&follows.production, facts);
            let theirs = self.measure(production, &said, there.as_deref());
            let ranked: BTreeSet<String> = AT_LEAST_PRODUCTIONS.into_iter().map(str::to_owned).chain(wanted.keys().cloned()).collect();
            for name in ranked {
                let value = wanted.get(&name).cloned();
                let target = theirs.wanted(&name, value.as_deref().unwrap_or("0"));
                let most = self.raised(&name, value, [Some(target), self.until_replayed(&name, production, cluster)]);
                wanted.extend(most.map(|most| (name, most)));
            }
            wanted.insert("primary_conninfo".into(), follows.conninfo(facts)?);
            if let Some(slot) = &follows.slot {
                wanted.insert("primary_slot_name".into(), slot.clone());
            }
        } else {
            let text = facts.content(&self.at.host, &self.at.settings_file())?.as_ref().map_or("", |content| content.text.as_str());
            let line = |name: &str| {
                text.lines()
                    .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix("= '")?.strip_suffix('\''))
                    .map(str::to_owned)
            };
            // What a promoted standby took over from the production before it stays: lowering it needs a person.
            for name in AT_LEAST_PRODUCTIONS {
                if let (Some(value), false) = (line(name), wanted.contains_key(name)) {
                    wanted.insert(name.to_owned(), value);
                }
            }
            match own? {
                Some(server) => {
                    let said = self.said_on(&self.at, facts);
                    let measure = self.measure(server, &said, address.as_deref());
                    for (name, value) in &mut wanted {
                        *value = match server.settings.get(name) {
                            // It was taken over, and an administrator may have lowered it since.
                            Some(live) if !self.fixed.contains_key(name) => measure.wanted(name, &live.value),
                            _ => measure.wanted(name, value),
                        };
                        measure.refuse_below_use(&self.at.host, name, value)?;
                    }
                }
                None => at_least(&mut wanted, &self.said, cluster.map_or(&BTreeMap::new(), |cluster| &cluster.configured)),
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

    /// Production's lower value may not hold here until it is replayed: a restart with it would end at once.
    fn until_replayed(&self, name: &str, production: &Server, cluster: Option<&crate::look::Cluster>) -> Option<String> {
        let live = production.settings.get(name).filter(|_| AT_LEAST_PRODUCTIONS.contains(&name)).map(|live| live.value.clone());
        let recorded = cluster.and_then(|cluster| cluster.state.as_ref()).and_then(|state| state.parameters.get(name));
        self.raised(name, live, [recorded.map(u64::to_string), None])
    }

    /// The highest of some values; one that cannot be compared stays as it is.
    fn raised(&self, name: &str, value: Option<String>, others: [Option<String>; 2]) -> Option<String> {
        let others = others.into_iter().flatten().filter(|other| rank(name, other, None).is_some());
        others.fold(value, |most, other| match most {
            Some(most) if rank(name, &most, None) >= rank(name, &other, None) => Some(most),
            _ => Some(other),
        })
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
        text.extend(self.0.slots_that_stay_behind(facts));
        text.extend(self.0.more_than_said(&wanted));
        text.extend(wanted.iter().map(|(name, value)| setting(name, value)));
        let text = text.into();
        let path = at.settings_file();
        let is = facts.content(&at.host, &path)?.as_ref().map(|content| content.text.as_str());
        file::settle(&at.host, &path, file::content_differences(is, &text), &text, &attributes, None, facts)
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
        let address = self.0.reaches.0.address(facts).ok();
        let said = self.0.said_on(at, facts);
        let measure = self.0.measure(server, &said, address.as_deref());
        let production = self.0.follows.is_none();
        for (name, value) in &wanted {
            let Some(live) = server.settings.get(name) else { continue };
            let asleep = production && (RECOVERY.contains(&name.as_str()) || TARGETS.contains(&name.as_str()));
            let wish = self.0.fixed.get(name).unwrap_or(value);
            if asleep || (production && measure.is_the_administrators(&at.host, name, wish)?) {
                continue;
            }
            if same(name, &live.value, value, live.unit.as_deref()) && !live.pending_restart {
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
