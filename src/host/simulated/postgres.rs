//! PostgreSQL 13 on one simulated machine: a cluster's data and its server.
//!
//! What passes between two servers is in `streaming`, statements in `statements`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::machine::Machine;
use super::settings::{self, PARAMETERS, Read, Written};
use crate::look::{
    Attachment, Attachments, Cluster as ClusterSight, ClusterName, ClusterState, Receiver, Server as Sight, ServerSight, Setting,
    SightError, Slot as SlotSight,
};
use crate::secret::Secret;

/// A cluster: its data, and its server while it runs.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// What lies in the data directory.
    pub data: Option<Data>,
    /// The running server.
    pub server: Option<Server>,
    /// A server that stops sends its standbys all it has, last of all that it stopped.
    pub leaving: Option<Server>,
    /// Data directories that were kept when the cluster was replaced.
    pub kept: Vec<(PathBuf, Data)>,
}

/// A data directory.
#[derive(Debug, Clone)]
pub struct Data {
    /// Equal on a primary and its standbys.
    pub system_identifier: String,
    /// The timeline WAL is written or received on.
    pub timeline: u32,
    /// The timeline of the last checkpoint, as pg_control has it.
    pub checkpoint_timeline: u32,
    /// Where the last checkpoint's record begins.
    pub checkpoint: u64,
    /// `Database cluster state`.
    pub state: String,
    /// Where each earlier timeline ended.
    pub forks: Vec<(u32, u64)>,
    /// Up to where WAL was written or received.
    pub lsn: u64,
    /// Up to where it was replayed.
    pub replayed: u64,
    /// The content at `lsn`.
    pub written: Content,
    /// The content at `replayed`: what queries see.
    pub content: Content,
    /// `PARAMETERS` of the primary, as its WAL says.
    pub parameters: BTreeMap<String, u64>,
    /// Slots by name; `true` where its WAL is lost.
    pub slots: BTreeMap<String, bool>,
}

/// What is in the databases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// Databases by name.
    pub databases: BTreeMap<String, Database>,
    /// Replication roles and their verifiers.
    pub roles: BTreeMap<String, Secret>,
    /// Rows that were written to prove that writing works.
    pub proofs: u64,
    /// The last commit, seconds since the epoch.
    pub committed_at: f64,
}

/// A database of Odoo.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Database {
    /// Bytes.
    pub size: u64,
    /// Rows of ir_attachment by id, with their store names.
    pub attachments: BTreeMap<i64, (String, Attachment)>,
}

/// A running server.
#[derive(Debug, Clone)]
pub struct Server {
    /// It follows another one.
    pub in_recovery: bool,
    /// Settings that hold now, and whether a restart would change them.
    pub settings: BTreeMap<String, (Written, bool)>,
    /// pg_hba.conf as it was loaded.
    pub hba: String,
    /// Lines that could not be read.
    pub file_errors: Vec<String>,
    /// Seconds since the epoch.
    pub loaded_at: f64,
    /// Seconds since the epoch.
    pub started_at: f64,
    /// Replay waits.
    pub replay_paused: bool,
    /// Its WAL receiver.
    pub receiver: Option<Receiver>,
    /// Connected standbys.
    pub senders: BTreeMap<String, String>,
    /// Slots that are in use.
    pub active_slots: Vec<String>,
}

impl Server {
    /// A setting's value now.
    pub fn value(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", |(written, _)| written.value.as_str())
    }
}

/// A log position as PostgreSQL prints it.
pub fn lsn_text(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

impl Data {
    /// A new cluster as initdb makes it.
    pub fn new(system_identifier: String) -> Self {
        Self {
            system_identifier,
            timeline: 1,
            checkpoint_timeline: 1,
            checkpoint: 0x164_0000,
            state: "shut down".into(),
            forks: Vec::new(),
            lsn: 0x164_0000,
            replayed: 0x164_0000,
            written: Content::default(),
            content: Content::default(),
            parameters: BTreeMap::new(),
            slots: BTreeMap::new(),
        }
    }

    /// Commits a change: only a primary does this.
    pub fn commit(&mut self, now: f64, bytes: u64, change: impl FnOnce(&mut Content)) {
        change(&mut self.written);
        self.written.committed_at = now;
        self.content = self.written.clone();
        self.lsn += bytes.next_multiple_of(8);
        self.replayed = self.lsn;
    }

    /// Replays what was received.
    pub fn replay(&mut self) {
        self.content = self.written.clone();
        self.replayed = self.lsn;
    }
}

/// The key of a cluster on a machine.
pub fn key(cluster: &ClusterName) -> (u32, String) {
    (cluster.version, cluster.name.to_string())
}

impl Machine {
    /// `/etc/postgresql/<version>/<name>`.
    pub fn cluster_directory((version, name): &(u32, String)) -> PathBuf {
        Path::new("/etc/postgresql").join(version.to_string()).join(name)
    }

    /// The data directory, as the cluster's own configuration says it.
    pub fn data_directory(&self, key: &(u32, String)) -> PathBuf {
        let text = self.files.text(Self::cluster_directory(key).join("postgresql.conf"));
        let said = text.lines().filter_map(|line| settings::assignment(line).ok().flatten()).rfind(|(name, _)| name == "data_directory");
        said.map_or_else(|| Path::new("/var/lib/postgresql").join(key.0.to_string()).join(&key.1), |(_, value)| value.into())
    }

    /// The data of a cluster, if its directory holds any.
    pub fn data(&self, key: &(u32, String)) -> Option<&Data> {
        self.files.get(self.data_directory(key).join("global/pg_control"))?;
        self.clusters.get(key)?.data.as_ref()
    }

    fn read_settings(&self, key: &(u32, String)) -> Read {
        settings::read(&self.files, &Self::cluster_directory(key), &self.data_directory(key))
    }

    pub(super) fn start_cluster(&mut self, key: &(u32, String)) -> Result<(), String> {
        let directory = self.data_directory(key);
        if self.data(key).is_none() {
            return Err(format!("Error: {} is not accessible or does not exist", directory.display()));
        }
        let Read { settings, errors, .. } = self.read_settings(key);
        if let Some(error) = errors.first() {
            return Err(format!("FATAL:  configuration file contains errors: {error}"));
        }
        let in_recovery = self.files.get(directory.join("standby.signal")).is_some();
        let hba = self.files.text(Self::cluster_directory(key).join("pg_hba.conf")).to_owned();
        let now = self.tick();
        let Some(cluster) = self.clusters.get_mut(key) else { return Err("no such cluster".into()) };
        let Some(data) = cluster.data.as_mut() else { return Err("no data".into()) };
        let most = settings.get("max_replication_slots").and_then(|w| w.value.parse::<usize>().ok());
        if most.is_some_and(|most| most < data.slots.len()) {
            return Err("FATAL:  too many replication slots active before shutdown".into());
        }
        let own = parameters(|name| settings.get(name).map(|w| w.value.as_str()));
        if in_recovery {
            refuse_lower(&own, &data.parameters)?;
            data.state = "in archive recovery".into();
        } else {
            data.parameters = own;
            // Recovery ends with a checkpoint.
            data.checkpoint_timeline = data.timeline;
            data.state = "in production".into();
            data.checkpoint = data.lsn;
            data.commit(data.written.committed_at, 0x78, |_| ());
        }
        cluster.server = Some(Server {
            in_recovery,
            settings: settings.into_iter().map(|(name, written)| (name, (written, false))).collect(),
            hba,
            file_errors: Vec::new(),
            loaded_at: now,
            started_at: now,
            replay_paused: false,
            receiver: None,
            senders: BTreeMap::new(),
            active_slots: Vec::new(),
        });
        Ok(())
    }

    pub(super) fn stop_cluster(&mut self, key: &(u32, String)) {
        let Some(cluster) = self.clusters.get_mut(key) else { return };
        let Some(server) = cluster.server.take() else { return };
        if let Some(data) = cluster.data.as_mut() {
            data.state = if server.in_recovery { "shut down in recovery" } else { "shut down" }.into();
            data.checkpoint_timeline = data.timeline;
            if !server.in_recovery {
                data.checkpoint = data.lsn;
                data.commit(data.written.committed_at, 0x78, |_| ());
            }
        }
        cluster.leaving = Some(server).filter(|server| !server.in_recovery);
    }

    /// Reads the configuration again. What only a restart changes is marked; a file with errors changes nothing.
    pub(super) fn reload_cluster(&mut self, key: &(u32, String)) {
        let Read { settings, errors, .. } = self.read_settings(key);
        let hba = self.files.text(Self::cluster_directory(key).join("pg_hba.conf")).to_owned();
        let now = self.tick();
        let Some(server) = self.clusters.get_mut(key).and_then(|cluster| cluster.server.as_mut()) else { return };
        server.loaded_at = now;
        server.file_errors = errors;
        server.hba = hba;
        if !server.file_errors.is_empty() {
            return;
        }
        server.settings.retain(|name, _| settings.contains_key(name));
        for (name, written) in settings {
            let fixed = matches!(settings::context(&name), "postmaster" | "internal");
            match server.settings.get_mut(&name) {
                Some((current, pending)) if fixed && current.value != written.value => *pending = true,
                Some(setting) => *setting = (written, false),
                None => {
                    server.settings.insert(name, (written, false));
                }
            }
        }
    }

    pub(super) fn reload_clusters(&mut self) {
        for key in self.clusters.keys().cloned().collect::<Vec<_>>() {
            self.reload_cluster(&key);
        }
    }

    pub(super) fn cluster_sight(&self, cluster: &ClusterName) -> Result<Option<ClusterSight>, SightError> {
        let key = key(cluster);
        if self.files.get(Self::cluster_directory(&key).join("postgresql.conf")).is_none() {
            return Ok(None);
        }
        let directory = self.data_directory(&key);
        if !self.is_root() && self.files.is_directory(&directory) {
            return Err(SightError::Denied(format!("{} is readable only by postgres", directory.display())));
        }
        let state = self.data(&key).map(|data| ClusterState {
            state: data.state.clone(),
            system_identifier: data.system_identifier.clone(),
            timeline: data.checkpoint_timeline,
            checkpoint: Some(lsn_text(data.checkpoint)),
            replayed: Some(lsn_text(if data.state.ends_with("recovery") { data.replayed } else { 0 })),
            rewindable: true,
            mounted: false,
            parameters: data.parameters.clone(),
            history: data.forks.iter().map(|(timeline, lsn)| (*timeline, lsn_text(*lsn))).collect(),
        });
        Ok(Some(ClusterSight {
            running: self.is_active(&format!("postgresql@{}-{}.service", key.0, key.1)),
            standby_signal: self.files.get(directory.join("standby.signal")).is_some(),
            rewinding: false,
            configured: BTreeMap::new(),
            layout: Default::default(),
            kept: self.clusters.get(&key).into_iter().flat_map(|c| &c.kept).map(|(path, _)| path.display().to_string()).collect(),
            data_directory: directory.display().to_string(),
            state,
        }))
    }

    pub(super) fn server_sight(&self, cluster: &ClusterName) -> Result<ServerSight, SightError> {
        let key = key(cluster);
        let found = self.clusters.get(&key).and_then(|cluster| Some((cluster.server.as_ref()?, cluster.data.as_ref()?)));
        let Some((server, data)) = found else { return Ok(ServerSight::Down) };
        if server.value("port") != cluster.port.to_string() {
            return Err(SightError::Failed(format!("psql: error: could not connect to server: no socket .s.PGSQL.{}", cluster.port)));
        }
        let root = self.is_root();
        let setting = |(name, (written, pending)): (&String, &(Written, bool))| {
            let source_file = written.source_file.clone().filter(|_| root);
            (
                name.clone(),
                Setting {
                    value: written.value.clone(),
                    pending_restart: *pending,
                    context: settings::context(name).into(),
                    source_file,
                    source: Some(if written.source_file.is_some() { "configuration file" } else { "default" }.into()),
                    unit: None,
                },
            )
        };
        let slot = |(name, lost): (&String, &bool)| {
            let wal_status = Some(if *lost { "lost" } else { "reserved" }.to_owned());
            let active = server.active_slots.contains(name);
            let (plugin, database) = (None, None);
            (name.clone(), SlotSight { active, wal_status, kind: "physical".into(), plugin, database, temporary: false, synced: false })
        };
        Ok(ServerSight::Up(Box::new(Sight {
            in_recovery: server.in_recovery,
            system_identifier: data.system_identifier.clone(),
            timeline: data.timeline,
            lsn: Some(lsn_text(data.lsn)),
            replay_lsn: server.in_recovery.then(|| lsn_text(data.replayed)),
            last_replayed_at: Some(data.content.committed_at).filter(|at| server.in_recovery && *at > 0.0),
            last_write_at: Some(data.written.committed_at).filter(|at| !server.in_recovery && *at > 0.0),
            replay_paused: server.replay_paused,
            starved: server.in_recovery && data.replayed == data.lsn,
            receiver: server.receiver.clone(),
            slots: data.slots.iter().map(slot).collect(),
            senders: server.senders.clone(),
            settings: server.settings.iter().map(setting).collect(),
            elsewhere: if root { self.read_settings(&key).elsewhere } else { BTreeMap::new() },
            subscriptions: Vec::new(),
            in_use: Default::default(),
            spaces: Vec::new(),
            delayed: false,
            replication_roles: data.content.roles.iter().map(|(role, verifier)| (role.clone(), root.then(|| verifier.clone()))).collect(),
            sees_verifiers: root,
            databases: data.content.databases.iter().map(|(name, database)| (name.clone(), database.size)).collect(),
            loaded_at: server.loaded_at,
            started_at: server.started_at,
            file_errors: server.file_errors.iter().filter(|_| root).cloned().collect(),
        })))
    }

    pub(super) fn attachments(&self, cluster: &ClusterName, database: &str) -> Result<Attachments, SightError> {
        let cluster = self.clusters.get(&key(cluster)).filter(|cluster| cluster.server.is_some());
        let data = cluster
            .and_then(|cluster| cluster.data.as_ref())
            .ok_or_else(|| SightError::Failed("psql: error: could not connect to server: Connection refused".into()))?;
        let database = data
            .content
            .databases
            .get(database)
            .ok_or_else(|| SightError::Failed(format!("psql: error: FATAL:  database \"{database}\" does not exist")))?;
        let mut seen = Attachments::new();
        for (store_name, row) in database.attachments.values() {
            let one = seen.entry(store_name.clone()).or_insert_with(|| row.clone());
            one.size = one.size.max(row.size);
            one.regenerable &= row.regenerable;
        }
        Ok(seen)
    }
}

/// The five parameters as numbers.
pub(super) fn parameters<'a>(value: impl Fn(&str) -> Option<&'a str>) -> BTreeMap<String, u64> {
    PARAMETERS.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?.parse().ok()?))).collect()
}

/// PostgreSQL 13 stops a standby whose parameters are lower than its primary's.
pub(super) fn refuse_lower(own: &BTreeMap<String, u64>, primary: &BTreeMap<String, u64>) -> Result<(), String> {
    match primary.iter().find(|(name, value)| own.get(*name).is_some_and(|own| own < value)) {
        Some((name, value)) => {
            let own = own.get(name).copied().unwrap_or_default();
            Err(format!(
                "FATAL:  hot standby is not possible because {name} = {own} is a lower setting than on the master server (its value was {value})"
            ))
        }
        None => Ok(()),
    }
}
