//! What otr remembers of a store between runs: which store it was, what the database forgot
//! since when, and how far the last scrub came.

use std::fs;
use std::path::{Path, PathBuf};

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
        let (there, known) = (read(&store.join(ID)), read(&self.path("store-id")));
        if !there.is_empty() && there == known {
            return Ok(true);
        }
        let id = if there.is_empty() { new_id(store)? } else { there };
        write_state(&store.join(ID), &format!("{id}\n"))?;
        write_state(&self.path("store-id"), &format!("{id}\n"))?;
        Ok(false)
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

fn new_id(store: &Path) -> Result<String, DiskError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| DiskError {
        what: "make an id for",
        path: store.to_owned(),
        source: std::io::Error::other(e.to_string()),
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
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
