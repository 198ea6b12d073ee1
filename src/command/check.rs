//! `otr check` and `otr schema`: the spec alone, no host.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::{Exit, complain, print, print_json};
use crate::cli::{Contract, Global};
use crate::spec::load::read;
use crate::spec::problem::render_all;

/// Checks files; all that is wrong with each.
pub fn run(global: &Global, specs: &[PathBuf]) -> Result<Exit> {
    let mut exit = Exit::Done;
    let mut results = Vec::new();
    for path in specs {
        let (problems, text) = match read(path, &global.sets) {
            Ok(loaded) => (loaded.notes, loaded.text),
            Err(error) => {
                exit = Exit::Spec;
                (error.problems, error.text)
            }
        };
        let wrong = problems.iter().any(|problem| !problem.note);
        if global.json {
            let list: Vec<_> = problems
                .iter()
                .map(
                    |p| json!({ "path": p.path, "line": p.line, "column": p.column, "message": p.message, "hint": p.hint, "note": p.note }),
                )
                .collect();
            results.push(json!({ "file": path, "ok": !wrong, "problems": list }));
            continue;
        }
        if !problems.is_empty() {
            let text = render_all(&problems, path, &text);
            if wrong { complain(text.trim_end()) } else { print(text.trim_end())? }
        }
        if !wrong {
            print(&format!("{}: ok", path.display()))?;
        }
    }
    if global.json {
        print_json(&json!({ "format": 1, "verb": "check", "files": results }))?;
    }
    Ok(exit)
}

/// Prints a JSON Schema.
pub fn schema(of: Contract) -> Result<Exit> {
    let schema = match of {
        Contract::Spec => crate::spec::schema::schema(),
        Contract::Report => schemars::schema_for!(crate::report::Report).to_value(),
        Contract::Plan => schemars::schema_for!(super::plan::Saved).to_value(),
    };
    print_json(&schema)?;
    Ok(Exit::Done)
}
