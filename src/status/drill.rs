//! When a standby's drill last went well, and what one left. Pure.

use serde::Serialize;

use crate::facts::Facts;
use crate::history::drill::{Drilled, Drills};
use crate::look::Look;
use crate::look::drill::{PLACE, UNIT};
use crate::name::HostName;
use crate::spec::Spec;

/// Drills of a standby.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct DrillStatus {
    /// When the last one ended, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ran: Option<String>,
    /// When the last good one ended, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_succeeded: Option<String>,
    /// How long Odoo took from its start to its login page in the last one, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub odoo_seconds: Option<f64>,
    /// Why the last one failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// One is under way.
    pub under_way: bool,
    /// One that was cut off left its copy.
    pub leftovers: bool,
}

pub(super) fn looks(spec: &Spec) -> Vec<Look> {
    let unit = UNIT.parse().ok().map(Look::Unit);
    [Look::Record(Drilled::path(spec)), Look::Path(PLACE.into())].into_iter().chain(unit).collect()
}

/// Nothing where there is nothing to say. It blocks no promotion, and neither does that it was not seen.
pub(super) fn drill_status(spec: &Spec, facts: &Facts, host: &HostName) -> Option<DrillStatus> {
    let record = facts.record(host, &Drilled::path(spec)).ok().and_then(|record| Drills::read(record.as_ref()?));
    let under_way = UNIT.parse().ok().is_some_and(|unit| facts.unit(host, &unit).is_ok_and(|unit| unit.active));
    let there = facts.path(host, PLACE.as_ref()).is_ok_and(Option::is_some);
    let mut status = DrillStatus { under_way, leftovers: there && !under_way, ..DrillStatus::default() };
    if let Some(drills) = record {
        status.last_succeeded = drills.last_succeeded;
        status.odoo_seconds = drills.last.odoo_seconds;
        status.error = drills.last.error;
        status.last_ran = Some(drills.last.at);
    }
    (status != DrillStatus::default()).then_some(status)
}
