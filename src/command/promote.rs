//! `otr promote`: make a standby production.

use anyhow::{Context, Result, bail};

use super::progress::Progress;
use super::{Exit, Session, ask, locked, open_fleet, print};
use crate::action::{Action, UnitVerb};
use crate::cli::{Global, PromoteArgs};
use crate::fleet::Fleet;
use crate::host::HostError;
use crate::name::HostName;
use crate::plan::life::Heard;
use crate::promote::{PromoteReport, Promotion, Verb, life, nothing_to_do, only_standby, promote};
use crate::report::promotion::render;
use crate::spec::{Role, Spec};
use crate::wanted::{SERVICES, TIMERS};

pub fn run(global: &Global, args: &PromoteArgs) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let host = match &args.host {
        Some(host) => host.clone(),
        None => only_standby(spec).cloned().context("which standby? the spec has none or several; say `otr promote HOST`")?,
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
        if let Err((host, error)) = lock(&fleet, "promote", &[&host]) {
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
        despite_drift: false,
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
    if report.promoted && write_spec {
        crate::spec::edit::write_production(&session.loaded.path, &report.host)?;
        report.next.retain(|line| !line.starts_with("change one line"));
        report.next.insert(0, format!("{} now says `production: {}`", session.loaded.path.display(), report.host));
    }
    match global.json {
        true => print(&serde_json::to_string_pretty(&report)?)?,
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

/// A timer's sync on the standby must not keep a promotion waiting: it is stopped. What it
/// had copied stays; what it was copying never took its place.
pub(super) fn lock(fleet: &Fleet, verb: &str, hosts: &[&HostName]) -> Result<(), (HostName, HostError)> {
    let take = || fleet.lock(hosts.iter().copied(), &super::holder(verb));
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
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    take()
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
    eprintln!(
        "{host} becomes production in place of {old}. What {old} has and {host} has not is lost, and {old} must not start again as it is."
    );
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
