//! odoo.conf: the dialect of Python's RawConfigParser, as Odoo reads it.
//!
//! Full-line comments with `#` or `;`, `=` or `:` between key and value, keys in any case, values
//! continued on deeper indented lines, `[DEFAULT]` under every section, no interpolation, duplicate keys
//! fatal (docs.python.org/3/library/configparser.html; Lib/configparser.py of 3.9 and 3.13).
//! tests/odoo_conf.rs compares it with the real one.

use std::collections::BTreeMap;

/// A file Python would refuse, or an edit that it would not read as it is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct IniError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    section: String,
    key: String,
    value: String,
    /// Lines it occupies: first, and one past the last.
    lines: (usize, usize),
}

/// A configuration file with every line it had.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ini {
    /// With their ends.
    lines: Vec<String>,
    entries: Vec<Entry>,
    /// Section → line of its header.
    sections: BTreeMap<String, usize>,
}

/// What every section has that does not say otherwise.
const DEFAULT: &str = "DEFAULT";

/// Python's notion of white space, which has four characters that Unicode's has not.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn is_comment(line: &str) -> bool {
    line.trim_start_matches(is_space).starts_with(['#', ';'])
}

fn indent(line: &str) -> &str {
    line.split_once(|c| !is_space(c)).map_or("", |(indent, _)| indent)
}

/// Lines with their ends, of which Python knows three.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\r']) {
        let end = if rest.get(at..).is_some_and(|end| end.starts_with("\r\n")) { at + 2 } else { at + 1 };
        let (line, behind) = rest.split_at(end);
        lines.push(line.to_owned());
        rest = behind;
    }
    if !rest.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}

impl Ini {
    /// Reads a file.
    ///
    /// # Errors
    /// Python's parser would refuse it, or read it in another way in another version.
    pub fn parse(text: &str) -> Result<Self, IniError> {
        let mut ini = Self { lines: lines(text), ..Self::default() };
        let mut section: Option<String> = None;
        let mut open: Option<usize> = None; // indentation of the entry that may continue
        let mut blank = 0; // lines of nothing since its last line; a comment is none
        for (n, line) in ini.lines.iter().enumerate() {
            let error = |why: &str| IniError { line: n + 1, why: why.to_owned() };
            let trimmed = line.trim_matches(is_space);
            if is_comment(line) {
                continue;
            }
            if trimmed.is_empty() {
                blank += 1;
                continue;
            }
            let indent = indent(line).chars().count();
            if let (Some(base), Some(entry)) = (open, ini.entries.last_mut())
                && indent > base
            {
                entry.value += &"\n".repeat(blank + 1);
                entry.value += trimmed;
                entry.lines.1 = n + 1;
                blank = 0;
                continue;
            }
            blank = 0;
            if let Some((name, behind)) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']'))
                && (!name.is_empty() || behind.contains(']'))
            {
                if name.is_empty() || behind.contains(']') {
                    return Err(error("which section this begins depends on the version of Python: write one [name] alone"));
                }
                if ini.sections.insert(name.to_owned(), n).is_some() && name != DEFAULT {
                    return Err(error(&format!("section [{name}] stands twice, which Odoo refuses")));
                }
                section = Some(name.to_owned());
                open = None;
                continue;
            }
            let section = section.clone().ok_or_else(|| error("a key before the first [section], which Odoo refuses"))?;
            let (key, value) = trimmed.split_once(['=', ':']).ok_or_else(|| error("neither a [section] nor a key = value"))?;
            let key = key.trim_matches(is_space).to_lowercase();
            if key.is_empty() {
                return Err(error("a value without a key"));
            }
            if ini.entries.iter().any(|e| e.section == section && e.key == key) {
                return Err(error(&format!("{key} stands twice in [{section}], which Odoo refuses")));
            }
            ini.entries.push(Entry { section, key, value: value.trim_matches(is_space).to_owned(), lines: (n, n + 1) });
            open = Some(indent);
        }
        Ok(ini)
    }

    fn entry(&self, section: &str, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.section == section && e.key == key)
    }

    /// The value of a key; `[DEFAULT]`'s where its section has none of its own.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.sections.get(section)?;
        self.entry(section, key).or_else(|| self.entry(DEFAULT, key)).map(|e| e.value.as_str())
    }

    /// The keys of a section, in the file's order, then those of `[DEFAULT]` alone.
    pub fn keys<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a str> {
        let there = self.sections.contains_key(section);
        let own = self.entries.iter().filter(move |e| e.section == section);
        let inherited = self.entries.iter().filter(move |e| there && e.section == DEFAULT && self.entry(section, &e.key).is_none());
        own.chain(inherited.filter(move |_| section != DEFAULT)).map(|e| e.key.as_str())
    }

    /// The text with keys of one section set (`Some`) or removed (`None`, from `[DEFAULT]` too). A new
    /// key goes to the end of its section; everything else stays as it is, to the byte.
    ///
    /// # Errors
    /// A value that would be read as something else.
    pub fn edited(&self, section: &str, changes: &BTreeMap<String, Option<String>>) -> Result<String, IniError> {
        let newline = self.lines.iter().find_map(|line| ["\r\n", "\n", "\r"].into_iter().find(|end| line.ends_with(end))).unwrap_or("\n");
        let written = |indent: &str, key: &str, value: &str| {
            let value = value.replace('\n', &format!("{newline}{indent}    "));
            format!("{indent}{key} = {value}").trim_end_matches(is_space).to_owned()
        };
        // Line → what stands there in its place; lines of an entry that is no comment go with it.
        let mut replaced: BTreeMap<usize, Option<String>> = BTreeMap::new();
        let mut added = Vec::new();
        let end = self.end(section);
        for (key, value) in changes {
            let own = self.entry(section, key);
            let inherited = self.entry(DEFAULT, key).filter(|_| value.is_none());
            for entry in own.into_iter().chain(inherited) {
                for n in entry.lines.0..entry.lines.1 {
                    if self.lines.get(n).is_some_and(|line| !is_comment(line)) {
                        replaced.insert(n, None);
                    }
                }
                let depth = self.lines.get(entry.lines.0).map_or("", |line| indent(line));
                replaced.insert(entry.lines.0, value.as_ref().map(|value| written(depth, key, value)));
            }
            if let (None, Some(value)) = (own, value) {
                added.push(written(&end.1, key, value));
            }
        }
        if !added.is_empty() && !self.sections.contains_key(section) {
            added.insert(0, format!("[{section}]"));
        }
        let mut out: Vec<String> = Vec::new();
        for n in 0..=self.lines.len() {
            if n == end.0 {
                out.extend(added.iter().map(|line| format!("{line}{newline}")));
            }
            let Some(line) = self.lines.get(n) else { continue };
            match replaced.get(&n) {
                None => out.push(line.clone()),
                Some(new) => out.extend(new.iter().map(|new| format!("{new}{newline}"))),
            }
        }
        let text = self.joined(out, newline);
        self.proven(section, changes, &text)?;
        Ok(text)
    }

    /// Where a new key of a section goes, and how deep: as deep as what stands before it, so that neither
    /// continues the other.
    fn end(&self, section: &str) -> (usize, String) {
        let depth = |n: usize| self.lines.get(n).map_or(String::new(), |line| indent(line).to_owned());
        let Some(header) = self.sections.get(section) else { return (self.lines.len(), String::new()) };
        match self.entries.iter().rfind(|e| e.section == section) {
            Some(last) => (last.lines.1, depth(last.lines.0)),
            None => {
                // The next header must not be deeper than what is put before it.
                let next = self.sections.values().filter(|n| *n > header).min();
                (header + 1, next.map_or(String::new(), |n| depth(*n)))
            }
        }
    }

    /// A last line keeps its missing end, unless something follows it.
    fn joined(&self, mut lines: Vec<String>, newline: &str) -> String {
        let last = lines.len().saturating_sub(1);
        for line in lines.iter_mut().take(last).filter(|line| !line.ends_with(['\n', '\r'])) {
            line.push_str(newline);
        }
        lines.concat()
    }

    /// Read again, only the changes differ.
    fn proven(&self, section: &str, changes: &BTreeMap<String, Option<String>>, text: &str) -> Result<(), IniError> {
        let after = Self::parse(text)?;
        let view = |ini: &Self| -> BTreeMap<(String, String), String> {
            ini.entries.iter().map(|e| ((e.section.clone(), e.key.clone()), e.value.clone())).collect()
        };
        let mut wanted = view(self);
        for (key, value) in changes {
            match value {
                Some(value) => {
                    wanted.insert((section.to_owned(), key.clone()), value.trim_matches(is_space).to_owned());
                }
                None => [section, DEFAULT].iter().for_each(|section| drop(wanted.remove(&((*section).to_owned(), key.clone())))),
            }
        }
        let is = view(&after);
        match wanted
            .iter()
            .find(|(at, value)| is.get(*at) != Some(value))
            .map(|(at, _)| at)
            .or_else(|| is.keys().find(|at| !wanted.contains_key(*at)))
        {
            None => Ok(()),
            Some((section, key)) => Err(IniError {
                line: after.entry(section, key).map_or(0, |e| e.lines.0 + 1),
                why: format!("{key} in [{section}] would be read as another value than the one to be written"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# head\n[options]\n; note\nDb_Name = acme\naddons_path = /a,\n    /b\nempty =\n\n[queue_job]\nchannels: root:2\n";

    fn changes(list: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
        list.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect()
    }

    #[test]
    fn it_reads_as_python_does() {
        let ini = Ini::parse(FILE).unwrap();
        assert_eq!(ini.get("options", "db_name"), Some("acme"));
        assert_eq!(ini.get("options", "addons_path"), Some("/a,\n/b"));
        assert_eq!(ini.get("options", "empty"), Some(""));
        assert_eq!(ini.get("queue_job", "channels"), Some("root:2"));
        assert_eq!(ini.keys("options").collect::<Vec<_>>(), ["db_name", "addons_path", "empty"]);
    }

    #[test]
    fn only_what_was_asked_for_changes() {
        let ini = Ini::parse(FILE).unwrap();
        assert_eq!(ini.edited("options", &BTreeMap::new()).unwrap(), FILE);
        let edited = ini.edited("options", &changes(&[("db_name", Some("beta")), ("addons_path", None), ("workers", Some("6"))])).unwrap();
        assert_eq!(edited, "# head\n[options]\n; note\ndb_name = beta\nempty =\nworkers = 6\n\n[queue_job]\nchannels: root:2\n");
        let edited = ini.edited("options", &changes(&[("empty", Some("x")), ("workers", Some("6"))])).unwrap();
        assert!(edited.contains("empty = x\nworkers = 6\n\n[queue_job]"), "{edited}");
        let edited = Ini::parse("").unwrap().edited("options", &changes(&[("a", Some("1"))])).unwrap();
        assert_eq!(edited, "[options]\na = 1\n");
        let edited = Ini::parse("[options]").unwrap().edited("options", &changes(&[("a", Some("1"))])).unwrap();
        assert_eq!(edited, "[options]\na = 1\n");
    }

    #[test]
    fn keys_that_are_indented_stay_keys() {
        let ini = Ini::parse("[options]\r\n  a = 1\r\n  b = 2\r\n[queue_job]\r\nc: 3").unwrap();
        let edited = ini.edited("options", &changes(&[("a", Some("7")), ("d", Some("4"))])).unwrap();
        assert_eq!(edited, "[options]\r\n  a = 7\r\n  b = 2\r\n  d = 4\r\n[queue_job]\r\nc: 3");
    }

    #[test]
    fn what_stands_in_default_counts_in_options() {
        let ini = Ini::parse("[DEFAULT]\nworkers = 4\n[options]\na = 1\n").unwrap();
        assert_eq!((ini.get("options", "workers"), ini.get("other", "workers")), (Some("4"), None));
        assert_eq!(ini.edited("options", &changes(&[("workers", None)])).unwrap(), "[DEFAULT]\n[options]\na = 1\n");
        assert_eq!(
            ini.edited("options", &changes(&[("workers", Some("6"))])).unwrap(),
            "[DEFAULT]\nworkers = 4\n[options]\na = 1\nworkers = 6\n"
        );
    }

    #[test]
    fn a_value_that_would_be_read_as_another_is_refused() {
        let ini = Ini::parse("[options]\na = 1\n").unwrap();
        for value in ["1\n# no value", "1\rb = 2"] {
            assert!(ini.edited("options", &changes(&[("a", Some(value))])).is_err(), "{value:?}");
        }
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for (text, line) in [
            ("a = 1\n", 1),
            ("[options]\na=1\nA=2\n", 3),
            ("[o]\n[o]\n", 2),
            ("[options]\nnonsense\n", 2),
            ("[options]\n= 1\n", 2),
            ("[a]b]\n", 1),
        ] {
            assert_eq!(Ini::parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
