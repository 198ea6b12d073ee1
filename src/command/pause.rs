//! `otr pause` and `otr resume`: the timers on the standbys rest for a while. And what `sync`,
//! the timers and `--follow` ask before they begin.
//!
//! Nothing here is asked by `promote`, `switchover` or `rejoin`: a pause never blocks them.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use super::{Exit, Session, print, print_json, report, show, who};
use crate::action::Action;
use crate::cli::{Global, PauseArgs, ResumeArgs};
use crate::fleet::Fleet;
use crate::history::pause::Pause;
use crate::name::HostName;
use crate::plan::check::may_change;
use crate::record::Record;
use crate::spec::Spec;
use crate::status::{pause_looks, paused};

/// What became of one standby.
#[derive(Debug, Serialize)]
struct Told {
    host: HostName,
    /// The pause that is on, or would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Pause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub fn run(global: &Global, args: &PauseArgs) -> Result<Exit> {
    begin(global, &Session::open(global)?, args)
}

pub fn resume(global: &Global, args: &ResumeArgs) -> Result<Exit> {
    end(global, &Session::open(global)?, args.dry_run)
}

fn begin(global: &Global, session: &Session, args: &PauseArgs) -> Result<Exit> {
    let by = who();
    change(global, session, "pause", args.dry_run, &|now, _| Some(Pause::begin(now, args.span, &by, &args.reason)))
}

fn end(global: &Global, session: &Session, dry_run: bool) -> Result<Exit> {
    change(global, session, "resume", dry_run, &|_, _| None)
}

/// What shall be on, given the standby's clock and what is on.
type Wish<'a> = &'a dyn Fn(f64, Option<&Pause>) -> Option<Pause>;

/// Puts it on record on every standby, and looks whether it is there.
fn change(global: &Global, session: &Session, verb: &'static str, dry_run: bool, wish: Wish<'_>) -> Result<Exit> {
    let spec = &session.loaded.spec;
    let standbys: Vec<HostName> = spec.standbys().filter(|host| may_change(spec, host)).cloned().collect();
    ensure!(!standbys.is_empty(), "the spec has no standby that otr may change: nothing runs there, so there is nothing to {verb}");
    let fleet = Fleet::open(session.connector.as_ref(), &standbys);
    let told: Vec<Told> = standbys
        .iter()
        .map(|host| match change_one(spec, &fleet, host, dry_run, wish) {
            Ok(paused) => Told { host: host.clone(), paused, error: None },
            Err(error) => Told { host: host.clone(), paused: None, error: Some(error.to_string()) },
        })
        .collect();
    if global.json {
        print_json(&serde_json::json!({ "format": 1, "verb": verb, "spec": spec.name, "hosts": told }))?;
    } else {
        for Told { host, paused, error } in &told {
            print(&match (error, paused) {
                (Some(error), _) => format!("{host}: {verb} failed: {error}"),
                (None, Some(pause)) if dry_run => format!("{host} would be {}", pause.words()),
                (None, Some(pause)) => format!("{host} is {}", pause.words()),
                (None, None) if dry_run => format!("{host} would not be paused"),
                (None, None) => format!("{host} is not paused"),
            })?;
        }
    }
    Ok(if told.iter().any(|one| one.error.is_some()) { Exit::Failed } else { Exit::Done })
}

fn change_one(spec: &Spec, fleet: &Fleet, host: &HostName, dry_run: bool, wish: Wish<'_>) -> Result<Option<Pause>> {
    let facts = fleet.look(pause_looks(spec, host));
    let (is, now) = (paused(spec, &facts, host)?, facts.machine(host)?.now);
    let wanted = wish(now, is.as_ref());
    let line = match &wanted {
        Some(pause) => pause.line(),
        None => is.as_ref().and_then(|_| Pause::resume(now, &who())),
    };
    let Some(line) = line.filter(|_| !dry_run) else { return Ok(wanted) };
    fleet.act(host, &Action::AppendJournal { path: Pause::path(spec), line, rotates: true })?;
    let seen = paused(spec, &fleet.look(pause_looks(spec, host)), host)?;
    ensure!(seen == wanted, "{} does not say so afterwards; run it again", Pause::path(spec).display());
    Ok(seen)
}

/// Why a run rests, if a standby is paused.
///
/// # Errors
/// It could not be seen on a standby that answers.
pub(super) fn why_it_rests(spec: &Spec, fleet: &Fleet) -> Result<Option<String>> {
    let standbys: Vec<&HostName> = spec.standbys().filter(|host| may_change(spec, host)).collect();
    let facts = fleet.look(standbys.iter().flat_map(|host| pause_looks(spec, host)));
    let mut words = Vec::new();
    for host in standbys {
        match paused(spec, &facts, host) {
            Ok(pause) => words.extend(pause.map(|pause| format!("{host} is {}", pause.words()))),
            // It is told by what comes next.
            Err(_) if facts.unreachable(host).is_some() => {}
            Err(error) => bail!("whether {host} is paused was not seen: {error}"),
        }
    }
    Ok((!words.is_empty()).then(|| format!("{}. Nothing was done; `otr resume` ends the pause", words.join("; "))))
}

/// Whether this run rests because a standby is paused; says so.
///
/// # Errors
/// As [`why_it_rests`].
pub(super) fn rests(global: &Global, verb: &'static str, spec: &Spec, fleet: &Fleet) -> Result<bool> {
    let Some(words) = why_it_rests(spec, fleet)? else { return Ok(false) };
    if global.json {
        let mut report = report(verb, spec, fleet, Vec::new());
        report.notes.push(words);
        show(global, &report)?;
    } else {
        print(&words)?;
    }
    Ok(true)
}

/// Why what runs on the standby itself rests, if it does.
pub(super) fn resting_here(record: &Path) -> Option<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let read = || match std::fs::symlink_metadata(record)?.is_file() {
        true => std::fs::read(record),
        false => Err(std::io::Error::other("it is no file")),
    };
    match read() {
        Ok(bytes) => Pause::active(&Record::of(&bytes, bytes.len() as u64), now).map(|pause| pause.words()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("rests: whether it is paused was not seen: {}: {error}", record.display())),
    }
}

#[cfg(test)]
mod tests;
