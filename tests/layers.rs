//! The program keeps to its map: modules use only what src/lib.rs allows, files stay small,
//! shell text is written in few places, and what is called pure touches nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

/// The longest file.
const LINES: usize = 400;

/// Words that only shell text contains.
const SHELL: [&str; 6] = ["systemctl ", "psql ", "apt-get ", "dpkg-query", "redis-cli ", "pg_basebackup "];

/// Where shell text may stand, and why.
const SHELL_ALLOWED: [(&str, &str); 5] = [
    ("src/look/", "looks are shell programs"),
    ("src/action", "actions are shell programs"),
    ("src/host/shell", "the shell that runs both"),
    ("src/host/simulated", "a simulated daemon's words, as the real one says them"),
    ("src/promote/", "advice: what a person types on the host"),
];

/// What a pure module cannot name.
const IMPURE: [&str; 9] =
    ["std::fs", "std::process", "TcpStream", "UdpSocket", "std::env", "std::thread", "SystemTime::now", "Instant::now", "std::io::std"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A file's code without its comments and its tests, which stand last.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    if path.file_name().is_some_and(|name| name == "tests.rs") {
        return String::new();
    }
    let text = match Regex::new(r"(?m)^#\[cfg\(test\)\]\n(pub(\(super\))? )?mod \w+ \{").unwrap().find(&text) {
        Some(tests) => text[..tests.start()].to_owned(),
        None => text,
    };
    text.lines().filter(|line| !line.trim_start().starts_with("//")).fold(String::new(), |text, line| text + line + "\n")
}

/// `src/look/units.rs` belongs to `look`.
fn module(path: &Path) -> String {
    let top = path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    top.trim_end_matches(".rs").to_owned()
}

/// The modules a file's code names.
fn used(code: &str) -> BTreeSet<String> {
    let mut used: BTreeSet<String> = Regex::new(r"\bcrate::(\w+)").unwrap().captures_iter(code).map(|found| found[1].to_owned()).collect();
    for group in Regex::new(r"\bcrate::\{([^;]*)\};").unwrap().captures_iter(code) {
        used.extend(Regex::new(r"(?:^|[,{]\s*)(\w+)").unwrap().captures_iter(&group[1]).map(|found| found[1].to_owned()));
    }
    used
}

/// The table in src/lib.rs: `module -> what it uses`, and the line `pure: …`.
fn table() -> (BTreeMap<String, BTreeSet<String>>, BTreeSet<String>) {
    let text = fs::read_to_string("src/lib.rs").unwrap();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<BTreeSet<String>>();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! ")?.split_once("->"));
    let pure = text.lines().find_map(|line| line.strip_prefix("//! pure:")).unwrap();
    (rows.map(|(module, uses)| (module.trim().to_owned(), words(uses))).collect(), words(pure))
}

#[test]
fn modules_use_only_what_the_map_allows() {
    let (allowed, _) = table();
    let declared: BTreeSet<String> = Regex::new(r"(?m)^pub mod (\w+);")
        .unwrap()
        .captures_iter(&fs::read_to_string("src/lib.rs").unwrap())
        .map(|found| found[1].to_owned())
        .collect();
    assert_eq!(allowed.keys().cloned().collect::<BTreeSet<_>>(), declared, "the table has a row for each module");
    let mut seen: BTreeMap<String, BTreeSet<String>> = allowed.keys().map(|module| (module.clone(), BTreeSet::new())).collect();
    let mut wrong = String::new();
    for path in sources(Path::new("src")) {
        let from = module(&path);
        if ["lib", "main"].contains(&from.as_str()) {
            continue;
        }
        for to in used(&code(&path)).into_iter().filter(|to| *to != from) {
            if !allowed[&from].contains(&to) {
                let _ = writeln!(wrong, "{}: {from} must not use {to}", path.display());
            }
            seen.get_mut(&from).unwrap().insert(to);
        }
    }
    for (from, to) in allowed.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to))) {
        if !seen[from].contains(to) {
            let _ = writeln!(wrong, "src/lib.rs allows {from} -> {to}, which nothing uses");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn main_knows_the_command_line_only() {
    let code = code(Path::new("src/main.rs"));
    let used: BTreeSet<String> = Regex::new(r"\botr::(\w+)").unwrap().captures_iter(&code).map(|found| found[1].to_owned()).collect();
    assert_eq!(used, ["cli", "command", "spec"].map(str::to_owned).into());
}

#[test]
fn no_file_is_long() {
    let long: Vec<_> = sources(Path::new("src"))
        .into_iter()
        .map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > LINES)
        .collect();
    assert!(long.is_empty(), "split by domain: {long:?}");
}

#[test]
fn shell_text_is_written_in_few_places() {
    let mut wrong = String::new();
    for path in sources(Path::new("src")) {
        if SHELL_ALLOWED.iter().any(|(allowed, _)| path.to_str().unwrap().starts_with(allowed)) {
            continue;
        }
        let code = code(&path);
        for line in code.lines().filter(|line| SHELL.iter().any(|word| line.contains(word))) {
            let _ = writeln!(wrong, "{}: {}", path.display(), line.trim());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Text of machines is in most of what is printed: one file makes it safe for a terminal.
#[test]
fn one_file_prints() {
    let prints = |code: &str| ["println!", "print!(", "stdout()", "stderr()"].iter().any(|word| code.contains(word));
    // A protocol's answers, and whether a terminal is there, are no text for a person.
    let allowed = ["terminal.rs", "serve.rs", "guard.rs", "ansible.rs", "progress.rs", "man.rs", "command.rs", "talk.rs", "main.rs"]
        .map(|name| format!("/{name}"));
    let found: Vec<PathBuf> = sources(Path::new("src")).into_iter().filter(|path| prints(&code(path))).collect();
    let wrong: Vec<_> = found.iter().filter(|path| !allowed.iter().any(|name| path.to_str().unwrap().ends_with(name.as_str()))).collect();
    assert!(wrong.is_empty(), "use crate::command::{{print, print_json, complain}}: {wrong:?}");
}

#[test]
fn what_is_pure_touches_nothing() {
    let (allowed, pure) = table();
    assert!(pure.iter().all(|module| allowed.contains_key(module)));
    let mut wrong = String::new();
    for path in sources(Path::new("src")).into_iter().filter(|path| pure.contains(&module(path))) {
        let code = code(&path);
        for line in code.lines().filter(|line| IMPURE.iter().any(|word| line.contains(word))) {
            let _ = writeln!(wrong, "{}: {}", path.display(), line.trim());
        }
    }
    for (from, to) in pure.iter().flat_map(|from| allowed[from].iter().map(move |to| (from, to))) {
        if ["host", "fleet", "command", "converge"].contains(&to.as_str()) {
            let _ = writeln!(wrong, "{from} is pure and uses {to}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_code_is_read_rightly() {
    let text = "use crate::{look::Look, name::{HostName, Word}};\nfn f() { crate::action::script::shown(a) }\n";
    assert_eq!(used(text).into_iter().filter(|w| w != "HostName" && w != "Word").collect::<Vec<_>>(), ["action", "look", "name"]);
}
