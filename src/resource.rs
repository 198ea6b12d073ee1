//! Resources: one thing that must be true on one host, and the pure decision about it.
//!
//! No resource does I/O. Each kind is one file here.

pub mod addons;
pub mod bucket;
pub mod debconf;
pub mod elsewhere;
pub mod epoch;
pub mod file;
pub mod filestore;
pub mod folder;
pub mod guard;
pub mod idle;
pub mod mount;
pub mod odoo_conf;
pub mod own_spec;
pub mod packages;
pub mod pip;
pub mod postgres;
pub mod program;
pub mod promotion;
pub mod redis;
pub mod rejoin;
pub mod rest;
pub mod session;
pub mod sources;
pub mod switchover;
pub mod system;
pub mod unit;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;

use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::name::HostName;
use crate::secret::Secret;

/// What kind of thing a resource is. The word stands in reports and after `--only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words are their own explanation")]
pub enum Kind {
    Sources,
    Debconf,
    Packages,
    Pip,
    File,
    Directory,
    Mount,
    OdooConf,
    Clone,
    System,
    Unit,
    Postgresql,
    Replication,
    Slot,
    Role,
    Standby,
    Redis,
    Sentinel,
    Filestore,
    Addons,
    Sessions,
    SessionModule,
    Promotion,
    Epoch,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 24] = [
        Kind::Sources,
        Kind::Debconf,
        Kind::Packages,
        Kind::Pip,
        Kind::File,
        Kind::Directory,
        Kind::Mount,
        Kind::OdooConf,
        Kind::Clone,
        Kind::System,
        Kind::Unit,
        Kind::Postgresql,
        Kind::Replication,
        Kind::Slot,
        Kind::Role,
        Kind::Standby,
        Kind::Redis,
        Kind::Sentinel,
        Kind::Filestore,
        Kind::Addons,
        Kind::Sessions,
        Kind::SessionModule,
        Kind::Promotion,
        Kind::Epoch,
    ];
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Sources => "sources",
            Kind::Debconf => "debconf",
            Kind::Packages => "packages",
            Kind::Pip => "pip",
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Mount => "mount",
            Kind::OdooConf => "odoo-conf",
            Kind::Clone => "clone",
            Kind::System => "system",
            Kind::Unit => "unit",
            Kind::Postgresql => "postgresql",
            Kind::Replication => "replication",
            Kind::Slot => "slot",
            Kind::Role => "role",
            Kind::Standby => "standby",
            Kind::Redis => "redis",
            Kind::Sentinel => "sentinel",
            Kind::Filestore => "filestore",
            Kind::Addons => "addons",
            Kind::Sessions => "sessions",
            Kind::SessionModule => "session-module",
            Kind::Promotion => "promotion",
            Kind::Epoch => "epoch",
        }
    }
}

/// Names a resource: host, kind, and a name that is unique among its kind there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ResourceId {
    /// Where.
    pub host: HostName,
    /// What.
    pub kind: Kind,
    /// Which.
    pub name: String,
}

impl ResourceId {
    /// A name for a resource.
    pub fn new(host: &HostName, kind: Kind, name: impl Into<String>) -> Self {
        Self { host: host.clone(), kind, name: name.into() }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.host, self.kind.as_str(), self.name)
    }
}

/// A value as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// Nothing is there, or nothing is wanted.
    Absent,
    /// This text.
    Text(String),
    /// Something that is not shown.
    Sensitive,
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Shown::Text(text.to_owned())
    }
}
impl From<String> for Shown {
    fn from(text: String) -> Self {
        Shown::Text(text)
    }
}
impl From<Option<String>> for Shown {
    fn from(text: Option<String>) -> Self {
        text.map_or(Shown::Absent, Shown::Text)
    }
}

/// How one aspect of a thing differs from what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// The aspect: an option's name, `mode`, `version of odoo-14`.
    pub what: String,
    /// How it is.
    pub is: Shown,
    /// How it must be.
    pub wanted: Shown,
}

impl Difference {
    /// A difference that may be shown.
    pub fn new(what: impl Into<String>, is: impl Into<Shown>, wanted: impl Into<Shown>) -> Self {
        Self { what: what.into(), is: is.into(), wanted: wanted.into() }
    }
}

/// What to do about a difference.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Change {
    /// How the host differs.
    pub differences: Vec<Difference>,
    /// What removes the differences, in order.
    pub actions: Vec<Action>,
    /// Data that is replaced by it and would be missed, in words; such a change needs consent.
    pub discards: Option<String>,
    /// What the next look will ask for once this is done, as far as it is known.
    pub foreseen: Vec<Action>,
    /// What interrupts the users of a live production, in words; such an action needs consent.
    pub interruption: Option<String>,
    /// Who else makes it so, in words: otr shows such a difference, and never acts on it.
    pub left_to: Option<String>,
}

/// A resource's verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is as it must be.
    Holds,
    /// It is not, and this makes it so.
    Change(Change),
    /// It cannot be known or done before something else.
    Waits {
        /// What it waits for, in words.
        on: String,
        /// That happens by itself after a while, without an action of otr.
        by_itself: bool,
    },
}

impl Decision {
    /// Waits for another resource's change.
    pub fn waits(on: impl Into<String>) -> Self {
        Decision::Waits { on: on.into(), by_itself: false }
    }
    /// Waits for something that happens by itself.
    pub fn settles(on: impl Into<String>) -> Self {
        Decision::Waits { on: on.into(), by_itself: true }
    }
    /// Holds if nothing differs, else changes.
    pub fn from_parts(differences: Vec<Difference>, actions: Vec<Action>) -> Self {
        if differences.is_empty() { Decision::Holds } else { Decision::Change(Change { differences, actions, ..Change::default() }) }
    }
}

/// One thing that must be true on one host.
pub trait Resource: fmt::Debug + Send + Sync {
    /// Its name.
    fn id(&self) -> ResourceId;
    /// What it must see; it may ask about another host too.
    fn looks(&self) -> Vec<(HostName, Look)>;
    /// What it must see besides, which only what was seen can say: a second trip, asked for where something differs.
    fn further(&self, _: &Facts) -> Vec<(HostName, Look)> {
        Vec::new()
    }
    /// Compares what was seen with what must be.
    ///
    /// # Errors
    /// Something was not seen, so nothing can be decided; or what was seen forbids the wish.
    fn decide(&self, facts: &Facts) -> Result<Decision, FactError>;
}

/// A resource, and those that must hold before it is changed.
#[derive(Debug)]
pub struct Wanted {
    /// The resource.
    pub resource: Box<dyn Resource>,
    /// Its change waits for these.
    pub needs: Vec<ResourceId>,
}

/// The text of bytes that came in base64; `None` if they are no text.
pub(crate) fn text_of(encoded: &Secret) -> Option<Secret> {
    let bytes = STANDARD.decode(encoded.expose()).ok()?;
    String::from_utf8(bytes).ok().map(Secret::new)
}
