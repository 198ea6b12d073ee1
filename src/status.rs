//! How the pair stands: what would be lost now, and whether a promotion could begin. Pure:
//! made of facts alone.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::epoch::Epoch;
use crate::facts::Facts;
use crate::history::pause::Pause;
use crate::history::{Copied, Ran};
use crate::look::{Enablement, Look, Server};
use crate::name::HostName;
use crate::plan::life::Sign;
use crate::plan::split::{split_brain, stale};
use crate::resource::postgres::replay::Wait;
use crate::resource::rest::rest_file;
use crate::spec::{Role, Spec};
use crate::wanted::{HASHED, cluster_at, stamp};

mod drill;
mod elsewhere;
mod filestore;
mod guard;
mod memcached;
mod obstacles;
mod others;
mod pause;
mod postgres;
mod records;
mod redis;
mod sentinel;

pub use drill::DrillStatus;
pub use elsewhere::ElsewhereStatus;
use filestore::filestore_status;
pub use filestore::{FilestoreStatus, LostFile, second_looks, tell_apart};
use guard::{guard, guard_file};
pub use memcached::{MemcachedStatus, memcached_status};
use obstacles::obstacles_of;
pub use pause::{pause_looks, paused};
pub use postgres::PostgresStatus;
use postgres::{below_recorded, postgres_status, replay};
pub use redis::{RedisStatus, redis_status};
pub use sentinel::SentinelStatus;

/// How the pair stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The number of this format.
    pub format: u32,
    /// `status`.
    pub verb: &'static str,
    /// The spec's name.
    pub spec: String,
    /// The hosts.
    pub hosts: Vec<HostStatus>,
    /// Production's PostgreSQL gives otr no answer.
    pub production_silent: bool,
    /// What other hosts see of it all the same: it lives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub production_lives: Vec<Sign>,
    /// Two hosts take writes: which, and how far each is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_brain: Option<String>,
    /// A standby could be promoted now.
    pub ready: bool,
    /// Why not.
    pub obstacles: Vec<String>,
    /// The standby to promote: of those that could be, the one that has most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<HostName>,
    /// How much less the others have that could be promoted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub less: Vec<String>,
    /// What keeps other standbys from being promoted, where one could be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unready: Vec<String>,
    /// The spec is older than a promotion: which, and what to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_spec: Option<String>,
    /// What a promotion would lose besides the last moments: files that are missing.
    pub would_lose: Vec<String>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostStatus {
    /// Its name.
    pub host: HostName,
    /// Its role in the spec.
    pub role: &'static str,
    /// Why it gave no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// PostgreSQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgresql: Option<PostgresStatus>,
    /// What was last decided about who is production: its number and that host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Whether an old production would stay down: `set`, `not set`, or why there is no guard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<&'static str>,
    /// The parameters in which a standby is below its primary.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<String>,
    /// Why a standby does not follow production, or cannot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parted: Vec<String>,
    /// What holds the replay back.
    #[serde(skip)]
    pub waits: Option<Wait>,
    /// Odoo's service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub odoo: Option<String>,
    /// Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisStatus>,
    /// The Redis that holds the sessions, where otr does not set it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_server: Option<ElsewhereStatus>,
    /// memcached, where sessions are kept in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memcached: Option<MemcachedStatus>,
    /// Sentinel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<SentinelStatus>,
    /// The filestores of a standby.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filestores: Vec<FilestoreStatus>,
    /// When each kind of sync to a standby last ran, and last went well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub syncs: Vec<Ran>,
    /// When the last good `otr sync` to a standby ended, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<String>,
    /// Its record cannot be read, or not as far as that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub last_sync_unseen: bool,
    /// Drills of this standby.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillStatus>,
    /// The scheduled runs on this standby rest: who asked for it, why, until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// What a journal leaves open, and what cannot be read of a record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
    /// What could not be seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
}

/// What must be seen.
pub fn looks(spec: &Spec) -> Vec<(HostName, Look)> {
    let mut looks: Vec<_> = sentinel::looks(spec).collect();
    for host in spec.members() {
        let mut add = |look| looks.push((host.clone(), look));
        add(Look::Machine);
        records::looks(spec, host).into_iter().for_each(&mut add);
        if spec.role(host) == Role::Standby {
            add(Look::Record(Copied::path(spec)));
            add(Look::Record(Pause::path(spec)));
            drill::looks(spec).into_iter().for_each(&mut add);
        }
        if let Some(odoo) = &spec.odoo {
            add(Look::Unit(odoo.unit.clone()));
        }
        if let Some(at) = elsewhere::place(spec) {
            add(Look::RedisElsewhere(at));
        }
        if let Some(memcached) = spec.memcached() {
            add(Look::Memcached(memcached.port));
        }
        if let Some(redis) = &spec.redis {
            add(Look::Redis { config: redis.config(), port: redis.port });
        }
        let Some(at) = cluster_at(spec, host) else { continue };
        add(Look::Server(at.cluster.clone()));
        add(Look::Cluster(at.cluster.clone()));
        add(Look::Content(Epoch::path(spec.name.as_str())));
        add(Look::Path(guard_file(&at)));
        if let (Some(odoo), Role::Standby) = (&spec.odoo, spec.role(host)) {
            for database in &odoo.databases {
                let directory = odoo.data_dir.join("filestore").join(database.as_str());
                if spec.is_shared(&directory) {
                    continue;
                }
                add(Look::Attachments(at.cluster.clone(), database.clone()));
                add(Look::Store { directory, stamp: stamp(database.as_str()), hashed: HASHED });
            }
        }
    }
    looks
}

/// Reads the facts.
pub fn status(spec: &Spec, facts: &Facts) -> Status {
    with(spec, facts, Vec::new(), &Ahead::new())
}

/// What a promotion of each standby would run into.
pub type Ahead = BTreeMap<HostName, Vec<String>>;

/// Reads the facts; `signs` are those of a production that gives no answer.
pub fn with(spec: &Spec, facts: &Facts, signs: Vec<Sign>, ahead: &Ahead) -> Status {
    let production = server(spec, facts, &spec.production);
    let hosts: Vec<HostStatus> = spec.machines().map(|host| host_status(spec, facts, host, production)).collect();
    let mut obstacles = Vec::new();
    let standbys: Vec<&HostStatus> = hosts.iter().filter(|h| h.role == "standby").collect();
    if standbys.is_empty() {
        obstacles.push("the spec has no standby".into());
    }
    let silent = production.is_none() && cluster_at(spec, &spec.production).is_some();
    let each: Vec<Vec<String>> = standbys
        .iter()
        .map(|host| {
            let ahead = ahead.get(&host.host).filter(|_| host.error.is_none());
            let mut found = obstacles_of(host, silent && signs.is_empty());
            found.extend(ahead.into_iter().flatten().map(|what| format!("a promotion would stop half-way: {what}")));
            found
        })
        .collect();
    let split = split_brain(spec, facts).map(|(_, words)| words);
    let stale_spec = stale(spec, facts).map(|newer| newer.words(&spec.production));
    obstacles.extend(split.clone().into_iter().chain(stale_spec.clone()));
    let ready = split.is_none() && stale_spec.is_none() && each.iter().any(Vec::is_empty);
    let promotable: Vec<&HostStatus> =
        standbys.iter().zip(&each).filter(|(_, why)| ready && why.is_empty()).map(|(host, _)| *host).collect();
    let (best, less) = others::compared(spec, facts, &promotable);
    let mut unready = Vec::new();
    if ready { &mut unready } else { &mut obstacles }.extend(each.into_iter().flatten());
    let files = hosts.iter().flat_map(|host| host.filestores.iter().filter(|f| f.missing > 0).map(move |f| (host, f)));
    let would_lose = files.map(|(host, f)| format!("{} of {} files of {} on {}", f.missing, f.needed, f.database, host.host)).collect();
    Status {
        format: 1,
        verb: "status",
        spec: spec.name.to_string(),
        hosts,
        production_silent: silent,
        production_lives: signs,
        split_brain: split,
        ready,
        obstacles,
        best,
        less,
        unready,
        stale_spec,
        would_lose,
    }
}

fn server<'a>(spec: &Spec, facts: &'a Facts, host: &HostName) -> Option<&'a Server> {
    cluster_at(spec, host)?.server(facts).ok().flatten()
}

fn host_status(spec: &Spec, facts: &Facts, host: &HostName, production: Option<&Server>) -> HostStatus {
    let role = spec.role(host);
    let read = records::records(spec, facts, host);
    let copied = facts.record(host, &Copied::path(spec)).ok().and_then(|record| record.as_ref());
    let mut status = HostStatus {
        host: host.clone(),
        role: role.as_str(),
        error: facts.unreachable(host).map(str::to_owned),
        postgresql: None,
        epoch: None,
        guard: None,
        below: Vec::new(),
        parted: Vec::new(),
        waits: None,
        odoo: None,
        redis: None,
        session_server: None,
        memcached: None,
        sentinel: None,
        filestores: Vec::new(),
        syncs: copied.map(Copied::runs).unwrap_or_default(),
        last_sync: copied.and_then(Copied::last_good),
        last_sync_unseen: read.copied_unseen,
        drill: (role == Role::Standby).then(|| drill::drill_status(spec, facts, host)).flatten(),
        // It blocks no promotion, and neither does that it was not seen.
        paused: paused(spec, facts, host).ok().flatten().filter(|_| role == Role::Standby),
        records: read.words,
        unseen: Vec::new(),
    };
    if status.error.is_some() {
        return status;
    }
    let mut unseen: Vec<String> = read.obstacle.into_iter().collect();
    match sentinel::sentinel_status(spec, facts, host) {
        Some(Ok(seen)) => status.sentinel = Some(seen),
        Some(Err(why)) => unseen.push(why),
        None => {}
    }
    if role == Role::Witness {
        status.unseen = unseen;
        return status;
    }
    if let Some(at) = cluster_at(spec, host) {
        match at.server(facts) {
            Ok(server) => {
                status.postgresql = Some(postgres_status(server, production, facts.machine(host).ok().map(|machine| machine.now)))
            }
            Err(error) => unseen.push(error.to_string()),
        }
        let (waits, words) = replay(facts, &at);
        status.waits = waits;
        status.postgresql.iter_mut().for_each(|server| server.replay.clone_from(&words));
        status.guard = guard(spec, facts, &at);
        status.epoch = Epoch::seen(facts, host, spec.name.as_str()).ok().filter(|epoch| epoch.number > 0).map(|epoch| epoch.to_string());
        status.below = below_recorded(facts, &at);
        status.parted = others::parted(spec, facts, host);
        for database in spec.odoo.iter().flat_map(|odoo| &odoo.databases).filter(|_| role == Role::Standby) {
            match filestore_status(spec, facts, host, database) {
                Ok(Some(filestore)) => status.filestores.push(filestore),
                Ok(None) => {}
                Err(error) => unseen.push(error.to_string()),
            }
        }
    }
    if let Some(odoo) = &spec.odoo {
        match facts.unit(host, &odoo.unit) {
            Ok(unit) => {
                let loops = facts.machine(host).ok().and_then(|machine| unit.crash_loop(machine.uptime));
                let word = match (unit.active, unit.failed, unit.enablement) {
                    (true, ..) => "active",
                    (_, true, _) => "failed",
                    (.., Enablement::Masked) => "masked",
                    _ if unit.drop_ins.contains(&rest_file(&odoo.unit)) => "kept down",
                    _ => "inactive",
                };
                status.odoo = Some(loops.unwrap_or_else(|| word.to_owned()));
            }
            Err(error) => unseen.push(error.to_string()),
        }
    }
    if let Some(at) = elsewhere::place(spec) {
        match facts.redis_elsewhere(host, &at) {
            Ok(sight) => status.session_server = Some(elsewhere::elsewhere_status(&at, sight)),
            Err(error) => unseen.push(error.to_string()),
        }
    }
    if let Some(memcached) = spec.memcached() {
        match facts.memcached(host, memcached.port) {
            Ok(sight) => status.memcached = Some(memcached_status(sight)),
            Err(error) => unseen.push(error.to_string()),
        }
    }
    if let Some(redis) = &spec.redis {
        match facts.redis(host, &redis.config(), redis.port) {
            Ok(sight) => status.redis = Some(redis_status(sight, facts.redis(&spec.production, &redis.config(), redis.port).ok())),
            Err(error) => unseen.push(error.to_string()),
        }
    }
    status.unseen = unseen;
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_copy_of_the_database_nobody_is_ready() {
        let text = "version: 1\nname: acme\nproduction: erp1\nhosts: {erp1: {address: 192.0.2.1}, erp2: {address: 192.0.2.2}}\n";
        let spec = |more: &str| crate::spec::load::from_text("spec.yaml".as_ref(), format!("{text}{more}"), &[]).unwrap().spec;
        let seen = |spec: &Spec| {
            let hosts = spec.members().map(|host| (host.clone(), Ok(Default::default())));
            status(spec, &Facts::new(hosts.collect()))
        };
        let told = seen(&spec(""));
        assert!(!told.ready && told.obstacles.iter().any(|why| why.contains("no `replication:`")), "{:?}", told.obstacles);
        // What was not seen is no missing copy.
        let told = seen(&spec("replication: {postgresql: 13}\n"));
        assert!(!told.ready && !told.obstacles.iter().any(|why| why.contains("no `replication:`")), "{:?}", told.obstacles);
    }
}
