//! `otr rejoin`: an old production follows the new one.

use anyhow::{Result, bail};

use super::progress::Progress;
use super::promote::end;
use super::{Exit, Session, ask, locked, open_fleet, print};
use crate::cli::{Global, RejoinArgs};
use crate::promote::{Promotion, StepOutcome, Verb, lock, promote};
use crate::report::promotion::render;
use crate::spec::Role;

pub fn run(global: &Global, args: &RejoinArgs) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let old = &args.host;
    match spec.hosts.contains_key(old).then(|| spec.role(old)) {
        None => bail!("{old}: the spec has no such host"),
        Some(Role::Witness) => bail!("{old} is a witness and holds no data"),
        Some(Role::Production) => {
            bail!("the spec says that {old} is production; name the host that is it now in the line `production:` first")
        }
        Some(Role::Standby) => {}
    }
    let ready = session.ready(spec.clone());
    let host = spec.production.clone();
    let fleet = match open_fleet(&session, &ready.spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    if let (false, Err((host, error))) = (args.dry_run, lock(&fleet, &super::holder("rejoin"), &[&host, old])) {
        return locked(global, &host, &error);
    }
    let (progress, by) = (Progress::new(global), super::holder("rejoin"));
    let mut promotion = Promotion {
        verb: Verb::Rejoin,
        connect: Some(session.connector.as_ref()),
        fleet: &fleet,
        inputs: ready.inputs(&session, true),
        before: None,
        host: &host,
        old,
        keep_diverged: args.keep_diverged,
        despite_drift: false,
        despite_better: None,
        stated_down: None,
        by: &by,
        snapshot: None,
        watch: &progress,
        dry_run: true,
        at_once: false,
    };
    if !args.dry_run {
        if !args.yes {
            let shown = promote(&promotion);
            print(render(&shown, super::style(global)).trim_end())?;
            if shown.steps.iter().any(|step| step.outcome == StepOutcome::Failed) {
                return Ok(Exit::Failed);
            }
            match ask(&format!("Type {old} to make it a standby of {host}:"))? {
                Some(answer) if answer == old.as_str() => {}
                Some(_) => bail!("nothing was done"),
                None => bail!("there is no terminal to ask on; say --yes"),
            }
        }
        promotion.dry_run = false;
    }
    let report = promote(&promotion);
    progress.finish();
    end(global, &session, report, false)
}
