//! `otr serve`: the other end of a sync, on standard input and output. Not for people.

use std::fs::File;
use std::os::fd::AsFd;

use anyhow::Result;

use super::{Exit, print};
use crate::action::transfer::SERVES;
use crate::cli::Serve;
use crate::filestore::giver::serve_give;
use crate::filestore::talk::serve_keep;

/// The stream itself: the standard library's buffers are made for lines.
fn raw(stream: impl AsFd) -> std::io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

pub fn run(what: &Serve) -> Result<Exit> {
    match what {
        Serve::Version => print(SERVES)?,
        Serve::Give => {
            let out = raw(std::io::stdout())?;
            // Fewer turns between this and sshd. Where a pipe may not be larger it is only slower.
            let _ = rustix::pipe::fcntl_setpipe_size(&out, 1 << 20);
            serve_give(raw(std::io::stdin())?, out)?;
        }
        Serve::Keep => {
            if !serve_keep(raw(std::io::stdin())?)? {
                return Ok(Exit::Failed);
            }
        }
    }
    Ok(Exit::Done)
}
