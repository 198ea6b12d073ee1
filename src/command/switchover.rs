//! `otr switchover`: production and standby change places; nothing is lost.

use anyhow::{Context, Result, bail};

use super::progress::Progress;
use super::promote::{end, nothing, old_production};
use super::{Exit, Session, ask, complain, locked, open_fleet};
use crate::cli::{Global, SwitchoverArgs};
use crate::promote::{Promotion, Verb, lock, nothing_to_do, only_standby, promote};

pub fn run(global: &Global, args: &SwitchoverArgs) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let host = match &args.host {
        Some(host) => host.clone(),
        None => only_standby(spec).cloned().context("to which standby? the spec has none or several; say `otr switchover HOST`")?,
    };
    let old = old_production(spec, &host)?;
    let ready = session.ready(spec.with_production(&host));
    let before = session.ready(spec.with_production(&old));
    let fleet = match open_fleet(&session, &ready.spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    if spec.production == host && nothing_to_do(&fleet, spec, &host) {
        return nothing(global, "switchover", &host);
    }
    if !args.dry_run {
        if let Err((host, error)) = lock(&fleet, &super::holder("switchover"), &[&host, &old]) {
            return locked(global, &host, &error);
        }
        if !args.yes {
            complain(format!("{host} and {old} change places. Nobody can work for the seconds between, and nothing is lost."));
            match ask(&format!("Type {host} to go on:"))? {
                Some(answer) if answer == host.as_str() => {}
                Some(_) => bail!("nothing was done"),
                None => bail!("there is no terminal to ask on; say --yes"),
            }
        }
    }
    let (progress, by) = (Progress::new(global), super::holder("switchover"));
    let promotion = Promotion {
        verb: Verb::Switchover,
        connect: Some(session.connector.as_ref()),
        fleet: &fleet,
        inputs: ready.inputs(&session, true),
        before: Some(before.inputs(&session, true)),
        host: &host,
        old: &old,
        keep_diverged: true,
        despite_drift: args.despite_drift,
        despite_better: None,
        stated_down: None,
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
