//! odoo.conf as Python reads it: thousands of random files and random edits, each read by Python's own
//! parser as Odoo 14 (Python 3.9) and Odoo 19 (Python 3.13) use it.
//!
//! `OTR_CONF_CASES` is how many, `OTR_CONF_SEED` where they begin; a failure prints its seed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use otr::format::ini::Ini;
use otr::look::content::{bytes_of, text_of};
use serde_json::{Value, json};

/// Reads each file with both patterns of a section's header, the one difference between the versions that
/// a file can show. Bytes that are no UTF-8 come back as otr writes them.
const PARSER: &str = r#"
import base64, configparser, io, json, re, sys
HEADERS = {"3.9": re.compile(r"\[(?P<header>[^]]+)\]"), "3.13": re.compile(r"\[(?P<header>.+)\]")}
def own(text):
    return "".join(chr(0x10FE00 + ord(c) - 0xDC00) if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)
def read(data, header):
    parser = configparser.RawConfigParser()
    parser.SECTCRE = header
    try:
        parser.read_file(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="surrogateescape"))
    except configparser.Error as error:
        return None
    if parser._defaults: assert all(parser.has_option(name, k) for name in parser.sections() for k in parser._defaults)
    own_view = {name: {own(k): own(v) for k, v in section.items()} for name, section in parser._sections.items()}
    return {**own_view, "DEFAULT": {own(k): own(v) for k, v in parser._defaults.items()}}
for line in sys.stdin:
    data = base64.b64decode(line)
    print(json.dumps({version: read(data, header) for version, header in HEADERS.items()}))
"#;

type View = BTreeMap<String, BTreeMap<String, String>>;

/// What Python reads in each file; none if it refuses it, or if the versions differ.
fn python(files: &[Vec<u8>]) -> Vec<Option<View>> {
    let mut child = Command::new("python3").args(["-c", PARSER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
    let mut input = child.stdin.take().unwrap();
    let lines: String = files.iter().map(|file| STANDARD.encode(file) + "\n").collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let read: Vec<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            if value["3.9"] == value["3.13"] { serde_json::from_value(value["3.9"].clone()).unwrap() } else { None }
        })
        .collect();
    assert_eq!(read.len(), files.len());
    read
}

/// A small generator of its own (xorshift), so that a seed means the same everywhere.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            chance.below(2);
        }
        chance
    }
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % n
    }
    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

const KEYS: [&str; 10] =
    ["db_name", "Workers", "addons_path", "admin_passwd", "DB_HOST", "proxy_mode", "limit_time_cpu", "acme region", "é", "smtp_port"];
const WORDS: [&str; 14] =
    ["acme", "False", "", "/a,/b", "a = b", "x:y", "#no comment", "; neither", "100 %", "[x]", "räka", "a  b", "-", "a#b"];

fn indent(chance: &mut Chance, usual: usize) -> String {
    let width = if chance.one_in(4) { chance.below(6) } else { usual };
    if chance.one_in(12) { "\t".repeat(width / 4) } else { " ".repeat(width) }
}

fn file(chance: &mut Chance) -> Vec<u8> {
    let newline = chance.pick(&["\n", "\n", "\n", "\r\n", "\r"]);
    let usual = chance.pick(&[&0, &0, &2, &4, &8]);
    let mut text = String::new();
    let mut sections = vec!["[options]", "[DEFAULT]", "[queue_job]", "[options]"];
    if !chance.one_in(8) {
        sections.pop();
    }
    for _ in 0..1 + chance.below(sections.len()) {
        let at = chance.below(sections.len());
        let _ = write!(text, "{}{}{}{newline}", indent(chance, 0), sections.remove(at), chance.pick(&["", "", "", " # x", " "]));
        let mut keys: Vec<&str> = KEYS.to_vec();
        for _ in 0..chance.below(6) {
            while chance.one_in(3) {
                let line = chance.pick(&["", "  ", "# note", "    # deep", "; räka", ";[x]", "\t"]);
                let _ = write!(text, "{line}{newline}");
            }
            let at = chance.below(keys.len());
            // Twice is fatal: seldom.
            let key = if chance.one_in(40) { keys[at] } else { keys.remove(at) };
            let depth = indent(chance, *usual);
            let _ = write!(text, "{depth}{key}{}{}{newline}", chance.pick(&["=", " = ", ":", " : ", "\t=  "]), chance.pick(&WORDS));
            while chance.one_in(5) {
                let between = chance.pick(&["", "", "# inside", "      "]);
                if !between.is_empty() || chance.one_in(2) {
                    let _ = write!(text, "{between}{newline}");
                }
                let _ = write!(text, "{depth}{}{}{newline}", chance.pick(&["  ", "    ", "\t", ""]), chance.pick(&WORDS));
            }
        }
    }
    if chance.one_in(3) {
        text.truncate(text.len() - newline.len());
    }
    let mut bytes = text.into_bytes();
    // Latin-1, as an editor of 2008 wrote it.
    if chance.one_in(6) {
        bytes = String::from_utf8(bytes).unwrap().replace("ä", "\u{1}").into_bytes();
        bytes.iter_mut().filter(|byte| **byte == 1).for_each(|byte| *byte = 0xe4);
    }
    bytes
}

fn changes(chance: &mut Chance) -> BTreeMap<String, Option<String>> {
    (0..1 + chance.below(4))
        .map(|_| {
            let key = chance.pick(&KEYS).to_lowercase();
            let value = chance.pick(&["4", "", "/a,/b", "x = y", "two words", "/a,\n/b", "a\n\nb", "räka", "[x]", "#5"]);
            (key, (!chance.one_in(4)).then(|| value.to_owned()))
        })
        .collect()
}

/// What the file must be afterwards.
fn expected(before: &View, changes: &BTreeMap<String, Option<String>>) -> View {
    let mut view = before.clone();
    for (key, value) in changes {
        match value {
            Some(value) => drop(view.entry("options".into()).or_default().insert(key.clone(), value.clone())),
            None => ["options", "DEFAULT"].iter().for_each(|name| drop(view.get_mut(*name).map(|section| section.remove(key)))),
        }
    }
    view
}

/// Lines without their ends.
fn lines(text: &str, end: &str) -> Vec<String> {
    text.strip_suffix(end).unwrap_or(text).split(end).map(str::to_owned).collect()
}

fn common(one: &[String], two: &[String]) -> usize {
    let mut row = vec![0; two.len() + 1];
    for a in one {
        let mut corner = 0;
        for (n, b) in two.iter().enumerate() {
            let above = row[n + 1];
            row[n + 1] = if a == b { corner + 1 } else { above.max(row[n]) };
            corner = above;
        }
    }
    row[two.len()]
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn a_file_is_read_as_python_reads_it_and_an_edit_changes_only_what_is_asked_for() {
    let first = number("OTR_CONF_SEED", u64::from(std::process::id()));
    let cases = number("OTR_CONF_CASES", 4000);
    println!("seeds {first} to {}", first + cases - 1);
    let seeds: Vec<u64> = (first..first + cases).collect();
    let files: Vec<Vec<u8>> = seeds.iter().map(|seed| file(&mut Chance::new(*seed))).collect();
    let read = python(&files);
    let mut edits = Vec::new();
    let mut refused = 0;
    for ((seed, bytes), before) in seeds.iter().zip(&files).zip(&read) {
        let (text, _) = text_of(bytes);
        assert_eq!(bytes_of(&text), *bytes, "seed {seed}");
        let shown = || format!("seed {seed}\n{}", String::from_utf8_lossy(bytes));
        let ini = match (Ini::parse(&text), before) {
            (Ok(ini), Some(_)) => ini,
            (Err(_), None) => {
                refused += 1;
                continue;
            }
            (mine, python) => panic!("otr: {mine:?}\nPython: {python:?}\n{}", shown()),
        };
        let before = before.as_ref().unwrap();
        for (section, keys) in before.iter().filter(|(name, _)| *name != "DEFAULT") {
            let mine: BTreeMap<String, String> =
                ini.keys(section).map(|key| (key.to_owned(), ini.get(section, key).unwrap().to_owned())).collect();
            let mut wanted = before["DEFAULT"].clone();
            wanted.extend(keys.clone());
            assert_eq!(mine, wanted, "[{section}] of {}", shown());
        }
        assert_eq!(ini.edited("options", &BTreeMap::new()).unwrap(), text, "{}", shown());
        let changes = changes(&mut Chance::new(seed ^ 0xedd1));
        let edited = ini.edited("options", &changes).unwrap_or_else(|why| panic!("{why}: {changes:?}\n{}", shown()));
        edits.push((*seed, text, before, changes, edited));
    }
    // The generator is worth nothing if Python refuses most of what it makes.
    assert!(refused * 3 < seeds.len(), "{refused} of {} are refused", seeds.len());
    let after = python(&edits.iter().map(|(.., edited)| bytes_of(edited)).collect::<Vec<_>>());
    for ((seed, text, before, changes, edited), after) in edits.iter().zip(&after) {
        let shown = || format!("seed {seed}, {changes:?}\n--- before\n{text}\n--- after\n{edited}");
        let wanted = expected(before, changes);
        let after = after.as_ref().unwrap_or_else(|| panic!("Python refuses it: {}", shown()));
        assert_eq!(json!(after), json!(wanted), "{}", shown());
        let end = if text.contains("\r\n") {
            "\r\n"
        } else if text.contains('\r') {
            "\r"
        } else {
            "\n"
        };
        let (old, new) = (lines(text, end), lines(edited, end));
        let same = common(&old, &new);
        let of = |view: &View, name: &str| -> usize {
            let value = |key: &String| view.get(name).and_then(|section| section.get(key)).map_or(0, |value| value.split('\n').count());
            changes.keys().map(value).sum()
        };
        // A header comes with the first key.
        assert!(old.len() - same <= of(before, "options") + of(before, "DEFAULT"), "more than the changed lines went: {}", shown());
        assert!(new.len() - same <= of(&wanted, "options") + 1, "more than the changed lines came: {}", shown());
    }
}
