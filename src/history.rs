//! The record of data copies: one line of JSON per run of `sync`, kept on the standby.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::spec::Spec;

pub mod drill;
pub mod pause;
pub mod promotion;

/// One run of `sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// When it ended, UTC.
    pub at: String,
    /// Everything was copied and verified.
    pub ok: bool,
    /// What was to be copied; everything if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
}

/// When one kind of copy ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// `data`, `filestore`, `sessions`, `scrub`, `follow`.
    pub what: String,
    /// When it last ended, UTC.
    pub last_ran: String,
    /// When it last ended well, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_succeeded: Option<String>,
}

impl Copied {
    /// Where the record is.
    pub fn path(spec: &Spec) -> PathBuf {
        format!("/var/lib/otr/sync-{}.jsonl", spec.name).into()
    }

    /// When the last good run ended that copied files. A line that broke off is no run.
    pub fn last_good(record: &Record) -> Option<String> {
        let files = |copied: &Copied| copied.ok && copied.what.as_deref() != Some("sessions");
        record.events::<Copied>().rev().find(files).map(|copied| copied.at)
    }

    /// When each kind of copy last ran, and last went well.
    pub fn runs(record: &Record) -> Vec<Ran> {
        let mut runs: Vec<Ran> = Vec::new();
        for copied in record.events::<Copied>() {
            let what = copied.what.unwrap_or_else(|| "data".into());
            let ran = match runs.iter_mut().find(|ran| ran.what == what) {
                Some(ran) => ran,
                None => {
                    runs.push(Ran { what, last_ran: String::new(), last_succeeded: None });
                    let Some(last) = runs.last_mut() else { continue };
                    last
                }
            };
            ran.last_ran.clone_from(&copied.at);
            if copied.ok {
                ran.last_succeeded = Some(copied.at);
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_run_is_found() {
        let read = |text: &str| Record::of(text.as_bytes(), text.len() as u64);
        let record = "{\"at\":\"1\",\"ok\":true}\n{\"at\":\"2\",\"ok\":true}\n{\"at\":\"3\",\"ok\":false}\n{\"at\":\"4";
        assert_eq!(Copied::last_good(&read(record)).as_deref(), Some("2"));
        assert_eq!(Copied::last_good(&read("")), None);
        let record = read(&record.replace("\n{\"at\":\"4", "\n{\"at\":\"5\",\"ok\":true,\"what\":\"sessions\"}"));
        assert_eq!(Copied::last_good(&record).as_deref(), Some("2"));
        let runs: Vec<_> = Copied::runs(&record).into_iter().map(|ran| (ran.what, ran.last_ran, ran.last_succeeded)).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(runs, [("data".into(), "3".into(), some("2")), ("sessions".into(), "5".into(), some("5"))]);
    }
}
