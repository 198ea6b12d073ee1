//! What otr remembers of a store between runs: which store it was, what the database forgot
//! since when, and how far the last scrub came.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use rustix::fs::{AtFlags, CWD, OFlags, StatxAttributes, StatxFlags, statx};
use rustix::io::Errno;

use super::delete::Forgotten;
use super::names::StoreName;
use super::place::{DiskError, write_state};
use crate::name::DatabaseName;

/// Lies in the store: an empty mount point is not taken for it.
pub const ID: &str = ".otr-store-id";

/// Where it is kept.
#[derive(Debug)]
pub struct State {
    directory: PathBuf,
    database: DatabaseName,
}

impl State {
    /// Of one database.
    pub fn new(directory: &Path, database: &DatabaseName) -> Self {
        Self { directory: directory.to_owned(), database: database.clone() }
    }

    fn path(&self, what: &str) -> PathBuf {
        self.directory.join(format!("{what}-{}", self.database))
    }

    /// Held while a run works on the store.
    pub fn lock_path(&self) -> PathBuf {
        self.path("store-lock")
    }

    /// Whether the store is the one that was there before. One that is not becomes the known one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn is_same_store(&self, store: &Path) -> Result<bool, DiskError> {
        let read = |path: &Path| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let (there, known) = (mark(store), read(&self.path("store-id")));
        if !there.is_empty() && there == known {
            return Ok(true);
        }
        let id = if there.is_empty() { new_id(store)? } else { there };
        write_state(&store.join(ID), &format!("{id}\n"))?;
        write_state(&self.path("store-id"), &format!("{id}\n"))?;
        Ok(false)
    }

    /// A store on a file system of the spec is touched only if that is mounted, and holds the store
    /// that was there before.
    ///
    /// # Errors
    /// Why it is not touched.
    pub fn stands(&self, store: &Path, mount: &Path) -> Result<(), String> {
        if !is_mount_point(mount).map_err(|error| format!("stat {}: {error}", mount.display()))? {
            return Err(format!("{} is not mounted: nothing was written and nothing deleted. `otr apply` mounts it", mount.display()));
        }
        let (known, path) = (self.path("store-id"), store.join(ID));
        let is_known = fs::exists(&known).map_err(|error| format!("stat {}: {error}", known.display()))?;
        let before = fs::read_to_string(&known).unwrap_or_default();
        let there = mark(store);
        if is_known && before.trim() != there.trim() {
            let is = if there.is_empty() { "is not there" } else { "is another" };
            return Err(format!(
                "{} is not the store that was there before ({} {is}): nothing was written and nothing deleted. \
                 If it is the right one, a new disk say: rm {}, and run this again",
                store.display(),
                path.display(),
                known.display()
            ));
        }
        if !is_known {
            // A store that was never seen: what was forgotten was another's.
            self.is_same_store(store)
                .and_then(|_| self.remember(&self.forgotten(), &Forgotten::new()))
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// What was forgotten before this run. A file that cannot be read is no memory.
    pub fn forgotten(&self) -> Forgotten {
        let text = fs::read_to_string(self.path("forgotten")).unwrap_or_default();
        text.lines()
            .filter_map(|line| {
                let (name, since) = line.split_once(' ')?;
                Some((StoreName::parse(name.as_bytes())?, since.parse().ok()?))
            })
            .collect()
    }

    /// Keeps it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn remember(&self, before: &Forgotten, now: &Forgotten) -> Result<(), DiskError> {
        if before == now {
            return Ok(());
        }
        let text: String = now.iter().map(|(name, since)| format!("{name} {since}\n")).collect();
        write_state(&self.path("forgotten"), &text)
    }

    /// The last file that was scrubbed.
    pub fn scrubbed(&self) -> Option<StoreName> {
        StoreName::parse(fs::read_to_string(self.path("scrubbed")).ok()?.trim().as_bytes())
    }

    /// Keeps how far the scrub came.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn remember_scrubbed(&self, name: &StoreName) -> Result<(), DiskError> {
        write_state(&self.path("scrubbed"), &format!("{name}\n"))
    }
}

/// Whether a file system is mounted right there (statx(2), since Linux 5.8; before, another device
/// than the parent's says so, which a bind mount hides).
fn is_mount_point(at: &Path) -> io::Result<bool> {
    let seen = |path: &Path| statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS);
    let own = match seen(at) {
        Err(Errno::NOENT) => return Ok(false),
        other => other?,
    };
    if own.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(own.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    }
    let parent = seen(&at.join(".."))?;
    let device = |seen: rustix::fs::Statx| (seen.stx_dev_major, seen.stx_dev_minor);
    Ok(device(own) != device(parent))
}

fn new_id(store: &Path) -> Result<String, DiskError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| DiskError {
        what: "make an id for",
        path: store.to_owned(),
        source: std::io::Error::other(e.to_string()),
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What marks a store; nothing, where it is no file of a line. The folder is somebody else's: whatever a
/// link there leads to is not read.
fn mark(store: &Path) -> String {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(store.join(ID));
    let mut text = String::new();
    let read = file.and_then(|file| file.take(1000).read_to_string(&mut text));
    if read.is_ok() { text.trim().to_owned() } else { String::new() }
}

/// Keeps a moment as the time of an empty file.
///
/// # Errors
/// It could not be written.
pub fn set_time(path: &Path, time: SystemTime) -> Result<(), DiskError> {
    let error = |source| DiskError { what: "set the time of", path: path.to_owned(), source };
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(error)?;
    let file = fs::File::create(path).map_err(error)?;
    file.set_modified(time).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_store_is_not_taken_for_the_known_one() {
        let dir = tempfile::tempdir().unwrap();
        let (store, state) = (dir.path().join("store"), State::new(&dir.path().join("state"), &"acme".parse().unwrap()));
        fs::create_dir(&store).unwrap();
        assert!(!state.is_same_store(&store).unwrap(), "never seen");
        assert!(state.is_same_store(&store).unwrap());
        // The mount is gone, and an empty directory lies there.
        fs::remove_dir_all(&store).unwrap();
        fs::create_dir(&store).unwrap();
        assert!(!state.is_same_store(&store).unwrap());
        assert!(state.is_same_store(&store).unwrap());
    }

    #[test]
    fn a_store_on_a_mount_is_touched_only_where_it_was_before() {
        let dir = tempfile::tempdir().unwrap();
        let (store, state) = (dir.path().join("store"), State::new(&dir.path().join("state"), &"acme".parse().unwrap()));
        fs::create_dir(&store).unwrap();
        let away = state.stands(&store, &store).unwrap_err();
        assert!(away.contains("is not mounted: nothing was written") && !store.join(ID).exists(), "{away}");
        assert!(state.stands(&store, &dir.path().join("absent")).unwrap_err().contains("is not mounted"));
        // Any place where something is mounted.
        let mount = Path::new("/proc");
        state.stands(&store, mount).unwrap();
        state.stands(&store, mount).unwrap();
        let id = fs::read(store.join(ID)).unwrap();
        for (content, why) in [(None, "is not there"), (Some("another\n"), "is another")] {
            fs::remove_file(store.join(ID)).unwrap_or_default();
            if let Some(text) = content {
                fs::write(store.join(ID), text).unwrap();
            }
            let said = state.stands(&store, mount).unwrap_err();
            assert!(said.contains(why) && said.contains("rm ") && said.contains("store-id-acme"), "{said}");
        }
        fs::write(store.join(ID), &id).unwrap();
        state.stands(&store, mount).unwrap();
        // A person says that it is right: what was forgotten of the other is forgotten no more.
        state.remember(&Forgotten::new(), &Forgotten::from([(StoreName { sha1: [7; 20], legacy: false }, 42)])).unwrap();
        fs::remove_file(dir.path().join("state/store-id-acme")).unwrap();
        state.stands(&store, mount).unwrap();
        assert_eq!(state.forgotten(), Forgotten::new());
    }

    #[test]
    fn what_is_forgotten_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::new(dir.path(), &"acme".parse().unwrap());
        let name = StoreName { sha1: [7; 20], legacy: true };
        let forgotten = Forgotten::from([(name, 42)]);
        assert_eq!(state.forgotten(), Forgotten::new());
        state.remember(&Forgotten::new(), &forgotten).unwrap();
        assert_eq!(state.forgotten(), forgotten);
        assert_eq!(state.scrubbed(), None);
        state.remember_scrubbed(&name).unwrap();
        assert_eq!(state.scrubbed(), Some(name));
    }
}
