//! The report of a drill as people read it. Pure.

use std::fmt::Write;

use super::text::{Style, paint, size};
use crate::drill::DrillReport;
use crate::promote::StepOutcome;

/// Text of a drill's report; its last lines say what a promotion would take.
pub fn render(report: &DrillReport, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "drill {} ({})", report.host, report.spec);
    for step in &report.steps {
        let (mark, colour) = match step.outcome {
            StepOutcome::Done => ("✓", "32"),
            StepOutcome::Planned => ("~", "33"),
            StepOutcome::Failed => ("✗", "31"),
            StepOutcome::NotReached => ("…", "33"),
        };
        let time = if step.outcome == StepOutcome::Done { format!(" ({:.1} s)", step.seconds) } else { String::new() };
        let _ = writeln!(out, "  {} {:<12} {}{time}", paint(style, colour, mark), step.step, step.about);
        for line in step.seen.iter().flat_map(|seen| seen.lines()) {
            let _ = writeln!(out, "      {line}");
        }
        for line in step.error.iter().flat_map(|error| error.lines()) {
            let _ = writeln!(out, "      {}", paint(style, "31", line));
        }
    }
    if report.ok {
        let data = report.data_bytes.map_or_else(String::new, |bytes| format!(" ({} of data)", size(bytes)));
        let _ = writeln!(out, "{}: {}'s data becomes a working Odoo{data}", paint(style, "32", "the drill went well"), report.host);
        if let (Some(start), Some(login)) = (report.odoo_start_seconds, report.first_login_seconds) {
            let _ = writeln!(
                out,
                "a promotion now: Odoo's first login page about {:.0} s after its start ({start:.1} s until it listens, {login:.1} s for the page), at the drill's low priority",
                start + login
            );
        }
        if let Some(at) = &report.transaction {
            let _ = writeln!(out, "contained: every transaction up to {at}");
        }
        for database in &report.databases {
            for name in database.files.iter().flat_map(|files| &files.examples) {
                let _ = writeln!(out, "  {} {}: {name}", paint(style, "33", "missing in"), database.database);
            }
        }
    }
    for line in &report.next {
        let _ = writeln!(out, "{line}");
    }
    out
}
