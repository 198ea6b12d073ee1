//! Failover: a standby becomes production, unplanned or planned, and an old production becomes a
//! standby again. Each is a table of steps, a step is wanted resources behind a guard, carried
//! out by the same machinery as `apply`.
//!
//! Truth comes from facts, the journal records intent: a run that was killed is begun again
//! from the top and finds what was done holding. After the point of no return there is no way
//! back, only forward; before it a switchover that fails puts production back into service.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::converge::{Limits, Watch, converge};
use crate::epoch::Epoch;
use crate::facts::Facts;
use crate::fleet::Fleet;
use crate::host::Connect;
use crate::look::Look;
use crate::name::HostName;
use crate::report::{Outcome, State};
use crate::resource::Wanted;
use crate::spec::Spec;
use crate::wanted::{Inputs, cluster_at, on};

pub mod fence;
pub mod journal;
pub mod loss;
mod next;
pub mod rejoin;
pub mod smoke;
pub mod steps;
pub mod switchover;

use journal::Journal;
use loss::Lost;
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
    /// What a person stated: this host is down.
    pub stated_down: Option<&'a HostName>,
    /// Says what happens.
    pub watch: &'a dyn Watch,
    /// Only look.
    pub dry_run: bool,
}

/// What a promotion, switchover or rejoin did, step by step, and what was lost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromoteReport {
    /// The version of this format.
    pub version: u32,
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
    /// What was done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<String>,
    /// What was seen, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl StepReport {
    fn new(step: &'static str, about: &'static str, outcome: StepOutcome) -> Self {
        Self { step, about, outcome, seconds: 0.0, done: Vec::new(), seen: None, error: None }
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

/// What the guards saw, handed from step to step.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The timeline before the promotion.
    pub left: Option<u32>,
    /// Where the data stood before the server was promoted.
    pub before: Option<loss::Position>,
    /// What Odoo answered.
    pub smoke: Option<Smoke>,
    /// The epoch this promotion raised.
    pub epoch: Option<Epoch>,
    /// The new production takes writes: what comes before that is over.
    pub promoted: bool,
    /// A rejoin's decision.
    pub parting: Option<rejoin::Parting>,
}

/// Runs the steps.
pub fn promote(promotion: &Promotion<'_>) -> PromoteReport {
    let mut progress = Progress::default();
    let mut journal = Journal::new(promotion);
    let mut steps = Vec::new();
    let mut failed: Option<&Step> = None;
    let mut down: Option<Instant> = None;
    let mut downtime = None;
    for step in promotion.verb.steps() {
        if failed.is_some() || (promotion.dry_run && step.changes) {
            let outcome = if failed.is_some() { StepOutcome::NotReached } else { StepOutcome::Planned };
            steps.push(StepReport::new(step.name, step.about, outcome));
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
        _ if promotion.dry_run || back => None,
        _ => loss::lost(promotion, progress.before.as_ref()),
    };
    PromoteReport {
        version: 1,
        verb: promotion.verb.as_str(),
        spec: promotion.inputs.spec.name.to_string(),
        host: promotion.host.clone(),
        old_production: promotion.old.clone(),
        next: next::next(promotion, promoted, back),
        steps,
        lost,
        smoke: progress.smoke,
        downtime,
        rejoin: progress.parting,
        promoted,
    }
}

/// Production goes on as before: what was stopped is started.
fn put_back(promotion: &Promotion<'_>, before: Inputs<'_>, journal: &Journal<'_>) -> StepReport {
    let mut report = StepReport::new("put-back", "The old production is back in service.", StepOutcome::Done);
    let start = Instant::now();
    // Production first: nobody can work until it is back.
    for host in [promotion.old, promotion.host] {
        let (done, result) = carry_out(promotion, before.spec, None, &on(before, host), 60);
        report.done.extend(done);
        if let Err(error) = result {
            report.outcome = StepOutcome::Failed;
            let so_far = report.error.map_or_else(String::new, |so_far| so_far + "\n");
            report.error = Some(so_far + &error);
        }
    }
    report.seconds = start.elapsed().as_secs_f64();
    if let Err(error) = journal.put_back(report.outcome == StepOutcome::Done) {
        report.seen = Some(error);
    }
    report
}

fn run(promotion: &Promotion<'_>, step: &'static Step, progress: &mut Progress, journal: &mut Journal<'_>) -> StepReport {
    let start = Instant::now();
    let mut report = StepReport::new(step.name, step.about, StepOutcome::Done);
    let result = (step.guard)(promotion, progress, journal).and_then(|seen| {
        report.seen = seen;
        if step.changes && !promotion.dry_run {
            journal.began(step.name)?;
        }
        let wanted = (step.wanted)(promotion, progress);
        let (done, result) = carry_out(promotion, promotion.inputs.spec, Some(promotion.host), &wanted, step.patience);
        report.done = done;
        result?;
        if let Some(seen) = (step.after)(promotion, progress)? {
            report.seen = Some(seen)
        }
        Ok(())
    });
    report.seconds = start.elapsed().as_secs_f64();
    if let Err(error) = &result {
        report.outcome = StepOutcome::Failed;
        report.error = Some(error.clone());
    }
    if step.changes && !promotion.dry_run {
        // A journal that cannot be written must not undo what was done; the next run says it again.
        if let Err(error) = journal.ended(&report) {
            report.seen = Some(format!("{} ({error})", report.seen.unwrap_or_default()));
        }
    }
    report
}

fn carry_out(
    promotion: &Promotion<'_>,
    spec: &Spec,
    promoting: Option<&HostName>,
    wanted: &[Wanted],
    patience: u64,
) -> (Vec<String>, Result<(), String>) {
    if wanted.is_empty() {
        return (Vec::new(), Ok(()));
    }
    let consent = BTreeSet::new();
    let limits = Limits { spec, patience: Duration::from_secs(patience), consent: &consent, promoting };
    let reports = match converge(promotion.fleet, wanted, &limits, promotion.watch) {
        Ok(reports) => reports,
        Err(violation) => return (Vec::new(), Err(violation.to_string())),
    };
    let done =
        reports.iter().filter(|r| r.outcome == Some(Outcome::Changed)).flat_map(|r| r.actions.iter().map(|a| a.title.clone())).collect();
    let wrong: Vec<String> = reports
        .iter()
        .filter(|r| r.state != State::Holds)
        .map(|r| {
            let why = r.error.clone().or_else(|| r.on.as_ref().map(|on| format!("waits for {on}"))).or_else(|| r.discards.clone());
            format!("{}: {}", r.id(), why.unwrap_or_else(|| "still differs".into()))
        })
        .collect();
    (done, if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) })
}

/// Facts of a few looks.
pub(crate) fn look(promotion: &Promotion<'_>, host: &HostName, looks: &[Look]) -> Facts {
    promotion.fleet.look(looks.iter().map(|look| (host.clone(), look.clone())))
}

/// The host takes writes and no promotion of it is open.
pub fn nothing_to_do(fleet: &Fleet, spec: &Spec, host: &HostName) -> bool {
    let Some(at) = cluster_at(spec, host) else { return false };
    let journal = journal::path(spec, Verb::Promote);
    let looks = [Look::Server(at.cluster.clone()), Look::Content(journal.clone())];
    let facts = fleet.look(looks.into_iter().map(|look| (host.clone(), look)));
    let open = facts.content(host, &journal).map(|content| content.as_ref().is_some_and(|c| journal::open(&c.text).is_some()));
    at.server(&facts).is_ok_and(|server| server.is_some_and(|server| !server.in_recovery)) && open == Ok(false)
}

/// The standby a spec would promote if none is named: its only one.
pub fn only_standby(spec: &Spec) -> Option<&HostName> {
    let mut standbys = spec.standbys();
    standbys.next().filter(|_| standbys.next().is_none())
}
