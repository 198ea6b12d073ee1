//! Keeping a store with the otr on the other end: `otr serve keep` does the work there, and
//! what it asks of production passes through here.
//!
//! So one connection to each host is enough, neither host needs a way to the other, and this
//! end keeps nothing of a copy but a few megabytes in flight. A store of this very machine is
//! kept without another process: every byte would pass two more pipes.

use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use super::copy::{IDLE, QUEUE, STORE_LIMIT, command, ended, gather};
use super::{Shell, word};
use crate::action::{Gift, Keep, Kept, Moved};
use crate::filestore;
use crate::filestore::keep::KeepError;
use crate::filestore::production::Asked;
use crate::filestore::talk::{BROKEN, Message, piece};
use crate::host::wire::{Chunk, Wire};
use crate::host::{Give, HostError};
use crate::look::quote;

/// The longest message; names that follow one are not part of it.
const MESSAGE: usize = 64 << 20;
/// The names of ten million files.
const NAMES: u64 = 1 << 29;

/// Does the work itself.
pub(super) fn keep_here(job: &Keep, give: Give<'_>, progress: &dyn Fn(Moved)) -> Result<Kept, HostError> {
    let mut give = |gift: &Gift| give(gift).map_err(io::Error::other);
    let failed = |error: KeepError| HostError::Failed { title: title(job), status: 1, said: error.to_string() };
    filestore::keep::keep(job, &mut Asked { source: &job.directory, give: &mut give }, progress).map_err(failed)
}

fn title(job: &Keep) -> String {
    format!("keep the filestore of {}", job.database)
}

pub(super) fn keep(shell: &mut Shell, job: &Keep, give: Give<'_>, progress: &dyn Fn(Moved)) -> Result<Kept, HostError> {
    let mark = word()?;
    let program = quote(&shell.program);
    // A scrub yields the disk to everybody.
    let idle = if job.scrub.is_some() { "$(command -v ionice >/dev/null && echo ionice -c3) nice " } else { "" };
    let script = format!(
        "[ -x {program} ] || {{ echo 'there is no otr at {program}: run otr apply, which installs it' >&2; exit 69; }}\nexec {idle}{program} serve keep"
    );
    let failed = |status, said: String| HostError::Failed { title: title(job), status, said };
    let text = serde_json::to_vec(job).map_err(|e| failed(0, e.to_string()))?;
    let mut far = Far { wire: shell.line.open(&command(shell, &script, &mark))?, out: Vec::new(), err: Vec::new(), closed: None };
    far.send(&text);
    far.end(true);
    let mut broken = Vec::new();
    let kept = loop {
        let Some(message) = far.message().map_err(|why| failed(0, why))? else { break None };
        match message {
            Message::Moved(moved) => progress(moved),
            Message::List => {
                broken.extend(far.answer(give(&Gift::listing(&job.directory)), progress));
            }
            Message::Want { files, length } => {
                let names = far.take(length).ok_or_else(|| failed(0, "it broke off while it named files".into()))?;
                broken.extend(far.answer(give(&Gift::store(&job.directory, files, names)), progress));
            }
            Message::Done(kept) => break Some(Ok(*kept)),
            Message::Failed(why) => break Some(Err(why)),
        }
    };
    far.wire.finish();
    let until = Instant::now() + Duration::from_secs(5);
    while far.closed.is_none() && Instant::now() < until && far.step(until) {}
    match kept {
        Some(Ok(mut kept)) => {
            // Why production's answer broke off is known here only.
            kept.problems.extend(broken);
            Ok(kept)
        }
        Some(Err(why)) => Err(failed(1, broken.into_iter().fold(why, |why, more| format!("{why}; {more}")))),
        None => match ended(&far.err, &mark) {
            (Some(status), said) => Err(failed(status, said)),
            (None, said) => Err(shell.explain(&far.closed.unwrap_or_default(), said.as_bytes())),
        },
    }
}

struct Far {
    wire: Box<dyn Wire>,
    out: Vec<u8>,
    err: Vec<u8>,
    closed: Option<String>,
}

impl Far {
    fn send(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(256 * 1024) {
            self.wire.send(&piece(part));
            self.wire.send(part);
        }
    }

    fn end(&mut self, whole: bool) {
        self.wire.send(&if whole { 0 } else { BROKEN }.to_be_bytes());
    }

    /// Moves on by one chunk; whether there can be more.
    fn step(&mut self, until: Instant) -> bool {
        match self.wire.receive(until) {
            Chunk::Out(bytes) => self.out.extend(bytes),
            Chunk::Err(bytes) => gather(&mut self.err, bytes),
            Chunk::Sent => {}
            Chunk::Closed(why) => self.closed = Some(why),
            Chunk::Late => return false,
        }
        self.closed.is_none()
    }

    /// The message at hand, if it came whole.
    fn at_hand(&mut self) -> Result<Option<Message>, String> {
        let Some(end) = self.out.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
        let line: Vec<u8> = self.out.drain(..=end).collect();
        serde_json::from_slice(&line)
            .map(Some)
            .map_err(|error| format!("it speaks another language: {error}; run otr apply, which installs this otr there"))
    }

    /// The next message; nothing if it ended.
    fn message(&mut self) -> Result<Option<Message>, String> {
        loop {
            if let Some(message) = self.at_hand()? {
                return Ok(Some(message));
            }
            if self.out.len() > MESSAGE {
                return Err("its message has no end".into());
            }
            if self.closed.is_some() {
                return Ok(None);
            }
            // Listing and asking a large database takes its time; so does a last sync to disk.
            if !self.step(Instant::now() + STORE_LIMIT) && self.closed.is_none() {
                return Err(format!("it said nothing for {} s", STORE_LIMIT.as_secs()));
            }
        }
    }

    /// So many bytes that follow a message.
    fn take(&mut self, length: u64) -> Option<Vec<u8>> {
        let length = usize::try_from(length).ok().filter(|_| length <= NAMES)?;
        while self.out.len() < length && self.step(Instant::now() + IDLE) {}
        let rest = (self.out.len() >= length).then(|| self.out.split_off(length))?;
        Some(std::mem::replace(&mut self.out, rest))
    }

    /// Passes an answer on; why it is not whole, if it is not.
    fn answer(&mut self, stream: Result<Box<dyn Read + Send>, HostError>, progress: &dyn Fn(Moved)) -> Option<String> {
        let error = match stream {
            Ok(mut stream) => match self.pass(&mut stream, progress) {
                Ok(()) => {
                    self.end(true);
                    return None;
                }
                Err(error) => error,
            },
            Err(error) => Some(error.to_string()),
        };
        self.end(false);
        error
    }

    /// `None` as an error: the far end says itself why it takes no more.
    fn pass(&mut self, stream: &mut dyn Read, progress: &dyn Fn(Moved)) -> Result<(), Option<String>> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            while self.wire.unsent() > QUEUE {
                if !self.step(Instant::now() + IDLE) {
                    let late = || Some(format!("it took nothing for {} s", IDLE.as_secs()));
                    return Err(if self.closed.is_some() { None } else { late() });
                }
            }
            // What it says meanwhile is how far it is, or that it is over.
            while self.step(Instant::now()) {}
            while self.out.contains(&b'\n') {
                let before = self.out.clone();
                match self.at_hand().map_err(Some)? {
                    Some(Message::Moved(moved)) => progress(moved),
                    _ => {
                        self.out = before;
                        return Err(None);
                    }
                }
            }
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => self.send(buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Some(error.to_string())),
            }
        }
    }
}
