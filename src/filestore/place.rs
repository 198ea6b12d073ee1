//! A store on disk, and the only ways otr changes it: a file without a place, put into it when
//! it is whole; a bad file moved out of the way; a forgotten file removed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, mkdirat, openat, renameat, statat, syncfs, unlinkat};
use rustix::io::Errno;

use super::have::{list_own, open_directory, open_path};
use super::names::StoreName;
use fresh::may_open;
pub use fresh::{Fresh, Written};

mod fresh;

/// Where files are until they are whole: on the store's own file system.
pub const NEW: &str = ".otr-new";
/// Where damaged files are kept.
pub const QUARANTINE: &str = ".otr-quarantine";

/// What went wrong on this host's disk.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}: {source}", path.display())]
pub struct DiskError {
    /// What was tried.
    pub what: &'static str,
    /// With what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// A store, open.
#[derive(Debug)]
pub struct Place {
    /// The directory itself.
    pub store: OwnedFd,
    path: PathBuf,
    owner: (Uid, Gid),
    new: OwnedFd,
    nameless: AtomicBool,
    directories: Mutex<BTreeMap<String, Arc<OwnedFd>>>,
}

impl Place {
    /// Opens a store and removes what an interrupted run left there.
    ///
    /// # Errors
    /// It is absent, or may not be written.
    pub fn open(path: &Path, owner: (u32, u32)) -> Result<Self, DiskError> {
        let error = |what| move |source: io::Error| DiskError { what, path: path.to_owned(), source };
        let store = open_path(path).map_err(error("open"))?;
        let place = |store, new| Self {
            store,
            path: path.to_owned(),
            owner: (Uid::from_raw(owner.0), Gid::from_raw(owner.1)),
            new,
            nameless: AtomicBool::new(may_open()),
            directories: Mutex::default(),
        };
        make(&store, NEW, 0o700).map_err(error("make .otr-new in"))?;
        let new = open_directory(&store, NEW).map_err(io::Error::from).map_err(error("open .otr-new in"))?;
        for name in list_own(&store, NEW).map_err(error("list .otr-new in"))? {
            unlinkat(&new, name.as_slice(), AtFlags::empty()).map_err(io::Error::from).map_err(error("clean .otr-new in"))?;
        }
        Ok(place(store, new))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, what: &'static str, name: &StoreName, source: impl Into<io::Error>) -> DiskError {
        DiskError { what, path: self.path.join(name.to_string()), source: source.into() }
    }

    fn beside(name: &StoreName) -> String {
        if name.legacy { format!("{}.3", name.file()) } else { name.file() }
    }

    /// Everything reaches the disk.
    ///
    /// # Errors
    /// As [`Place::create`].
    pub fn settle(&self) -> Result<(), DiskError> {
        syncfs(&self.store).map_err(|e| DiskError { what: "write to disk", path: self.path.clone(), source: e.into() })
    }

    /// The directory of a name, open.
    fn directory(&self, name: &StoreName) -> Result<Arc<OwnedFd>, DiskError> {
        let called = name.directory();
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = directories.get(&called) {
            return Ok(open.clone());
        }
        // 256 of the two-letter kind; of the older kind there could be more than may be open.
        if directories.len() > 400 {
            directories.clear();
        }
        let opened = Arc::new(self.open_own(&called).map_err(|e| self.error("make the directory of", name, e))?);
        directories.insert(called, opened.clone());
        Ok(opened)
    }

    fn open_own(&self, name: &str) -> io::Result<OwnedFd> {
        let made = make(&self.store, name, 0o755)?;
        let opened = open_directory(&self.store, name)?;
        // Also one that an earlier run made and was cut off before it gave it away. A group that somebody
        // chose stays, and so does its mode.
        if made || rustix::fs::fstat(&opened)?.st_uid != self.owner.0.as_raw() {
            rustix::fs::fchown(&opened, Some(self.owner.0), Some(self.owner.1))?;
            rustix::fs::fchmod(&opened, Mode::from_raw_mode(0o755))?;
        }
        Ok(opened)
    }

    /// Gives one of otr's own entries to the store's owner: Odoo owns every level of its data.
    pub fn give_away(&self, name: &str) {
        // Whose it is matters to nothing otr does.
        let _ = rustix::fs::chownat(&self.store, name, Some(self.owner.0), Some(self.owner.1), AtFlags::SYMLINK_NOFOLLOW);
    }

    /// Opens a file of the store to read it.
    ///
    /// # Errors
    /// It is absent, a link, or not to be read.
    pub fn read(&self, name: &StoreName) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(openat(&self.store, name.to_string(), flags, Mode::empty())?.into())
    }

    /// Moves a damaged file out of the way.
    ///
    /// # Errors
    /// As [`Place::create`].
    pub fn quarantine(&self, name: &StoreName) -> Result<(), DiskError> {
        let away = || -> io::Result<()> {
            make(&self.store, QUARANTINE, 0o700)?;
            self.give_away(QUARANTINE);
            let to = open_directory(&self.store, QUARANTINE)?;
            Ok(renameat(&self.store, name.to_string(), &to, Self::beside(name))?)
        };
        away().map_err(|e| self.error("quarantine", name, e))
    }

    /// Corrects owner and mode; whether they were wrong.
    ///
    /// # Errors
    /// As [`Place::create`].
    pub fn correct(&self, name: &StoreName, file: &File) -> Result<bool, DiskError> {
        let stat = rustix::fs::fstat(file).map_err(|e| self.error("look at", name, e))?;
        let wrong_owner = (stat.st_uid, stat.st_gid) != (self.owner.0.as_raw(), self.owner.1.as_raw());
        // Odoo must be able to read it, and nobody but the owner to write it.
        let wrong_mode = stat.st_mode & 0o400 == 0 || stat.st_mode & 0o022 != 0;
        if wrong_owner {
            rustix::fs::fchown(file, Some(self.owner.0), Some(self.owner.1)).map_err(|e| self.error("set the owner of", name, e))?;
        }
        if wrong_mode {
            rustix::fs::fchmod(file, Mode::from_raw_mode(0o644)).map_err(|e| self.error("set the mode of", name, e))?;
        }
        Ok(wrong_owner || wrong_mode)
    }

    /// Removes a file that is needed no more.
    ///
    /// # Errors
    /// As [`Place::create`].
    pub fn remove(&self, name: &StoreName) -> Result<(), DiskError> {
        match unlinkat(&self.store, name.to_string(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.error("remove", name, error)),
        }
    }

    /// The time a file was last written or given its name, seconds since the epoch.
    pub fn changed_at(&self, name: &StoreName) -> Option<i64> {
        statat(&self.store, name.to_string(), AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| stat.st_mtime.max(stat.st_ctime))
    }

    /// The change time of a file, seconds since the epoch: unlike the time of writing it cannot be
    /// set back.
    #[allow(clippy::cast_precision_loss, reason = "microseconds suffice")]
    pub fn ctime(&self, name: &StoreName) -> Option<f64> {
        let stat = statat(&self.store, name.to_string(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(stat.st_ctime as f64 + stat.st_ctime_nsec as f64 / 1e9)
    }

    /// Ends the work on it: nothing of otr's own stays but the quarantine.
    pub fn close(self) {
        for name in list_own(&self.store, NEW).unwrap_or_default() {
            let _ = unlinkat(&self.new, name.as_slice(), AtFlags::empty());
        }
        // What cannot be removed is so because something failed before, which was told.
        let _ = unlinkat(&self.store, NEW, AtFlags::REMOVEDIR);
    }
}

/// Makes a directory, unless it is there; whether it was made.
fn make(at: &OwnedFd, name: &str, mode: u32) -> io::Result<bool> {
    match mkdirat(at, name, Mode::from_raw_mode(mode)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes a small file of otr's own state: beside its place, to disk, renamed.
///
/// # Errors
/// It could not be written.
pub fn write_state(path: &Path, text: &str) -> Result<(), DiskError> {
    use std::io::Write;
    let error = |source: io::Error| DiskError { what: "write", path: path.to_owned(), source };
    let write = || -> io::Result<()> {
        let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
        // A store's own folder is there.
        if !parent.exists() {
            std::fs::create_dir_all(parent)?;
        }
        let folder = open_path(parent)?;
        let mut new = name.to_owned();
        new.push(".otr-new");
        match unlinkat(&folder, &new, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        // What somebody puts there meanwhile is neither opened nor followed.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file: File = openat(&folder, &new, flags, Mode::from_raw_mode(0o644))?.into();
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        renameat(&folder, &new, &folder, name)?;
        Ok(rustix::fs::fsync(&folder)?)
    };
    write().map_err(error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// Only root can give anything away.
    #[test]
    fn a_directory_that_was_not_given_away_is_by_the_next_run() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("e8")).unwrap();
        let place = Place::open(dir.path(), (1234, 1234)).unwrap();
        let name = StoreName::parse(b"e8/e839f135264482098d855b8322e6c27b56d73a60").unwrap();
        place.commit(&[place.create(name).unwrap().into()]).unwrap();
        let seen = std::fs::metadata(dir.path().join("e8")).unwrap();
        assert_eq!((seen.uid(), seen.gid(), seen.mode() & 0o777), (1234, 1234, 0o755));
    }
}
