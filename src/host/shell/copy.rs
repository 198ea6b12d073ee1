//! The two ends of a copy, each a command of its own beside the long-lived shell.
//!
//! Each end prints how it went behind a mark, for an SSH server that dies reports no exit
//! status, which must not look like success. The receiving end stores nothing unless the
//! stream ends with [`Transfer::seal`], which is sent only after the giver did all of it.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::{Shell, tail, word};
use crate::action::{Gift, Taken, Transfer};
use crate::host::HostError;
use crate::host::wire::{Chunk, Wire};
use crate::look::quote;

/// A slow disk may be silent for long; a dead peer is noticed by keep-alives.
pub(super) const IDLE: Duration = Duration::from_secs(600);
/// Hashing and syncing all that came.
pub(super) const STORE_LIMIT: Duration = Duration::from_secs(2 * 3600);
/// Queued at most before the source is read further.
pub(super) const QUEUE: usize = 4 << 20;
/// Kept of what an end says.
const SAID: usize = 1 << 20;

/// The script, and how it ended on standard error.
pub(super) fn command(shell: &Shell, script: &str, mark: &str) -> String {
    shell.command(&format!(" -c {}", quote(&format!("( {script}\n); printf '%s' \"{mark} $?.\" >&2"))))
}

/// The exit status behind the mark, and what was said before it.
pub(super) fn ended(err: &[u8], mark: &str) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(err);
    match text.split_once(mark) {
        Some((said, rest)) => (rest.trim().strip_suffix('.').and_then(|s| s.parse().ok()), tail(said)),
        None => (None, tail(&text)),
    }
}

pub(super) fn gather(all: &mut Vec<u8>, bytes: Vec<u8>) {
    all.extend(bytes);
    // The end matters: the mark is there.
    if all.len() > SAID {
        all.drain(..all.len() - SAID);
    }
}

pub(super) fn give(shell: &mut Shell, gift: &Gift) -> Result<Box<dyn Read + Send>, HostError> {
    let mark = word()?;
    let command = command(shell, &gift.script(), &mark);
    let mut wire = shell.line.open(&command)?;
    wire.send(&gift.names);
    wire.finish();
    let title = format!("{}: send {}", shell.name(), gift.title);
    Ok(Box::new(Giver { wire, mark, title, out: io::Cursor::default(), err: Vec::new(), end: None }))
}

struct Giver {
    wire: Box<dyn Wire>,
    mark: String,
    title: String,
    out: io::Cursor<Vec<u8>>,
    err: Vec<u8>,
    end: Option<Result<(), String>>,
}

impl Giver {
    fn end(&self, why: &str) -> Result<(), String> {
        match ended(&self.err, &self.mark) {
            // 1: a file changed or went while tar read it; its hash or the next round tells.
            (Some(0 | 1), _) => Ok(()),
            (Some(status), said) => Err(format!("{} failed with exit status {status}: {said}", self.title)),
            (None, said) => Err(format!("{} broke off: {why}: {said}", self.title)),
        }
    }
}

impl Read for Giver {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.out.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            if let Some(end) = &self.end {
                return end.clone().map(|()| 0).map_err(io::Error::other);
            }
            match self.wire.receive(Instant::now() + IDLE) {
                Chunk::Out(bytes) => self.out = io::Cursor::new(bytes),
                Chunk::Err(bytes) => gather(&mut self.err, bytes),
                Chunk::Sent => {}
                Chunk::Closed(why) => self.end = Some(self.end(&why)),
                Chunk::Late => {
                    self.end = Some(Err(format!("{}: nothing came for {} s", self.title, IDLE.as_secs())));
                }
            }
        }
    }
}

pub(super) fn take(shell: &mut Shell, transfer: &Transfer, stream: &mut dyn Read) -> Result<Taken, HostError> {
    let mark = word()?;
    let command = command(shell, &transfer.take_script(), &mark);
    let mut taker = Taker { wire: shell.line.open(&command)?, out: Vec::new(), err: Vec::new() };
    let fed = taker.feed(stream);
    let closed = match &fed {
        Fed::Closed(why) => why.clone(),
        // Without the seal the other end cleans up and stores nothing.
        Fed::Whole | Fed::Broken(_) => taker.drain(Instant::now() + STORE_LIMIT),
    };
    let failed = |status, said| HostError::Failed { title: format!("copy {}", transfer.title()), status, said };
    let (status, said) = ended(&taker.err, &mark);
    match (fed, status) {
        (Fed::Broken(why), _) => Err(failed(status.unwrap_or(1), why)),
        (Fed::Whole, Some(0)) => transfer.read_taken(&String::from_utf8_lossy(&taker.out)).map_err(|why| failed(0, why)),
        (_, Some(status)) => Err(failed(status, said)),
        (_, None) => Err(shell.explain(&closed, said.as_bytes())),
    }
}

struct Taker {
    wire: Box<dyn Wire>,
    out: Vec<u8>,
    err: Vec<u8>,
}

enum Fed {
    Whole,
    /// The source broke.
    Broken(String),
    /// The taker ended before it had all.
    Closed(String),
}

impl Taker {
    fn feed(&mut self, stream: &mut dyn Read) -> Fed {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            while self.wire.unsent() > QUEUE {
                if let Some(why) = self.step(Instant::now() + IDLE) {
                    return Fed::Closed(why);
                }
            }
            match stream.read(&mut buffer) {
                Ok(0) => {
                    self.wire.send(&Transfer::seal());
                    self.wire.finish();
                    return Fed::Whole;
                }
                Ok(n) => self.wire.send(buffer.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.wire.finish();
                    return Fed::Broken(e.to_string());
                }
            }
        }
    }

    /// Moves on by one chunk; why it is over, if it is.
    fn step(&mut self, until: Instant) -> Option<String> {
        match self.wire.receive(until) {
            Chunk::Out(bytes) => gather(&mut self.out, bytes),
            Chunk::Err(bytes) => gather(&mut self.err, bytes),
            Chunk::Sent => {}
            Chunk::Closed(why) => return Some(why),
            Chunk::Late => return Some("it takes nothing any more".into()),
        }
        None
    }

    fn drain(&mut self, until: Instant) -> String {
        loop {
            if let Some(why) = self.step(until) {
                return why;
            }
        }
    }
}

#[cfg(test)]
mod tests;
