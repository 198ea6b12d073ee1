//! 4: every way to tamper with a host is named by plan, repaired by apply, and nothing else is
//! touched. The ways are the table in [`super::tamperings`].

use anyhow::{Result, ensure};
use serde_json::Value;

use super::tamperings::{TAMPERINGS, Tampering};
use crate::otr::{Report, line};
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "pair.yaml";

pub fn chapter() -> Chapter {
    let chapter = Chapter::new("tamper", Scene::Standby).independent().leaves(Scene::Standby);
    TAMPERINGS.iter().fold(chapter, |chapter, row| chapter.step(row.name, move |pair| round(row, pair)))
}

/// Tamper, plan, apply, check, plan.
fn round(row: &Tampering, pair: &mut Pair) -> Result<()> {
    pair.lab.sh(row.host, row.tamper)?;
    let plan = pair.otr.run(SPEC, "plan --json --detailed-exitcode")?;
    names(row, &plan.json()?)?;
    plan.ended(2)?;
    if !row.consent.is_empty() {
        pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(1)?;
    }
    let apply = pair.otr.run(SPEC, &format!("apply --yes --restarts --json {}", row.consent))?;
    let strangers: Vec<String> = apply.json()?.resources().filter(|r| r["outcome"].is_string() && !expected(row, r)).map(line).collect();
    apply.ended(0)?;
    ensure!(strangers.is_empty(), "apply touched what was not tampered with:\n{}", strangers.join("\n"));
    let (host, check) = row.check;
    pair.lab.wait(&format!("on {host}: {check}"), 10, |lab| lab.holds(host, check))?;
    pair.nothing_differs(SPEC)
}

/// The plan names the tampered resource with the words a reader looks for, and no other.
fn names(row: &Tampering, plan: &Report) -> Result<()> {
    let drift: Vec<&Value> = plan.resources().filter(|r| r["state"] != "holds").collect();
    let found = drift.iter().find(|r| is(r, row.host, row.kind));
    let all = || drift.iter().map(|r| line(r)).collect::<Vec<_>>().join("\n");
    let Some(found) = found else { anyhow::bail!("plan does not name {} {}, but:\n{}", row.host, row.kind, all()) };
    let text = found.to_string();
    for word in row.words {
        ensure!(text.contains(word), "plan does not say {word:?}: {text}");
    }
    ensure!(drift.iter().all(|r| expected(row, r)), "plan names more than was tampered with:\n{}", all());
    Ok(())
}

fn is(resource: &Value, host: &str, kind: &str) -> bool {
    resource["host"] == host && resource["kind"] == kind
}

fn expected(row: &Tampering, resource: &Value) -> bool {
    is(resource, row.host, row.kind) || row.also.iter().any(|(host, kind)| is(resource, host, kind))
}
