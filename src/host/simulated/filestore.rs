//! Filestores and trees on a simulated machine, and both ends of a copy between two.
//!
//! The stream is a row of frames instead of tar; what is believed of it is the same: nothing.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

use super::files::Node;
use super::machine::Machine;
use crate::action::{Taken, Transfer, TransferKind};
use crate::look::{StoreFile, StoreListing, TreeListing};

/// A content's SHA-1 in hexadecimal.
pub fn sha1(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name a content has in a filestore.
pub fn store_name(bytes: &[u8]) -> String {
    let sha1 = sha1(bytes);
    format!("{}/{sha1}", sha1.get(..2).unwrap_or_default())
}

impl Machine {
    fn files_below<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = (String, &'a super::files::Entry, &'a [u8])> {
        self.files.below(directory).filter_map(move |(path, entry)| match &entry.node {
            Node::File(bytes) => Some((path.strip_prefix(directory).ok()?.to_str()?.to_owned(), entry, bytes.as_slice())),
            _ => None,
        })
    }

    pub(super) fn store_sight(&self, directory: &Path, stamp: &Path) -> StoreListing {
        if !self.files.is_directory(directory) {
            return None;
        }
        let verified = self.files.get(stamp).map(|entry| entry.mtime);
        let hex = |name: &str| name.bytes().take(2).all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let files = self.files_below(directory).filter(|(name, ..)| name.matches('/').count() == 1 && hex(name));
        let one = |(name, entry, bytes): (String, &super::files::Entry, &[u8])| {
            let changed = verified.is_none_or(|at| entry.ctime > at);
            (
                name,
                StoreFile {
                    size: bytes.len() as u64,
                    owner: format!("{}:{}", entry.owner, entry.group),
                    sha1: changed.then(|| sha1(bytes)),
                },
            )
        };
        Some(files.map(one).collect())
    }

    pub(super) fn tree_sight(&self, directory: &Path) -> TreeListing {
        let list = || self.files_below(directory).map(|(name, entry, bytes)| (name, (bytes.len() as u64, entry.mtime))).collect();
        self.files.is_directory(directory).then(list)
    }

    /// The stream of a transfer. Files that are gone are left out.
    pub(super) fn give(&self, transfer: &Transfer) -> Result<Vec<u8>, String> {
        if !self.files.is_directory(&transfer.source) {
            return Err(format!("cd: can't cd to {}", transfer.source.display()));
        }
        let mut stream = Vec::new();
        for name in &transfer.names {
            let path = transfer.source.join(name);
            if let (Some(entry), Some(bytes)) = (self.files.get(&path), self.files.bytes(&path)) {
                stream.extend((name.len() as u64).to_be_bytes());
                stream.extend(name.as_bytes());
                stream.extend(entry.mode.to_be_bytes());
                stream.extend(entry.mtime.to_be_bytes());
                stream.extend((bytes.len() as u64).to_be_bytes());
                stream.extend(bytes);
            }
        }
        stream.extend(u64::MAX.to_be_bytes());
        Ok(stream)
    }

    /// Takes a whole stream in, then puts what is sound in its place.
    pub(super) fn take(&mut self, transfer: &Transfer, stream: &mut dyn Read) -> Result<Taken, String> {
        let Transfer { directory, owner, .. } = transfer;
        if !self.files.is_directory(directory) {
            return Err(format!("cd: can't cd to {}", directory.display()));
        }
        if !self.accounts.users.contains_key(owner.as_str()) || !self.accounts.groups.contains(owner.as_str()) {
            return Err(format!("chown: invalid user: '{owner}:{owner}'"));
        }
        let files = frames(stream).ok_or("tar: Unexpected EOF in archive")?;
        if self.disk_full && !files.is_empty() {
            return Err("tar: Cannot write: No space left on device".into());
        }
        let now = self.tick();
        let mut taken =
            Taken { absent: transfer.names.iter().filter(|name| !files.contains_key(*name)).cloned().collect(), ..Taken::default() };
        for (name, file) in files {
            let store = matches!(transfer.kind, TransferKind::Store { .. });
            if store && name.rsplit('/').next() != Some(sha1(&file.bytes).as_str()) {
                taken.damaged.push(name);
                continue;
            }
            let path = directory.join(&name);
            self.make_owned(directory, &path, owner.as_str(), now);
            let mode = if store { 0o644 } else { file.mode };
            self.files.put(&path, Node::File(file.bytes), (owner.as_str(), owner.as_str(), mode), now);
            if let (false, Some(entry)) = (store, self.files.get_mut(&path)) {
                entry.mtime = file.mtime;
            }
            taken.files += 1;
        }
        if let TransferKind::Store { stamp, verified_at } = &transfer.kind {
            let at: f64 = verified_at.parse().map_err(|_| format!("touch: invalid date format '@{verified_at}'"))?;
            self.files.write(stamp.clone(), "", ("root", "root", 0o644), now);
            if let Some(entry) = self.files.get_mut(stamp) {
                entry.mtime = at;
            }
        }
        Ok(taken)
    }

    fn make_owned(&mut self, top: &Path, file: &Path, owner: &str, now: f64) {
        let mut missing: Vec<PathBuf> = file
            .ancestors()
            .skip(1)
            .take_while(|path| *path != top)
            .filter(|path| !self.files.is_directory(path))
            .map(Path::to_owned)
            .collect();
        missing.reverse();
        for path in missing {
            self.files.put(path, Node::Directory, (owner, owner, 0o755), now);
        }
    }
}

struct Frame {
    mode: u32,
    mtime: f64,
    bytes: Vec<u8>,
}

/// Every file of a stream; `None` if it breaks off.
fn frames(stream: &mut dyn Read) -> Option<BTreeMap<String, Frame>> {
    let mut files = BTreeMap::new();
    loop {
        let length = u64::from_be_bytes(exactly(stream)?);
        if length == u64::MAX {
            return Some(files);
        }
        let name = String::from_utf8(bytes(stream, length)?).ok()?;
        let (mode, mtime) = (u32::from_be_bytes(exactly(stream)?), f64::from_be_bytes(exactly(stream)?));
        let length = u64::from_be_bytes(exactly(stream)?);
        files.insert(name, Frame { mode, mtime, bytes: bytes(stream, length)? });
    }
}

fn exactly<const N: usize>(stream: &mut dyn Read) -> Option<[u8; N]> {
    let mut buffer = [0; N];
    stream.read_exact(&mut buffer).ok()?;
    Some(buffer)
}

fn bytes(stream: &mut dyn Read, length: u64) -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    let read = stream.take(length).read_to_end(&mut buffer).ok()?;
    (read as u64 == length).then_some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let mut machine = Machine::bare("erp1".parse().unwrap(), "10.77.0.11", 1e9);
        machine.add_account("odoo", "/var/lib/odoo");
        machine.files.make_parents(Path::new("/store"), ("odoo", "odoo", 0o755), 1e9);
        machine
    }

    fn transfer(names: &[String]) -> Transfer {
        let kind = TransferKind::Store { stamp: "/var/lib/otr/stamp".into(), verified_at: "1000000005.5".into() };
        Transfer { kind, source: "/store".into(), directory: "/store".into(), owner: "odoo".parse().unwrap(), names: names.to_vec() }
    }

    #[test]
    fn only_what_is_its_name_takes_its_place() {
        let (mut from, mut to) = (machine(), machine());
        let names = [store_name(b"good"), store_name(b"torn"), store_name(b"gone")];
        for (name, text) in [(&names[0], "good"), (&names[1], "to")] {
            from.files.write(format!("/store/{name}"), text, ("odoo", "odoo", 0o600), 1e9);
        }
        let stream = from.give(&transfer(&names)).unwrap();
        for end in 0..stream.len() {
            assert!(to.take(&transfer(&names), &mut &stream[..end]).is_err());
        }
        assert_eq!(to.store_sight(Path::new("/store"), Path::new("/none")), Some(BTreeMap::new()), "a broken stream leaves nothing");
        let taken = to.take(&transfer(&names), &mut stream.as_slice()).unwrap();
        assert_eq!(taken, Taken { files: 1, damaged: vec![names[1].clone()], absent: vec![names[2].clone()] });
        let parent = to.files.get(Path::new("/store").join(&names[0][..2])).unwrap();
        assert_eq!((parent.owner.as_str(), parent.mode), ("odoo", 0o755));
        let seen = to.store_sight(Path::new("/store"), Path::new("/var/lib/otr/stamp")).unwrap();
        assert_eq!(seen[&names[0]].sha1, None, "the stamp is later");
        to.now = 1e9 + 10.0;
        let now = to.tick();
        to.files.write(format!("/store/{}", names[0]), "bad!", ("odoo", "odoo", 0o644), now);
        let seen = to.store_sight(Path::new("/store"), Path::new("/var/lib/otr/stamp")).unwrap();
        assert_ne!(seen[&names[0]].sha1.as_deref(), Some(&names[0][3..]));
    }
}
