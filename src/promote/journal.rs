//! The journal: what a promotion did, step by step, on the surviving host, fsynced.
//!
//! One line of JSON per event. A promotion is open from its `begin` to its `end`. It is also the
//! record of the incident: [`super::incident`] reads it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use super::event::{Apart, Begin, Event, Found, StepEnded};
use super::loss::Position;
use super::{Promotion, StepReport, Verb, look};
use crate::action::Action;
use crate::facts::FactError;
use crate::history::promotion;
use crate::look::Look;
use crate::record::Record;

/// A list that is longer lies apart.
const LONG: usize = 100;

/// The journal of one promotion.
pub struct Journal<'a> {
    promotion: &'a Promotion<'a>,
    path: PathBuf,
    open: Option<Begin>,
    /// Why it is not known whether one is open.
    unseen: Option<String>,
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
        let facts = look(promotion, promotion.host, &[Look::Record(path.clone())]);
        let (mut open, mut done, mut unseen) = (None, Vec::new(), None);
        match facts.record(promotion.host, &path) {
            Ok(Some(record)) => match read(record) {
                Ok(Some((begin, steps))) => (open, done) = (Some(begin), steps),
                Ok(None) => {}
                Err(why) => unseen = Some(why),
            },
            // Whoever needs an answer of that host says so.
            Ok(None) | Err(FactError::Unreachable { .. }) => {}
            Err(FactError::Unseen { why, .. }) => unseen = Some(why.to_string()),
            Err(error) => unseen = Some(error.to_string()),
        }
        let open = open.filter(|begin| begin.host == *promotion.host && (promotion.verb != Verb::Rejoin || begin.old == *promotion.old));
        let done = if open.is_some() { done } else { Vec::new() };
        Self { promotion, path, open, unseen, done, looked: Vec::new(), begun: false }
    }

    /// Whether it is known what is open.
    ///
    /// # Errors
    /// It is not: nothing may begin, and nothing go on.
    pub(super) fn known(&self) -> Result<(), String> {
        let Some(why) = &self.unseen else { return Ok(()) };
        let (path, host) = (self.path.display(), self.promotion.host);
        Err(format!(
            "whether a {} was begun is not known: the journal {path} on {host} cannot be read ({why}). Read it by hand; if nothing is open, move it away on {host} (mv -T {path} {path}.unread) and run this again",
            self.promotion.verb.as_str()
        ))
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
    pub(super) fn end(&self, mut found: Found, complete: bool) -> Result<(), String> {
        if !self.begun {
            return Ok(());
        }
        if let Some(lost) = &mut found.lost {
            lost.files_in = self.apart("lost", &mut lost.files)?;
        }
        if let Some(parting) = &mut found.rejoin {
            parting.files_in = self.apart("kept", &mut parting.files)?;
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

    /// A long list gets a file of its own, whole before the journal names it: who only asks what is
    /// open reads none of it.
    fn apart<T: Serialize>(&self, what: &str, list: &mut Vec<T>) -> Result<Option<Apart>, String> {
        if list.len() <= LONG {
            return Ok(None);
        }
        let at: String = now().chars().filter(char::is_ascii_alphanumeric).collect();
        let path = self.path.with_extension(format!("{what}-{at}.jsonl"));
        let lines: Result<Vec<String>, _> = list.iter().map(serde_json::to_string).collect();
        let line = lines.map_err(|e| e.to_string())?.join("\n");
        let action = Action::AppendJournal { path: path.clone(), line, rotates: false };
        self.promotion.fleet.act(self.promotion.host, &action).map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
        let lines = list.len();
        list.clear();
        Ok(Some(Apart { path, lines }))
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
    // What is open must not lose its beginning.
    let rotates = matches!(events.first(), Some(Event::Begin(_)));
    Ok(Action::AppendJournal { path: path.to_owned(), line: lines.map_err(|e| e.to_string())?.join("\n"), rotates })
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
    let [promotion, rejoin] = promotion::paths(spec);
    if verb == Verb::Rejoin { rejoin } else { promotion }
}

/// The promotion a journal leaves open, and the steps it has done.
fn read(journal: &Record) -> Result<Option<(Begin, Vec<String>)>, String> {
    let Some(begun) = promotion::open(journal)? else { return Ok(None) };
    let mut lines = journal.lines().skip(begun.line);
    let begin = match lines.next().map(serde_json::from_str) {
        Some(Ok(Event::Begin(begin))) => begin,
        _ => return Err(format!("it was begun {} by an otr of another version", begun.at)),
    };
    let done = lines.filter_map(|line| match serde_json::from_str(line) {
        Ok(Event::StepEnded(ended)) if ended.outcome == "done" => Some(ended.step),
        _ => None,
    });
    Ok(Some((begin, done.collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        Record::of(text.as_bytes(), text.len() as u64)
    }

    fn open(text: &str) -> Option<Begin> {
        read(&record(text)).unwrap().map(|(begin, _)| begin)
    }

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
        assert_eq!(read(&record(&begun)).unwrap().unwrap().1, ["replay"]);
        let found = Event::Found { at: "t".into(), found: Box::new(Found { downtime: Some(2.5), ..Found::default() }) };
        assert_eq!(record(&line(&found)).events().next(), Some(found));
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
        assert_eq!(record(text).events::<Event>().count(), 4);
        assert_eq!(open(text).map(|begin| begin.verb).as_deref(), Some("promote"));
    }
}
