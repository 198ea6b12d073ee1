//! `otr incident`: the record of a promotion, switchover or rejoin, read from the journals.

use anyhow::{Result, bail};

use super::{Exit, Session, holder, locked, open_fleet, print};
use crate::cli::{Global, IncidentArgs};
use crate::fleet::Fleet;
use crate::look::Look;
use crate::name::HostName;
use crate::promote::Verb;
use crate::promote::incident::Incident;
use crate::promote::journal::{Event, appended, now, path};
use crate::report::incident::{markdown, render, summary};
use crate::spec::Spec;

pub fn run(global: &Global, args: &IncidentArgs) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let fleet = match open_fleet(&session, spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    let (mut incidents, unseen) = read(spec, &fleet);
    for (host, why) in &unseen {
        let why = fleet.unreachable(host).unwrap_or_else(|| why.clone());
        eprintln!("note: the journals of {host} could not be read: {why}");
    }
    // What is on record may be on a host that was not seen.
    let elsewhere = if unseen.is_empty() { "" } else { " where it could be read" };
    if let Some(text) = &args.note {
        let Some((verb, host)) = incidents.last().map(|last| (last.verb(), last.recorded_on.clone())) else {
            bail!("no incident is on record{elsewhere}, so there is none to add a note to")
        };
        let event = Event::Note { at: now(), by: holder("incident"), text: text.clone(), done: args.done };
        let action = appended(&path(spec, verb), &[event]).map_err(anyhow::Error::msg)?;
        fleet.act(&host, &action)?;
        incidents = read(spec, &fleet).0;
    }
    incidents.reverse();
    if args.list {
        match global.json {
            true => print(&serde_json::to_string_pretty(&incidents)?)?,
            false => {
                let lines: Vec<String> = (1..).zip(&incidents).map(|(number, incident)| summary(number, incident)).collect();
                print(&lines.join("\n"))?;
            }
        }
        return Ok(Exit::Done);
    }
    let Some(incident) = incidents.get(args.number.saturating_sub(1)) else {
        bail!("no promotion, switchover or rejoin number {} is on record{elsewhere}", args.number)
    };
    match (global.json, args.markdown) {
        (true, _) => print(&serde_json::to_string_pretty(incident)?)?,
        (false, true) => print(markdown(incident).trim_end())?,
        (false, false) => print(render(incident, super::style(global)).trim_end())?,
    }
    Ok(Exit::Done)
}

/// Every incident of every member, the oldest first, and whose journals were not seen.
fn read(spec: &Spec, fleet: &Fleet) -> (Vec<Incident>, Vec<(HostName, String)>) {
    let paths = [Verb::Promote, Verb::Rejoin].map(|verb| path(spec, verb));
    let looks = spec.members().flat_map(|host| paths.iter().map(|path| (host.clone(), Look::Content(path.clone()))));
    let facts = fleet.look(looks.collect::<Vec<_>>());
    let (mut incidents, mut unseen) = (Vec::new(), Vec::new());
    for host in spec.members() {
        for path in &paths {
            match facts.content(host, path) {
                Ok(Some(content)) => incidents.extend(Incident::read(host, &content.text)),
                Ok(None) => {}
                Err(error) => unseen.push((host.clone(), error.to_string())),
            }
        }
    }
    unseen.dedup_by(|a, b| a.0 == b.0);
    // RFC 3339 in UTC sorts as text.
    incidents.sort_by(|a, b| a.begin.at.cmp(&b.begin.at));
    (incidents, unseen)
}
