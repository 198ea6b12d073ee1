//! 25: records that are large, cut off by a power cut or unreadable: each verb says what is true,
//! and nothing that depends on one goes on as if there were none.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "pair.yaml";
const JOURNAL: &str = "/var/lib/otr/promotion-acme.jsonl";
const SYNCS: &str = "/var/lib/otr/sync-acme.jsonl";
const DRILLS: &str = "/var/lib/otr/drill-acme.jsonl";
const PAUSES: &str = "/var/lib/otr/pause-acme.jsonl";

/// What begins a promotion of erp2, as a run that was killed in its first steps leaves it.
const BEGUN: &str = r#"{"event":"begin","at":"2026-01-02T03:04:05.678Z","verb":"promote","host":"erp2","old":"erp1","left_timeline":1,"stated_down":"erp1","before":null,"by":"ann"}
{"event":"step","at":"2026-01-02T03:04:06.000Z","step":"timers"}
"#;

pub fn chapter() -> Chapter {
    Chapter::new("records", Scene::Standby)
        .step("histories_of_two_mib_are_read_up_to_their_last_line", |pair| {
            let old = r#"{"at":"2025-01-01T00:00:00Z","ok":false,"what":"data","seconds":1.0}"#;
            large(pair, SYNCS, old, r#"{"at":"2026-02-03T04:05:06Z","ok":true}"#)?;
            large(pair, DRILLS, old, r#"{"at":"2026-02-03T04:05:07Z","ok":true,"seconds":2.5}"#)?;
            large(
                pair,
                PAUSES,
                r#"{"at":"2025-01-01T00:00:00Z","by":"ann","resumed":true}"#,
                r#"{"at":"2026-02-03T04:05:08Z","until":"2096-01-01T00:00:00Z","by":"ann","reason":"a new disk"}"#,
            )?;
            let status = standby(pair)?;
            ensure!(status["last_sync"] == "2026-02-03T04:05:06Z", "{}", status["last_sync"]);
            ensure!(status["drill"]["last_succeeded"] == "2026-02-03T04:05:07Z", "{}", status["drill"]);
            ensure!(status["paused"]["by"] == "ann", "{}", status["paused"]);
            pair.otr.run(SPEC, "resume")?.ended(0)?;
            ensure!(standby(pair)?["paused"].is_null(), "the pause goes on");
            pair.lab.sh("erp2", &format!("test $(stat -c %s {PAUSES}) -lt 2000000; test -s {PAUSES}.1")).map(drop)
        })
        .step("a_history_that_broke_off_is_read_up_to_there_and_goes_on", |pair| {
            pair.lab.sh("erp2", &format!(r#"printf '{{"at":"2026-02-04T00:00:00Z","ok":tr' >>{SYNCS}"#))?;
            let status = standby(pair)?;
            ensure!(status["last_sync"] == "2026-02-03T04:05:06Z", "{}", status["last_sync"]);
            ensure!(status["records"].to_string().contains("broke off"), "nobody says so: {}", status["records"]);
            pair.otr.run(SPEC, "sync filestore --json")?.ended(0)?;
            let after = standby(pair)?["last_sync"].as_str().unwrap_or_default().to_owned();
            ensure!(after > "2026-02-04".to_owned(), "the line behind it is lost: {after}");
            Ok(())
        })
        .step("histories_that_cannot_be_read_are_not_empty_ones", |pair| {
            for (path, how) in [(SYNCS, "mkdir"), (DRILLS, "ln -s /proc/self/mem"), (PAUSES, "mkfifo")] {
                pair.lab.sh("erp2", &format!("mv {path} {path}.kept; {how} {path}"))?;
            }
            let run = pair.otr.run(SPEC, "status --json")?;
            let records = run.json()?.0["hosts"][1]["records"].to_string();
            for path in [SYNCS, DRILLS, PAUSES] {
                ensure!(records.contains(path), "{path} is not named: {records}");
            }
            let said = pair.otr.run(SPEC, "status")?.said();
            ensure!(said.contains(SYNCS) && !said.contains("none on record"), "{said}");
            let run = pair.otr.run(SPEC, "sync filestore")?;
            ensure!(run.code == Some(1) && run.said().contains("whether erp2 is paused was not seen"), "{}", run.said());
            pair.lab.sh("erp2", &format!("for f in {SYNCS} {DRILLS} {PAUSES}; do rm -rf $f; mv $f.kept $f; done")).map(drop)
        })
        .step("a_promotion_begun_behind_two_mib_is_open", |pair| {
            large(pair, JOURNAL, r#"{"event":"note","at":"2025-01-01T00:00:00Z","by":"ann","text":"an old one"}"#, BEGUN.trim_end())?;
            open(pair)
        })
        .step("and_so_it_is_with_a_line_that_broke_off", |pair| {
            pair.lab.sh("erp2", &format!(r#"printf '{{"event":"step-ended","at":"2026-' >>{JOURNAL}"#))?;
            open(pair)?;
            pair.otr.run(SPEC, "incident --note seen")?.ended(0)?;
            let record = pair.otr.run(SPEC, "incident")?;
            ensure!(record.said().contains("seen") && record.said().contains("line that cannot be read"), "{}", record.said());
            Ok(())
        })
        .step("a_journal_without_the_beginning_of_what_it_tells_is_not_finished", |pair| {
            let step = BEGUN.lines().last().unwrap_or_default();
            pair.lab.sh("erp2", &format!("echo '{step}' >{JOURNAL}"))?;
            refuses(pair, "its beginning")
        })
        .step("a_journal_that_cannot_be_read_is_not_an_empty_one", |pair| {
            for how in ["mkdir", "ln -s /proc/self/mem", "mkfifo", "ln -s /nowhere/at/all"] {
                pair.lab.sh("erp2", &format!("rm -rf {JOURNAL}; {how} {JOURNAL}"))?;
                refuses(pair, JOURNAL)?;
            }
            Ok(())
        })
        .step("moved_away_as_the_refusal_says_it_stops_nothing", |pair| {
            pair.lab.sh("erp2", &format!("mv -T {JOURNAL} {JOURNAL}.unread"))?;
            let run = pair.otr.run(SPEC, "promote erp2 -n --json")?;
            ensure!(preflight(&run.json()?.0)["outcome"] == "done", "{}", run.stdout);
            pair.otr.run(SPEC, "status")?.ended(0).map(drop)
        })
}

/// A record of 2 MiB: one line again and again, and another at its end.
fn large(pair: &Pair, path: &str, old: &str, last: &str) -> Result<()> {
    let script = format!(
        "yes '{old}' | head -c 2097152 | head -n -1 >{path}; printf '%s\\n' '{last}' >>{path}; test $(stat -c %s {path}) -gt 2000000"
    );
    pair.lab.sh("erp2", &script).map(drop)
}

fn standby(pair: &mut Pair) -> Result<Value> {
    Ok(pair.otr.run(SPEC, "status --json")?.json()?.0["hosts"][1].clone())
}

fn preflight(report: &Value) -> &Value {
    &report["steps"][0]
}

/// Every verb knows that a promotion is open.
fn open(pair: &mut Pair) -> Result<()> {
    let run = pair.otr.run(SPEC, "drill erp2")?;
    ensure!(run.code == Some(1) && run.said().contains("begun 2026-01-02T03:04:05.678Z is open"), "drill: {}", run.said());
    let run = pair.otr.run(SPEC, "promote erp2 -n --json")?;
    let seen = preflight(&run.json()?.0)["seen"].to_string();
    ensure!(seen.contains("begun 2026-01-02T03:04:05.678Z goes on"), "promote: {seen}");
    let run = pair.otr.run(SPEC, "incident")?;
    ensure!(run.said().contains("begun 2026-01-02T03:04:05.678Z by ann"), "incident: {}", run.said());
    let said = pair.otr.run(SPEC, "status")?.said();
    ensure!(said.contains("begun 2026-01-02T03:04:05.678Z is open"), "status: {said}");
    Ok(())
}

/// No verb that needs the journal begins; each names it, and nothing is promoted.
fn refuses(pair: &mut Pair, why: &str) -> Result<()> {
    let run = pair.otr.run(SPEC, "promote erp2 --yes --json")?;
    let error = preflight(&run.json()?.0)["error"].to_string();
    ensure!(run.code == Some(1) && error.contains(why), "promote: {error}");
    for verb in ["drill erp2", "switchover erp2 --yes"] {
        let run = pair.otr.run(SPEC, verb)?;
        ensure!(run.code == Some(1) && run.said().contains(why), "{verb}: {}", run.said());
    }
    let run = pair.otr.run(SPEC, "status")?;
    ensure!(run.said().contains("not ready to promote") && run.said().contains(JOURNAL), "status: {}", run.said());
    let run = pair.otr.run(SPEC, "incident")?;
    ensure!(run.code == Some(1) && run.said().contains(JOURNAL), "incident: {}", run.said());
    ensure!(pair.lab.sql("erp2", "postgres", "select pg_is_in_recovery()")? == "t", "erp2 was promoted");
    ensure!(pair.lab.sql("erp1", "postgres", "select pg_is_in_recovery()")? == "f", "erp1 is production no more");
    Ok(())
}
