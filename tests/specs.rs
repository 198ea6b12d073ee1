//! Specs: the worked examples are right, and each folder of tests/specs is wrong (or right) in
//! the words of its expected.txt.
//!
//! `OTR_BLESS=1 cargo test --test specs` writes the files anew; read the diff before you keep it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use otr::spec::load::{self, read};
use otr::spec::problem::render_all;
use otr::spec::schema::schema;

fn folders() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir("tests/specs").unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir()).collect();
    all.sort();
    all
}

fn examples() -> Vec<PathBuf> {
    let all = fs::read_dir("specs").unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect()
}

/// What `otr check` says of a spec.
fn said(path: &Path) -> String {
    match read(path, &[]) {
        Ok(loaded) if loaded.notes.is_empty() => "ok\n".into(),
        Ok(loaded) => format!("ok\n\n{}", render_all(&loaded.notes, &loaded.path, &loaded.text)),
        Err(error) => format!("{error}\n"),
    }
}

fn same(file: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("OTR_BLESS").is_some() {
        fs::write(file, actual).unwrap();
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    match expected == actual {
        true => Ok(()),
        false => Err(format!("{}\n--- expected\n{expected}--- actual\n{actual}", file.display())),
    }
}

#[test]
fn each_case_is_told_in_its_words() {
    let mut wrong = String::new();
    for folder in folders() {
        let told = said(&folder.join("spec.yaml")).replace(&format!("{}/", folder.display()), "");
        assert!(!told.contains("hunter2"), "{}: a secret was shown:\n{told}", folder.display());
        if let Err(difference) = same(&folder.join("expected.txt"), &told) {
            let _ = writeln!(wrong, "{difference}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_examples_are_right() {
    for path in examples() {
        assert_eq!(said(&path), "ok\n", "{}", path.display());
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=../specs/schema.json\n"), "{}", path.display());
    }
    assert!(examples().len() >= 3);
}

#[test]
fn the_schema_is_the_types() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    same(Path::new("specs/schema.json"), &text).unwrap();
}

/// A file that is made here, because it should not be kept.
fn said_of(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spec.yaml");
    fs::write(&path, bytes).unwrap();
    said(&path).replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn a_bomb_is_refused_at_once() {
    let mut doubling = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(doubling, "a{level}: &a{level} [{below}]");
    }
    let nested = "[".repeat(100_000);
    let started = Instant::now();
    assert!(said_of(doubling.as_bytes()).contains("grows beyond all measure"), "{}", said_of(doubling.as_bytes()));
    let deep = said_of(nested.as_bytes());
    assert!(deep.starts_with("spec.yaml:1:") && deep.len() < 1000, "{deep}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_file_of_100_megabytes_is_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spec.yaml");
    fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let told = said(&path);
    assert!(told.contains("is 104857600 bytes long; a spec has at most 1048576"), "{told}");
}

#[test]
fn what_is_no_text_is_refused() {
    let told = said_of(b"version: 1\nname: caf\xe9\n");
    assert_eq!(
        told,
        "spec.yaml: is not UTF-8: line 2, byte 21 of the file is 0xe9\nhint: save it as UTF-8, for example with `iconv -f LATIN1 -t UTF-8`\n"
    );
    for empty in ["", "\n\n", "# only a comment\n", "---\n", "\u{feff}"] {
        assert!(said_of(empty.as_bytes()).starts_with("spec.yaml: the file is empty\nhint: a spec starts with"), "{empty:?}");
    }
    assert!(said(Path::new("/nonexistent/spec.yaml")).contains("cannot be read: No such file"));
    assert!(said(Path::new("/")).contains("is a folder"));
}

#[test]
fn a_password_on_a_neighbouring_line_is_never_shown() {
    let right = fs::read_to_string("specs/acme.yaml").unwrap().replace("{secret: \"file:/etc/otr/redis_password\"}", "hunter2");
    assert!(right.contains("hunter2"));
    let lines: Vec<&str> = right.lines().collect();
    // Something is wrong on every line in turn, in meaning and in syntax.
    for number in 0..lines.len() {
        for (cut, added) in [(0, "\"hunter2"), (0, "? ["), (0, "wrong: x"), (0, "\thunter2: {"), (0, "- hunter2x"), (3, "*hunter2")] {
            let mut broken = lines.clone();
            let changed = format!("{}{}", lines[number].chars().take(cut).collect::<String>(), added.replace("hunter2", "x"));
            broken.insert(number, &changed);
            let told = said_of(broken.join("\n").as_bytes());
            assert!(!told.contains("hunter2"), "{added} at {number}:\n{told}");
        }
    }
}

#[test]
fn variables_come_from_the_command_line() {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let loaded = read(Path::new("specs/acme.yaml"), &[set("web_port", "80"), set("zip", "0123")]).unwrap();
    assert_eq!(serde_json::to_value(&loaded.spec.vars).unwrap()["zip"], "0123");
    let erp2 = &loaded.spec.hosts[&"erp2".parse::<otr::name::HostName>().unwrap()];
    assert_eq!(serde_json::to_value(&erp2.vars).unwrap()["web_port"], 80);
    let error = read(Path::new("specs/acme.yaml"), &[set("a-b", "1")]).unwrap_err();
    assert!(error.to_string().contains("--set a-b"), "{error}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_is_too_odd(at in 0usize..1500, cut in 0usize..40, added in r#"[ -~\n\té…]{0,20}"#) {
        let text = fs::read_to_string("specs/acme.yaml").unwrap();
        let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let (at, end) = (boundary(at), boundary(at + cut));
        let odd = format!("{}{added}{}", &text[..at], &text[end..]);
        let examined = load::examine(&odd);
        render_all(&examined.problems, Path::new("spec.yaml"), &odd);
    }
}

#[test]
fn a_mark_at_the_beginning_is_no_part_of_the_text() {
    let text = fs::read_to_string("specs/minimal.yaml").unwrap();
    assert_eq!(said_of(format!("\u{feff}{text}").as_bytes()), "ok\n");
    assert_eq!(said_of(text.replace('\n', "\r\n").as_bytes()), "ok\n");
}

#[test]
fn thousands_of_errors_are_told_in_time() {
    let many: String = (0..3_000).map(|n| format!("k{n}: {{password: hunter2, x: 1}}\n")).collect();
    let started = Instant::now();
    let told = said_of(many.as_bytes());
    assert!(told.contains("more") && !told.contains("hunter2") && told.len() < 50_000, "{}", told.len());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn the_parser_alone_reads_no_disk() {
    let text = fs::read_to_string("specs/acme.yaml").unwrap();
    let (spec, tree) = load::parse(&text).unwrap();
    assert_eq!(spec.production.as_str(), "erp1");
    assert_eq!(tree.at("production").tree.place.line, 5);
    let started = Instant::now();
    for _ in 0..20 {
        load::parse(&text).unwrap();
    }
    println!("check acme.yaml: {:?}", started.elapsed() / 20);
}

#[test]
fn the_readmes_spec_is_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let spec = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otr.yaml");
    std::fs::write(&path, spec).unwrap();
    let problems = otr::spec::load::read(&path, &[]).err().map(|error| error.to_string());
    assert_eq!(problems, None);
}
