//! The narrow floor under [`super::shell`]: a command that runs somewhere, its input and its
//! two streams. Knows nothing of looks, actions or machines.

use std::time::Instant;

use super::HostError;

/// What a wire brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes of standard output.
    Out(Vec<u8>),
    /// Bytes of standard error.
    Err(Vec<u8>),
    /// Some of what was queued has left.
    Sent,
    /// The command ended or the connection broke; why. Comes again at every further call.
    Closed(String),
    /// Nothing came in time.
    Late,
}

/// A running command.
pub trait Wire: Send {
    /// Queues bytes for its standard input. Never blocks: [`Wire::receive`] moves them.
    fn send(&mut self, bytes: &[u8]);
    /// Closes its standard input once everything queued has left.
    fn finish(&mut self);
    /// How many bytes have not left yet.
    fn unsent(&self) -> usize;
    /// Waits for the next chunk.
    fn receive(&mut self, until: Instant) -> Chunk;
}

/// A way to a machine: runs commands there.
pub trait Line: Send {
    /// What errors call the machine.
    fn name(&self) -> String;
    /// Starts a command, given as POSIX shell. No secret may be in it: others see it.
    ///
    /// # Errors
    /// There is no way to the machine.
    fn open(&mut self, command: &str) -> Result<Box<dyn Wire>, HostError>;
    /// What to do about a command that never answered, from what it said before it ended.
    fn hint(&self, _said: &str) -> Option<String> {
        None
    }
}
