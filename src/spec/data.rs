//! What holds data: PostgreSQL, the filestore, other files; and the timers.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OptionValue, Percent, Setting, Size, Span};
use crate::name::{Mode as FileMode, UnitName, Word};

/// PostgreSQL streaming replication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replication {
    /// The major version.
    #[schemars(range(min = 12, max = 99))]
    pub postgresql: u32,
    /// The cluster's name (pg_lsclusters).
    #[serde(default = "main_cluster")]
    pub cluster: Word,
    /// The server's port.
    #[serde(default = "postgresql_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Whether a commit waits for the standby.
    #[serde(default)]
    pub mode: Mode,
    /// A replication slot per standby, so that production keeps the WAL it needs.
    #[serde(default = "yes")]
    pub slot: bool,
    /// How much WAL a slot may keep on production before it is given up.
    #[serde(default = "slot_keep")]
    pub slot_keep: Size,
    /// The replication role.
    #[serde(default = "replication_user")]
    pub user: Word,
    /// Its password. Made up on the standby and kept there in a file if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Setting>,
    /// Further settings of postgresql.conf on every host.
    #[serde(default)]
    pub parameters: IndexMap<String, OptionValue>,
}

/// Whether production waits for the standby at commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It does not: a power cut loses what was not yet sent.
    #[default]
    Async,
    /// It does: no commit is lost, and none succeeds while no standby is there.
    Sync,
}

/// How attachments follow the database.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filestore {
    /// A service on the standby asks the replica this often what is new, and fetches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Span>,
    /// How long a file stays on the standby after the database forgot it. For ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_deleted: Option<Span>,
    /// How often that service compares everything. 1h if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<Span>,
    /// The most one run may delete, as a share of the store. 5% if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delete: Option<Percent>,
    /// The most one run may delete, in files. 1000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delete_files: Option<u64>,
    /// The share of the store that is hashed each day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<Percent>,
}

/// Timers on the standbys.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// When `otr plan` runs (`daily`, `Mon 04:00`; systemd.time(7)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// When `otr sync` runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
    /// A file on the standbys that gets a line for every sync that went well
    /// (`YYYY-MM-DD HH:MM:SS :  command`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary_file: Option<PathBuf>,
}

/// A file or directory on every member, or on some.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Where it stands.
    pub path: PathBuf,
    /// A template's name: a file beside the spec, in its `templates/`, or one of otr's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Its content, itself a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// It is a directory.
    #[serde(default)]
    pub directory: bool,
    /// A standby takes the file, or the small tree, from production: content, owner, mode, links.
    #[serde(default, skip_serializing_if = "is_false")]
    pub clone: bool,
    /// With `clone`: names or paths below it that are left out; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// With `clone`: its text may be shown in plans. Only names are shown without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub show: bool,
    /// Its owner.
    #[serde(default = "root")]
    pub owner: Word,
    /// Its group; the owner's name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Word>,
    /// Its permission bits; 0644 for a file, 0755 for a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
    /// The service that reads it, reloaded or restarted when it runs an older configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// Only on these hosts; on every member if absent. A witness gets what names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<crate::name::HostName>>,
}

/// Where a file's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource<'a> {
    /// A named template.
    Template(&'a str),
    /// Text of the spec itself.
    Content(&'a str),
    /// None: a directory.
    Directory,
    /// Production.
    Clone,
}

impl FileSpec {
    /// Its one source; `None` if the spec names none or several (which [`super::check`] refuses).
    pub fn source(&self) -> Option<FileSource<'_>> {
        match (&self.template, &self.content, self.directory, self.clone) {
            (Some(name), None, false, false) => Some(FileSource::Template(name)),
            (None, Some(text), false, false) => Some(FileSource::Content(text)),
            (None, None, true, false) => Some(FileSource::Directory),
            (None, None, false, true) => Some(FileSource::Clone),
            _ => None,
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}
fn yes() -> bool {
    true
}
fn postgresql_port() -> u16 {
    5432
}
/// How much a slot may keep where the spec does not say it.
pub const DEFAULT_SLOT_KEEP: Size = Size(10 << 30);
fn slot_keep() -> Size {
    DEFAULT_SLOT_KEEP
}
#[allow(clippy::expect_used, reason = "literals; a test parses them")]
fn word(text: &str) -> Word {
    text.parse().expect("a simple name")
}
fn main_cluster() -> Word {
    word("main")
}
fn replication_user() -> Word {
    word("otr_repl")
}
fn root() -> Word {
    word("root")
}

#[cfg(test)]
mod tests {
    #[test]
    fn defaults_are_names() {
        super::main_cluster();
        super::replication_user();
        super::root();
    }
}
