//! The record of an incident, read from the journals: what was done and when, what was lost, who
//! stated what, and what a person still has to do. Decides nothing and changes nothing.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::event::{Apart, Begin, Event, Found, StepEnded};
use super::{HookOutcome, HookReport, Verb};
use crate::facts::Facts;
use crate::name::HostName;
use crate::record::Record;

mod checklist;

pub use checklist::{Check, Mark};

/// One promotion, switchover or rejoin, from its begin to its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incident {
    /// The number of this format.
    pub format: u32,
    /// The journal's host.
    pub recorded_on: HostName,
    /// What was known when it began.
    #[serde(flatten)]
    pub begin: Begin,
    /// When it ended, if it did; put back counts.
    pub ended: Option<String>,
    /// How.
    pub state: IncidentState,
    /// Each run after the first: when, and who.
    pub again: Vec<Statement>,
    /// Who stated what.
    pub statements: Vec<Statement>,
    /// Every step of every run.
    pub steps: Vec<IncidentStep>,
    /// What the last run found.
    #[serde(flatten)]
    pub found: Found,
    /// People's notes.
    pub notes: Vec<Statement>,
    /// The nine lines of the old manual's checklist; a planned procedure has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<Check>,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentState {
    /// All steps are done.
    Complete,
    /// It failed early, and the old production was put back into service.
    PutBack,
    /// It was cut off, or failed: the same command goes on with it.
    Open,
}

/// What a person said, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// When, UTC.
    pub at: String,
    /// Who.
    pub by: String,
    /// What.
    pub text: String,
    /// The line of the checklist that it ticks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<u8>,
}

/// One step of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentStep {
    /// When it began, where it changes something.
    pub began: Option<String>,
    /// A sentence about it.
    pub about: String,
    /// How it ended; a step that was cut off has no outcome.
    #[serde(flatten)]
    pub ended: StepEnded,
}

impl Incident {
    /// Every incident of a host's journals, the oldest first.
    pub fn read(host: &HostName, journal: &Record) -> Vec<Incident> {
        let mut all: Vec<Incident> = Vec::new();
        for event in journal.events::<Event>() {
            match (event, all.last_mut()) {
                (Event::Begin(begin), _) => all.push(Incident::new(host, begin)),
                (event, Some(incident)) => incident.add(event),
                (_, None) => {}
            }
        }
        for incident in &mut all {
            incident.checklist = checklist::checklist(incident);
        }
        all
    }

    fn new(host: &HostName, begin: Begin) -> Self {
        let mut incident = Self {
            format: 1,
            recorded_on: host.clone(),
            ended: None,
            state: IncidentState::Open,
            again: Vec::new(),
            statements: Vec::new(),
            steps: Vec::new(),
            found: Found::default(),
            notes: Vec::new(),
            checklist: Vec::new(),
            begin,
        };
        let (at, by, down) = (incident.begin.at.clone(), incident.begin.by.clone(), incident.begin.stated_down.clone());
        incident.state_down(at, by.unwrap_or_else(|| "somebody".into()), down);
        incident
    }

    fn state_down(&mut self, at: String, by: String, down: Option<HostName>) {
        if let Some(host) = down {
            self.statements.push(Statement { at, by, text: format!("{host} is down"), done: None });
        }
    }

    fn add(&mut self, event: Event) {
        match event {
            Event::Begin(_) => {}
            Event::Again { at, by, stated_down } => {
                self.again.push(Statement { at: at.clone(), by: by.clone(), text: "went on".into(), done: None });
                self.state_down(at, by, stated_down);
            }
            Event::Step { at, step } => {
                let about = self.about(&step);
                self.steps.push(IncidentStep { began: Some(at), about, ended: StepEnded { step, ..StepEnded::default() } });
            }
            Event::StepEnded(ended) => match self.steps.last_mut().filter(|open| open.ended.step == ended.step && open.ended.at.is_empty())
            {
                Some(open) => open.ended = ended,
                None => {
                    let about = self.about(&ended.step);
                    self.steps.push(IncidentStep { began: None, about, ended });
                }
            },
            Event::PutBack { at, done, error, hooks } => {
                if done {
                    (self.state, self.ended) = (IncidentState::PutBack, Some(at.clone()));
                }
                let outcome = if done { "done" } else { "failed" }.to_owned();
                let ended = StepEnded { at, step: "put-back".into(), outcome, error, hooks, ..StepEnded::default() };
                self.steps.push(IncidentStep { began: None, about: "The old production is back in service.".into(), ended });
            }
            Event::Found { found, .. } => self.found = *found,
            Event::Note { at, by, text, done } => self.notes.push(Statement { at, by, text, done }),
            Event::End { at } => (self.state, self.ended) = (IncidentState::Complete, Some(at)),
        }
    }

    /// Lists of it that lie apart.
    pub fn apart(&self) -> impl Iterator<Item = &Apart> {
        let lost = self.found.lost.iter().filter_map(|lost| lost.files_in.as_ref());
        lost.chain(self.found.rejoin.iter().filter_map(|parting| parting.files_in.as_ref()))
    }

    /// Reads these lists; says what of them is not there.
    pub fn complete(&mut self, facts: &Facts) -> Vec<String> {
        let (host, mut missing) = (&self.recorded_on, Vec::new());
        if let Some(lost) = &mut self.found.lost {
            missing.extend(listed(facts, host, lost.files_in.as_ref(), &mut lost.files));
            lost.unseen.extend(missing.clone());
        }
        if let Some(parting) = &mut self.found.rejoin {
            missing.extend(listed(facts, host, parting.files_in.as_ref(), &mut parting.files));
        }
        missing
    }

    /// Its procedure.
    pub fn verb(&self) -> Verb {
        match self.begin.verb.as_str() {
            "switchover" => Verb::Switchover,
            "rejoin" => Verb::Rejoin,
            _ => Verb::Promote,
        }
    }

    fn about(&self, name: &str) -> String {
        self.verb().steps().iter().find(|step| step.name == name).map_or_else(String::new, |step| step.about.to_owned())
    }

    /// The last word on a step, if it was done.
    fn done(&self, name: &str) -> Option<&StepEnded> {
        self.steps.iter().rev().map(|step| &step.ended).find(|step| step.step == name && step.outcome == "done")
    }

    /// Hooks that ran well.
    fn hooks(&self) -> impl Iterator<Item = &HookReport> {
        self.steps.iter().flat_map(|step| &step.ended.hooks).filter(|hook| hook.outcome == HookOutcome::Done)
    }
}

fn listed<T: DeserializeOwned>(facts: &Facts, host: &HostName, apart: Option<&Apart>, list: &mut Vec<T>) -> Option<String> {
    let Apart { path, lines } = apart?;
    match facts.record(host, path) {
        Ok(record) => list.extend(record.iter().flat_map(Record::events)),
        Err(error) => return Some(format!("the list of {lines} files: {error}")),
    }
    (list.len() != *lines).then(|| format!("{} of the {lines} files that {} on {host} lists were read", list.len(), path.display()))
}
