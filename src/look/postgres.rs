//! PostgreSQL: the running server, seen with one query; the cluster on disk is in `cluster`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ClusterName, Reply, SightError, quote};
use crate::secret::Secret;

mod cluster;

pub use cluster::{Cluster, ClusterState};
pub(super) use cluster::{cluster_script, read_cluster};

/// The server, or why it gives no answer though nothing is broken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ServerSight {
    /// Its software is not installed or the cluster is not running.
    Down,
    /// It answers.
    Up(Box<Server>),
}

/// What ends recovery at a point somebody chose: the next life as a standby promotes itself there, or stops.
pub const TARGETS: [&str; 5] =
    ["recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"];

/// A running server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// It follows another one.
    pub in_recovery: bool,
    /// `pg_control_system().system_identifier`.
    pub system_identifier: String,
    /// The timeline it writes, or on a standby the last it is known to have received or replayed.
    pub timeline: u32,
    /// Where WAL is written (primary), or up to where it was received (standby); `X/Y`.
    pub lsn: Option<String>,
    /// Up to where WAL was replayed, on a standby.
    pub replay_lsn: Option<String>,
    /// The commit time of the last replayed transaction, seconds since the epoch.
    pub last_replayed_at: Option<f64>,
    /// When a primary last wrote WAL, seconds since the epoch, where the login may see that.
    #[serde(default)]
    pub last_write_at: Option<f64>,
    /// Replay waits (a parameter mismatch, a recovery target, or by hand).
    pub replay_paused: bool,
    /// Replay waits until the next commit is as old as `recovery_min_apply_delay`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delayed: bool,
    /// A standby waits for WAL: it has replayed every whole record it has. The last bytes that came
    /// may be the beginning of one whose end never will.
    #[serde(default)]
    pub starved: bool,
    /// The WAL receiver, if one runs.
    pub receiver: Option<Receiver>,
    /// Slots by name.
    pub slots: BTreeMap<String, Slot>,
    /// application_name of connected standbys → state.
    pub senders: BTreeMap<String, String>,
    /// Settings by name.
    pub settings: BTreeMap<String, Setting>,
    /// What files other than otr's say, by name in small letters, where the login may see that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub elsewhere: BTreeMap<String, Elsewhere>,
    /// Subscriptions, `name (database)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<String>,
    /// How many prepared transactions and replication origins a restart must find room for.
    #[serde(default, skip_serializing_if = "InUse::is_nothing")]
    pub in_use: InUse,
    /// Where table spaces lie that are not in the data directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spaces: Vec<String>,
    /// Roles that may replicate and log in → SCRAM verifier, where the login may see it.
    pub replication_roles: BTreeMap<String, Option<Secret>>,
    /// The login may see verifiers.
    pub sees_verifiers: bool,
    /// Databases other than templates and `postgres` → bytes.
    pub databases: BTreeMap<String, u64>,
    /// When the configuration was loaded, seconds since the epoch.
    pub loaded_at: f64,
    /// When the server started, seconds since the epoch.
    pub started_at: f64,
    /// Lines of its configuration files it could not read.
    pub file_errors: Vec<String>,
}

impl Server {
    /// Up to where this standby has WAL. What it received alone does not say: a receiver that was
    /// started again begins at the start of a segment.
    pub fn reached(&self) -> Option<u64> {
        let position = |lsn: &Option<String>| lsn.as_deref().and_then(lsn_bytes);
        position(&self.lsn).max(position(&self.replay_lsn))
    }

    /// The same without the beginning of a record whose end will not come: nobody sends it any more.
    pub fn whole(&self) -> Option<u64> {
        let replayed = self.replay_lsn.as_deref().and_then(lsn_bytes);
        let sent = self.receiver.as_ref().is_some_and(|receiver| receiver.status == "streaming");
        if self.starved && !sent { replayed } else { self.reached() }
    }
}

/// A setting as another file than otr's has it (pg_file_settings): not always what holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// As it is written.
    pub value: String,
    /// The last file that says it.
    pub file: String,
    /// It is read after otr's file, so it holds.
    pub wins: bool,
}

impl Elsewhere {
    /// It was set with ALTER SYSTEM.
    pub fn is_altered(&self) -> bool {
        self.file.ends_with("/postgresql.auto.conf")
    }
}

/// What a restart must find room for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InUse {
    /// pg_prepared_xacts.
    pub prepared: u64,
    /// pg_replication_origin.
    pub origins: u64,
}

impl InUse {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// pg_stat_wal_receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receiver {
    /// `streaming` when it works.
    pub status: String,
    /// The slot it uses.
    pub slot: Option<String>,
    /// The host it gets WAL from.
    pub sender: Option<String>,
    /// The timeline it receives.
    pub timeline: u32,
    /// Production's last LSN as production reported it.
    pub latest_end_lsn: Option<String>,
    /// When the last message came, seconds since the epoch.
    pub last_message_at: Option<f64>,
}

/// pg_replication_slots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// A standby uses it now.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved` or `lost` (13 and later).
    pub wal_status: Option<String>,
    /// Physical or logical.
    pub kind: String,
    /// A logical slot's output plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// A logical slot's database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// It ends with its session.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub temporary: bool,
    /// On a standby: kept in step with production's slot of that name (17 and later), and so usable after a promotion.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synced: bool,
}

/// pg_settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Its value as SHOW prints it.
    pub value: String,
    /// A restart is needed for the value in the files to hold.
    pub pending_restart: bool,
    /// `postmaster` settings change only with a restart.
    pub context: String,
    /// The file it comes from, where the login may see that.
    pub source_file: Option<String>,
    /// `default`, `configuration file`, `command line` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What a number without a unit counts: `MB`, `8kB`, `ms` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Setting {
    /// Somebody set it: it is not PostgreSQL's default.
    pub fn is_set(&self) -> bool {
        self.source.as_deref().map_or(self.source_file.is_some(), |source| source != "default")
    }
}

/// How a script talks to the server: as postgres where it may, else as itself.
pub(crate) fn psql(cluster: &ClusterName, database: &str) -> String {
    let user = r#"$([ "$(id -u)" = 0 ] && echo "runuser -u postgres --")"#;
    // Debian's psql is a Perl script that asks ldd of the one it will start (pg_wrapper(1)): this is that one.
    let path = format!("env PATH=/usr/lib/postgresql/{}/bin:\"$PATH\"", cluster.version);
    format!("{user} {path} psql -X -q -A -t -v ON_ERROR_STOP=1 -p {} -d {}", cluster.port, quote(database))
}

/// Exit status 7 says that the server is not there or not running; what else fails is an error.
pub(super) fn server_script(cluster: &ClusterName) -> String {
    let (version, name) = (cluster.version, quote(cluster.name.as_str()));
    let psql = psql(cluster, "postgres");
    format!("systemctl is-active --quiet postgresql@{version}-{name}.service || exit 7\n{psql} <<'SQL'\n{QUERY}\nSQL")
}

/// One row of JSON with everything. pg_authid and pg_file_settings are asked only where
/// the login may: a CASE is not enough, for PostgreSQL checks rights before it evaluates.
const QUERY: &str = r"
SELECT (CASE WHEN rolsuper THEN 'true' ELSE 'false' END) AS super FROM pg_roles WHERE rolname = current_user \gset
SELECT pg_is_in_recovery() AS standby \gset
\set verifiers 'NULL::text'
\set authid 'pg_roles'
\set errors 'NULL::json'
\set wrote 'NULL::float8'
\set elsewhere 'NULL::json'
\if :super
  \set verifiers 'r.rolpassword'
  \set authid 'pg_authid'
  \set elsewhere '(SELECT json_object_agg(name, json_build_object($$value$$, setting, $$file$$, sourcefile, $$wins$$, seqno > ours)) FROM (SELECT DISTINCT ON (lower(name)) lower(name) AS name, setting, sourcefile, seqno, (SELECT coalesce(max(seqno), 0) FROM pg_file_settings WHERE lower(name) = lower(f.name) AND sourcefile LIKE $$%/conf.d/50-otr.conf$$) AS ours FROM pg_file_settings f WHERE name IS NOT NULL AND sourcefile NOT LIKE $$%/conf.d/50-otr.conf$$ ORDER BY lower(name), seqno DESC) AS one)'
  \set errors '(SELECT coalesce(json_agg(sourcefile || $$:$$ || sourceline || $$: $$ || error), $$[]$$::json) FROM pg_file_settings WHERE error IS NOT NULL AND error <> $$setting could not be applied$$)'
\endif
\if :standby
  \set lsn 'coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())'
  \set paused 'pg_is_wal_replay_paused()'
  \set newest '0'
  \if :super
    \set newest '(SELECT max(($$x$$ || substr(name, 1, 8))::bit(32)::int) FROM pg_ls_waldir() WHERE length(name) = 24)'
  \endif
  \set timeline '(SELECT greatest(timeline_id, min_recovery_end_timeline, ' :newest ') FROM pg_control_checkpoint(), pg_control_recovery())'
\else
  \set lsn 'pg_current_wal_flush_lsn()'
  \set paused 'false'
  \set timeline '(($$x$$ || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int)'
  \if :super
    \set wrote '(SELECT extract(epoch FROM (pg_stat_file($$pg_wal/$$ || pg_walfile_name(pg_current_wal_lsn()), true)).modification))'
  \endif
\endif
SELECT json_build_object(
 'in_recovery', pg_is_in_recovery(),
 'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
 'timeline', :timeline,
 'lsn', :lsn,
 'replay_lsn', pg_last_wal_replay_lsn(),
 'last_replayed_at', extract(epoch FROM pg_last_xact_replay_timestamp()),
 'last_write_at', :wrote,
 'replay_paused', :paused,
 'starved', EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup'
   AND wait_event IN ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval', 'RecoveryWalAll')),
 'delayed', EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event = 'RecoveryApplyDelay'),
 'receiver', (SELECT json_build_object('status', status, 'slot', slot_name, 'sender', sender_host, 'timeline', received_tli,
   'latest_end_lsn', latest_end_lsn, 'last_message_at', extract(epoch FROM last_msg_receipt_time)) FROM pg_stat_wal_receiver),
 'slots', (SELECT coalesce(json_object_agg(slot_name, json_build_object('active', active, 'kind', slot_type,
   'wal_status', to_json(s)->>'wal_status', 'plugin', plugin, 'database', database, 'temporary', temporary,
   'synced', coalesce((to_json(s)->>'synced')::bool, false))), '{}') FROM pg_replication_slots s),
 'senders', (SELECT coalesce(json_object_agg(application_name, state), '{}') FROM pg_stat_replication WHERE state IS NOT NULL),
 'settings', (SELECT json_object_agg(name, json_build_object('value', coalesce(current_setting(name, true), setting),
   'pending_restart', pending_restart, 'context', context, 'source_file', sourcefile, 'source', source, 'unit', unit)) FROM pg_settings),
 'elsewhere', coalesce(:elsewhere, '{}'::json),
 'subscriptions', (SELECT coalesce(json_agg(subname || ' (' || datname || ')' ORDER BY subname), '[]') FROM pg_subscription JOIN pg_database d ON d.oid = subdbid),
 'in_use', json_build_object('prepared', (SELECT count(*) FROM pg_prepared_xacts), 'origins', (SELECT count(*) FROM pg_replication_origin)),
 'spaces', (SELECT coalesce(json_agg(location ORDER BY location), '[]') FROM (SELECT pg_tablespace_location(oid) AS location FROM pg_tablespace) s WHERE location <> ''),
 'replication_roles', (SELECT coalesce(json_object_agg(r.rolname, :verifiers), '{}') FROM :authid r WHERE r.rolreplication AND r.rolcanlogin AND NOT r.rolsuper),
 'sees_verifiers', :super,
 'databases', (SELECT coalesce(json_object_agg(datname, CASE WHEN has_database_privilege(datname, 'CONNECT') THEN pg_database_size(datname) ELSE 0 END), '{}')
   FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'),
 'loaded_at', extract(epoch FROM pg_conf_load_time()),
 'started_at', extract(epoch FROM pg_postmaster_start_time()),
 'file_errors', coalesce(:errors, '[]'::json));";

pub(super) fn read_server(reply: &Reply, limit: u64) -> Result<ServerSight, SightError> {
    if reply.status == 7 {
        return Ok(ServerSight::Down);
    }
    serde_json::from_str(reply.text(limit)?)
        .map(|server| ServerSight::Up(Box::new(server)))
        .map_err(|e| SightError::Unreadable(e.to_string()))
}

/// A number of bytes as a log position.
pub fn lsn_text(bytes: u64) -> String {
    format!("{:X}/{:X}", bytes >> 32, bytes & 0xffff_ffff)
}

/// A log position as a number of bytes (`X/Y`, both hexadecimal).
pub fn lsn_bytes(lsn: &str) -> Option<u64> {
    let (high, low) = lsn.split_once('/')?;
    let low = u64::from_str_radix(low, 16).ok()?;
    u64::from_str_radix(high, 16).ok()?.checked_shl(32)?.checked_add(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_positions_are_numbers() {
        assert_eq!(lsn_bytes("0/3000148"), Some(0x300_0148));
        assert_eq!(lsn_bytes("1/0"), Some(1 << 32));
        assert_eq!(lsn_bytes("nonsense"), None);
    }
}
