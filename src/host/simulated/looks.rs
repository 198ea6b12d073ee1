//! Every look, answered by a simulated machine. Decides nothing; asks the part it belongs to.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::files::Node;
use super::machine::Machine;
use crate::look::bucket::BucketSight;
use crate::look::command::Answer;
use crate::look::content::{Content, LIMIT, text_of};
use crate::look::elsewhere::ElsewhereSight;
use crate::look::folder::{Piece, What};
use crate::look::pip::PipSight;
use crate::look::{Folder, Look, SentinelSight, Sight, SightError};
use crate::name::Mode;
use crate::record::{Record, TAIL};
use crate::secret::Secret;

impl Machine {
    /// What one look sees.
    pub(super) fn see(&mut self, look: &Look) -> Result<Sight, SightError> {
        Ok(match look {
            Look::Machine => Sight::Machine(self.sight()),
            Look::Vitals { paths, odoo, databases, .. } => Sight::Vitals(self.vitals(paths, *odoo, databases)),
            Look::Addons(root) => {
                self.enter(root)?;
                Sight::Addons(self.addons_sight(root))
            }
            Look::Survey => Sight::Survey(self.survey()),
            Look::Debconf(questions) => {
                let asked = self.debconf.iter().filter(|(question, _)| questions.contains(question));
                Sight::Debconf(asked.map(|(question, answer)| (question.clone(), answer.clone())).collect())
            }
            Look::Accounts => Sight::Accounts(self.accounts.clone()),
            // A NixOS has no dpkg.
            Look::Packages if self.nixos.is_some() => return Err(SightError::Failed("sh: dpkg: not found".into())),
            Look::Packages => Sight::Packages(self.packages.clone()),
            Look::Nixos => Sight::Nixos(self.nixos.clone()),
            Look::Path(path) => {
                self.enter(path)?;
                Sight::Path(self.files.stat(path))
            }
            Look::Content(path) => Sight::Content(self.content(path)?),
            Look::Record(path) => Sight::Record(self.record(path)?),
            Look::SecretContent(path) => Sight::SecretContent(self.content(path)?.map(|content| Secret::new(content.text))),
            // InstallOtr leaves a file that names its own digest: a simulated program has no bytes.
            Look::Digest(path) => {
                Sight::Digest(self.content(path)?.map(|content| content.text.trim().trim_start_matches("otr ").to_owned()))
            }
            Look::Unit(unit) => Sight::Unit(self.unit_sight(unit.as_str())),
            Look::Python(site) => Sight::Python(self.python_sight(site)),
            Look::Cluster(cluster) => Sight::Cluster(self.cluster_sight(cluster)?),
            Look::Server(cluster) => Sight::Server(self.server_sight(cluster)?),
            Look::Attachments(cluster, database) => Sight::Attachments(self.attachments(cluster, database.as_str())?),
            Look::Store { directory, stamp, hashed } => {
                self.enter(directory)?;
                Sight::Store(self.store_sight(directory, stamp, *hashed))
            }
            Look::LostBundles { cluster, database, directory } => {
                self.enter(directory)?;
                let bundles = self.attachments(cluster, database.as_str())?.into_iter().filter(|(_, row)| row.regenerable);
                let lost = bundles.map(|(name, _)| name).filter(|name| self.files.bytes(directory.join(name)).is_none());
                Sight::LostBundles(self.files.is_directory(directory).then(|| lost.collect()))
            }
            Look::Present { directory, names } => {
                self.enter(directory)?;
                let there = |name: &&String| self.files.bytes(directory.join(name)).is_some();
                Sight::Present(self.files.is_directory(directory).then(|| names.iter().filter(there).cloned().collect()))
            }
            Look::Tree(directory) => {
                self.enter(directory)?;
                self.list(directory)?;
                Sight::Tree(self.tree_sight(directory))
            }
            Look::Sums(directory) => {
                self.enter(directory)?;
                self.list(directory)?;
                Sight::Sums(self.sums_sight(directory))
            }
            Look::Folder(root) => Sight::Folder(self.folder(root)?),
            Look::Apt(_) => return Err(SightError::Failed("the simulator does this with the world's archive".into())),
            Look::Pip(_) => Sight::Pip(PipSight::Unknown("pip 20.3.4 cannot say".into())),
            Look::Origins(packages) => Sight::Origins(packages.iter().map(|(name, _)| (name.clone(), Default::default())).collect()),
            Look::System => Sight::System(self.system.clone()),
            Look::Bucket(_) => Sight::Bucket(BucketSight::Silent("no route (simulated)".into())),
            Look::RedisElsewhere(_) => Sight::RedisElsewhere(ElsewhereSight::Silent("no route (simulated)".into())),
            Look::Memcached(_) => Sight::Memcached(None),
            Look::Sentinel { .. } => Sight::Sentinel(SentinelSight::Down),
            Look::Redis { config, port } => {
                if !self.is_root() && self.has_package("redis-server") {
                    self.readable(config)?;
                }
                Sight::Redis(self.redis_sight(config, *port))
            }
            Look::Sessions(place) => Sight::Sessions(self.sessions(place)?),
            Look::Mount { at, helper, .. } => Sight::Mount(self.mount_sight(at, helper.as_deref())),
            Look::Drill(_) => return Err(SightError::Failed("a simulated machine has no room for a drill".into())),
            Look::OdooReads(reading) => Sight::OdooReads(self.odoo_reads(reading.text.expose())),
            Look::Life(ask) => Sight::Life(self.hears_of(ask)),
            Look::Command(command) => match self.call(command) {
                (126 | 127, said) => return Err(SightError::Failed(said)),
                (status, text) => Sight::Command(Answer { status, text }),
            },
            Look::LoginPage(visit) => Sight::LoginPage(self.login_page(visit)),
        })
    }

    fn content(&self, path: &Path) -> Result<Option<Content>, SightError> {
        self.enter(path)?;
        let Some(entry) = self.files.get(path) else { return Ok(None) };
        if entry.node == Node::Directory {
            return Err(SightError::Failed(format!("head: error reading '{}': Is a directory", path.display())));
        }
        self.readable(path)?;
        let Some(bytes) = self.files.bytes(path) else { return Ok(None) };
        if bytes.len() > LIMIT {
            return Err(SightError::Failed(format!("larger than {LIMIT} bytes")));
        }
        let (text, exact) = text_of(bytes);
        Ok(Some(Content { text, exact }))
    }

    fn record(&self, path: &Path) -> Result<Option<Record>, SightError> {
        self.enter(path)?;
        let Some(entry) = self.files.get(path) else { return Ok(None) };
        self.readable(path)?;
        match self.files.bytes(path) {
            Some(bytes) => Ok(Some(Record::of(bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default(), bytes.len() as u64))),
            None if entry.node == Node::Directory => Err(SightError::Failed(format!("{} is no file", path.display()))),
            None => Err(SightError::Failed(format!("tail: cannot open '{}' for reading: No such file or directory", path.display()))),
        }
    }

    fn folder(&self, root: &Path) -> Result<Folder, SightError> {
        self.enter(root)?;
        if self.files.get(root).is_none() {
            return Ok(None);
        }
        let mut pieces = BTreeMap::new();
        for (path, entry) in self.files.below(root) {
            let what = match &entry.node {
                Node::File(bytes) => {
                    self.readable(path)?;
                    What::File(Secret::new(STANDARD.encode(bytes)))
                }
                Node::Directory => {
                    self.list(path)?;
                    What::Directory
                }
                Node::Link(target) => What::Link(target.display().to_string()),
            };
            let place = path.strip_prefix(root).map(|place| place.display().to_string()).unwrap_or_default();
            let (owner, group) = (entry.owner.clone(), entry.group.clone());
            pieces.insert(place, Piece { what, owner, group, mode: Mode(entry.mode), mtime: entry.mtime });
        }
        Ok(Some(pieces))
    }

    /// Whether the login has a right to something, by its owner's, group's or others' bits.
    fn may(&self, path: &Path, bits: u32) -> bool {
        self.is_root()
            || self.files.get(path).is_none_or(|entry| match () {
                () if entry.owner == self.login => entry.mode >> 6 & bits == bits,
                () if entry.group == self.login => entry.mode >> 3 & bits == bits,
                () => entry.mode & bits == bits,
            })
    }

    fn readable(&self, path: &Path) -> Result<(), SightError> {
        self.enter(path)?;
        match self.may(path, 4) {
            true => Ok(()),
            false => Err(SightError::Denied(format!("{}: Permission denied", path.display()))),
        }
    }

    /// Every directory above must let the login through.
    fn enter(&self, path: &Path) -> Result<(), SightError> {
        match path.ancestors().skip(1).any(|above| !self.may(above, 1)) {
            true => Err(SightError::Denied(format!("cannot statx '{}': Permission denied", path.display()))),
            false => Ok(()),
        }
    }

    fn list(&self, directory: &Path) -> Result<(), SightError> {
        match self.may(directory, 5) {
            true => Ok(()),
            false => Err(SightError::Denied(format!("find: '{}': Permission denied", directory.display()))),
        }
    }
}
