//! Interruptions: restarts on production that users feel. Each is a line of the plan, and needs consent. Pure.
//!
//! A restart often follows what is written first: a file that a service reads is newer afterwards. That is foreseen
//! by deciding once more from facts in which the file was written.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Plan, Verdict, verdict};
use crate::action::{Action, UnitVerb};
use crate::facts::Facts;
use crate::look::Look;
use crate::name::HostName;
use crate::resource::{Change, Kind, Wanted};
use crate::spec::Spec;

/// Whether users work on production now: Odoo runs there, or cannot be seen.
pub fn is_live(spec: &Spec, facts: &Facts) -> bool {
    spec.odoo.as_ref().is_none_or(|odoo| facts.unit(&spec.production, &odoo.unit).map_or(true, |unit| unit.active))
}

/// Whether now is a time in which interruptions are expected.
pub fn in_window(spec: &Spec, facts: &Facts) -> bool {
    let (Some(maintenance), Ok(machine)) = (&spec.maintenance, facts.machine(&spec.production)) else { return false };
    maintenance.window.contains(machine.now, machine.ahead)
}

/// A plan that says what interrupts the users of a live production.
pub fn planned(wanted: &[Wanted], spec: &Spec, facts: &Facts) -> Plan {
    let mut plan = Plan::make(wanted, facts);
    if is_live(spec, facts) {
        mark(&mut plan, wanted, spec, facts);
    }
    plan
}

/// Says of each change on a live production what interrupts its users.
pub fn mark<'a>(plan: &mut Plan, wanted: impl IntoIterator<Item = &'a Wanted>, spec: &Spec, facts: &Facts) {
    let production = &spec.production;
    let services: Vec<&Wanted> = wanted
        .into_iter()
        .filter(|wanted| wanted.resource.id().host == *production && wanted.resource.id().kind == Kind::Unit)
        .filter(|wanted| plan.items.iter().any(|item| item.id == wanted.resource.id() && !restarts(&item.verdict)))
        .collect();
    for item in plan.items.iter_mut().filter(|item| item.id.host == *production) {
        let Verdict::Change(change) = &mut item.verdict else { continue };
        if change.left_to.is_none() {
            let written = change.actions.iter().filter_map(Action::writes).collect();
            let followed = services.iter().flat_map(|service| follows(service, production, &written, facts));
            change.foreseen.extend(followed.collect::<Vec<_>>());
            change.interruption = words(change, spec);
        }
    }
}

fn restarts(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Change(change) if change.actions.iter().any(Action::interrupts))
}

/// What a service needs once these files were written.
fn follows(service: &Wanted, host: &HostName, written: &BTreeSet<&Path>, facts: &Facts) -> Vec<Action> {
    let reads = |look: &Look| matches!(look, Look::Path(path) if written.contains(path.as_path()));
    let read: Vec<Look> = service.resource.looks().into_iter().map(|(_, look)| look).filter(reads).collect();
    if read.is_empty() {
        return Vec::new();
    }
    match verdict(service, &facts.as_if_written(host, &read)) {
        Verdict::Change(change) => change.actions.into_iter().filter(Action::interrupts).collect(),
        _ => Vec::new(),
    }
}

/// In words, with the reason and about how long it takes.
fn words(change: &Change, spec: &Spec) -> Option<String> {
    let mut seconds = 0;
    let mut titles: Vec<String> = Vec::new();
    for action in change.actions.iter().chain(&change.foreseen).filter(|action| action.interrupts()) {
        let title = action.title();
        if !titles.contains(&title) {
            titles.push(title);
            seconds += about(action, spec);
        }
    }
    if titles.is_empty() {
        return None;
    }
    let mut reasons: Vec<&str> = change.differences.iter().map(|difference| difference.what.as_str()).collect();
    let more = reasons.len().saturating_sub(4);
    reasons.truncate(4);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("{} because of {}{more}: users are interrupted for about {seconds} s", titles.join(", "), reasons.join(", ")))
}

/// Seconds until users can go on, on a machine of ordinary size.
fn about(action: &Action, spec: &Spec) -> u32 {
    match action {
        Action::Unit { unit, verb: UnitVerb::Restart } => match unit.as_str() {
            unit if spec.odoo.as_ref().is_some_and(|odoo| odoo.unit.as_str() == unit) => 15,
            unit if unit.starts_with("postgresql") => 5,
            _ => 2,
        },
        _ => 10,
    }
}
