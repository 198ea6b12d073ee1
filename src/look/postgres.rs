//! PostgreSQL: the cluster on disk, and the running server, seen with one query.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ClusterName, Reply, SightError, quote};
use crate::secret::Secret;

/// A cluster on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// The data directory.
    pub data_directory: String,
    /// `None` if the data directory is empty, absent, or no cluster.
    pub state: Option<ClusterState>,
    /// A process holds it.
    pub running: bool,
    /// `standby.signal` is there.
    pub standby_signal: bool,
    /// A pg_rewind began and did not end: the data is neither old nor new.
    #[serde(default)]
    pub rewinding: bool,
    /// Copies of data that a rejoin discarded.
    #[serde(default)]
    pub kept: Vec<String>,
}

/// pg_controldata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    /// `Database cluster state`.
    pub state: String,
    /// `Database system identifier`: equal on a primary and its standbys.
    pub system_identifier: String,
    /// `Latest checkpoint's TimeLineID`, or that of the minimum recovery ending location if it is higher.
    pub timeline: u32,
    /// `Latest checkpoint location`: where its record begins; `X/Y`.
    #[serde(default)]
    pub checkpoint: Option<String>,
    /// `Minimum recovery ending location`: up to where a standby is known to have replayed; `X/Y`.
    #[serde(default)]
    pub replayed: Option<String>,
    /// Its pages tell which of them changed (checksums, or `wal_log_hints`), as pg_rewind needs.
    #[serde(default)]
    pub rewindable: bool,
    /// The five parameters as the last primary had them.
    #[serde(default)]
    pub parameters: BTreeMap<String, u64>,
    /// Where each earlier timeline ended, from the newest history file.
    #[serde(default)]
    pub history: Vec<(u32, String)>,
}

impl ClusterState {
    /// It took writes when it last ran, whatever it is to be next.
    pub fn was_primary(&self) -> bool {
        !matches!(self.state.as_str(), "shut down in recovery" | "in archive recovery")
    }
    /// It ended in order: nothing is left to recover.
    pub fn is_clean(&self) -> bool {
        self.state.starts_with("shut down")
    }
}

/// The server, or why it gives no answer though nothing is broken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ServerSight {
    /// Its software is not installed or the cluster is not running.
    Down,
    /// It answers.
    Up(Box<Server>),
}

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
    /// Replay waits (a parameter mismatch, or by hand).
    pub replay_paused: bool,
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
}

/// The directories Debian uses; `data_directory` as the cluster's own configuration says it.
pub(super) fn cluster_script(cluster: &ClusterName) -> String {
    let (version, name) = (cluster.version, quote(cluster.name.as_str()));
    format!(
        r#"conf=/etc/postgresql/{version}/{name}/postgresql.conf
[ -e "$conf" ] || {{ [ -d /etc/postgresql/{version}/{name} ] && ls "$conf" >/dev/null || exit 0; }}
data=$(sed -n "s/^[[:space:]]*data_directory[[:space:]]*=[[:space:]]*'\([^']*\)'.*/\1/p" "$conf" | tail -n 1)
[ -n "$data" ] || data=/var/lib/postgresql/{version}/{name}
echo "data $data"
systemctl is-active --quiet postgresql@{version}-{name}.service && echo running
[ -e "$data/standby.signal" ] && echo standby
[ -e "$data.otr-rewinding" ] && echo rewinding
for kept in "$data".otr-diverged-*; do case $kept in *.new) ;; *) [ ! -e "$kept" ] || echo "kept $kept";; esac; done
if [ -e "$data/global/pg_control" ]; then
  LC_ALL=C /usr/lib/postgresql/{version}/bin/pg_controldata "$data"
  last=$(ls "$data"/pg_wal/*.history 2>/dev/null | tail -n 1)
  [ -z "$last" ] || sed 's/^/history /' "$last"
elif ! [ -e "$data/PG_VERSION" ] && [ -d "$data" ] && ! ls "$data" >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ]; then ls "$data" >/dev/null; else echo hidden; fi
fi; :"#
    )
}

pub(super) fn read_cluster(reply: &Reply, limit: u64) -> Result<Option<Cluster>, SightError> {
    let text = reply.text(limit)?;
    let Some(data) = text.lines().find_map(|line| line.strip_prefix("data ")) else { return Ok(None) };
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let state = match (field("Database cluster state"), field("Database system identifier"), field("Latest checkpoint's TimeLineID")) {
        (Some(state), Some(id), Some(timeline)) => Some(ClusterState {
            state: state.to_owned(),
            system_identifier: id.to_owned(),
            timeline: timeline
                .parse::<u32>()
                .map_err(|e| SightError::Unreadable(format!("timeline: {e}")))?
                // A standby that went over to a new one has made no restartpoint there yet.
                .max(field("Min recovery ending loc's timeline").and_then(|timeline| timeline.parse().ok()).unwrap_or(0)),
            checkpoint: field("Latest checkpoint location").map(str::to_owned),
            replayed: field("Minimum recovery ending location").map(str::to_owned),
            rewindable: field("wal_log_hints setting") == Some("on") || field("Data page checksum version").is_some_and(|v| v != "0"),
            parameters: PARAMETERS.iter().filter_map(|(name, said)| Some(((*name).to_owned(), field(said)?.parse().ok()?))).collect(),
            history: text.lines().filter_map(|line| history(line.strip_prefix("history ")?)).collect(),
        }),
        _ if text.lines().any(|line| line == "hidden") => {
            return Err(SightError::Denied(format!("{data} is readable only by postgres")));
        }
        _ => None,
    };
    Ok(Some(Cluster {
        data_directory: data.to_owned(),
        state,
        running: text.lines().any(|line| line == "running"),
        standby_signal: text.lines().any(|line| line == "standby"),
        rewinding: text.lines().any(|line| line == "rewinding"),
        kept: text.lines().filter_map(|line| line.strip_prefix("kept ")).map(str::to_owned).collect(),
    }))
}

/// The five parameters, and what pg_controldata calls them.
const PARAMETERS: [(&str, &str); 5] = [
    ("max_connections", "max_connections setting"),
    ("max_worker_processes", "max_worker_processes setting"),
    ("max_wal_senders", "max_wal_senders setting"),
    ("max_prepared_transactions", "max_prepared_xacts setting"),
    ("max_locks_per_transaction", "max_locks_per_xact setting"),
];

/// A line of a history file: timeline, where it ended, why.
fn history(line: &str) -> Option<(u32, String)> {
    let mut words = line.split_whitespace();
    let timeline = words.next()?.parse().ok()?;
    Some((timeline, words.next().filter(|lsn| lsn_bytes(lsn).is_some())?.to_owned()))
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
\if :super
  \set verifiers 'r.rolpassword'
  \set authid 'pg_authid'
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
 'receiver', (SELECT json_build_object('status', status, 'slot', slot_name, 'sender', sender_host, 'timeline', received_tli,
   'latest_end_lsn', latest_end_lsn, 'last_message_at', extract(epoch FROM last_msg_receipt_time)) FROM pg_stat_wal_receiver),
 'slots', (SELECT coalesce(json_object_agg(slot_name, json_build_object('active', active, 'kind', slot_type,
   'wal_status', to_json(s)->>'wal_status')), '{}') FROM pg_replication_slots s),
 'senders', (SELECT coalesce(json_object_agg(application_name, state), '{}') FROM pg_stat_replication WHERE state IS NOT NULL),
 'settings', (SELECT json_object_agg(name, json_build_object('value', coalesce(current_setting(name, true), setting),
   'pending_restart', pending_restart, 'context', context, 'source_file', sourcefile)) FROM pg_settings),
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

    #[test]
    fn control_data_is_read() {
        let stdout = "data /var/lib/postgresql/13/main\nrunning\nDatabase system identifier:           7000\nDatabase cluster state:               in production\nLatest checkpoint location:           0/5000060\nLatest checkpoint's TimeLineID:       2\nMinimum recovery ending location:     0/0\nwal_log_hints setting:                on\nmax_prepared_xacts setting:           7\nData page checksum version:           0\nhistory 1\t0/3000148\tno recovery target specified\n";
        let cluster = read_cluster(&Reply { stdout: stdout.into(), ..Reply::default() }, 1).unwrap().unwrap();
        assert!(cluster.running && !cluster.standby_signal);
        let state = cluster.state.unwrap();
        assert!(state.was_primary() && !state.is_clean() && state.rewindable);
        assert_eq!((state.system_identifier.as_str(), state.timeline, state.checkpoint.as_deref()), ("7000", 2, Some("0/5000060")));
        assert_eq!(state.replayed.as_deref(), Some("0/0"));
        assert_eq!(state.parameters, BTreeMap::from([("max_prepared_transactions".to_owned(), 7)]));
        assert_eq!(state.history, [(1, "0/3000148".to_owned())]);
        assert_eq!(read_cluster(&Reply::default(), 1), Ok(None));
    }
}
