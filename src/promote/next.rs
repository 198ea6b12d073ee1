//! What only a person can do, at the end of each report.

use super::{HookOutcome, Progress, Promotion, StepOutcome, StepReport, Verb};
use crate::guard::{BootWithoutPeer, PRODUCTION_SINCE_BOOT};
use crate::wanted::own_spec;

/// How the line about the spec begins; who knows the file puts its name there.
pub const CHANGE: &str = "change one line of the spec:";

/// A spec that names the old production is refused from now on, whoever holds it.
fn copies(promotion: &Promotion<'_>) -> String {
    let (host, old) = (promotion.host, promotion.old);
    let on_hosts = match (own_spec(promotion.inputs, host).is_some(), promotion.verb) {
        (true, Verb::Promote) => format!("; /etc/otr/spec.yaml on {host} has it by now, on {old} `otr rejoin {old}` writes it"),
        (true, _) => "; /etc/otr/spec.yaml on the hosts has it by now".into(),
        (false, _) => String::new(),
    };
    format!("the same line in every other copy: the one in version control, the one that Ansible is given, a colleague's{on_hosts}")
}

/// The lines in order.
pub(super) fn next(promotion: &Promotion<'_>, steps: &[StepReport], progress: &Progress, back: bool) -> Vec<String> {
    let failed = steps.iter().any(|step| step.outcome == StepOutcome::Failed);
    let mut lines = lines(promotion, failed, back);
    if !promotion.dry_run && !back {
        lines.extend(progress.unled.iter().map(|(_, why)| why.clone()));
    }
    for step in steps {
        for hook in step.hooks.iter().filter(|hook| matches!(hook.outcome, HookOutcome::Failed | HookOutcome::LeftOut)) {
            let how = if hook.outcome == HookOutcome::Failed { "failed" } else { "was left out" };
            lines.push(format!("do what the hook {} {} would have done (`{}` on {}): it {how}", hook.when, step.step, hook.run, hook.on));
        }
    }
    lines
}

fn lines(promotion: &Promotion<'_>, failed: bool, back: bool) -> Vec<String> {
    let (host, old, verb) = (promotion.host, promotion.old, promotion.verb.as_str());
    let target = if promotion.verb == Verb::Rejoin { old } else { host };
    if promotion.dry_run {
        let first = if failed { "mend what failed, then " } else { "" };
        return vec![format!("nothing was changed; {first}`otr {verb} {target}` without --dry-run does it")];
    }
    if back {
        return vec![format!("{old} is production as before and nothing was lost; mend what failed, then `otr {verb} {target}` again")];
    }
    if failed {
        return vec![format!("mend what failed and run `otr {verb} {target}` again: what is done stays done")];
    }
    let failover = &promotion.inputs.spec.failover;
    let waits = failover.guard && failover.boot_without_peer == BootWithoutPeer::Wait;
    let reboot = format!("until {old} is back, {host} waits after a reboot for your word there: touch {PRODUCTION_SINCE_BOOT}");
    match promotion.verb {
        Verb::Promote => [
            format!("{CHANGE} `production: {host}` (or run promote with --write-spec)"),
            copies(promotion),
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
            format!("{CHANGE} `production: {host}` (or run switchover with --write-spec)"),
            copies(promotion),
            format!("point DNS and reverse proxies at {host}"),
        ],
        Verb::Rejoin => {
            let kept = format!(
                "look through what only {} had, in the folder on it that the step `keep` names, then delete that folder: nothing else does",
                promotion.old
            );
            if promotion.keep_diverged { vec![kept] } else { Vec::new() }
        }
    }
}
