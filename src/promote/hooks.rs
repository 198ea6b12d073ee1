//! Programs of the spec's, run before and after steps, on the hosts they concern.

use std::time::Instant;

use super::{HookOutcome, HookReport, Promotion, StepReport, Verb};
use crate::action::Action;
use crate::look::CommandLine;
use crate::name::HostName;
use crate::plan::check::may_change;
use crate::resource::{Kind, ResourceId};
use crate::spec::{FailoverVerb, Hook, HookHost, IfItFails};

/// On which side of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Before,
    After,
}

impl When {
    fn as_str(self) -> &'static str {
        match self {
            When::Before => "before",
            When::After => "after",
        }
    }
}

/// What every program of the spec's is told.
pub(super) fn environment(promotion: &Promotion<'_>, step: &str, when: &str) -> Vec<(String, String)> {
    let spec = promotion.inputs.spec;
    let address = spec.hosts.get(promotion.old).map_or("", |host| host.address.as_str());
    [
        ("OTR_SPEC", spec.name.as_str()),
        ("OTR_VERB", promotion.verb.as_str()),
        ("OTR_STEP", step),
        ("OTR_WHEN", when),
        ("OTR_HOST", promotion.host.as_str()),
        ("OTR_OLD_PRODUCTION", promotion.old.as_str()),
        ("OTR_OLD_ADDRESS", address),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn hooks<'a>(promotion: &'a Promotion<'_>, step: &str, when: When) -> Vec<&'a Hook> {
    let verb = match promotion.verb {
        Verb::Promote => FailoverVerb::Promote,
        Verb::Switchover => FailoverVerb::Switchover,
        Verb::Rejoin => FailoverVerb::Rejoin,
    };
    let is = |hook: &&Hook| {
        let name = if when == When::Before { hook.before } else { hook.after };
        name.is_some_and(|name| name.as_str() == step) && (hook.verbs.is_empty() || hook.verbs.contains(&verb))
    };
    promotion.inputs.spec.failover.hooks.iter().filter(is).collect()
}

fn told(promotion: &Promotion<'_>, hook: &Hook, step: &str, when: When) -> (HostName, CommandLine, HookReport) {
    let host = if hook.on == HookHost::New { promotion.host } else { promotion.old };
    let environment = environment(promotion, step, when.as_str());
    let command = CommandLine { argv: hook.run.clone(), environment, seconds: hook.timeout.0.as_secs() };
    let (when, run) = (when.as_str().to_owned(), command.shown());
    let report = HookReport { when, on: host.clone(), run, outcome: HookOutcome::Planned, seconds: 0.0, error: None };
    (host.clone(), command, report)
}

/// Those that would run.
pub(super) fn planned(promotion: &Promotion<'_>, step: &str) -> Vec<HookReport> {
    let of = |when| hooks(promotion, step, when).into_iter().map(move |hook| told(promotion, hook, step, when).2);
    of(When::Before).chain(of(When::After)).collect()
}

/// Runs them in the spec's order.
///
/// # Errors
/// One failed of which the spec says that it stops the procedure.
pub(super) fn run(promotion: &Promotion<'_>, when: When, step: &mut StepReport) -> Result<(), String> {
    if promotion.dry_run {
        return Ok(());
    }
    for hook in hooks(promotion, step.step, when) {
        let (host, command, mut report) = told(promotion, hook, step.step, when);
        let missing = match promotion.fleet.unreachable(&host) {
            Some(why) => Some(why),
            None if !may_change(promotion.inputs.spec, &host) => Some("otr may only look there (`access: observe`)".into()),
            None => None,
        };
        if let Some(why) = missing {
            (report.outcome, report.error) = (HookOutcome::LeftOut, Some(why));
            step.hooks.push(report);
            continue;
        }
        let id = ResourceId::new(&host, Kind::Promotion, "hook");
        let action = Action::Run { command };
        let begun = Instant::now();
        promotion.watch.begins(&id, &action.title());
        let result = promotion.fleet.act(&host, &action);
        promotion.watch.ended(&id, &action.title(), result.as_ref().err());
        report.seconds = begun.elapsed().as_secs_f64();
        report.outcome = HookOutcome::Done;
        let mut stop = None;
        if let Err(error) = result {
            (report.outcome, report.error) = (HookOutcome::Failed, Some(error.to_string()));
            let said = format!("the hook {} {} on {host} failed: {error}", report.when, step.step);
            stop = (hook.if_it_fails == IfItFails::Stop).then_some(said);
        }
        step.hooks.push(report);
        if let Some(said) = stop {
            return Err(said);
        }
    }
    Ok(())
}
