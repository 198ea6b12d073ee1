//! `otr doctor`: can every host be reached, read and changed? Each finding with its remedy.

use anyhow::Result;

use super::{Exit, Session, locked, open_fleet, print, print_json};
use crate::cli::Global;
use crate::doctor::{Finding, examine, looks};
use crate::fleet::Fleet;
use crate::plan::split;

pub fn run(global: &Global) -> Result<Exit> {
    let session = Session::open(global)?;
    let fleet = match open_fleet(&session, &session.loaded.spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    let findings = findings(&session, &fleet);
    let ok = findings.iter().all(|finding| finding.ok);
    if global.json {
        print_json(&serde_json::json!({ "format": 1, "verb": "doctor", "ok": ok, "findings": findings }))?;
    } else {
        for finding in &findings {
            let mark = if finding.ok { "✓" } else { "✗" };
            print(&format!("{mark} {:<8} {:<10} {}", finding.host, finding.check, finding.seen))?;
            if let Some(remedy) = &finding.remedy {
                print(&format!("  {:<19} {remedy}", ""))?;
            }
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn findings(session: &Session, fleet: &Fleet) -> Vec<Finding> {
    let spec = &session.loaded.spec;
    let facts = fleet.look(looks(spec).into_iter().chain(split::looks(spec)));
    let mut findings = examine(spec, &facts);
    findings.extend(split::stale(spec, &facts).map(|newer| Finding {
        host: spec.production.clone(),
        check: "spec",
        ok: false,
        seen: newer.words(&spec.production),
        remedy: None,
    }));
    findings.extend(secrets(session));
    findings
}

fn secrets(session: &Session) -> Vec<Finding> {
    let spec = &session.loaded.spec;
    spec.secrets()
        .into_iter()
        .filter_map(|(path, source)| {
            let error = session.secrets.get(source).err()?;
            let remedy = Some(format!("needed by {path} in {}", session.loaded.path.display()));
            Some(Finding { host: spec.production.clone(), check: "secret", ok: false, seen: error.to_string(), remedy })
        })
        .collect()
}

#[cfg(test)]
mod tests;
