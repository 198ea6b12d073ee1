//! Bytes of files, up to a limit.

use std::path::Path;

use serde::Serialize;

use super::batch::find;
use super::{Reply, SightError, quote_path};

/// The most that is read of a file, in bytes.
pub const LIMIT: usize = 1 << 20;

/// A file's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Its bytes as text; those that are not UTF-8 as [`text_of`] writes them.
    pub text: String,
    /// Whether all of it was UTF-8.
    pub exact: bool,
}

/// A byte that is not UTF-8 is this character and its value: private to who uses it (Unicode, plane 16), so
/// a file in Latin-1 comes back to the byte.
const BYTE: u32 = 0x10_FE00;

/// Bytes as text, and whether they were UTF-8; [`bytes_of`] gives them back.
pub fn text_of(bytes: &[u8]) -> (String, bool) {
    let own = |byte: &u8| char::from_u32(BYTE + u32::from(*byte));
    let mut text = String::with_capacity(bytes.len());
    let mut exact = true;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if byte_of(c).is_some() {
                exact = false;
                text.extend(c.encode_utf8(&mut [0; 4]).as_bytes().iter().filter_map(own));
            } else {
                text.push(c);
            }
        }
        exact &= chunk.invalid().is_empty();
        text.extend(chunk.invalid().iter().filter_map(own));
    }
    (text, exact)
}

/// The bytes of a text that [`text_of`] made.
pub fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

fn byte_of(c: char) -> Option<u8> {
    u32::from(c).checked_sub(BYTE).and_then(|byte| u8::try_from(byte).ok())
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

/// All files of a trip in one process. A mark that the host's kernel makes up, said first, ends
/// each file together with its exit status; what complains stands in the file's place.
pub(super) fn script_of_many(paths: &[&Path]) -> String {
    let list: Vec<String> = paths.iter().map(|path| quote_path(path)).collect();
    format!(
        "read -r m </proc/sys/kernel/random/uuid || exit 1; printf '%s\\n' \"$m\"; for f in {}; do \
         {{ if [ -e \"$f\" ]; then head -c {} -- \"$f\"; else stat -L -- \"$f\" >/dev/null; fi; }} 2>&1; \
         printf '%s' \"$m $?.\"; done",
        list.join(" "),
        LIMIT + 1
    )
}

/// One answer per file, in the order asked. Files that came whole before the time ran out count.
pub(super) fn read_many(reply: &Reply, limit: u64, files: usize) -> Vec<Result<Option<Content>, SightError>> {
    let mut parts = reply.stdout.splitn(2, |&b| b == b'\n');
    let mark = parts.next().filter(|mark| mark.len() == 36).unwrap_or_default();
    let mut rest = parts.next().unwrap_or_default();
    (0..files)
        .map(|_| match next(mark, &mut rest) {
            Some(one) => read(&one, limit),
            None => Err(reply.ok(limit).err().unwrap_or(SightError::Truncated)),
        })
        .collect()
}

/// Cuts one file off the front.
fn next(mark: &[u8], rest: &mut &[u8]) -> Option<Reply> {
    let at = find(rest, mark)?;
    let (bytes, behind) = (rest.get(..at)?, rest.get(at + mark.len()..)?);
    let dot = find(behind, b".")?;
    let status = std::str::from_utf8(behind.get(..dot)?).ok()?.trim_start().parse().ok()?;
    *rest = behind.get(dot + 1..)?;
    let (stdout, stderr) = match status {
        0 => (bytes.to_vec(), String::new()),
        // Behind what could be read, which is nobody's business, stands the complaint.
        _ => (Vec::new(), complaint(&String::from_utf8_lossy(bytes))),
    };
    Some(Reply { stdout, stderr, status })
}

fn complaint(text: &str) -> String {
    let at = ["head: ", "stat: ", "sh: "].iter().filter_map(|who| text.rfind(who)).max();
    at.and_then(|at| text.get(at..)).unwrap_or_default().to_owned()
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Option<Content>, SightError> {
    if is_absent(reply) {
        return Ok(None);
    }
    reply.ok(limit)?;
    if reply.stdout.len() > LIMIT {
        return Err(SightError::Failed(format!("larger than {LIMIT} bytes")));
    }
    let (text, exact) = text_of(&reply.stdout);
    Ok(Some(Content { text, exact }))
}

/// As [`script`], for the SHA-256 alone. OpenSSL uses what the processor has for it; `sha256sum`, which
/// every Debian has, takes three times as long (18 MB: 0.06 s).
pub(super) fn digest_script(path: &Path) -> String {
    let path = quote_path(path);
    format!(
        "if [ -e {path} ]; then openssl dgst -sha256 -r 2>/dev/null <{path} || sha256sum <{path}; else stat -L -- {path} >/dev/null; fi"
    )
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

pub(super) fn is_absent(reply: &Reply) -> bool {
    reply.status == 1 && reply.stderr.trim_end().ends_with("No such file or directory") && reply.stderr.starts_with("stat: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, path: Option<&Path>) -> Reply {
        let mut command = std::process::Command::new("/bin/sh");
        command.arg("-c").arg(script).env("LC_ALL", "C");
        path.map(|path| command.env("PATH", path));
        let output = command.output().unwrap();
        Reply { stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap(), status: output.status.code().unwrap() }
    }

    fn run(path: &Path) -> Reply {
        sh(&script(path), None)
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

    /// A folder with these programs and no other.
    fn programs(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let found = sh(&format!("command -v {name}"), None).stdout;
            std::os::unix::fs::symlink(String::from_utf8(found).unwrap().trim(), dir.path().join(name)).unwrap();
        }
        dir
    }

    #[test]
    fn a_digest_needs_no_openssl() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a b");
        std::fs::write(&file, "abc").unwrap();
        // FIPS 180-4, its first example.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let bare = programs(&["sha256sum", "stat"]);
        for path in [None, Some(bare.path())] {
            assert_eq!(read_digest(&sh(&digest_script(&file), path), 1), Ok(Some(known.into())), "{path:?}");
            assert_eq!(read_digest(&sh(&digest_script(&dir.path().join("gone")), path), 1), Ok(None), "{path:?}");
            assert!(read_digest(&sh(&digest_script(dir.path()), path), 1).is_err(), "{path:?}: a directory has no digest");
        }
    }

    #[test]
    fn bytes_that_are_no_text_come_back() {
        for bytes in [&b"r\xe4ka = \xff\n"[..], "räka \u{10FEE4}".as_bytes(), &[0xc3], b"plain"] {
            assert_eq!(bytes_of(&text_of(bytes).0), bytes);
        }
        assert_eq!((text_of("räka".as_bytes()), text_of(&[0xe4]).1), (("räka".into(), true), false));
    }

    fn run_many(paths: &[&Path]) -> Reply {
        sh(&script_of_many(paths), None)
    }

    #[test]
    fn many_files_are_read_as_each_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (spaced, gone, big, binary, empty) = (at("it's a b"), at("gone"), at("big"), at("binary"), at("empty"));
        std::fs::write(&spaced, "no newline at the end").unwrap();
        std::fs::write(&big, vec![b'x'; LIMIT + 1]).unwrap();
        std::fs::write(&binary, [0xff, 0, b'.', b'\n', b'\n']).unwrap();
        std::fs::write(&empty, "").unwrap();
        let paths: [&Path; 6] = [&spaced, dir.path(), &gone, &big, &binary, &empty];
        let reply = run_many(&paths);
        let alone: Vec<_> = paths.iter().map(|path| read(&run(path), 1)).collect();
        assert_eq!(read_many(&reply, 1, paths.len()), alone);
        assert!(alone[1].is_err() && alone[2] == Ok(None) && alone[5] == Ok(Some("".into())));
    }

    #[test]
    fn a_complaint_quotes_nothing_of_the_file() {
        assert_eq!(
            complaint("password = x\nrest of ithead: error reading 'f': Input/output error\n"),
            "head: error reading 'f': Input/output error\n"
        );
        assert_eq!(complaint("password = x\n"), "");
    }

    #[test]
    fn what_came_before_the_time_ran_out_counts() {
        let reply = run_many(&[Path::new("/dev/null"), Path::new("/dev/null")]);
        let stdout = reply.stdout[..reply.stdout.len() - 1].to_vec();
        let late = read_many(&Reply { stdout, status: 124, ..Reply::default() }, 20, 2);
        assert_eq!(late, [Ok(Some("".into())), Err(SightError::Timeout(20))]);
        let cut = read_many(&Reply { stdout: reply.stdout[..20].to_vec(), ..Reply::default() }, 20, 1);
        assert_eq!(cut, [Err(SightError::Truncated)], "half a mark");
    }
}
