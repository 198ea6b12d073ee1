//! Switchover: planned, and nothing is lost. Until the old production's end is proven to be on
//! the other host, a failure puts it back into service; from then on there is only forward.

use std::time::{Duration, Instant};

use super::journal::Journal;
use super::loss::Position;
use super::others::{self, REPOINT, running};
use super::steps::{
    CHECKPOINT, COMPLETE, EPOCH, PRODUCTION, SERVER, SMOKE, SNAPSHOT, Seen, Step, WRITE, changing, epoch, looking, position, raised, slots,
    timers,
};
use super::{Progress, Promotion, look, ready};
use crate::action::Action;
use crate::converge::plan;
use crate::look::postgres::lsn_bytes;
use crate::look::{Look, Server};
use crate::plan::Verdict;
use crate::plan::split::{self, split_brain, stale};
use crate::resource::postgres::ClusterAt;
use crate::resource::postgres::measure::{logical_slots, lost_slots};
use crate::resource::postgres::replay::{Wait, advice, waits};
use crate::resource::postgres::settings::{below, five};
use crate::resource::rejoin::Marked;
use crate::resource::switchover::{CaughtUp, Stopped};
use crate::resource::unit::UnitState;
use crate::resource::{Kind, Resource, Wanted};
use crate::wanted::{Inputs, all, cluster_at, data, guarded, on, resting};

/// The steps in order.
pub const SWITCHOVER: &[Step] = &[
    Step { guard: preflight, ..looking("preflight", "Both hosts are ready to change places.") },
    Step { guard: position, wanted: timers, trusting: true, ..before("timers", "No timer copies meanwhile.") },
    Step { wanted: files, patience: 60, moving: true, ..before("files", "Files are copied while users still work.") },
    Step { undo: true, ..SNAPSHOT },
    Step { wanted: slots, trusting: true, ..before("slot", "WAL is kept for those that will follow.") },
    Step { wanted: odoo_stopped, trusting: true, ..before("stop-odoo", "Nobody works on the old production.") },
    Step { wanted: stopped, trusting: true, ..before("stop-postgresql", "The old production's PostgreSQL stopped in order.") },
    Step { wanted: caught_up, ..before("proof", "The new production has replayed its last byte.") },
    // Only now the new production knows every row, and with it every file. Never trusting: a file that
    // could not be read comes without an error, and nothing looks for it later.
    Step { wanted: files, after: still_down, patience: 60, ..before("last-files", "The last files are copied.") },
    // The point of no return: everything is on the new production, and only it may start as one.
    Step { guard: epoch, wanted: handed_over, after: still_down, ..EPOCH },
    SERVER,
    PRODUCTION,
    CHECKPOINT,
    WRITE,
    SMOKE,
    COMPLETE,
    REPOINT,
    Step { wanted: follows, after: streams, patience: 120, moving: true, ..changing("follow", "The old production follows the new one.") },
];

const fn before(name: &'static str, about: &'static str) -> Step {
    Step { undo: true, ..changing(name, about) }
}

/// How far behind the standby may be when it begins, in bytes: what is sent in seconds.
const NEAR: u64 = 64 << 20;

fn preflight(promotion: &Promotion<'_>, progress: &mut Progress, journal: &Journal<'_>) -> Seen {
    let (spec, host, old) = (promotion.inputs.spec, promotion.host, promotion.old);
    let (Some(here), Some(there)) = (cluster_at(spec, host), cluster_at(spec, old)) else {
        return Err("the spec has no `replication:`, so there is no standby to switch to".into());
    };
    let facts = promotion.fleet.look(
        split::looks(spec)
            .into_iter()
            .chain([(old.clone(), Look::Cluster(there.cluster.clone())), (host.clone(), Look::Cluster(here.cluster.clone()))]),
    );
    if let Some(newer) = stale(spec, &facts).filter(|newer| newer.host != *old) {
        return Err(newer.words(old));
    }
    for name in [host, old] {
        let machine = look(promotion, name, &[Look::Machine]);
        if let Some(why) = machine.unreachable(name) {
            return Err(format!("{name} cannot be reached: {why}. Where production is lost, `otr promote {host}` is the way"));
        }
        if !machine.machine(name).map_err(|e| e.to_string())?.root {
            return Err(format!("otr is not root on {name}; a switchover changes both hosts: say `become: sudo`, or log in as root"));
        }
    }
    let new = running(&facts, &here)?;
    progress.promoted = !new.in_recovery;
    if let Some((_, words)) = split_brain(spec, &facts) {
        return Err(words);
    }
    if let Some(open) = journal.open() {
        progress.left = Some(open.left_timeline);
        progress.proven = journal.has_done("last-files");
        if progress.promoted {
            progress.before.clone_from(&open.before);
        }
        ready::agreed(promotion, progress);
        return Ok(Some(format!("a {} begun {} goes on", open.verb, open.at)));
    }
    if progress.promoted {
        return Err(format!("{host} takes writes already (timeline {}), and no switchover to it is open", new.timeline));
    }
    let primary = running(&facts, &there)?;
    if primary.in_recovery {
        return Err(format!("PostgreSQL on {old} is a standby, not production; correct `production:` in the spec"));
    }
    let recorded = facts.cluster(host, &here.cluster).ok().and_then(|cluster| cluster.as_ref()?.state.as_ref());
    match waits(new, recorded.map(|state| &state.parameters)) {
        None => {}
        // What was held back would have to be replayed while users wait.
        Some(wait @ Wait::Delay(_)) => {
            let why = advice(&here, &wait, Some(new));
            return Err(format!("{host} is behind on purpose: {why}; take it out of the spec and `otr apply`, then run this again"));
        }
        Some(wait) => {
            return Err(format!(
                "{host} cannot take over, replay is paused or would end: {}; then run this again",
                advice(&here, &wait, Some(new))
            ));
        }
    }
    ready(host, old, new, primary)?;
    if let Some(mismatch) = below(&five(&new.settings), &five(&primary.settings)).first() {
        return Err(format!("{host} would not take over: {mismatch}; `otr apply` raises it there"));
    }
    if !promotion.despite_drift {
        as_the_spec_says(promotion)?;
    }
    if !promotion.dry_run {
        arrives(promotion, &here, &there)?;
    }
    progress.left = Some(new.timeline);
    progress.seen = Some(Position::of(new));
    ready::ahead(promotion, progress)?;
    let lost = lost_slots(&logical_slots(primary), new);
    let slots = match lost.is_empty() {
        true => String::new(),
        false => format!("; logical slots of {old} are lost, and their subscribers begin anew: {}", lost.join(", ")),
    };
    Ok(Some(format!("{host} streams from {old} on timeline {}, and the pair is as the spec says{slots}", new.timeline)))
}

fn ready(host: &crate::name::HostName, old: &crate::name::HostName, new: &Server, primary: &Server) -> Result<(), String> {
    if new.system_identifier != primary.system_identifier {
        return Err(format!("{host} is no copy of {old}: their systems differ; `otr apply` shows it"));
    }
    let status = new.receiver.as_ref().map_or("no receiver runs", |receiver| receiver.status.as_str());
    if status != "streaming" {
        return Err(format!("{host} does not stream from {old}: {status}"));
    }
    let position = |lsn: &Option<String>| lsn.as_deref().and_then(lsn_bytes);
    match (position(&primary.lsn), position(&new.replay_lsn)) {
        (Some(written), Some(replayed)) if written.saturating_sub(replayed) <= NEAR => Ok(()),
        (Some(written), Some(replayed)) => {
            Err(format!("{host} is {} bytes behind {old}; wait until it has caught up", written.saturating_sub(replayed)))
        }
        _ => Err(format!("how far {host} is behind {old} cannot be seen")),
    }
}

/// How long a row may take to the standby, seconds.
const ARRIVAL: u64 = 15;

/// Behind a cut cable a receiver calls itself streaming until its timeout: only what arrives proves it.
fn arrives(promotion: &Promotion<'_>, here: &ClusterAt, there: &ClusterAt) -> Result<(), String> {
    let (host, old) = (promotion.host, promotion.old);
    promotion.fleet.act(old, &Action::ProveWrite { cluster: there.cluster.clone() }).map_err(|e| e.to_string())?;
    let position = |lsn: &Option<String>| lsn.as_deref().and_then(lsn_bytes);
    let facts = look(promotion, old, &[Look::Server(there.cluster.clone())]);
    let written = position(&running(&facts, there)?.lsn);
    let deadline = Instant::now() + promotion.patience(ARRIVAL);
    loop {
        let facts = look(promotion, host, &[Look::Server(here.cluster.clone())]);
        if position(&running(&facts, here)?.replay_lsn) >= written {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("what {old} writes does not arrive on {host} within {ARRIVAL} s; can {host} reach {old}?"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The way back must work too, so everything but data in motion must be as the spec says.
fn as_the_spec_says(promotion: &Promotion<'_>) -> Result<(), String> {
    let Some(before) = promotion.before else { return Ok(()) };
    let moving = |kind: Kind| matches!(kind, Kind::Filestore | Kind::Sessions);
    // As `otr plan` sees it: nobody asks Sentinel for anything yet.
    let drift: Vec<String> = plan(promotion.fleet, &all(Inputs { promoting: false, ..before }))
        .items
        .into_iter()
        .filter(|item| item.verdict != Verdict::Holds && !moving(item.id.kind))
        .map(|item| item.id.to_string())
        .collect();
    match drift.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "the pair is not as the spec says, so it is not known that both hosts can do the other's work: {}. \
             `otr apply` mends it, with --restarts also what interrupts users; --despite-drift goes on as it is",
            drift.join(", ")
        )),
    }
}

fn one(resource: impl Resource + 'static) -> Vec<Wanted> {
    vec![Wanted { resource: Box::new(resource), needs: Vec::new() }]
}

/// What holds before the new production takes writes means nothing afterwards.
fn while_standby(promotion: &Promotion<'_>, progress: &Progress, wanted: impl FnOnce() -> Vec<Wanted>) -> Vec<Wanted> {
    if progress.promoted || promotion.before.is_none() { Vec::new() } else { wanted() }
}

fn files(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    while_standby(promotion, progress, || promotion.before.map(data).unwrap_or_default())
}

fn odoo_stopped(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    let Some(odoo) = &promotion.inputs.spec.odoo else { return Vec::new() };
    let mut unit = resting(promotion.inputs.spec, promotion.old, &odoo.unit);
    // The guard refuses its start once the epoch is raised, and `follow` keeps it down: nobody waits for that here.
    if guarded(promotion.inputs.spec, promotion.old) {
        unit.state = UnitState::Idle;
    }
    while_standby(promotion, progress, || one(unit))
}

fn stopped(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    let Some(at) = cluster_at(promotion.inputs.spec, promotion.old) else { return Vec::new() };
    while_standby(promotion, progress, || one(Stopped { at }))
}

fn caught_up(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    let spec = promotion.inputs.spec;
    let (Some(at), Some(old)) = (cluster_at(spec, promotion.host), cluster_at(spec, promotion.old)) else { return Vec::new() };
    while_standby(promotion, progress, || one(CaughtUp { at, old, again: progress.proven }))
}

/// A reboot, or whoever starts servers, may have started the old production's after the proof. Looked
/// at while there is a way back, and again when it can start as a standby only.
fn still_down(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Seen {
    let plan = plan(promotion.fleet, &caught_up(promotion, progress));
    let why = plan.items.into_iter().find_map(|item| match item.verdict {
        Verdict::Holds => None,
        Verdict::Refused(why) | Verdict::Unseen(why) | Verdict::Waits { on: why, .. } => Some(why),
        Verdict::Change(_) => Some(item.id.to_string()),
    });
    why.map_or(Ok(None), Err)
}

/// The epoch, and whatever starts on the old production starts as a standby.
fn handed_over(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    let mut wanted = raised(promotion, progress);
    if let Some(at) = cluster_at(promotion.inputs.spec, promotion.old) {
        wanted.extend(one(Marked { at }));
    }
    wanted
}

fn follows(promotion: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    on(promotion.inputs, promotion.old)
}

/// The old production streams from the new one.
pub(super) fn streams(promotion: &Promotion<'_>, _: &mut Progress, _: &Journal<'_>) -> Seen {
    others::streams(promotion, promotion.old)
}
