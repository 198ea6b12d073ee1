//! A PostgreSQL cluster on disk: where its data stands, and what its control file says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lsn_bytes;
use crate::look::{ClusterName, Reply, SightError, quote};

/// How a data directory lies on its disks, where that is not one plain folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The data directory is a link to this folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// It is a mount point: it cannot be renamed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mounted: bool,
    /// `pg_wal` is a link to this folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal: Option<String>,
    /// `pg_wal` is a mount point inside of the data directory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wal_mounted: bool,
    /// Where a copy comes to stand: free bytes, and the mount point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<(u64, String)>,
}

impl Layout {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// A cluster on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// The data directory.
    pub data_directory: String,
    /// How it lies on its disks.
    #[serde(default, skip_serializing_if = "Layout::is_plain")]
    pub layout: Layout,
    /// `None` if the data directory is empty, absent, or no cluster.
    pub state: Option<ClusterState>,
    /// A process holds it.
    pub running: bool,
    /// `standby.signal` is there.
    pub standby_signal: bool,
    /// A pg_rewind began and did not end: the data is neither old nor new.
    #[serde(default)]
    pub rewinding: bool,
    /// What its files say of settings that a restart must not lower, while it is down.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configured: BTreeMap<String, String>,
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
    /// Its data directory is a mount point, in which a copy of it lies: pg_rewind would delete that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mounted: bool,
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

impl Cluster {
    /// What stands beside the data directory on its disk begins so: in it, where it is a mount point.
    pub fn beside(&self) -> String {
        let real = self.layout.link.as_ref().unwrap_or(&self.data_directory);
        if self.layout.mounted { format!("{real}/.otr-") } else { format!("{real}.otr-") }
    }
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

/// PostgreSQL itself says where its data stands, whatever files include what; where its files have an
/// error, Debian's tools do. A server that runs is where its process is.
const DATA: &str = r#"data=$(LC_ALL=C "$bin/postgres" -C data_directory -c config_file="$conf" 2>/dev/null || pg_conftool -s VERSION NAME show data_directory 2>/dev/null)
[ -n "$data" ] || data=/var/lib/postgresql/VERSION/NAME
pid=$(systemctl show -p MainPID --value postgresql@VERSION-NAME.service 2>/dev/null)
cwd=$(readlink "/proc/${pid:-0}/cwd" 2>/dev/null)
case $pid in ''|0) ;; *) [ -z "$cwd" ] || [ "$cwd" = "$(readlink -f -- "$data")" ] || data=$cwd;; esac
"#;

/// What a restart must not lower.
const CONFIGURED: &str = "max_connections max_worker_processes max_wal_senders max_prepared_transactions max_locks_per_transaction wal_level max_replication_slots wal_keep_size";

pub(in crate::look) fn cluster_script(cluster: &ClusterName) -> String {
    let (version, name) = (cluster.version, quote(cluster.name.as_str()));
    let data = DATA.replace("VERSION", &version.to_string()).replace("NAME", &name);
    format!(
        r#"conf=/etc/postgresql/{version}/{name}/postgresql.conf bin=/usr/lib/postgresql/{version}/bin
[ -e "$conf" ] || {{ [ -d /etc/postgresql/{version}/{name} ] && ls "$conf" >/dev/null || exit 0; }}
{data}echo "data $data"
systemctl is-active --quiet postgresql@{version}-{name}.service && echo running
real=$(readlink -f -- "$data") && [ -n "$real" ] || real=$data
[ ! -L "$data" ] || echo "link $real"
beside=$real.otr-
if mountpoint -q -- "$real" 2>/dev/null; then echo mounted; beside=$real/.otr-; fi
[ ! -L "$real/pg_wal" ] || echo "wal $(readlink -f -- "$real/pg_wal")"
! mountpoint -q -- "$real/pg_wal" 2>/dev/null || [ -L "$real/pg_wal" ] || echo 'wal mounted'
up=$real; until [ -d "$up" ]; do up=${{up%/*}}; up=${{up:-/}}; done
df -Pk -- "$up" 2>/dev/null | awk 'NR == 2 {{ at = $6; for (i = 7; i <= NF; i++) at = at " " $i; print "room", $4, at }}'
[ -e "$data/standby.signal" ] && echo standby
[ -e "${{beside}}rewinding" ] && echo rewinding
for kept in "$beside"diverged-*; do case $kept in *.new) ;; *) [ ! -e "$kept" ] || echo "kept $kept";; esac; done
if [ -e "$data/global/pg_control" ]; then
  LC_ALL=C "$bin/pg_controldata" "$data"
  last=$(ls "$data"/pg_wal/*.history 2>/dev/null | tail -n 1)
  [ -z "$last" ] || sed 's/^/history /' "$last"
  systemctl is-active --quiet postgresql@{version}-{name}.service || for n in {CONFIGURED}; do
    v=$(LC_ALL=C "$bin/postgres" -C $n -c config_file="$conf" 2>/dev/null) && echo "configured $n $v"
  done
elif ! [ -e "$data/PG_VERSION" ] && [ -d "$data" ] && ! ls "$data" >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ]; then ls "$data" >/dev/null; else echo hidden; fi
fi; :"#
    )
}

pub(in crate::look) fn read_cluster(reply: &Reply, limit: u64) -> Result<Option<Cluster>, SightError> {
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
            mounted: text.lines().any(|line| line == "mounted"),
            rewindable: field("wal_log_hints setting") == Some("on") || field("Data page checksum version").is_some_and(|v| v != "0"),
            parameters: PARAMETERS.iter().filter_map(|(name, said)| Some(((*name).to_owned(), field(said)?.parse().ok()?))).collect(),
            history: text.lines().filter_map(|line| history(line.strip_prefix("history ")?)).collect(),
        }),
        _ if text.lines().any(|line| line == "hidden") => {
            return Err(SightError::Denied(format!("{data} is readable only by postgres")));
        }
        _ => None,
    };
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)).map(str::to_owned);
    let room = line("room ").and_then(|room| {
        let (kilobytes, at) = room.split_once(' ')?;
        Some((kilobytes.parse::<u64>().ok()? << 10, at.to_owned()))
    });
    let layout = Layout {
        link: line("link "),
        mounted: text.lines().any(|line| line == "mounted"),
        wal: line("wal /").map(|wal| format!("/{wal}")),
        wal_mounted: text.lines().any(|line| line == "wal mounted"),
        room,
    };
    Ok(Some(Cluster {
        data_directory: data.to_owned(),
        layout,
        state,
        running: text.lines().any(|line| line == "running"),
        standby_signal: text.lines().any(|line| line == "standby"),
        rewinding: text.lines().any(|line| line == "rewinding"),
        configured: text
            .lines()
            .filter_map(|line| line.strip_prefix("configured ")?.split_once(' '))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_data_is_read() {
        let stdout = "data /var/lib/postgresql/13/main\nrunning\nroom 48 /srv/a disk\nDatabase system identifier:           7000\nDatabase cluster state:               in production\nLatest checkpoint location:           0/5000060\nLatest checkpoint's TimeLineID:       2\nMinimum recovery ending location:     0/0\nwal_log_hints setting:                on\nmax_prepared_xacts setting:           7\nData page checksum version:           0\nhistory 1\t0/3000148\tno recovery target specified\n";
        let cluster = read_cluster(&Reply { stdout: stdout.into(), ..Reply::default() }, 1).unwrap().unwrap();
        assert!(cluster.running && !cluster.standby_signal);
        assert_eq!(cluster.layout.room, Some((48 << 10, "/srv/a disk".into())));
        let state = cluster.state.unwrap();
        assert!(state.was_primary() && !state.is_clean() && state.rewindable);
        assert_eq!((state.system_identifier.as_str(), state.timeline, state.checkpoint.as_deref()), ("7000", 2, Some("0/5000060")));
        assert_eq!(state.replayed.as_deref(), Some("0/0"));
        assert_eq!(state.parameters, BTreeMap::from([("max_prepared_transactions".to_owned(), 7)]));
        assert_eq!(state.history, [(1, "0/3000148".to_owned())]);
        assert_eq!(read_cluster(&Reply::default(), 1), Ok(None));
    }
}
