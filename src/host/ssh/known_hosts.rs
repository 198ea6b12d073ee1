//! Whether a machine is the one it was (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). Strict: an
//! unknown key is refused unless it was said that it may be learned, a changed one always.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::config::Settings;
use super::{shut, unreachable};
use crate::host::HostError;

/// A line that speaks of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    revoked: bool,
    key: Vec<u8>,
    /// `path:line`.
    place: String,
}

/// What is known of one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownHost {
    lines: Vec<Known>,
    /// The name a new line would get.
    label: String,
}

impl KnownHost {
    /// Reads all files; one that is absent knows nobody.
    pub fn read(settings: &Settings) -> Result<Self, HostError> {
        let name = settings.key_alias.clone().unwrap_or_else(|| settings.host.clone()).to_ascii_lowercase();
        let label = match settings.port {
            22 => name.clone(),
            _ if settings.key_alias.is_some() => name.clone(),
            port => format!("[{name}]:{port}"),
        };
        let mut files = Vec::new();
        for path in settings.known_hosts.iter().chain(&settings.global_known_hosts) {
            match std::fs::read(path) {
                Ok(bytes) => files.push((path, String::from_utf8_lossy(&bytes).into_owned())),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(unreachable(&settings.name, format!("{}: {e}", path.display()))),
            }
        }
        let search = |name: &str| files.iter().flat_map(|(path, text)| search(text, path, name)).collect::<Vec<_>>();
        let mut lines = search(&label);
        if lines.iter().all(|line| line.revoked) && label != name {
            // As ssh does: a key known for the bare name is good on every port.
            lines.extend(search(&name));
        }
        Ok(Self { lines, label })
    }

    /// The key types known, so that the machine is asked for those first: one known by
    /// ed25519 has not changed because it also has an ecdsa key.
    pub fn types(&self) -> Vec<String> {
        self.lines.iter().filter(|line| !line.revoked).filter_map(|line| key_type(&line.key)).collect()
    }

    /// Checks the key a machine showed, and learns it if it may.
    pub fn check(&self, settings: &Settings, key: &[u8], accept_new: bool) -> Result<(), HostError> {
        let kind = key_type(key).unwrap_or_else(|| "unknown".into());
        let refuse = |why: String| Err(shut(&settings.name, why));
        if let Some(line) = self.lines.iter().find(|line| line.revoked && line.key == key) {
            return refuse(format!("its host key {} is revoked by {}: do not trust this machine", fingerprint(key), line.place));
        }
        let valid: Vec<&Known> = self.lines.iter().filter(|line| !line.revoked).collect();
        if valid.iter().any(|line| line.key == key) {
            return Ok(());
        }
        let file = settings.known_hosts.first();
        if let Some(line) = valid.iter().find(|line| key_type(&line.key).as_ref() == Some(&kind)).or(valid.first()) {
            return refuse(format!(
                "its host key is not the known one: known {} ({}, {}), offered {} ({kind}). Somebody may be in between. \
                 If the machine was really renewed, compare the fingerprint on it (ssh-keygen -lf /etc/ssh/ssh_host_*.pub), \
                 then run: ssh-keygen -R '{}'{}",
                fingerprint(&line.key),
                key_type(&line.key).unwrap_or_default(),
                line.place,
                fingerprint(key),
                self.label,
                file.map(|file| format!(" -f {}", file.display())).unwrap_or_default(),
            ));
        }
        match (accept_new, file) {
            (true, Some(file)) => append(file, &format!("{} {kind} {}\n", self.label, STANDARD.encode(key)))
                .map_err(|e| unreachable(&settings.name, format!("its new host key cannot be written to {}: {e}", file.display()))),
            _ => refuse(format!(
                "its host key is unknown: {} ({kind}). Compare it on the machine (ssh-keygen -lf /etc/ssh/ssh_host_*.pub), then \
                 accept it once with `otr --accept-new …` or: ssh-keyscan -p {} {} >> {}",
                fingerprint(key),
                settings.port,
                settings.host,
                file.map_or("~/.ssh/known_hosts".into(), |file| file.display().to_string()),
            )),
        }
    }
}

/// As `ssh-keygen -l` shows it.
fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key)))
}

/// The type a key begins with (RFC 4253, 6.6).
fn key_type(key: &[u8]) -> Option<String> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let name = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    String::from_utf8(name.to_vec()).ok()
}

fn search(text: &str, path: &Path, name: &str) -> Vec<Known> {
    let one = |(n, line): (usize, &str)| {
        let mut words = line.split_whitespace().peekable();
        let marker = words.next_if(|word| word.starts_with('@'));
        // A CA's key says nothing about this one; `ssh: {client: openssh}` knows CAs.
        let revoked = match marker {
            None => false,
            Some("@revoked") => true,
            Some(_) => return None,
        };
        let hosts = words.next().filter(|hosts| !hosts.starts_with('#') && matches(hosts, name))?;
        let key = STANDARD.decode(words.nth(1)?).ok()?;
        (!hosts.is_empty()).then(|| Known { revoked, key, place: format!("{}:{}", path.display(), n + 1) })
    };
    text.lines().enumerate().filter_map(one).collect()
}

fn matches(hosts: &str, name: &str) -> bool {
    if let Some(hashed) = hosts.strip_prefix("|1|") {
        let decoded = || -> Option<bool> {
            let (salt, hash) = hashed.split_once('|')?;
            let mut mac = Hmac::<Sha1>::new_from_slice(&STANDARD.decode(salt).ok()?).ok()?;
            mac.update(name.as_bytes());
            Some(mac.verify_slice(&STANDARD.decode(hash).ok()?).is_ok())
        };
        return decoded().unwrap_or(false);
    }
    let mut found = false;
    for pattern in hosts.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if glob(&not.to_ascii_lowercase(), name) => return false,
            Some(_) => {}
            None => found |= glob(&pattern.to_ascii_lowercase(), name),
        }
    }
    found
}

/// `*` and `?` alone: brackets are plain here.
fn glob(pattern: &str, name: &str) -> bool {
    match (pattern.chars().next(), name.chars().next()) {
        (None, None) => true,
        (Some('*'), first) => {
            let rest = pattern.get(1..).unwrap_or_default();
            glob(rest, name) || first.is_some_and(|c| glob(pattern, name.get(c.len_utf8()..).unwrap_or_default()))
        }
        (Some(p), Some(c)) if p == '?' || p == c => {
            glob(pattern.get(p.len_utf8()..).unwrap_or_default(), name.get(c.len_utf8()..).unwrap_or_default())
        }
        _ => false,
    }
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let unended = std::fs::read(path).is_ok_and(|bytes| bytes.last().is_some_and(|&byte| byte != b'\n'));
    let mut file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    // In one write: hosts are opened in parallel.
    file.write_all(format!("{}{line}", if unended { "\n" } else { "" }).as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
