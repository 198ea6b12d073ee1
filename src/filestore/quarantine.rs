//! When a quarantined file goes: it is proven damage, but it may be all that is left of a file.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, statat, unlinkat};
use rustix::io::Errno;

use super::have::{list_own, open_directory};
use super::names::{NeededFile, StoreName, parse_sha1};
use super::place::QUARANTINE;

/// Removes what was quarantined for `keep` seconds and is in its place again, or needed no more.
/// What is needed and absent stays, whatever its age. How many went.
///
/// # Errors
/// The quarantine cannot be read or changed.
pub fn empty(store: &OwnedFd, needed: &[NeededFile], keep: u64, now: i64) -> io::Result<u64> {
    let names = list_own(store, QUARANTINE)?;
    if names.is_empty() {
        return Ok(0);
    }
    let inside = open_directory(store, QUARANTINE)?;
    let mut removed = 0;
    for file in names {
        let Some(name) = parse(&file) else { continue };
        let here = match statat(store, name.to_string(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => true,
            Err(Errno::NOENT) => false,
            Err(error) => return Err(error.into()),
        };
        let is_needed = needed.binary_search_by_key(&name, |file| file.name).is_ok();
        // Moving it here changed its change time.
        let since = statat(&inside, file.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?.st_ctime;
        if (here || !is_needed) && now.saturating_sub(since) >= i64::try_from(keep).unwrap_or(i64::MAX) {
            unlinkat(&inside, file.as_slice(), AtFlags::empty())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// The name of a quarantined file: as [`super::place::Place::quarantine`] wrote it.
fn parse(file: &[u8]) -> Option<StoreName> {
    let (sha1, legacy) = match file.strip_suffix(b".3") {
        Some(sha1) => (sha1, true),
        None => (file, false),
    };
    Some(StoreName { sha1: parse_sha1(sha1)?, legacy })
}

#[cfg(test)]
mod tests {
    use super::super::have::open_path;
    use super::*;

    #[test]
    fn what_is_needed_and_absent_stays_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let names = [1, 2, 3].map(|n| StoreName { sha1: [n; 20], legacy: n == 3 });
        let [back, absent, forgotten] = names;
        std::fs::create_dir_all(dir.path().join(QUARANTINE)).unwrap();
        let store = open_path(dir.path()).unwrap();
        assert_eq!(empty(&store, &[], 0, 0).unwrap(), 0);
        for name in names {
            std::fs::write(dir.path().join(QUARANTINE).join(format!("{}{}", name.file(), if name.legacy { ".3" } else { "" })), "bad")
                .unwrap();
        }
        std::fs::write(dir.path().join(QUARANTINE).join("a person's own"), "x").unwrap();
        std::fs::create_dir_all(dir.path().join(back.directory())).unwrap();
        std::fs::write(dir.path().join(back.to_string()), "good").unwrap();
        let needed = [NeededFile::new(back, 4), NeededFile::new(absent, 4)];
        let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap();
        assert_eq!(empty(&store, &needed, 1000, now).unwrap(), 0, "too young");
        assert_eq!(empty(&store, &needed, 1000, now + 2000).unwrap(), 2);
        let left = list_own(&store, QUARANTINE).unwrap();
        assert!(left.len() == 2 && left.contains(&absent.file().into_bytes()) && !left.contains(&forgotten.file().into_bytes()));
    }
}
