//! Failover: a standby becomes production, unplanned or planned, and an old production becomes a
//! standby again. Each is a table of steps, a step is wanted resources behind a guard, carried
//! out by the same machinery as `apply`.
//!
//! Truth comes from facts, the journal records intent: a run that was killed is begun again
//! from the top and finds what was done holding. After the point of no return there is no way
//! back, only forward; before it a switchover that fails puts production back into service.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::action::{Action, UnitVerb};
use crate::converge::{Limits, Watch, converge};
use crate::epoch::Epoch;
use crate::facts::Facts;
use crate::fleet::Fleet;
use crate::history::promotion::open;
use crate::host::{Connect, HostError};
use crate::look::Look;
use crate::name::HostName;
use crate::plan::life::Heard;
use crate::plan::{Plan, Verdict};
use crate::report::{Outcome, State};
use crate::resource::{ResourceId, Wanted};
use crate::spec::Spec;
use crate::wanted::{Inputs, SERVICES, TIMERS, cluster_at, on};

pub mod event;
pub mod fence;
mod hooks;
pub mod incident;
pub mod journal;
pub mod life;
pub mod loss;
mod next;
mod others;
pub mod ready;
pub mod rejoin;
pub mod smoke;
pub mod steps;
pub mod switchover;
mod told;

pub use next::CHANGE;
pub use told::{HookOutcome, HookReport, PromoteReport, StepOutcome, StepReport};

use event::Found;
use hooks::When;
use journal::Journal;
use smoke::Smoke;
use steps::Step;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Unplanned: production is gone.
    Promote,
    /// Planned: nothing is lost.
    Switchover,
    /// An old production becomes a standby.
    Rejoin,
}

impl Verb {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Promote => "promote",
            Verb::Switchover => "switchover",
            Verb::Rejoin => "rejoin",
        }
    }

    /// Its steps in order.
    pub fn steps(self) -> &'static [Step] {
        match self {
            Verb::Promote => steps::PROMOTE,
            Verb::Switchover => switchover::SWITCHOVER,
            Verb::Rejoin => rejoin::REJOIN,
        }
    }
}

/// A promotion, switchover or rejoin under way.
pub struct Promotion<'a> {
    /// Which.
    pub verb: Verb,
    /// The open hosts.
    pub fleet: &'a Fleet,
    /// Opens a host anew, to look whether one that was down came back.
    pub connect: Option<&'a dyn Connect>,
    /// What is wanted, with the promoted host as production already.
    pub inputs: Inputs<'a>,
    /// The same as things are before a switchover: what a failure puts back.
    pub before: Option<Inputs<'a>>,
    /// Who becomes production, or in a rejoin is it.
    pub host: &'a HostName,
    /// Who was.
    pub old: &'a HostName,
    /// A rejoin keeps a copy of the data it discards.
    pub keep_diverged: bool,
    /// A switchover may begin though the pair is not all as the spec says.
    pub despite_drift: bool,
    /// The host that has more than the one to be promoted, as a person knows.
    pub despite_better: Option<&'a HostName>,
    /// What a person stated: this host is down.
    pub stated_down: Option<&'a HostName>,
    /// Who began it, for the journal.
    pub by: &'a str,
    /// A command line for `sh` on the host that is promoted, run before anything irreversible.
    pub snapshot: Option<&'a str>,
    /// Says what happens.
    pub watch: &'a dyn Watch,
    /// Only look.
    pub dry_run: bool,
    /// What happens by itself happens at once, as in a simulated world: nothing is waited for.
    pub at_once: bool,
}

impl Promotion<'_> {
    /// How long something is waited for.
    pub(crate) fn patience(&self, seconds: u64) -> Duration {
        if self.at_once { Duration::ZERO } else { Duration::from_secs(seconds) }
    }
}

/// What the guards saw, handed from step to step.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The timeline before the promotion.
    pub left: Option<u32>,
    /// Where it stood when the procedure began.
    pub seen: Option<loss::Position>,
    /// When the other hosts last heard from production.
    pub heard: Heard,
    /// Where the data stood before the server was promoted.
    pub before: Option<loss::Position>,
    /// What Odoo answered.
    pub smoke: Option<Smoke>,
    /// The epoch this promotion raised.
    pub epoch: Option<Epoch>,
    /// The new production takes writes: what comes before that is over.
    pub promoted: bool,
    /// An earlier run has proven that the old production's last record is on the new one.
    pub proven: bool,
    /// How far the one that rejoins was while it ran as a standby; `X/Y`.
    pub reached: Option<String>,
    /// A rejoin's decision.
    pub parting: Option<rejoin::Parting>,
    /// Nothing proves yet that the old production is down: the spec's fence is asked.
    pub must_fence: bool,
    /// The other standbys that are made to follow; not known in a dry run.
    pub followers: Option<Vec<HostName>>,
    /// Those that do not follow, each with what to do.
    pub unled: Vec<(HostName, String)>,
    /// What both roles have alike was seen to be right on the new production.
    pub sound: bool,
    /// What differs and cannot be settled, and was agreed to be left as it is.
    pub left_alone: BTreeSet<ResourceId>,
}

/// Runs the steps.
pub fn promote(promotion: &Promotion<'_>) -> PromoteReport {
    let mut progress = Progress::default();
    let mut journal = Journal::new(promotion);
    let mut steps = Vec::new();
    let mut failed: Option<&Step> = None;
    let mut down: Option<Instant> = None;
    let mut downtime = None;
    let mut seen = None;
    for step in promotion.verb.steps() {
        if failed.is_some_and(|failed| !promotion.dry_run || !failed.shown_beyond) {
            steps.push(StepReport::new(step.name, step.about, StepOutcome::NotReached));
            continue;
        }
        if promotion.dry_run && step.changes {
            let facts = seen.get_or_insert_with(|| look_ahead(promotion, &progress));
            steps.push(planned(promotion, step, &progress, facts));
            continue;
        }
        if step.name == "stop-odoo" && promotion.verb == Verb::Switchover && journal.open().is_none() {
            down = Some(Instant::now());
        }
        let report = run(promotion, step, &mut progress, &mut journal);
        if report.outcome == StepOutcome::Failed {
            failed = Some(step);
        } else if step.name == "smoke-test" {
            downtime = down.map(|down| down.elapsed().as_secs_f64());
        }
        if !step.changes {
            journal.looked(&report);
        }
        steps.push(report);
    }
    let put_back =
        failed.filter(|step| step.undo && !progress.promoted).and(promotion.before).map(|before| put_back(promotion, before, &journal));
    let back = put_back.as_ref().is_some_and(|report| report.outcome == StepOutcome::Done);
    steps.extend(put_back);
    let promoted = failed.is_none() && !promotion.dry_run;
    let lost = match promotion.verb {
        // A switchover has proven that nothing is missing.
        Verb::Rejoin | Verb::Switchover => None,
        _ if promotion.dry_run => loss::position(promotion).ok().and_then(|now| loss::lost(promotion, Some(&now))),
        _ => loss::lost(promotion, progress.before.as_ref()),
    };
    if !promotion.dry_run && !back {
        let found = Found { lost: lost.clone(), smoke: progress.smoke.clone(), downtime, rejoin: progress.parting.clone() };
        // A journal that cannot be written must not undo what was done; the next run says it again.
        if let (Err(error), Some(last)) = (journal.end(found, promoted), steps.last_mut()) {
            last.add(&error);
        }
    }
    PromoteReport {
        format: 1,
        verb: promotion.verb.as_str(),
        spec: promotion.inputs.spec.name.to_string(),
        host: promotion.host.clone(),
        old_production: promotion.old.clone(),
        next: next::next(promotion, &steps, &progress, back),
        steps,
        lost,
        smoke: progress.smoke,
        downtime,
        rejoin: progress.parting,
        promoted,
        dry_run: promotion.dry_run,
    }
}

/// Everything the steps of a dry run would look at, in one trip.
fn look_ahead(promotion: &Promotion<'_>, progress: &Progress) -> Facts {
    let steps = promotion.verb.steps().iter().filter(|step| step.changes);
    let wanted: Vec<Wanted> = steps.flat_map(|step| (step.wanted)(promotion, progress)).collect();
    crate::converge::look(promotion.fleet, &wanted, Vec::new())
}

/// What a step would do, as far as that can be seen before those ahead of it were done.
fn planned(promotion: &Promotion<'_>, step: &'static Step, progress: &Progress, facts: &Facts) -> StepReport {
    let mut report = StepReport::new(step.name, step.about, StepOutcome::Planned);
    let plan = Plan::make(&(step.wanted)(promotion, progress), facts);
    for item in plan.items {
        if let Verdict::Change(change) = item.verdict {
            let host = &item.id.host;
            let odoo = promotion.inputs.spec.odoo.as_ref();
            let live = odoo.is_some_and(|odoo| facts.unit(host, &odoo.unit).is_ok_and(|unit| unit.active));
            let felt = |action: &Action| if live && action.interrupts() { " (interrupts users)" } else { "" };
            report.done.extend(change.actions.iter().map(|action| format!("{host}: {}{}", action.title(), felt(action))));
        }
    }
    report.hooks = hooks::planned(promotion, step.name);
    report.seen = match step.name {
        "fence-command" if progress.must_fence => fence::shown(promotion),
        "snapshot" => promotion.snapshot.map(str::to_owned),
        _ => None,
    };
    report
}

/// What a switchover does that failed early enough.
const PUT_BACK: Step = Step { patience: 60, ..steps::changing("put-back", "The old production is back in service.") };

/// Production goes on as before: what was stopped is started.
fn put_back(promotion: &Promotion<'_>, before: Inputs<'_>, journal: &Journal<'_>) -> StepReport {
    let mut report = StepReport::new(PUT_BACK.name, PUT_BACK.about, StepOutcome::Done);
    let start = Instant::now();
    // Whatever they do, production comes back.
    let _ = hooks::run(promotion, When::Before, &mut report);
    // Production first: nobody can work until it is back.
    for host in [promotion.old, promotion.host] {
        if let Err(error) = carry_out(promotion, before.spec, None, &on(before, host), &PUT_BACK, &mut report) {
            report.outcome = StepOutcome::Failed;
            let so_far = report.error.map_or_else(String::new, |so_far| so_far + "\n");
            report.error = Some(so_far + &error);
        }
    }
    let _ = hooks::run(promotion, When::After, &mut report);
    report.seconds = start.elapsed().as_secs_f64();
    if let Err(error) = journal.put_back(&report) {
        report.seen = Some(error);
    }
    report
}

fn run(promotion: &Promotion<'_>, step: &'static Step, progress: &mut Progress, journal: &mut Journal<'_>) -> StepReport {
    let start = Instant::now();
    let mut report = StepReport::new(step.name, step.about, StepOutcome::Done);
    // A host that gives no answer is told by the guard; a journal that cannot be read ends everything.
    let guarded = (step.guard)(promotion, progress, journal);
    let result = journal.known().and(guarded).and_then(|seen| {
        report.seen = seen;
        if step.changes {
            journal.began(step.name, progress.seen.as_ref())?;
        }
        hooks::run(promotion, When::Before, &mut report)?;
        let wanted = (step.wanted)(promotion, progress);
        match carry_out(promotion, promotion.inputs.spec, Some(promotion.host), &wanted, step, &mut report) {
            Err(why) if step.aside => report.warnings.extend(why.lines().map(str::to_owned)),
            carried => carried?,
        }
        if let Some(seen) = (step.after)(promotion, progress, journal)? {
            report.seen = Some(seen)
        }
        hooks::run(promotion, When::After, &mut report)
    });
    report.seconds = start.elapsed().as_secs_f64();
    if let Err(error) = &result {
        report.outcome = StepOutcome::Failed;
        report.error = Some(error.clone());
    }
    if step.changes
        && let Err(error) = journal.ended(&report)
    {
        report.add(&error);
    }
    report
}

/// Makes the wanted resources hold; tells what was done, and what failed though they hold.
fn carry_out(
    promotion: &Promotion<'_>,
    spec: &Spec,
    promoting: Option<&HostName>,
    wanted: &[Wanted],
    step: &Step,
    report: &mut StepReport,
) -> Result<(), String> {
    if wanted.is_empty() {
        return Ok(());
    }
    let consent = BTreeSet::new();
    let limits =
        Limits { spec, patience: promotion.patience(step.patience), consent: &consent, promoting, restarts: true, trusting: step.trusting };
    let reports = converge(promotion.fleet, wanted, &limits, promotion.watch).map_err(|violation| violation.to_string())?;
    let mut wrong = Vec::new();
    for resource in &reports {
        let holds = resource.state == State::Holds;
        if resource.outcome == Some(Outcome::Changed) {
            report.done.extend(resource.actions.iter().map(|action| action.title.clone()));
        }
        if holds && resource.outcome != Some(Outcome::Failed) {
            continue;
        }
        let waits = || resource.on.as_ref().map(|on| format!("waits for {on}"));
        let why = resource.error.clone().or_else(waits).or_else(|| resource.discards.clone());
        let said = format!("{}: {}", resource.id(), why.unwrap_or_else(|| "still differs".into()));
        if step.moving && resource.still_differs {
            report.add("users work, so some differs again");
            continue;
        }
        match holds {
            true => report.warnings.push(format!("{said}; what was wanted holds all the same")),
            false => wrong.push(said),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Takes locks. A timer's sync on a standby must not keep a promotion waiting: it is stopped. What it
/// had copied stays; what it was copying never took its place.
///
/// # Errors
/// Somebody else holds one.
pub fn lock(fleet: &Fleet, holder: &str, hosts: &[&HostName]) -> Result<(), (HostName, HostError)> {
    let take = || fleet.lock(hosts.iter().copied(), holder);
    let Err((_, HostError::Locked { .. })) = take() else { return take() };
    for host in hosts {
        for unit in TIMERS.into_iter().chain(SERVICES).filter_map(|name| name.parse().ok()) {
            // A unit that is not there cannot be stopped, and need not be.
            let _ = fleet.act(host, &Action::Unit { unit, verb: UnitVerb::Stop });
        }
    }
    for _ in 0..20 {
        if take().is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    take()
}

/// Facts of a few looks.
pub(crate) fn look(promotion: &Promotion<'_>, host: &HostName, looks: &[Look]) -> Facts {
    promotion.fleet.look(looks.iter().map(|look| (host.clone(), look.clone())))
}

/// The host takes writes and no promotion of it is open.
pub fn nothing_to_do(fleet: &Fleet, spec: &Spec, host: &HostName) -> bool {
    let Some(at) = cluster_at(spec, host) else { return false };
    let journal = journal::path(spec, Verb::Promote);
    let looks = [Look::Server(at.cluster.clone()), Look::Record(journal.clone())];
    let facts = fleet.look(looks.into_iter().map(|look| (host.clone(), look)));
    let closed = facts.record(host, &journal).is_ok_and(|record| record.as_ref().is_none_or(|record| open(record) == Ok(None)));
    at.server(&facts).is_ok_and(|server| server.is_some_and(|server| !server.in_recovery)) && closed
}

/// The standby a spec would promote if none is named: its only one.
pub fn only_standby(spec: &Spec) -> Option<&HostName> {
    let mut standbys = spec.standbys();
    standbys.next().filter(|_| standbys.next().is_none())
}
