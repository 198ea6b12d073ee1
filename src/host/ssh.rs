//! A machine behind SSH, by the client built into otr (libssh2): one connection with a long-lived
//! shell and one copy; a copy beside that one gets a connection of its own.

use std::sync::Arc;

use super::HostError;
use super::shell::Shell;
use super::wire::{Line, Wire};
use crate::spec::host::HostSpec;

mod auth;
mod channel;
mod config;
mod known_hosts;
mod link;
mod proxy;

/// Connects, checks the machine's identity and logs in.
///
/// # Errors
/// The configuration is wrong, the machine cannot be reached, its key is not the known one, or
/// the login is refused.
pub fn open(spec: &HostSpec, accept_new: bool) -> Result<Shell, HostError> {
    let settings = config::settings(spec)?;
    let link = link::connect(&settings, accept_new)?;
    Ok(Shell::new(Box::new(Ssh { settings, accept_new, link }), spec.becomes))
}

/// A machine, and the connection to it that stays.
struct Ssh {
    settings: config::Settings,
    accept_new: bool,
    link: Arc<link::Link>,
}

impl Line for Ssh {
    fn name(&self) -> String {
        self.link.name.clone()
    }

    fn open(&mut self, command: &str) -> Result<Box<dyn Wire>, HostError> {
        if let Some(wire) = channel::open(&self.link, command)? {
            return Ok(Box::new(wire));
        }
        // Several standbys copy from one production at once, and each keeps its speed; how many sessions a
        // server allows in one connection (MaxSessions) is its own affair. Ends with the copy.
        let another = link::connect(&self.settings, self.accept_new)?;
        match channel::open(&another, command)? {
            Some(wire) => Ok(Box::new(wire)),
            None => Err(unreachable(&self.settings.name, "a connection that was just made is in use")),
        }
    }
}

/// An error that names the machine.
fn unreachable(name: &str, why: impl std::fmt::Display) -> HostError {
    HostError::Unreachable { why: format!("{name}: {why}") }
}

/// As [`unreachable`], of a machine that answers.
fn shut(name: &str, why: impl std::fmt::Display) -> HostError {
    HostError::Shut { why: format!("{name}: {why}") }
}
