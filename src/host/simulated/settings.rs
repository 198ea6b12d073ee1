//! PostgreSQL's configuration files as the simulated server reads them, and how SHOW prints values.
//!
//! The list of settings is the part of PostgreSQL 13's that otr or Debian's files speak of.

use std::collections::BTreeMap;
use std::path::Path;

use super::files::Files;
use crate::look::Elsewhere;

/// How a value is read and printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bool,
    Plain,
    /// Bytes of one step when no unit is written.
    Memory(u64),
    /// Milliseconds of one step when no unit is written.
    Time(u64),
}
use Unit::{Bool, Memory, Plain, Time};

/// Name, how it is read, context, default. Source: PostgreSQL 13's guc.c.
const KNOWN: &[(&str, Unit, &str, &str)] = &[
    ("archive_command", Plain, "sighup", "(disabled)"),
    ("archive_mode", Plain, "postmaster", "off"),
    ("archive_timeout", Time(1000), "sighup", "0"),
    ("autovacuum", Bool, "sighup", "on"),
    ("checkpoint_completion_target", Plain, "sighup", "0.5"),
    ("checkpoint_timeout", Time(1000), "sighup", "5min"),
    ("cluster_name", Plain, "postmaster", ""),
    ("data_checksums", Bool, "internal", "off"),
    ("data_directory", Plain, "postmaster", ""),
    ("effective_cache_size", Memory(8192), "user", "4GB"),
    ("full_page_writes", Bool, "sighup", "on"),
    ("hba_file", Plain, "postmaster", ""),
    ("hot_standby", Bool, "postmaster", "on"),
    ("hot_standby_feedback", Bool, "sighup", "off"),
    ("listen_addresses", Plain, "postmaster", "localhost"),
    ("log_min_duration_statement", Time(1), "superuser", "-1"),
    ("maintenance_work_mem", Memory(1024), "user", "64MB"),
    ("max_connections", Plain, "postmaster", "100"),
    ("max_locks_per_transaction", Plain, "postmaster", "64"),
    ("max_prepared_transactions", Plain, "postmaster", "0"),
    ("max_replication_slots", Plain, "postmaster", "10"),
    ("max_slot_wal_keep_size", Memory(1 << 20), "sighup", "-1"),
    ("max_standby_streaming_delay", Time(1), "sighup", "30s"),
    ("max_wal_senders", Plain, "postmaster", "10"),
    ("max_wal_size", Memory(1 << 20), "sighup", "1GB"),
    ("max_worker_processes", Plain, "postmaster", "8"),
    ("min_wal_size", Memory(1 << 20), "sighup", "80MB"),
    ("password_encryption", Plain, "user", "md5"),
    ("port", Plain, "postmaster", "5432"),
    ("primary_conninfo", Plain, "sighup", ""),
    ("primary_slot_name", Plain, "sighup", ""),
    ("promote_trigger_file", Plain, "sighup", ""),
    ("random_page_cost", Plain, "user", "4"),
    ("recovery_end_command", Plain, "sighup", ""),
    ("recovery_min_apply_delay", Time(1), "sighup", "0"),
    ("recovery_target", Plain, "postmaster", ""),
    ("recovery_target_action", Plain, "postmaster", "pause"),
    ("recovery_target_lsn", Plain, "postmaster", ""),
    ("recovery_target_name", Plain, "postmaster", ""),
    ("recovery_target_time", Plain, "postmaster", ""),
    ("recovery_target_timeline", Plain, "postmaster", "latest"),
    ("recovery_target_xid", Plain, "postmaster", ""),
    ("restore_command", Plain, "postmaster", ""),
    ("server_version", Plain, "internal", "13.23 (Debian 13.23-0+deb11u1)"),
    ("server_version_num", Plain, "internal", "130023"),
    ("shared_buffers", Memory(8192), "postmaster", "128MB"),
    ("ssl", Bool, "sighup", "off"),
    ("synchronous_commit", Plain, "user", "on"),
    ("synchronous_standby_names", Plain, "sighup", ""),
    ("temp_buffers", Memory(8192), "user", "8MB"),
    ("wal_buffers", Memory(8192), "postmaster", "4MB"),
    ("wal_compression", Bool, "superuser", "off"),
    ("wal_keep_size", Memory(1 << 20), "sighup", "0"),
    ("wal_level", Plain, "postmaster", "replica"),
    ("wal_log_hints", Bool, "postmaster", "off"),
    ("wal_receiver_status_interval", Time(1000), "sighup", "10s"),
    ("wal_receiver_timeout", Time(1), "sighup", "1min"),
    ("wal_retrieve_retry_interval", Time(1), "sighup", "5s"),
    ("wal_sender_timeout", Time(1), "user", "1min"),
    ("work_mem", Memory(1024), "user", "4MB"),
];

/// Settings a standby must have at least as high as its primary.
pub const PARAMETERS: [&str; 5] =
    ["max_connections", "max_locks_per_transaction", "max_prepared_transactions", "max_wal_senders", "max_worker_processes"];

/// A setting as the files say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// As SHOW will print it.
    pub value: String,
    /// `None` for a default.
    pub source_file: Option<String>,
}

/// What the files say, and the lines that could not be read.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// Every setting by name, defaults too.
    pub settings: BTreeMap<String, Written>,
    /// What files other than otr's say, as pg_file_settings has it.
    pub elsewhere: BTreeMap<String, Elsewhere>,
    /// `file:line: why`.
    pub errors: Vec<String>,
}

/// When a setting's change takes hold.
pub fn context(name: &str) -> &'static str {
    KNOWN.iter().find(|(known, ..)| *known == name).map_or("sighup", |(_, _, context, _)| context)
}

/// Reads the files of a cluster in the server's order: postgresql.conf with what it includes, then postgresql.auto.conf.
pub fn read(files: &Files, directory: &Path, data_directory: &Path) -> Read {
    let default = |value: &&str| Written { value: (*value).to_owned(), source_file: None };
    let settings = KNOWN.iter().map(|(name, _, _, value)| ((*name).to_owned(), default(value))).collect();
    let mut read = Read { settings, ..Read::default() };
    file(files, &directory.join("postgresql.conf"), directory, &mut read);
    file(files, &data_directory.join("postgresql.auto.conf"), directory, &mut read);
    read
}

fn file(files: &Files, path: &Path, directory: &Path, read: &mut Read) {
    for (number, line) in files.text(path).lines().enumerate() {
        match assignment(line) {
            Ok(None) => {}
            Ok(Some((name, value))) if name == "include_dir" => {
                let included = directory.join(value);
                let names: Vec<_> = files
                    .below(&included)
                    .map(|(path, _)| path.to_owned())
                    .filter(|p| p.extension().is_some_and(|e| e == "conf"))
                    .collect();
                for name in names {
                    file(files, &name, directory, read);
                }
            }
            Ok(Some((name, value))) => {
                let said = Elsewhere { value: value.clone(), file: path.display().to_string(), wins: true };
                match path.ends_with("conf.d/50-otr.conf") {
                    true => drop(read.elsewhere.get_mut(&name).map(|other| other.wins = false)),
                    false => drop(read.elsewhere.insert(name.clone(), said)),
                }
                let written = Written { value: shown(&name, &value), source_file: Some(path.display().to_string()) };
                read.settings.insert(name, written);
            }
            Err(()) => read.errors.push(format!("{}:{}: syntax error", path.display(), number + 1)),
        }
    }
}

/// One line: `name = 'value'`, `name value`, blank or comment. Quotes inside are doubled.
pub(super) fn assignment(line: &str) -> Result<Option<(String, String)>, ()> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c))).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    if name.is_empty() || rest.is_empty() {
        return Err(());
    }
    let Some(quoted) = rest.strip_prefix('\'') else {
        let value = rest.split('#').next().unwrap_or_default().trim();
        return if value.contains(char::is_whitespace) { Err(()) } else { Ok(Some((name.to_ascii_lowercase(), value.to_owned()))) };
    };
    let mut value = String::new();
    let mut chars = quoted.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if chars.peek() == Some(&'\'') => {
                chars.next();
                value.push('\'');
            }
            '\'' => {
                let rest: String = chars.collect();
                let rest = rest.trim();
                return if rest.is_empty() || rest.starts_with('#') { Ok(Some((name.to_ascii_lowercase(), value))) } else { Err(()) };
            }
            c => value.push(c),
        }
    }
    Err(())
}

/// A value as SHOW prints it: the largest unit that leaves no rest.
fn shown(name: &str, value: &str) -> String {
    let Some((_, unit, ..)) = KNOWN.iter().find(|(known, ..)| *known == name) else { return value.to_owned() };
    match unit {
        Plain if name == "archive_command" && value.is_empty() => "(disabled)".into(),
        Plain => value.to_owned(),
        Bool => match value.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" | "t" => "on".into(),
            "off" | "false" | "no" | "0" | "f" => "off".into(),
            _ => value.to_owned(),
        },
        Memory(step) => scaled(value, *step, &[("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10), ("B", 1)]),
        Time(step) => scaled(value, *step, &[("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)]),
    }
}

fn scaled(value: &str, step: u64, units: &[(&str, u64)]) -> String {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, suffix) = value.split_at(digits);
    let factor = if suffix.is_empty() { Some(step) } else { units.iter().find(|(unit, _)| *unit == suffix.trim()).map(|(_, f)| *f) };
    match (number.parse::<u64>(), factor) {
        (Ok(0), Some(_)) => "0".into(),
        (Ok(number), Some(factor)) => {
            let total = number.saturating_mul(factor);
            units.iter().find(|(_, f)| total.is_multiple_of(*f)).map_or(value.to_owned(), |(unit, f)| format!("{}{unit}", total / f))
        }
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_server_reads_them() {
        let set = |n: &str, v: &str| Ok(Some((n.to_owned(), v.to_owned())));
        assert_eq!(assignment("port = 5432 # (change requires restart)"), set("port", "5432"));
        assert_eq!(assignment("a = 'it''s' # x"), set("a", "it's"));
        assert_eq!(assignment("include_dir = 'conf.d'"), set("include_dir", "conf.d"));
        assert_eq!(assignment("  # nothing"), Ok(None));
        for bad in ["a = 'open", "= 1", "a", "a b c"] {
            assert_eq!(assignment(bad), Err(()), "{bad}");
        }
    }

    #[test]
    fn values_are_shown_in_their_largest_unit() {
        for (name, value, wanted) in [
            ("wal_keep_size", "1024", "1GB"),
            ("shared_buffers", "16384", "128MB"),
            ("wal_sender_timeout", "60s", "1min"),
            ("max_slot_wal_keep_size", "-1", "-1"),
            ("hot_standby", "TRUE", "on"),
            ("max_connections", "200", "200"),
        ] {
            assert_eq!(shown(name, value), wanted);
        }
    }

    #[test]
    fn the_last_file_wins() {
        let mut files = Files::default();
        let attributes = ("postgres", "postgres", 0o644);
        files.write("/c/postgresql.conf", "work_mem = 8MB\ninclude_dir = 'conf.d'\n", attributes, 1.0);
        files.write("/c/conf.d/50-otr.conf", "work_mem = '16MB'\nport = 'x\n", attributes, 1.0);
        files.write("/c/conf.d/60-no.txt", "work_mem = '1MB'\n", attributes, 1.0);
        let seen = read(&files, Path::new("/c"), Path::new("/d"));
        assert_eq!(seen.settings["work_mem"], Written { value: "16MB".into(), source_file: Some("/c/conf.d/50-otr.conf".into()) });
        assert_eq!(seen.errors, ["/c/conf.d/50-otr.conf:2: syntax error"]);
        files.write("/d/postgresql.auto.conf", "work_mem = '32MB'\n", attributes, 1.0);
        assert_eq!(read(&files, Path::new("/c"), Path::new("/d")).settings["work_mem"].value, "32MB");
    }
}
