//! A machine behind SSH, by the client built into otr (libssh2): one connection, one
//! long-lived shell, and one more session at most for a copy.

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
    Ok(Shell::new(Box::new(link), spec.becomes))
}

impl Line for std::sync::Arc<link::Link> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn open(&mut self, command: &str) -> Result<Box<dyn Wire>, HostError> {
        Ok(Box::new(channel::open(self, command)?))
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
