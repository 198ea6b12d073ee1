//! `otr sync`: move data from production to the standbys.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use clap::ValueEnum;

use super::progress::Progress;
use super::{Exit, Session, lock_fleet, locked, open_fleet, report, show};
use crate::action::Action;
use crate::action::keep::Share;
use crate::cli::{Data, Global, SyncArgs};
use crate::converge::{Limits, plan};
use crate::history::Copied;
use crate::report::{Outcome, State, of_plan};
use crate::resource::Kind;
use crate::sync::{Stores, stores, sync};
use crate::wanted::{Inputs, all, data};

pub fn run(global: &Global, args: &SyncArgs) -> Result<Exit> {
    if args.follow {
        ensure!(args.what == Data::Filestore, "only filestores are followed: otr sync filestore --follow");
        return super::follow::run(global, args.every);
    }
    with(global, &Session::open(global)?, args)
}

pub(super) fn with(global: &Global, session: &Session, args: &SyncArgs) -> Result<Exit> {
    let ready = session.ready(session.loaded.spec.clone());
    let takes = |kind: Kind| match args.what {
        Data::All => true,
        Data::Stored => !is_clone(kind),
        // The other end is this very program.
        Data::Filestore | Data::Scrub => matches!(kind, Kind::Filestore | Kind::File),
        Data::Sessions => kind == Kind::Sessions,
        Data::Packages => matches!(kind, Kind::Sources | Kind::Debconf | Kind::Packages),
        Data::Pip => kind == Kind::Pip,
        Data::Addons => kind == Kind::Addons,
        Data::Config => matches!(kind, Kind::OdooConf | Kind::Clone),
    };
    let inputs = Inputs { checksum: args.checksum, ..ready.inputs(session, false) };
    let mut wanted = if args.what.has_clones() { clones(inputs, |kind| is_clone(kind) && takes(kind)) } else { Vec::new() };
    if args.what.has_data() {
        wanted.extend(data(inputs).into_iter().filter(|w| takes(w.resource.id().kind)));
    }
    ensure!(
        args.what.has_data() || !wanted.is_empty(),
        "the spec says nothing of that: `packages`, `pip`, `odoo`, `odoo.addons`, or `files` with `clone`"
    );
    // On this very host this very program does the work, wherever it lies.
    let is_here =
        |host: &crate::name::HostName| session.here.as_ref() == Some(host) || ready.spec.hosts.get(host).is_some_and(|h| h.is_local());
    wanted.retain(|w| w.resource.id().kind != Kind::File || !is_here(&w.resource.id().host));
    let fleet = match open_fleet(session, &ready.spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    if args.dry_run {
        let report = report("sync", &ready.spec, &fleet, of_plan(&plan(&fleet, &wanted), &Default::default()));
        show(global, &report)?;
        return Ok(super::plan::exit(&report, false));
    }
    if !args.despite_pause && super::pause::rests(global, "sync", &ready.spec, &fleet)? {
        return Ok(Exit::Done);
    }
    if let Err((host, error)) = lock_fleet(&fleet, &ready.spec, "sync") {
        return locked(global, &host, &error);
    }
    let progress = Progress::new(global);
    let limits = Limits {
        spec: &ready.spec,
        patience: Duration::from_secs(10),
        consent: &BTreeSet::new(),
        promoting: None,
        restarts: false,
        trusting: false,
    };
    wanted.retain(|w| w.resource.id().kind != Kind::Filestore);
    let said = ready.spec.filestore.scrub.map_or(100.0, |share| share.0);
    let scrub = (args.what == Data::Scrub).then(|| Share::percent(args.share.unwrap_or(said)));
    let stores = match args.what.has_stores() {
        true => stores(&ready.spec, Stores { allow_delete: args.allow_delete, scrub }),
        false => Vec::new(),
    };
    let synced = sync(&fleet, &wanted, &stores, &limits, &progress)?;
    progress.finish();
    let mut report = report("sync", &ready.spec, &fleet, synced.resources);
    let silent = report.hosts.iter().any(|h| h.error.is_some());
    let fails =
        |r: &&crate::report::ResourceReport| matches!(r.outcome, Some(Outcome::Failed | Outcome::NotReached)) || r.state == State::Unseen;
    let failed: Vec<Kind> = report.resources.iter().filter(fails).map(|r| r.kind).collect();
    report.notes = synced.notes;
    if args.what.has_stores() {
        report.notes.extend(shared(&ready.spec));
    }
    // A promotion must not take a change of software for a copy of data, nor one that failed for data that is old.
    if args.what.has_data() {
        let name = args.what.to_possible_value().map(|value| value.get_name().to_owned());
        let what = name.filter(|_| !matches!(args.what, Data::Stored | Data::All));
        let data_failed = silent || failed.iter().any(|kind| !is_clone(*kind));
        report.notes.extend(note(session, &fleet, data_failed, what));
    }
    let failed = silent || !failed.is_empty();
    show(global, &report)?;
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// Stores that are nobody's copy, said so that nobody takes silence for a copy.
fn shared(spec: &crate::spec::Spec) -> Vec<String> {
    let Some(odoo) = &spec.odoo else { return Vec::new() };
    let is = |name: &&crate::name::DatabaseName| spec.is_shared(&odoo.data_dir.join("filestore").join(name.as_str()));
    odoo.databases
        .iter()
        .filter(is)
        .map(|name| format!("the filestore of {name} is on shared storage: nothing of it is copied, and there is no second copy"))
        .collect()
}

/// Software and configuration.
fn is_clone(kind: Kind) -> bool {
    matches!(kind, Kind::Sources | Kind::Debconf | Kind::Packages | Kind::Pip | Kind::Addons | Kind::OdooConf | Kind::Clone)
}

/// What `apply` would do on the standbys, as far as `takes` says; and the services that read what is taken.
fn clones(inputs: Inputs<'_>, takes: impl Fn(Kind) -> bool) -> Vec<crate::resource::Wanted> {
    let standby = |host: &crate::name::HostName| inputs.spec.role(host) == crate::spec::Role::Standby;
    let reads = |w: &crate::resource::Wanted| w.needs.iter().any(|need| need.kind == Kind::Clone && takes(Kind::Clone));
    let asked = |w: &crate::resource::Wanted| standby(&w.resource.id().host) && (takes(w.resource.id().kind) || reads(w));
    all(inputs).into_iter().filter(asked).collect()
}

/// Puts the run on record on each standby: a promotion reads when the last good one was.
pub(super) fn note(session: &Session, fleet: &crate::fleet::Fleet, failed: bool, what: Option<String>) -> Vec<String> {
    let spec = &session.loaded.spec;
    let copied = Copied { at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(), ok: !failed, what: what.clone() };
    let Ok(line) = serde_json::to_string(&copied) else { return Vec::new() };
    let mut actions = vec![Action::AppendJournal { path: Copied::path(spec), line, rotates: true }];
    if let (Some(path), false) = (&spec.schedule.summary_file, failed) {
        // The form of the predecessor's ot-write-summary, in UTC.
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace('T', " ").replace('Z', "");
        let line = format!("{at} :  otr sync{}", what.map(|what| format!(" {what}")).unwrap_or_default());
        actions.push(Action::AppendJournal { path: path.clone(), line, rotates: false });
    }
    // A good copy is good without its record; that there is none must be said.
    spec.standbys()
        .filter(|host| crate::plan::check::may_change(spec, host))
        .flat_map(|host| actions.iter().map(move |action| (host, action)))
        .filter_map(|(host, action)| fleet.act(host, action).err().map(|error| format!("{host}: this run is not on record: {error}")))
        .collect()
}
