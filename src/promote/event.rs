//! What the lines of a journal hold.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::loss::{Lost, Position};
use super::rejoin::Parting;
use super::smoke::Smoke;
use super::{HookReport, Verb};
use crate::name::HostName;

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A promotion begins.
    Begin(Begin),
    /// One that was cut off or failed goes on.
    Again {
        /// When.
        at: String,
        /// Who.
        by: String,
        /// Whom a person stated to be down.
        #[serde(default)]
        stated_down: Option<HostName>,
    },
    /// A step begins.
    Step {
        /// When.
        at: String,
        /// Which.
        step: String,
    },
    /// A step ended.
    StepEnded(StepEnded),
    /// It failed early enough, and the old production was put back into service.
    PutBack {
        /// When.
        at: String,
        /// Whether it was.
        done: bool,
        /// What went wrong.
        #[serde(default)]
        error: Option<String>,
        /// Programs of the spec's.
        #[serde(default)]
        hooks: Vec<HookReport>,
    },
    /// What a run found at its end.
    Found {
        /// When.
        at: String,
        /// What.
        #[serde(flatten)]
        found: Box<Found>,
    },
    /// A person's note.
    Note {
        /// When.
        at: String,
        /// Who.
        by: String,
        /// What.
        text: String,
        /// The line of the checklist that is done.
        #[serde(default)]
        done: Option<u8>,
    },
    /// All is complete.
    End {
        /// When.
        at: String,
    },
}

/// What is known when a promotion begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// When.
    pub at: String,
    /// `promote`, `switchover` or `rejoin`.
    #[serde(default = "promote")]
    pub verb: String,
    /// Who becomes production.
    pub host: HostName,
    /// Who was.
    pub old: HostName,
    /// The timeline before.
    pub left_timeline: u32,
    /// Whom a person stated to be down.
    pub stated_down: Option<HostName>,
    /// Where the data stood.
    pub before: Option<Position>,
    /// Who began it.
    #[serde(default)]
    pub by: Option<String>,
}

/// How a step ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepEnded {
    /// When.
    pub at: String,
    /// Which.
    pub step: String,
    /// How.
    pub outcome: String,
    /// How long it took.
    #[serde(default)]
    pub seconds: f64,
    /// What was done.
    #[serde(default)]
    pub done: Vec<String>,
    /// Programs of the spec's.
    #[serde(default)]
    pub hooks: Vec<HookReport>,
    /// What failed though the step holds.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What was seen.
    #[serde(default)]
    pub seen: Option<String>,
    /// What went wrong.
    #[serde(default)]
    pub error: Option<String>,
}

/// What a run found at its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What was lost.
    #[serde(default)]
    pub lost: Option<Lost>,
    /// What Odoo answered.
    #[serde(default)]
    pub smoke: Option<Smoke>,
    /// How long nobody could work, seconds.
    #[serde(default)]
    pub downtime: Option<f64>,
    /// A rejoin's decision.
    #[serde(default)]
    pub rejoin: Option<Parting>,
}

/// A list that lies in a file of its own beside the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// Where, on the journal's host.
    pub path: PathBuf,
    /// How many lines it has.
    pub lines: usize,
}

fn promote() -> String {
    Verb::Promote.as_str().into()
}
