//! What `otr init` found, as people read it. Pure.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::text::{Style, paint};
use super::visible::one_line;
use super::{ResourceReport, State};
use crate::draft::predecessor::Found;
use crate::name::HostName;
use crate::resource::{Difference, Shown};

/// What `otr init` found and wrote.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// The number of this format.
    pub format: u32,
    /// `init`.
    pub verb: &'static str,
    /// The file that was written; none with --dry-run.
    pub file: Option<PathBuf>,
    /// Production.
    pub production: HostName,
    /// The standby, if one was named.
    pub standby: Option<HostName>,
    /// The spec.
    pub spec: String,
    /// Parts of it that are written as comments, and why.
    pub not_yet: Vec<NotYet>,
    /// What a person has to know or to decide.
    pub notes: Vec<String>,
    /// What the predecessor left.
    pub predecessor: Vec<Left>,
    /// How many things of production are as the spec says.
    pub holds: usize,
    /// What of production differs from the spec.
    pub differs: Vec<Differs>,
}

/// A part of a spec that is written as a comment.
#[derive(Debug, Clone, Serialize)]
pub struct NotYet {
    /// Its key.
    pub key: &'static str,
    /// Why.
    pub why: String,
}

/// What the predecessor left on a host.
#[derive(Debug, Clone, Serialize)]
pub struct Left {
    /// Where.
    pub host: HostName,
    /// What.
    #[serde(flatten)]
    pub found: Found,
}

/// A thing of production that differs.
#[derive(Debug, Clone, Serialize)]
pub struct Differs {
    /// Its kind and name.
    pub resource: String,
    /// How.
    pub why: String,
}

impl Differs {
    /// What a resource that does not hold says.
    pub fn of(resource: &ResourceReport) -> Option<Self> {
        let one = |difference: &Difference| format!("{} is {}, not {}", difference.what, word(&difference.is), word(&difference.wanted));
        let said = resource.error.clone().or_else(|| resource.on.as_ref().map(|on| format!("it waits for {on}")));
        let why = said.unwrap_or_else(|| resource.differences.iter().map(one).collect::<Vec<_>>().join("; "));
        (resource.state != State::Holds).then(|| Self { resource: format!("{} {}", resource.kind.as_str(), resource.name), why })
    }
}

fn word(shown: &Shown) -> String {
    match shown {
        Shown::Absent => "absent".into(),
        Shown::Sensitive => "a secret".into(),
        Shown::Text(text) => one_line(text),
    }
}

/// The answer's text.
pub fn render(answer: &Answer, style: Style) -> String {
    let mut out = String::new();
    let head = |out: &mut String, text: &str| *out += &format!("{}\n", paint(style, "1", text));
    if answer.file.is_none() {
        out.push_str(&answer.spec);
        out.push('\n');
    }
    if !answer.not_yet.is_empty() {
        head(&mut out, "Written as comments, for you to decide");
        for part in &answer.not_yet {
            let _ = writeln!(out, "  {}: {}", part.key, one_line(&part.why));
        }
    }
    if !answer.notes.is_empty() {
        head(&mut out, "To know");
        for note in &answer.notes {
            let _ = writeln!(out, "  {} {}", paint(style, "33", "-"), one_line(note));
        }
    }
    if !answer.predecessor.is_empty() {
        head(&mut out, "Of odooredundancy, and what replaces it");
        for left in &answer.predecessor {
            let path = one_line(&left.found.path.display().to_string());
            let _ = writeln!(out, "  {} {path}: {} ▸ {}", left.host, left.found.what, one_line(&left.found.replaced_by));
        }
        let _ = writeln!(out, "  Once otr does its work: otr init --retire-predecessor removes its cron jobs.");
    }
    match answer.differs.as_slice() {
        [] => {
            let told = format!("{} is as this spec says: {} things were compared, none would change.", answer.production, answer.holds);
            let _ = writeln!(out, "{}", paint(style, "32", &told));
        }
        differs => {
            head(&mut out, &format!("What is not as the spec says on {} ({} more are)", answer.production, answer.holds));
            for differs in differs {
                let _ = writeln!(out, "  {} {}: {}", paint(style, "33", "~"), differs.resource, one_line(&differs.why));
            }
        }
    }
    if let Some(file) = &answer.file {
        let spec = if file.as_os_str() == "otr.yaml" { String::new() } else { format!(" --spec {}", file.display()) };
        let _ = writeln!(out, "Written: {}. Read it; then `otr{spec} doctor`, and `otr{spec} plan`.", file.display());
    }
    out
}
