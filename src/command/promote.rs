//! `otr promote`: make a standby production.

use anyhow::{Context, Result, bail};

use super::progress::Progress;
use super::{Exit, Session, ask, complain, locked, open_fleet, print, print_json};
use crate::cli::{Global, PromoteArgs};
use crate::name::HostName;
use crate::plan::life::Heard;
use crate::promote::{CHANGE, PromoteReport, Promotion, Verb, life, lock, nothing_to_do, only_standby, promote};
use crate::report::promotion::render;
use crate::spec::{Role, Spec};

pub fn run(global: &Global, args: &PromoteArgs) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let host = match &args.host {
        Some(host) => host.clone(),
        None => only_standby(spec)
            .cloned()
            .context("which standby? the spec has none or several; say `otr promote HOST` (`otr status` compares them)")?,
    };
    let old = old_production(spec, &host)?;
    let ready = session.ready(spec.with_production(&host));
    let fleet = match open_fleet(&session, &ready.spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    if spec.production == host && nothing_to_do(&fleet, spec, &host) {
        return nothing(global, "promote", &host);
    }
    if !args.dry_run {
        if let Err((host, error)) = lock(&fleet, &super::holder("promote"), &[&host]) {
            return locked(global, &host, &error);
        }
        if !args.yes {
            consent(&host, &old)?;
        }
    }
    let stated = match &args.production_is_down {
        Some(name) if *name != old => bail!("--production-is-down {name}: production is {old}"),
        Some(name) => Some(name.clone()),
        // A fence of the spec's needs no statement; and nobody is asked for one that would not count.
        None if fleet.unreachable(&old).is_some() && !args.dry_run && spec.failover.fence.is_none() => {
            match life::seen(&fleet, spec, &old, &Heard::new(), life::NEXT).is_empty() {
                true => state_down(&old)?,
                false => None,
            }
        }
        None => None,
    };
    let (progress, by) = (Progress::new(global), super::holder("promote"));
    let promotion = Promotion {
        verb: Verb::Promote,
        connect: Some(session.connector.as_ref()),
        fleet: &fleet,
        inputs: ready.inputs(&session, true),
        before: None,
        host: &host,
        old: &old,
        keep_diverged: true,
        despite_better: args.despite_better.as_ref(),
        despite_drift: args.despite_drift,
        stated_down: stated.as_ref(),
        by: &by,
        snapshot: args.snapshot_command.as_deref(),
        watch: &progress,
        dry_run: args.dry_run,
        at_once: false,
    };
    let report = promote(&promotion);
    progress.finish();
    end(global, &session, report, args.write_spec)
}

/// Writes the spec's one line where asked to, prints the report, and chooses the exit code.
pub(super) fn end(global: &Global, session: &Session, mut report: PromoteReport, write_spec: bool) -> Result<Exit> {
    let path = session.loaded.path.display();
    let says = |text: &str| crate::spec::load::parse(text).is_ok_and(|(spec, _)| spec.production == report.host);
    let line = match write_spec && report.promoted {
        true => match crate::spec::edit::write_production(&session.loaded.path, &report.host) {
            Ok(()) => Some(format!("{path} now says `production: {}`", report.host)),
            // What was done is told all the same.
            Err(error) => Some(error.to_string()),
        },
        // The promoted host's own copy was changed with everything else there.
        false if std::fs::read_to_string(&session.loaded.path).is_ok_and(|text| says(&text)) => {
            Some(format!("{path} says `production: {}` by now", report.host))
        }
        false => None,
    };
    for next in report.next.iter_mut().filter(|next| next.starts_with(CHANGE)) {
        *next = line.clone().unwrap_or_else(|| next.replace("the spec:", &format!("{path}:")));
    }
    match global.json {
        true => print_json(&report)?,
        false => print(render(&report, super::style(global)).trim_end())?,
    }
    let failed = report.steps.iter().any(|step| step.outcome == crate::promote::StepOutcome::Failed);
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// Says that the host is production already.
pub(super) fn nothing(global: &Global, verb: &str, host: &HostName) -> Result<Exit> {
    let said = format!("{host} is production already, in the spec and in fact; nothing to do");
    match global.json {
        true => print(
            &serde_json::json!({ "format": 1, "verb": verb, "host": host, "steps": [], "next": [said], "promoted": true }).to_string(),
        )?,
        false => print(&said)?,
    }
    Ok(Exit::Done)
}

/// Who was production: the spec's, or, where the spec was changed already, the other member.
pub(super) fn old_production(spec: &Spec, host: &HostName) -> Result<HostName> {
    if !spec.hosts.contains_key(host) {
        bail!("{host}: the spec has no such host");
    }
    match spec.role(host) {
        Role::Standby => Ok(spec.production.clone()),
        Role::Witness => bail!("{host} is a witness and holds no data"),
        Role::Production => match spec.members().filter(|member| *member != host).collect::<Vec<_>>().as_slice() {
            [other] => Ok((*other).clone()),
            _ => bail!("{host} is production already, says the spec, and which host was before is not clear: name that one in the spec"),
        },
    }
}

fn consent(host: &HostName, old: &HostName) -> Result<()> {
    complain(format!(
        "{host} becomes production in place of {old}. What {old} has and {host} has not is lost, and {old} must not start again as it is."
    ));
    match ask(&format!("Type {host} to go on:"))? {
        Some(answer) if answer == host.as_str() => Ok(()),
        Some(_) => bail!("nothing was done"),
        None => bail!("there is no terminal to ask on; say --yes"),
    }
}

/// A typed statement, put on record in the journal.
fn state_down(old: &HostName) -> Result<Option<HostName>> {
    let answer = ask(&format!("{old} cannot be reached. If you made sure that it is down (power, console), type its name:"))?;
    Ok(answer.filter(|answer| answer == old.as_str()).map(|_| old.clone()))
}
