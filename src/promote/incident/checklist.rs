//! The nine lines that an administrator of the predecessor worked through by hand, each ticked
//! by what the journal holds, or left to a person by name.

use serde::Serialize;

use super::Incident;
use crate::promote::Verb;

/// One line of the checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its number, 1 to 9.
    pub number: u8,
    /// What is to be done.
    pub text: &'static str,
    /// Whether it is.
    pub mark: Mark,
    /// What shows it, or what remains.
    pub how: String,
}

/// How a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The journal shows it, or a person noted it.
    Done,
    /// A person still has to do it.
    Open,
    /// It was left out, which is a choice.
    LeftOut,
}

/// Where each is told done, or what remains.
type Told = Result<String, (Mark, String)>;

pub(super) fn checklist(incident: &Incident) -> Vec<Check> {
    if incident.verb() != Verb::Promote {
        return Vec::new();
    }
    let lines: [(&'static str, Told); 9] = [
        ("Open a document for notes", Ok(format!("this record, begun {}; add to it with `otr incident --note TEXT`", incident.begin.at))),
        ("Try everything to go on with the production there is", tried(incident)),
        ("Shut production down, and note when", down(incident)),
        ("Keep an image of the standby as it was (recommended)", image(incident)),
        ("Make the standby production and start Odoo there", serving(incident)),
        ("Note when files were last copied", copied(incident)),
        ("Log in, and look at the last orders, invoices, stock moves and files", looked(incident)),
        ("Point proxies and DNS at it, and see that it is reached", reached(incident)),
        ("Tell the people concerned what happened and what is missing", open("tell them; \"What was lost\" is above".into())),
    ];
    (1..)
        .zip(lines)
        .map(|(number, (text, told))| {
            let note = incident.notes.iter().rev().find(|note| note.done == Some(number));
            let (mark, how) = match (note, told) {
                (Some(note), _) => (Mark::Done, format!("{} ({}, {})", note.text, note.by, note.at)),
                (None, Ok(how)) => (Mark::Done, how),
                (None, Err((mark, how))) => (mark, how),
            };
            Check { number, text, mark, how }
        })
        .collect()
}

fn open(how: String) -> Told {
    Err((Mark::Open, how))
}

fn tried(incident: &Incident) -> Told {
    let old = &incident.begin.old;
    open(format!("otr cannot know what was tried with {old}; note it: `otr incident --note TEXT --done 2`"))
}

fn down(incident: &Incident) -> Told {
    let said = |step: &str| incident.done(step).and_then(|step| Some((step.seen.clone()?, step.at.clone())));
    if let Some(statement) = incident.statements.first() {
        return Ok(format!("stated by {} at {}: {}", statement.by, statement.at, statement.text));
    }
    match said("fence-command").or_else(|| said("fence")) {
        Some((seen, at)) => Ok(format!("{at}: {seen}")),
        None => open(format!("make sure that {} is down", incident.begin.old)),
    }
}

fn image(incident: &Incident) -> Told {
    let snapshot = incident.done("snapshot").and_then(|step| Some((step.seen.as_ref()?, &step.at)));
    let hook = incident.steps.iter().find(|step| step.ended.step == "snapshot").and_then(|step| step.ended.hooks.first());
    match (snapshot, hook) {
        (Some((seen, at)), _) => Ok(format!("{at}: {seen}")),
        (None, Some(hook)) => Ok(format!("the hook `{}`", hook.run)),
        (None, None) => Err((Mark::LeftOut, "no --snapshot-command was given".into())),
    }
}

fn serving(incident: &Incident) -> Told {
    let (promoted, smoke) = (incident.done("promote"), incident.done("smoke-test"));
    match (promoted, smoke) {
        (Some(promoted), Some(smoke)) => {
            let seen = smoke.seen.as_ref().map_or_else(String::new, |seen| format!(": {seen}"));
            Ok(format!("PostgreSQL took writes at {}, Odoo answered at {}{seen}", promoted.at, smoke.at))
        }
        _ => open(format!("`otr promote {}` goes on", incident.begin.host)),
    }
}

fn copied(incident: &Incident) -> Told {
    match &incident.found.lost {
        Some(lost) => {
            let last = lost.last_sync.as_deref().unwrap_or("never, as far as is on record");
            Ok(format!("{last}; every attachment was compared with the disk, and {} are missing", lost.files.len()))
        }
        None => open(format!("`otr promote {}` goes on and compares every attachment with the disk", incident.begin.host)),
    }
}

fn looked(incident: &Incident) -> Told {
    let host = &incident.begin.host;
    let smoke = match &incident.found.smoke {
        Some(smoke) => format!("the login page answered {} with {} assets; ", smoke.login, smoke.assets),
        None => String::new(),
    };
    open(format!("{smoke}log in at {host} and look at what was entered last"))
}

fn reached(incident: &Incident) -> Told {
    let hooks: Vec<String> = incident.hooks().map(|hook| format!("`{}` on {}", hook.run, hook.on)).collect();
    let ran = if hooks.is_empty() { String::new() } else { format!("hooks ran well: {}; ", hooks.join(", ")) };
    open(format!("{ran}point what is left at {} and open Odoo as a user does", incident.begin.host))
}
