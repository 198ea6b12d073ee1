//! A plan as Markdown, for a comment on a merge request. Pure.
//!
//! What comes from a machine or a spec stands in code spans and fenced blocks only, each with a
//! fence longer than any it contains: it is shown, and never read as Markdown.

use std::fmt::Write;

use similar::TextDiff;

use super::visible::{entities, one_line, visible};
use super::{HostReport, Report, ResourceReport, State, text};
use crate::resource::{Difference, Shown};

/// GitHub takes 65 536 characters for a comment; the rest is left for what a pipeline adds.
const LIMIT: usize = 60_000;
/// The most lines of one folded text.
const LINES: usize = 200;

/// Markdown of a report.
pub fn render(report: &Report) -> String {
    let mut out = format!("### {}\n", span(&text::summary(report)));
    let mut left_out = 0;
    for block in blocks(report) {
        if out.len() + block.len() > LIMIT {
            left_out += 1;
        } else {
            out += &block;
        }
    }
    if left_out > 0 {
        let _ = writeln!(out, "\n**{left_out} more did not fit here**: run `otr plan`.");
    }
    out
}

/// The parts of which each may be left out.
fn blocks(report: &Report) -> Vec<String> {
    let mut blocks = Vec::new();
    if !report.notes.is_empty() {
        blocks.push("\n".to_owned() + &report.notes.iter().map(|note| format!("- **note** {}\n", span(note))).collect::<String>());
    }
    for host in &report.hosts {
        let resources: Vec<&ResourceReport> = report.resources.iter().filter(|r| r.host == host.host).collect();
        if resources.is_empty() && host.error.is_none() {
            continue;
        }
        let observed = if host.observed { ", observed: nothing is changed here" } else { "" };
        blocks.push(format!("\n#### {} {} ({}{observed})\n\n", span(host.host.as_str()), host.role, span(&host.address)));
        if let Some(error) = &host.error {
            blocks.push(format!("- **unreachable** {}\n", span(error)));
            continue;
        }
        let open: Vec<&&ResourceReport> = resources.iter().filter(|r| r.state != State::Holds).collect();
        blocks.extend(open.iter().map(|resource| item(resource)));
        if open.len() < resources.len() {
            blocks.push(format!("- **=** {} as wanted\n", resources.len() - open.len()));
        }
        blocks.extend(open.iter().flat_map(|resource| folded(resource, host)));
    }
    blocks
}

/// A resource as an item of a list.
fn item(resource: &ResourceReport) -> String {
    let mark = match resource.state {
        State::Holds => "=",
        State::Change => "~",
        State::Waits => "…",
        State::Refused | State::Unseen => "✗",
    };
    let mut out = format!("- **{mark}** {} {}\n", resource.kind.as_str(), span(&resource.name));
    for difference in &resource.differences {
        let _ = writeln!(out, "  - {}", line(difference));
    }
    for action in &resource.actions {
        let _ = writeln!(out, "  - → {}{}", span(&action.title), if action.interrupts { " **(interrupts)**" } else { "" });
    }
    if let Some(discards) = &resource.discards {
        let _ =
            writeln!(out, "  - **data at stake:** {}; agree with {}", span(discards), span(&format!("--replace-data {}", resource.host)));
    }
    if let Some(interruption) = &resource.interruption {
        let _ = writeln!(out, "  - **interruption:** {}; agree with {}", span(interruption), span("--restarts"));
    }
    if let Some(who) = &resource.left_to {
        let _ = writeln!(out, "  - left to {}", span(who));
    }
    if let Some(on) = &resource.on {
        let _ = writeln!(out, "  - {} {}", if resource.state == State::Change { "after" } else { "waits for" }, span(on));
    }
    for error in resource.error.iter().flat_map(|error| error.lines()) {
        let _ = writeln!(out, "  - {}", span(error));
    }
    out
}

fn line(difference: &Difference) -> String {
    let what = span(&difference.what);
    match (&difference.is, &difference.wanted) {
        (Shown::Sensitive, Shown::Sensitive) => format!("{what}: (sensitive, changed)"),
        (is, wanted) if lines(is) > 1 || lines(wanted) > 1 => match is {
            Shown::Text(_) => format!("{what}: differs, see below"),
            _ => format!("{what}: {} → {} lines, see below", word(is), lines(wanted)),
        },
        (is, wanted) => format!("{what}: {} → {}", word(is), word(wanted)),
    }
}

fn lines(shown: &Shown) -> usize {
    match shown {
        Shown::Text(text) if text.contains('\n') => text.lines().count().max(2),
        _ => 1,
    }
}

fn word(shown: &Shown) -> String {
    match shown {
        Shown::Absent => "(absent)".into(),
        Shown::Sensitive => crate::secret::REDACTED.into(),
        Shown::Text(text) if text.is_empty() => "(empty)".into(),
        Shown::Text(text) => span(text),
    }
}

/// What is too long for a line: differing texts, and the commands for an observed host's admin.
fn folded(resource: &ResourceReport, host: &HostReport) -> Vec<String> {
    let mut blocks = Vec::new();
    for difference in resource.differences.iter().filter(|d| lines(&d.is) > 1 || lines(&d.wanted) > 1) {
        let (Some(is), Some(wanted)) = (body(&difference.is), body(&difference.wanted)) else { continue };
        let diff = TextDiff::from_lines(is, wanted);
        let hunks: String = diff.unified_diff().context_radius(2).iter_hunks().map(|hunk| hunk.to_string()).collect();
        blocks.push(fold(&format!("{}: {}", resource.id(), difference.what), "diff", &hunks));
    }
    let commands: Vec<&str> = resource.actions.iter().filter_map(|action| action.commands.as_deref()).collect();
    if host.observed && !commands.is_empty() {
        blocks.push(fold(&format!("{}: commands for its admin", resource.id()), "sh", &commands.join("\n")));
    }
    blocks
}

fn body(shown: &Shown) -> Option<&str> {
    match shown {
        Shown::Absent => Some(""),
        Shown::Text(text) => Some(text),
        Shown::Sensitive => None,
    }
}

fn fold(title: &str, language: &str, text: &str) -> String {
    let text = visible(text);
    let all = text.lines().count();
    let mut shown: String = text.lines().take(LINES).map(|line| format!("{line}\n")).collect();
    if all > LINES {
        let _ = writeln!(shown, "… {} more lines", all - LINES);
    }
    let fence = "`".repeat(longest_fence(&shown).max(2) + 1);
    format!(
        "\n<details><summary><code>{}</code></summary>\n\n{fence}{language}\n{shown}{fence}\n\n</details>\n",
        entities(&one_line(title))
    )
}

/// A code span: nothing in it is read as Markdown, and nobody named in it is notified.
fn span(text: &str) -> String {
    let text = one_line(text);
    if text.trim().is_empty() {
        return format!("`\"{text}\"`");
    }
    let fence = "`".repeat(longest_fence(&text) + 1);
    // One space at both ends is taken off again where a text begins or ends with a backtick or space.
    let edge = |c: Option<char>| matches!(c, Some('`' | ' '));
    let pad = if edge(text.chars().next()) || edge(text.chars().last()) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// The length of the longest run of backticks.
fn longest_fence(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests;
