//! Bytes of files, up to a limit.

use std::path::Path;

use serde::Serialize;

use super::{Reply, SightError, quote_path};

/// The most that is read of a file, in bytes.
pub const LIMIT: usize = 1 << 20;

/// A file's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Its bytes as text; those that are not UTF-8 as U+FFFD.
    pub text: String,
    /// Whether all of it was UTF-8, so that `text` is exact.
    pub exact: bool,
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Content { text: text.to_owned(), exact: true }
    }
}

/// `[ -e ]` cannot tell "absent" from "hidden", so stat's own words decide.
pub(super) fn script(path: &Path) -> String {
    let path = quote_path(path);
    format!("if [ -e {path} ]; then head -c {} -- {path}; else stat -L -- {path} >/dev/null; fi", LIMIT + 1)
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Option<Content>, SightError> {
    if is_absent(reply) {
        return Ok(None);
    }
    reply.ok(limit)?;
    if reply.stdout.len() > LIMIT {
        return Err(SightError::Failed(format!("larger than {LIMIT} bytes")));
    }
    Ok(Some(match std::str::from_utf8(&reply.stdout) {
        Ok(text) => Content { text: text.to_owned(), exact: true },
        Err(_) => Content { text: String::from_utf8_lossy(&reply.stdout).into_owned(), exact: false },
    }))
}

/// As [`script`], for the SHA-256 alone.
pub(super) fn digest_script(path: &Path) -> String {
    let path = quote_path(path);
    format!("if [ -e {path} ]; then sha256sum < {path}; else stat -L -- {path} >/dev/null; fi")
}

pub(super) fn read_digest(reply: &Reply, limit: u64) -> Result<Option<String>, SightError> {
    if is_absent(reply) {
        return Ok(None);
    }
    let digest = reply.text(limit)?.split(' ').next().unwrap_or_default();
    match digest.len() {
        64 => Ok(Some(digest.to_owned())),
        _ => Err(SightError::Unreadable(format!("{digest:?} is no SHA-256"))),
    }
}

fn is_absent(reply: &Reply) -> bool {
    reply.status == 1 && reply.stderr.trim_end().ends_with("No such file or directory") && reply.stderr.starts_with("stat: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &Path) -> Reply {
        let output = std::process::Command::new("sh").arg("-c").arg(script(path)).env("LC_ALL", "C").output().unwrap();
        Reply { stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap(), status: output.status.code().unwrap() }
    }

    #[test]
    fn absent_is_not_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a b");
        std::fs::write(&file, "x\n").unwrap();
        assert_eq!(read(&run(&file), 1), Ok(Some("x\n".into())));
        assert_eq!(read(&run(&dir.path().join("gone")), 1), Ok(None));
        assert!(read(&run(dir.path()), 1).is_err(), "a directory has no content");
        std::fs::write(&file, vec![b'x'; LIMIT + 1]).unwrap();
        assert!(read(&run(&file), 1).is_err());
        std::fs::write(&file, [0xff]).unwrap();
        assert!(!read(&run(&file), 1).unwrap().unwrap().exact);
    }
}
