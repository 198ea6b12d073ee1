//! What lies in a store, by directory entries alone: no file is touched, so a million names
//! cost a second or two.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, openat, statat};
use rustix::io::Errno;

use super::names::StoreName;

/// getdents64 is asked for this much at a time.
const BUFFER: usize = 256 * 1024;

/// Opens a directory; never through a link.
pub fn open_directory(at: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a directory by its whole path. That may lead through links: of root's, or to what is their own
/// owner's; through no other, for root would go where he could not.
///
/// # Errors
/// It is absent, no directory, or not to be read.
pub fn open_path(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let begin = if path.is_absolute() { "/" } else { "." };
    let (me, mut at) = (rustix::process::geteuid().as_raw(), rustix::fs::open(begin, flags, Mode::empty())?);
    for part in path.components() {
        let name = match part {
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
            other => other.as_os_str(),
        };
        at = match openat(&at, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(next) => next,
            Err(error) => {
                let stat = statat(&at, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
                    return Err(error.into());
                }
                let next = openat(&at, name, flags, Mode::empty())?;
                if ![0, me, rustix::fs::fstat(&next)?.st_uid].contains(&stat.st_uid) {
                    let why = format!("{} is a link of somebody else's: it is not followed", name.to_string_lossy());
                    return Err(io::Error::other(why));
                }
                next
            }
        };
    }
    Ok(at)
}

/// Calls with each entry's name and type, `.` and `..` left out.
fn entries(directory: &OwnedFd, buffer: &mut Vec<u8>, mut each: impl FnMut(&[u8], FileType)) -> rustix::io::Result<()> {
    buffer.clear();
    let spare: &mut [MaybeUninit<u8>] = buffer.spare_capacity_mut();
    let mut raw = RawDir::new(directory, spare);
    while let Some(entry) = raw.next() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems do not say.
            FileType::Unknown => match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            },
            kind => kind,
        };
        each(name.to_bytes(), kind);
    }
    Ok(())
}

/// The files of a store, sorted. Whatever has another name is passed over.
///
/// # Errors
/// A directory could not be read: then nothing is known, rather than that files are absent.
pub fn list(store: &OwnedFd) -> io::Result<Vec<StoreName>> {
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut directories: Vec<Vec<u8>> = Vec::new();
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    entries(store, &mut buffer, |name, kind| {
        if kind == FileType::Directory && (2..=3).contains(&name.len()) && name.iter().all(is_hex) {
            directories.push(name.to_vec());
        }
    })?;
    directories.sort_unstable();
    let mut names = Vec::new();
    for directory in &directories {
        let inside = match open_directory(store, directory.as_slice()) {
            Ok(inside) => inside,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        let begin = names.len();
        entries(&inside, &mut buffer, |file, kind| {
            if kind == FileType::RegularFile {
                names.extend(StoreName::of(directory, file));
            }
        })?;
        // Directory by directory fits into a processor's cache; what the older kind adds is few.
        names.get_mut(begin..).unwrap_or_default().sort_unstable();
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// The entries of a directory of the store that is otr's own, or nothing if there is none.
///
/// # Errors
/// It cannot be read.
pub fn list_own(store: &OwnedFd, directory: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    match open_directory(store, directory) {
        Ok(inside) => entries(&inside, &mut Vec::with_capacity(BUFFER), |name, _| found.push(name.to_vec()))?,
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_grammar_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        let sha = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        for name in [format!("da/{sha}"), format!("da3/{sha}"), format!("db/{sha}"), "da/short".into(), format!("checklist/da/{sha}")] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("da/adc83b19e793491b1c6ea0fd8b46cd9f32e592fc")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("ad")).unwrap();
        let names: Vec<String> = list(&open_path(dir.path()).unwrap()).unwrap().iter().map(StoreName::to_string).collect();
        assert_eq!(names, [format!("da/{sha}"), format!("da3/{sha}")]);
        assert!(open_path(&dir.path().join("gone")).is_err());
    }
}
