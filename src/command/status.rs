//! `otr status`: how the pair stands. Exit 1 where no standby could be promoted now.

use anyhow::Result;

use super::{Exit, Session, locked, open_fleet, print};
use crate::cli::Global;
use crate::fleet::Fleet;
use crate::plan::life::heard;
use crate::promote::life;
use crate::spec::Spec;
use crate::status::{Status, looks, second_looks, status, tell_apart, with_signs};

pub fn run(global: &Global) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let fleet = match open_fleet(&session, spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    let mut status = seen(&fleet, spec);
    let more = second_looks(spec, &status);
    if !more.is_empty() {
        tell_apart(spec, &mut status, &fleet.look(more));
    }
    match global.json {
        true => print(&serde_json::to_string_pretty(&status)?)?,
        false => print(crate::report::status::render(&status, super::style(global)).trim_end())?,
    }
    Ok(if status.ready { Exit::Done } else { Exit::Failed })
}

/// Of a production that gives no answer the other hosts are asked.
pub(super) fn seen(fleet: &Fleet, spec: &Spec) -> Status {
    let facts = fleet.look(looks(spec));
    let first = status(spec, &facts);
    let production = &spec.production;
    if !first.production_silent || fleet.unreachable(production).is_none() {
        return first;
    }
    with_signs(spec, &facts, life::seen(fleet, spec, production, &heard(spec, production, &facts), life::NEXT))
}
