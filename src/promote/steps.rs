//! The table of steps. A new step is a new row.

use super::journal::Journal;
use super::others::{self, REPOINT};
use super::{Progress, Promotion, Verb, fence, loss, ready, smoke};
use crate::action::Action;
use crate::epoch::Epoch;
use crate::look::{CommandLine, Look};
use crate::name::HostName;
use crate::plan::check::may_change;
use crate::plan::life::heard;
use crate::resource::epoch::Raised;
use crate::resource::postgres::replay::{Wait, advice, stops_at_start, waits};
use crate::resource::promotion::{Goal, Promotion as Wish};
use crate::resource::unit::{Unit, UnitState};
use crate::resource::{Resource, ResourceId, Wanted};
use crate::wanted::{SERVICES, TIMERS, cluster_at, is_of_both_roles, on, own_spec, root_file, sentinels, serving, slot_of};

pub(super) type Seen = Result<Option<String>, String>;

/// One step.
pub struct Step {
    /// Its word, in the journal and reports.
    pub name: &'static str,
    /// A sentence for the person who waits.
    pub about: &'static str,
    /// It changes the host (or asks for it); a dry run only tells what it would do.
    pub changes: bool,
    /// A failure here puts the old production back into service.
    pub undo: bool,
    /// Seconds to wait for what happens by itself.
    pub patience: u64,
    /// What it copies is in use: what users add meanwhile is left to a later step.
    pub moving: bool,
    /// Users wait: what was done without an error is not looked at again here; `complete` does.
    pub trusting: bool,
    /// A dry run shows what would follow also where this fails.
    pub shown_beyond: bool,
    /// What fails in it is told, and stops nothing.
    pub aside: bool,
    /// Whether the step may begin.
    pub(crate) guard: fn(&Promotion<'_>, &mut Progress, &Journal<'_>) -> Seen,
    /// What must hold at its end.
    pub(crate) wanted: fn(&Promotion<'_>, &Progress) -> Vec<Wanted>,
    /// What is seen at its end.
    pub(crate) after: fn(&Promotion<'_>, &mut Progress, &Journal<'_>) -> Seen,
}

/// The steps of a verb as the page of procedures shows them.
pub fn drawn(verb: Verb) -> String {
    let mut text = format!("`otr {}`\n\n```text\n", verb.as_str());
    let steps = verb.steps();
    for (at, step) in steps.iter().enumerate() {
        let turns = steps.get(at + 1).is_some_and(|next| step.undo && !next.undo);
        let how = match (step.changes, step.undo) {
            (false, _) => "looks",
            (true, true) => "can go back",
            (true, false) => "",
        };
        text += format!("{:>2}  {:<16} {:<12} {}", at + 1, step.name, how, step.about).trim_end();
        text += if turns {
            "\n    ───────────────── the point of no return ─────────────────\n"
        } else {
            "\n"
        };
    }
    text + "```\n"
}

/// A step that only looks.
pub(super) const fn looking(name: &'static str, about: &'static str) -> Step {
    let (changes, undo, moving, trusting, shown_beyond, aside) = (false, false, false, false, false, false);
    Step { name, about, changes, undo, patience: 0, moving, trusting, shown_beyond, aside, guard: pass, wanted: nothing, after: no_more }
}

/// A step that changes something.
pub(super) const fn changing(name: &'static str, about: &'static str) -> Step {
    Step { changes: true, patience: 30, ..looking(name, about) }
}

/// The steps of `promote`. The journal is begun by the first that changes something.
pub const PROMOTE: &[Step] = &[
    Step { guard: preflight, ..looking("preflight", "The standby can be promoted.") },
    Step { guard: fence::proof, shown_beyond: true, ..looking("fence", "The old production can no longer write.") },
    Step { after: fence::command, ..changing("fence-command", "Where nothing else proves it, the spec's fence does.") },
    Step { guard: position, wanted: timers, trusting: true, ..changing("timers", "Nothing copies from the old production any more.") },
    Step { guard: position, wanted: replayed, patience: 600, trusting: true, ..changing("replay", REPLAY) },
    SNAPSHOT,
    Step { guard: epoch, wanted: raised, ..EPOCH },
    Step { guard: fence::again, ..SERVER },
    Step { wanted: bundles, ..changing("bundles", "Asset bundles whose files are lost are made again.") },
    PRODUCTION,
    CHECKPOINT,
    WRITE,
    SMOKE,
    REPOINT,
    COMPLETE,
];

const REPLAY: &str = "All that was received is replayed, and WAL is kept for those that will follow.";

/// Steps that a planned and an unplanned promotion share.
pub(super) const SNAPSHOT: Step =
    Step { after: snapshot, ..changing("snapshot", "The command given with --snapshot-command has run, if one was.") };
pub(super) const EPOCH: Step =
    Step { trusting: true, ..changing("epoch", "Every host in reach knows that the old production is one no more.") };
pub(super) const SERVER: Step =
    Step { wanted: promoted, after: timeline, trusting: true, ..changing("promote", "PostgreSQL takes writes, on a new timeline.") };
/// Without it pg_rewind finds nothing to do; Odoo needs not wait for it.
pub(super) const CHECKPOINT: Step = Step { wanted: checkpointed, trusting: true, ..changing("checkpoint", "The new timeline is on disk.") };
pub(super) const WRITE: Step = Step { after: prove_write, ..changing("write", "A row can be written.") };
pub(super) const PRODUCTION: Step = Step {
    wanted: production_mode,
    patience: 60,
    trusting: true,
    ..changing("production-mode", "Configuration, Redis and Odoo are as production's.")
};
pub(super) const SMOKE: Step = Step { after: smoke::test, ..changing("smoke-test", "Odoo answers: its login page and every asset on it.") };

pub(super) const COMPLETE: Step = Step { wanted: complete, patience: 60, ..changing("complete", "All the rest is as the spec says.") };

pub(super) fn nothing(_: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    Vec::new()
}
pub(super) fn pass(_: &Promotion<'_>, _: &mut Progress, _: &Journal<'_>) -> Seen {
    Ok(None)
}
pub(super) fn no_more(_: &Promotion<'_>, _: &mut Progress, _: &Journal<'_>) -> Seen {
    Ok(None)
}

fn preflight(promotion: &Promotion<'_>, progress: &mut Progress, journal: &Journal<'_>) -> Seen {
    let (spec, host) = (promotion.inputs.spec, promotion.host);
    let Some(at) = cluster_at(spec, host) else {
        return Err("the spec has no `replication:`, so there is no standby to promote".into());
    };
    let own = [Look::Server(at.cluster.clone()), Look::Cluster(at.cluster.clone()), Look::Machine].map(|look| (host.clone(), look));
    let facts = promotion.fleet.look(own.into_iter().chain(others::looks(promotion)));
    if let Some(why) = facts.unreachable(host) {
        return Err(format!("{host} cannot be reached: {why}"));
    }
    if !facts.machine(host).map_err(|e| e.to_string())?.root {
        return Err(format!("otr is not root on {host}; log in as root, or say `become: sudo` in the spec"));
    }
    let recorded = facts.cluster(host, &at.cluster).map_err(|e| e.to_string())?.as_ref();
    let Some(server) = at.server(&facts).map_err(|e| e.to_string())? else {
        if let Some(mismatch) = recorded.and_then(stops_at_start) {
            let why = advice(&at, &Wait::Parameter(mismatch), None);
            return Err(format!("PostgreSQL {} does not run on {host}, and does not start: {why}", at.cluster));
        }
        return Err(format!("PostgreSQL {} does not run on {host}: systemctl start {}", at.cluster, at.unit()));
    };
    progress.promoted = !server.in_recovery;
    progress.heard = heard(spec, promotion.old, &facts);
    if let Some(open) = journal.open() {
        progress.left = Some(open.left_timeline);
        if progress.promoted {
            // Until then where the data stands is seen anew: production may have gone on meanwhile.
            progress.before.clone_from(&open.before);
        }
        if progress.promoted {
            ready::agreed(promotion, progress);
        } else {
            ready::ahead(promotion, progress)?;
        }
        return Ok(Some(format!("a promotion begun {} goes on", open.at)));
    }
    if !server.in_recovery {
        return Err(format!(
            "{host} takes writes already (timeline {}), and no promotion of it is open in {}; if it is production, say so in the spec",
            server.timeline,
            journal.path().display()
        ));
    }
    let paused = if server.replay_paused { "replay is paused" } else { "its replay does not go to the end" };
    let wait = match waits(server, recorded.and_then(|cluster| cluster.state.as_ref()).map(|state| &state.parameters)) {
        None => String::new(),
        Some(wait @ (Wait::Parameter(_) | Wait::Target(_))) => {
            return Err(format!("{host} cannot be promoted, {paused}: {}; then run this again", advice(&at, &wait, Some(server))));
        }
        Some(Wait::ByHand) => "; replay is paused by hand, and is resumed".into(),
        Some(Wait::Delay(delay)) => format!("; replay is {delay} late (recovery_min_apply_delay), and all of it is replayed at once"),
    };
    if let Some(error) = server.file_errors.first() {
        return Err(format!("PostgreSQL on {host} cannot read its configuration: {error}"));
    }
    let compared = others::best(promotion, &facts, server)?;
    progress.left = Some(server.timeline);
    progress.seen = Some(loss::Position::of(server));
    let (timeline, replayed) = (server.timeline, server.replay_lsn.clone().unwrap_or_default());
    let compared: String = compared.iter().map(|words| format!("; {words}")).collect();
    let drift: String = ready::ahead(promotion, progress)?.into_iter().map(|drift| format!("; {drift}")).collect();
    Ok(Some(format!("a standby on timeline {timeline}, replayed up to {replayed}{wait}{compared}{drift}")))
}

pub(super) fn position(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Seen {
    if progress.before.is_none() {
        progress.before = Some(loss::position(promotion)?);
    }
    Ok(None)
}

/// Whoever asked for a snapshot wants it before anything that cannot be undone, once.
fn snapshot(promotion: &Promotion<'_>, progress: &mut Progress, journal: &Journal<'_>) -> Seen {
    let Some(command) = promotion.snapshot else { return Ok(None) };
    if progress.promoted || journal.has_done("snapshot") {
        return Ok(Some("it ran before".into()));
    }
    let environment = super::hooks::environment(promotion, "snapshot", "after");
    // As long as a copy of a large disk may take.
    let argv = ["/bin/sh", "-c", command].map(str::to_owned).to_vec();
    let command = CommandLine { argv, environment, seconds: 6600 };
    promotion.fleet.act(promotion.host, &Action::Run { command }).map_err(|e| e.to_string())?;
    Ok(promotion.snapshot.map(|command| format!("done: {command}")))
}

pub(super) fn timers(promotion: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    let unit = |name: &str| {
        let unit = name.parse().ok()?;
        let resource = Unit { host: promotion.host.clone(), unit, state: UnitState::Idle, reads: Vec::new(), reloads: false };
        Some(Wanted { resource: Box::new(resource), needs: Vec::new() })
    };
    // A drill ends with its unit: it must not keep disk and memory from the new production.
    TIMERS.into_iter().chain(SERVICES).chain([crate::action::drill::UNIT]).filter_map(unit).collect()
}

/// The epoch of this promotion: above all that any host in reach knows.
pub(super) fn epoch(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Seen {
    let installation = promotion.inputs.spec.name.as_str();
    let looks = reachable(promotion).map(|host| (host.clone(), Look::Content(Epoch::path(installation))));
    let facts = promotion.fleet.look(looks.collect::<Vec<_>>());
    let mut known = Vec::new();
    for host in reachable(promotion) {
        known.push(Epoch::seen(&facts, host, installation).map_err(|e| e.to_string())?);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Once it takes writes nothing new is decided.
    let epoch = match progress.promoted || promotion.verb == Verb::Rejoin {
        true => Epoch::kept(&known, promotion.host, now),
        false => Epoch::raised(&known, promotion.host, now),
    };
    let seen = format!("epoch {epoch}");
    progress.epoch = Some(epoch);
    Ok(Some(seen))
}

/// The members that can be told.
fn reachable<'a>(promotion: &'a Promotion<'_>) -> impl Iterator<Item = &'a HostName> {
    let spec = promotion.inputs.spec;
    spec.members().filter(|host| *host == promotion.host || (may_change(spec, host) && promotion.fleet.unreachable(host).is_none()))
}

pub(super) fn raised(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    let (Some(epoch), Some(attributes)) = (&progress.epoch, root_file(0o644)) else { return Vec::new() };
    let raised = |host: &HostName| Raised {
        host: host.clone(),
        installation: promotion.inputs.spec.name.to_string(),
        epoch: epoch.clone(),
        attributes: attributes.clone(),
    };
    // Those that follow first, so that the old production does not start. In a rejoin it is down, and
    // production, which runs, must know its own epoch.
    let last = |host: &HostName| (host == promotion.host) != (promotion.verb == Verb::Rejoin);
    let hosts: Vec<&HostName> = reachable(promotion).collect();
    let first: Vec<ResourceId> = hosts.iter().filter(|host| !last(host)).map(|host| raised(host).id()).collect();
    hosts
        .into_iter()
        .map(|host| Wanted { resource: Box::new(raised(host)), needs: if last(host) { first.clone() } else { Vec::new() } })
        .collect()
}

pub(super) fn slots(promotion: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    let spec = promotion.inputs.spec;
    spec.standbys().filter_map(|standby| slot_of(spec, standby)).flat_map(|name| wish(promotion, Goal::Slot { name })).collect()
}

pub(super) fn wish(promotion: &Promotion<'_>, goal: Goal) -> Vec<Wanted> {
    let at = cluster_at(promotion.inputs.spec, promotion.host);
    at.into_iter().map(|at| Wanted { resource: Box::new(Wish { at, goal: goal.clone() }), needs: Vec::new() }).collect()
}

fn replayed(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    let goals = [Goal::Resumed, Goal::Replayed].into_iter().flat_map(|goal| wish(promotion, goal));
    slots(promotion, progress).into_iter().chain(goals).collect()
}

fn promoted(promotion: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    wish(promotion, Goal::Promoted)
}

pub(super) fn checkpointed(promotion: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    wish(promotion, Goal::Checkpointed)
}

fn timeline(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Seen {
    progress.promoted = true;
    Ok(progress.left.map(|left| format!("{} leaves timeline {left}", promotion.host)))
}

fn prove_write(promotion: &Promotion<'_>, _: &mut Progress, _: &Journal<'_>) -> Seen {
    let Some(at) = cluster_at(promotion.inputs.spec, promotion.host) else { return Ok(None) };
    promotion.fleet.act(promotion.host, &Action::ProveWrite { cluster: at.cluster }).map_err(|e| e.to_string())?;
    Ok(Some("a row was written and read".into()))
}

fn bundles(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    let mut wanted = ready::bundles(promotion.inputs, promotion.host);
    wanted.retain(|wanted| !progress.left_alone.contains(&wanted.resource.id()));
    wanted
}

/// What Odoo reads in its new role, and what both roles have alike unless it was seen to be right.
/// The rest is for `complete`: nobody works meanwhile.
fn production_mode(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    let mut wanted = if progress.sound { Vec::new() } else { on(promotion.inputs, promotion.host) };
    wanted.retain(is_of_both_roles);
    wanted.extend(serving(promotion.inputs, promotion.host));
    wanted.retain(|wanted| !progress.left_alone.contains(&wanted.resource.id()));
    // Sentinels that still watch the old primary would make the new one its replica within seconds.
    if !promotion.inputs.spec.sentinel_decides() {
        let reached = |wanted: &Wanted| promotion.fleet.unreachable(&wanted.resource.id().host).is_none();
        wanted.extend(sentinels(promotion.inputs).into_iter().filter(reached));
    }
    wanted
}

fn complete(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    let mut wanted = on(promotion.inputs, promotion.host);
    wanted.retain(|wanted| !progress.left_alone.contains(&wanted.resource.id()));
    let own = own_spec(promotion.inputs, promotion.host).filter(|_| promotion.verb != Verb::Rejoin);
    wanted.extend(own.map(|file| Wanted { resource: Box::new(file), needs: Vec::new() }));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `OTR_BLESS=1 cargo test --lib steps` writes the page anew.
    #[test]
    fn the_page_of_procedures_shows_these_steps() {
        let page = std::fs::read_to_string("docs/failover.md").unwrap();
        let (open, close) = ("<!-- steps: made from the program's own table; a test compares -->\n", "<!-- end of steps -->");
        let (head, rest) = page.split_once(open).unwrap();
        let (shown, tail) = rest.split_once(close).unwrap();
        let drawn = [Verb::Promote, Verb::Switchover, Verb::Rejoin].map(drawn).join("\n");
        if std::env::var_os("OTR_BLESS").is_some() {
            std::fs::write("docs/failover.md", format!("{head}{open}{drawn}{close}{tail}")).unwrap();
        } else {
            assert_eq!(shown, drawn);
        }
    }

    #[test]
    fn hooks_know_every_step_that_changes_something() {
        for (verb, (spec, names)) in [Verb::Promote, Verb::Switchover, Verb::Rejoin].into_iter().zip(crate::spec::check::failover::STEPS) {
            assert_eq!(format!("{spec:?}").to_lowercase(), verb.as_str());
            let mut steps: Vec<&str> = verb.steps().iter().filter(|step| step.changes).map(|step| step.name).collect();
            if verb == Verb::Switchover {
                steps.push("put-back");
            }
            assert_eq!(names.iter().map(|name| name.as_str()).collect::<Vec<_>>(), steps, "{verb:?}");
        }
    }

    #[test]
    fn no_two_steps_of_a_verb_share_a_name() {
        for verb in [Verb::Promote, Verb::Switchover, Verb::Rejoin] {
            let names: std::collections::BTreeSet<&str> = verb.steps().iter().map(|step| step.name).collect();
            assert_eq!(names.len(), verb.steps().len(), "{verb:?}");
        }
    }
}
