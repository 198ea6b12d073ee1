//! The journal: what a promotion did, step by step, on the surviving host, fsynced.
//!
//! One line of JSON per event. A promotion is open from its `begin` to its `end`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::loss::Position;
use super::{Promotion, StepOutcome, StepReport, Verb, look};
use crate::action::Action;
use crate::look::Look;
use crate::name::HostName;

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A promotion begins.
    Begin(Begin),
    /// A step begins.
    Step {
        /// When.
        at: String,
        /// Which.
        step: String,
    },
    /// A step ended.
    StepEnded {
        /// When.
        at: String,
        /// Which.
        step: String,
        /// How.
        outcome: String,
        /// What was done.
        #[serde(default)]
        done: Vec<String>,
        /// What was seen.
        #[serde(default)]
        seen: Option<String>,
        /// What went wrong.
        #[serde(default)]
        error: Option<String>,
    },
    /// It failed early enough, and the old production was put back into service.
    PutBack {
        /// When.
        at: String,
        /// Whether it was.
        done: bool,
    },
    /// All is complete.
    End {
        /// When.
        at: String,
    },
}

/// What is known when a promotion begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// When.
    pub at: String,
    /// `promote`, `switchover` or `rejoin`.
    #[serde(default = "promote")]
    pub verb: String,
    /// Who becomes production.
    pub host: HostName,
    /// Who was.
    pub old: HostName,
    /// The timeline before.
    pub left_timeline: u32,
    /// Whom a person stated to be down.
    pub stated_down: Option<HostName>,
    /// Where the data stood.
    pub before: Option<Position>,
}

fn promote() -> String {
    Verb::Promote.as_str().into()
}

/// The journal of one promotion.
pub struct Journal<'a> {
    promotion: &'a Promotion<'a>,
    path: PathBuf,
    open: Option<Begin>,
    begun: bool,
}

/// A moment in UTC.
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

impl<'a> Journal<'a> {
    /// Reads the journal that is there.
    pub(super) fn new(promotion: &'a Promotion<'a>) -> Self {
        let path = path(promotion.inputs.spec, promotion.verb);
        let facts = look(promotion, promotion.host, &[Look::Content(path.clone())]);
        let text = facts.content(promotion.host, &path).ok().and_then(|c| c.as_ref()).map(|c| c.text.clone()).unwrap_or_default();
        let open =
            open(&text).filter(|begin| begin.host == *promotion.host && (promotion.verb != Verb::Rejoin || begin.old == *promotion.old));
        Self { promotion, path, begun: open.is_some(), open }
    }

    /// The promotion that was begun and not ended.
    pub(super) fn open(&self) -> Option<&Begin> {
        self.open.as_ref()
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that a step begins; before the first, that the promotion does.
    pub(super) fn began(&mut self, step: &str) -> Result<(), String> {
        if !self.begun {
            let position = super::loss::position(self.promotion)?;
            let begin = Begin {
                at: now(),
                verb: self.promotion.verb.as_str().to_owned(),
                host: self.promotion.host.clone(),
                old: self.promotion.old.clone(),
                left_timeline: position.timeline,
                stated_down: self.promotion.stated_down.cloned(),
                before: Some(position),
            };
            self.append(&Event::Begin(begin))?;
            self.begun = true;
        }
        self.append(&Event::Step { at: now(), step: step.to_owned() })
    }

    /// Notes how a step ended; after the last, that the promotion did.
    pub(super) fn ended(&self, report: &StepReport) -> Result<(), String> {
        let outcome = if report.outcome == StepOutcome::Done { "done" } else { "failed" };
        self.append(&Event::StepEnded {
            at: now(),
            step: report.step.to_owned(),
            outcome: outcome.to_owned(),
            done: report.done.clone(),
            seen: report.seen.clone(),
            error: report.error.clone(),
        })?;
        if report.outcome == StepOutcome::Done && self.promotion.verb.steps().last().is_some_and(|step| step.name == report.step) {
            self.append(&Event::End { at: now() })?;
        }
        Ok(())
    }

    /// Notes that production was put back; nothing is open then.
    pub(super) fn put_back(&self, done: bool) -> Result<(), String> {
        if self.begun { self.append(&Event::PutBack { at: now(), done }) } else { Ok(()) }
    }

    fn append(&self, event: &Event) -> Result<(), String> {
        let line = serde_json::to_string(event).map_err(|e| e.to_string())?;
        let action = Action::AppendJournal { path: self.path.clone(), line };
        self.promotion.fleet.act(self.promotion.host, &action).map(|_| ()).map_err(|e| format!("the journal cannot be written: {e}"))
    }
}

/// Where the journal of a spec is, on the host that becomes production or is it.
pub fn path(spec: &crate::spec::Spec, verb: Verb) -> PathBuf {
    let name = if verb == Verb::Rejoin { "rejoin" } else { "promotion" };
    format!("/var/lib/otr/{name}-{}.jsonl", spec.name).into()
}

/// The promotion a journal leaves open. A last line that broke off is no event.
pub(super) fn open(text: &str) -> Option<Begin> {
    let mut open = None;
    for line in text.lines() {
        match serde_json::from_str(line) {
            Ok(Event::Begin(begin)) => open = Some(begin),
            Ok(Event::End { .. } | Event::PutBack { done: true, .. }) => open = None,
            _ => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promotion_is_open_until_its_end() {
        let begin = Begin {
            at: "t".into(),
            verb: "promote".into(),
            host: "erp2".parse().unwrap(),
            old: "erp1".parse().unwrap(),
            left_timeline: 1,
            stated_down: None,
            before: None,
        };
        let line = |event: &Event| serde_json::to_string(event).unwrap() + "\n";
        let begun = line(&Event::Begin(begin.clone())) + &line(&Event::Step { at: "t".into(), step: "replay".into() });
        assert_eq!(open(&begun), Some(begin.clone()));
        assert_eq!(open(&format!("{begun}{{\"event\":\"en")), Some(begin));
        assert_eq!(open(&(begun + &line(&Event::End { at: "t".into() }))), None);
        assert_eq!(open(""), None);
    }
}
