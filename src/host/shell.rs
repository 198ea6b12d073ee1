//! The protocol all real hosts speak: programs for one long-lived POSIX `sh`, and what it
//! prints, framed by marks nobody can guess.
//!
//! Programs go to the shell's standard input, never into arguments: they hold secrets. How
//! bytes travel is the business of [`super::wire`]; the two ends of a copy are in `shell/copy.rs`.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::{Duration, Instant};

use super::wire::{Chunk, Line, Wire};
use super::{Give, Host, HostError};
use crate::action::script::script;
use crate::action::transfer::PROGRAM;
use crate::action::{Action, Gift, Keep, Kept, Moved, Taken, Transfer};
use crate::look::batch::{self, Question};
use crate::look::{Look, Reply, Seen, SightError, quote};
use crate::spec::host::Become;

mod copy;
mod keep;
mod right;

/// Beyond a question's own limit: the shell's start, and a loaded machine.
const MARGIN: Duration = Duration::from_secs(20);
/// An action: a base backup of a large cluster takes its time. A dead peer is noticed sooner.
const ACTION_LIMIT: Duration = Duration::from_secs(2 * 3600);
/// In a folder that only its user enters: nobody else can hold it, or put something in its place.
const LOCK: &str = "$(u=$(id -u); if [ \"$u\" = 0 ]; then d=/run/otr; elif [ -d \"/run/user/$u\" ]; then d=/run/user/$u/otr; else d=$HOME/.cache/otr; fi; mkdir -p \"$d\"; chmod 0700 \"$d\"; echo \"$d/lock\")";
/// Said before the first program. The tools of administrators are not in everybody's PATH.
const PREAMBLE: &str = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH LC_ALL=C; umask 022; cd /\n";

/// A [`Host`] that is a shell at the end of a [`Line`].
pub struct Shell {
    line: Box<dyn Line>,
    becomes: Option<Become>,
    wire: Option<Box<dyn Wire>>,
    /// Set once the wire broke: it is not opened again, for the lock went with it.
    broken: Option<HostError>,
    proven: bool,
    locked: bool,
    /// Where the lock is; shell that is expanded there.
    lock_file: String,
    /// The otr there.
    program: String,
    /// It is the program of this process, and would be started with the same rights.
    is_self: bool,
}

/// What one program brought.
struct Trip {
    out: Vec<u8>,
    err: Vec<u8>,
    cut: Option<HostError>,
}

impl Shell {
    /// A shell that is started at first use.
    pub fn new(line: Box<dyn Line>, becomes: Option<Become>) -> Self {
        let (lock_file, program) = (LOCK.into(), PROGRAM.into());
        Self { line, becomes, wire: None, broken: None, proven: false, locked: false, lock_file, program, is_self: false }
    }

    /// The same, with the otr there at another path.
    #[must_use]
    pub fn with_program(self, program: impl Into<String>) -> Self {
        Self { program: program.into(), is_self: false, ..self }
    }

    /// The same, on the machine of this process, whose program is the one there.
    #[must_use]
    pub fn on_this_machine(self, program: impl Into<String>) -> Self {
        Self { is_self: self.becomes.is_none(), ..self.with_program(program) }
    }

    /// What errors call the machine.
    pub fn name(&self) -> String {
        self.line.name()
    }

    /// `sh` with these arguments, with the rights asked for.
    fn command(&self, arguments: &str) -> String {
        match self.becomes {
            Some(Become::Sudo) => format!("exec sudo -n sh{arguments}"),
            None => format!("exec sh{arguments}"),
        }
    }

    /// Sends a program and reads until both streams end with its mark. `idle` limits the time
    /// between two signs of life, `total` the whole.
    fn trip(&mut self, program: &str, end: &str, idle: Duration, total: Duration) -> Result<Trip, HostError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => {
                let mut wire = self.line.open(&self.command("")).inspect_err(|e| self.broken = Some(e.clone()))?;
                wire.send(PREAMBLE.as_bytes());
                wire
            }
        };
        wire.send(program.as_bytes());
        let (mut out, mut err) = (Stream::default(), Stream::default());
        let last = Instant::now() + total;
        let mut until = last.min(Instant::now() + idle);
        let cut = loop {
            if out.ended && err.ended {
                break None;
            }
            match wire.receive(until) {
                Chunk::Out(bytes) => out.add(&bytes, end),
                Chunk::Err(bytes) => err.add(&bytes, end),
                Chunk::Sent => {}
                Chunk::Closed(why) => break Some(self.explain(&why, &err.bytes)),
                Chunk::Late => {
                    let why = format!("{}: no answer within {} s", self.name(), idle.min(total).as_secs());
                    break Some(HostError::Unreachable { why });
                }
            }
            until = last.min(Instant::now() + idle);
        };
        match &cut {
            None => {
                self.wire = Some(wire);
                self.proven = true;
            }
            Some(error) => self.broken = Some(error.clone()),
        }
        Ok(Trip { out: out.bytes, err: err.bytes, cut })
    }

    fn explain(&self, why: &str, said: &[u8]) -> HostError {
        let said = tail(&String::from_utf8_lossy(said));
        if let (false, Some(Become::Sudo)) = (self.proven, self.becomes)
            && let Some(why) = right::missing(&self.name(), &said)
        {
            return HostError::Denied { why };
        }
        let said = if said.is_empty() || self.proven { String::new() } else { format!(": {said}") };
        let hint = if self.proven { None } else { self.line.hint(&said) };
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        HostError::Unreachable { why: format!("{}: the connection was lost: {why}{said}{hint}", self.name()) }
    }

    /// One trip with questions; the streams, and why they broke off if they did.
    fn question(&mut self, questions: &[Question]) -> Result<(String, Trip), HostError> {
        let word = word()?;
        let longest = questions.iter().map(Question::limit).max().unwrap_or_default();
        let sum: u64 = questions.iter().map(|question| question.limit() + 2).sum();
        // One question is silent for its limit at most: each prints its mark when it ends.
        let trip = self.trip(
            &batch::program(questions, &word),
            &batch::end_mark(&word),
            Duration::from_secs(longest) + MARGIN,
            Duration::from_secs(sum) + MARGIN,
        )?;
        Ok((word, trip))
    }

    fn ask(&mut self, questions: &[Question]) -> Result<Seen, HostError> {
        let (word, trip) = self.question(questions)?;
        let seen = batch::read(questions, &word, &trip.out, &trip.err);
        match trip.cut {
            Some(error) if seen.values().all(|sight| *sight == Err(SightError::Truncated)) => Err(error),
            _ => Ok(seen),
        }
    }

    /// Runs a body of shell and reads its exit status and what it left in `$said`.
    fn run(&mut self, body: &str, total: Duration) -> Result<(i32, String), HostError> {
        let word = word()?;
        let end = batch::end_mark(&word);
        let program = format!("{body}\nprintf '%s' \"{word} 0<$said{word} 0>$s.\"; printf '%s' '{end}'; printf '%s' '{end}' >&2\n");
        let trip = self.trip(&program, &end, total, total)?;
        if let Some(error) = trip.cut {
            return Err(error);
        }
        let out = String::from_utf8_lossy(&trip.out);
        let read = || {
            let (said, rest) = out.split_once(&format!("{word} 0<"))?.1.split_once(&format!("{word} 0>"))?;
            Some((rest.split_once('.')?.0.parse().ok()?, said.to_owned()))
        };
        read().ok_or_else(|| HostError::Unreachable { why: format!("{}: the reply is not understood", self.name()) })
    }
}

impl Shell {
    fn perform(&mut self, title: String, script: &str) -> Result<(), HostError> {
        // The output goes to a file: if the connection is cut, apt must not die of a broken
        // pipe in the middle of a package. /run is memory and rarely full.
        let body = format!(
            "l=$(mktemp -p /run otr.XXXXXXXXXX 2>/dev/null || mktemp 2>/dev/null)\n( set -e\n{script}\n) </dev/null >\"${{l:-/dev/null}}\" 2>&1\ns=$?\n\
             said=; [ $s = 0 ] || said=$(tail -c 4096 -- \"${{l:-/dev/null}}\"); [ -z \"$l\" ] || rm -f -- \"$l\"",
        );
        match self.run(&body, ACTION_LIMIT) {
            Ok((0, _)) => Ok(()),
            Ok((status, said)) => Err(HostError::Failed { title, status, said: tail(&said) }),
            Err(HostError::Unreachable { why }) => {
                Err(HostError::Unreachable { why: format!("{why}; whether \"{title}\" was done is not known") })
            }
            Err(other) => Err(other),
        }
    }
}

impl Host for Shell {
    fn look(&mut self, looks: &BTreeSet<Look>) -> Result<Seen, HostError> {
        let questions = batch::questions(looks);
        if questions.is_empty() {
            return Ok(Seen::new());
        }
        let mut seen = self.ask(&questions)?;
        // One dead mount silences its whole group: ask again one by one.
        let late = |look: &Look| matches!(seen.get(look), Some(Err(SightError::Timeout(_))));
        let again: Vec<Question> = questions
            .iter()
            .map(Question::looks)
            .filter(|group| group.len() > 1 && group.iter().any(late))
            .flatten()
            .filter(late)
            .map(Question::One)
            .collect();
        if !again.is_empty()
            && let Ok(more) = self.ask(&again)
        {
            seen.extend(more);
        }
        Ok(seen)
    }

    fn record(&mut self, looks: &BTreeSet<Look>) -> Result<Vec<(Question, Reply)>, HostError> {
        let questions = batch::questions(looks);
        let (word, trip) = self.question(&questions)?;
        match trip.cut {
            Some(error) => Err(error),
            None => Ok(batch::replies(&questions, &word, &trip.out, &trip.err)),
        }
    }

    fn act(&mut self, action: &Action) -> Result<(), HostError> {
        self.perform(action.title(), &script(action))
    }

    fn lock(&mut self, holder: &str) -> Result<(), HostError> {
        if self.locked && self.broken.is_none() {
            return Ok(());
        }
        // What the shell starts inherits fd 9: apt goes on after a cut, and so does its lock.
        let body = format!(
            "f={}; said=; s=74\n\
             if said=$( ( : >>\"$f\" ) 2>&1 ); then exec 9>>\"$f\"\n\
             if said=$(flock -n 9 2>&1); then s=0; printf '%s since %s\\n' {} \"$(date '+%Y-%m-%d %H:%M:%S %Z')\" >\"$f\"\n\
             else [ -n \"$said\" ] || {{ s=75; said=$(cat \"$f\"); }}; exec 9>&-; fi; fi",
            self.lock_file,
            quote(holder)
        );
        match self.run(&body, Duration::from_secs(30))? {
            (0, _) => {
                self.locked = true;
                Ok(())
            }
            (75, said) if said.trim().is_empty() => Err(HostError::Locked { holder: "somebody who just began".into() }),
            // One line was written there by an otr; more would be somebody else's words.
            (75, said) => Err(HostError::Locked { holder: said.trim().lines().next().unwrap_or_default().to_owned() }),
            (status, said) => Err(HostError::Failed { title: "take the lock".into(), status, said: tail(&said) }),
        }
    }

    fn give(&mut self, gift: &Gift) -> Result<Box<dyn Read + Send>, HostError> {
        copy::give(self, gift)
    }

    fn take(&mut self, transfer: &Transfer, stream: &mut dyn Read) -> Result<Taken, HostError> {
        copy::take(self, transfer, stream)
    }

    fn keep(&mut self, job: &Keep, give: Give<'_>, progress: &dyn Fn(Moved)) -> Result<Kept, HostError> {
        // A scrub gets a process of its own, which yields the disk to everybody.
        match self.is_self && job.scrub.is_none() {
            true => keep::keep_here(job, give, progress),
            false => keep::keep(self, job, give, progress),
        }
    }
}

/// One of the two streams of a trip.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    ended: bool,
}

impl Stream {
    fn add(&mut self, bytes: &[u8], end: &str) {
        let from = self.bytes.len().saturating_sub(end.len());
        self.bytes.extend(bytes);
        self.ended |= batch::find(self.bytes.get(from..).unwrap_or_default(), end.as_bytes()).is_some();
    }
}

/// 128 bits nobody on the host can guess; '~' is rare in what looks print.
fn word() -> Result<String, HostError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| HostError::Unreachable { why: format!("this machine gives no random numbers: {e}") })?;
    Ok(bytes.iter().fold("~".to_owned(), |word, byte| format!("{word}{byte:02x}")))
}

/// The last 40 lines, at most 4 KiB.
fn tail(said: &str) -> String {
    let said = said.trim();
    let lines: Vec<&str> = said.lines().rev().take(40).collect();
    let text = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
    let mut from = text.len().saturating_sub(4096);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
