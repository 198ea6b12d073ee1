//! Options of the verbs that change who is production, and of their record.

use clap::Args;

use crate::name::HostName;

/// Options of `drill`.
#[derive(Debug, Args)]
pub struct DrillArgs {
    /// The standby; the only one if absent
    pub host: Option<HostName>,
    /// Only look whether it could be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Options of `promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The standby; the only one if absent
    pub host: Option<HostName>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Only look whether it could be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Run this with sh on the new production before anything irreversible; a failure stops it
    #[arg(long, value_name = "COMMAND")]
    pub snapshot_command: Option<String>,
    /// Say that you know that this host has more than the one you promote
    #[arg(long, value_name = "HOST")]
    pub despite_better: Option<HostName>,
    /// Go on though software or files differ in a way that cannot be settled; they are left as they are
    #[arg(long)]
    pub despite_drift: bool,
    /// State that this host is down, where that cannot be seen; it is put on record
    #[arg(long, value_name = "HOST")]
    pub production_is_down: Option<HostName>,
    /// Change the one line of the spec afterwards, and nothing else in it
    #[arg(long)]
    pub write_spec: bool,
}

/// Options of `switchover`.
#[derive(Debug, Args)]
pub struct SwitchoverArgs {
    /// The standby that becomes production; the only one if absent
    pub host: Option<HostName>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Only look whether it could be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Run this with sh on the new production before anything irreversible; a failure stops it
    #[arg(long, value_name = "COMMAND")]
    pub snapshot_command: Option<String>,
    /// Begin though the pair is not all as the spec says
    #[arg(long)]
    pub despite_drift: bool,
    /// Change the one line of the spec afterwards, and nothing else in it
    #[arg(long)]
    pub write_spec: bool,
}

/// Options of `rejoin`.
#[derive(Debug, Args)]
pub struct RejoinArgs {
    /// The old production, or a standby that has what production has not
    pub host: HostName,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Only show how it would follow and what would be discarded
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Keep a copy of data that only it has
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub keep_diverged: bool,
}

/// Options of `incident`.
#[derive(Debug, Args)]
pub struct IncidentArgs {
    /// The last but so many: 1 is the last
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(usize))]
    pub number: usize,
    /// One line for each
    #[arg(long, conflicts_with = "number")]
    pub list: bool,
    /// Print it as Markdown
    #[arg(long, conflicts_with_all = ["list", "json"])]
    pub markdown: bool,
    /// Add a note to the last one
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["list", "number"])]
    pub note: Option<String>,
    /// The note says that this line of the checklist is done
    #[arg(long, value_name = "N", requires = "note", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub done: Option<u8>,
}
