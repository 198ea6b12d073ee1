//! What only a person can do, at the end of each report.

use super::{HookOutcome, Promotion, StepReport, Verb};
use crate::guard::{BootWithoutPeer, PRODUCTION_SINCE_BOOT};

/// The lines in order.
pub(super) fn next(promotion: &Promotion<'_>, steps: &[StepReport], done: bool, back: bool) -> Vec<String> {
    let mut lines = lines(promotion, done, back);
    for step in steps {
        for hook in step.hooks.iter().filter(|hook| matches!(hook.outcome, HookOutcome::Failed | HookOutcome::LeftOut)) {
            let how = if hook.outcome == HookOutcome::Failed { "failed" } else { "was left out" };
            lines.push(format!("do what the hook {} {} would have done (`{}` on {}): it {how}", hook.when, step.step, hook.run, hook.on));
        }
    }
    lines
}

fn lines(promotion: &Promotion<'_>, done: bool, back: bool) -> Vec<String> {
    let (host, old, verb) = (promotion.host, promotion.old, promotion.verb.as_str());
    if promotion.dry_run {
        return vec![format!("nothing was changed; `otr {verb}` without --dry-run does it")];
    }
    let target = if promotion.verb == Verb::Rejoin { old } else { host };
    if back {
        return vec![format!("{old} is production as before and nothing was lost; mend what failed, then `otr {verb} {target}` again")];
    }
    if !done {
        return vec![format!("mend what failed and run `otr {verb} {target}` again: what is done stays done")];
    }
    let failover = &promotion.inputs.spec.failover;
    let waits = failover.guard && failover.boot_without_peer == BootWithoutPeer::Wait;
    let reboot = format!("until {old} is back, {host} waits after a reboot for your word there: touch {PRODUCTION_SINCE_BOOT}");
    match promotion.verb {
        Verb::Promote => [
            format!("change one line of the spec: `production: {host}` (or run promote with --write-spec)"),
            format!(
                "when {old} comes back: `otr rejoin {old}` makes it a standby and keeps what only it has; until then it must not take writes"
            ),
            format!("point DNS and reverse proxies at {host}"),
            "log in and look at the last orders, invoices and stock moves; tell the users what was lost".into(),
        ]
        .into_iter()
        .chain(waits.then_some(reboot))
        .collect(),
        Verb::Switchover => vec![
            format!("change one line of the spec: `production: {host}` (or run switchover with --write-spec)"),
            format!("point DNS and reverse proxies at {host}"),
        ],
        Verb::Rejoin => {
            let kept = "look through what was kept, then delete it: nothing else does";
            if promotion.keep_diverged { vec![kept.into()] } else { Vec::new() }
        }
    }
}
