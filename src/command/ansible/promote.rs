//! `otr_promote`: the verb `promote` of this very program, its report as Ansible's answer.
//!
//! As a process of its own, because a promotion asks and prints where a module must not.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::params::{Params, SpecSource};
use crate::report::ansible::Answer;
use crate::spec::load::read;

pub fn run(params: &Params) -> Result<Answer> {
    let SpecSource::File(spec) = &params.spec else {
        bail!("`spec` must be a path on the target: a promotion that is taken up again needs the same spec");
    };
    // The target is the standby itself: it is not to log in to itself.
    let here = super::here(params, &read(spec, &[])?.spec)?.to_string();
    let program = std::env::current_exe().context("otr's own program")?;
    let mut command = Command::new(program);
    command.arg("--json").arg("--spec").arg(spec).args(["--here", &here]);
    if params.accept_new {
        command.arg("--accept-new");
    }
    command.args(["promote", &here]);
    command.arg(if params.check { "--dry-run" } else { "--yes" });
    if let Some(down) = &params.production_is_down {
        command.arg("--production-is-down").arg(down.to_string());
    }
    if params.write_spec {
        command.arg("--write-spec");
    }
    let output = command.stdin(Stdio::null()).output().context("otr promote cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(answer(&output.stdout, said.trim(), output.status.success(), params.check))
}

/// What a promotion's report says to Ansible.
fn answer(report: &[u8], said: &str, succeeded: bool, check: bool) -> Answer {
    let Ok(report) = serde_json::from_slice::<Value>(report) else {
        return Answer::failed(if said.is_empty() { "otr promote gave no report".to_owned() } else { said.to_owned() });
    };
    let steps: Vec<&Value> = report["steps"].as_array().map(|steps| steps.iter().collect()).unwrap_or_default();
    let named = |outcome: &str| -> Vec<String> {
        let these = steps.iter().filter(|step| step["outcome"] == outcome);
        these.map(|step| step["step"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let done: Vec<&str> = steps.iter().flat_map(|step| step["done"].as_array().into_iter().flatten()).filter_map(Value::as_str).collect();
    let errors: Vec<&str> = steps.iter().filter_map(|step| step["error"].as_str()).chain(report["error"].as_str()).collect();
    let next: Vec<&str> = report["next"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut answer = if succeeded && errors.is_empty() {
        let message = match (check, steps.is_empty()) {
            (_, true) => next.join("; "),
            (true, _) => format!("would promote: {}", named("planned").join(", ")),
            (false, _) => format!("promoted; now: {}", next.join("; ")),
        };
        Answer::unchanged(message)
    } else {
        let so_far = if done.is_empty() { "nothing was done".to_owned() } else { format!("done so far: {}", done.join("; ")) };
        Answer::failed(format!("{}; {so_far}", if errors.is_empty() { said.to_owned() } else { errors.join("; ") }))
    };
    answer.changed = if check { !answer.failed && !named("planned").is_empty() } else { !done.is_empty() };
    answer.more.insert("report".into(), report);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(report: &Value, succeeded: bool, check: bool) -> Value {
        answer(report.to_string().as_bytes(), "", succeeded, check).json()
    }

    #[test]
    fn a_promotion_is_a_change_once() {
        let done = json!({ "steps": [{ "step": "promote", "outcome": "done", "done": ["promote 13/main"] }], "next": ["repoint DNS"], "promoted": true });
        let said = told(&done, true, false);
        assert_eq!((&said["changed"], &said["msg"]), (&json!(true), &json!("promoted; now: repoint DNS")));
        let again = json!({ "steps": [], "next": ["erp2 is production already"], "promoted": true });
        assert_eq!(told(&again, true, false)["changed"], false);
        let planned = json!({ "steps": [{ "step": "promote", "outcome": "planned" }], "next": [] });
        let said = told(&planned, true, true);
        assert_eq!((&said["changed"], &said["msg"]), (&json!(true), &json!("would promote: promote")));
    }

    #[test]
    fn a_promotion_that_failed_says_what_was_done() {
        let report = json!({ "steps": [{ "step": "replay", "outcome": "done", "done": ["replay"] }, { "step": "promote", "outcome": "failed", "error": "it refused" }], "next": [] });
        let said = told(&report, false, false);
        assert_eq!((&said["failed"], &said["msg"]), (&json!(true), &json!("it refused; done so far: replay")));
        let said = answer(b"", "error: no such spec", false, false).json();
        assert_eq!(said["msg"], "error: no such spec");
    }
}
