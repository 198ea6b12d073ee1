//! A comparison of two machines as people read it. Pure.

use std::fmt::Write;

use super::text::{Style, paint};
use super::visible::one_line;
use crate::compare::Comparison;
use crate::resource::Shown;

/// Text of a comparison: for each thing the left side, then the right.
pub fn render(comparison: &Comparison, style: Style) -> String {
    let mut out = String::new();
    for area in &comparison.areas {
        if area.differences.is_empty() {
            let _ = writeln!(out, "{}  {} alike", paint(style, "1", area.area), area.alike);
            continue;
        }
        let _ = writeln!(out, "{}  {} differ, {} alike", paint(style, "1", area.area), area.differences.len(), area.alike);
        for sides in &area.differences {
            let change = match (&sides.left, &sides.right) {
                (Shown::Sensitive, Shown::Sensitive) => "(not shown, differs)".to_owned(),
                (left, right) => format!("{} | {}", word(left), word(right)),
            };
            let _ = writeln!(out, "  {} {}: {change}", paint(style, "33", "~"), one_line(&sides.what));
        }
    }
    for unseen in &comparison.unseen {
        let _ = writeln!(out, "{} {unseen}", paint(style, "31", "not compared:"));
    }
    let told = match comparison.differences() {
        0 => "nothing differs".to_owned(),
        1 => "1 thing differs".to_owned(),
        n => format!("{n} things differ"),
    };
    let unseen = if comparison.unseen.is_empty() { "" } else { ", and not all was seen" };
    let _ = writeln!(out, "diff {} | {}: {told}{unseen}", comparison.left, comparison.right);
    out
}

fn word(shown: &Shown) -> String {
    match shown {
        Shown::Absent => "(absent)".into(),
        Shown::Sensitive => "(there, not shown)".into(),
        Shown::Text(text) if text.is_empty() => "(empty)".into(),
        Shown::Text(text) => one_line(text),
    }
}
