//! Ways to a machine that has no port of its own for us: ProxyJump and ProxyCommand, each a
//! child process on one end of a socket pair.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::config::{Proxy, Settings};
use super::link::lock;
use crate::host::process::exited;

/// The child; ends with this value.
pub(super) struct Proxied {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Proxied {
    /// What it complained about.
    pub fn said(&self) -> String {
        lock(&self.said).trim().to_owned()
    }
}

impl Drop for Proxied {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = exited(&mut self.child, Duration::from_secs(1));
    }
}

/// Starts it.
pub(super) fn start(settings: &Settings, proxy: &Proxy, accept_new: bool) -> std::io::Result<(UnixStream, Proxied)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = command(settings, proxy, accept_new);
    let mut child = command
        .stdin(Stdio::from(OwnedFd::from(theirs.try_clone()?)))
        .stdout(Stdio::from(OwnedFd::from(theirs)))
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    // It holds the other end too, which would keep the socket open when the child dies.
    drop(command);
    let said = Arc::new(Mutex::new(String::new()));
    if let Some(mut stderr) = child.stderr.take() {
        let said = said.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(n @ 1..) = stderr.read(&mut buffer) {
                let mut said = lock(&said);
                if said.len() < 4096 {
                    said.push_str(&String::from_utf8_lossy(buffer.get(..n).unwrap_or_default()));
                }
            }
        });
    }
    Ok((ours, Proxied { child, said }))
}

fn command(settings: &Settings, proxy: &Proxy, accept_new: bool) -> Command {
    let hops = match proxy {
        Proxy::Command(text) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("exec {text}"));
            return command;
        }
        Proxy::Jump(hops) => hops,
    };
    let mut command = Command::new("ssh");
    command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=4", "-o", "ControlPath=none"]);
    command.arg("-o").arg(format!("StrictHostKeyChecking={}", if accept_new { "accept-new" } else { "yes" }));
    if let Some(path) = &settings.config {
        command.arg("-F").arg(path);
    }
    if let Some(path) = settings.known_hosts.first() {
        command.arg("-o").arg(format!("UserKnownHostsFile={}", path.display()));
    }
    for path in &settings.identities {
        command.arg("-i").arg(path);
    }
    let host = if settings.host.contains(':') { format!("[{}]", settings.host) } else { settings.host.clone() };
    command.arg("-W").arg(format!("{host}:{}", settings.port));
    let Some((last, before)) = hops.split_last() else { return command };
    if !before.is_empty() {
        command.arg("-J").arg(before.join(","));
    }
    // user@host:port is an address to ssh only as a URI.
    let uri = if last.contains("://") { last.clone() } else { format!("ssh://{last}") };
    command.arg("--").arg(uri);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hop_opens_the_way_and_the_others_lead_to_it() {
        let spec = serde_json::from_value(
            serde_json::json!({"address": "::1", "port": 2222, "ssh": {"known_hosts": "/k", "identity": "/i", "config": "/dev/null"}}),
        )
        .unwrap();
        let settings = super::super::config::settings(&spec).unwrap();
        let command = command(&settings, &Proxy::Jump(vec!["a".into(), "al@b:2200".into()]), false);
        let all: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        let all = all.join(" ");
        assert!(all.ends_with("-F /dev/null -o UserKnownHostsFile=/k -i /i -W [::1]:2222 -J a -- ssh://al@b:2200"), "{all}");
    }
}
