//! Promotion: a standby becomes production. A table of steps, each of them wanted resources
//! behind a guard, carried out by the same machinery as `apply`.
//!
//! Truth comes from facts, the journal records intent: a promotion that was killed is run
//! again from the top and finds what was done holding. After the server was promoted there
//! is no way back, only forward.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::converge::{Limits, Watch, converge};
use crate::facts::Facts;
use crate::fleet::Fleet;
use crate::look::Look;
use crate::name::HostName;
use crate::report::{Outcome, State};
use crate::resource::Wanted;
use crate::spec::Spec;
use crate::wanted::{Inputs, cluster_at};

pub mod fence;
pub mod journal;
pub mod loss;
pub mod smoke;
pub mod steps;

use journal::Journal;
use loss::Lost;
use smoke::Smoke;
use steps::{STEPS, Step};

/// A promotion under way.
pub struct Promotion<'a> {
    /// The open hosts.
    pub fleet: &'a Fleet,
    /// What is wanted, with the promoted host as production already.
    pub inputs: Inputs<'a>,
    /// Who becomes production.
    pub host: &'a HostName,
    /// Who was.
    pub old: &'a HostName,
    /// What a person stated: this host is down.
    pub stated_down: Option<&'a HostName>,
    /// Says what happens.
    pub watch: &'a dyn Watch,
    /// Only look.
    pub dry_run: bool,
}

/// What a promotion did, step by step, and what was lost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromoteReport {
    /// The version of this format.
    pub version: u32,
    /// `promote`.
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
    /// Every step succeeded.
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
}

/// Runs the steps.
pub fn promote(promotion: &Promotion<'_>) -> PromoteReport {
    let mut progress = Progress::default();
    let mut journal = Journal::new(promotion);
    let mut steps = Vec::new();
    let mut failed = false;
    for step in STEPS {
        if failed || (promotion.dry_run && step.changes) {
            let outcome = if failed { StepOutcome::NotReached } else { StepOutcome::Planned };
            steps.push(StepReport { step: step.name, about: step.about, outcome, seconds: 0.0, done: Vec::new(), seen: None, error: None });
            continue;
        }
        let report = run(promotion, step, &mut progress, &mut journal);
        failed = report.outcome == StepOutcome::Failed;
        steps.push(report);
    }
    let promoted = !failed && !promotion.dry_run;
    let lost = if promotion.dry_run { None } else { loss::lost(promotion, progress.before.as_ref()) };
    PromoteReport {
        version: 1,
        verb: "promote",
        spec: promotion.inputs.spec.name.to_string(),
        host: promotion.host.clone(),
        old_production: promotion.old.clone(),
        next: next(promotion, promoted),
        steps,
        lost,
        smoke: progress.smoke,
        promoted,
    }
}

fn run(promotion: &Promotion<'_>, step: &'static Step, progress: &mut Progress, journal: &mut Journal<'_>) -> StepReport {
    let start = Instant::now();
    let mut report = StepReport {
        step: step.name,
        about: step.about,
        outcome: StepOutcome::Done,
        seconds: 0.0,
        done: Vec::new(),
        seen: None,
        error: None,
    };
    let result = (step.guard)(promotion, progress, journal).and_then(|seen| {
        report.seen = seen;
        if step.changes && !promotion.dry_run {
            journal.began(step.name)?;
        }
        let (done, result) = carry_out(promotion, &(step.wanted)(promotion, progress), step.patience);
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

fn carry_out(promotion: &Promotion<'_>, wanted: &[Wanted], patience: u64) -> (Vec<String>, Result<(), String>) {
    if wanted.is_empty() {
        return (Vec::new(), Ok(()));
    }
    let consent = BTreeSet::new();
    let limits =
        Limits { spec: promotion.inputs.spec, patience: Duration::from_secs(patience), consent: &consent, promoting: Some(promotion.host) };
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

/// What only a person can do.
fn next(promotion: &Promotion<'_>, promoted: bool) -> Vec<String> {
    if !promoted {
        return vec![format!("mend what failed and run `otr promote {}` again: what is done stays done", promotion.host)];
    }
    vec![
        format!("change one line of the spec: `production: {}` (or run promote with --write-spec)", promotion.host),
        format!("keep {} from starting Odoo and PostgreSQL when it comes back: it would take writes too", promotion.old),
        format!("point DNS and reverse proxies at {}", promotion.host),
        "log in and look at the last orders, invoices and stock moves; tell the users what was lost".into(),
    ]
}

/// Facts of a few looks.
pub(crate) fn look(promotion: &Promotion<'_>, host: &HostName, looks: &[Look]) -> Facts {
    promotion.fleet.look(looks.iter().map(|look| (host.clone(), look.clone())))
}

/// The host takes writes and no promotion of it is open.
pub fn nothing_to_do(fleet: &Fleet, spec: &Spec, host: &HostName) -> bool {
    let Some(at) = cluster_at(spec, host) else { return false };
    let journal = journal::path(spec);
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
