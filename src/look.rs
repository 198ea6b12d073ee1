//! Looks and sights: the closed list of what otr can see on a host, and what it sees.
//!
//! One file per tool holds the POSIX script of a look and the pure function that reads its
//! reply. [`batch`] makes one program of many looks. Nothing here decides anything.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::name::{DatabaseName, Mode, UnitName, Word};

pub mod accounts;
pub mod addons;
pub mod apt;
pub mod batch;
pub mod bucket;
pub mod command;
pub mod content;
pub mod debconf;
pub mod drill;
pub mod elsewhere;
pub mod filestore;
pub mod folder;
pub mod life;
pub mod machine;
pub mod memcached;
pub mod mounts;
pub mod nixos;
pub mod odoo;
pub mod odoo_reads;
pub mod origins;
pub(crate) mod owner;
pub mod packages;
pub mod paths;
pub mod pip;
pub mod postgres;
pub mod python;
pub mod record;
pub mod redis;
pub mod sentinel;
pub mod sessions;
pub mod survey;
pub mod system;
pub mod units;
pub mod vitals;

pub use command::CommandLine;
pub use drill::{DrillLook, DrillSight};
pub use filestore::{Attachment, Attachments, StoreFile, StoreListing, TreeListing, TreeSums};
pub use folder::{Folder, Piece};
pub use machine::Machine;
pub use mounts::{MountSight, Mounted};
pub use nixos::NixSystem;
pub use odoo::{LoginPage, Probe, Visit};
pub use packages::{Package, Packages};
pub use paths::{Entry, PathSight};
pub use postgres::{Cluster, ClusterState, Elsewhere, InUse, Receiver, Server, ServerSight, Setting, Slot};
pub use python::{PythonSight, Site};
pub use redis::RedisSight;
pub use sentinel::SentinelSight;
pub use sessions::{SessionPlace, SessionsSight};
pub use survey::Survey;
pub use units::{Enablement, UnitSight};
pub use vitals::Vitals;

/// A PostgreSQL cluster as Debian names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterName {
    /// The major version.
    pub version: u32,
    /// The cluster's name.
    pub name: Word,
    /// Its port.
    pub port: u16,
}

impl std::fmt::Display for ClusterName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.version, self.name)
    }
}

/// One thing to see on a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Look {
    /// The machine itself: name, system, login, clock, addresses.
    Machine,
    /// A tree of add-ons, and its checkouts.
    Addons(PathBuf),
    /// What stands on a machine that no spec describes yet.
    Survey,
    /// What it has to give: room, ports, locales.
    Vitals {
        /// The paths whose file systems matter.
        paths: Vec<PathBuf>,
        /// Odoo's port, where Odoo is to answer.
        odoo: Option<u16>,
        /// The cluster whose databases are looked at.
        cluster: Option<ClusterName>,
        /// Odoo's databases.
        databases: Vec<DatabaseName>,
    },
    /// The names in passwd and group.
    Accounts,
    /// Every Debian package.
    Packages,
    /// Answers to these questions of debconf.
    Debconf(Vec<String>),
    /// What a NixOS is made of; nothing on any other system.
    Nixos,
    /// What stands at a path, without following a link there.
    Path(PathBuf),
    /// A file's bytes, up to 1 MiB.
    Content(PathBuf),
    /// The end of a record.
    Record(PathBuf),
    /// A file that holds a secret, read whole into custody.
    SecretContent(PathBuf),
    /// The SHA-256 of a file.
    Digest(PathBuf),
    /// A systemd unit.
    Unit(UnitName),
    /// Python modules of a place.
    Python(Site),
    /// A PostgreSQL cluster on disk: running or not, its control data.
    Cluster(ClusterName),
    /// A running PostgreSQL server.
    Server(ClusterName),
    /// The files a database refers to.
    Attachments(ClusterName, DatabaseName),
    /// The files of a database's filestore; those changed since `stamp` with their SHA-1.
    Store {
        /// `data_dir/filestore/<database>`.
        directory: PathBuf,
        /// A file whose mtime says up to when all was verified.
        stamp: PathBuf,
        /// How many are hashed at most; all without it, which takes hours where nothing was verified yet.
        hashed: Option<u32>,
    },
    /// Asset bundles of a database whose files are not in its store.
    LostBundles {
        /// Where the database is.
        cluster: ClusterName,
        /// Whose bundles.
        database: DatabaseName,
        /// `data_dir/filestore/<database>`.
        directory: PathBuf,
    },
    /// Which of some files of a store are there.
    Present {
        /// `data_dir/filestore/<database>`.
        directory: PathBuf,
        /// Names of the store, `ab/abcd…`.
        names: Vec<String>,
    },
    /// A small tree with its contents, in custody.
    Folder(PathBuf),
    /// What a run of apt would do.
    Apt(apt::AptRun),
    /// What a run of pip would bring.
    Pip(pip::PipRun),
    /// Where packages of these versions can be had.
    Origins(Vec<(String, String)>),
    /// What Odoo and PostgreSQL depend on besides: ids, locales, time zone, kernel settings, limits.
    System,
    /// A tree of changing files: sessions, add-ons.
    Tree(PathBuf),
    /// The SHA-1 of each file of a tree.
    Sums(PathBuf),
    /// A Redis server; its password is read from its own configuration file on the host.
    Redis {
        /// redis.conf.
        config: PathBuf,
        /// The server's port.
        port: u16,
    },
    /// An object store's address.
    Bucket(String),
    /// A Redis that otr does not set up.
    RedisElsewhere(elsewhere::Elsewhere),
    /// memcached on a port.
    Memcached(u16),
    /// A sentinel, and what it knows of a primary.
    Sentinel {
        /// Its port.
        port: u16,
        /// The name it knows the primary by.
        name: String,
    },
    /// The login sessions of a store.
    Sessions(SessionPlace),
    /// A mount point.
    Mount {
        /// Where.
        at: PathBuf,
        /// For a bind: the folder that is to be seen there.
        folder: Option<PathBuf>,
        /// The program that mounts its type.
        helper: Option<String>,
    },
    /// Odoo's login page and every asset it names, asked for on the host itself.
    LoginPage(odoo::Visit),
    /// What a program of the spec's answers.
    Command(CommandLine),
    /// Something of a drill's.
    Drill(DrillLook),
    /// Another machine's ports, asked from this one.
    Life(life::Ask),
    /// Whether Odoo reads a text as its configuration.
    OdooReads(odoo_reads::Reading),
}

impl std::fmt::Display for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Look::Machine => f.write_str("the machine"),
            Look::Survey => f.write_str("what stands there"),
            Look::Vitals { .. } => f.write_str("room, ports and locales"),
            Look::Accounts => f.write_str("users and groups"),
            Look::Packages => f.write_str("Debian packages"),
            Look::Debconf(_) => f.write_str("debconf's answers"),
            Look::Nixos => f.write_str("NixOS"),
            Look::Path(path)
            | Look::Content(path)
            | Look::Record(path)
            | Look::SecretContent(path)
            | Look::Digest(path)
            | Look::Tree(path)
            | Look::Sums(path)
            | Look::Addons(path)
            | Look::Folder(path) => path.display().fmt(f),
            Look::Apt(_) => f.write_str("what apt would do"),
            Look::Pip(_) => f.write_str("what pip would bring"),
            Look::Origins(_) => f.write_str("where packages can be had"),
            Look::System => f.write_str("ids, locales, time zone, kernel settings and limits"),
            Look::Unit(unit) => unit.fmt(f),
            Look::Python(Site::System) => f.write_str("Python modules"),
            Look::Python(Site::Venv(path)) => write!(f, "Python modules of {}", path.display()),
            Look::Cluster(cluster) => write!(f, "PostgreSQL cluster {cluster}"),
            Look::Server(cluster) => write!(f, "PostgreSQL server {cluster}"),
            Look::Attachments(_, database) => write!(f, "the attachments of database {database}"),
            Look::Store { directory, .. } => directory.display().fmt(f),
            Look::LostBundles { database, .. } => write!(f, "the asset bundles of database {database}"),
            Look::Present { directory, names } => write!(f, "{} files of {}", names.len(), directory.display()),
            Look::Sessions(_) => f.write_str("the sessions"),
            Look::Mount { at, .. } => write!(f, "the mount {}", at.display()),
            Look::Redis { port, .. } => write!(f, "Redis on port {port}"),
            Look::Bucket(url) => f.write_str(url),
            Look::RedisElsewhere(at) => write!(f, "the Redis {}:{}", at.host, at.port),
            Look::Memcached(port) => write!(f, "memcached on port {port}"),
            Look::Sentinel { port, .. } => write!(f, "Sentinel on port {port}"),
            Look::LoginPage(_) => f.write_str("Odoo's login page"),
            Look::Drill(look) => f.write_str(look.shown()),
            Look::OdooReads(reading) => write!(f, "how Odoo reads {}", reading.config.display()),
            Look::Life(ask) => write!(f, "the ports of {}", ask.address),
            Look::Command(command) => write!(f, "the answer of `{}`", command.shown()),
        }
    }
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "each variant is the sight of the look of the same name")]
pub enum Sight {
    Machine(Machine),
    Addons(Option<addons::AddonTree>),
    Survey(Survey),
    Vitals(Vitals),
    Accounts(accounts::Accounts),
    Packages(Packages),
    Debconf(debconf::Answers),
    Nixos(Option<NixSystem>),
    Path(PathSight),
    Content(Option<content::Content>),
    Record(Option<crate::record::Record>),
    SecretContent(Option<crate::secret::Secret>),
    Digest(Option<String>),
    Unit(UnitSight),
    Python(PythonSight),
    Cluster(Option<Cluster>),
    Server(ServerSight),
    Attachments(Attachments),
    Store(StoreListing),
    LostBundles(Option<std::collections::BTreeSet<String>>),
    Present(Option<std::collections::BTreeSet<String>>),
    Tree(TreeListing),
    Sums(TreeSums),
    Folder(Folder),
    Apt(apt::AptSight),
    Pip(pip::PipSight),
    Origins(BTreeMap<String, origins::Origin>),
    System(BTreeMap<String, String>),
    Redis(RedisSight),
    Sentinel(SentinelSight),
    Bucket(bucket::BucketSight),
    RedisElsewhere(elsewhere::ElsewhereSight),
    Memcached(memcached::MemcachedSight),
    Mount(MountSight),
    Sessions(SessionsSight),
    LoginPage(LoginPage),
    Command(command::Answer),
    Drill(DrillSight),
    Life(life::Answers),
    OdooReads(odoo_reads::Read),
}

/// Why a thing was not seen. Never means that it is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SightError {
    /// The look's script failed.
    #[error("{0}")]
    Failed(String),
    /// The login has no right to see it.
    #[error("no right to see it: {0}")]
    Denied(String),
    /// The look did not end in time.
    #[error("no answer within {0} s (a dead mount or a stuck daemon)")]
    Timeout(u64),
    /// The reply broke off.
    #[error("the reply was cut off")]
    Truncated,
    /// The reply could not be read.
    #[error("the reply is not understood: {0}")]
    Unreadable(String),
}

/// What one trip to a host brought.
pub type Seen = BTreeMap<Look, Result<Sight, SightError>>;

/// What a look's script printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reply {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
    /// The exit status; 124 or 137 when the time limit ended it.
    pub status: i32,
}

impl Reply {
    /// Standard output as text, if the script succeeded.
    ///
    /// # Errors
    /// The script failed, was refused a right, ran out of time, or printed other than UTF-8.
    pub fn text(&self, limit: u64) -> Result<&str, SightError> {
        self.ok(limit)?;
        std::str::from_utf8(&self.stdout).map_err(|e| SightError::Unreadable(format!("not UTF-8: {e}")))
    }

    /// Whether the script succeeded.
    ///
    /// # Errors
    /// As [`Reply::text`].
    pub fn ok(&self, limit: u64) -> Result<(), SightError> {
        let said = self.stderr.trim();
        match self.status {
            0 => Ok(()),
            124 | 137 => Err(SightError::Timeout(limit)),
            _ if said.to_ascii_lowercase().contains("permission denied") => Err(SightError::Denied(said.to_owned())),
            status if said.is_empty() => Err(SightError::Failed(format!("exit status {status} without a word"))),
            _ => Err(SightError::Failed(said.to_owned())),
        }
    }
}

/// Quotes text for a POSIX shell.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Quotes a path for a POSIX shell.
pub fn quote_path(path: &std::path::Path) -> String {
    quote(&path.to_string_lossy())
}

/// Permission bits from `stat -c %a`.
pub(crate) fn octal(text: &str) -> Result<Mode, SightError> {
    u32::from_str_radix(text, 8).map(Mode).map_err(|e| SightError::Unreadable(format!("mode {text:?}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_a_shell() {
        for text in ["", "a b", "it's", "$(id)", "`x`", "a\nb", "plain-1.2", "\\", "\"", "*"] {
            let output = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quote(text))).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }
}
