//! The report of a promotion, switchover or rejoin as people read it at 3 a.m. Pure.

use std::fmt::Write;

use super::text::{Style, paint};
use crate::promote::{HookOutcome, PromoteReport, StepOutcome};

/// Text of a promotion's report.
pub fn render(report: &PromoteReport, style: Style) -> String {
    let mut out = String::new();
    let (host, old) = (&report.host, &report.old_production);
    let head = match report.verb {
        "rejoin" => format!("rejoin {old} as a standby of {host}"),
        verb => format!("{verb} {host} in place of {old}"),
    };
    let _ = writeln!(out, "{head} ({})", report.spec);
    for step in &report.steps {
        let (mark, colour) = match step.outcome {
            StepOutcome::Done => ("✓", "32"),
            StepOutcome::Planned => ("~", "33"),
            StepOutcome::Failed => ("✗", "31"),
            StepOutcome::NotReached => ("…", "33"),
        };
        let time = if step.outcome == StepOutcome::Done { format!(" ({:.1} s)", step.seconds) } else { String::new() };
        let _ = writeln!(out, "  {} {:<16} {}{time}", paint(style, colour, mark), step.step, step.about);
        if let Some(seen) = &step.seen {
            let _ = writeln!(out, "      {seen}");
        }
        for done in &step.done {
            let _ = writeln!(out, "      → {done}");
        }
        for hook in &step.hooks {
            let colour = if matches!(hook.outcome, HookOutcome::Failed | HookOutcome::LeftOut) { "31" } else { "0" };
            let _ = writeln!(out, "      {}", paint(style, colour, &super::incident::hook(hook)));
        }
        for warning in &step.warnings {
            let _ = writeln!(out, "      {} {warning}", paint(style, "33", "warning:"));
        }
        for line in step.error.iter().flat_map(|error| error.lines()) {
            let _ = writeln!(out, "      {}", paint(style, "31", line));
        }
    }
    if let Some(parting) = &report.rejoin {
        let _ = writeln!(out, "\nWhat only {old} has");
        match &parting.discards {
            None => drop(writeln!(out, "  database: nothing")),
            Some((from, to)) => drop(writeln!(out, "  database: its WAL from {from} to {to}, which is discarded ({})", parting.words)),
        }
        match parting.files.len() {
            0 => drop(writeln!(out, "  files: none")),
            count => drop(writeln!(out, "  files: {count}, which stay where they are, unused:")),
        }
        for file in &parting.files {
            let _ = writeln!(out, "    {file}");
        }
        for unseen in &parting.unseen {
            let _ = writeln!(out, "  {} {unseen}", paint(style, "31", "not seen:"));
        }
    }
    if let Some(seconds) = report.downtime {
        let _ = writeln!(out, "\nNobody could work for {seconds:.1} s");
    }
    if let Some(lost) = &report.lost {
        let _ = writeln!(out, "\n{}", if report.dry_run { "What would be lost" } else { "What was lost" });
        let _ = writeln!(out, "  database: {}", lost.database.words);
        let _ = writeln!(out, "  last good sync of files: {}", lost.last_sync.as_deref().unwrap_or("none on record"));
        match lost.files.len() {
            0 if lost.unseen.is_empty() => {
                let _ = writeln!(out, "  files: none: every attachment the database knows is on disk");
            }
            0 => {}
            count => {
                let _ = writeln!(out, "  files: {count} attachments have a row and no sound file:");
            }
        }
        for file in &lost.files {
            let _ = writeln!(out, "    {} {} (id {}, {} in {})", file.fault, file.name, file.id, file.store_name, file.database);
        }
        for unseen in &lost.unseen {
            let _ = writeln!(out, "  {} {unseen}", paint(style, "31", "not seen:"));
        }
    }
    if report.next.is_empty() {
        return out;
    }
    let _ = writeln!(out, "\nWhat you do now");
    for (number, line) in report.next.iter().enumerate() {
        let _ = writeln!(out, "  {}. {line}", number + 1);
    }
    out
}
