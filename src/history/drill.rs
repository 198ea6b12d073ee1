//! The record of drills: one line of JSON for each, kept on the standby.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::spec::Spec;

/// One drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drilled {
    /// When it ended, UTC.
    pub at: String,
    /// All databases worked.
    pub ok: bool,
    /// How long it took, seconds.
    pub seconds: f64,
    /// How long Odoo took from its start to its login page, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odoo_seconds: Option<f64>,
    /// The commit time of the newest transaction that it surely contained, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What the record says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drills {
    /// The last one.
    pub last: Drilled,
    /// When the last good one ended, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_succeeded: Option<String>,
}

impl Drilled {
    /// Where the record is.
    pub fn path(spec: &Spec) -> PathBuf {
        format!("/var/lib/otr/drill-{}.jsonl", spec.name).into()
    }
}

impl Drills {
    /// Reads a record. A line that broke off is no drill.
    pub fn read(record: &Record) -> Option<Self> {
        let drills: Vec<Drilled> = record.events().collect();
        let last_succeeded = drills.iter().rev().find(|drill| drill.ok).map(|drill| drill.at.clone());
        Some(Self { last: drills.into_iter().next_back()?, last_succeeded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        Record::of(text.as_bytes(), text.len() as u64)
    }

    #[test]
    fn the_last_good_drill_is_found() {
        let line = |at: &str, ok| format!("{{\"at\":\"{at}\",\"ok\":{ok},\"seconds\":9.5}}\n");
        let drills = Drills::read(&record(&(line("1", true) + &line("2", false) + "{\"at\":\"3\",\"ok\":tr"))).unwrap();
        assert_eq!((drills.last.at.as_str(), drills.last_succeeded.as_deref()), ("2", Some("1")));
        assert_eq!(Drills::read(&record("")), None);
    }
}
