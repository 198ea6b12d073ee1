//! Keeping a store: the request to the otr on a standby, and what came of it. How it is done
//! is [`crate::filestore`]'s business.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::look::ClusterName;
use crate::name::{DatabaseName, Word};

/// Make a standby's store hold every file that is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// Whose store.
    pub database: DatabaseName,
    /// Who says what is needed.
    pub needed: Needed,
    /// `data_dir/filestore/<database>`, the same on both hosts.
    pub directory: PathBuf,
    /// The file system of the spec that the store lies on: without it nothing is touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<PathBuf>,
    /// Who owns the files.
    pub owner: Word,
    /// Where otr keeps its own state on the standby.
    pub state: PathBuf,
    /// Files that were seen damaged or with a wrong owner: hashed, corrected or quarantined.
    #[serde(default)]
    pub suspects: Vec<String>,
    /// What may be deleted; nothing if absent.
    #[serde(default)]
    pub deletes: Option<Deletes>,
    /// Hash this share of the store.
    #[serde(default)]
    pub scrub: Option<Share>,
    /// Set its time to this, if all is well in the end: up to then the store is verified.
    #[serde(default)]
    pub stamp: Option<(PathBuf, String)>,
    /// The file whose time says so: a run that scrubs or copies much hashes what is younger, and
    /// renews it, so that a look need not hash it again.
    #[serde(default)]
    pub verified: Option<PathBuf>,
}

/// Who says which files are needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Needed {
    /// The standby's own replica.
    Database(ClusterName),
    /// Production's directory entries: there is no database to ask.
    Listing,
}

/// A share, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share(pub u32);

impl Share {
    /// So many percent.
    pub fn percent(percent: f64) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and bounded by the line itself")]
        Self((percent.clamp(0.0, 100.0) * 100.0).round() as u32)
    }

    /// The share of a count, rounded down.
    pub fn of(self, count: u64) -> u64 {
        u64::try_from(u128::from(count) * u128::from(self.0) / 10_000).unwrap_or(count)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 100.0)
    }
}

/// The limits of deleting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletes {
    /// How long a file stays after the database forgot it, seconds.
    pub keep: u64,
    /// The most one run may delete, as a share of the store.
    pub share: Share,
    /// The most one run may delete, in files.
    pub files: u64,
    /// A person allowed so many, whatever the limits say.
    pub allowed: Option<u64>,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moved {
    /// Files that came.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were asked for.
    pub of_files: u64,
    /// Their bytes as the database says; 0 if it does not.
    pub of_bytes: u64,
}

/// What came of keeping a store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kept {
    /// Files that are needed.
    pub needed: u64,
    /// Files that lay there before.
    pub had: u64,
    /// Files that were fetched, each verified.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Left out: on production too their SHA-1 is not their name.
    pub damaged: Vec<String>,
    /// Needed, and production does not have them or cannot read them.
    pub absent: Vec<String>,
    /// Rows whose `store_fname` is no name of a filestore file.
    pub foreign: Vec<String>,
    /// Files whose owner or mode was corrected.
    pub corrected: u64,
    /// Files that were damaged here and moved to `.otr-quarantine`.
    pub quarantined: Vec<String>,
    /// Files that were hashed because somebody asked.
    pub scrubbed: u64,
    /// Files that no row refers to any more.
    pub forgotten: u64,
    /// Of these, deleted.
    pub deleted: u64,
    /// Files that were removed from `.otr-quarantine`.
    #[serde(default)]
    pub discarded: u64,
    /// Why the run is no success.
    pub problems: Vec<String>,
    /// Some needed files that are here: production must have them too.
    pub sample: Vec<String>,
}

impl Kept {
    /// Why it is no success, if it is none.
    pub fn complaint(&self) -> Option<String> {
        let mut problems = self.problems.clone();
        if !self.damaged.is_empty() {
            problems.push(format!(
                "{} files came damaged (their SHA-1 is not their name) and were left out; {} are in place. Damaged on production: {}",
                self.damaged.len(),
                self.files,
                few(&self.damaged)
            ));
        }
        if !self.foreign.is_empty() {
            problems.push(format!("rows of ir_attachment with a store_fname that is no filestore name: {}", few(&self.foreign)));
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    /// What a person should know though it is no failure.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.absent.is_empty() {
            notes.push(format!("{} files are missing on production too: {}", self.absent.len(), few(&self.absent)));
        }
        if !self.quarantined.is_empty() {
            notes.push(format!("{} damaged files were quarantined: {}", self.quarantined.len(), few(&self.quarantined)));
        }
        if self.corrected > 0 {
            notes.push(format!("the owner or mode of {} files was corrected", self.corrected));
        }
        if self.deleted > 0 {
            notes.push(format!("{} files that the database forgot were deleted", self.deleted));
        }
        if self.discarded > 0 {
            notes.push(format!("{} damaged files left the quarantine: they are whole again, or needed no more", self.discarded));
        }
        if self.scrubbed > 0 {
            notes.push(format!("{} files were hashed", self.scrubbed));
        }
        notes
    }
}

fn few(names: &[String]) -> String {
    let more = names.len().saturating_sub(5);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.iter().take(5).cloned().collect::<Vec<_>>().join(", ") + &more
}
