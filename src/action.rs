//! Actions: the closed list of what otr can do to a host. Decides nothing.
//!
//! [`script`] turns an action into POSIX shell; [`transfer`] does the two ends of a copy.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::look::apt::{AptRun, Step};
use crate::look::{ClusterName, CommandLine, Site};
use crate::name::{DatabaseName, HostName, Mode, PackageName, UnitName, Word};
use crate::secret::{Secret, Text};

pub mod drill;
pub mod keep;
mod mounts;
mod reader;
pub mod script;
pub mod sentinel;
pub mod transfer;

pub use drill::{DrillAction, DrilledOdoo};
pub use keep::{Keep, Kept, Moved};
pub use reader::Reader;
pub use sentinel::SentinelAction;
pub use transfer::{Gift, GiftKind, Taken, Transfer};

/// A run of pip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PipInstall {
    /// Where.
    pub site: Site,
    /// What pip is asked for.
    pub requirements: Vec<String>,
    /// Of them, those that are put over a module which pip does not keep: it stays where it is.
    pub over: Vec<String>,
    /// Modules that must stay as they are, `name===version`.
    pub keep: Vec<String>,
    /// The requirements are all that it needs, seen beforehand.
    pub whole: bool,
    /// Pass `--break-system-packages`.
    pub break_system_packages: bool,
}

impl PipInstall {
    fn title(&self) -> String {
        let over = if self.over.is_empty() { String::new() } else { format!(", over what apt installed: {}", self.over.join(" ")) };
        format!("pip install {}{over}", self.requirements.join(" "))
    }
}

/// An answer for debconf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DebconfAnswer {
    /// The package that asks.
    pub owner: String,
    /// The question.
    pub question: String,
    /// Its template's type.
    pub kind: String,
    /// The answer.
    pub value: Text,
}

/// Owner, group and permission bits of a file or directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Attributes {
    /// Owner's name.
    pub owner: Word,
    /// Group's name.
    pub group: Word,
    /// Permission bits.
    pub mode: Mode,
}

/// A Redis server and where its own configuration keeps the password.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RedisServer {
    /// redis.conf.
    pub config: PathBuf,
    /// Its port.
    pub port: u16,
}

/// What a unit is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitVerb {
    /// Start at boot.
    Enable,
    /// Do not start at boot.
    Disable,
    /// Refuse every start.
    Mask,
    /// Allow starts again.
    Unmask,
    /// Run now.
    Start,
    /// Stop now.
    Stop,
    /// Stop and start.
    Restart,
    /// Read the configuration again while it runs.
    Reload,
}

impl UnitVerb {
    /// The verb of systemctl.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Mask => "mask",
            Self::Unmask => "unmask",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }
    /// Whether the unit runs afterwards though it did not before, or runs anew.
    pub fn starts(self) -> bool {
        matches!(self, Self::Enable | Self::Start | Self::Restart | Self::Reload)
    }
}

/// One thing done to one host. Each can be repeated: doing it twice is doing it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Write a file beside its place, fsync, set attributes, rename; the first predecessor is kept.
    /// Its owner reads it before it takes its place.
    WriteFile { path: PathBuf, content: Text, attributes: Attributes, reader: Option<Reader> },
    /// Make a directory, or correct it.
    MakeDirectory { path: PathBuf, attributes: Attributes },
    /// Make the directory something is mounted on; nobody can write there while nothing is.
    MakeMountPoint { at: PathBuf, immutable: bool },
    /// Start a mount unit and see that what is mounted answers.
    Mount { at: PathBuf, unit: UnitName },
    /// Take away a mount whose program ended ("Transport endpoint is not connected"), and no other.
    Detach { at: PathBuf },
    /// Unmount in order; refused by the kernel while somebody uses it.
    Unmount { at: PathBuf },
    /// Change options of what is mounted.
    Remount { at: PathBuf, options: Vec<String> },
    /// Correct owner, group, mode.
    SetAttributes { path: PathBuf, attributes: Attributes },
    /// Write bytes (in base64, in custody) as `WriteFile` writes text.
    WriteBytes { path: PathBuf, encoded: Secret, attributes: Attributes },
    /// Make a symbolic link in place of what stands there; the first predecessor is kept.
    MakeLink { path: PathBuf, target: String },
    /// Remove a directory that is empty.
    RemoveDirectory { path: PathBuf },
    /// Remove what stands at places below a root, from the leaves; files are kept as backups.
    RemovePlaces { root: PathBuf, places: Vec<String> },
    /// Remove a file; it is kept as a backup.
    RemoveFile { path: PathBuf },
    /// Delete sessions that ended on production, as their owner.
    EndSessions { directory: PathBuf, mount: Option<PathBuf>, owner: Word, names: Vec<String> },
    /// Install, remove or change versions of packages, all in one run of apt.
    /// It is refused where apt would by now do other steps than these.
    ChangePackages { run: AptRun, steps: Vec<Step>, restarts: Vec<String> },
    /// Finish what a run that was cut off left unpacked (`dpkg --configure -a`).
    ConfigurePackages,
    /// Answer questions of debconf's (`debconf-set-selections`).
    AnswerDebconf { answers: Vec<DebconfAnswer> },
    /// `apt-mark hold`.
    HoldPackages { packages: Vec<PackageName> },
    /// `apt-mark unhold`.
    UnholdPackages { packages: Vec<PackageName> },
    /// Say that packages were asked for, or came as dependencies (`apt-mark`).
    MarkPackages { packages: Vec<PackageName>, automatic: bool },
    /// Fetch the lists of all sources anew (`apt-get update`), of these architectures too, because of these packages.
    UpdatePackageLists { architectures: Vec<String>, asked: Vec<String> },
    /// Make a virtual environment that sees the system's modules.
    MakeVenv { path: PathBuf },
    /// Install modules.
    PipInstall { install: PipInstall },
    /// Install exactly these modules, whatever is there, and nothing with them.
    PipReplace { site: Site, requirements: Vec<String>, break_system_packages: bool },
    /// Uninstall modules.
    PipUninstall { site: Site, modules: Vec<String>, break_system_packages: bool },
    /// `systemctl daemon-reload`.
    DaemonReload,
    /// One verb for one unit.
    Unit { unit: UnitName, verb: UnitVerb },
    /// Make PostgreSQL read its configuration again.
    ReloadPostgres { cluster: ClusterName },
    /// Create the replication role or set its password (a SCRAM verifier, never the password).
    SetReplicationRole { cluster: ClusterName, role: Word, verifier: Text },
    /// Create a physical slot that keeps WAL from now on.
    CreateSlot { cluster: ClusterName, slot: String },
    /// Drop a slot.
    DropSlot { cluster: ClusterName, slot: String },
    /// Take a setting out of postgresql.auto.conf, where it would win over the files.
    ResetSetting { cluster: ClusterName, name: String },
    /// Make up the replication password, in a pgpass file only postgres reads.
    MakeUpPassword { path: PathBuf, role: Word },
    /// Replace the cluster by a copy of the primary and start it as a standby.
    BaseBackup {
        cluster: ClusterName,
        data_directory: PathBuf,
        conninfo: String,
        slot: Option<String>,
        spaces: Vec<String>,
        keep_old: bool,
    },
    /// Make the cluster start in recovery (`standby.signal`), and start it if it is stopped.
    FollowPrimary { cluster: ClusterName, data_directory: PathBuf },
    /// Make the cluster start in recovery (`standby.signal`), whenever it starts.
    MarkStandby { data_directory: PathBuf },
    /// Recover a cluster that was cut off, reachable for nobody meanwhile, and stop it in order.
    RecoverCluster { cluster: ClusterName, data_directory: PathBuf },
    /// Copy a stopped cluster beside it.
    KeepData { data_directory: PathBuf, to: PathBuf },
    /// Let the replication role read what pg_rewind reads.
    GrantRewind { cluster: ClusterName, role: Word },
    /// Take a stopped cluster back to where it left the primary's history, and mark it as a standby.
    Rewind { cluster: ClusterName, data_directory: PathBuf, conninfo: String },
    /// Ends a pause by hand and a delay: all that was received is replayed.
    ReplayAll { cluster: ClusterName },
    /// `pg_promote()`, and wait for it.
    Promote { cluster: ClusterName },
    /// `CHECKPOINT`.
    Checkpoint { cluster: ClusterName },
    /// Write one row and see it committed.
    ProveWrite { cluster: ClusterName },
    /// Delete the rows of asset bundles whose files are lost, so that Odoo makes them again.
    ForgetBundles { cluster: ClusterName, database: DatabaseName, names: Vec<String> },
    /// `CONFIG SET`.
    SetRedis { server: RedisServer, name: String, value: Text },
    /// `REPLICAOF host port`, or `NO ONE`.
    ReplicateRedis { server: RedisServer, primary: Option<(String, u16)> },
    /// Something about Sentinel.
    Sentinel(SentinelAction),
    /// Something for a drill.
    Drill(DrillAction),
    /// Append a line to a record, fsynced; one that `rotates` first begins anew where it became large.
    AppendJournal { path: PathBuf, line: String, rotates: bool },
    /// Run a program of the spec's or the command line's: a hook, a fence, a snapshot.
    Run { command: CommandLine },
    /// Put this very program there.
    InstallOtr { path: PathBuf, sha256: String },
    /// Copy a tree from another host.
    Fetch { from: HostName, transfer: Transfer },
    /// Make a store hold what is needed, from another host.
    KeepStore { from: HostName, job: Keep },
}

impl Action {
    /// What it does, in a few words of the imperative. Never shows a secret.
    pub fn title(&self) -> String {
        let list = |names: &[PackageName]| names.iter().map(PackageName::as_str).collect::<Vec<_>>().join(" ");
        match self {
            Action::WriteFile { path, .. } => format!("write {}", path.display()),
            Action::MakeDirectory { path, .. } => format!("make directory {}", path.display()),
            Action::MakeMountPoint { at, .. } => format!("make the mount point {}", at.display()),
            Action::Mount { at, .. } => format!("mount {}", at.display()),
            Action::Detach { at } => format!("umount -l {}, whose program ended", at.display()),
            Action::Unmount { at } => format!("unmount {}", at.display()),
            Action::Remount { at, options } => format!("remount {} with {}", at.display(), options.join(",")),
            Action::SetAttributes { path, attributes: a } => format!("set {} to {}:{} {}", path.display(), a.owner, a.group, a.mode),
            Action::WriteBytes { path, .. } => format!("write {}", path.display()),
            Action::MakeLink { path, target } => format!("link {} to {target}", path.display()),
            Action::RemoveDirectory { path } => format!("remove the empty directory {}", path.display()),
            Action::RemovePlaces { root, places } => match places.as_slice() {
                [one] => format!("remove {}/{one}", root.display()),
                many => format!("remove {} places of {}", many.len(), root.display()),
            },
            Action::RemoveFile { path } => format!("remove {}", path.display()),
            Action::EndSessions { directory, names, .. } => format!("delete {} ended sessions of {}", names.len(), directory.display()),
            Action::ChangePackages { run, .. } => run.title(),
            Action::ConfigurePackages => "finish what dpkg has unpacked".into(),
            Action::AnswerDebconf { answers } => {
                format!("answer debconf's {}", answers.iter().map(|answer| answer.question.as_str()).collect::<Vec<_>>().join(" "))
            }
            Action::HoldPackages { packages } => format!("hold {}", list(packages)),
            Action::UnholdPackages { packages } => format!("unhold {}", list(packages)),
            Action::MarkPackages { packages, automatic: true } => format!("mark as dependencies {}", list(packages)),
            Action::MarkPackages { packages, automatic: false } => format!("mark as asked for {}", list(packages)),
            Action::UpdatePackageLists { .. } => "fetch the package lists".into(),
            Action::MakeVenv { path } => format!("make the virtual environment {}", path.display()),
            Action::PipInstall { install } => install.title(),
            Action::PipReplace { requirements, .. } => format!("pip install --force-reinstall --no-deps {}", requirements.join(" ")),
            Action::PipUninstall { modules, .. } => format!("pip uninstall {}", modules.join(" ")),
            Action::DaemonReload => "reload systemd".into(),
            Action::Unit { unit, verb } => format!("{} {unit}", verb.as_str()),
            Action::ReloadPostgres { cluster } => format!("reload PostgreSQL {cluster}"),
            Action::SetReplicationRole { role, .. } => format!("set the password of role {role}"),
            Action::CreateSlot { slot, .. } => format!("create slot {slot}"),
            Action::DropSlot { slot, .. } => format!("drop slot {slot}"),
            Action::ResetSetting { name, .. } => format!("ALTER SYSTEM RESET {name}"),
            Action::MakeUpPassword { role, .. } => format!("make up a password for role {role}"),
            Action::BaseBackup { cluster, keep_old, .. } => {
                let old = if *keep_old { ", keeping the old data beside it" } else { "" };
                format!("copy the primary into PostgreSQL {cluster}{old}")
            }
            Action::FollowPrimary { cluster, .. } => format!("make PostgreSQL {cluster} start as a standby, and start it"),
            Action::MarkStandby { .. } => "write standby.signal".into(),
            Action::RecoverCluster { cluster, .. } => format!("recover PostgreSQL {cluster} alone, and stop it"),
            Action::KeepData { to, .. } => format!("keep its data as {}", to.display()),
            Action::GrantRewind { role, .. } => format!("let role {role} read what pg_rewind reads"),
            Action::Rewind { cluster, .. } => format!("rewind PostgreSQL {cluster} to where the histories part"),
            Action::ReplayAll { cluster } => format!("let PostgreSQL {cluster} replay all it has"),
            Action::Promote { cluster } => format!("promote PostgreSQL {cluster}"),
            Action::Checkpoint { cluster } => format!("checkpoint PostgreSQL {cluster}"),
            Action::ProveWrite { cluster } => format!("write a row to PostgreSQL {cluster}"),
            Action::ForgetBundles { database, names, .. } => format!("delete {} lost asset bundles from {database}", names.len()),
            Action::SetRedis { name, value, .. } => format!("CONFIG SET {name} {}", value.shown()),
            Action::ReplicateRedis { primary: Some((host, port)), .. } => format!("REPLICAOF {host} {port}"),
            Action::ReplicateRedis { primary: None, .. } => "REPLICAOF NO ONE".into(),
            Action::Sentinel(action) => action.title(),
            Action::Drill(action) => action.title(),
            Action::AppendJournal { path, .. } => format!("append to {}", path.display()),
            Action::Run { command } => format!("run {}", command.shown()),
            Action::InstallOtr { path, .. } => format!("install otr as {}", path.display()),
            Action::Fetch { from, transfer } => format!("copy {} from {from}", transfer.title()),
            Action::KeepStore { from, job } => format!("bring the filestore of {} up to date from {from}", job.database),
        }
    }

    /// The file it writes, links or removes.
    pub fn writes(&self) -> Option<&Path> {
        match self {
            Action::WriteFile { path, .. }
            | Action::WriteBytes { path, .. }
            | Action::MakeLink { path, .. }
            | Action::RemoveFile { path } => Some(path),
            _ => None,
        }
    }

    /// Whether users of a running Odoo notice it. They notice neither a reload nor otr's own services.
    pub fn interrupts(&self) -> bool {
        match self {
            Action::Unit { unit, verb } => {
                let own = unit.as_str().starts_with("otr-");
                matches!(verb, UnitVerb::Restart | UnitVerb::Stop) && !own && !unit.as_str().ends_with(".timer")
            }
            Action::BaseBackup { .. } | Action::Promote { .. } | Action::Unmount { .. } => true,
            Action::ChangePackages { restarts, .. } => !restarts.is_empty(),
            _ => false,
        }
    }
}
