//! What is wrong with a spec: one problem, its place, and how it is shown.
//!
//! A line of the spec may hold a password, so only the offending line is ever shown, and of
//! that only what cannot be one.

use std::fmt::Write;
use std::path::Path;

use super::tree::{Found, Place};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path of the value it is about, such as `hosts.erp1.port`.
    pub path: String,
    /// From 1; 0 when it is about the file as a whole.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
    /// Whether it is only worth knowing; such a spec can be used.
    pub note: bool,
}

impl Problem {
    /// A problem at a place.
    pub fn at(place: Place, path: impl Into<String>, message: impl Into<String>) -> Self {
        Problem { path: path.into(), line: place.line, column: place.column, message: message.into(), hint: None, note: false }
    }
    /// A problem of the key that leads to a node, or of the node itself if there is none.
    pub fn of_key(found: Found<'_>, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::at(found.key.map_or(found.tree.place, |key| key.place), path, message)
    }
    /// A problem of the file as a whole.
    pub fn of_file(message: impl Into<String>) -> Self {
        Self::at(Place::default(), "", message)
    }
    /// The same with what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As people see it: `file:line:column: message`, the line, a caret, the hint.
    pub fn render(&self, file: &Path, text: &str) -> String {
        let mut out = file.display().to_string();
        if self.line > 0 {
            let _ = write!(out, ":{}:{}", self.line, self.column);
        }
        let _ = writeln!(out, ": {}{}", if self.note { "note: " } else { "" }, plain(&self.message));
        if self.line > 0
            && let Some(excerpt) = Excerpt::of(text, self.line)
        {
            let (line, caret) = excerpt.window(self.column);
            let number = self.line.to_string();
            let _ = writeln!(out, "{number} | {line}");
            let _ = writeln!(out, "{:width$} | {:caret$}^", "", "", width = number.len());
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "hint: {}", plain(hint));
        }
        out
    }
}

/// Text without what would move a terminal's cursor, and of a length people read.
fn plain(text: &str) -> String {
    let mut plain: String = text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        plain.push('…');
    }
    plain
}

/// Several problems, in the order of their places.
pub fn render_all(problems: &[Problem], file: &Path, text: &str) -> String {
    let mut all: Vec<String> = problems.iter().take(MOST).map(|problem| problem.render(file, text)).collect();
    if problems.len() > MOST {
        all.push(format!("and {} more\n", problems.len() - MOST));
    }
    all.join("\n")
}

/// What is the nearest of some words, if one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase().replace('-', "_")), candidate))
        // A third of the letters may differ: `adress`, `databse`, but not `foo` for `for`.
        .filter(|(distance, candidate)| *distance <= (word.chars().count().max(candidate.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether a key may lead to something that must not be seen.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["pass", "pw", "secret", "token", "key", "credential"].iter().any(|word| key.contains(word))
}

/// The most problems that are shown.
const MOST: usize = 50;

/// The most characters of a message.
const LONGEST: usize = 500;

/// The most characters of a line that are shown.
const WIDTH: usize = 120;

/// A line without what may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    shown: Vec<char>,
    /// What was left out.
    pub hidden: String,
}

impl Excerpt {
    /// The line with this number, from 1.
    pub(super) fn of(text: &str, number: usize) -> Option<Excerpt> {
        let lines: Vec<&str> = text.lines().take(number).collect();
        let line = lines.get(number.checked_sub(1)?)?;
        let cut = cut_at(line, &lines[..number - 1]);
        let (shown, hidden) = line.split_at(cut);
        let mut shown: Vec<char> = without_login(shown).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if !hidden.trim().is_empty() {
            shown.push('…');
        }
        Some(Excerpt { shown, hidden: hidden.to_owned() })
    }

    /// The part of it around a column, and where the caret stands below.
    fn window(&self, column: usize) -> (String, usize) {
        let caret = column.saturating_sub(1).min(self.shown.len().saturating_sub(usize::from(!self.hidden.trim().is_empty())));
        let start = match self.shown.len() > WIDTH {
            true => caret.saturating_sub(WIDTH / 2).min(self.shown.len() - WIDTH),
            false => 0,
        };
        let part: String = self.shown.iter().skip(start).take(WIDTH).collect();
        (part.trim_end().to_owned(), caret - start)
    }
}

/// Keys of a line with the byte after their colon.
fn keys(line: &str) -> impl Iterator<Item = (&str, usize)> {
    line.match_indices(':').filter_map(|(at, _)| {
        let after = &line[at + 1..];
        if !(after.is_empty() || after.starts_with([' ', '\t', '"', '\'', '{', '['])) {
            return None;
        }
        let start = line[..at].rfind(['{', ',', '[', ' ', '\t']).map_or(0, |i| i + 1);
        let key = line[start..at].trim_matches(['"', '\'']);
        (!key.is_empty()).then_some((key, at + 1))
    })
}

/// The byte from which a line is hidden.
fn cut_at(line: &str, before: &[&str]) -> usize {
    let indent = line.len() - line.trim_start().len();
    let mut depth = indent;
    let mut own_key = keys(line).next().is_some();
    let mut first = true;
    for above in before.iter().rev().filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#')) {
        let Some((last, after)) = keys(above).last() else {
            first = false;
            continue;
        };
        // The value has not begun on the line of its key, or has not ended there.
        let open = first && matches!(above[after..].trim(), "" | "\"" | "'");
        first = false;
        let at = above.len() - above.trim_start().len();
        // The line continues the value of the last key above it, or stands below that key.
        if (!own_key || at < depth || open) && is_secret_key(last) {
            return indent;
        }
        own_key = true;
        depth = depth.min(at);
    }
    // An option of a mount: `password=…` in a list.
    let by_option = line.match_indices('=').map(|(at, _)| at).find(|at| {
        let word = line[..*at].rsplit(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c))).next();
        word.is_some_and(|word| !word.is_empty() && is_secret_key(word))
    });
    if let Some(at) = by_option {
        return keys(line).find(|(key, _)| is_secret_key(key)).map_or(at + 1, |(_, after)| after.min(at + 1));
    }
    let by_key = keys(line).find(|(key, _)| is_secret_key(key)).map(|(_, after)| after + line[after..].len().min(1));
    match by_key {
        Some(cut) if line.is_char_boundary(cut) && line[..cut].ends_with([':', ' ']) => cut,
        Some(cut) => cut - 1,
        None => line.len(),
    }
}

/// An address without the login of `scheme://user:password@host`.
fn without_login(line: &str) -> String {
    if let Some((scheme, rest)) = line.split_once("://")
        && let Some((login, host)) = rest.split_once('@')
        && login.contains(':')
    {
        return format!("{scheme}://…@{host}");
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, line: usize) -> String {
        Excerpt::of(text, line).unwrap().window(1).0
    }

    #[test]
    fn what_may_be_a_secret_is_never_shown() {
        for (text, line, wanted) in [
            ("redis: {maxmemory: 1mb, password: hunter2, port: x}", 1, "redis: {maxmemory: 1mb, password: …"),
            ("  admin_passwd: hunter2", 1, "  admin_passwd: …"),
            ("  admin_passwd:hunter2", 1, "  admin_passwd:hunter2"),
            ("  'smtp_pass': hunter2", 1, "  'smtp_pass': …"),
            ("{\"api_key\":\"hunter2\"}", 1, "{\"api_key\":…"),
            ("password: |\n  hunter2\n  more", 3, "  …"),
            ("tokens:\n  - hunter2\n", 2, "  …"),
            ("tokens:\n  a:\n    b: hunter2\n", 3, "    …"),
            ("secret: \"hun\nter2\"", 2, "…"),
            ("redis: {password:\nhunter2, port: 70000}", 2, "…"),
            ("tokens: x\nport: 1", 2, "port: 1"),
            ("url: redis://me:hunter2@h/0", 1, "url: redis://…@h/0"),
            ("options: [rw, password=hunter2]", 1, "options: [rw, password=…"),
            ("a: b # ok", 1, "a: b # ok"),
        ] {
            assert_eq!(shown(text, line), wanted, "{text}");
        }
    }

    #[test]
    fn a_long_line_is_shown_in_part() {
        let text = format!("a: \"{}X{}\"", "y".repeat(300), "z".repeat(300));
        let excerpt = Excerpt::of(&text, 1).unwrap();
        let (part, caret) = excerpt.window(305);
        assert_eq!((part.chars().count(), part.chars().nth(caret)), (WIDTH, Some('X')));
    }

    #[test]
    fn the_nearest_word_is_near() {
        assert_eq!(nearest("pakages", ["packages", "pip"]), Some("packages"));
        assert_eq!(nearest("maxmemory_policy", ["maxmemory", "maxmemory-policy"]), Some("maxmemory-policy"));
        assert_eq!(nearest("foo", ["packages", "pip"]), None);
    }
}
