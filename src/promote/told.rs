//! What a promotion, switchover or rejoin tells: one report, built as the run goes.

use serde::{Deserialize, Serialize};

use super::loss::Lost;
use super::rejoin;
use super::smoke::Smoke;
use crate::name::HostName;

/// What a promotion, switchover or rejoin did, step by step, and what was lost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromoteReport {
    /// The number of this format.
    pub format: u32,
    /// `promote`, `switchover` or `rejoin`.
    pub verb: &'static str,
    /// The spec's name.
    pub spec: String,
    /// Who became production.
    pub host: HostName,
    /// Who was.
    pub old_production: HostName,
    /// The steps in order.
    pub steps: Vec<StepReport>,
    /// What was lost, as far as it could be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// What Odoo answered at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoke: Option<Smoke>,
    /// What a person has to do now.
    pub next: Vec<String>,
    /// How long nobody could work, seconds: from Odoo's stop to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime: Option<f64>,
    /// A rejoin's decision and what it discards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejoin: Option<rejoin::Parting>,
    /// Every step succeeded, and `host` is production.
    pub promoted: bool,
    /// Nothing was changed: this is what would happen.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// Its word.
    pub step: &'static str,
    /// A sentence about it.
    pub about: &'static str,
    /// What became of it.
    pub outcome: StepOutcome,
    /// How long it took.
    pub seconds: f64,
    /// What was done; in a dry run what would be, as far as it can be seen from here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<String>,
    /// Programs of the spec's that ran before or after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookReport>,
    /// What failed though the step holds all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What was seen, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl StepReport {
    pub(crate) fn new(step: &'static str, about: &'static str, outcome: StepOutcome) -> Self {
        Self { step, about, outcome, seconds: 0.0, done: Vec::new(), hooks: Vec::new(), warnings: Vec::new(), seen: None, error: None }
    }

    /// Says something besides what was seen.
    pub(super) fn add(&mut self, said: &str) {
        self.seen = Some(self.seen.take().map_or_else(|| said.to_owned(), |seen| format!("{seen} ({said})")));
    }
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepOutcome {
    /// It holds.
    Done,
    /// It would be done.
    Planned,
    /// It failed; nothing after it was tried.
    Failed,
    /// It was not tried.
    NotReached,
}

impl StepOutcome {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            StepOutcome::Done => "done",
            StepOutcome::Planned => "planned",
            StepOutcome::Failed => "failed",
            StepOutcome::NotReached => "not-reached",
        }
    }
}

/// One program of the spec's that ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookReport {
    /// `before` or `after`.
    pub when: String,
    /// Where.
    pub on: HostName,
    /// Program and arguments.
    pub run: String,
    /// What became of it.
    pub outcome: HookOutcome,
    /// How long it took.
    pub seconds: f64,
    /// What went wrong, or why it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookOutcome {
    /// It ended with 0.
    Done,
    /// It would run.
    Planned,
    /// It failed.
    Failed,
    /// Its host cannot be reached, or may not be changed.
    LeftOut,
}
