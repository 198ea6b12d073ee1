//! A file that has no place yet.
//!
//! Where the file system can do that it has no name either (`O_TMPFILE`, open(2)): it is gone with
//! whoever wrote it, and is made where it will be. Elsewhere (NFS, FUSE) it lies in `.otr-new`
//! meanwhile.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{DiskError, Place};
use crate::filestore::names::StoreName;

/// A file that has no place yet, open for writing.
#[derive(Debug)]
pub struct Fresh {
    /// What it will be called.
    pub name: StoreName,
    /// The file.
    pub file: File,
    nameless: bool,
}

/// A file that was written to its end and waits for its place. Without a name it stays open.
#[derive(Debug)]
pub struct Written {
    name: StoreName,
    nameless: Option<File>,
}

impl From<Fresh> for Written {
    fn from(fresh: Fresh) -> Self {
        Self { name: fresh.name, nameless: fresh.nameless.then_some(fresh.file) }
    }
}

/// Files that are open at once while they wait for their places: three batches, and some.
const OPEN: u64 = 20_000;

/// Whether this process may have so many.
pub(super) fn may_open() -> bool {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|now| now >= OPEN) {
        return true;
    }
    let raised = Rlimit { current: Some(OPEN), maximum: limit.maximum };
    limit.maximum.is_none_or(|most| most >= OPEN) && setrlimit(Resource::Nofile, raised).is_ok()
}

impl Place {
    /// A new file for a name, with the owner and mode it will have in its place.
    ///
    /// # Errors
    /// The disk is full, or may not be written; so with the others.
    pub fn create(&self, name: StoreName) -> Result<Fresh, DiskError> {
        let (file, nameless) = self.open_new(&name)?;
        let own = || {
            rustix::fs::fchown(&file, Some(self.owner.0), Some(self.owner.1))?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))
        };
        own().map_err(|e| self.error("set the owner of", &name, e))?;
        Ok(Fresh { name, file: file.into(), nameless })
    }

    fn open_new(&self, name: &StoreName) -> Result<(OwnedFd, bool), DiskError> {
        let (flags, mode) = (OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o600));
        if self.nameless.load(Ordering::Relaxed) {
            match openat(self.directory(name)?.as_ref(), ".", flags | OFlags::TMPFILE, mode) {
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => self.nameless.store(false, Ordering::Relaxed),
                made => return Ok((made.map_err(|e| self.error("create", name, e))?, true)),
            }
        }
        let made = openat(&self.new, Self::beside(name), flags | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW, mode);
        Ok((made.map_err(|e| self.error("create", name, e))?, false))
    }

    /// Gives up a file that has no place yet.
    pub fn abandon(&self, fresh: Fresh) {
        if !fresh.nameless {
            self.remove_beside(&fresh.name);
        }
    }

    fn remove_beside(&self, name: &StoreName) {
        // What stays is cleaned by the next run.
        let _ = unlinkat(&self.new, Self::beside(name), AtFlags::empty());
    }

    /// Puts files in their places: all content reaches the disk first. A file that stands in such
    /// a place stays. The new names reach the disk with the next batch, or with [`Place::settle`].
    ///
    /// # Errors
    /// As [`Place::create`].
    pub fn commit(&self, files: &[Written]) -> Result<(), DiskError> {
        if files.is_empty() {
            return Ok(());
        }
        self.settle()?;
        files.iter().try_for_each(|file| self.put_in_place(file))
    }

    fn put_in_place(&self, written: &Written) -> Result<(), DiskError> {
        let name = &written.name;
        let to = self.directory(name)?;
        let put = match &written.nameless {
            Some(file) => link(file, &to, &name.file()),
            None => rename(&self.new, &Self::beside(name), &to, &name.file()),
        };
        match put {
            Err(Errno::EXIST) if written.nameless.is_none() => self.remove_beside(name),
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(self.error("put in its place", name, error)),
        }
        Ok(())
    }
}

/// Gives a file without a name one, unless something has that name.
fn link(file: &File, to: &OwnedFd, name: &str) -> Result<(), Errno> {
    match linkat(file, "", to, name, AtFlags::EMPTY_PATH) {
        // Without CAP_DAC_READ_SEARCH (open(2), O_TMPFILE).
        Err(Errno::NOENT | Errno::PERM) => {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            linkat(CWD, path, to, name, AtFlags::SYMLINK_FOLLOW)
        }
        done => done,
    }
}

/// Renames a file, unless something has the new name.
fn rename(from: &OwnedFd, old: &str, to: &OwnedFd, new: &str) -> Result<(), Errno> {
    match renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        // Some file systems cannot promise it: look, then rename.
        Err(Errno::INVAL | Errno::NOSYS) => match statat(to, new, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => renameat(from, old, to, new),
            Ok(_) => Err(Errno::EXIST),
            Err(error) => Err(error),
        },
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::super::NEW;
    use super::*;
    use crate::filestore::have::list_own;

    /// As on NFS, where a file always has a name.
    #[test]
    fn with_and_without_a_name_meanwhile_it_comes_to_the_same() {
        use std::io::Write;
        for nameless in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let ours = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            let place = Place::open(dir.path(), ours).unwrap();
            place.nameless.store(nameless, Ordering::Relaxed);
            let [one, two] = [b"e8/e839f135264482098d855b8322e6c27b56d73a60", b"da/da39a3ee5e6b4b0d3255bfef95601890afd80709"]
                .map(|name| StoreName::parse(name).unwrap());
            let write = |name| {
                let mut fresh = place.create(name).unwrap();
                fresh.file.write_all(b"new").unwrap();
                assert!(place.read(&name).is_err(), "it has its name before it is whole");
                assert_eq!(list_own(&place.store, NEW).unwrap().is_empty(), fresh.nameless);
                fresh
            };
            place.abandon(write(two));
            // What stands there is kept.
            std::fs::create_dir_all(dir.path().join("da")).unwrap();
            std::fs::write(dir.path().join(two.to_string()), "old").unwrap();
            let fresh = place.create(two).unwrap();
            place.commit(&[fresh.into(), write(one).into()]).unwrap();
            let content = |name: StoreName| std::fs::read_to_string(dir.path().join(name.to_string())).unwrap();
            assert_eq!((content(one).as_str(), content(two).as_str()), ("new", "old"), "nameless: {nameless}");
            place.close();
            assert!(!dir.path().join(NEW).exists());
        }
    }
}
