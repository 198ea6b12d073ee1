//! Hooks and the fence: each can be run, and belongs to a step that its procedure has.

use super::Findings;
use crate::spec::{FailoverVerb, Span, Spec, StepName};

/// The steps of each procedure that a hook can be tied to; a test in `promote` compares.
pub const STEPS: [(FailoverVerb, &[StepName]); 3] = {
    use StepName::{
        Bundles, Checkpoint, Complete, Epoch, FenceCommand, Files, Follow, Join, Keep, LastFiles, Mark, ProductionMode, Promote, Proof,
        PutBack, Recover, Replay, Repoint, Slot, SmokeTest, Snapshot, Source, Stop, StopOdoo, StopPostgresql, Timers, Write,
    };
    [
        (
            FailoverVerb::Promote,
            &[
                FenceCommand,
                Timers,
                Replay,
                Snapshot,
                Epoch,
                Promote,
                Bundles,
                ProductionMode,
                Checkpoint,
                Write,
                SmokeTest,
                Repoint,
                Complete,
            ],
        ),
        (
            FailoverVerb::Switchover,
            &[
                Timers,
                Files,
                Snapshot,
                Slot,
                StopOdoo,
                StopPostgresql,
                Proof,
                LastFiles,
                Epoch,
                Promote,
                ProductionMode,
                Checkpoint,
                Write,
                SmokeTest,
                Complete,
                Repoint,
                Follow,
                PutBack,
            ],
        ),
        (FailoverVerb::Rejoin, &[Stop, Epoch, Recover, Mark, Source, Keep, Join, Follow]),
    ]
};

pub(super) fn check(spec: &Spec, findings: &mut Findings<'_>) {
    if let Some(fence) = &spec.failover.fence {
        program("failover.fence.run", &fence.run, findings);
        program("failover.fence.read_back", &fence.read_back, findings);
        limit("failover.fence.timeout", fence.timeout, findings);
        if fence.expect.trim().is_empty() {
            findings.value(
                "failover.fence.expect",
                "an empty text is in every answer, so it proves nothing",
                "write what is printed once it is off",
            );
        }
    }
    for (number, hook) in spec.failover.hooks.iter().enumerate() {
        let at = format!("failover.hooks[{number}]");
        program(&format!("{at}.run"), &hook.run, findings);
        limit(&format!("{at}.timeout"), hook.timeout, findings);
        let (key, step) = match (hook.before, hook.after) {
            (Some(step), None) => ("before", step),
            (None, Some(step)) => ("after", step),
            _ => {
                findings.value(&at, "a hook runs before or after one step", "say one of `before:` and `after:`");
                continue;
            }
        };
        let has = |verb: &FailoverVerb| STEPS.iter().any(|(known, steps)| known == verb && steps.contains(&step));
        if let Some(wrong) = hook.verbs.iter().find(|verb| !has(verb)) {
            let verb = format!("{wrong:?}").to_lowercase();
            let step = step.as_str();
            findings.value(&format!("{at}.{key}"), format!("`{verb}` has no step {step}"), "docs/failover.md draws the steps of each");
        }
    }
}

fn program(at: &str, argv: &[String], findings: &mut Findings<'_>) {
    match argv.first() {
        None => findings.value(at, format!("`{at}` names no program"), "write [/path/of/program, argument]"),
        Some(program) if !program.starts_with('/') => {
            findings.value(at, format!("`{at}`: \"{program}\" is not an absolute path"), "no shell looks it up: write where it is");
        }
        Some(_) if argv.iter().any(|word| word.contains('\0')) => findings.value(at, format!("`{at}` holds a NUL"), ""),
        Some(_) => {}
    }
}

fn limit(at: &str, span: Span, findings: &mut Findings<'_>) {
    if span.0.as_secs() == 0 || span.0.as_secs() > 3600 {
        findings.value(at, format!("`{at}`: {span} is no useful limit"), "from 1s to 1h");
    }
}
