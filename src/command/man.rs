//! `otr completions` and `otr man`: both follow from the command line's types.

use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;

use super::Exit;
use crate::cli::Cli;

/// Prints completions.
pub fn completions(shell: clap_complete::Shell) -> Result<Exit> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "otr", &mut out);
    super::print(String::from_utf8(out)?.trim_end())?;
    Ok(Exit::Done)
}

/// Writes a man page for otr and one for each verb.
pub fn pages(directory: &Path) -> Result<Exit> {
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), directory).with_context(|| directory.display().to_string())?;
    Ok(Exit::Done)
}
