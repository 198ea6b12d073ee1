//! `otr serve`: the other end of a sync, on standard input and output. Not for people.

use anyhow::Result;

use super::{Exit, print};
use crate::action::transfer::SERVES;
use crate::cli::Serve;
use crate::filestore::talk::{serve_give, serve_keep};

pub fn run(what: &Serve) -> Result<Exit> {
    match what {
        Serve::Version => print(SERVES)?,
        Serve::Give => serve_give(std::io::stdin(), std::io::stdout())?,
        Serve::Keep => {
            if !serve_keep(std::io::stdin())? {
                return Ok(Exit::Failed);
            }
        }
    }
    Ok(Exit::Done)
}
