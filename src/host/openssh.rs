//! A machine behind the system's `ssh`, for `Match`, FIDO keys and hosts signed by a CA.
//! Each transfer is an ssh of its own; nothing is shared or left behind.

use std::process::Command;

use super::HostError;
use super::process::Process;
use super::shell::Shell;
use super::wire::{Line, Wire};
use crate::spec::host::HostSpec;

#[derive(Debug)]
struct OpenSsh {
    address: String,
    arguments: Vec<String>,
}

impl Line for OpenSsh {
    fn name(&self) -> String {
        format!("ssh {}", self.address)
    }

    fn open(&mut self, command: &str) -> Result<Box<dyn Wire>, HostError> {
        let process = Process::start(Command::new("ssh").args(&self.arguments).arg(command), true)
            .map_err(|e| HostError::Unreachable { why: format!("the program ssh cannot be started: {e}; install openssh-client") })?;
        Ok(Box::new(process))
    }

    fn hint(&self, said: &str) -> Option<String> {
        let has = |words: &str| said.contains(words);
        let hint = if has("IDENTIFICATION HAS CHANGED") {
            "the host key is not the known one: find out why before you remove the old line from known_hosts"
        } else if has("Host key verification failed") || has("host key is known for") {
            "the host key is not known: compare its fingerprint on the machine, then accept it once with --accept-new"
        } else if has("Permission denied (") {
            "the login was refused: put a key into the agent (ssh-add) or name one as ssh.identity"
        } else {
            return None;
        };
        Some(hint.into())
    }
}

/// Prepares the connection; it is made at the first look.
pub fn open(spec: &HostSpec, accept_new: bool) -> Shell {
    Shell::new(Box::new(OpenSsh { address: spec.address.clone(), arguments: arguments(spec, accept_new) }), spec.becomes)
}

fn arguments(spec: &HostSpec, accept_new: bool) -> Vec<String> {
    let mut list: Vec<String> = ["-T", "-a", "-x"].map(String::from).to_vec();
    let mut option = |text: String| list.extend(["-o".to_owned(), text]);
    for text in ["BatchMode=yes", "ServerAliveInterval=15", "ServerAliveCountMax=4", "ConnectTimeout=4", "ControlPath=none"] {
        option(text.into());
    }
    option(format!("StrictHostKeyChecking={}", if accept_new { "accept-new" } else { "yes" }));
    if let Some(path) = &spec.ssh.known_hosts {
        option(format!("UserKnownHostsFile={}", path.display()));
    }
    let mut flag = |name: &str, value: Option<String>| {
        list.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    };
    flag("-F", spec.ssh.config.as_ref().map(|path| path.display().to_string()));
    flag("-i", spec.ssh.identity.as_ref().map(|path| path.display().to_string()));
    flag("-p", spec.port.map(|port| port.to_string()));
    flag("-l", spec.user.clone());
    // An address that begins with a dash must not become an option.
    list.extend(["--".to_owned(), spec.address.clone()]);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spec_becomes_arguments() {
        let spec: HostSpec = serde_json::from_value(serde_json::json!({
            "address": "-oProxyCommand=x", "port": 22022, "user": "odoo",
            "ssh": { "client": "openssh", "identity": "/k", "config": "/c", "known_hosts": "/h" }
        }))
        .unwrap();
        let all = arguments(&spec, false).join(" ");
        for part in ["StrictHostKeyChecking=yes", "UserKnownHostsFile=/h", "-F /c", "-i /k", "-p 22022", "-l odoo"] {
            assert!(all.contains(part), "{part} in {all}");
        }
        assert!(all.ends_with(" -- -oProxyCommand=x"));
    }
}
