//! The journal: what a promotion did, step by step, on the surviving host, fsynced.
//!
//! One line of JSON per event. A promotion is open from its `begin` to its `end`. It is also the
//! record of the incident: [`super::incident`] reads it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::loss::{Lost, Position};
use super::rejoin::Parting;
use super::smoke::Smoke;
use super::{HookReport, Promotion, StepReport, Verb, look};
use crate::action::Action;
use crate::look::Look;
use crate::name::HostName;

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A promotion begins.
    Begin(Begin),
    /// One that was cut off or failed goes on.
    Again {
        /// When.
        at: String,
        /// Who.
        by: String,
        /// Whom a person stated to be down.
        #[serde(default)]
        stated_down: Option<HostName>,
    },
    /// A step begins.
    Step {
        /// When.
        at: String,
        /// Which.
        step: String,
    },
    /// A step ended.
    StepEnded(StepEnded),
    /// It failed early enough, and the old production was put back into service.
    PutBack {
        /// When.
        at: String,
        /// Whether it was.
        done: bool,
        /// What went wrong.
        #[serde(default)]
        error: Option<String>,
        /// Programs of the spec's.
        #[serde(default)]
        hooks: Vec<HookReport>,
    },
    /// What a run found at its end.
    Found {
        /// When.
        at: String,
        /// What.
        #[serde(flatten)]
        found: Box<Found>,
    },
    /// A person's note.
    Note {
        /// When.
        at: String,
        /// Who.
        by: String,
        /// What.
        text: String,
        /// The line of the checklist that is done.
        #[serde(default)]
        done: Option<u8>,
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
    /// Who began it.
    #[serde(default)]
    pub by: Option<String>,
}

/// How a step ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepEnded {
    /// When.
    pub at: String,
    /// Which.
    pub step: String,
    /// How.
    pub outcome: String,
    /// How long it took.
    #[serde(default)]
    pub seconds: f64,
    /// What was done.
    #[serde(default)]
    pub done: Vec<String>,
    /// Programs of the spec's.
    #[serde(default)]
    pub hooks: Vec<HookReport>,
    /// What failed though the step holds.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What was seen.
    #[serde(default)]
    pub seen: Option<String>,
    /// What went wrong.
    #[serde(default)]
    pub error: Option<String>,
}

/// What a run found at its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What was lost.
    #[serde(default)]
    pub lost: Option<Lost>,
    /// What Odoo answered.
    #[serde(default)]
    pub smoke: Option<Smoke>,
    /// How long nobody could work, seconds.
    #[serde(default)]
    pub downtime: Option<f64>,
    /// A rejoin's decision.
    #[serde(default)]
    pub rejoin: Option<Parting>,
}

fn promote() -> String {
    Verb::Promote.as_str().into()
}

/// The journal of one promotion.
pub struct Journal<'a> {
    promotion: &'a Promotion<'a>,
    path: PathBuf,
    open: Option<Begin>,
    /// Steps that the open promotion has done.
    done: Vec<String>,
    /// What was only looked at: told once something begins.
    looked: Vec<StepEnded>,
    /// This run wrote something.
    begun: bool,
}

/// A moment in UTC.
pub fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

impl<'a> Journal<'a> {
    /// Reads the journal that is there.
    pub(super) fn new(promotion: &'a Promotion<'a>) -> Self {
        let path = path(promotion.inputs.spec, promotion.verb);
        let facts = look(promotion, promotion.host, &[Look::Content(path.clone())]);
        let text = facts.content(promotion.host, &path).ok().and_then(|c| c.as_ref()).map(|c| c.text.clone()).unwrap_or_default();
        let open =
            open(&text).filter(|begin| begin.host == *promotion.host && (promotion.verb != Verb::Rejoin || begin.old == *promotion.old));
        let done = if open.is_some() { done(&text) } else { Vec::new() };
        Self { promotion, path, open, done, looked: Vec::new(), begun: false }
    }

    /// The promotion that was begun and not ended.
    pub(super) fn open(&self) -> Option<&Begin> {
        self.open.as_ref()
    }

    /// Whether the open promotion has done a step, in an earlier run.
    pub(super) fn has_done(&self, step: &str) -> bool {
        self.done.iter().any(|done| done == step)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Remembers what a step that only looks saw.
    pub(super) fn looked(&mut self, report: &StepReport) {
        self.looked.push(ended(report));
    }

    /// Notes that a step begins; before the first, that the promotion does or goes on.
    pub(super) fn began(&mut self, step: &str, seen: Option<&Position>) -> Result<(), String> {
        if !self.begun {
            let (by, stated_down) = (self.promotion.by.to_owned(), self.promotion.stated_down.cloned());
            let begin = match self.open {
                Some(_) => Event::Again { at: now(), by, stated_down },
                None => {
                    let position = seen.map_or_else(|| super::loss::position(self.promotion), |seen| Ok(seen.clone()))?;
                    Event::Begin(Begin {
                        at: now(),
                        verb: self.promotion.verb.as_str().to_owned(),
                        host: self.promotion.host.clone(),
                        old: self.promotion.old.clone(),
                        left_timeline: position.timeline,
                        stated_down,
                        before: Some(position),
                        by: Some(by),
                    })
                }
            };
            let looked = std::mem::take(&mut self.looked).into_iter().map(Event::StepEnded);
            self.append(&std::iter::once(begin).chain(looked).collect::<Vec<_>>())?;
            self.begun = true;
        }
        self.append(&[Event::Step { at: now(), step: step.to_owned() }])
    }

    /// Notes how a step ended.
    pub(super) fn ended(&self, report: &StepReport) -> Result<(), String> {
        self.append(&[Event::StepEnded(ended(report))])
    }

    /// Notes what was found; and, where all is done, that nothing is open any more.
    pub(super) fn end(&self, found: Found, complete: bool) -> Result<(), String> {
        if !self.begun {
            return Ok(());
        }
        let mut events = Vec::new();
        if found != Found::default() {
            events.push(Event::Found { at: now(), found: Box::new(found) });
        }
        if complete {
            events.push(Event::End { at: now() });
        }
        if events.is_empty() { Ok(()) } else { self.append(&events) }
    }

    /// Notes that production was put back; nothing is open then.
    pub(super) fn put_back(&self, report: &StepReport) -> Result<(), String> {
        if !self.begun {
            return Ok(());
        }
        let done = report.outcome == super::StepOutcome::Done;
        self.append(&[Event::PutBack { at: now(), done, error: report.error.clone(), hooks: report.hooks.clone() }])
    }

    fn append(&self, events: &[Event]) -> Result<(), String> {
        let action = appended(&self.path, events)?;
        self.promotion.fleet.act(self.promotion.host, &action).map(|_| ()).map_err(|e| format!("the journal cannot be written: {e}"))
    }
}

/// What appends events to a journal.
///
/// # Errors
/// An event is no JSON.
pub fn appended(path: &Path, events: &[Event]) -> Result<Action, String> {
    let lines: Result<Vec<String>, _> = events.iter().map(serde_json::to_string).collect();
    Ok(Action::AppendJournal { path: path.to_owned(), line: lines.map_err(|e| e.to_string())?.join("\n") })
}

fn ended(report: &StepReport) -> StepEnded {
    StepEnded {
        at: now(),
        step: report.step.to_owned(),
        outcome: report.outcome.as_str().to_owned(),
        seconds: report.seconds,
        done: report.done.clone(),
        hooks: report.hooks.clone(),
        warnings: report.warnings.clone(),
        seen: report.seen.clone(),
        error: report.error.clone(),
    }
}

/// Where the journal of a spec is, on the host that becomes production or is it.
pub fn path(spec: &crate::spec::Spec, verb: Verb) -> PathBuf {
    let name = if verb == Verb::Rejoin { "rejoin" } else { "promotion" };
    format!("/var/lib/otr/{name}-{}.jsonl", spec.name).into()
}

/// The events of a journal. A last line that broke off is none.
pub fn events(text: &str) -> impl Iterator<Item = Event> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

/// The promotion a journal leaves open.
pub fn open(text: &str) -> Option<Begin> {
    let mut open = None;
    for event in events(text) {
        match event {
            Event::Begin(begin) => open = Some(begin),
            Event::End { .. } | Event::PutBack { done: true, .. } => open = None,
            _ => {}
        }
    }
    open
}

/// The steps that the last promotion of a journal has done.
fn done(text: &str) -> Vec<String> {
    let mut done = Vec::new();
    for event in events(text) {
        match event {
            Event::Begin(_) => done.clear(),
            Event::StepEnded(ended) if ended.outcome == "done" => done.push(ended.step),
            _ => {}
        }
    }
    done
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
            by: None,
        };
        let line = |event: &Event| serde_json::to_string(event).unwrap() + "\n";
        let begun = line(&Event::Begin(begin.clone())) + &line(&Event::Step { at: "t".into(), step: "replay".into() });
        assert_eq!(open(&begun), Some(begin.clone()));
        assert_eq!(open(&format!("{begun}{{\"event\":\"en")), Some(begin));
        let ended = StepEnded { step: "replay".into(), outcome: "done".into(), ..StepEnded::default() };
        let begun = begun + &line(&Event::StepEnded(ended));
        assert_eq!(done(&begun), ["replay"]);
        let found = Event::Found { at: "t".into(), found: Box::new(Found { downtime: Some(2.5), ..Found::default() }) };
        assert_eq!(events(&line(&found)).next(), Some(found));
        assert_eq!(open(&(begun + &line(&Event::End { at: "t".into() }))), None);
        assert_eq!(open(""), None);
    }

    /// A journal of an earlier otr is still a journal.
    #[test]
    fn an_older_journal_is_read() {
        let text = r#"{"event":"begin","at":"2026-01-01T00:00:00Z","host":"erp2","old":"erp1","left_timeline":1,"stated_down":"erp1","before":null}
{"event":"step","at":"2026-01-01T00:00:01Z","step":"timers"}
{"event":"step-ended","at":"2026-01-01T00:00:02Z","step":"timers","outcome":"done"}
{"event":"put-back","at":"2026-01-01T00:00:03Z","done":false}"#;
        assert_eq!(events(text).count(), 4);
        assert_eq!(open(text).map(|begin| begin.verb).as_deref(), Some("promote"));
    }
}
