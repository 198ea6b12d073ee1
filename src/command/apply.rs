//! `otr apply`: show the plan, ask, remove the differences, report.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};

use super::plan::{Saved, look};
use super::progress::Progress;
use super::{Exit, Session, ask, complain, consent, locked, open_fleet, print, report, select, show, style};
use crate::cli::{ApplyArgs, Global, Selection};
use crate::converge::{Limits, converge};
use crate::name::HostName;
use crate::report::{Outcome, Report, State, text};
use crate::wanted::all;

/// How long apply waits for what happens by itself: streaming begins, Redis links up.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run(global: &Global, args: &ApplyArgs) -> Result<Exit> {
    let session = Session::open(global)?;
    let ready = session.ready(session.loaded.spec.clone());
    let saved: Option<Saved> = match &args.plan {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            Some(serde_json::from_str(&text).with_context(|| format!("{} is no plan saved with `otr plan --out`", path.display()))?)
        }
    };
    let selection = match &saved {
        Some(saved) => Selection { host: saved.hosts.clone(), only: saved.only.clone() },
        None => args.selection.clone(),
    };
    let wanted = select(all(ready.inputs(&session, false)), &selection, &ready.spec)?;
    let mut consent = consent(&ready.spec, &args.replace_data)?;
    let mut restarts = args.restarts;
    let fleet = match open_fleet(&session, &ready.spec, (!args.dry_run).then_some("apply")) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    let planned = look(&ready, &fleet, &wanted);
    if let Some(difference) = saved.as_ref().and_then(|saved| saved.stale(&Saved::new(&planned, &selection))) {
        complain(format!("error: the saved plan is stale: the hosts or the spec changed since. Nothing was done.\n{difference}"));
        return Ok(Exit::Failed);
    }
    if args.dry_run {
        show(global, &planned)?;
        return Ok(super::plan::exit(&planned, false));
    }
    if !args.yes && planned.changed {
        if !global.json {
            print(text::render(&planned, style(global)).trim_end())?;
        }
        match ask("Do this? [y/N]")?.as_deref() {
            Some("y" | "Y" | "yes") => {}
            Some(_) => {
                complain("nothing was done");
                return Ok(Exit::Failed);
            }
            None => anyhow::bail!("there is no terminal to ask on; say --yes"),
        }
        ask_for_data(&planned, &mut consent)?;
        restarts = restarts || ask_for_restarts(&planned)?;
    }
    let progress = Progress::new(global);
    let limits = Limits { spec: &ready.spec, patience: PATIENCE, consent: &consent, promoting: None, restarts, trusting: false };
    let resources = match converge(&fleet, &wanted, &limits, &progress) {
        Ok(resources) => resources,
        Err(violation) => anyhow::bail!("this plan must not be carried out: {violation}"),
    };
    progress.finish();
    let report = report("apply", &ready.spec, &fleet, resources);
    show(global, &report)?;
    Ok(exit(&report))
}

/// On a terminal the host's name must be typed before its data is replaced.
fn ask_for_data(planned: &Report, consent: &mut BTreeSet<HostName>) -> Result<()> {
    for resource in planned.resources.iter().filter(|r| !consent.contains(&r.host)).cloned().collect::<Vec<_>>() {
        let Some(discards) = &resource.discards else { continue };
        if ask(&format!("{discards}.\nType {} to replace it:", resource.host))?.as_deref() == Some(resource.host.as_str()) {
            consent.insert(resource.host.clone());
        }
    }
    Ok(())
}

/// What interrupts users of production is asked for by itself; all else is done without it.
fn ask_for_restarts(planned: &Report) -> Result<bool> {
    let interruptions: Vec<&str> = planned.resources.iter().filter_map(|resource| resource.interruption.as_deref()).collect();
    if interruptions.is_empty() {
        return Ok(false);
    }
    let answer = ask(&format!("On production: {}.\nDo that too? [y/N]", interruptions.join("; ")))?;
    Ok(matches!(answer.as_deref(), Some("y" | "Y" | "yes")))
}

fn exit(report: &Report) -> Exit {
    let failed = |r: &crate::report::ResourceReport| matches!(r.outcome, Some(Outcome::Failed | Outcome::NotReached | Outcome::Left));
    let unreachable = report.hosts.iter().any(|h| h.error.is_some());
    let observed_only = |r: &crate::report::ResourceReport| r.state != State::Holds && r.outcome.is_none();
    match unreachable || report.resources.iter().any(|r| failed(r) && !observed_only(r)) {
        true => Exit::Failed,
        false => Exit::Done,
    }
}
