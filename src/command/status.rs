//! `otr status`: how the pair stands. Exit 1 where no standby could be promoted now.

use anyhow::Result;

use super::{Exit, Session, locked, open_fleet, print};
use crate::cli::Global;
use crate::status::{looks, second_looks, status, tell_apart};

pub fn run(global: &Global) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let fleet = match open_fleet(&session, spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    let mut status = status(spec, &fleet.look(looks(spec)));
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
