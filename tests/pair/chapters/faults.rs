//! 16: what goes wrong during a failover, while somebody writes rows and notes each one that was
//! acknowledged. After each fault: what otr said, one writer at most, and that a rerun finishes.
//!
//! `OTR_PAIR_FAULTS=all` kills otr at the beginning of *every* step of every procedure.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use otr::promote::Verb;

use super::switchover::is_production;
use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;
use crate::writer;

pub(super) const SPEC: &str = "faults.yaml";

/// The steps of a procedure that change something, from the program's own table.
fn changing(verb: Verb) -> impl Iterator<Item = &'static str> {
    verb.steps().iter().filter(|step| step.changes).map(|step| step.name)
}

/// A hook before every step: it notes the step, and holds otr there if it is told to.
pub(super) const HOLD: &str = r#"#!/bin/sh
echo "$OTR_VERB $OTR_WHEN $OTR_STEP $OTR_HOST $OTR_OLD_PRODUCTION" >>/run/otr-hooks
[ "$(cat /run/otr-hold 2>/dev/null)" = "$OTR_STEP" ] || exit 0
rm /run/otr-hold
echo $$ >/run/otr-held
exec sleep 50
"#;

/// otr is killed at the beginning of steps of every procedure.
pub fn kills() -> Chapter {
    Chapter::new("kills", Scene::Standby)
        .step("hooks_before_every_step", |pair| {
            let steps: BTreeSet<&str> = [Verb::Switchover, Verb::Promote, Verb::Rejoin].into_iter().flat_map(changing).collect();
            let hooks: String =
                steps.iter().map(|step| format!("    - {{before: {step}, run: [/usr/local/bin/otr-hold], timeout: 1m}}\n")).collect();
            pair.otr.vary("pair.yaml", SPEC, |text| format!("{text}failover:\n  hooks:\n{hooks}"))?;
            for host in ["erp1", "erp2"] {
                pair.lab.put(host, "/usr/local/bin/otr-hold", "0755", HOLD.as_bytes())?;
            }
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            writer::start(&pair.lab, "erp1")?;
            let made = odoo::create(&pair.lab, "erp1", "before-all.txt")?;
            pair.notes.attachments.push(made);
            Ok(())
        })
        .step("switchover_killed_at_steps", |pair| {
            for step in some(Verb::Switchover) {
                killed_at(pair, "erp2", step, "switchover erp2 --yes")?;
            }
            pair.otr.run(SPEC, "switchover erp2 --yes --write-spec --json")?.ended(0)?;
            is_production(pair, "erp2", "erp1")?;
            writer::nothing_lost(&pair.lab, "erp2")?;
            odoo::still_has(&pair.lab, "erp2", &pair.notes.attachments[0])?;
            pair.nothing_differs(SPEC)
        })
        .step("promote_killed_at_steps", |pair| {
            writer::stop(&pair.lab)?;
            pair.lab.wait("all that was written on erp1", 10, |lab| {
                let sent = "select count(*) from pg_stat_replication where replay_lsn >= pg_current_wal_lsn()";
                Ok(lab.sql("erp2", "postgres", sent)? == "1")
            })?;
            pair.otr.run(SPEC, "sync filestore --json")?.ended(0)?;
            pair.lab.call(&["kill", "erp2"])?;
            let promote = "promote erp1 --yes --production-is-down erp2";
            for step in some(Verb::Promote) {
                killed_at(pair, "erp1", step, promote)?;
            }
            pair.otr.run(SPEC, &format!("{promote} --write-spec --json"))?.ended(0)?;
            odoo::login_page_is_whole(&pair.lab, "erp1")?;
            odoo::still_has(&pair.lab, "erp1", &pair.notes.attachments[0])
        })
        .step("rejoin_killed_at_steps", |pair| {
            pair.lab.call(&["boot", "erp2"])?;
            pair.lab.wait("the end of erp2's boot", 60, |lab| lab.holds("erp2", "systemctl list-jobs | grep -q 'No jobs'"))?;
            for step in some(Verb::Rejoin) {
                killed_at(pair, "erp1", step, "rejoin erp2 --yes")?;
            }
            pair.otr.run(SPEC, "rejoin erp2 --yes --json")?.ended(0)?;
            is_production(pair, "erp1", "erp2")?;
            writer::nothing_lost(&pair.lab, "erp1")?;
            pair.nothing_differs(SPEC)
        })
        .step("the_record_tells_all_of_it", |pair| {
            let list = pair.otr.run(SPEC, "incident --list")?.ended(0)?.stdout.clone();
            ensure!(list.lines().count() == 3, "not a rejoin, a promotion and a switchover:\n{list}");
            pair.otr.run(SPEC, "incident --note told_the_users --done 9")?.ended(0)?;
            let record = pair.otr.run(SPEC, "incident --number 2 --markdown")?.ended(0)?.stdout.clone();
            for part in ["# promote erp1 in place of erp2", "It was cut off.", "went on 20", "erp2 is down", "- [ ] 8. Point proxies"] {
                ensure!(record.contains(part), "{part} is not in\n{record}");
            }
            let hooks = pair.lab.sh("erp1", "sort -u /run/otr-hooks")?;
            ensure!(hooks.contains("promote before epoch erp1 erp2\n") && hooks.contains("rejoin before join erp1 erp2\n"), "{hooks}");
            Ok(())
        })
}

pub(super) fn all() -> bool {
    std::env::var_os("OTR_PAIR_FAULTS").is_some_and(|which| which == "all")
}

/// The steps to kill otr at: around what cannot be undone, or every one.
fn some(verb: Verb) -> impl Iterator<Item = &'static str> {
    let few = ["stop-odoo", "proof", "epoch", "promote", "production-mode", "keep", "join", "follow"];
    changing(verb).filter(move |step| all() || few.contains(step))
}

/// otr waits in the hook before a step, and is killed there; what it began on the host ends too.
fn killed_at(pair: &mut Pair, host: &str, step: &str, arguments: &str) -> Result<()> {
    pair.lab.sh(host, &format!("rm -f /run/otr-held; echo {step} > /run/otr-hold"))?;
    let mut otr = pair.otr.start(SPEC, arguments)?;
    let held = pair.lab.wait(&format!("the step {step}"), 90, |lab| lab.holds(host, "test -s /run/otr-held"));
    otr.kill()?;
    otr.wait()?;
    if let Err(why) = held {
        anyhow::bail!("{why:#}; it said:\n{}", pair.otr.started_said());
    }
    pair.lab.sh(host, "kill $(cat /run/otr-held) 2>/dev/null || true; rm -f /run/otr-held")?;
    one_writer(pair)
}

/// Of the hosts that have power one takes writes, or none.
pub(super) fn one_writer(pair: &Pair) -> Result<()> {
    let writes = "runuser -u postgres -- psql -XqAt -c 'select pg_is_in_recovery()' 2>/dev/null | grep -qx f";
    let writers = ["erp1", "erp2"].iter().filter(|host| pair.lab.holds(host, writes).unwrap_or(false)).count();
    ensure!(writers < 2, "two hosts take writes");
    Ok(())
}

/// Faults before which nothing may be changed, and after which everything is as before.
pub fn refused() -> Chapter {
    Chapter::new("faults", Scene::Standby)
        .step("somebody_writes", |pair| {
            std::fs::copy(pair.otr.spec("pair.yaml"), pair.otr.spec(SPEC))?;
            writer::start(&pair.lab, "erp1")
        })
        .step("replay_paused", |pair| {
            pair.lab.sql("erp2", "postgres", "select pg_wal_replay_pause()")?;
            refuses(pair, "switchover erp2 --yes", "replay is paused")?;
            refuses(pair, "promote erp2 --yes --production-is-down erp1", "replay is paused")?;
            ensure!(pair.otr.run(SPEC, "status")?.code == Some(1), "status is ready with a paused replay");
            pair.lab.sql("erp2", "postgres", "select pg_wal_replay_resume()").map(drop)
        })
        .step("peers_cut_off_from_each_other", |pair| {
            pair.lab.call(&["cut", "erp1", "erp2"])?;
            // Until wal_receiver_timeout the standby still calls itself streaming.
            refuses(pair, "switchover erp2 --yes", "does not arrive on erp2")?;
            refuses(pair, "promote erp2 --yes --production-is-down erp1", "erp1 is alive")?;
            pair.lab.call(&["heal", "erp1", "erp2"])?;
            // Production takes the standby for connected until wal_sender_timeout.
            pair.lab.sql("erp1", "postgres", "select pg_terminate_backend(pid) from pg_stat_replication")?;
            streams(pair)
        })
        .step("cable_of_production_pulled", |pair| {
            pair.lab.call(&["link", "erp1", "down"])?;
            refuses(pair, "promote erp2 --yes", "does not prove that it is down")?;
            pair.lab.call(&["link", "erp1", "up"])?;
            streams(pair)
        })
        .step("key_refused", |pair| {
            pair.lab.sh("erp2", "mv /root/.ssh/authorized_keys /root/.ssh/kept")?;
            let run = pair.otr.run(SPEC, "switchover erp2 --yes");
            // The lab's own way in is that key too: back through the console.
            pair.lab.call(&["in", "erp2", "mv", "/root/.ssh/kept", "/root/.ssh/authorized_keys"])?;
            let run = run?;
            ensure!(run.code == Some(1) && run.said().contains("erp2 cannot be reached"), "{}", run.said());
            is_production(pair, "erp1", "erp2")
        })
        .step("slot_lost", |pair| {
            pair.lab.sh("erp2", "systemctl stop postgresql@13-main")?;
            pair.lab.wait("the slot to be free", 30, |lab| {
                Ok(lab.sql("erp1", "postgres", "select active from pg_replication_slots where slot_name = 'otr_erp2'")? == "f")
            })?;
            pair.lab.sql("erp1", "postgres", "select pg_drop_replication_slot('otr_erp2')")?;
            pair.lab.sh("erp2", "systemctl start postgresql@13-main")?;
            refuses(pair, "switchover erp2 --yes", "erp2")?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            streams(pair)
        })
        .step("parameters_raised_by_apply_are_raised_on_the_standby_first", |pair| {
            pair.otr.vary("pair.yaml", SPEC, |text| text.replace("max_connections: 120", "max_connections: 150"))?;
            let before = pair.lab.sh("erp2", "journalctl -q --no-pager -u postgresql@13-main | wc -l")?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            for host in ["erp1", "erp2"] {
                ensure!(pair.lab.sql(host, "postgres", "show max_connections")? == "150", "{host} was not raised (journal: {before})");
            }
            let started = |host| pair.lab.sql(host, "postgres", "select extract(epoch from pg_postmaster_start_time())");
            ensure!(started("erp2")?.parse::<f64>()? < started("erp1")?.parse::<f64>()?, "production was restarted first");
            let log =
                pair.lab.sh("erp2", "grep -c 'insufficient parameter settings' /var/log/postgresql/postgresql-13-main.log || true")?;
            ensure!(log.trim() == "0", "the standby stopped {log} times");
            streams(pair)?;
            pair.nothing_differs(SPEC)
        })
        .step("not_one_row_was_lost", |pair| writer::nothing_lost(&pair.lab, "erp1"))
}

/// It ends with 1, says why, and production is production as before.
pub(super) fn refuses(pair: &mut Pair, arguments: &str, why: &str) -> Result<()> {
    let run = pair.otr.run(SPEC, arguments)?;
    ensure!(
        run.code == Some(1) && run.said().contains(why),
        "{arguments} ended with {:?} and did not say {why:?}: {}",
        run.code,
        run.said()
    );
    one_writer(pair)?;
    ensure!(!run.said().contains("put-back"), "it had begun: {}", run.said());
    Ok(())
}

pub(super) fn streams(pair: &Pair) -> Result<()> {
    pair.lab.wait("streaming to erp2", 60, |lab| {
        Ok(lab.sql("erp1", "postgres", "select count(*) from pg_stat_replication where state = 'streaming'")? == "1")
    })
}
