//! `otr status`: how the pair stands. Exit 1 where no standby could be promoted now.

use anyhow::Result;

use super::{Exit, Ready, Session, locked, open_fleet, print, print_json};
use crate::cli::Global;
use crate::fleet::Fleet;
use crate::name::HostName;
use crate::plan::life::heard;
use crate::promote::{life, ready};
use crate::status::{Status, looks, second_looks, tell_apart, with};

pub fn run(global: &Global) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let fleet = match open_fleet(&session, spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    let mut status = seen(&session, &fleet);
    let more = second_looks(spec, &status);
    if !more.is_empty() {
        tell_apart(spec, &mut status, &fleet.look(more));
    }
    match global.json {
        true => print_json(&status)?,
        false => print(crate::report::status::render(&status, super::style(global)).trim_end())?,
    }
    Ok(if status.ready { Exit::Done } else { Exit::Failed })
}

/// Standbys are looked at as what a promotion would make of them, in the same trip; of a production that
/// gives no answer the other hosts are asked.
pub(super) fn seen(session: &Session, fleet: &Fleet) -> Status {
    let spec = &session.loaded.spec;
    let promoted: Vec<(&HostName, Ready)> =
        spec.standbys().map(|standby| (standby, session.ready(spec.with_production(standby)))).collect();
    let promoted = || promoted.iter().map(|(standby, ready)| (*standby, ready.inputs(session, true)));
    let mut facts = fleet.look(looks(spec).into_iter().chain(promoted().flat_map(|(standby, inputs)| ready::looks(inputs, standby))));
    let more: Vec<_> = promoted().flat_map(|(standby, inputs)| ready::further(inputs, standby, &facts)).collect();
    if !more.is_empty() {
        facts = facts.and(fleet.look(more));
    }
    let ahead = promoted().map(|(standby, inputs)| (standby.clone(), ready::obstacles(inputs, standby, &facts))).collect();
    let production = &spec.production;
    let silent = fleet.unreachable(production).is_some();
    let signs = silent.then(|| life::seen(fleet, spec, production, &heard(spec, production, &facts), life::NEXT));
    with(spec, &facts, signs.unwrap_or_default(), &ahead)
}
