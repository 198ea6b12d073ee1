//! `otr incident`: the record of a promotion, switchover or rejoin, read from the journals.

use anyhow::{Result, bail};

use super::{Exit, Session, complain, holder, locked, open_fleet, print, print_json};
use crate::cli::{Global, IncidentArgs};
use crate::fleet::Fleet;
use crate::history::promotion;
use crate::look::Look;
use crate::name::HostName;
use crate::promote::event::Event;
use crate::promote::incident::Incident;
use crate::promote::journal::{appended, now, path};
use crate::report::incident::{markdown, render, summary};
use crate::spec::Spec;

pub fn run(global: &Global, args: &IncidentArgs) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let fleet = match open_fleet(&session, spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    let (mut incidents, mut unseen) = read(spec, &fleet);
    unseen.iter_mut().for_each(|(host, why)| *why = fleet.unreachable(host).unwrap_or_else(|| std::mem::take(why)));
    unseen.dedup();
    for (host, why) in &unseen {
        complain(format!("note: not all of {host}'s journals could be read: {why}"));
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
            true => print_json(&incidents)?,
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
        (true, _) => print_json(incident)?,
        (false, true) => print(markdown(incident).trim_end())?,
        (false, false) => print(render(incident, super::style(global)).trim_end())?,
    }
    Ok(Exit::Done)
}

/// Every incident of every member, the oldest first, and what of the journals was not seen.
fn read(spec: &Spec, fleet: &Fleet) -> (Vec<Incident>, Vec<(HostName, String)>) {
    let paths = promotion::paths(spec);
    let looks = spec.members().flat_map(|host| paths.iter().map(|path| (host.clone(), Look::Record(path.clone()))));
    let facts = fleet.look(looks.collect::<Vec<_>>());
    let (mut incidents, mut unseen) = (Vec::new(), Vec::new());
    for host in spec.members() {
        for path in &paths {
            match facts.record(host, path) {
                Ok(Some(record)) => {
                    incidents.extend(Incident::read(host, record));
                    let open = promotion::open(record).err();
                    let trouble = open.into_iter().chain(record.trouble::<Event>());
                    unseen.extend(trouble.map(|why| (host.clone(), format!("{}: {why}", path.display()))));
                }
                Ok(None) => {}
                Err(error) => unseen.push((host.clone(), error.to_string())),
            }
        }
    }
    apart(fleet, &mut incidents, &mut unseen);
    // RFC 3339 in UTC sorts as text.
    incidents.sort_by(|a, b| a.begin.at.cmp(&b.begin.at));
    (incidents, unseen)
}

/// Lists that lie in files of their own.
fn apart(fleet: &Fleet, incidents: &mut [Incident], unseen: &mut Vec<(HostName, String)>) {
    let looks: Vec<_> =
        incidents.iter().flat_map(|one| one.apart().map(|list| (one.recorded_on.clone(), Look::Record(list.path.clone())))).collect();
    if looks.is_empty() {
        return;
    }
    let facts = fleet.look(looks);
    for incident in incidents {
        for why in incident.complete(&facts) {
            unseen.push((incident.recorded_on.clone(), why));
        }
    }
}
