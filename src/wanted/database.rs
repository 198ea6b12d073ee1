//! PostgreSQL: settings, access, roles, slots, and the standby's copy.

use std::collections::{BTreeMap, BTreeSet};

use super::{Inputs, List};
use crate::look::Server;
use crate::name::HostName;
use crate::resource::postgres::hba::Hba;
use crate::resource::postgres::password::{PassFile, Password};
use crate::resource::postgres::primary::Primary;
use crate::resource::postgres::role::ReplicationRole;
use crate::resource::postgres::settings::{Follows, LiveSettings, Settings, SettingsFile};
use crate::resource::postgres::slot::{Slot, StaleSlots};
use crate::resource::postgres::standby::Standby;
use crate::resource::postgres::{ClusterAt, Reach, slot_name};
use crate::resource::unit::Unit;
use crate::resource::{Kind, ResourceId};
use crate::secret::Secret;
use crate::spec::{Access, OptionValue, Replication, ReplicationMode, Role, Spec};

/// The replicated cluster on a host.
pub fn cluster_at(spec: &Spec, host: &HostName) -> Option<ClusterAt> {
    Some(ClusterAt { host: host.clone(), cluster: spec.cluster()? })
}

/// The slot of a standby, if the spec wants slots.
pub fn slot_of(spec: &Spec, host: &HostName) -> Option<String> {
    spec.replication.as_ref().filter(|r| r.slot).map(|_| slot_name(host))
}

pub(super) fn reach(spec: &Spec, host: &HostName) -> Reach {
    Reach { host: host.clone(), said: spec.hosts.get(host).and_then(|h| h.reached_at()).map(str::to_owned) }
}

/// Whom a standby follows, and how it logs in there.
pub fn follows(inputs: Inputs<'_>, host: &HostName) -> Option<Follows> {
    let (spec, replication) = (inputs.spec, inputs.spec.replication.as_ref()?);
    let production = cluster_at(spec, &spec.production).filter(|_| spec.role(host) == Role::Standby)?;
    Some(Follows {
        production,
        reach: reach(spec, &spec.production),
        login: format!(
            "user={} application_name={} sslmode=require passfile={} connect_timeout=5",
            replication.user,
            slot_name(host),
            password(inputs, replication).path.display()
        ),
        slot: slot_of(spec, host),
    })
}

/// The member a standby follows, by its connection string, or by where its WAL comes from.
pub fn leader<'a>(spec: &'a Spec, server: &Server) -> Option<&'a HostName> {
    let conninfo = server.settings.get("primary_conninfo").map(|setting| setting.value.as_str());
    let said = conninfo.and_then(|text| text.split_whitespace().find_map(|word| word.strip_prefix("host=")));
    let address = said.or(server.receiver.as_ref().and_then(|receiver| receiver.sender.as_deref()))?.trim_matches('\'');
    spec.members().find(|host| host.as_str() == address || spec.hosts.get(*host).and_then(|host| host.reached_at()) == Some(address))
}

/// Everything of PostgreSQL on one host.
pub fn cluster(list: &mut List<'_>, software: &[ResourceId]) -> Vec<ResourceId> {
    let spec = list.spec().clone();
    let (Some(replication), Some(at)) = (&spec.replication, cluster_at(&spec, list.host)) else { return Vec::new() };
    let standbys: Vec<HostName> = spec.standbys().cloned().collect();
    let reach = |host: &HostName| reach(&spec, host);
    let password = password(list.inputs, replication);
    let production = ClusterAt { host: spec.production.clone(), ..at.clone() };
    let follows = follows(list.inputs, list.host);
    let synchronous = match (replication.mode, list.role) {
        (ReplicationMode::Sync, Role::Production) => standbys.iter().map(slot_name).collect(),
        _ => Vec::new(),
    };
    // A promotion raises nothing, and waits for no standby.
    let orderly = list.role == Role::Production && !list.inputs.promoting;
    let managed = standbys.iter().filter(|host| orderly && super::managed(&spec, host));
    let followers = managed.map(|host| ClusterAt { host: host.clone(), ..at.clone() }).collect();
    let settings = Settings {
        at: at.clone(),
        fixed: fixed(replication, standbys.len()),
        said: said(replication),
        reaches: (reach(list.host), reach(&spec.production)),
        standbys: standbys.len() as u64,
        promoting: list.inputs.promoting,
        follows: follows.clone(),
        synchronous,
        followers,
    };
    let file = list.add(SettingsFile(settings.clone()), software);
    let mut done = vec![
        file.clone(),
        list.add(
            Hba {
                at: at.clone(),
                role: replication.user.clone(),
                peers: spec.members().filter(|h| *h != list.host).map(reach).collect(),
                rewind: spec.members().all(|host| super::managed(&spec, host)),
            },
            software,
        ),
    ];
    if password.holders.contains(list.host) {
        done.push(list.add(PassFile { host: list.host.clone(), password: password.clone() }, software));
    }
    let unit = Unit { host: list.host.clone(), unit: at.unit(), state: list.running(), reads: Vec::new(), reloads: false };
    let keep = if list.role == Role::Production { standbys.iter().filter_map(|host| slot_of(&spec, host)).collect() } else { Vec::new() };
    match follows {
        None => {
            done.push(list.add(unit, &done.clone()));
            done.push(list.add(LiveSettings(settings), &done.clone()));
            done.push(list.add(Primary { at: at.clone() }, &[]));
            if !standbys.is_empty() {
                done.push(list.add(ReplicationRole { at: at.clone(), password }, &done.clone()));
            }
            for standby in &standbys {
                if let Some(name) = slot_of(&spec, standby) {
                    done.push(list.add(Slot { at: at.clone(), name }, &done.clone()));
                }
            }
        }
        Some(follows) => {
            let mut needs = done.clone();
            // Production lets the standby in before the standby comes.
            needs.push(ResourceId::new(&production.host, Kind::Replication, "pg_hba.conf"));
            needs.push(ResourceId::new(&production.host, Kind::Postgresql, "settings"));
            needs.push(ResourceId::new(&production.host, Kind::Role, password.role.as_str()));
            needs.extend(follows.slot.iter().map(|slot| ResourceId::new(&production.host, Kind::Slot, slot)));
            let standby = list.add(Standby { at: at.clone(), follows }, &needs);
            done.push(standby.clone());
            done.push(list.add(unit, std::slice::from_ref(&standby)));
            // Not after the standby's copy alone: one that runs with an older connection string never streams.
            done.push(list.add(LiveSettings(settings), &[file]));
        }
    }
    if replication.slot {
        done.push(list.add(StaleSlots { at, keep, standby: list.role == Role::Standby }, &[]));
    }
    done
}

/// The same on every host, so that a role needs no other file (its source: the documentation
/// of each parameter; the reasons are in docs/replication.md).
fn fixed(replication: &Replication, standbys: usize) -> BTreeMap<String, String> {
    // All of them may copy at once: two connections each, and the one that was cut off lingers until its timeout.
    let connections = (3 * standbys + 1).max(10).to_string();
    let mut settings: BTreeMap<String, String> = [
        ("listen_addresses", "*"),
        ("wal_level", "replica"),
        ("hot_standby", "on"),
        ("max_wal_senders", connections.as_str()),
        ("max_replication_slots", connections.as_str()),
        ("wal_log_hints", "on"),
        ("full_page_writes", "on"),
        ("wal_sender_timeout", "30s"),
        ("wal_receiver_timeout", "30s"),
        ("hot_standby_feedback", "on"),
        ("recovery_target_timeline", "latest"),
        // What a restore left behind would end the standby's life as one.
        ("recovery_target", ""),
        ("recovery_target_lsn", ""),
        ("recovery_target_name", ""),
        ("recovery_target_time", ""),
        ("recovery_target_xid", ""),
        ("recovery_end_command", ""),
        ("restore_command", ""),
        ("synchronous_standby_names", ""),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    if replication.postgresql >= 13 {
        settings.insert("wal_keep_size".into(), "1GB".into());
        settings.insert("max_slot_wal_keep_size".into(), format!("{}MB", replication.slot_keep.0 >> 20));
    } else {
        settings.insert("wal_keep_segments".into(), "64".into());
    }
    if replication.postgresql < 16 {
        settings.insert("promote_trigger_file".into(), String::new());
    }
    for (name, value) in &replication.parameters {
        settings.insert(name.clone(), parameter(value));
    }
    settings
}

/// What the spec itself says of them.
fn said(replication: &Replication) -> BTreeSet<String> {
    let mut said: BTreeSet<String> = replication.parameters.keys().cloned().collect();
    if replication.mode == ReplicationMode::Sync {
        said.insert("synchronous_standby_names".into());
    }
    if replication.slot_keep != crate::spec::DEFAULT_SLOT_KEEP {
        said.insert("max_slot_wal_keep_size".into());
    }
    said
}

fn parameter(value: &OptionValue) -> String {
    match value {
        OptionValue::Bool(on) => if *on { "on" } else { "off" }.into(),
        OptionValue::Int(number) => number.to_string(),
        OptionValue::Float(number) => number.to_string(),
        OptionValue::List(items) => items.join(", "),
        OptionValue::Text(text) => text.clone(),
        // `check` refuses a secret here: it would stand in a file anybody may read.
        OptionValue::Secret(reference) => reference.secret.to_string(),
    }
}

fn password(inputs: Inputs<'_>, replication: &Replication) -> Password {
    let spec = inputs.spec;
    let managed = |host: &&HostName| spec.hosts.get(*host).is_some_and(|h| h.access == Access::Manage);
    let mut holders: Vec<HostName> = Vec::new();
    holders.extend(std::iter::once(&spec.production).filter(managed).cloned());
    holders.extend(spec.standbys().filter(managed).cloned());
    Password {
        said: replication.password.as_ref().map(|setting| inputs.setting(setting).map(|text| Secret::new(text.expose()))),
        path: "/var/lib/postgresql/.otr.pgpass".into(),
        role: replication.user.clone(),
        maker: spec.standbys().find(managed).cloned().or_else(|| holders.first().cloned()),
        holders,
    }
}
