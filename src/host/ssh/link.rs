//! One SSH connection: made, its machine identified, logged in, kept alive, given up in time.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_tcp_quickack;
use ssh2::{BlockDirections, Channel, MethodType, Session};

use super::config::Settings;
use super::known_hosts::KnownHost;
use super::proxy::{self, Proxied};
use super::{auth, shut, unreachable};
use crate::host::HostError;

/// How long a machine may take to its first packet. A living one answers from its kernel, however busy
/// it is, within the time of the way there and back; on the slowest ways that is 0.7 s.
const CONNECT: Duration = Duration::from_millis(1200);
/// When it is asked once more, for the first packet may be lost: the kernel itself asks again only after a
/// whole second. Later than a living one answers, so that it sees one connection.
const AGAIN: Duration = Duration::from_millis(600);
/// An agent may ask its owner for a touch.
const LOGIN_MS: u32 = 30_000;
const HANDSHAKE_MS: u32 = 15_000;
/// Between two keep-alives.
pub(super) const ALIVE: Duration = Duration::from_secs(15);
/// Four of them unanswered.
const DEAD: Duration = Duration::from_secs(75);
/// libssh2 may hold packets for one channel that another read: look again this often.
const SHARED: Duration = Duration::from_millis(100);
/// Nobody used it for so long.
const IDLE: Duration = Duration::from_secs(2);
/// LIBSSH2_ERROR_EAGAIN.
const WOULD_BLOCK: ssh2::ErrorCode = ssh2::ErrorCode::Session(-37);
/// With an AES instruction set, GCM is the fastest libssh2 has.
const CIPHERS: &str = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr";

/// A connection that is logged in. Never blocks but in [`Link::wait`].
pub struct Link {
    /// What errors call the machine.
    pub(super) name: String,
    pub(super) session: Session,
    /// Channels open on it.
    pub(super) channels: AtomicUsize,
    /// The long-lived channel, by which an idle connection is kept.
    pub(super) shell: Mutex<Option<Channel>>,
    socket: OwnedFd,
    pulse: Mutex<Pulse>,
    // Last: it outlives the session.
    proxied: Option<Proxied>,
}

struct Pulse {
    heard: Instant,
    asked: Instant,
    pumped: Instant,
}

/// Makes it.
pub(super) fn connect(settings: &Settings, accept_new: bool) -> Result<Arc<Link>, HostError> {
    let fail = |why: String| unreachable(&settings.name, why);
    let known = KnownHost::read(settings)?;
    let mut session = Session::new().map_err(|e| fail(e.message().to_owned()))?;
    let (socket, proxied) = match &settings.proxy {
        None => {
            let stream = dial(settings).map_err(fail)?;
            let copy = stream.try_clone().map_err(|e| fail(e.to_string()))?;
            session.set_tcp_stream(stream);
            (OwnedFd::from(copy), None)
        }
        Some(proxy) => {
            let (stream, proxied) =
                proxy::start(settings, proxy, accept_new).map_err(|e| fail(format!("its proxy cannot be started: {e}")))?;
            let copy = stream.try_clone().map_err(|e| fail(e.to_string()))?;
            session.set_tcp_stream(stream);
            (OwnedFd::from(copy), Some(proxied))
        }
    };
    let said = || complaint(proxied.as_ref());
    for direction in [MethodType::CryptCs, MethodType::CryptSc] {
        // What it cannot prefer it does without.
        let _ = session.method_pref(direction, CIPHERS);
    }
    let _ = session.method_pref(MethodType::HostKey, &key_preference(&known.types()));
    session.set_timeout(HANDSHAKE_MS);
    let answers = |why: String| shut(&settings.name, why);
    if let Err(error) = session.handshake() {
        // A proxy answers for others; whoever took the connection itself lives.
        let banner: String = session.banner().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect();
        let why = match banner.is_empty() || banner.starts_with("SSH-") {
            true => format!("no SSH there: {}{}", words(&error), said()),
            false => format!("it answers, and its sshd turns this machine away for now: \"{banner}\""),
        };
        return Err(if proxied.is_none() { answers(why) } else { fail(why) });
    }
    let (key, _) = session.host_key().ok_or_else(|| answers("it showed no host key".into()))?;
    known.check(settings, key, accept_new)?;
    session.set_timeout(LOGIN_MS);
    auth::login(&session, settings).map_err(answers)?;
    session.set_keepalive(true, u32::try_from(ALIVE.as_secs()).unwrap_or(15));
    session.set_timeout(0);
    session.set_blocking(false);
    let now = Instant::now();
    let link = Arc::new(Link {
        name: settings.name.clone(),
        session,
        channels: AtomicUsize::new(0),
        shell: Mutex::new(None),
        socket,
        pulse: Mutex::new(Pulse { heard: now, asked: now, pumped: now }),
        proxied,
    });
    keep(&link);
    Ok(link)
}

impl Link {
    /// Waits until the socket may have something, sends keep-alives, and tells a dead peer.
    pub(super) fn wait(&self, until: Instant) -> Result<(), String> {
        let mut pulse = lock(&self.pulse);
        let now = Instant::now();
        if now.duration_since(pulse.pumped) > ALIVE {
            // Nobody listened for a while: silence so far means nothing.
            pulse.heard = now;
        }
        pulse.pumped = now;
        let silent = now.duration_since(pulse.heard);
        if silent > DEAD {
            return Err(format!("no sign of life for {} s", silent.as_secs()));
        }
        self.greet(&mut pulse);
        drop(pulse);
        let events = match self.session.block_directions() {
            BlockDirections::Outbound | BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
            _ => PollFlags::IN,
        };
        let shared = self.channels.load(Ordering::Relaxed) > 1;
        let patience = until.saturating_duration_since(now).min(if shared { SHARED } else { Duration::from_secs(1) });
        let patience = Timespec { tv_sec: patience.as_secs().try_into().unwrap_or(1), tv_nsec: patience.subsec_nanos().into() };
        // sshd holds a small answer back until the one before is acknowledged, which this kernel
        // would put off by 40 ms. Lasts until the kernel thinks otherwise; no TCP, no harm.
        let _ = set_tcp_quickack(&self.socket, true);
        let mut fds = [PollFd::new(&self.socket, events)];
        match poll(&mut fds, Some(&patience)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) if fds.iter().any(|fd| fd.revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)) => {
                lock(&self.pulse).heard = Instant::now();
            }
            Ok(_) => {}
            Err(e) => return Err(e.to_string()),
        }
        Ok(())
    }

    fn greet(&self, pulse: &mut Pulse) {
        if pulse.asked.elapsed() >= ALIVE {
            pulse.asked = Instant::now();
            // A failure shows at the next read.
            let _ = self.session.keepalive_send();
        }
    }

    /// Tries until it would not block, within 30 s.
    pub(super) fn retry<T>(&self, mut attempt: impl FnMut() -> Result<T, ssh2::Error>) -> Result<T, String> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(e) if e.code() == WOULD_BLOCK && Instant::now() < until => self.wait(until)?,
                Err(e) => return Err(format!("{}{}", words(&e), self.proxy_said())),
            }
        }
    }

    /// What the proxy complained about, for the end of an error.
    pub(super) fn proxy_said(&self) -> String {
        complaint(self.proxied.as_ref())
    }
}

fn complaint(proxied: Option<&Proxied>) -> String {
    let said = proxied.map(Proxied::said).unwrap_or_default();
    if said.is_empty() { said } else { format!(" (the proxy said: {said})") }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.session.set_blocking(true);
        self.session.set_timeout(300);
        // A courtesy: the socket closes anyway.
        let _ = self.session.disconnect(None, "done", None);
    }
}

/// Keeps a connection nobody uses for a while: another host may be busy for an hour, and a
/// server that asks for a sign of life hangs up on who gives none.
fn keep(link: &Arc<Link>) {
    let link = Arc::downgrade(link);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let Some(link) = link.upgrade() else { return };
            let mut pulse = lock(&link.pulse);
            // Whoever uses it comes by once a second.
            if pulse.pumped.elapsed() >= IDLE {
                link.greet(&mut pulse);
                drop(pulse);
                if let Some(shell) = lock(&link.shell).as_mut() {
                    // Takes in what the server asks, and answers, without taking anybody's data.
                    let _ = shell.wait_eof();
                }
            }
        }
    });
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dial(settings: &Settings) -> Result<TcpStream, String> {
    let (host, port) = (settings.host.as_str(), settings.port);
    let addresses: Vec<_> = (host, port)
        .to_socket_addrs()
        .map_err(|e| format!("the name {host} is not known: {e}; write an address, or a HostName in ~/.ssh/config"))?
        .collect();
    let mut last = format!("the name {host} has no address");
    for address in addresses {
        match reach(address) {
            Ok(stream) => {
                // Small programs, waited for: never held back. A failure costs time only.
                let _ = stream.set_nodelay(true);
                let _ = set_tcp_quickack(&stream, true);
                return Ok(stream);
            }
            Err(e) => {
                last = match e.kind() {
                    std::io::ErrorKind::ConnectionRefused => format!("{address} refuses the connection: no sshd there, or on another port"),
                    std::io::ErrorKind::TimedOut => {
                        format!("{address} does not answer within {} s: down, or behind a firewall", CONNECT.as_secs_f64())
                    }
                    std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => {
                        format!("there is no way to {address}: {e}")
                    }
                    _ => format!("{address}: {e}"),
                }
            }
        }
    }
    Err(last)
}

/// Connects; the first of two attempts that is answered counts, also with a refusal.
fn reach(address: SocketAddr) -> std::io::Result<TcpStream> {
    let (tell, told) = std::sync::mpsc::channel();
    let answered = Arc::new(AtomicBool::new(false));
    for wait in [Duration::ZERO, AGAIN] {
        let (tell, answered) = (tell.clone(), answered.clone());
        std::thread::spawn(move || {
            std::thread::sleep(wait);
            if !answered.load(Ordering::SeqCst) {
                // Nobody listens once the other was answered.
                let _ = tell.send(TcpStream::connect_timeout(&address, CONNECT.saturating_sub(wait)));
            }
        });
    }
    drop(tell);
    let mut last = std::io::Error::from(std::io::ErrorKind::TimedOut);
    for result in told {
        match result {
            Err(e) if e.kind() == std::io::ErrorKind::TimedOut => last = e,
            result => {
                answered.store(true, Ordering::SeqCst);
                return result;
            }
        }
    }
    Err(last)
}

/// All types libssh2 knows, the known ones first.
fn key_preference(known: &[String]) -> String {
    let all =
        ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"];
    let is_known = |name: &&str| known.iter().any(|kind| kind == name || (kind == "ssh-rsa" && name.starts_with("rsa-")));
    let (mut first, rest): (Vec<&str>, Vec<&str>) = all.into_iter().partition(is_known);
    first.extend(rest);
    first.join(",")
}

/// libssh2's error in words (libssh2.h).
pub(super) fn words(error: &ssh2::Error) -> String {
    let ssh2::ErrorCode::Session(code) = error.code() else { return error.message().to_owned() };
    let why = match code {
        -2 => "it does not greet as an SSH server",
        -5 | -8 => "the two ends have no algorithm in common, or the key exchange failed",
        -7 => "the connection broke while sending",
        -9 => "it does not answer in time",
        -13 | -43 => "it closed the connection",
        -18 | -48 => "the login was refused",
        -21 => "the server opens no further session",
        _ => return format!("{} (libssh2 error {code})", error.message()),
    };
    why.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_ciphers_exist() {
        let session = Session::new().unwrap();
        let known = session.supported_algs(MethodType::CryptCs).unwrap();
        assert!(CIPHERS.split(',').all(|cipher| known.contains(&cipher)), "{known:?}");
        session.method_pref(MethodType::CryptCs, CIPHERS).unwrap();
    }

    #[test]
    fn known_key_types_are_asked_for_first() {
        assert!(key_preference(&["ecdsa-sha2-nistp256".into()]).starts_with("ecdsa-sha2-nistp256,ssh-ed25519"));
        assert!(key_preference(&["ssh-rsa".into()]).starts_with("rsa-sha2-512,rsa-sha2-256,ssh-rsa,ssh-ed25519"));
        assert!(key_preference(&[]).starts_with("ssh-ed25519"));
    }
}
