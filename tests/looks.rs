//! Replies of real hosts, recorded with `otr record`: each is read as it was when a person
//! last looked at it. A new case is a new folder; `OTR_BLESS=1` writes `seen.json` anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

use std::path::{Path, PathBuf};

use otr::look::Reply;
use otr::look::batch::Question;

fn cases(directory: &Path) -> Vec<PathBuf> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        if entry.join("question.json").exists() { cases.push(entry) } else { cases.extend(self::cases(&entry)) }
    }
    cases
}

#[test]
fn every_recorded_reply_is_read_as_before() {
    let cases = cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/looks"));
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let file = |name: &str| std::fs::read(case.join(name)).unwrap();
        let question: Question = serde_json::from_slice(&file("question.json")).unwrap();
        let status = String::from_utf8(file("status")).unwrap().trim().parse().unwrap();
        let reply = Reply { stdout: file("stdout"), stderr: String::from_utf8(file("stderr")).unwrap(), status };
        let seen: serde_json::Map<String, serde_json::Value> =
            question.read(&reply).into_iter().map(|(look, sight)| (look.to_string(), serde_json::json!(sight))).collect();
        let text = serde_json::to_string_pretty(&seen).unwrap() + "\n";
        if std::env::var_os("OTR_BLESS").is_some() {
            std::fs::write(case.join("seen.json"), &text).unwrap();
        } else if text.as_bytes() != file("seen.json") {
            wrong.push(format!("{}:\n{text}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
