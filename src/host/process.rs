//! A wire to a child process. Threads move its bytes, so that no stream can block another.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::wire::{Chunk, Wire};

/// Bytes per read.
const CHUNK: usize = 64 * 1024;
/// Chunks read ahead of the consumer: 4 MiB.
const AHEAD: usize = 64;

enum Event {
    Chunk(Chunk),
    Sent(usize),
    End,
}

/// A child process as a [`Wire`].
#[derive(Debug)]
pub struct Process {
    child: Child,
    events: Receiver<Event>,
    input: Option<Sender<Vec<u8>>>,
    unsent: usize,
    open: u8,
    closed: Option<String>,
    kill: bool,
}

impl Process {
    /// Starts it, in a process group of its own: an interrupt at the terminal is for otr, which
    /// ends in order, and not for the apt it started. `kill`: whether it ends with this value;
    /// else it is left to finish what it was told.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(command: &mut Command, kill: bool) -> std::io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
        let (to, events) = sync_channel(AHEAD);
        let mut open = 0;
        if let Some(out) = child.stdout.take() {
            pump(out, to.clone(), Chunk::Out);
            open += 1;
        }
        if let Some(err) = child.stderr.take() {
            pump(err, to.clone(), Chunk::Err);
            open += 1;
        }
        let (input, queue) = channel::<Vec<u8>>();
        if let Some(mut stdin) = child.stdin.take() {
            thread::spawn(move || {
                for bytes in queue {
                    // A reader that is gone shows as the end of its output.
                    if stdin.write_all(&bytes).is_err() || to.send(Event::Sent(bytes.len())).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { child, events, input: Some(input), unsent: 0, open, closed: None, kill })
    }

    fn ended(&mut self) -> String {
        match exited(&mut self.child, Duration::from_secs(1)) {
            Some(status) => format!("it ended ({status})"),
            None => "it closed its output".into(),
        }
    }
}

impl Wire for Process {
    fn send(&mut self, bytes: &[u8]) {
        if let Some(input) = &self.input {
            // In pieces, so that progress is seen.
            for piece in bytes.chunks(4 * CHUNK) {
                if input.send(piece.to_vec()).is_ok() {
                    self.unsent += piece.len();
                }
            }
        }
    }

    fn finish(&mut self) {
        self.input = None;
    }

    fn unsent(&self) -> usize {
        self.unsent
    }

    fn receive(&mut self, until: Instant) -> Chunk {
        loop {
            if let Some(why) = &self.closed {
                return Chunk::Closed(why.clone());
            }
            // In slices: a process that left its output to a daemon closes nothing.
            let slice = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(1));
            match self.events.recv_timeout(slice) {
                Ok(Event::Chunk(chunk)) => return chunk,
                Ok(Event::Sent(bytes)) => {
                    self.unsent = self.unsent.saturating_sub(bytes);
                    return Chunk::Sent;
                }
                Ok(Event::End) => self.open = self.open.saturating_sub(1),
                Err(RecvTimeoutError::Disconnected) => self.open = 0,
                Err(RecvTimeoutError::Timeout) if matches!(self.child.try_wait(), Ok(Some(_))) => self.open = 0,
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until => return Chunk::Late,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.open == 0 {
                self.closed = Some(self.ended());
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.input = None;
        if self.kill {
            // It may be gone already.
            let _ = self.child.kill();
        }
        // Reaped if it ends soon; a long action goes on without otr.
        let _ = exited(&mut self.child, Duration::from_millis(500));
    }
}

/// Waits a little for a child to end.
pub(crate) fn exited(child: &mut Child, patience: Duration) -> Option<std::process::ExitStatus> {
    let until = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
            _ => return None,
        }
    }
}

fn pump(mut from: impl Read + Send + 'static, to: SyncSender<Event>, kind: fn(Vec<u8>) -> Chunk) {
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        loop {
            let event = match from.read(&mut buffer) {
                Ok(0) => Event::End,
                Ok(n) => Event::Chunk(kind(buffer.get(..n).unwrap_or_default().to_vec())),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => Event::End,
            };
            let end = matches!(event, Event::End);
            if to.send(event).is_err() || end {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(wire: &mut Process) -> (Vec<u8>, Vec<u8>, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        loop {
            match wire.receive(Instant::now() + Duration::from_secs(20)) {
                Chunk::Out(bytes) => out.extend(bytes),
                Chunk::Err(bytes) => err.extend(bytes),
                Chunk::Sent => {}
                Chunk::Closed(why) => return (out, err, why),
                Chunk::Late => panic!("late"),
            }
        }
    }

    #[test]
    fn large_streams_in_all_directions_do_not_block_each_other() {
        let mut wire = Process::start(Command::new("sh").args(["-c", "tee /dev/stderr; exit 3"]), false).unwrap();
        let big = vec![b'x'; 3 << 20];
        wire.send(&big);
        wire.finish();
        let (out, err, why) = all(&mut wire);
        assert!(out == big && err == big && wire.unsent() == 0);
        assert!(why.contains("exit status: 3"), "{why}");
    }

    #[test]
    fn a_daemon_that_keeps_the_output_does_not_hold_us() {
        let mut wire = Process::start(Command::new("sh").args(["-c", "sleep 15 & exit 0"]), false).unwrap();
        let begin = Instant::now();
        all(&mut wire);
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
