//! Proof that the old production can no longer write. Two hosts alone cannot tell a cut
//! cable from a death, so only what was seen or what a person states counts.

use super::journal::Journal;
use super::{Progress, Promotion};
use crate::fleet::Fleet;
use crate::look::Look;
use crate::wanted::cluster_at;

/// Looked at once more, now that the epoch keeps it from starting: it may have come back before.
pub(super) fn again(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Result<Option<String>, String> {
    let old = promotion.old;
    if progress.promoted {
        return Ok(None);
    }
    if promotion.fleet.unreachable(old).is_none() {
        return stopped(promotion, promotion.fleet).map(|_| None);
    }
    match promotion.connect.filter(|connect| connect.is_up(old)) {
        None => Ok(None),
        Some(connect) => match stopped(promotion, &Fleet::open(connect, [old])) {
            Ok(_) => Ok(Some(format!("{old} came back, and its services are stopped"))),
            Err(why) => Err(format!("{old} was stated to be down and came back: {why}")),
        },
    }
}

/// Seen stopped over SSH; or unreachable, and a person said that it is down.
pub(super) fn proof(promotion: &Promotion<'_>, _: &mut Progress, _: &Journal<'_>) -> Result<Option<String>, String> {
    let old = promotion.old;
    if let Some(why) = promotion.fleet.unreachable(old) {
        return match promotion.stated_down {
            Some(name) if name == old => Ok(Some(format!("{old} cannot be reached, and it was stated that it is down"))),
            _ => Err(format!(
                "{old} cannot be reached ({why}), which does not prove that it is down: with a cut cable it would go on taking writes. \
                 Make sure (power, console), then state it: --production-is-down {old}"
            )),
        };
    }
    stopped(promotion, promotion.fleet)
}

/// What could take writes there is seen stopped.
fn stopped(promotion: &Promotion<'_>, fleet: &Fleet) -> Result<Option<String>, String> {
    let (spec, old) = (promotion.inputs.spec, promotion.old);
    let mut units = Vec::new();
    if let Some(at) = cluster_at(spec, old) {
        units.push(at.unit());
    }
    if let Some(odoo) = &spec.odoo {
        units.push(odoo.unit.clone());
    }
    let looks: Vec<Look> = units.iter().cloned().map(Look::Unit).collect();
    let facts = fleet.look(looks.into_iter().map(|look| (old.clone(), look)));
    let mut running = Vec::new();
    for unit in &units {
        match facts.unit(old, unit) {
            Ok(seen) if seen.active => running.push(unit.to_string()),
            Ok(_) => {}
            Err(error) => return Err(format!("whether {unit} is stopped on {old} cannot be seen: {error}")),
        }
    }
    match running.is_empty() {
        true => Ok(Some(format!("{} seen stopped on {old}", units.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")))),
        false => Err(format!(
            "{old} is alive and runs {}; two productions would diverge. Stop it first: systemctl disable --now {}",
            running.join(" and "),
            running.join(" ")
        )),
    }
}
