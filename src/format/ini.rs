//! odoo.conf: the dialect of Python's RawConfigParser, as Odoo reads it.
//!
//! Full-line comments with `#` or `;`, `=` or `:` between key and value, keys in any case,
//! values continued on deeper indented lines, no interpolation, duplicate keys fatal
//! (docs.python.org/3/library/configparser.html).

use std::collections::BTreeMap;

/// A file Python would refuse.
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
    lines: Vec<String>,
    entries: Vec<Entry>,
    /// Section → line of its header.
    sections: BTreeMap<String, usize>,
}

impl Ini {
    /// Reads a file.
    ///
    /// # Errors
    /// Python's parser would refuse it.
    pub fn parse(text: &str) -> Result<Self, IniError> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut entries: Vec<Entry> = Vec::new();
        let mut sections = BTreeMap::new();
        let mut section: Option<String> = None;
        let mut open: Option<usize> = None; // indentation of the entry that may continue
        for (n, line) in lines.iter().enumerate() {
            let error = |why: &str| IniError { line: n + 1, why: why.to_owned() };
            let trimmed = line.trim();
            if trimmed.starts_with(['#', ';']) {
                continue;
            }
            if trimmed.is_empty() {
                continue;
            }
            let indent = line.len() - line.trim_start().len();
            if let (Some(base), Some(entry)) = (open, entries.last_mut())
                && indent > base
            {
                entry.value.push('\n');
                entry.value.push_str(trimmed);
                entry.lines.1 = n + 1;
                continue;
            }
            if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                if sections.insert(name.to_owned(), n).is_some() {
                    return Err(error(&format!("section [{name}] stands twice, which Odoo refuses")));
                }
                section = Some(name.to_owned());
                open = None;
                continue;
            }
            let section = section.clone().ok_or_else(|| error("a key before the first [section], which Odoo refuses"))?;
            let (key, value) = trimmed.split_once(['=', ':']).ok_or_else(|| error("neither a [section] nor a key = value"))?;
            let key = key.trim().to_lowercase();
            if entries.iter().any(|e| e.section == section && e.key == key) {
                return Err(error(&format!("{key} stands twice in [{section}], which Odoo refuses")));
            }
            entries.push(Entry { section, key, value: value.trim().to_owned(), lines: (n, n + 1) });
            open = Some(indent);
        }
        Ok(Self { lines, entries, sections })
    }

    /// The value of a key.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.entries.iter().find(|e| e.section == section && e.key == key).map(|e| e.value.as_str())
    }

    /// The keys of a section, in the file's order.
    pub fn keys<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a str> {
        self.entries.iter().filter(move |e| e.section == section).map(|e| e.key.as_str())
    }

    /// The text with keys of one section set (`Some`) or removed (`None`). A new key goes to
    /// the end of its section; everything else stays as it is, to the byte.
    pub fn edited(&self, section: &str, changes: &BTreeMap<String, Option<String>>) -> String {
        let mut replaced: BTreeMap<usize, (usize, Option<String>)> = BTreeMap::new();
        let mut added = Vec::new();
        for (key, value) in changes {
            let line = value.as_ref().map(|value| format!("{key} = {}", value.replace('\n', "\n    ")).trim_end().to_owned());
            match self.entries.iter().find(|e| e.section == section && e.key == *key) {
                Some(entry) => {
                    replaced.insert(entry.lines.0, (entry.lines.1, line));
                }
                None => added.extend(line),
            }
        }
        let end = match self.sections.get(section) {
            Some(header) => self.entries.iter().filter(|e| e.section == section).map(|e| e.lines.1).max().unwrap_or(header + 1),
            None => {
                added.insert(0, format!("[{section}]"));
                self.lines.len()
            }
        };
        let mut out = Vec::new();
        let mut n = 0;
        while n <= self.lines.len() {
            if n == end {
                out.append(&mut added);
            }
            match replaced.get(&n) {
                Some((next, line)) => {
                    out.extend(line.clone());
                    // A key at the very end of its section: what is added follows it.
                    if *next >= end && n < end {
                        out.append(&mut added);
                    }
                    n = *next;
                    continue;
                }
                None => out.extend(self.lines.get(n).cloned()),
            }
            n += 1;
        }
        out.append(&mut added);
        let mut text = out.join("\n");
        text.push('\n');
        text
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
        assert_eq!(ini.edited("options", &BTreeMap::new()), FILE);
        let edited = ini.edited("options", &changes(&[("db_name", Some("beta")), ("addons_path", None), ("workers", Some("6"))]));
        assert_eq!(edited, "# head\n[options]\n; note\ndb_name = beta\nempty =\nworkers = 6\n\n[queue_job]\nchannels: root:2\n");
        let edited = ini.edited("options", &changes(&[("empty", Some("x")), ("workers", Some("6"))]));
        assert!(edited.contains("empty = x\nworkers = 6\n\n[queue_job]"), "{edited}");
        let edited = Ini::parse("").unwrap().edited("options", &changes(&[("a", Some("1"))]));
        assert_eq!(edited, "[options]\na = 1\n");
        assert_eq!(Ini::parse("[options]").unwrap().edited("options", &changes(&[("a", Some("1"))])), "[options]\na = 1\n");
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for (text, line) in [("a = 1\n", 1), ("[options]\na=1\nA=2\n", 3), ("[o]\n[o]\n", 2), ("[options]\nnonsense\n", 2)] {
            assert_eq!(Ini::parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
