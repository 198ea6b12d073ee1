//! 11: the old production comes back after a power cut: it stays down by itself, and `rejoin`
//! makes it a standby and keeps what only it has.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::switchover::{is_production, switch};
use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;
use crate::writer;

const SPEC: &str = "pair.yaml";
const STANDS: &str = "systemctl is-active -q";

pub fn chapter() -> Chapter {
    Chapter::new("rejoin", Scene::Standby)
        .step("production_writes_what_never_leaves_it", |pair| {
            writer::start(&pair.lab, "erp1")?;
            pair.lab.call(&["cut", "erp1", "erp2"])?;
            odoo::create(&pair.lab, "erp1", "never-sent.txt")?;
            std::thread::sleep(std::time::Duration::from_secs(2));
            pair.lab.call(&["kill", "erp1"])?;
            pair.lab.call(&["heal", "erp1", "erp2"]).map(drop)
        })
        .step("the_standby_is_promoted", |pair| {
            let run = pair.otr.run(SPEC, "promote erp2 --yes --production-is-down erp1 --write-spec --json")?;
            run.ended(0)?;
            odoo::login_page_is_whole(&pair.lab, "erp2")
        })
        .step("the_old_production_comes_back_and_stays_down", stays_down)
        .step("a_person_who_starts_it_by_hand_is_refused_too", |pair| {
            pair.lab.sh("erp1", "systemctl start postgresql@13-main odoo redis-server || true; sleep 2")?;
            nothing_runs(pair)
        })
        .step("promote_and_switchover_leave_it_alone", |pair| {
            let run = pair.otr.run(SPEC, "switchover erp1 --yes")?;
            ensure!(run.code == Some(1), "it switched to a host that does not follow");
            nothing_runs(pair)
        })
        .step("a_dry_run_shows_what_would_be_discarded", |pair| {
            let run = pair.otr.run(SPEC, "rejoin erp1 --dry-run --json")?;
            let report: Value = serde_json::from_str(&run.ended(0)?.stdout)?;
            ensure!(report["rejoin"]["way"] == "rewind", "{}", report["rejoin"]);
            ensure!(report["rejoin"]["discards"][0].is_string(), "no WAL range: {}", report["rejoin"]);
            let files = report["rejoin"]["files"].as_array().context("no files")?;
            ensure!(files.len() == 1, "the file of never-sent.txt is not named alone: {files:?}");
            nothing_runs(pair)
        })
        .step("rejoin", |pair| {
            let run = pair.otr.run(SPEC, "rejoin erp1 --yes --json")?;
            run.ended(0)?;
            is_production(pair, "erp2", "erp1")
        })
        .step("what_only_it_had_is_kept", |pair| {
            pair.lab.sh("erp1", "test -e /var/lib/postgresql/13/main.otr-diverged-1-*/PG_VERSION").map(drop)
        })
        .step("the_pair_is_whole_with_roles_swapped", |pair| pair.nothing_differs(SPEC))
        .step("rejoin_again_finds_it_done", |pair| pair.otr.run(SPEC, "rejoin erp1 --yes --json").and_then(|run| run.ended(0).map(drop)))
        .step("and_it_can_take_over_again", |pair| {
            // Rows that were acknowledged and never sent were lost by the promotion, as its report said.
            pair.lab.sh("erp1", "rm /var/lib/acknowledged")?;
            switch(pair, "erp2", "erp1")
        })
        .step("a_cluster_that_took_writes_without_a_fork_is_copied_anew", |pair| {
            writer::stop(&pair.lab)?;
            // What the predecessor calls a promotion: no new timeline, so nothing but the epoch tells.
            pair.lab.sh("erp2", "systemctl stop postgresql@13-main; rm /var/lib/postgresql/13/main/standby.signal; mv /etc/systemd/system/postgresql@13-main.service.d/otr-guard.conf /root; systemctl daemon-reload; systemctl start postgresql@13-main")?;
            pair.lab.sql("erp2", "acme", "create table second_production (n int)")?;
            pair.lab.sh("erp2", "mv /root/otr-guard.conf /etc/systemd/system/postgresql@13-main.service.d/; systemctl daemon-reload")?;
            for verb in ["plan", "apply --yes --restarts", "sync", "switchover erp2 --yes --despite-drift", "status"] {
                let run = pair.otr.run(SPEC, verb)?;
                ensure!(run.code == Some(1) && run.said().contains("split brain"), "{verb} does not name the split brain: {}", run.said());
            }
            let run = pair.otr.run(SPEC, "rejoin erp2 --yes --json")?;
            let report: Value = serde_json::from_str(&run.ended(0)?.stdout)?;
            ensure!(report["rejoin"]["way"] == "rebuild", "{}", report["rejoin"]);
            is_production(pair, "erp1", "erp2")?;
            pair.lab.sh("erp2", "ls -d /var/lib/postgresql/13/main.otr-old.0")?;
            pair.nothing_differs(SPEC)
        })
}

fn stays_down(pair: &mut Pair) -> Result<()> {
    pair.lab.call(&["boot", "erp1"])?;
    pair.lab.wait("the end of erp1's boot", 60, |lab| lab.holds("erp1", "systemctl list-jobs | grep -q 'No jobs'"))?;
    nothing_runs(pair)?;
    let journal = pair.lab.sh("erp1", "journalctl -q --no-pager -b -u postgresql@13-main -u odoo -u redis-server")?;
    ensure!(journal.contains("does not start: erp2 has epoch "), "its journal does not say why:\n{journal}");
    odoo::login_page_is_whole(&pair.lab, "erp2")
}

fn nothing_runs(pair: &Pair) -> Result<()> {
    for unit in ["odoo", "postgresql@13-main", "redis-server"] {
        ensure!(!pair.lab.holds("erp1", &format!("{STANDS} {unit}"))?, "{unit} runs on the old production");
    }
    ensure!(!pair.lab.holds("erp1", "pgrep -u odoo || pgrep -x postgres")?, "a process of the old production runs");
    Ok(())
}
