//! Facts: all sights of all hosts in one run, with a typed question for each look.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::look::accounts::Accounts;
use crate::look::addons::AddonTree;
use crate::look::apt::{AptRun, AptSight};
use crate::look::bucket::BucketSight;
use crate::look::command::{Answer, CommandLine};
use crate::look::content::Content;
use crate::look::debconf::Answers;
use crate::look::drill::{DrillLook, DrillSight};
use crate::look::elsewhere::{Elsewhere, ElsewhereSight};
use crate::look::life::{Answers as PortAnswers, Ask};
use crate::look::memcached::MemcachedSight;
use crate::look::odoo_reads::{Read, Reading};
use crate::look::origins::Origin;
use crate::look::paths::{Entry, Kind};
use crate::look::pip::{PipRun, PipSight};
use crate::look::{
    Attachments, Cluster, ClusterName, Folder, LoginPage, Look, Machine, MountSight, NixSystem, Packages, PathSight, PythonSight,
    RedisSight, Seen, SentinelSight, ServerSight, SessionPlace, SessionsSight, Sight, SightError, Site, StoreListing, Survey, TreeListing,
    TreeSums, UnitSight, Visit, Vitals,
};
use crate::name::{DatabaseName, HostName, Mode, UnitName};
use crate::record::Record;
use crate::secret::{Secret, SecretError};

/// Why a resource could not decide.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactError {
    /// A sight failed.
    #[error("{what} on {host} could not be seen: {why}")]
    Unseen {
        /// Where.
        host: HostName,
        /// What was looked at.
        what: String,
        /// Why it was not seen.
        why: SightError,
    },
    /// The host gave no answer at all.
    #[error("{host} is not reachable")]
    Unreachable {
        /// Which one.
        host: HostName,
        /// Why.
        why: String,
    },
    /// A secret is missing.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// What was seen makes the wish impossible or dangerous.
    #[error("{0}")]
    Refused(String),
}

/// All sights of one run.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    hosts: BTreeMap<HostName, Result<Seen, String>>,
}

macro_rules! question {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $answer:ty, $variant:ident, $look:expr) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// It was not seen.
        pub fn $name(&self, host: &HostName, $($arg: $type),*) -> Result<&$answer, FactError> {
            let look = $look;
            match self.sight(host, &look)? {
                Sight::$variant(sight) => Ok(sight),
                _ => Err(FactError::Unseen { host: host.clone(), what: look.to_string(), why: SightError::Unreadable("another sight".into()) }),
            }
        }
    };
}

impl Facts {
    /// Facts of hosts: what each sent, or why it sent nothing.
    pub fn new(hosts: BTreeMap<HostName, Result<Seen, String>>) -> Self {
        Self { hosts }
    }

    /// The same, as if what stands at these paths were written now.
    pub fn as_if_written(&self, host: &HostName, paths: &[Look]) -> Self {
        let mut facts = self.clone();
        let now = self.machine(host).map_or(f64::MAX, |machine| machine.now + 1.0);
        if let Some(Ok(seen)) = facts.hosts.get_mut(host) {
            for look in paths {
                if let Some(Ok(Sight::Path(sight))) = seen.get_mut(look) {
                    let new = Entry { kind: Kind::File, owner: String::new(), group: String::new(), mode: Mode(0), size: 0, mtime: now };
                    *sight = Some(Entry { mtime: now, ..sight.take().unwrap_or(new) });
                }
            }
        }
        facts
    }

    /// These, and what was asked for later because of them.
    pub fn and(mut self, later: Self) -> Self {
        for (host, seen) in later.hosts {
            match (self.hosts.get_mut(&host), seen) {
                (Some(Ok(all)), Ok(seen)) => all.extend(seen),
                (_, seen) => drop(self.hosts.insert(host, seen)),
            }
        }
        self
    }

    /// Why a host gave no answer, if it gave none.
    pub fn unreachable(&self, host: &HostName) -> Option<&str> {
        self.hosts.get(host).and_then(|seen| seen.as_ref().err()).map(String::as_str)
    }

    /// One sight.
    ///
    /// # Errors
    /// It was not seen.
    pub fn sight(&self, host: &HostName, look: &Look) -> Result<&Sight, FactError> {
        let unseen = |why| FactError::Unseen { host: host.clone(), what: look.to_string(), why };
        match self.hosts.get(host) {
            None => Err(FactError::Unreachable { host: host.clone(), why: "it was not asked".into() }),
            Some(Err(why)) => Err(FactError::Unreachable { host: host.clone(), why: why.clone() }),
            Some(Ok(seen)) => match seen.get(look) {
                Some(Ok(sight)) => Ok(sight),
                Some(Err(why)) => Err(unseen(why.clone())),
                None => Err(unseen(SightError::Failed("it was not asked for; this is a bug in otr".into()))),
            },
        }
    }

    /// Every sight of a host.
    pub fn all(&self, host: &HostName) -> impl Iterator<Item = (&Look, &Sight)> {
        let seen = self.hosts.get(host).and_then(|seen| seen.as_ref().ok());
        seen.into_iter().flatten().filter_map(|(look, sight)| Some((look, sight.as_ref().ok()?)))
    }

    question!(
        /// The machine itself.
        machine() -> Machine, Machine, Look::Machine
    );
    question!(
        /// What stands there.
        survey() -> Survey, Survey, Look::Survey
    );
    question!(
        /// What a machine has to give, asked for with this very look.
        vitals(look: &Look) -> Vitals, Vitals, look.clone()
    );
    question!(
        /// A tree of add-ons; `None` if nothing is there.
        addons(root: &Path) -> Option<AddonTree>, Addons, Look::Addons(root.to_owned())
    );
    question!(
        /// Debconf's answers to these questions.
        debconf(questions: &[String]) -> Answers, Debconf, Look::Debconf(questions.to_vec())
    );
    question!(
        /// Users and groups.
        accounts() -> Accounts, Accounts, Look::Accounts
    );
    question!(
        /// Debian packages.
        packages() -> Packages, Packages, Look::Packages
    );
    question!(
        /// What a NixOS is made of; `None` on any other system.
        nixos() -> Option<NixSystem>, Nixos, Look::Nixos
    );
    question!(
        /// What stands at a path.
        path(path: &Path) -> PathSight, Path, Look::Path(path.to_owned())
    );
    question!(
        /// A file's text.
        content(path: &Path) -> Option<Content>, Content, Look::Content(path.to_owned())
    );
    question!(
        /// The end of a record; `None` if there is none.
        record(path: &Path) -> Option<Record>, Record, Look::Record(path.to_owned())
    );
    question!(
        /// A file that holds a secret.
        secret_content(path: &Path) -> Option<Secret>, SecretContent, Look::SecretContent(path.to_owned())
    );
    question!(
        /// A file's SHA-256.
        digest(path: &Path) -> Option<String>, Digest, Look::Digest(path.to_owned())
    );
    question!(
        /// A unit.
        unit(unit: &UnitName) -> UnitSight, Unit, Look::Unit(unit.clone())
    );
    question!(
        /// Python modules.
        python(site: &Site) -> PythonSight, Python, Look::Python(site.clone())
    );
    question!(
        /// A PostgreSQL cluster on disk.
        cluster(cluster: &ClusterName) -> Option<Cluster>, Cluster, Look::Cluster(cluster.clone())
    );
    question!(
        /// A PostgreSQL server.
        server(cluster: &ClusterName) -> ServerSight, Server, Look::Server(cluster.clone())
    );
    question!(
        /// The files a database refers to.
        attachments(cluster: &ClusterName, database: &DatabaseName) -> Attachments, Attachments, Look::Attachments(cluster.clone(), database.clone())
    );
    question!(
        /// The files of a store.
        store(directory: &Path, stamp: &Path, hashed: Option<u32>) -> StoreListing, Store, Look::Store { directory: directory.to_owned(), stamp: stamp.to_owned(), hashed }
    );
    question!(
        /// Asset bundles without their files; `None` if the store's directory is absent.
        lost_bundles(cluster: &ClusterName, database: &DatabaseName, directory: &Path) -> Option<BTreeSet<String>>, LostBundles, Look::LostBundles { cluster: cluster.clone(), database: database.clone(), directory: directory.to_owned() }
    );
    question!(
        /// Which of some files of a store are there; `None` if its directory is absent.
        present(directory: &Path, names: &[String]) -> Option<BTreeSet<String>>, Present, Look::Present { directory: directory.to_owned(), names: names.to_vec() }
    );
    question!(
        /// The files of a tree.
        tree(directory: &Path) -> TreeListing, Tree, Look::Tree(directory.to_owned())
    );
    question!(
        /// The SHA-1 of each file of a tree.
        sums(directory: &Path) -> TreeSums, Sums, Look::Sums(directory.to_owned())
    );
    question!(
        /// A small tree with its contents.
        folder(root: &Path) -> Folder, Folder, Look::Folder(root.to_owned())
    );
    question!(
        /// What a run of apt would do.
        apt(run: &AptRun) -> AptSight, Apt, Look::Apt(run.clone())
    );
    question!(
        /// What a run of pip would bring.
        pip(run: &PipRun) -> PipSight, Pip, Look::Pip(run.clone())
    );
    question!(
        /// Where packages of these versions can be had.
        origins(packages: &[(String, String)]) -> BTreeMap<String, Origin>, Origins, Look::Origins(packages.to_vec())
    );
    question!(
        /// Ids, locales, time zone, kernel settings, limits.
        system() -> BTreeMap<String, String>, System, Look::System
    );
    question!(
        /// A Redis server.
        redis(config: &Path, port: u16) -> RedisSight, Redis, Look::Redis { config: config.to_owned(), port }
    );
    question!(
        /// An object store's address.
        bucket(url: &str) -> BucketSight, Bucket, Look::Bucket(url.to_owned())
    );
    question!(
        /// A Redis that otr does not set up.
        redis_elsewhere(at: &Elsewhere) -> ElsewhereSight, RedisElsewhere, Look::RedisElsewhere(at.clone())
    );
    question!(
        /// memcached.
        memcached(port: u16) -> MemcachedSight, Memcached, Look::Memcached(port)
    );
    question!(
        /// A sentinel.
        sentinel(port: u16, name: &str) -> SentinelSight, Sentinel, Look::Sentinel { port, name: name.to_owned() }
    );
    question!(
        /// The sessions of a store.
        sessions(place: &SessionPlace) -> SessionsSight, Sessions, Look::Sessions(place.clone())
    );
    question!(
        /// A mount point, asked for with this very look.
        mount(look: &Look) -> MountSight, Mount, look.clone()
    );
    question!(
        /// Odoo's login page.
        login_page(visit: &Visit) -> LoginPage, LoginPage, Look::LoginPage(visit.clone())
    );
    question!(
        /// Something of a drill's.
        drill(look: &DrillLook) -> DrillSight, Drill, Look::Drill(look.clone())
    );
    question!(
        /// Another machine's ports, asked from this one.
        life(ask: &Ask) -> PortAnswers, Life, Look::Life(ask.clone())
    );
    question!(
        /// Whether Odoo reads a text.
        odoo_reads(reading: &Reading) -> Read, OdooReads, Look::OdooReads(reading.clone())
    );
    question!(
        /// What a program of the spec's answers.
        answer(command: &CommandLine) -> Answer, Command, Look::Command(command.clone())
    );
}

/// Looks by host, from pairs.
pub fn by_host(pairs: impl IntoIterator<Item = (HostName, Look)>) -> BTreeMap<HostName, BTreeSet<Look>> {
    let mut hosts: BTreeMap<HostName, BTreeSet<Look>> = BTreeMap::new();
    for (host, look) in pairs {
        hosts.entry(host).or_default().insert(look);
    }
    hosts
}
