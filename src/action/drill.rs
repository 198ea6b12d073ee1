//! What a drill does to a standby: a copy of its cluster and an Odoo on it, both shut in, and both
//! thrown away. All that runs is transient units bound to one, which ends with the shell that
//! began it: a drill that is killed, cut off or interrupted by a promotion clears up by itself.

use std::path::PathBuf;

use serde::Serialize;

use crate::look::ClusterName;
pub use crate::look::drill::{PLACE, UNIT};
use crate::name::{DatabaseName, Word};
use crate::secret::{REDACTED, Text};

mod neutral;
mod script;

/// Odoo's.
pub const ODOO: &str = "otr-drill-odoo.service";
/// What a drill says that finds another one.
pub const BUSY: &str = "another drill is under way";
/// Where Odoo answers, in a network of its own.
pub const PORT: u16 = 8069;

/// One thing done for a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillAction {
    /// Clear what a power cut left, and make the place.
    Begin {
        /// Who runs Odoo.
        user: Word,
    },
    /// Copy the cluster from its own socket.
    Copy {
        /// Which.
        cluster: ClusterName,
    },
    /// Start the copy on a socket of its own, and wait until it takes writes.
    Recover {
        /// Of which cluster.
        cluster: ClusterName,
    },
    /// Turn off what acts by itself or holds a key, in the copy.
    Neutralise {
        /// Of which cluster.
        cluster: ClusterName,
        /// Which database.
        database: DatabaseName,
    },
    /// Start Odoo on the copy, without a network.
    StartOdoo(Box<DrilledOdoo>),
    /// Stop all and throw the place away.
    End,
}

/// The Odoo of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrilledOdoo {
    /// Who runs it.
    pub user: Word,
    /// Its program, and what stands before its options.
    pub program: Vec<String>,
    /// Its odoo.conf.
    pub config: Text,
    /// Its environment: the spec's for drills, and no other. In the form of systemd's `EnvironmentFile=`.
    pub environment: Text,
    /// Odoo's real `data_dir/filestore`: read through an overlay that nothing passes.
    pub filestore: PathBuf,
    /// The databases.
    pub databases: Vec<DatabaseName>,
    /// Files it must not even read: the real odoo.conf.
    pub hidden: Vec<PathBuf>,
}

impl DrillAction {
    /// What it does, in a few words.
    pub fn title(&self) -> String {
        match self {
            Self::Begin { .. } => format!("make the drill's place {PLACE}"),
            Self::Copy { cluster } => format!("copy PostgreSQL {cluster} into {PLACE}"),
            Self::Recover { .. } => "recover the copy".into(),
            Self::Neutralise { database, .. } => format!("neutralise the copy of {database}"),
            Self::StartOdoo(_) => "start Odoo on the copy, without a network".into(),
            Self::End => "throw the drill's place away".into(),
        }
    }

    /// The same without its secrets.
    pub(super) fn shown(&self) -> Self {
        match self {
            Self::StartOdoo(odoo) => {
                Self::StartOdoo(Box::new(DrilledOdoo { config: REDACTED.into(), environment: REDACTED.into(), ..(**odoo).clone() }))
            }
            other => other.clone(),
        }
    }

    /// As POSIX shell.
    pub(super) fn script(&self) -> String {
        match self {
            Self::Begin { user } => script::begin(user),
            Self::Copy { cluster } => script::copy(cluster),
            Self::Recover { cluster } => script::recover(cluster),
            Self::Neutralise { cluster, database } => script::neutralise(cluster, database),
            Self::StartOdoo(odoo) => script::odoo(odoo),
            Self::End => script::end(),
        }
    }
}

/// How a script talks to the copy; its cluster says which client.
pub(crate) fn psql(database: &str) -> String {
    format!("runuser -u postgres -- psql -X -q -A -t -v ON_ERROR_STOP=1 -h {PLACE}/socket -p 5432 -d {}", crate::look::quote(database))
}
