//! The command line of `otr init`.

use std::path::PathBuf;

use clap::Args;

use crate::name::{DatabaseName, Word};

/// Options of `init`. The spec is written to `--spec FILE`, or ./otr.yaml.
#[derive(Debug, Args, Clone, Default)]
pub struct InitArgs {
    /// The running production: `local`, or `[user@]address[:port]`
    #[arg(required_unless_present = "retire_predecessor")]
    pub production: Option<String>,
    /// The machine that is to follow it, `local` or `[user@]address[:port]`
    #[arg(long, value_name = "HOST")]
    pub standby: Option<String>,
    /// The installation's name; the first database's if absent
    #[arg(long, value_name = "NAME")]
    pub name: Option<Word>,
    /// A database whose attachments are kept in step (repeatable); those of odoo.conf if absent
    #[arg(long, value_name = "NAME")]
    pub database: Vec<DatabaseName>,
    /// Make the pair: write `replication:`, which changes production
    #[arg(long)]
    pub replicate: bool,
    /// Put production's secrets into files in this folder, which only you can read, for the spec to name
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Never become root on production; the spec then says `access: observe`
    #[arg(long)]
    pub observe: bool,
    /// Do not ask; take what was found
    #[arg(short, long)]
    pub yes: bool,
    /// Print the spec, write nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Remove the cron jobs of odooredundancy from the hosts of the spec, or from those named; write no spec
    #[arg(long, conflicts_with_all = ["name", "database", "replicate", "observe", "secrets"])]
    pub retire_predecessor: bool,
}
