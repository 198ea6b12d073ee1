//! The record of data copies: one line of JSON per run of `sync`, kept on the standby.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::spec::Spec;

/// One run of `sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// When it ended, UTC.
    pub at: String,
    /// Everything was copied and verified.
    pub ok: bool,
}

impl Copied {
    /// Where the record is.
    pub fn path(spec: &Spec) -> PathBuf {
        format!("/var/lib/otr/sync-{}.jsonl", spec.name).into()
    }

    /// When the last good run ended. A line that broke off is no run.
    pub fn last_good(record: &str) -> Option<String> {
        record.lines().rev().filter_map(|line| serde_json::from_str::<Copied>(line).ok()).find(|copied| copied.ok).map(|copied| copied.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_run_is_found() {
        let record = "{\"at\":\"1\",\"ok\":true}\n{\"at\":\"2\",\"ok\":true}\n{\"at\":\"3\",\"ok\":false}\n{\"at\":\"4";
        assert_eq!(Copied::last_good(record).as_deref(), Some("2"));
        assert_eq!(Copied::last_good(""), None);
    }
}
