//! A report as people read it. Pure; the caller decides about colour.

use std::fmt::Write;

use similar::TextDiff;

use super::visible::coloured;
use super::{ActionReport, HostReport, Outcome, Report, ResourceReport, State};
use crate::resource::{Difference, Kind, Shown};

/// How much to show.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// In colours, for [`super::visible::terminal`].
    pub colour: bool,
    /// Also what holds.
    pub verbose: bool,
}

/// Text of a whole report.
pub fn render(report: &Report, style: Style) -> String {
    let mut out = String::new();
    for host in &report.hosts {
        let resources: Vec<&ResourceReport> = report.resources.iter().filter(|r| r.host == host.host).collect();
        if resources.is_empty() && host.error.is_none() {
            continue;
        }
        render_host(&mut out, host, &resources, style);
    }
    for note in &report.notes {
        let _ = writeln!(out, "{} {note}", paint(style, YELLOW, "note:"));
    }
    let _ = writeln!(out, "{}", summary(report));
    out
}

/// Text of one resource.
pub(super) fn resource(resource: &ResourceReport, observed: bool) -> String {
    let mut out = String::new();
    render_resource(&mut out, resource, observed, Style::default());
    out
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} bytes"),
        10_000..=9_999_999 => format!("{} KiB", bytes >> 10),
        10_000_000..=9_999_999_999 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const DIM: &str = "2";

pub fn paint(style: Style, code: &str, text: &str) -> String {
    if style.colour { coloured(code, text) } else { text.to_owned() }
}

fn render_host(out: &mut String, host: &HostReport, resources: &[&ResourceReport], style: Style) {
    let observed = if host.observed { ", observed: nothing is changed here" } else { "" };
    let _ = writeln!(out, "{}  {} ({}{observed})", paint(style, BOLD, host.host.as_str()), host.role, host.address);
    if let Some(error) = &host.error {
        let _ = writeln!(out, "  {} {error}", paint(style, RED, "unreachable:"));
        return;
    }
    let mut holds = 0;
    for resource in resources {
        if resource.state == State::Holds && resource.outcome.is_none() {
            holds += 1;
            if !style.verbose {
                continue;
            }
        }
        render_resource(out, resource, host.observed, style);
    }
    if holds > 0 {
        let _ = writeln!(out, "  {} {holds} as wanted", paint(style, GREEN, "="));
    }
    out.push('\n');
}

fn render_resource(out: &mut String, resource: &ResourceReport, observed: bool, style: Style) {
    let (mark, colour) = match (resource.outcome, resource.state) {
        (Some(Outcome::Changed), _) => ("✓", GREEN),
        (Some(Outcome::Failed), _) | (_, State::Refused | State::Unseen) => ("✗", RED),
        (Some(Outcome::NotReached | Outcome::Left), _) | (_, State::Waits) => ("…", YELLOW),
        (_, State::Change) => ("~", YELLOW),
        (_, State::Holds) => ("=", GREEN),
    };
    let head = format!("  {} {} {}", paint(style, colour, mark), resource.kind.as_str(), paint(style, BOLD, &resource.name));
    if let (Some(on), true) = (&resource.on, resource.differences.is_empty()) {
        let _ = writeln!(out, "{head}  {}", paint(style, DIM, &format!("waits for {on}")));
        return;
    }
    // What was done was planned before: the differences are shown again only when asked for. Data is named.
    let data = matches!(resource.kind, Kind::Filestore | Kind::Sessions);
    if let (Some(Outcome::Changed), false) = (resource.outcome, style.verbose || data) {
        let titles: Vec<&str> = resource.actions.iter().map(|action| action.title.as_str()).collect();
        let _ = writeln!(out, "{head}  {}", paint(style, DIM, &format!("→ {}", titles.join("; "))));
        return;
    }
    if let (Some(error), true, true) = (&resource.error, resource.differences.is_empty(), resource.actions.is_empty())
        && !error.contains('\n')
    {
        let _ = writeln!(out, "{head}  {}", paint(style, RED, error));
        return;
    }
    let _ = writeln!(out, "{head}");
    for difference in &resource.differences {
        render_difference(out, difference, style);
    }
    for action in &resource.actions {
        render_action(out, action, observed, style);
    }
    if let Some(discards) = &resource.discards {
        let _ = writeln!(out, "      {} {discards}", paint(style, RED, "data at stake:"));
        let _ = writeln!(out, "      agree with --replace-data {}", resource.host);
    }
    if let Some(interruption) = &resource.interruption {
        let _ = writeln!(out, "      {} {interruption}", paint(style, YELLOW, "interruption:"));
        let _ = writeln!(out, "      agree with --restarts");
    }
    if let Some(who) = &resource.left_to {
        let _ = writeln!(out, "      {} left to {who}", paint(style, DIM, "→"));
    }
    if let Some(on) = &resource.on {
        let word = if resource.state == State::Change && resource.outcome.is_none() { "after" } else { "waits for" };
        let _ = writeln!(out, "      {} {word} {on}", paint(style, DIM, "…"));
    }
    if let Some(error) = &resource.error {
        for line in error.lines() {
            let _ = writeln!(out, "      {}", paint(style, RED, line));
        }
    }
}

fn render_difference(out: &mut String, difference: &Difference, style: Style) {
    if let (Shown::Text(is), Shown::Text(wanted)) = (&difference.is, &difference.wanted)
        && (is.contains('\n') || wanted.contains('\n'))
    {
        let _ = writeln!(out, "      {}:", difference.what);
        return unified(out, is, wanted, style);
    }
    if let (Shown::Absent, Shown::Text(wanted)) = (&difference.is, &difference.wanted)
        && wanted.contains('\n')
    {
        let _ = writeln!(out, "      {}: (absent) → {} lines", difference.what, wanted.lines().count());
        return new_text(out, wanted, style);
    }
    let both_hidden = difference.is == Shown::Sensitive && difference.wanted == Shown::Sensitive;
    let change =
        if both_hidden { "(sensitive, changed)".to_owned() } else { format!("{} → {}", word(&difference.is), word(&difference.wanted)) };
    let _ = writeln!(out, "      {}: {change}", difference.what);
}

fn word(shown: &Shown) -> &str {
    match shown {
        Shown::Absent => "(absent)",
        Shown::Sensitive => crate::secret::REDACTED,
        Shown::Text(text) if text.is_empty() => "(empty)",
        Shown::Text(text) => text,
    }
}

/// The most lines of a new file that are shown unasked.
const HEAD: usize = 8;

fn new_text(out: &mut String, text: &str, style: Style) {
    let all = text.lines().count();
    let shown = if style.verbose || all <= HEAD + 2 { all } else { HEAD };
    for line in text.lines().take(shown) {
        let _ = writeln!(out, "        {}", paint(style, GREEN, &format!("+{line}")));
    }
    if shown < all {
        let _ = writeln!(out, "        {}", paint(style, DIM, &format!("… {} more (--verbose shows them)", all - shown)));
    }
}

fn unified(out: &mut String, is: &str, wanted: &str, style: Style) {
    let diff = TextDiff::from_lines(is, wanted);
    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
        for line in hunk.to_string().lines() {
            let colour = match line.as_bytes().first() {
                Some(b'+') => GREEN,
                Some(b'-') => RED,
                _ => DIM,
            };
            let _ = writeln!(out, "        {}", paint(style, colour, line));
        }
    }
}

fn render_action(out: &mut String, action: &ActionReport, observed: bool, style: Style) {
    let warning = if action.interrupts { paint(style, YELLOW, "  (interrupts)") } else { String::new() };
    let _ = writeln!(out, "      {} {}{warning}", paint(style, DIM, "→"), action.title);
    if let Some(commands) = action.commands.as_ref().filter(|_| observed) {
        for line in commands.lines() {
            let _ = writeln!(out, "        {} {line}", paint(style, DIM, "|"));
        }
    }
}

/// The one-line summary.
pub fn summary(report: &Report) -> String {
    let s = report.summary;
    let mut parts = Vec::new();
    let mut part = |count: usize, words: &str| {
        if count > 0 {
            parts.push(format!("{count} {words}"));
        }
    };
    part(s.changed, "changed");
    part(s.failed, "failed");
    part(s.not_reached, "not reached");
    part(s.left, "left, for they interrupt users");
    let left = |resource: &&ResourceReport, state| resource.state == state && resource.outcome.is_none();
    let count = |state| report.resources.iter().filter(|r| left(r, state)).count();
    part(count(State::Change), "to change");
    part(count(State::Waits), "waiting");
    part(count(State::Refused), "for a person to settle");
    part(count(State::Unseen), "not seen");
    let unreachable = report.hosts.iter().filter(|h| h.error.is_some()).count();
    part(unreachable, "hosts unreachable");
    part(s.holds - s.changed.min(s.holds), "as wanted");
    let parts = if parts.is_empty() { "nothing is wanted".to_owned() } else { parts.join(", ") };
    format!("{} {}: {parts}", report.verb, report.spec)
}
