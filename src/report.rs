//! The report: what a run saw, did and left, as one value. Rendered elsewhere.
//!
//! Built as the run goes and returned on failure too. Holds no secret: differences and titles
//! are made without them.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::name::HostName;
use crate::plan::{Item, Plan, Verdict};
use crate::resource::{Difference, Kind, ResourceId};

pub mod ansible;
pub mod compare;
pub mod drill;
pub mod incident;
pub mod init;
pub mod junit;
pub mod markdown;
pub mod promotion;
pub mod sessions;
pub mod status;
pub mod text;
pub mod visible;

/// What a run saw, did and left.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// The number of this format. Fields are only ever added to a format.
    pub format: u32,
    /// The verb that made it.
    pub verb: &'static str,
    /// The spec's name.
    pub spec: String,
    /// The hosts.
    pub hosts: Vec<HostReport>,
    /// The resources, in the order of work.
    pub resources: Vec<ResourceReport>,
    /// Counts of states and outcomes.
    pub summary: Summary,
    /// Something was changed, or (for a plan) would be.
    pub changed: bool,
    /// Two hosts take writes; a note names them.
    pub split_brain: bool,
    /// The spec is older than a promotion; the notes say which.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale_spec: bool,
    /// What a person should know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostReport {
    /// Its name.
    pub host: HostName,
    /// Its role.
    pub role: &'static str,
    /// Its address in the spec.
    pub address: String,
    /// otr may only look.
    pub observed: bool,
    /// Why it gave no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a resource stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "as in plan::Verdict")]
pub enum State {
    Holds,
    Change,
    Waits,
    Refused,
    Unseen,
}

/// What became of a resource that had to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was changed and holds now.
    Changed,
    /// An action failed, or it did not help.
    Failed,
    /// Nothing was tried: something before it did not hold.
    NotReached,
    /// All was done but what interrupts users of production, which nobody agreed to.
    Left,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ResourceReport {
    /// Where.
    pub host: HostName,
    /// What kind.
    pub kind: Kind,
    /// Which.
    pub name: String,
    /// How it stands at the end.
    pub state: State,
    /// What became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// How it differed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What was or would be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionReport>,
    /// What it waits for, or comes after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The error is that no attempt helped: each was done, and it differs again.
    #[serde(skip)]
    pub still_differs: bool,
    /// Data that is lost by it, which needs consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discards: Option<String>,
    /// What interrupts users of production by it or right after it, why, and for how long; it needs consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interruption: Option<String>,
    /// Who else makes it so; otr changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_to: Option<String>,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ActionReport {
    /// In a few words.
    pub title: String,
    /// The commands an admin of an observed host would run; secrets left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commands: Option<String>,
    /// Users of a running Odoo notice it.
    pub interrupts: bool,
}

/// Counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "as State and Outcome")]
pub struct Summary {
    pub holds: usize,
    pub change: usize,
    pub waits: usize,
    pub refused: usize,
    pub unseen: usize,
    pub changed: usize,
    pub failed: usize,
    pub not_reached: usize,
    pub left: usize,
}

impl ResourceReport {
    /// The report of a resource nothing was done about.
    pub fn new(item: &Item, observed: bool) -> Self {
        let ResourceId { host, kind, name } = item.id.clone();
        let mut report = Self {
            host,
            kind,
            name,
            state: State::Holds,
            outcome: None,
            differences: Vec::new(),
            actions: Vec::new(),
            on: None,
            error: None,
            still_differs: false,
            discards: None,
            interruption: None,
            left_to: None,
        };
        match &item.verdict {
            Verdict::Holds => {}
            Verdict::Change(change) => {
                report.state = State::Change;
                report.differences = change.differences.clone();
                report.discards = change.discards.clone();
                report.interruption = change.interruption.clone();
                report.left_to = change.left_to.clone();
                report.actions = change
                    .actions
                    .iter()
                    .map(|action| ActionReport {
                        title: action.title(),
                        commands: observed.then(|| crate::action::script::shown(action)),
                        interrupts: action.interrupts(),
                    })
                    .collect();
            }
            Verdict::Waits { on, .. } => {
                report.state = State::Waits;
                report.on = Some(on.clone());
            }
            Verdict::Refused(why) => {
                report.state = State::Refused;
                report.error = Some(why.clone());
            }
            Verdict::Unseen(why) => {
                report.state = State::Unseen;
                report.error = Some(why.clone());
            }
        }
        report
    }

    /// Its name.
    pub fn id(&self) -> ResourceId {
        ResourceId { host: self.host.clone(), kind: self.kind, name: self.name.clone() }
    }
}

/// Counts states and outcomes.
pub fn summary(resources: &[ResourceReport]) -> Summary {
    let mut summary = Summary::default();
    for resource in resources {
        match resource.state {
            State::Holds => summary.holds += 1,
            State::Change => summary.change += 1,
            State::Waits => summary.waits += 1,
            State::Refused => summary.refused += 1,
            State::Unseen => summary.unseen += 1,
        }
        match resource.outcome {
            Some(Outcome::Changed) => summary.changed += 1,
            Some(Outcome::Failed) => summary.failed += 1,
            Some(Outcome::NotReached) => summary.not_reached += 1,
            Some(Outcome::Left) => summary.left += 1,
            None => {}
        }
    }
    summary
}

/// The resources of a plan nothing was done about, each with what comes before it.
pub fn of_plan(plan: &Plan, observed: &BTreeMap<HostName, bool>) -> Vec<ResourceReport> {
    let open: BTreeSet<&ResourceId> = plan.items.iter().filter(|item| !item.is_settled()).map(|item| &item.id).collect();
    plan.items
        .iter()
        .map(|item| {
            let mut report = ResourceReport::new(item, observed.get(&item.id.host).copied().unwrap_or(false));
            if report.state == State::Change {
                report.on = item.needs.iter().find(|need| open.contains(need)).map(ToString::to_string);
            }
            report
        })
        .collect()
}
