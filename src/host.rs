//! Hosts: the one narrow door between otr and a machine.
//!
//! A host carries out looks, actions and copies; it decides nothing. [`local`], [`ssh`] and
//! [`openssh`] speak one protocol over a long-lived shell ([`shell`]); [`simulated`] is a
//! machine made of values, for the demo and for property tests.

use std::collections::BTreeSet;
use std::io::Read;

use crate::action::{Action, Gift, Keep, Kept, Moved, Taken, Transfer};
use crate::look::batch::Question;
use crate::look::{Look, Reply, Seen};
use crate::name::HostName;

pub mod connect;
pub mod here;
pub mod local;
pub mod openssh;
pub mod process;
pub mod shell;
pub mod simulated;
pub mod ssh;
pub mod wire;

/// What went wrong between otr and a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No connection, or it broke.
    #[error("{why}")]
    Unreachable {
        /// The cause, with what to do about it.
        why: String,
    },
    /// It answers, and lets nobody in: its key is another one, the login is refused, or sshd turns away.
    #[error("{why}")]
    Shut {
        /// The cause, with what to do about it.
        why: String,
    },
    /// The login lacks a right.
    #[error("{why}")]
    Denied {
        /// Which, and how to give it.
        why: String,
    },
    /// An action's script failed.
    #[error("{title} failed with exit status {status}: {said}")]
    Failed {
        /// What was tried.
        title: String,
        /// The exit status.
        status: i32,
        /// The end of what it printed.
        said: String,
    },
    /// Another otr works there.
    #[error("another otr works on it: {holder}")]
    Locked {
        /// Who, and since when.
        holder: String,
    },
}

/// A machine.
pub trait Host: Send {
    /// Sees all that is asked for in one trip.
    ///
    /// # Errors
    /// The host gave no answer. A look that fails alone is an error inside the answer.
    fn look(&mut self, looks: &BTreeSet<Look>) -> Result<Seen, HostError>;

    /// As [`Host::look`], with the replies as they came, for fixtures.
    ///
    /// # Errors
    /// The host gave no answer, or is none that replies in words.
    fn record(&mut self, looks: &BTreeSet<Look>) -> Result<Vec<(Question, Reply)>, HostError> {
        let _ = looks;
        Err(HostError::Unreachable { why: "a simulated host replies with values, not with words".into() })
    }

    /// Does one thing.
    ///
    /// # Errors
    /// It failed, or the connection broke and it is unknown whether it was done.
    fn act(&mut self, action: &Action) -> Result<(), HostError>;

    /// Takes the host's lock, so that no other otr changes it; held until the connection ends.
    ///
    /// # Errors
    /// Another otr holds it.
    fn lock(&mut self, holder: &str) -> Result<(), HostError>;

    /// Starts sending what another host was asked for.
    ///
    /// # Errors
    /// The stream could not be opened.
    fn give(&mut self, gift: &Gift) -> Result<Box<dyn Read + Send>, HostError>;

    /// Receives the files of a tree.
    ///
    /// # Errors
    /// The stream broke or could not be stored; nothing of it took its place.
    fn take(&mut self, transfer: &Transfer, stream: &mut dyn Read) -> Result<Taken, HostError>;

    /// Keeps a store: whatever it needs of production is asked for with `give`.
    ///
    /// # Errors
    /// It could not begin. What went wrong later is in [`Kept::problems`].
    fn keep(&mut self, job: &Keep, give: Give<'_>, progress: &dyn Fn(Moved)) -> Result<Kept, HostError>;
}

/// Asks production.
pub type Give<'a> = &'a mut dyn FnMut(&Gift) -> Result<Box<dyn Read + Send>, HostError>;

/// Opens hosts by name.
pub trait Connect: Sync {
    /// Opens one.
    ///
    /// # Errors
    /// It cannot be reached, or its identity is not the known one.
    fn connect(&self, host: &HostName) -> Result<Box<dyn Host>, HostError>;

    /// Whether it answers at all, found out in about a second.
    fn is_up(&self, host: &HostName) -> bool {
        self.connect(host).is_ok()
    }
}
