//! `otr plan`: look at every host once and show what differs.

use anyhow::{Context, Result};

use super::{Exit, Ready, Session, locked, open_fleet, print, print_json, report, select, show, style};
use crate::cli::{Format, Global, PlanArgs, Selection};
use crate::fleet::Fleet;
use crate::plan::{behind, interruption, split};
use crate::report::{Report, State, junit, markdown, of_plan, text};
use crate::resource::Wanted;
use crate::wanted::all;

pub fn run(global: &Global, args: &PlanArgs) -> Result<Exit> {
    with(global, &Session::open(global)?, args)
}

pub(super) fn with(global: &Global, session: &Session, args: &PlanArgs) -> Result<Exit> {
    let ready = session.ready(session.loaded.spec.clone());
    let wanted = select(all(ready.inputs(session, false)), &args.selection, &ready.spec)?;
    let fleet = match open_fleet(session, &ready.spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    if args.scheduled && super::pause::rests(global, "plan", &ready.spec, &fleet)? {
        return Ok(Exit::Done);
    }
    let report = look(&ready, &fleet, &wanted);
    match args.format {
        None => show(global, &report)?,
        Some(Format::Text) => print(text::render(&report, style(global)).trim_end())?,
        Some(Format::Json) => print_json(&report)?,
        Some(Format::Markdown) => print(markdown::render(&report).trim_end())?,
        Some(Format::Junit) => print(junit::render(&report).trim_end())?,
    }
    if let Some(path) = &args.out {
        let saved = Saved::new(&report, &args.selection);
        std::fs::write(path, serde_json::to_string_pretty(&saved)?).with_context(|| path.display().to_string())?;
    }
    Ok(exit(&report, args.detailed_exitcode))
}

/// Looks once and makes the report of a plan.
pub fn look(ready: &Ready, fleet: &Fleet, wanted: &[Wanted]) -> Report {
    let facts = crate::converge::look(fleet, wanted, split::looks(&ready.spec));
    let plan = interruption::planned(wanted, &ready.spec, &facts);
    let observed = ready.spec.machines().map(|host| (host.clone(), !crate::plan::check::may_change(&ready.spec, host))).collect();
    let mut report = report("plan", &ready.spec, fleet, of_plan(&plan, &observed));
    let split = split::split_brain(&ready.spec, &facts).map(|(_, words)| words);
    report.split_brain = split.is_some();
    let stale = split::stale(&ready.spec, &facts).map(|newer| newer.words(&ready.spec.production));
    report.stale_spec = stale.is_some();
    report.notes = split.into_iter().chain(stale).chain(behind::behind(&ready.spec, &facts)).collect();
    report.notes.extend(crate::plan::check::check(&plan, &ready.spec, None).iter().map(|v| format!("apply will refuse this plan: {v}")));
    report
}

/// 0 without drift, 2 with it where asked for, 1 if something managed could not be seen.
pub fn exit(report: &Report, detailed: bool) -> Exit {
    let managed = |r: &&crate::report::ResourceReport| !report.hosts.iter().any(|h| h.host == r.host && h.observed);
    let unreachable = report.hosts.iter().any(|h| h.error.is_some());
    if report.split_brain
        || report.stale_spec
        || unreachable
        || report.resources.iter().filter(managed).any(|r| matches!(r.state, State::Unseen | State::Refused))
    {
        Exit::Failed
    } else if detailed && report.resources.iter().any(|r| matches!(r.state, State::Change | State::Waits)) {
        Exit::Drift
    } else {
        Exit::Done
    }
}

/// A plan on disk. It is never carried out itself: `apply` makes the plan anew and compares,
/// so nothing of it needs to be trusted, and it holds no secret.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Saved {
    /// The number of this format.
    format: u32,
    /// The hosts it was limited to.
    pub hosts: Vec<crate::name::HostName>,
    /// The kinds it was limited to.
    pub only: Vec<String>,
    /// What did not hold.
    #[schemars(with = "Vec<crate::report::ResourceReport>")]
    resources: Vec<serde_json::Value>,
}

impl Saved {
    pub fn new(report: &Report, selection: &Selection) -> Self {
        let open = report.resources.iter().filter(|r| r.state != State::Holds);
        let resources = open.filter_map(|r| serde_json::to_value(r).ok()).collect();
        Self { format: 1, hosts: selection.host.clone(), only: selection.only.clone(), resources }
    }

    /// How the hosts or the spec changed since, as a diff; `None` if they did not.
    pub fn stale(&self, now: &Saved) -> Option<String> {
        if self == now {
            return None;
        }
        let text = |saved: &Saved| serde_json::to_string_pretty(&saved.resources).unwrap_or_default() + "\n";
        let (then, now) = (text(self), text(now));
        Some(
            similar::TextDiff::from_lines(then.as_str(), now.as_str())
                .unified_diff()
                .context_radius(4)
                .header("saved plan", "now")
                .to_string(),
        )
    }
}
