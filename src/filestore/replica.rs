//! Questions to the standby's own replica, by one long-lived psql.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::names::{NeededFile, StoreName, sort_needed};
use crate::look::ClusterName;
use crate::look::postgres::psql;
use crate::name::DatabaseName;

/// Ends every reply.
const END: &str = "otr-end";
/// Rows kept as examples of what is no filestore name.
const EXAMPLES: usize = 20;

/// Why the replica gave no answer. Never means that it has no row.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// psql cannot be started or broke.
    #[error("psql: {0}")]
    Io(#[from] std::io::Error),
    /// It ended before its reply did.
    #[error("database {database}: {said}")]
    Failed {
        /// Which.
        database: DatabaseName,
        /// What it said.
        said: String,
    },
    /// The server is no standby any more.
    #[error("PostgreSQL here does not follow production: this host was promoted, or is no standby yet")]
    Promoted,
    /// The reply is not what was asked for.
    #[error("database {database}: the reply is not understood: {line:?}")]
    Unreadable {
        /// Which.
        database: DatabaseName,
        /// What.
        line: String,
    },
}

/// An open session.
#[derive(Debug)]
pub struct Replica {
    database: DatabaseName,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What a database needs.
#[derive(Debug, Default)]
pub struct Wanted {
    /// The files, sorted.
    pub files: Vec<NeededFile>,
    /// Names that are none.
    pub foreign: Vec<String>,
}

/// Source of the rule: `_file_read` of ir_attachment.
const NAMED: &str = "store_fname <> ''";
/// A name with this lies in object storage. Looked for here: a million times LIKE costs the
/// server a third of the query's time.
const ELSEWHERE: &str = "://";

impl Replica {
    /// Connects to the server of this very host.
    ///
    /// # Errors
    /// psql cannot be started.
    pub fn open(cluster: &ClusterName, database: &DatabaseName) -> Result<Self, ReplicaError> {
        let command = format!("exec {}", psql(cluster, database.as_str()));
        let mut child = Command::new("sh")
            .args(["-c", &command])
            .current_dir("/")
            .env("LC_ALL", "C")
            .env("PGOPTIONS", "-c statement_timeout=600000 -c client_min_messages=error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let broken = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let (input, output) = (child.stdin.take().ok_or_else(broken)?, child.stdout.take().ok_or_else(broken)?);
        // psql writes rows one by one; where a pipe may not be larger it is only slower.
        let _ = rustix::pipe::fcntl_setpipe_size(&output, 1 << 20);
        Ok(Self { database: database.clone(), child, input: Some(input), output: BufReader::with_capacity(256 * 1024, output) })
    }

    /// Asks, and calls with each line of the reply.
    ///
    /// # Errors
    /// The reply did not come to its end.
    pub fn ask(&mut self, sql: &str, mut each: impl FnMut(&[u8])) -> Result<(), ReplicaError> {
        let question = format!("{sql}\nSELECT '{END}';\n");
        let sent = match &mut self.input {
            Some(input) => input.write_all(question.as_bytes()).and_then(|()| input.flush()),
            None => Ok(()),
        };
        if sent.is_err() {
            return Err(self.failed());
        }
        let mut line = Vec::new();
        loop {
            line.clear();
            match self.output.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return Err(self.failed()),
                Ok(_) => match line.strip_suffix(b"\n") {
                    Some(line) if line == END.as_bytes() => return Ok(()),
                    Some(line) => each(line),
                    // It broke off; the next read says so.
                    None => {}
                },
            }
        }
    }

    /// What psql said when it ended.
    fn failed(&mut self) -> ReplicaError {
        self.input = None;
        let mut said = String::new();
        if let Some(errors) = self.child.stderr.take() {
            // It has ended, so this ends.
            let _ = errors.take(4096).read_to_string(&mut said);
        }
        let said = if said.trim().is_empty() { "it ended without a word".to_owned() } else { said.trim().replace('\n', "; ") };
        ReplicaError::Failed { database: self.database.clone(), said }
    }

    /// Every file the database refers to. Sizes are those of the largest row of each.
    ///
    /// # Errors
    /// The reply broke off, or the server is no standby.
    pub fn needed(&mut self) -> Result<Wanted, ReplicaError> {
        self.files(&format!("SELECT store_fname, coalesce(file_size, 0) FROM ir_attachment WHERE {NAMED}"))
    }

    /// The files of some rows.
    pub(super) fn files(&mut self, select: &str) -> Result<Wanted, ReplicaError> {
        let (mut wanted, mut standby, mut odd) = (Wanted::default(), None, None);
        // COPY streams: psql keeps nothing of it.
        self.ask(&format!("SELECT 'recovery=' || pg_is_in_recovery();\nCOPY ({select}) TO STDOUT;"), |line| {
            if standby.is_none() {
                standby = Some(line == b"recovery=true");
                return;
            }
            let text = || String::from_utf8_lossy(line).into_owned();
            let at = line.iter().rposition(|&byte| byte == b'\t').unwrap_or_default();
            let (name, size) = (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default());
            match (StoreName::parse(name), std::str::from_utf8(size).ok().and_then(|size| size.parse().ok())) {
                (Some(name), Some(size)) => wanted.files.push(NeededFile::new(name, size)),
                (None, Some(_)) if !name.is_empty() => {
                    let name = String::from_utf8_lossy(name);
                    if !name.contains(ELSEWHERE) && wanted.foreign.len() < EXAMPLES {
                        wanted.foreign.push(name.chars().take(100).collect());
                    }
                }
                _ => odd = Some(text()),
            }
        })?;
        match (standby, odd) {
            (_, Some(line)) => Err(ReplicaError::Unreadable { database: self.database.clone(), line }),
            (Some(true), None) => {
                sort_needed(&mut wanted.files);
                wanted.files.shrink_to_fit();
                Ok(wanted)
            }
            _ => Err(ReplicaError::Promoted),
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // The end of its input ends psql; it is reaped so that follow mode leaves no zombie.
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How far the replica is, and how far it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// Replayed up to here.
    pub replayed: String,
    /// Every transaction before this one had ended, modulo 2^32.
    pub xmin: u64,
    /// The largest id of a row.
    pub max_id: i64,
}

/// Which rows are news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With larger ids: an index answers.
    Id(i64),
    /// Written by a transaction that had not ended then: every row is looked at.
    Snapshot(u64),
}

impl Replica {
    /// Where the replica is. Touches no table.
    ///
    /// # Errors
    /// As [`Replica::needed`].
    pub fn replayed(&mut self) -> Result<String, ReplicaError> {
        let mut reply = String::new();
        let question = "SELECT pg_is_in_recovery() || ' ' || coalesce(pg_last_wal_replay_lsn()::text, '');";
        self.ask(question, |line| reply.push_str(&String::from_utf8_lossy(line)))?;
        match reply.split_once(' ') {
            Some(("true", position)) => Ok(position.to_owned()),
            Some(("false", _)) => Err(ReplicaError::Promoted),
            _ => Err(ReplicaError::Unreadable { database: self.database.clone(), line: reply }),
        }
    }

    /// Where the replica is, for [`Replica::news`].
    ///
    /// # Errors
    /// As [`Replica::needed`].
    pub fn position(&mut self) -> Result<Position, ReplicaError> {
        let replayed = self.replayed()?;
        let (mut position, mut odd) = (None, String::new());
        self.ask(POSITION, |line| {
            let line = String::from_utf8_lossy(line);
            match read_position(&line) {
                Some((xmin, max_id)) => position = Some(Position { replayed: replayed.clone(), xmin, max_id }),
                None => odd = line.into_owned(),
            }
        })?;
        position.ok_or(ReplicaError::Unreadable { database: self.database.clone(), line: odd })
    }

    /// The files of rows that are new, and the position for the next time.
    ///
    /// # Errors
    /// As [`Replica::needed`].
    pub fn news(&mut self, since: Since) -> Result<(Vec<NeededFile>, Position), ReplicaError> {
        // The position first: what comes meanwhile is seen twice rather than never.
        let position = self.position()?;
        let condition = match since {
            Since::Id(id) => format!("id > {id}"),
            // Numbers of transactions wrap around; of two, the newer is less than half the circle ahead.
            Since::Snapshot(xmin) => format!("(xmin::text::bigint - {xmin} + 4294967296) % 4294967296 < 2147483648"),
        };
        let select = format!("SELECT store_fname, coalesce(file_size, 0) FROM ir_attachment WHERE {NAMED} AND {condition}");
        Ok((self.files(&select)?.files, position))
    }
}

/// `txid_current_snapshot` works in recovery (its documentation), `txid_current` does not.
const POSITION: &str =
    "SELECT txid_snapshot_xmin(txid_current_snapshot()) % 4294967296 || ' ' || (SELECT coalesce(max(id), 0) FROM ir_attachment);";

fn read_position(line: &str) -> Option<(u64, i64)> {
    let (xmin, id) = line.split_once(' ')?;
    Some((xmin.parse().ok()?, id.parse().ok()?))
}
