//! A drill: proof that a standby's data becomes a working Odoo, without promoting it.
//!
//! A table of steps on one standby. The cluster is copied beside itself, the copy is recovered,
//! neutralised and given to an Odoo of its own, which has no network, no socket of any service,
//! and nothing of production's environment; then all of it is thrown away. What runs is bound to
//! one unit, which ends with otr's connection: nothing outlives the drill, however it ends. It
//! takes no lock of otr's, so that syncs go on; a promotion stops that unit, and the drill with it.

use std::time::{Instant, SystemTime};

use crate::action::drill::UNIT;
use crate::action::{Action, DrillAction};
use crate::converge::Watch;
use crate::fleet::Fleet;
use crate::history::drill::Drilled;
use crate::look::Look;
use crate::name::{DatabaseName, HostName};
use crate::promote::{StepOutcome, StepReport};
use crate::wanted::Inputs;

pub mod ground;
pub mod odoo;
mod steps;
mod told;

pub use steps::{STEPS, Step};
pub use told::{DatabaseDrill, DrillReport};

/// A drill under way.
pub struct Drill<'a> {
    /// The open hosts.
    pub fleet: &'a Fleet,
    /// The spec with its secrets.
    pub inputs: Inputs<'a>,
    /// The standby.
    pub host: &'a HostName,
    /// Says what happens.
    pub watch: &'a dyn Watch,
    /// Only look.
    pub dry_run: bool,
}

/// What the steps saw, handed on.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// What is copied, bytes.
    pub data: Option<u64>,
    /// The newest transaction that was replayed before the copy began.
    pub transaction: Option<String>,
    /// Odoo's own.
    pub odoo: Option<crate::action::DrilledOdoo>,
    /// When it was started.
    pub started: Option<Instant>,
    /// From its start until it listened, and from then to its first login page.
    pub answers: Option<(f64, f64)>,
    /// What each database showed.
    pub databases: Vec<DatabaseDrill>,
    /// Another drill is under way: nothing of it is touched.
    pub busy: bool,
    /// The place was made: it is thrown away at the end.
    pub begun: bool,
}

impl Progress {
    /// What a database showed so far.
    pub(crate) fn of(&mut self, database: &DatabaseName) -> &mut DatabaseDrill {
        let at = self.databases.iter().position(|drilled| drilled.database == *database).unwrap_or(self.databases.len());
        if at == self.databases.len() {
            self.databases.push(DatabaseDrill { database: database.clone(), login: 0, assets: 0, files: None });
        }
        &mut self.databases[at]
    }
}

/// Runs the steps, and throws everything away whatever came of them.
pub fn drill(drill: &Drill<'_>) -> DrillReport {
    let (begin, mut progress, mut steps, mut failed) = (Instant::now(), Progress::default(), Vec::new(), false);
    for step in STEPS {
        if failed || drill.dry_run && step.changes {
            let outcome = if failed { StepOutcome::NotReached } else { StepOutcome::Planned };
            steps.push(StepReport::new(step.name, step.about, outcome));
            continue;
        }
        let report = timed(step.name, step.about, || (step.run)(drill, &mut progress));
        failed = report.outcome == StepOutcome::Failed;
        steps.push(report);
    }
    if progress.begun {
        steps.push(timed("clear", "All of it is thrown away.", || {
            act(drill, DrillAction::End).map_err(|why| format!("{why}; it clears up by itself, or the next drill does"))
        }));
    }
    let seconds = begin.elapsed().as_secs_f64();
    let error = steps.iter().find_map(|step| step.error.as_ref().map(|why| format!("{}: {why}", step.step)));
    let mut report = DrillReport::new(drill, steps, progress, seconds);
    // A refusal is no drill.
    if let (true, Some(line)) = (report.begun, report.line(error)) {
        let path = Drilled::path(drill.inputs.spec);
        if let Err(why) = drill.fleet.act(drill.host, &Action::AppendJournal { path, line, rotates: true }) {
            report.next.push(format!("this drill is not on record: {why}"));
        }
    }
    report
}

fn timed(name: &'static str, about: &'static str, run: impl FnOnce() -> Result<Option<String>, String>) -> StepReport {
    let begin = Instant::now();
    let done = run();
    let mut report = StepReport::new(name, about, if done.is_ok() { StepOutcome::Done } else { StepOutcome::Failed });
    report.seconds = begin.elapsed().as_secs_f64();
    match done {
        Ok(seen) => report.seen = seen,
        Err(why) => report.error = Some(why),
    }
    report
}

/// Does one thing of the drill's. Where its unit is gone, somebody ended it.
pub(crate) fn act(drill: &Drill<'_>, action: DrillAction) -> Result<Option<String>, String> {
    let ends = matches!(action, DrillAction::Begin { .. } | DrillAction::End);
    match drill.fleet.act(drill.host, &Action::Drill(action)) {
        Ok(_) => Ok(None),
        Err(why) if !ends && stopped(drill) => {
            Err(format!("the drill was stopped on {} ({UNIT}): a promotion does that. {why}", drill.host))
        }
        Err(why) => Err(why.to_string()),
    }
}

/// Whether somebody stopped it.
pub(crate) fn stopped(drill: &Drill<'_>) -> bool {
    let Ok(unit) = UNIT.parse() else { return false };
    let facts = drill.fleet.look([(drill.host.clone(), Look::Unit(unit))]);
    UNIT.parse().ok().and_then(|unit| facts.unit(drill.host, &unit).ok().map(|unit| !unit.active)).unwrap_or(false)
}

/// Now, UTC.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
