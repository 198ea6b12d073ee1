//! 31: a host's text reaches the operator's terminal as text: what would command the terminal, hide or
//! turn round is written out, in a diff, a lock's holder, a note, a step's error, and what a program said.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::otr::Run;
use crate::pair::Scene;
use crate::runner::Chapter;

const SPEC: &str = "pair.yaml";
/// For printf(1): a title, a colour, a cleared screen, an overwritten line, another direction, C1, a bell.
const ODD: &str = r"\033]0;title\007\033[31mred\033[2J\rover\b\b\302\233\342\200\256tfel";

pub fn chapter() -> Chapter {
    Chapter::new("terminal", Scene::Standby)
        .step("in_a_diff", |pair| {
            pair.lab.sh("erp2", &format!("printf '{ODD}\\n' >/etc/acme/notice"))?;
            for how in ["plan", "plan --format markdown", "plan --format junit"] {
                let run = pair.otr.run(SPEC, how)?;
                plain(&run, r"\u{1b}[31mred")?;
            }
            let run = pair.otr.run(SPEC, "plan --json")?;
            let value: Value = serde_json::from_str(&run.stdout)?;
            ensure!(value.to_string().contains(r"\u001b[31mred"), "the JSON holds another text");
            plain(&run, r"\u001b[31mred")
        })
        .step("in_a_locks_holder", |pair| {
            pair.lab.sh("erp2", &format!("systemd-run -q --unit=holder sh -c 'mkdir -p -m 0700 /run/otr; exec 9>>/run/otr/lock; flock 9; sleep 60'; sleep 0.5; printf '{ODD}\\nerror: nothing was found\\n' >/run/otr/lock"))?;
            let run = pair.otr.run(SPEC, "apply --yes")?;
            ensure!(run.code == Some(75), "it took a lock that is held");
            plain(&run, r"\u{1b}[31mred")?;
            ensure!(!run.said().contains("nothing was found"), "a second line of the lock's is otr's own: {}", run.said());
            pair.lab.sh("erp2", "systemctl stop holder; test $(stat -c %a:%U /run/otr) = 700:root").map(drop)
        })
        .step("in_what_a_program_said", |pair| {
            let psql = "/usr/lib/postgresql/13/bin/psql";
            pair.lab.sh("erp2", &format!("printf '{ODD}\\n' >/var/tmp/odd; mv {psql} /root/psql; printf '#!/bin/sh\\ncat /var/tmp/odd >&2; exit 1\\n' >{psql}; chmod 755 {psql}"))?;
            let run = pair.otr.run(SPEC, "status")?;
            pair.lab.sh("erp2", &format!("mv /root/psql {psql}"))?;
            ensure!(run.said().contains("not seen"), "it was seen: {}", run.said());
            plain(&run, r"\u{1b}[31mred")
        })
        .step("in_a_note_and_an_error_of_a_journal", |pair| {
            let journal = r#"{"event":"begin","at":"2026-01-02T03:04:05Z","host":"erp2","old":"erp1","left_timeline":1,"by":"ann\u001b[31m"}
{"event":"step-ended","at":"2026-01-02T03:04:06Z","step":"timers","outcome":"failed","error":"no\u001b[31mred\u009b2J\u202e","seen":"one\nWhat was lost"}
{"event":"note","at":"2026-01-02T03:04:07Z","by":"ann","text":"\u001b[31mred\r\u0008\nThe checklist\n"}"#;
            pair.lab.sh("erp2", &format!("cat >/var/lib/otr/promotion-acme.jsonl <<'EOF'\n{journal}\nEOF"))?;
            for how in ["incident", "incident --markdown", "incident --list", "status"] {
                let run = pair.otr.run(SPEC, how)?;
                plain(&run, "")?;
                ensure!(!run.stdout.lines().any(|line| line == "What was lost" || line == "What was lost\n"), "a step's text is a heading: {}", run.stdout);
            }
            plain(&pair.otr.run(SPEC, "incident")?, r"\u{1b}[31mred\r\u{8}")?;
            let run = pair.otr.run(SPEC, "incident --json")?;
            let note = serde_json::from_str::<Value>(&run.stdout)?["notes"][0]["text"].as_str().unwrap_or_default().to_owned();
            ensure!(note == "\u{1b}[31mred\r\u{8}\nThe checklist\n", "{note:?}");
            plain(&run, "")
        })
}

/// Nothing in it is for the terminal, and what the host said can be read.
fn plain(run: &Run, has: &str) -> Result<()> {
    let said = run.said();
    let odd = |c: char| c != '\n' && c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    ensure!(!said.contains(odd), "it reached the terminal: {said:?}");
    ensure!(said.contains(has), "what the host said is gone: {said}");
    Ok(())
}
