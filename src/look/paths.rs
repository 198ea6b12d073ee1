//! What stands at a path. All paths of a trip are asked for with one `stat`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{SightError, octal, quote_path};
use crate::name::Mode;

/// What stands there; `None` if nothing does.
pub type PathSight = Option<Entry>;

/// A file, directory or link. Links are not followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Owner's name, or its number if it has none.
    pub owner: String,
    /// Group's name, or its number.
    pub group: String,
    /// Permission bits.
    pub mode: Mode,
    /// Bytes.
    pub size: u64,
    /// Last change of its content, seconds since the epoch.
    pub mtime: f64,
}

/// What it is, without its owner and mode.
impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            Kind::File => {
                let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs_f64(self.mtime.max(0.0));
                write!(f, "{} bytes of {}", self.size, humantime::format_rfc3339_seconds(at))
            }
            Kind::Directory => f.write_str("a directory"),
            Kind::Link(target) => write!(f, "a link to {}", target.display()),
            Kind::Other => f.write_str("a device, socket or pipe"),
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and where it points.
    Link(PathBuf),
    /// A device, socket or pipe.
    Other,
}

/// stat prints what it finds on stdout and complains on stderr about the rest; each
/// complaint is read too, because "no such file" and "permission denied" are two answers.
pub(super) fn script(paths: &[&Path]) -> String {
    let list: Vec<String> = paths.iter().map(|path| quote_path(path)).collect();
    let list = list.join(" ");
    format!("stat -c '%f %U %G %a %s %.9Y %N' -- {list} 2>&1; :")
}

/// One answer per path, in the order asked.
pub(super) fn read(text: &str, paths: &[&Path]) -> Vec<Result<PathSight, SightError>> {
    let mut lines = text.lines().peekable();
    paths
        .iter()
        .map(|path| {
            let line = lines.next().ok_or(SightError::Truncated)?;
            if let Some(said) = line.strip_prefix("stat: ") {
                return if said.ends_with("No such file or directory") || said.ends_with("Not a directory") {
                    Ok(None)
                } else if said.ends_with("Permission denied") {
                    Err(SightError::Denied(said.to_owned()))
                } else {
                    Err(SightError::Failed(said.to_owned()))
                };
            }
            entry(line, path).map(Some)
        })
        .collect()
}

fn entry(line: &str, path: &Path) -> Result<Entry, SightError> {
    let unreadable = || SightError::Unreadable(format!("{}: {line:?}", path.display()));
    let fields: Vec<&str> = line.splitn(7, ' ').collect();
    let [raw, owner, group, mode, size, mtime, name] = fields.as_slice() else {
        return Err(unreadable());
    };
    let raw = u32::from_str_radix(raw, 16).map_err(|_| unreadable())?;
    let kind = match raw & 0o170_000 {
        0o100_000 => Kind::File,
        0o040_000 => Kind::Directory,
        0o120_000 => Kind::Link(link(name).ok_or_else(unreadable)?),
        _ => Kind::Other,
    };
    Ok(Entry {
        kind,
        owner: (*owner).to_owned(),
        group: (*group).to_owned(),
        mode: octal(mode)?,
        size: size.parse().map_err(|_| unreadable())?,
        mtime: mtime.parse().map_err(|_| unreadable())?,
    })
}

/// The target in stat's `%N`: `'/a' -> '/b'`. Targets with quotes of their own are not used by otr.
fn link(name: &str) -> Option<PathBuf> {
    let target = name.rsplit_once(" -> ")?.1;
    let target = target.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
    Some(target.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_denied_and_present_are_three_answers() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("it's a file");
        let link = dir.path().join("link");
        std::fs::write(&file, "abc").unwrap();
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        let gone = dir.path().join("gone");
        let below = file.join("x");
        let paths = [dir.path(), &file, &link, &gone, &below];
        let output = std::process::Command::new("sh").arg("-c").arg(script(&paths)).env("LC_ALL", "C").output().unwrap();
        let sights = read(&String::from_utf8(output.stdout).unwrap(), &paths);
        let kinds: Vec<Option<Kind>> = sights.into_iter().map(|s| s.unwrap().map(|e| e.kind)).collect();
        assert_eq!(kinds, [Some(Kind::Directory), Some(Kind::File), Some(Kind::Link("/dev/null".into())), None, None]);
        let denied = read("stat: cannot statx '/x/y': Permission denied\n", &[Path::new("/x/y")]);
        assert!(matches!(denied[0], Err(SightError::Denied(_))));
        assert_eq!(read("", &[Path::new("/x")]), [Err(SightError::Truncated)]);
    }
}
