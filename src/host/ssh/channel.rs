//! One command on an SSH connection as a [`Wire`]: both streams and the input are moved by
//! whoever waits, never blocking on one of them.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ssh2::Channel;

use super::link::{Link, lock};
use super::unreachable;
use crate::host::HostError;
use crate::host::wire::{Chunk, Wire};

/// Unread bytes the other end may send: keeps a LAN busy (measured: 2 MiB).
const WINDOW: u32 = 2 << 20;
const PACKET: u32 = 32 * 1024;
/// A shell and one copy.
const MOST: usize = 2;

/// Starts a command; `None` where the connection carries a shell and a copy already.
pub(super) fn open(link: &Arc<Link>, command: &str) -> Result<Option<Remote>, HostError> {
    let fail = |why: String| unreachable(&link.name, why);
    if link.channels.fetch_add(1, Ordering::SeqCst) >= MOST {
        link.channels.fetch_sub(1, Ordering::SeqCst);
        return Ok(None);
    }
    let mut remote = Remote {
        link: link.clone(),
        channel: None,
        is_shell: false,
        outbox: VecDeque::new(),
        input: Input::Open,
        closed: None,
        buffer: vec![0; 64 * 1024],
    };
    let mut channel = link.retry(|| link.session.channel_open("session", WINDOW, PACKET, None)).map_err(fail)?;
    link.retry(|| channel.exec(command)).map_err(fail)?;
    let mut shell = lock(&link.shell);
    if shell.is_none() {
        *shell = Some(channel.clone());
        remote.is_shell = true;
    }
    drop(shell);
    remote.channel = Some(channel);
    Ok(Some(remote))
}

/// A running command.
pub(super) struct Remote {
    link: Arc<Link>,
    channel: Option<Channel>,
    is_shell: bool,
    outbox: VecDeque<u8>,
    input: Input,
    closed: Option<String>,
    buffer: Vec<u8>,
}

#[derive(PartialEq)]
enum Input {
    Open,
    Finishing,
    Finished,
}

impl Remote {
    /// Sends what the other end takes now; whether anything left.
    fn push(&mut self) -> Result<bool, String> {
        let Some(channel) = &mut self.channel else { return Ok(false) };
        let mut moved = false;
        while !self.outbox.is_empty() {
            match channel.write(self.outbox.as_slices().0) {
                Ok(0) => break,
                Ok(n) => {
                    self.outbox.drain(..n);
                    moved = true;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                // The command stopped listening: its end says why.
                Err(_) if channel.eof() => self.outbox.clear(),
                Err(e) => return Err(e.to_string()),
            }
        }
        if self.outbox.is_empty() && self.input == Input::Finishing && channel.send_eof().is_ok() {
            self.input = Input::Finished;
        }
        Ok(moved)
    }

    /// Reads what is there of one stream.
    fn pull(&mut self, stream: i32) -> Result<Option<Vec<u8>>, String> {
        let Some(channel) = &self.channel else { return Ok(None) };
        match channel.stream(stream).read(&mut self.buffer) {
            Ok(0) => Ok(None),
            Ok(n) => Ok(self.buffer.get(..n).map(<[u8]>::to_vec)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e.to_string()),
        }
    }

    fn step(&mut self) -> Result<Option<Chunk>, String> {
        let moved = self.push()?;
        if let Some(bytes) = self.pull(0)? {
            return Ok(Some(Chunk::Out(bytes)));
        }
        if let Some(bytes) = self.pull(ssh2::EXTENDED_DATA_STDERR)? {
            return Ok(Some(Chunk::Err(bytes)));
        }
        if self.channel.as_ref().is_none_or(Channel::eof) {
            return Err("it ended".into());
        }
        Ok(moved.then_some(Chunk::Sent))
    }
}

impl Wire for Remote {
    fn send(&mut self, bytes: &[u8]) {
        if self.input == Input::Open {
            self.outbox.extend(bytes);
        }
    }

    fn finish(&mut self) {
        if self.input == Input::Open {
            self.input = Input::Finishing;
        }
    }

    fn unsent(&self) -> usize {
        self.outbox.len()
    }

    fn receive(&mut self, until: Instant) -> Chunk {
        loop {
            if let Some(why) = &self.closed {
                return Chunk::Closed(why.clone());
            }
            let next = match self.step() {
                Ok(Some(chunk)) => return chunk,
                Ok(None) if Instant::now() >= until => return Chunk::Late,
                Ok(None) => self.link.wait(until),
                Err(why) => Err(why),
            };
            if let Err(why) = next {
                self.closed = Some(format!("{why}{}", self.link.proxy_said()));
            }
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if self.is_shell {
            *lock(&self.link.shell) = None;
        }
        if let Some(mut channel) = self.channel.take() {
            // Told to the other end, so that its command sees the end of its input; half a
            // packet left behind would block the whole connection. Not waited for long.
            let until = Instant::now() + Duration::from_millis(200);
            while self.closed.is_none()
                && Instant::now() < until
                && channel.close().is_err_and(|e| e.code() == ssh2::ErrorCode::Session(-37))
                && self.link.wait(Instant::now() + Duration::from_millis(20)).is_ok()
            {}
            // The crate frees a channel without the session's lock.
            let guard = self.link.session.raw();
            drop(channel);
            drop(guard);
        }
        self.link.channels.fetch_sub(1, Ordering::SeqCst);
    }
}
