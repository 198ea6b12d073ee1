//! Logging in: named keys first, then the agent's, then the usual key files. Never asks
//! anybody for anything.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ssh2::{Agent, PublicKey, Session};
use zeroize::Zeroizing;

use super::config::Settings;
use super::link::words;

/// Logs in, or says what was tried.
pub(super) fn login(session: &Session, settings: &Settings) -> Result<(), String> {
    let mut login = Login { session, settings, agent: open_agent(session, settings), tried: Vec::new() };
    for path in &settings.identities {
        if login.file(path, true)? {
            return Ok(());
        }
    }
    if !settings.identities_only && login.agent_keys()? {
        return Ok(());
    }
    if settings.identities.is_empty() {
        for path in &settings.default_identities {
            if login.file(path, false)? {
                return Ok(());
            }
        }
    }
    let user = &settings.user;
    let tried = if login.tried.is_empty() { "there was no key to try".into() } else { format!("tried {}", login.tried.join(", ")) };
    Err(format!(
        "the login as {user} was refused: {tried}. Put a public key into {user}'s authorized_keys there (ssh-copy-id), load its key into the agent (ssh-add), or name it as ssh.identity"
    ))
}

struct Login<'a> {
    session: &'a Session,
    settings: &'a Settings,
    agent: Option<(Agent, Vec<PublicKey>)>,
    tried: Vec<String>,
}

impl Login<'_> {
    fn file(&mut self, path: &Path, named: bool) -> Result<bool, String> {
        let shown = path.display();
        match inspect(path) {
            Key::Absent if named => self.tried.push(format!("{shown} (it cannot be read)")),
            Key::Absent => {}
            Key::Locked => {
                let blob = public_blob(path);
                let found = self
                    .agent
                    .as_ref()
                    .and_then(|(agent, keys)| Some((agent, keys.iter().find(|key| Some(key.blob()) == blob.as_deref())?)));
                match found {
                    Some((agent, key)) => {
                        let result = agent.userauth(&self.settings.user, key);
                        return self.verdict(result, format!("{shown} by the agent"));
                    }
                    None => self.tried.push(format!("{shown} (it needs a passphrase: run ssh-add {shown} first)")),
                }
            }
            Key::Plain => {
                let result = self.session.userauth_pubkey_file(&self.settings.user, None, path, None);
                return self.verdict(result, shown.to_string());
            }
        }
        Ok(false)
    }

    fn agent_keys(&mut self) -> Result<bool, String> {
        let Some((agent, keys)) = self.agent.take() else { return Ok(false) };
        let mut done = false;
        for key in &keys {
            let result = agent.userauth(&self.settings.user, key);
            if self.verdict(result, format!("the agent's key {}", key.comment()))? {
                done = true;
                break;
            }
        }
        self.agent = Some((agent, keys));
        Ok(done)
    }

    /// Refused is one thing, a broken connection another.
    fn verdict(&mut self, result: Result<(), ssh2::Error>, what: String) -> Result<bool, String> {
        match result {
            Ok(()) => Ok(self.session.authenticated()),
            Err(e) if matches!(e.code(), ssh2::ErrorCode::Session(-7 | -9 | -13 | -43)) => {
                self.tried.push(what);
                Err(format!("the login as {} broke off: {} (tried {})", self.settings.user, words(&e), self.tried.join(", ")))
            }
            Err(e) => {
                let why = words(&e);
                self.tried.push(if why == "the login was refused" { what } else { format!("{what} ({why})") });
                Ok(false)
            }
        }
    }
}

fn open_agent(session: &Session, settings: &Settings) -> Option<(Agent, Vec<PublicKey>)> {
    let path = settings.agent.as_deref().filter(|path| *path != "SSH_AUTH_SOCK");
    if path == Some("none") || (path.is_none() && std::env::var_os("SSH_AUTH_SOCK").is_none()) {
        return None;
    }
    let mut agent = session.agent().ok()?;
    if let Some(path) = path {
        agent.set_identity_path(Path::new(path)).ok()?;
    }
    agent.connect().ok()?;
    agent.list_identities().ok()?;
    let keys = agent.identities().ok()?;
    Some((agent, keys))
}

#[derive(Debug, PartialEq, Eq)]
enum Key {
    Absent,
    Plain,
    Locked,
}

fn inspect(path: &Path) -> Key {
    let Ok(text) = std::fs::read_to_string(path).map(Zeroizing::new) else { return Key::Absent };
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Key::Locked;
    }
    // OpenSSH's own format: a magic word, then the cipher's name (PROTOCOL.key).
    let body: Zeroizing<String> = Zeroizing::new(text.lines().filter(|line| !line.starts_with("-----")).collect());
    let bytes = Zeroizing::new(STANDARD.decode(body.as_bytes()).unwrap_or_default());
    match bytes.strip_prefix(b"openssh-key-v1\0") {
        Some(rest) if !rest.starts_with(b"\0\0\0\x04none") => Key::Locked,
        _ => Key::Plain,
    }
}

fn public_blob(path: &Path) -> Option<Vec<u8>> {
    let text = std::fs::read_to_string(format!("{}.pub", path.display())).ok()?;
    STANDARD.decode(text.split_whitespace().nth(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_key_behind_a_passphrase_is_seen_as_such() {
        let dir = tempfile::tempdir().unwrap();
        for (name, phrase, form, expected) in [
            ("a", "", "RFC4716", Key::Plain),
            ("b", "secret", "RFC4716", Key::Locked),
            ("c", "secret", "PEM", Key::Locked),
            ("d", "", "PEM", Key::Plain),
        ] {
            let path = dir.path().join(name);
            let done = Command::new("ssh-keygen").args(["-q", "-t", "ecdsa", "-m", form, "-N", phrase, "-f"]).arg(&path).status().unwrap();
            assert!(done.success());
            assert_eq!(inspect(&path), expected, "{form} {phrase:?}");
            assert!(public_blob(&path).is_some());
        }
        assert_eq!(inspect(&dir.path().join("none")), Key::Absent);
    }
}
