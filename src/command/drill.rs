//! `otr drill`: prove that a standby's data becomes a working Odoo. Nothing of it is kept, and
//! nobody is asked: neither production nor the replica is touched.

use anyhow::{Context, Result, bail};

use super::progress::Progress;
use super::{Exit, Session, locked, open_fleet, print, print_json, stale_spec};
use crate::cli::{DrillArgs, Global};
use crate::drill::{Drill, drill};
use crate::promote::{StepOutcome, only_standby};
use crate::report::drill::render;
use crate::spec::Role;

pub fn run(global: &Global, args: &DrillArgs) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let host = match &args.host {
        Some(host) => host.clone(),
        None => only_standby(spec).cloned().context("which standby? the spec has none or several; say `otr drill HOST`")?,
    };
    match spec.hosts.contains_key(&host).then(|| spec.role(&host)) {
        None => bail!("{host}: the spec has no such host"),
        Some(Role::Production) => bail!("{host} is production: a drill runs on a standby"),
        Some(Role::Witness) => bail!("{host} is a witness and holds no data"),
        Some(Role::Standby) => {}
    }
    let ready = session.ready(spec.clone());
    let fleet = match open_fleet(&session, &ready.spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    if let Some(words) = stale_spec(&fleet, &ready.spec) {
        bail!("{words}");
    }
    let progress = Progress::new(global);
    let inputs = ready.inputs(&session, false);
    let report = drill(&Drill { fleet: &fleet, inputs, host: &host, watch: &progress, dry_run: args.dry_run });
    progress.finish();
    match global.json {
        true => print_json(&report)?,
        false => print(render(&report, super::style(global)).trim_end())?,
    }
    let failed = report.steps.iter().any(|step| step.outcome == StepOutcome::Failed);
    Ok(match (report.busy, failed) {
        (true, _) => Exit::Locked,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Done,
    })
}
