//! An incident as people read it, and as Markdown for a wiki or a ticket. Pure.

use std::fmt::Write;

use super::text::{Style, paint};
use super::visible::visible;
use crate::promote::incident::{Check, Incident, IncidentState, IncidentStep, Mark};
use crate::promote::{HookOutcome, HookReport};

/// Text of an incident.
pub fn render(incident: &Incident, style: Style) -> String {
    let mut out = format!("{}\n", head(incident));
    for line in facts(incident) {
        let _ = writeln!(out, "  {line}");
    }
    let _ = writeln!(out, "\nSteps");
    for step in &incident.steps {
        let (mark, colour) = mark(step);
        let _ = writeln!(out, "  {} {} {:<16} {}", paint(style, colour, mark), clock(at(step)), step.ended.step, line(step));
        for said in below(step) {
            let _ = writeln!(out, "      {}", said.replace('\n', "\n        "));
        }
    }
    section(&mut out, "What was lost", &lost(incident), "  ");
    section(&mut out, "What only the old production had", &parted(incident), "  ");
    section(&mut out, "Notes", &notes(incident), "  ");
    if !incident.checklist.is_empty() {
        let _ = writeln!(out, "\nThe checklist");
        for check in &incident.checklist {
            let (mark, colour) = match check.mark {
                Mark::Done => ("✓", "32"),
                Mark::Open => ("…", "33"),
                Mark::LeftOut => ("-", "33"),
            };
            let _ = writeln!(out, "  {} {}. {}\n       {}", paint(style, colour, mark), check.number, check.text, how(check));
        }
    }
    out
}

/// Markdown of an incident.
pub fn markdown(incident: &Incident) -> String {
    let mut out = format!("# {}\n\n", head(incident));
    for line in facts(incident) {
        let _ = writeln!(out, "- {}", escaped(&line));
    }
    let _ = writeln!(out, "\n## Steps\n\n| UTC | Step | Seconds | |\n|---|---|---:|---|");
    for step in &incident.steps {
        let said: Vec<String> = std::iter::once(line(step)).chain(below(step)).map(|line| escaped(&line)).collect();
        let seconds = if step.ended.at.is_empty() { String::new() } else { format!("{:.1}", step.ended.seconds) };
        let _ = writeln!(out, "| {} | {} {} | {seconds} | {} |", clock(at(step)), mark(step).0, step.ended.step, said.join("<br>"));
    }
    let sections = [("What was lost", lost(incident)), ("What only the old production had", parted(incident)), ("Notes", notes(incident))];
    for (title, lines) in sections {
        let lines: Vec<String> = lines.iter().map(|line| escaped(line)).collect();
        section(&mut out, &format!("## {title}\n"), &lines, "- ");
    }
    if !incident.checklist.is_empty() {
        let _ = writeln!(out, "\n## The checklist\n");
        for check in &incident.checklist {
            let mark = if check.mark == Mark::Done { "x" } else { " " };
            let _ = writeln!(out, "- [{mark}] {}. {}: {}", check.number, check.text, escaped(&how(check)));
        }
    }
    out
}

/// One line of a list of incidents.
pub fn summary(number: usize, incident: &Incident) -> String {
    format!("{number:>3}  {}  {} ({})", incident.begin.at, head(incident), state(incident))
}

fn head(incident: &Incident) -> String {
    let (verb, host, old) = (&incident.begin.verb, &incident.begin.host, &incident.begin.old);
    match verb.as_str() {
        "rejoin" => format!("rejoin {old} as a standby of {host}"),
        verb => format!("{verb} {host} in place of {old}"),
    }
}

fn state(incident: &Incident) -> String {
    let ended = incident.ended.as_deref().unwrap_or_default();
    match incident.state {
        IncidentState::Complete => format!("complete {ended}"),
        IncidentState::PutBack => format!("{} was put back into service {ended}", incident.begin.old),
        IncidentState::Open => "not complete: the same command goes on with it".into(),
    }
}

fn facts(incident: &Incident) -> Vec<String> {
    let begin = &incident.begin;
    let mut lines = vec![format!("begun {} by {}", begin.at, begin.by.as_deref().unwrap_or("somebody")), state(incident)];
    for again in &incident.again {
        lines.push(format!("went on {} by {}", again.at, again.by));
    }
    for statement in &incident.statements {
        lines.push(format!("stated {} by {}: {}", statement.at, statement.by, statement.text));
    }
    if let Some(position) = &begin.before {
        let replayed = position.replayed.as_deref().unwrap_or("an unknown position");
        lines.push(format!("before: timeline {}, replayed up to {replayed}", position.timeline));
    }
    if let Some(seconds) = incident.found.downtime {
        lines.push(format!("nobody could work for {seconds:.1} s"));
    }
    lines.push(format!("recorded on {}", incident.recorded_on));
    lines
}

fn at(step: &IncidentStep) -> &str {
    step.began.as_deref().unwrap_or(&step.ended.at)
}

/// `12:34:56.789` of a moment; as it is where it is no such text.
fn clock(at: &str) -> &str {
    at.split_once('T').map_or(at, |(_, time)| time.trim_end_matches('Z'))
}

fn mark(step: &IncidentStep) -> (&'static str, &'static str) {
    match step.ended.outcome.as_str() {
        "done" => ("✓", "32"),
        "failed" => ("✗", "31"),
        _ => ("…", "33"),
    }
}

fn line(step: &IncidentStep) -> String {
    match step.ended.at.is_empty() {
        true => format!("{} It was cut off.", step.about),
        false => format!("{} ({:.1} s)", step.about, step.ended.seconds),
    }
}

fn below(step: &IncidentStep) -> Vec<String> {
    let ended = &step.ended;
    let mut lines: Vec<String> = ended.seen.iter().cloned().collect();
    lines.extend(ended.done.iter().map(|done| format!("→ {done}")));
    lines.extend(ended.hooks.iter().map(hook));
    lines.extend(ended.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.extend(ended.error.iter().flat_map(|error| error.lines()).map(|line| format!("error: {line}")));
    lines
}

/// A hook in one line.
pub(super) fn hook(hook: &HookReport) -> String {
    let error = hook.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    let told = match hook.outcome {
        HookOutcome::Done => format!("ran in {:.1} s", hook.seconds),
        HookOutcome::Planned => "would run".into(),
        HookOutcome::Failed => format!("FAILED{error}"),
        HookOutcome::LeftOut => format!("was left out{error}"),
    };
    format!("hook {} it, on {}: `{}` {told}", hook.when, hook.on, hook.run)
}

fn lost(incident: &Incident) -> Vec<String> {
    let Some(lost) = &incident.found.lost else { return Vec::new() };
    let mut lines = vec![
        format!("database: {}", lost.database.words),
        format!("last good sync of files: {}", lost.last_sync.as_deref().unwrap_or("none on record")),
    ];
    if lost.files.is_empty() && lost.unseen.is_empty() {
        lines.push("files: none: every attachment the database knows is on disk".into());
    }
    lines.extend(
        lost.files.iter().map(|file| format!("{} {} (id {}, {} in {})", file.fault, file.name, file.id, file.store_name, file.database)),
    );
    lines.extend(lost.unseen.iter().map(|unseen| format!("not seen: {unseen}")));
    lines
}

fn parted(incident: &Incident) -> Vec<String> {
    let Some(parting) = &incident.found.rejoin else { return Vec::new() };
    let mut lines = vec![format!("{}: {}", parting.way, parting.words)];
    lines.extend(parting.discards.iter().map(|(from, to)| format!("its WAL from {from} to {to}, discarded")));
    lines.extend(parting.files.iter().map(|file| format!("file {file}")));
    lines.extend(parting.unseen.iter().map(|unseen| format!("not seen: {unseen}")));
    lines
}

fn notes(incident: &Incident) -> Vec<String> {
    incident.notes.iter().map(|note| format!("{} {}: {}", note.at, note.by, note.text)).collect()
}

fn how(check: &Check) -> String {
    match check.mark {
        Mark::Done => check.how.clone(),
        Mark::Open => format!("still to be done by a person: {}", check.how),
        Mark::LeftOut => format!("left out: {}", check.how),
    }
}

fn section(out: &mut String, title: &str, lines: &[String], bullet: &str) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for line in lines {
        // What it says on several lines stays its own.
        let _ = writeln!(out, "{bullet}{}", line.replace('\n', "\n    "));
    }
}

/// What a table of Markdown would take for its own.
fn escaped(text: &str) -> String {
    visible(text).replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}
