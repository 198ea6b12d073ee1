//! The command line, as types. Decides nothing.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::name::HostName;

mod failover;
mod init;

pub use failover::{DrillArgs, IncidentArgs, PromoteArgs, RejoinArgs, SwitchoverArgs};
pub use init::InitArgs;

/// A standby you can trust: one spec, two machines, no drift unseen.
#[derive(Debug, Parser)]
#[command(name = "otr", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed; 2 drift (plan --detailed-exitcode); 64 wrong usage; 65 wrong spec; 75 another otr is at work."
)]
pub struct Cli {
    /// What every verb understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What every verb understands.
#[derive(Debug, Args)]
pub struct Global {
    /// The spec; ./otr.yaml or /etc/otr/spec.yaml if absent
    #[arg(short, long, global = true, env = "OTR_SPEC", value_name = "FILE")]
    pub spec: Option<PathBuf>,
    /// A value for templates, as vars.NAME; wins over the spec's
    #[arg(long = "set", global = true, value_name = "NAME=VALUE", value_parser = key_value)]
    pub sets: Vec<(String, String)>,
    /// Learn the keys of hosts seen for the first time (a changed key is always refused)
    #[arg(long, global = true)]
    pub accept_new: bool,
    /// This machine is that host, whatever its address says
    #[arg(long, global = true, env = "OTR_HERE", value_name = "HOST")]
    pub here: Option<HostName>,
    /// Print one JSON value instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Show also what is as wanted
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write a spec by looking at a running production
    Init(InitArgs),
    /// Check specs; contact no host
    Check {
        /// The files
        #[arg(required = true, value_name = "SPEC")]
        specs: Vec<PathBuf>,
    },
    /// Print a JSON Schema: of the spec, for editors, or of what otr prints and saves
    Schema {
        /// Of what
        #[arg(value_enum, default_value_t = Contract::Spec)]
        of: Contract,
    },
    /// Ask every host whether it can be reached, read and changed
    Doctor,
    /// Show how each host differs from the spec, and each standby from production
    Plan(PlanArgs),
    /// Remove the differences
    Apply(ApplyArgs),
    /// Bring the data of the standbys up to production's
    Sync(SyncArgs),
    /// The other end of a sync; otr starts it by itself
    #[command(hide = true, subcommand)]
    Serve(Serve),
    /// Show how the pair stands: replication, files at risk, services
    Status,
    /// Compare two machines with each other; no spec is needed
    Diff(DiffArgs),
    /// Let the timers on the standbys rest for a while
    Pause(PauseArgs),
    /// End a pause before its time
    Resume(ResumeArgs),
    /// Show the login sessions on both sides
    Sessions(SessionsArgs),
    /// Prove that a standby's data becomes a working Odoo, on a copy that is thrown away
    Drill(DrillArgs),
    /// Make a standby production, after production is down
    Promote(PromoteArgs),
    /// Let production and standby change places; nothing is lost
    Switchover(SwitchoverArgs),
    /// Make an old production, or a standby that has more than production, a standby of it
    Rejoin(RejoinArgs),
    /// Show the record of a promotion, switchover or rejoin, and what a person has still to do
    Incident(IncidentArgs),
    /// Say whether a service may start on this host (systemd asks, as ExecCondition)
    Guard(GuardArgs),
    /// Play plan, apply, sync, power cut and promote on a simulated pair
    Demo,
    /// Record what the hosts answer, as fixtures for tests and bug reports
    Record {
        /// The folder to write
        directory: PathBuf,
    },
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Be an Ansible module: its arguments as JSON on standard input
    #[command(hide = true)]
    Ansible,
    /// Write man pages
    Man {
        /// The folder to write
        directory: PathBuf,
    },
}

/// `otr sessions`.
#[derive(Debug, Args, Clone, Default)]
pub struct SessionsArgs {
    /// Is this session on both sides? Where the cookie is: file:PATH (a jar or the bare id) or env:NAME
    #[arg(long, value_name = "SOURCE")]
    pub cookie: Option<String>,
}

/// What others rely on, each with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Contract {
    /// The spec
    Spec,
    /// What plan, apply and sync print with --json
    Report,
    /// What plan --out saves
    Plan,
}

/// Which resources.
#[derive(Debug, Args, Clone, Default)]
pub struct Selection {
    /// Only this host (repeatable)
    #[arg(long, value_name = "HOST")]
    pub host: Vec<HostName>,
    /// Only this kind of resource (repeatable): packages, pip, file, odoo-conf, unit …
    #[arg(long, value_name = "KIND")]
    pub only: Vec<String>,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Which resources.
    #[command(flatten)]
    pub selection: Selection,
    /// In which form; --json is --format json
    #[arg(long, value_enum, value_name = "FORM", conflicts_with = "json")]
    pub format: Option<Format>,
    /// Exit with 2 if there is drift
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Do nothing while otr is paused, as the timer does
    #[arg(long)]
    pub scheduled: bool,
    /// Save the plan for `apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// The forms of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs, as `otr schema report` says
    Json,
    /// For a comment on a merge request: differing texts folded, at most what GitHub takes
    Markdown,
    /// For the test report of a CI: a case per resource, drift is a failure, what was not seen an error
    Junit,
}

/// Options of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A plan saved with `plan --out`; refused if the hosts or the spec changed since
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Which resources.
    #[command(flatten)]
    pub selection: Selection,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Only show what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Agree that a copy of production replaces data on this host (repeatable)
    #[arg(long, value_name = "HOST")]
    pub replace_data: Vec<HostName>,
    /// Agree that production's services are restarted, which interrupts its users
    #[arg(long)]
    pub restarts: bool,
}

/// Options of `sync`.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// What to move
    #[arg(value_enum, default_value_t = Data::Stored)]
    pub what: Data,
    /// Only show what would be moved
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Do it though otr is paused
    #[arg(long, conflicts_with = "follow")]
    pub despite_pause: bool,
    /// Go on fetching what is new until this host is promoted (a service on the standby)
    #[arg(long, conflicts_with_all = ["dry_run", "allow_delete"])]
    pub follow: bool,
    /// How often to ask whether anything is new; the spec's, or 5s
    #[arg(long, value_name = "SPAN", requires = "follow", value_parser = humantime::parse_duration)]
    pub every: Option<std::time::Duration>,
    /// Delete up to so many files that the database forgot, whatever the limits say
    #[arg(long, value_name = "N")]
    pub allow_delete: Option<u64>,
    /// Compare session files by their content, not by size and time alone (a store's files always prove themselves)
    #[arg(long, conflicts_with = "follow")]
    pub checksum: bool,
    /// The share that `scrub` hashes; the spec's, or 100%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub share: Option<f64>,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A host of the spec, `local`, or `[user@]address[:port]`
    pub left: String,
    /// The other
    pub right: String,
    /// The virtual environment whose modules are compared; the spec's, or the system's Python
    #[arg(long, value_name = "DIR")]
    pub venv: Option<PathBuf>,
    /// odoo.conf; the spec's, or /etc/odoo/odoo.conf
    #[arg(long, value_name = "FILE")]
    pub odoo_conf: Option<PathBuf>,
    /// Compare this file too, besides the spec's (repeatable); its text is not shown
    #[arg(long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Exit with 2 if they differ
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Options of `pause`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// For how long, such as 2h; it ends by itself
    #[arg(long = "for", value_name = "SPAN", value_parser = pause)]
    pub span: std::time::Duration,
    /// Why, in one line: the next person reads it
    #[arg(long, value_name = "TEXT", value_parser = one_line)]
    pub reason: String,
    /// Only show what would be put on record
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Options of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Only show what would be put on record
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// What `serve` does.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Serve {
    /// Print the version of the language spoken
    Version,
    /// Send files of the working directory
    Give,
    /// Keep a store
    Keep,
}

/// What `sync` moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Data {
    /// Attachments
    Filestore,
    /// Login sessions kept in the file system
    Sessions,
    /// Hash a share of every filestore, quarantine what is damaged, fetch it again
    Scrub,
    /// Attachments and sessions: what the timer runs
    #[value(name = "data")]
    Stored,
    /// Everything: packages, pip, addons, config, and the data
    All,
    /// Sources, keyrings and Debian packages, in production's versions
    Packages,
    /// Python modules, in production's versions
    Pip,
    /// Add-on directories, on standbys
    Addons,
    /// odoo.conf, and files and trees taken from production
    Config,
}

impl Data {
    /// Configuration or software is of it: compared and changed as `apply` does.
    pub fn has_clones(self) -> bool {
        matches!(self, Data::Packages | Data::Pip | Data::Addons | Data::Config | Data::All)
    }
    /// Attachments, or all data, are of it.
    pub fn has_stores(self) -> bool {
        matches!(self, Data::Filestore | Data::Scrub | Data::Stored | Data::All)
    }
    /// Some of production's data is of it: such a run goes on record.
    pub fn has_data(self) -> bool {
        self.has_stores() || self == Data::Sessions
    }
}

/// Options of `guard`.
#[derive(Debug, Args)]
pub struct GuardArgs {
    /// The service that is about to start
    #[arg(value_name = "UNIT", required_unless_present = "answer")]
    pub unit: Option<String>,
    /// Print this host's epoch and role, for a peer
    #[arg(long, conflicts_with = "unit")]
    pub answer: bool,
    /// What the guard knows; apply writes it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| format!("{text:?} is not NAME=VALUE"))
}

/// Longer than a month nobody remembers a pause; a standby that is not wanted is taken out of the spec.
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_secs(31 * 86_400);

fn pause(text: &str) -> Result<std::time::Duration, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match span.as_secs() >= 1 && span <= LONGEST_PAUSE {
        true => Ok(span),
        false => Err("a pause takes from 1s to 31days".into()),
    }
}

fn one_line(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why".into()),
        text if text.chars().any(char::is_control) => Err("say it in one line".into()),
        text => Ok(text.to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number.filter(|share| (0.0..=100.0).contains(share)).ok_or_else(|| format!("{text:?} is not a share such as 5%"))
}
