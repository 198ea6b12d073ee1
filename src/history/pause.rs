//! The record of pauses: one line of JSON for each pause and each resume, kept on the standby.
//! The last one counts, and a pause no longer than it was asked for.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::spec::Spec;

/// A time in which the scheduled runs rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// When it began, UTC, by the standby's clock.
    pub at: String,
    /// When it ends by itself, UTC, by the standby's clock.
    pub until: String,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What stands in the record where a pause was ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Resume {
    at: String,
    by: String,
    resumed: bool,
}

/// A line of the record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A pause begins.
    Pause(Pause),
    /// It ends.
    Resume(Resume),
}

impl Pause {
    /// Where the record is.
    pub fn path(spec: &Spec) -> PathBuf {
        format!("/var/lib/otr/pause-{}.jsonl", spec.name).into()
    }

    /// A pause that begins at `now`, seconds since the epoch.
    pub fn begin(now: f64, span: Duration, by: &str, reason: &str) -> Self {
        Self { at: moment(now), until: moment(now + span.as_secs_f64()), by: by.into(), reason: reason.into() }
    }

    /// The line that ends one.
    pub fn resume(now: f64, by: &str) -> Option<String> {
        serde_json::to_string(&Line::Resume(Resume { at: moment(now), by: by.into(), resumed: true })).ok()
    }

    /// The line that begins it.
    pub fn line(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// The pause that is on at `now`. A line that broke off says nothing.
    pub fn active(record: &Record, now: f64) -> Option<Self> {
        match record.events().next_back()? {
            Line::Pause(pause) => {
                let until = humantime::parse_rfc3339(&pause.until).ok()?.duration_since(UNIX_EPOCH).ok()?;
                (now < until.as_secs_f64()).then_some(pause)
            }
            Line::Resume(_) => None,
        }
    }

    /// Until when, by whom and why.
    pub fn words(&self) -> String {
        format!("paused until {} by {}: {}", self.until, self.by, self.reason)
    }
}

fn moment(seconds: f64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs_f64(seconds.max(0.0))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(text: &str, now: f64) -> Option<Pause> {
        Pause::active(&Record::of(text.as_bytes(), text.len() as u64), now)
    }

    #[test]
    fn the_last_line_counts_until_its_time_is_over() {
        let pause = Pause::begin(1000.0, Duration::from_secs(60), "ann on erp2", "a \"new\" disk");
        assert_eq!(pause.words(), "paused until 1970-01-01T00:17:40Z by ann on erp2: a \"new\" disk");
        let on = format!("{}\n", pause.line().unwrap());
        assert_eq!(active(&on, 1059.0).as_ref(), Some(&pause));
        assert_eq!(active(&on, 1060.0), None, "it ends by itself");
        let off = format!("{on}{}\n", Pause::resume(1010.0, "bob").unwrap());
        assert_eq!(active(&off, 1020.0), None);
        assert_eq!(active(&format!("{off}{on}"), 1020.0).as_ref(), Some(&pause), "paused again");
        assert_eq!(active(&format!("{on}{{\"at\":\"19"), 1020.0), Some(pause));
        assert_eq!(active("", 0.0), None);
    }
}
