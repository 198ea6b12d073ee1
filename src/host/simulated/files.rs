//! The file system of a simulated machine: files, directories and links with owner, mode and times.
//!
//! Knows nothing of what a file means; the daemons' modules read their own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::look::paths::{Entry as Seen, Kind, PathSight};
use crate::name::Mode;

/// Where the first predecessor of a written or removed file is kept.
pub const BACKUPS: &str = "/var/lib/otr/backup";

/// What stands at a path.
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// A symbolic link.
    Link(PathBuf),
}

/// The bytes may be a password's: only their number is shown.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::File(bytes) => write!(f, "file of {} bytes", bytes.len()),
            Node::Directory => f.write_str("directory"),
            Node::Link(target) => write!(f, "link to {}", target.display()),
        }
    }
}

/// A file, directory or link with its attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What it is.
    pub node: Node,
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
    /// Permission bits.
    pub mode: u32,
    /// Last change of the content, seconds since the epoch.
    pub mtime: f64,
    /// Last change of anything, seconds since the epoch.
    pub ctime: f64,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Files(BTreeMap<PathBuf, Entry>);

impl Files {
    /// What stands at a path; links are not followed.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&Entry> {
        self.0.get(path.as_ref())
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, path: impl AsRef<Path>) -> Option<&mut Entry> {
        self.0.get_mut(path.as_ref())
    }

    /// A file's bytes; a link is followed once.
    pub fn bytes(&self, path: impl AsRef<Path>) -> Option<&[u8]> {
        match &self.get(path)?.node {
            Node::File(bytes) => Some(bytes),
            Node::Link(target) => match &self.get(target)?.node {
                Node::File(bytes) => Some(bytes),
                _ => None,
            },
            Node::Directory => None,
        }
    }

    /// A file's text; empty if it is absent or not UTF-8.
    pub fn text(&self, path: impl AsRef<Path>) -> &str {
        self.bytes(path).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Whether a directory stands there.
    pub fn is_directory(&self, path: impl AsRef<Path>) -> bool {
        path.as_ref() == Path::new("/") || self.get(path).is_some_and(|entry| entry.node == Node::Directory)
    }

    /// Puts something at a path, with the attributes `owner:group mode`.
    pub fn put(&mut self, path: impl Into<PathBuf>, node: Node, (owner, group, mode): (&str, &str, u32), now: f64) {
        self.0.insert(path.into(), Entry { node, owner: owner.into(), group: group.into(), mode, mtime: now, ctime: now });
    }

    /// Puts a file there, with its parents.
    pub fn write(&mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>, attributes: (&str, &str, u32), now: f64) {
        let path = path.into();
        if let Some(parent) = path.parent() {
            self.make_parents(parent, ("root", "root", 0o755), now);
        }
        self.put(path, Node::File(bytes.into()), attributes, now);
    }

    /// Makes a directory and its parents where they are absent.
    pub fn make_parents(&mut self, path: &Path, attributes: (&str, &str, u32), now: f64) {
        let mut missing: Vec<&Path> = path.ancestors().filter(|p| !self.0.contains_key(*p) && *p != Path::new("/")).collect();
        missing.reverse();
        for part in missing {
            self.put(part, Node::Directory, attributes, now);
        }
    }

    /// Removes what stands at a path and below it.
    pub fn remove_tree(&mut self, path: &Path) {
        self.0.retain(|other, _| !other.starts_with(path));
    }

    /// Moves a directory with all below it, or a file.
    pub fn rename(&mut self, from: &Path, to: &Path) {
        let names: Vec<PathBuf> = self.below(from).map(|(path, _)| path.to_owned()).collect();
        for name in names {
            if let (Some(entry), Ok(rest)) = (self.0.remove(&name), name.strip_prefix(from)) {
                let place = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
                self.0.insert(place, entry);
            }
        }
    }

    /// What stands at a path and below it.
    pub fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Entry)> {
        self.0.range(path.to_owned()..).filter(move |(other, _)| other.starts_with(path)).map(|(path, entry)| (path.as_path(), entry))
    }

    /// Everything.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_path(), entry))
    }

    /// Keeps what stands at a path, unless a predecessor is kept already.
    pub fn back_up(&mut self, path: &Path, now: f64) {
        let Some(entry) = self.get(path).cloned() else { return };
        let place = Path::new(BACKUPS).join(path.strip_prefix("/").unwrap_or(path));
        if self.get(&place).is_none() {
            if let Some(parent) = place.parent() {
                self.make_parents(parent, ("root", "root", 0o700), now);
            }
            self.0.insert(place, entry);
        }
    }

    /// What `stat` says of a path.
    pub fn stat(&self, path: &Path) -> PathSight {
        let entry = self.get(path)?;
        let (kind, size) = match &entry.node {
            Node::File(bytes) => (Kind::File, bytes.len() as u64),
            Node::Directory => (Kind::Directory, 4096),
            Node::Link(target) => (Kind::Link(target.clone()), target.as_os_str().len() as u64),
        };
        Some(Seen { kind, owner: entry.owner.clone(), group: entry.group.clone(), mode: Mode(entry.mode), size, mtime: entry.mtime })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_predecessor_is_kept_and_bytes_are_not_shown() {
        let mut files = Files::default();
        let root = ("root", "root", 0o644);
        files.write("/etc/x", "hunter2", root, 1.0);
        files.back_up(Path::new("/etc/x"), 2.0);
        files.write("/etc/x", "second", root, 2.0);
        files.back_up(Path::new("/etc/x"), 3.0);
        assert_eq!(files.text("/var/lib/otr/backup/etc/x"), "hunter2");
        assert!(!format!("{files:?}").contains("hunter2"));
        assert!(files.is_directory("/etc") && !files.is_directory("/etc/x"));
        files.rename(Path::new("/etc"), Path::new("/old"));
        assert_eq!((files.text("/old/x"), files.get("/etc/x")), ("second", None));
    }
}
