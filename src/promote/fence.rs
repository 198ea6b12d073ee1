//! Proof that the old production can no longer write. Two hosts alone cannot tell a cut
//! cable from a death, so only what was seen, what the spec's fence proves, or what a person
//! states counts.

use std::time::{Duration, Instant};

use super::journal::Journal;
use super::{Progress, Promotion, hooks, life, look};
use crate::action::Action;
use crate::epoch::Epoch;
use crate::fleet::Fleet;
use crate::look::{CommandLine, Look};
use crate::plan::check::may_change;
use crate::spec::Fence;
use crate::wanted::{cluster_at, root_file};

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
        Some(connect) => {
            let fleet = Fleet::open(connect, [old]);
            // Told first: from then on it does not start, and what is seen stopped stays stopped.
            match told(promotion, &fleet, progress).and_then(|()| stopped(promotion, &fleet)) {
                Ok(_) => Ok(Some(format!("{old} came back; its services are stopped, and it was told of the epoch"))),
                Err(why) => Err(format!("{old} was stated to be down and came back: {why}")),
            }
        }
    }
}

/// The epoch on a host that could not be reached when it was raised.
fn told(promotion: &Promotion<'_>, fleet: &Fleet, progress: &Progress) -> Result<(), String> {
    let (Some(epoch), true) = (&progress.epoch, may_change(promotion.inputs.spec, promotion.old)) else { return Ok(()) };
    let Some(attributes) = root_file(0o644) else { return Ok(()) };
    let path = Epoch::path(promotion.inputs.spec.name.as_str());
    let write = Action::WriteFile { path, content: epoch.text().into(), attributes, reader: None };
    fleet.act(promotion.old, &write).map(drop).map_err(|e| format!("it cannot be told of the epoch: {e}"))
}

/// Seen stopped over SSH; or unreachable, and the fence or a person says that it is down. What the other
/// hosts see of it counts more than any of them.
pub(super) fn proof(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Result<Option<String>, String> {
    let old = promotion.old;
    if progress.promoted {
        return Ok(None);
    }
    let signs = life::signs(promotion, &progress.heard);
    if let Some(why) = promotion.fleet.unreachable(old) {
        if let Some(fence) = &promotion.inputs.spec.failover.fence {
            // It may stop the services alone: the machine's own signs are none against it.
            let not = life::refused(promotion, signs.iter().filter(|sign| sign.serves)).map_or_else(|| is_down(promotion, fence), Err);
            return Ok(Some(match not {
                Ok(said) => said,
                Err(not) => {
                    progress.must_fence = true;
                    format!("{old} cannot be reached ({why}), and {not}: the spec's fence is next")
                }
            }));
        }
        if let Some(lives) = life::refused(promotion, signs.iter()) {
            return Err(lives);
        }
        return match promotion.stated_down {
            Some(name) if name == old => {
                Ok(Some(format!("{old} cannot be reached, no other host sees a sign of life of it, and it was stated that it is down")))
            }
            _ => Err(format!(
                "{old} cannot be reached ({why}), which does not prove that it is down: with a cut cable it would go on taking writes{}. \
                 Make sure (power, console), then state it: --production-is-down {old}",
                shared(promotion)
            )),
        };
    }
    let seen = stopped(promotion, promotion.fleet)?;
    // A server that is not that unit's: started by hand, or by a cluster manager.
    match life::refused(promotion, signs.iter().filter(|sign| sign.serves)) {
        Some(lives) => Err(format!("{}, and all the same {lives}", seen.unwrap_or_default())),
        None => Ok(seen),
    }
}

/// Why it matters twice.
fn shared(promotion: &Promotion<'_>) -> &'static str {
    let spec = promotion.inputs.spec;
    match spec.odoo.as_ref().is_some_and(|odoo| spec.is_shared(&odoo.data_dir.join("filestore"))) {
        true => ", and its garbage collection would delete from the shared filestore what its own database does not name",
        false => "",
    }
}

fn call(promotion: &Promotion<'_>, argv: &[String], fence: &Fence) -> CommandLine {
    let environment = hooks::environment(promotion, "fence-command", "after");
    CommandLine { argv: argv.to_vec(), environment, seconds: fence.timeout.0.as_secs() }
}

/// What a dry run shows of the fence.
pub(super) fn shown(promotion: &Promotion<'_>) -> Option<String> {
    let fence = promotion.inputs.spec.failover.fence.as_ref()?;
    Some(format!(
        "{}, until `{}` says \"{}\"",
        call(promotion, &fence.run, fence).shown(),
        call(promotion, &fence.read_back, fence).shown(),
        fence.expect
    ))
}

/// The answer of the read-back, if it is the proof.
fn is_down(promotion: &Promotion<'_>, fence: &Fence) -> Result<String, String> {
    let command = call(promotion, &fence.read_back, fence);
    let facts = look(promotion, promotion.host, &[Look::Command(command.clone())]);
    let answer = facts.answer(promotion.host, &command).map_err(|e| e.to_string())?;
    match answer.text.lines().find(|line| answer.status == 0 && line.contains(&fence.expect)) {
        Some(line) => Ok(format!("{} is down: `{}` says \"{}\"", promotion.old, command.shown(), line.trim())),
        None => {
            let said = answer.text.trim();
            Err(format!("`{}` does not say \"{}\" but \"{said}\" (exit status {})", command.shown(), fence.expect, answer.status))
        }
    }
}

/// The fence's command, and then the answer that proves it.
pub(super) fn command(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Result<Option<String>, String> {
    let Some(fence) = promotion.inputs.spec.failover.fence.as_ref().filter(|_| progress.must_fence) else { return Ok(None) };
    let ran = promotion.fleet.act(promotion.host, &Action::Run { command: call(promotion, &fence.run, fence) });
    let deadline = Instant::now() + promotion.patience(fence.timeout.0.as_secs());
    loop {
        let lives = || life::refused(promotion, life::signs(promotion, &progress.heard).iter().filter(|sign| sign.serves));
        let why = match is_down(promotion, fence).and_then(|said| lives().map_or(Ok(said), Err)) {
            Ok(said) => return Ok(Some(said)),
            Err(why) => why,
        };
        // What the command itself says is no proof, but why there is none.
        let failed = ran.as_ref().err().map(ToString::to_string);
        if failed.is_none() && Instant::now() < deadline {
            promotion.watch.waits(&format!("the proof that {} is down", promotion.old));
            std::thread::sleep(Duration::from_millis(500));
            continue;
        }
        let why = failed.map_or_else(|| why.clone(), |failed| format!("{failed}; {why}"));
        if let Some(lives) = life::refused(promotion, life::signs(promotion, &progress.heard).iter()) {
            return Err(format!("the fence does not prove that {old} is down: {why}. {lives}", old = promotion.old));
        }
        return match promotion.stated_down {
            Some(name) if name == promotion.old => Ok(Some(format!("the fence proves nothing ({why}); it was stated that {name} is down"))),
            _ => Err(format!(
                "the fence does not prove that {old} is down: {why}. Mend it, or make sure (power, console) and state it: \
                 --production-is-down {old}",
                old = promotion.old
            )),
        };
    }
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
