//! Filestores and trees on a simulated machine, and both ends of a copy between two.
//!
//! The stream is a row of frames instead of tar; what is believed of it is the same: nothing.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

use super::files::Node;
use super::machine::Machine;
use crate::action::keep::Needed;
use crate::action::{Gift, GiftKind, Keep, Kept, Taken, Transfer};
use crate::look::addons::AddonTree;
use crate::look::paths::{Entry, Kind};
use crate::look::{StoreFile, StoreListing, TreeListing, TreeSums};
use crate::name::Mode;

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

    pub(super) fn store_sight(&self, directory: &Path, stamp: &Path, hashed: Option<u32>) -> StoreListing {
        if !self.files.is_directory(directory) {
            return None;
        }
        let verified = self.files.get(stamp).map(|entry| entry.mtime);
        let hex = |name: &str| name.bytes().take(2).all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let files = self.files_below(directory).filter(|(name, ..)| name.matches('/').count() == 1 && hex(name));
        let mut left = hashed.unwrap_or(u32::MAX);
        let one = |(name, entry, bytes): (String, &super::files::Entry, &[u8])| {
            let changed = verified.is_none_or(|at| entry.ctime > at) && left > 0;
            left -= u32::from(changed);
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

    pub(super) fn sums_sight(&self, directory: &Path) -> TreeSums {
        let list = || self.files_below(directory).map(|(name, _, bytes)| (name, sha1(bytes))).collect();
        self.files.is_directory(directory).then(list)
    }

    pub(super) fn addons_sight(&self, root: &Path) -> Option<AddonTree> {
        self.files.get(root)?;
        let mut tree = AddonTree::default();
        for (path, entry) in self.files.below(root) {
            let place = path.strip_prefix(root).unwrap_or(path).display().to_string();
            let kind = match &entry.node {
                Node::File(_) => Kind::File,
                Node::Directory => Kind::Directory,
                Node::Link(target) => Kind::Link(target.clone()),
            };
            let size = self.files.bytes(path).map_or(0, |bytes| bytes.len() as u64);
            if let Some(git) = place.strip_suffix("/HEAD").filter(|git| git.ends_with(".git")) {
                tree.heads.insert(git.to_owned(), self.files.text(path).trim().to_owned());
            }
            if let Some(bytes) = self.files.bytes(path).filter(|_| !place.split('/').any(|part| part == ".git")) {
                tree.sums.insert(place.clone(), sha1(bytes));
            }
            let (owner, group) = (entry.owner.clone(), entry.group.clone());
            tree.entries.insert(place, Entry { kind, owner, group, mode: Mode(entry.mode), size, mtime: entry.mtime });
        }
        Some(tree)
    }

    /// What was asked for. Files that are gone are left out.
    pub(super) fn give(&self, gift: &Gift) -> Result<Vec<u8>, String> {
        if !self.files.is_directory(&gift.source) {
            return Err(format!("cd: can't cd to {}", gift.source.display()));
        }
        let mut stream = Vec::new();
        if gift.kind == GiftKind::Listing {
            stream.extend(self.files_below(&gift.source).flat_map(|(name, ..)| name.into_bytes().into_iter().chain([0])));
            return Ok(stream);
        }
        for name in gift.names.split(|&byte| byte == 0).filter_map(|name| std::str::from_utf8(name).ok()).filter(|name| !name.is_empty()) {
            let path = gift.source.join(name);
            if let Some(entry) = self.files.get(&path) {
                let (kind, bytes) = match &entry.node {
                    Node::File(bytes) => (0u8, bytes.clone()),
                    Node::Directory => (1, Vec::new()),
                    Node::Link(target) => (2, target.display().to_string().into_bytes()),
                };
                stream.extend((name.len() as u64).to_be_bytes());
                stream.extend(name.as_bytes());
                stream.push(kind);
                stream.extend(entry.mode.to_be_bytes());
                for text in [&entry.owner, &entry.group] {
                    stream.extend((text.len() as u64).to_be_bytes());
                    stream.extend(text.as_bytes());
                }
                stream.extend(entry.mtime.to_be_bytes());
                stream.extend((bytes.len() as u64).to_be_bytes());
                stream.extend(bytes);
            }
        }
        stream.extend(u64::MAX.to_be_bytes());
        Ok(stream)
    }

    fn can_receive(&self, directory: &Path, owner: &str) -> Result<(), String> {
        if !self.files.is_directory(directory) {
            return Err(format!("cd: can't cd to {}", directory.display()));
        }
        match self.accounts.users.contains_key(owner) && self.accounts.groups.contains(owner) {
            true => Ok(()),
            false => Err(format!("chown: invalid user: '{owner}:{owner}'")),
        }
    }

    /// Takes a whole stream in, then puts it in its place.
    pub(super) fn take(&mut self, transfer: &Transfer, stream: &mut dyn Read) -> Result<Taken, String> {
        let Transfer { directory, owner, .. } = transfer;
        if let Some(owner) = owner {
            self.can_receive(directory, owner.as_str())?;
        }
        let files = frames(stream).ok_or("tar: Unexpected EOF in archive")?;
        if self.disk_full && !files.is_empty() {
            return Err("tar: Cannot write: No space left on device".into());
        }
        let now = self.tick();
        let mut taken = Taken::default();
        for (name, file) in files {
            let path = directory.join(&name);
            match owner {
                Some(owner) => {
                    self.make_owned(directory, &path, owner.as_str(), now);
                    self.files.put(&path, Node::File(file.bytes), (owner.as_str(), owner.as_str(), file.mode), now);
                }
                None if path.parent().is_some_and(|parent| self.files.is_directory(parent)) => {
                    let target = || String::from_utf8_lossy(&file.bytes).into_owned().into();
                    let node = match file.kind {
                        0 => Node::File(file.bytes),
                        1 => Node::Directory,
                        _ => Node::Link(target()),
                    };
                    self.files.put(&path, node, (file.owner.as_str(), file.group.as_str(), file.mode), now);
                }
                None => return Err(format!("mv: cannot move './{name}': No such file or directory")),
            }
            if let Some(entry) = self.files.get_mut(&path) {
                entry.mtime = file.mtime;
            }
            taken.files += 1;
        }
        Ok(taken)
    }

    /// The names a store needs.
    fn needed(&self, job: &Keep) -> Result<Vec<String>, String> {
        match &job.needed {
            Needed::Database(cluster) => {
                let all = self.attachments(cluster, job.database.as_str()).map_err(|error| error.to_string())?;
                Ok(all.into_keys().collect())
            }
            Needed::Listing => Err("the simulated otr asks the database".into()),
        }
    }

    /// Whether what stands at a name is what the name says.
    fn is_sound(&self, directory: &Path, name: &str) -> bool {
        self.files.bytes(directory.join(name)).is_some_and(|bytes| name.rsplit('/').next() == Some(sha1(bytes).as_str()))
    }

    /// What production is asked for, to keep a store.
    pub(super) fn wants(&self, job: &Keep) -> Result<Option<Gift>, String> {
        self.can_receive(&job.directory, job.owner.as_str())?;
        let missing = |name: &String| match job.suspects.contains(name) {
            true => !self.is_sound(&job.directory, name),
            false => self.files.get(job.directory.join(name)).is_none(),
        };
        let needed = self.needed(job)?;
        let names: Vec<u8> = needed.iter().filter(|name| missing(name)).flat_map(|name| name.bytes().chain([0])).collect();
        let gift = Gift { kind: GiftKind::Store, source: job.directory.clone(), names, title: "files".into() };
        Ok((!gift.names.is_empty()).then_some(gift))
    }

    /// Keeps a store with the stream that [`Machine::wants`] asked for.
    pub(super) fn keep(&mut self, job: &Keep, stream: &mut dyn Read) -> Result<Kept, String> {
        let needed = self.needed(job)?;
        let owner = job.owner.as_str();
        let asked = self.wants(job)?;
        let now = self.tick();
        let mut kept = Kept { needed: needed.len() as u64, ..Kept::default() };
        for name in job.suspects.iter().filter(|name| self.files.get(job.directory.join(name)).is_some()).cloned().collect::<Vec<_>>() {
            let path = job.directory.join(&name);
            if !self.is_sound(&job.directory, &name) {
                self.files.remove_tree(&path);
                kept.quarantined.push(name);
            } else if let Some(entry) = self.files.get_mut(&path) {
                (entry.owner, entry.group) = (owner.into(), owner.into());
                kept.corrected += 1;
            }
        }
        if let Some(gift) = asked {
            let files = frames(stream).ok_or("the stream broke off")?;
            if self.disk_full && !files.is_empty() {
                return Err("No space left on device".into());
            }
            let asked = gift.names.split(|&byte| byte == 0).filter_map(|name| std::str::from_utf8(name).ok());
            kept.absent = asked.filter(|name| !name.is_empty() && !files.contains_key(*name)).map(str::to_owned).collect();
            for (name, file) in files {
                if name.rsplit('/').next() != Some(sha1(&file.bytes).as_str()) {
                    kept.damaged.push(name);
                    continue;
                }
                let path = job.directory.join(&name);
                let file_bytes = file.bytes.len() as u64;
                self.make_owned(&job.directory, &path, owner, now);
                self.files.put(&path, Node::File(file.bytes), (owner, owner, 0o644), now);
                kept.bytes += file_bytes;
                kept.files += 1;
            }
        }
        let here = |name: &&String| self.files.get(job.directory.join(name)).is_some() && !kept.absent.contains(name);
        kept.sample = needed.iter().filter(here).take(16).cloned().collect();
        if let (Some((stamp, at)), None) = (&job.stamp, kept.complaint()) {
            let at: f64 = at.parse().map_err(|_| format!("{at:?} is no time"))?;
            self.files.write(stamp.clone(), "", ("root", "root", 0o644), now);
            if let Some(entry) = self.files.get_mut(stamp) {
                entry.mtime = at;
            }
        }
        Ok(kept)
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
    kind: u8,
    mode: u32,
    owner: String,
    group: String,
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
        let [kind] = exactly(stream)?;
        let mode = u32::from_be_bytes(exactly(stream)?);
        let [owner, group] = [text(stream)?, text(stream)?];
        let mtime = f64::from_be_bytes(exactly(stream)?);
        let length = u64::from_be_bytes(exactly(stream)?);
        files.insert(name, Frame { kind, mode, owner, group, mtime, bytes: bytes(stream, length)? });
    }
}

fn text(stream: &mut dyn Read) -> Option<String> {
    let length = u64::from_be_bytes(exactly(stream)?);
    String::from_utf8(bytes(stream, length)?).ok()
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
        Transfer { source: "/store".into(), directory: "/store".into(), mount: None, owner: "odoo".parse().ok(), names: names.to_vec() }
    }

    #[test]
    fn a_broken_stream_leaves_nothing() {
        let (mut from, mut to) = (machine(), machine());
        let names = [store_name(b"one"), store_name(b"gone")];
        from.files.write(format!("/store/{}", names[0]), "one", ("odoo", "odoo", 0o600), 1e9);
        let stream = from.give(&transfer(&names).gift()).unwrap();
        for end in 0..stream.len() {
            assert!(to.take(&transfer(&names), &mut &stream[..end]).is_err());
        }
        assert_eq!(to.store_sight(Path::new("/store"), Path::new("/none"), None), Some(BTreeMap::new()), "a broken stream leaves nothing");
        assert_eq!(to.take(&transfer(&names), &mut stream.as_slice()).unwrap(), Taken { files: 1 });
        let parent = to.files.get(Path::new("/store").join(&names[0][..2])).unwrap();
        assert_eq!((parent.owner.as_str(), parent.mode), ("odoo", 0o755));
    }
}
