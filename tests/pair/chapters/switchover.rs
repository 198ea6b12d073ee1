//! 10: production and standby change places while somebody writes; not one acknowledged row is lost.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;
use crate::writer;

const SPEC: &str = "pair.yaml";

pub fn chapter() -> Chapter {
    Chapter::new("switchover", Scene::Standby)
        .step("somebody_writes_rows_and_attachments", |pair| {
            writer::start(&pair.lab, "erp1")?;
            let made = odoo::create(&pair.lab, "erp1", "before-the-switch.txt")?;
            pair.notes.attachments.push(made);
            Ok(())
        })
        .step("a_dry_run_changes_nothing", |pair| {
            let run = pair.otr.run(SPEC, "switchover --dry-run")?;
            ensure!(run.ended(0)?.said().contains("stop-postgresql"), "it does not name its steps");
            is_production(pair, "erp1", "erp2")
        })
        .step("switchover", |pair| switch(pair, "erp1", "erp2"))
        .step("and_back_past_a_stuck_client", |pair| {
            // A transaction that nobody ends; a smart shutdown would wait for it for ever.
            pair.lab.sh("erp2", "systemd-run -q --unit=otr-stuck runuser -u postgres -- psql acme -c 'begin; select pg_sleep(3600)'")?;
            switch(pair, "erp2", "erp1")
        })
        .step("several_times_more", |pair| {
            let rounds: usize = std::env::var("OTR_SOAK").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
            for round in 0..rounds {
                let (old, new) = if round % 2 == 0 { ("erp1", "erp2") } else { ("erp2", "erp1") };
                switch(pair, old, new)?;
            }
            if rounds % 2 == 1 { switch(pair, "erp2", "erp1") } else { Ok(()) }
        })
        .step("a_failure_before_the_point_of_no_return_puts_production_back", |pair| {
            // PostgreSQL on erp1 cannot stop: the proof of its end is never given.
            pair.lab.sh("erp1", "mkdir -p /run/systemd/system/postgresql@13-main.service.d; printf '[Service]\\nExecStop=\\nExecStop=/bin/sh -c \"kill -9 $(head -1 /var/lib/postgresql/13/main/postmaster.pid)\"\\n' > /run/systemd/system/postgresql@13-main.service.d/broken.conf; systemctl daemon-reload")?;
            let run = pair.otr.run(SPEC, "switchover --yes --json --despite-drift")?;
            pair.lab.sh("erp1", "rm /run/systemd/system/postgresql@13-main.service.d/broken.conf; systemctl daemon-reload")?;
            run.ended(1)?;
            let report: Value = serde_json::from_str(&run.stdout)?;
            let last = report["steps"].as_array().and_then(|steps| steps.last()).context("no steps")?.clone();
            ensure!(last["step"] == "put-back" && last["outcome"] == "done", "production was not put back: {last}");
            is_production(pair, "erp1", "erp2")?;
            is_whole(pair, SPEC)
        })
        .step("roles_last_over_a_reboot_of_both", |pair| {
            switch(pair, "erp1", "erp2")?;
            writer::stop(&pair.lab)?;
            pair.lab.call(&["down", "erp1", "erp2"])?;
            pair.lab.call(&["boot", "erp1", "erp2"])?;
            is_production(pair, "erp2", "erp1")?;
            pair.lab.wait("an empty plan", 60, |_| Ok(true))?;
            pair.nothing_differs(SPEC)
        })
}

/// The two change places, and everything a user or admin looks at is as it was, the other way round.
pub fn switch(pair: &mut Pair, old: &str, new: &str) -> Result<()> {
    switch_with(pair, SPEC, old, new)
}

/// The same with another spec.
pub fn switch_with(pair: &mut Pair, spec: &str, old: &str, new: &str) -> Result<()> {
    let run = pair.otr.run(spec, &format!("switchover {new} --yes --write-spec --json"))?;
    run.ended(0)?;
    let report: Value = serde_json::from_str(&run.stdout)?;
    let downtime = report["downtime"].as_f64().context("no downtime")?;
    print!("[{old} to {new}: nobody could work for {downtime:.1} s] ");
    is_production(pair, new, old)?;
    writer::nothing_lost(&pair.lab, new)?;
    for attachment in &pair.notes.attachments {
        odoo::still_has(&pair.lab, new, attachment)?;
    }
    is_whole(pair, spec)
}

/// What was made lately arrives too, and then nothing differs.
pub fn is_whole(pair: &mut Pair, spec: &str) -> Result<()> {
    writer::quietly(pair, |pair| {
        pair.otr.run(spec, "sync filestore --json")?.ended(0)?;
        pair.nothing_differs(spec)
    })
}

/// One takes writes and serves, the other streams and does not.
pub fn is_production(pair: &mut Pair, production: &str, standby: &str) -> Result<()> {
    odoo::login_page_is_whole(&pair.lab, production)?;
    let recovery = |host| pair.lab.sql(host, "postgres", "select pg_is_in_recovery()");
    ensure!(recovery(production)? == "f" && recovery(standby)? == "t", "PostgreSQL's roles are wrong");
    pair.lab.wait(&format!("streaming to {standby}"), 30, |lab| {
        Ok(lab.sql(production, "postgres", "select count(*) from pg_replication_slots where active")? == "1")
    })?;
    ensure!(!pair.lab.holds(standby, "systemctl is-active -q odoo")?, "Odoo runs on {standby}");
    pair.lab.wait("the replica of Redis", 30, |lab| Ok(lab.redis(standby, "info replication")?.contains("master_link_status:up")))?;
    ensure!(pair.lab.redis(production, "info replication")?.contains("role:master"), "Redis on {production} is no primary");
    ensure!(pair.lab.redis(production, "get counter:orders")? == "4711", "Redis lost a key");
    Ok(())
}
