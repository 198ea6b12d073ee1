//! 19: the rest of what can go wrong, while rows and attachments are written. After each fault: what
//! otr said, one writer at most, that a rerun finishes, and what was lost of what was acknowledged:
//! nothing, but in a promotion, which must have said so.
//!
//! `OTR_PAIR_FAULTS=all` adds what is slow: a frozen standby or production, a standby that lags, a
//! link that is cut in the middle of a step, a parameter raised by hand, an Odoo that refuses, a full
//! disk of production, ten switchovers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::faults::{HOLD, SPEC, all, one_writer, refuses, streams};
use super::switchover::{is_production, is_whole, switch_with};
use crate::odoo::{self, FILESTORE};
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;
use crate::writer;

const DATA: &str = "/var/lib/postgresql/13/main";
const CONTROL: &str = "/usr/lib/postgresql/13/bin/pg_ctl -D /var/lib/postgresql/13/main";
/// Takes Odoo's place.
const INSTEAD: &str = "/etc/systemd/system/odoo.service.d/zz-instead.conf";

pub fn chapter() -> Chapter {
    let chapter = Chapter::new("matrix", Scene::Standby)
        .independent()
        .prepared(|pair| {
            std::fs::copy(pair.otr.spec("pair.yaml"), pair.otr.spec(SPEC))?;
            writer::start(&pair.lab, "erp1")?;
            writer::start_files(&pair.lab, "erp1")
        })
        .step("postmaster_of_production_killed", |pair| {
            pair.lab.sh("erp1", &format!("kill -9 $(head -1 {DATA}/postmaster.pid)"))?;
            comes_back(pair)
        })
        .step("wrong_password", |pair| {
            // A receiver that is connected stays; the next one is refused.
            pair.lab.sql("erp1", "postgres", "alter role otr_repl password 'another'")?;
            pair.lab.sql("erp1", "postgres", "select pg_terminate_backend(pid) from pg_stat_replication")?;
            refuses(pair, "switchover erp2 --yes", "erp2 does not stream from erp1")?;
            ensure!(pair.otr.run(SPEC, "status")?.code == Some(1), "status is ready with a standby that is not let in");
            mended(pair)
        })
        .step("disk_full_on_the_standby", |pair| {
            wal_on_a_small_disk(pair, "erp2")?;
            streams(pair)?;
            pair.lab.sh("erp2", "fallocate -l 900M /mnt/small/filler 2>/dev/null || cat /dev/zero >/mnt/small/filler || true")?;
            pair.lab.sql("erp1", "acme", "create table otr_bulk as select repeat(md5(n::text), 30) from generate_series(1, 60000) n")?;
            refuses(pair, "switchover erp2 --yes", "erp2")?;
            odoo::login_page_is_whole(&pair.lab, "erp1")?;
            pair.lab.sh("erp2", "rm /mnt/small/filler")?;
            mended(pair)
        })
        .step("filestore_full_on_the_standby", |pair| {
            pair.lab.call(&["disk", "erp2", "/mnt/store", "64"])?;
            full_store(pair)
        });
    if all() { slow(chapter) } else { chapter }
}

/// A minute or more each.
fn slow(chapter: Chapter) -> Chapter {
    chapter
        .step("production_stopped_immediately", |pair| {
            pair.lab.sh("erp1", &format!("runuser -u postgres -- {CONTROL} -m immediate -w stop >/dev/null"))?;
            comes_back(pair)
        })
        .step("odoo_refuses_to_start_on_the_new_production", |pair| {
            instead_of_odoo(pair, "erp2", "/bin/false")?;
            let run = pair.otr.run(SPEC, "switchover erp2 --yes --despite-drift --json")?;
            ensure!(run.said().contains("odoo.service does not stay up on erp2"), "{}", run.said());
            only_forward(pair, run.code, &run.said())
        })
        .step("smoke_test_fails", |pair| {
            pair.lab.put("erp1", "/usr/local/bin/half-odoo", "0755", HALF.as_bytes())?;
            instead_of_odoo(pair, "erp1", "/usr/local/bin/half-odoo")?;
            let run = pair.otr.run(SPEC, "switchover erp1 --yes --despite-drift --json")?;
            ensure!(run.said().contains("1 assets of the login page are broken: 404 /web/assets/gone.js"), "{}", run.said());
            ensure!(run.code == Some(1) && !run.said().contains("put-back"), "after the point of no return there is only forward");
            one_writer(pair)?;
            odoo_again(pair, "erp1")?;
            pair.otr.run(SPEC, "switchover erp1 --yes --write-spec --json")?.ended(0)?;
            is_production(pair, "erp1", "erp2")?;
            writer::nothing_lost(&pair.lab, "erp1")
        })
        .step("standby_frozen", |pair| {
            pair.lab.call(&["freeze", "erp2"])?;
            let run = pair.otr.run(SPEC, "switchover erp2 --yes");
            pair.lab.call(&["thaw", "erp2"])?;
            ensure!(run?.code == Some(1), "it switched to a frozen host");
            streams(pair)?;
            is_production(pair, "erp1", "erp2")
        })
        .step("parameter_raised_by_hand_on_production", |pair| {
            let by_hand = "/etc/postgresql/13/main/conf.d/99-hand.conf";
            pair.lab.sh("erp1", &format!("echo 'max_connections = 200' >{by_hand}; systemctl restart postgresql@13-main"))?;
            // Version 13 stops; later ones pause, and would stop when promoted.
            pair.lab.wait("the standby's end", 30, |lab| Ok(!lab.holds("erp2", "pgrep -x postgres")?))?;
            refuses(pair, "promote erp2 --yes --production-is-down erp1", "does not run on erp2")?;
            refuses(pair, "switchover erp2 --yes", "does not run on erp2")?;
            ensure!(pair.otr.run(SPEC, "status")?.code == Some(1), "status is ready with a stopped standby");
            pair.lab.sh("erp1", &format!("rm {by_hand}; systemctl reload postgresql@13-main"))?;
            // Lowered on production, and on the standby only once it has replayed that.
            mended(pair)
        })
        .step("standby_lags", |pair| {
            // 8 MB of WAL at 1 MB/s: begun with the standby behind, and files whose rows it has not yet.
            pair.lab.call(&["rate", "erp1", "8mbit"])?;
            pair.lab.sql("erp1", "acme", "create table otr_lag as select repeat(md5(n::text), 30) from generate_series(1, 8000) n")?;
            let run = pair.otr.run(SPEC, "switchover erp2 --yes --write-spec --despite-drift --json");
            pair.lab.call(&["rate", "erp1"])?;
            run?.ended(0)?;
            is_production(pair, "erp2", "erp1")?;
            writer::nothing_lost(&pair.lab, "erp2")?;
            switch_with(pair, SPEC, "erp2", "erp1")
        })
        .step("link_cut_in_the_middle_of_a_step", |pair| {
            pair.otr.vary(SPEC, "held.yaml", |text| {
                format!("{text}failover:\n  hooks:\n    - {{before: promote, run: [/usr/local/bin/otr-hold], timeout: 2m}}\n")
            })?;
            pair.lab.put("erp2", "/usr/local/bin/otr-hold", "0755", HOLD.as_bytes())?;
            pair.lab.sh("erp2", "echo promote >/run/otr-hold")?;
            // The hook makes another spec of it, and the standby has the old one.
            let mut otr = pair.otr.start("held.yaml", "switchover erp2 --yes --despite-drift")?;
            pair.lab.wait("the step promote", 90, |lab| lab.holds("erp2", "test -s /run/otr-held"))?;
            pair.lab.call(&["link", "erp2", "down"])?;
            let ended = otr.wait()?;
            ensure!(ended.code() == Some(1), "otr ended with {ended} behind a cut link: {}", pair.otr.started_said());
            ensure!(!pair.otr.started_said().contains("put-back"), "after the point of no return there is only forward");
            pair.lab.call(&["link", "erp2", "up"])?;
            pair.lab.sh("erp2", "kill $(cat /run/otr-held) 2>/dev/null || true")?;
            one_writer(pair)?;
            pair.otr.run(SPEC, "switchover erp2 --yes --write-spec --json")?.ended(0)?;
            is_production(pair, "erp2", "erp1")?;
            writer::nothing_lost(&pair.lab, "erp2")?;
            switch_with(pair, SPEC, "erp2", "erp1")
        })
        .step("ten_switchovers_back_to_back", |pair| {
            for round in 0..10 {
                let (old, new) = if round % 2 == 0 { ("erp1", "erp2") } else { ("erp2", "erp1") };
                switch_with(pair, SPEC, old, new)?;
            }
            Ok(())
        })
        .step("production_freezes_and_loses_its_power", frozen_production)
        .step("disk_full_on_production", full_production)
}

/// PostgreSQL of production is down: nothing is switched, and `apply` brings back every row.
fn comes_back(pair: &mut Pair) -> Result<()> {
    // One that was begun before goes on, finds no orderly end, and puts production back into service.
    let run = pair.otr.run(SPEC, "switchover erp2 --yes")?;
    let said = run.said();
    let put_back = said.contains("did not stop in order") && said.contains("erp1 is production as before and nothing was lost");
    ensure!(run.code == Some(1) && (said.contains("does not run on erp1") || put_back), "{said}");
    refuses(pair, "promote erp2 --yes", "erp1 is alive")?;
    mended(pair)?;
    is_production(pair, "erp1", "erp2")?;
    writer::nothing_lost(&pair.lab, "erp1")
}

/// `apply` makes everything right again.
fn mended(pair: &mut Pair) -> Result<()> {
    // Its last round is an empty plan.
    writer::quietly(pair, |pair| pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0).map(drop))?;
    streams(pair)
}

/// PostgreSQL's WAL on a disk of its own, which can be filled.
fn wal_on_a_small_disk(pair: &Pair, host: &str) -> Result<()> {
    pair.lab.call(&["disk", host, "/mnt/small", "1000"])?;
    let moved = format!(
        "systemctl stop postgresql@13-main; mv {DATA}/pg_wal /mnt/small/; ln -s /mnt/small/pg_wal {DATA}/pg_wal; chown -h postgres:postgres {DATA}/pg_wal; systemctl start postgresql@13-main"
    );
    pair.lab.sh(host, &moved).map(drop)
}

/// No attachment can arrive: nothing is switched before users notice anything.
fn full_store(pair: &mut Pair) -> Result<()> {
    pair.lab.sh("erp2", &format!("cp -a {FILESTORE}/. /mnt/store/; chown odoo:odoo /mnt/store; mount --bind /mnt/store {FILESTORE}; cat /dev/zero >/mnt/store/filler 2>/dev/null || true"))?;
    odoo::create_many(&pair.lab, "erp1", 50, "no-room")?;
    let run = pair.otr.run(SPEC, "switchover erp2 --yes --json --despite-drift")?;
    ensure!(run.code == Some(1) && run.said().contains("No space left"), "{}", run.said());
    one_writer(pair)?;
    is_production(pair, "erp1", "erp2")?;
    pair.lab
        .sh("erp2", &format!("rm /mnt/store/filler; umount {FILESTORE}; cp -a /mnt/store/. {FILESTORE}/; rmdir {FILESTORE}/lost+found"))?;
    mended(pair)
}

/// A login page with an asset that is not there.
const HALF: &str = r#"#!/usr/bin/python3
import http.server
class Half(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path.startswith("/web/login") else 404)
        self.end_headers()
        self.wfile.write(b'<script src="/web/assets/gone.js"></script>')
http.server.ThreadingHTTPServer(("", 8069), Half).serve_forever()
"#;

fn instead_of_odoo(pair: &Pair, host: &str, program: &str) -> Result<()> {
    pair.lab.put(host, INSTEAD, "0644", format!("[Service]\nExecStart=\nExecStart={program}\n").as_bytes())?;
    pair.lab.sh(host, "systemctl daemon-reload").map(drop)
}

fn odoo_again(pair: &Pair, host: &str) -> Result<()> {
    pair.lab
        .sh(host, &format!("rm {INSTEAD}; systemctl daemon-reload; systemctl reset-failed odoo 2>/dev/null; systemctl stop odoo || true"))
        .map(drop)
}

/// It failed behind the point of no return: once mended, the same command finishes it.
fn only_forward(pair: &mut Pair, code: Option<i32>, said: &str) -> Result<()> {
    ensure!(code == Some(1) && !said.contains("put-back"), "after the point of no return there is only forward: {said}");
    one_writer(pair)?;
    odoo_again(pair, "erp2")?;
    pair.otr.run(SPEC, "switchover erp2 --yes --write-spec --json")?.ended(0)?;
    is_production(pair, "erp2", "erp1")?;
    writer::nothing_lost(&pair.lab, "erp2")
}

/// A frozen production is not a dead one; and once its power is cut the report says what was lost.
fn frozen_production(pair: &mut Pair) -> Result<()> {
    pair.lab.call(&["freeze", "erp1"])?;
    let run = pair.otr.run(SPEC, "promote erp2 --yes");
    pair.lab.call(&["thaw", "erp1"])?;
    let run = run?;
    ensure!(run.code == Some(1) && run.said().contains("does not prove that it is down"), "{}", run.said());
    streams(pair)?;
    // What it writes from here on never leaves it.
    pair.lab.call(&["cut", "erp1", "erp2"])?;
    std::thread::sleep(Duration::from_secs(2));
    pair.lab.call(&["freeze", "erp1"])?;
    pair.lab.call(&["kill", "erp1"])?;
    pair.lab.call(&["heal", "erp1", "erp2"])?;
    let dry = pair.otr.run(SPEC, "promote erp2 --dry-run --production-is-down erp1 --json")?;
    let beforehand: Value = serde_json::from_str(&dry.ended(0)?.stdout)?;
    let run = pair.otr.run(SPEC, "promote erp2 --yes --production-is-down erp1 --write-spec --json")?;
    let report: Value = serde_json::from_str(&run.ended(0)?.stdout)?;
    odoo::login_page_is_whole(&pair.lab, "erp2")?;
    for told in [&beforehand, &report] {
        lost_is_what_was_said(pair, told)?;
    }
    pair.lab.call(&["boot", "erp1"])?;
    rejoined(pair, &report)
}

/// Files by name, to the last one; rows by the moment of the last transaction that was kept.
fn lost_is_what_was_said(pair: &Pair, report: &Value) -> Result<()> {
    let rows = "select checksum from ir_attachment where name like 'kept-%' order by 1";
    let known = pair.lab.sql("erp2", "acme", rows)?;
    let here = pair.lab.sh("erp2", &format!("cd {FILESTORE} && ls -d ??/* | cut -d/ -f2"))?;
    let mut missing: Vec<&str> = known.lines().filter(|sha1| !here.lines().any(|file| file == *sha1)).collect();
    missing.sort_unstable();
    let files = report["lost"]["files"].as_array().context("no lost.files")?;
    let mut said: Vec<&str> = files.iter().filter_map(|file| file["store_name"].as_str()?.split('/').nth(1)).collect();
    said.retain(|sha1| known.contains(sha1));
    said.sort_unstable();
    ensure!(said == missing, "said to be lost: {said:?}; lost: {missing:?}");
    println!("[{} attachments lost, each named] ", missing.len());
    Ok(())
}

/// The old production comes back, stays down, and follows; what was lost was committed after the
/// last transaction that the report names.
fn rejoined(pair: &mut Pair, report: &Value) -> Result<()> {
    pair.lab.wait("the end of erp1's boot", 60, |lab| lab.holds("erp1", "systemctl list-jobs | grep -q 'No jobs'"))?;
    ensure!(!pair.lab.holds("erp1", "pgrep -u odoo || pgrep -x postgres")?, "a process of the old production runs");
    let lost = lost_after_what_was_said(pair, report)?;
    ensure!(lost > 0, "nothing was lost, so nothing is shown");
    writer::forget(&pair.lab)?;
    pair.otr.run(SPEC, "rejoin erp1 --yes --json")?.ended(0)?;
    is_production(pair, "erp2", "erp1")?;
    writer::start(&pair.lab, "erp2")?;
    is_whole(pair, SPEC)?;
    switch_with(pair, SPEC, "erp2", "erp1")
}

/// Rows that were lost were begun after the last transaction that the report names; how many.
fn lost_after_what_was_said(pair: &Pair, report: &Value) -> Result<usize> {
    let kept = report["lost"]["database"]["last_transaction"].as_str().context("no last transaction")?;
    let kept = humantime::parse_rfc3339(kept)?.duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
    let (lost, all) = writer::lost(&pair.lab, "erp2")?;
    let begun = |row: &String| row.split_once(' ').and_then(|(_, n)| n.parse::<f64>().ok()).unwrap_or(0.0) / 1e9;
    let earliest = lost.iter().map(begun).fold(f64::INFINITY, f64::min);
    ensure!(earliest > kept - 1.0, "a row begun at {earliest} is lost, and all up to {kept} was said to be kept");
    println!("[{} of {all} acknowledged rows lost, all after the moment that the report names] ", lost.len());
    Ok(lost.len())
}

/// Production's WAL has no room: PostgreSQL stops, and the standby takes over with every row it was sent.
fn full_production(pair: &mut Pair) -> Result<()> {
    wal_on_a_small_disk(pair, "erp1")?;
    odoo::login_page_is_whole(&pair.lab, "erp1")?;
    pair.lab.wait("streaming to erp2", 60, |lab| {
        Ok(lab.sql("erp1", "postgres", "select count(*) from pg_stat_replication where state = 'streaming'")? == "1")
    })?;
    pair.lab.sh("erp1", "fallocate -l 990M /mnt/small/filler 2>/dev/null || cat /dev/zero >/mnt/small/filler || true")?;
    let bulk = "runuser -u postgres -- psql -XqAt acme -c 'create table otr_full as select repeat(md5(n::text), 30) from generate_series(1, 200000) n' || true";
    pair.lab.sh("erp1", bulk)?;
    pair.lab.wait("the end of erp1's PostgreSQL", 60, |lab| Ok(!lab.holds("erp1", "pgrep -x postgres")?))?;
    refuses(pair, "switchover erp2 --yes", "does not run on erp1")?;
    refuses(pair, "promote erp2 --yes", "erp1 is alive and runs odoo.service")?;
    pair.lab.sh("erp1", "systemctl stop odoo")?;
    let run = pair.otr.run(SPEC, "promote erp2 --yes --write-spec --json")?;
    let report: Value = serde_json::from_str(&run.ended(0)?.stdout)?;
    odoo::login_page_is_whole(&pair.lab, "erp2")?;
    pair.lab.sh("erp1", "rm /mnt/small/filler")?;
    lost_after_what_was_said(pair, &report)?;
    writer::forget(&pair.lab)?;
    pair.otr.run(SPEC, "rejoin erp1 --yes --json")?.ended(0)?;
    is_production(pair, "erp2", "erp1")?;
    is_whole(pair, SPEC)
}
