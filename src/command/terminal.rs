//! What a person reads: the only place where otr prints. Text of machines is in most of it, so all of
//! it is made safe for a terminal here.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::report::visible::{json, terminal, visible};

/// Prints; a reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    out(&terminal(text))
}

/// Prints a value as JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    out(&json(&serde_json::to_string_pretty(value)?))
}

fn out(text: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("standard output"),
    }
}

/// Says something beside the report, or in a service's journal. Nobody may be there to read it.
pub fn complain(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", visible(&text.to_string()));
}

/// Asks a person; no terminal means no.
pub(crate) fn ask(question: &str) -> Result<Option<String>> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let _ = write!(std::io::stderr().lock(), "{} ", visible(question));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(Some(answer.trim().to_owned()))
}
