//! What production's server has is the measure: nothing an administrator set there is lowered or taken
//! back without a word of the spec, and a standby gets as much. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::AT_LEAST_PRODUCTIONS;
use crate::facts::FactError;
use crate::format::postgres::{amount, normalised};
use crate::look::postgres::TARGETS;
use crate::look::{Elsewhere, Server, Setting, Slot};
use crate::name::HostName;

/// What only a server in recovery reads: on production it sleeps.
pub const RECOVERY: [&str; 8] = [
    "hot_standby",
    "primary_conninfo",
    "primary_slot_name",
    "promote_trigger_file",
    "recovery_end_command",
    "recovery_min_apply_delay",
    "recovery_target_timeline",
    "restore_command",
];

/// A setting of which more is more, as a number that can be compared.
pub fn rank(name: &str, value: &str, unit: Option<&str>) -> Option<f64> {
    let wal = || match name {
        "wal_keep_size" | "max_slot_wal_keep_size" => amount(value, unit.or(Some("MB"))),
        "max_replication_slots" | "wal_keep_segments" => amount(value, None),
        _ if AT_LEAST_PRODUCTIONS.contains(&name) => amount(value, None),
        _ => None,
    };
    match name {
        #[allow(clippy::cast_precision_loss, reason = "one of three")]
        "wal_level" => ["minimal", "replica", "logical"].iter().position(|level| *level == value).map(|at| at as f64),
        // -1: as much as there is.
        "max_slot_wal_keep_size" => wal().map(|most| if most < 0.0 { f64::INFINITY } else { most }),
        _ => wal(),
    }
}

/// Whether two values of a setting say the same.
pub fn same(name: &str, one: &str, other: &str, unit: Option<&str>) -> bool {
    match (rank(name, one, unit), rank(name, other, unit)) {
        (Some(one), Some(other)) => one == other,
        _ => normalised(one) == normalised(other) || amount(one, unit).is_some_and(|number| Some(number) == amount(other, unit)),
    }
}

/// One running server, and how the spec speaks of it.
#[derive(Debug, Clone, Copy)]
pub struct Measure<'a> {
    /// The server.
    pub server: &'a Server,
    /// Names whose values the spec says; the others are otr's own wish.
    pub said: &'a BTreeSet<String>,
    /// How many standbys follow it.
    pub standbys: u64,
    /// Where the other members reach it, if that is known.
    pub address: Option<&'a str>,
    /// A promotion is under way: only what runs counts, and nothing is restarted for what a file says.
    pub promoting: bool,
}

impl Measure<'_> {
    fn setting(&self, name: &str) -> Option<&Setting> {
        self.server.settings.get(name)
    }

    fn unit(&self, name: &str) -> Option<&str> {
        self.setting(name)?.unit.as_deref()
    }

    fn rank(&self, name: &str, value: &str) -> Option<f64> {
        rank(name, value, self.unit(name))
    }

    /// What another file than otr's says, or, to a login that may not see files, what holds.
    pub fn elsewhere(&self, name: &str) -> Option<&Elsewhere> {
        self.server.elsewhere.get(&name.to_ascii_lowercase())
    }

    /// What holds now, if somebody set it.
    fn live(&self, name: &str) -> Option<&str> {
        self.setting(name).filter(|setting| setting.is_set()).map(|setting| setting.value.as_str())
    }

    fn foreign(&self) -> impl Iterator<Item = (&String, &Slot)> {
        self.server.slots.iter().filter(|(name, slot)| !name.starts_with("otr_") && !slot.temporary)
    }

    /// How many are needed besides those in use, where otr has a wish of its own.
    fn needed(&self, name: &str) -> Option<u64> {
        match name {
            "max_replication_slots" => Some(self.foreign().count() as u64 + self.standbys),
            // A standby's copy takes two while it is made.
            "max_wal_senders" => {
                Some(self.server.senders.keys().filter(|name| !name.starts_with("otr_")).count() as u64 + 2 * self.standbys.max(1))
            }
            _ => None,
        }
    }

    /// What otr needs at least of a setting it wishes to have `value`: where an administrator chose, what is enough is enough.
    fn least(&self, name: &str, value: &str) -> String {
        let chosen = self.elsewhere(name).is_some();
        match (self.needed(name), value.parse::<u64>()) {
            (Some(needed), Ok(wish)) if chosen => wish.min(needed).to_string(),
            (Some(needed), Ok(wish)) => wish.max(needed).to_string(),
            _ => value.to_owned(),
        }
    }

    /// The value this server must have, where the spec or otr wishes `value`.
    pub fn wanted(&self, name: &str, value: &str) -> String {
        let elsewhere = self.elsewhere(name).filter(|_| !self.promoting);
        if self.rank(name, value).is_none() {
            return match (name, elsewhere) {
                _ if self.said.contains(name) => value.to_owned(),
                ("listen_addresses", Some(other)) => self.listens(&other.value).unwrap_or_else(|| value.to_owned()),
                // A configuration file is meant for this host; ALTER SYSTEM may be a restore's, or production's.
                ("restore_command" | "recovery_end_command", Some(other)) if !other.is_altered() => other.value.clone(),
                (name, _) if RECOVERY.contains(&name) || TARGETS.contains(&name) => value.to_owned(),
                ("synchronous_standby_names", Some(other)) if other.value.is_empty() => value.to_owned(),
                (_, Some(other)) => other.value.clone(),
                _ => value.to_owned(),
            };
        }
        let mut most = if self.said.contains(name) { value.to_owned() } else { self.least(name, value) };
        // The spec lowers what otr wrote and what a configuration file says; never what was set with ALTER SYSTEM.
        let other = elsewhere.filter(|other| !self.said.contains(name) || other.is_altered()).map(|other| other.value.as_str());
        // Others' slots were promised all the WAL they need.
        let promised = name == "max_slot_wal_keep_size" && self.foreign().next().is_some();
        let live = match self.setting(name) {
            Some(setting) if promised => Some(setting.value.as_str()),
            _ => self.live(name),
        };
        for candidate in [other, live.filter(|_| !self.said.contains(name))].into_iter().flatten() {
            if self.rank(name, candidate) > self.rank(name, &most) {
                most = candidate.to_owned();
            }
        }
        most
    }

    /// The value a standby must have for itself, before production's is asked for.
    pub fn of_a_standby(&self, name: &str, value: &str) -> String {
        match name {
            "listen_addresses" | "restore_command" | "recovery_end_command" => self.wanted(name, value),
            _ => {
                let other = self.elsewhere(name).filter(|_| !self.said.contains(name)).map(|other| other.value.as_str());
                other.filter(|other| self.rank(name, other) > self.rank(name, value)).unwrap_or(value).to_owned()
            }
        }
    }

    /// Addresses that let the other members in, beginning with an administrator's own.
    fn listens(&self, own: &str) -> Option<String> {
        let address = self.address?;
        let mut listed = own.split(',').map(str::trim);
        let all = |listed: &str| ["*", "0.0.0.0", "::"].contains(&listed) || listed == address;
        Some(if listed.any(all) { own.to_owned() } else { format!("{own}, {address}") })
    }

    /// An administrator's own setting, read after otr's file, that holds or will hold from the next restart on: otr
    /// leaves it alone. With less than is needed it is for a person.
    pub fn is_the_administrators(&self, host: &HostName, name: &str, wish: &str) -> Result<bool, FactError> {
        let Some(other) = self.elsewhere(name).filter(|other| other.wins) else { return Ok(false) };
        let least = if self.said.contains(name) { wish.to_owned() } else { self.least(name, wish) };
        let enough = match (self.rank(name, &other.value), self.rank(name, &least)) {
            (Some(is), Some(least)) => is >= least,
            _ if self.said.contains(name) => false,
            _ if name == "listen_addresses" => self.listens(&other.value).is_none_or(|listens| listens == other.value),
            _ => true,
        };
        if enough || self.said.contains(name) {
            return Ok(enough);
        }
        let (where_, how) = match other.is_altered() {
            true => ("ALTER SYSTEM".to_owned(), format!("ALTER SYSTEM SET {name} = …, or ALTER SYSTEM RESET {name}")),
            false => (other.file.clone(), "change it there".to_owned()),
        };
        Err(FactError::Refused(format!(
            "{host}: {name} is {} by {where_}, and a standby needs {least} at least; otr takes nothing back that was set on production: {how}",
            other.value
        )))
    }

    /// What runs must find room after a restart: a word of the spec that forgets it is refused.
    pub fn refuse_below_use(&self, host: &HostName, name: &str, value: &str) -> Result<(), FactError> {
        if !self.said.contains(name) || self.server.in_recovery {
            return Ok(());
        }
        let refused = |why: String| {
            Err(FactError::Refused(format!(
                "{host}: the spec's replication.parameters say {name} = {value}, and {why}; PostgreSQL would not start, or they would be lost"
            )))
        };
        let logical = logical_slots(self.server);
        let number = value.parse::<u64>().ok();
        let below = |count: u64| number.is_some_and(|number| number < count);
        let (slots, senders) = (self.server.slots.values().filter(|slot| !slot.temporary).count() as u64, self.server.senders.len() as u64);
        match name {
            "wal_level" if value != "logical" && !logical.is_empty() => refused(format!("logical slots are there: {}", logical.join(", "))),
            "max_replication_slots" if below(slots) => refused(format!("{slots} slots are there")),
            "max_replication_slots" if below(self.server.in_use.origins) => {
                refused(format!("{} replication origins of subscriptions are there", self.server.in_use.origins))
            }
            "max_wal_senders" if below(senders) => refused(format!("{senders} senders are in use")),
            "max_prepared_transactions" if below(self.server.in_use.prepared) => {
                refused(format!("{} prepared transactions are open", self.server.in_use.prepared))
            }
            _ => Ok(()),
        }
    }
}

/// Logical slots in words. A physical standby has none of them.
pub fn logical_slots(server: &Server) -> Vec<String> {
    let logical = server.slots.iter().filter(|(_, slot)| slot.kind == "logical" && !slot.temporary);
    let told = |(name, slot): (&String, &Slot)| {
        let of = |what: &Option<String>| what.clone().unwrap_or_else(|| "?".into());
        format!("{name} ({} of database {})", of(&slot.plugin), of(&slot.database))
    };
    logical.map(told).collect()
}

/// Production's logical slots that a standby would not have after a promotion.
pub fn lost_slots(production: &[String], standby: &Server) -> Vec<String> {
    let kept = |told: &&String| {
        let name = told.split(" (").next().unwrap_or_default();
        standby.slots.get(name).is_some_and(|slot| slot.synced && !slot.temporary)
    };
    production.iter().filter(|told| !kept(told)).cloned().collect()
}

/// How it is noted that a value comes from production, and not from the spec.
pub fn taken_over(name: &str, said: &str) -> String {
    format!("# Production had more than the spec's {said}: {name}")
}

/// The five, and what a stopped cluster's configuration says of them: never less than that.
pub fn at_least(wanted: &mut BTreeMap<String, String>, said: &BTreeSet<String>, is: &BTreeMap<String, String>) {
    for (name, value) in wanted.iter_mut().filter(|(name, _)| !said.contains(*name)) {
        if let Some(other) = is.get(name).filter(|other| rank(name, other, None) > rank(name, value, None)) {
            value.clone_from(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_more_in_every_unit() {
        assert!(rank("wal_level", "logical", None) > rank("wal_level", "replica", None));
        assert!(rank("wal_keep_size", "2048", Some("MB")) > rank("wal_keep_size", "1GB", Some("MB")));
        assert!(rank("max_slot_wal_keep_size", "-1", Some("MB")) > rank("max_slot_wal_keep_size", "10TB", Some("MB")));
        assert_eq!(rank("listen_addresses", "*", None), None);
        assert!(same("wal_sender_timeout", "60", "1min", Some("s")) && same("ssl", "true", "on", None));
        assert!(!same("max_connections", "100", "101", None));
    }
}
