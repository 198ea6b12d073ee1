//! 28: a production and two standbys: both are copied at once, the one that has most is promoted, the
//! other follows it, and one that has more than the new production is taken back.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "three.yaml";
const STALE: &str = "stale.yaml";
/// otr as a person has it who logs in on a machine itself, where there is no login to the machine.
const HERE: &str =
    "ACME_ADMIN_PASSWD=correct-horse ACME_REDIS_PASSWORD=keys-to-the-shop ACME_REPLICATION_PASSWORD=follow-the-leader /usr/local/bin/otr";

/// What an old spec would change.
const TOUCHED: &str =
    "cat /etc/otr/spec.yaml; systemctl is-enabled otr-plan.timer otr-sync.timer odoo || :; systemctl is-active otr-plan.timer odoo || :";

pub fn chapter() -> Chapter {
    Chapter::new("three", Scene::Three)
        .step("both_were_copied_in_one_run", |pair| {
            pair.nothing_differs(SPEC)?;
            for host in ["erp2", "erp3"] {
                streams(pair, host, "erp1")?;
            }
            ready(pair, true, "ready to promote")
        })
        .step("one_falls_behind_and_production_loses_its_power", |pair| {
            std::fs::copy(pair.otr.spec(SPEC), pair.otr.spec(STALE))?;
            pair.lab.sql("erp1", "acme", "create table orders (n int)")?;
            arrives(pair, "erp3", "select count(*) from pg_tables where tablename = 'orders'", "1")?;
            pair.lab.call(&["cut", "erp1", "erp3"])?;
            pair.lab.sql("erp1", "acme", "insert into orders select generate_series(1, 306)")?;
            arrives(pair, "erp2", "select count(*) from orders", "306")?;
            pair.lab.call(&["kill", "erp1"])?;
            pair.lab.call(&["heal", "erp1", "erp3"]).map(drop)
        })
        .step("status_names_the_one_that_has_most", |pair| {
            let run = pair.otr.run(SPEC, "status")?;
            let said = run.ended(0)?.said();
            ensure!(said.contains("otr promote erp2 --production-is-down erp1"), "{said}");
            ensure!(said.contains("erp3 has ") && said.contains(" bytes of WAL less than erp2"), "{said}");
            Ok(())
        })
        .step("typed_on_a_standby_it_knows_where_it_is", |pair| {
            let said = pair.lab.sh("erp2", &format!("{HERE} status 2>&1 || :"))?;
            ensure!(said.contains("this machine is erp2") && said.contains("PostgreSQL  standby, timeline 1"), "{said}");
            // Its address alone does not do: another installation may have used it.
            pair.lab.sh("erp2", "mv /etc/otr/guard.json /var/lib/otr/epoch-acme /root/ 2>/dev/null || :")?;
            let said = pair.lab.sh("erp2", &format!("{HERE} status 2>&1 || :"))?;
            pair.lab.sh("erp2", "mv /root/guard.json /etc/otr/; mv /root/epoch-acme /var/lib/otr/ 2>/dev/null || :")?;
            ensure!(said.contains("erp2 cannot be reached") && said.contains("If this machine is erp2: otr --here erp2"), "{said}");
            Ok(())
        })
        .step("the_one_that_has_less_is_not_promoted_without_a_word", |pair| {
            let run = pair.otr.run(SPEC, "promote erp3 --yes --production-is-down erp1")?;
            let said = run.ended(1)?.said();
            ensure!(said.contains("erp2 has ") && said.contains("bytes of WAL that erp3 has not"), "{said}");
            ensure!(said.contains("otr promote erp2") && said.contains("--despite-better erp2"), "{said}");
            ensure!(pair.lab.sql("erp3", "postgres", "select pg_is_in_recovery()")? == "t", "erp3 was promoted");
            let run = pair.otr.run(SPEC, "promote erp3 --dry-run --production-is-down erp1 --despite-better erp2")?;
            ensure!(run.ended(0)?.said().contains("chosen despite of that"), "{}", run.said());
            Ok(())
        })
        .step("the_best_is_promoted_and_the_other_follows_it", |pair| {
            let run = pair.otr.run(SPEC, "promote erp2 --yes --production-is-down erp1 --write-spec --json")?;
            let report: Value = serde_json::from_str(&run.ended(0)?.stdout)?;
            let steps = report["steps"].as_array().context("no steps")?;
            let repoint = steps.iter().find(|step| step["step"] == "repoint").context("no step repoint")?;
            ensure!(repoint["outcome"] == "done" && repoint["warnings"].is_null(), "{repoint}");
            odoo::login_page_is_whole(&pair.lab, "erp2")?;
            follows(pair, "erp3", "erp2")?;
            pair.lab.sql("erp2", "acme", "insert into orders values (307)")?;
            arrives(pair, "erp3", "select count(*) from orders", "307")?;
            // erp1 is down, and says so; erp3 could take over.
            let run = pair.otr.run(SPEC, "status")?;
            let said = run.ended(0)?.said();
            ensure!(said.contains("ready to promote") && said.contains("erp1 cannot be reached"), "{said}");
            ensure!(pair.lab.holds("erp3", "grep -qx 'production: erp2' /etc/otr/spec.yaml")?, "the timers of erp3 read an old spec");
            Ok(())
        })
        .step("a_spec_older_than_the_promotion_is_named_by_every_verb_and_applied_by_none", |pair| {
            let before = ["erp2", "erp3"].map(|host| pair.lab.sh(host, TOUCHED));
            for verb in ["status", "plan", "apply --yes", "sync", "doctor", "drill erp2", "switchover erp3 --yes", "rejoin erp2 --yes"] {
                let run = pair.otr.run(STALE, verb)?;
                let said = run.ended(1)?.said();
                ensure!(
                    said.contains("the newest promotion is that of erp2") && said.contains("Write `production: erp2`"),
                    "{verb}: {said}"
                );
            }
            for (host, before) in ["erp2", "erp3"].into_iter().zip(before) {
                ensure!(pair.lab.sh(host, TOUCHED)? == before?, "something was changed on {host}");
            }
            Ok(())
        })
        .step("productions_own_copy_of_the_spec_is_put_right", |pair| {
            pair.lab.sh("erp2", "sed -i 's/^production: .*/production: erp1/' /etc/otr/spec.yaml")?;
            // erp1 is down, which is a failure of its own.
            pair.otr.run(SPEC, "apply --yes --host erp2 --json")?;
            ensure!(pair.lab.holds("erp2", "grep -qx 'production: erp2' /etc/otr/spec.yaml")?, "it still says erp1");
            Ok(())
        })
        .step("the_old_production_rejoins_the_two", |pair| {
            pair.lab.call(&["boot", "erp1"])?;
            pair.otr.finish(SPEC, "rejoin erp1 --yes --json")?;
            follows(pair, "erp1", "erp2")?;
            // What names production in a comment is left to it.
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)
        })
        .step("another_is_promoted_while_the_best_is_out_of_reach", |pair| {
            pair.lab.call(&["cut", "erp1", "erp2"])?;
            pair.lab.sql("erp2", "acme", "insert into orders select generate_series(308, 1000)")?;
            arrives(pair, "erp3", "select count(*) from orders", "1000")?;
            pair.lab.call(&["link", "erp3", "down"])?;
            pair.lab.call(&["kill", "erp2"])?;
            pair.lab.call(&["heal", "erp1", "erp2"])?;
            let run = pair.otr.run(SPEC, "status")?;
            ensure!(run.seconds < 5.0, "two dead addresses cost {:.1} s", run.seconds);
            print!("[status beside two dead addresses: {:.1} s] ", run.seconds);
            let said = pair.lab.sh("erp1", &format!("{HERE} promote erp1 --yes --production-is-down erp2 2>&1"))?;
            ensure!(said.contains("/etc/otr/spec.yaml says `production: erp1` by now"), "it asks for a line that it has changed: {said}");
            pair.otr.vary(SPEC, SPEC, |spec| spec.replace("production: erp2\n", "production: erp1\n"))?;
            ensure!(said.contains("erp3 cannot be reached and was not compared"), "{said}");
            ensure!(said.contains("erp3 cannot be reached and still follows erp2"), "it does not say what becomes of erp3: {said}");
            odoo::login_page_is_whole(&pair.lab, "erp1")
        })
        .step("one_that_has_more_than_production_is_seen", |pair| {
            pair.lab.call(&["link", "erp3", "up"])?;
            for verb in ["status", "plan"] {
                let run = pair.otr.run(SPEC, verb)?;
                ensure!(run.code == Some(1) && run.said().contains("`otr rejoin erp3`"), "{verb}: {}", run.said());
            }
            Ok(())
        })
        .step("and_taken_back_with_what_only_it_has_kept", |pair| {
            let run = pair.otr.run(SPEC, "rejoin erp3 --yes --json")?;
            let report: Value = serde_json::from_str(&run.ended(0)?.stdout)?;
            ensure!(report["rejoin"]["way"] == "rewind", "{}", report["rejoin"]);
            pair.lab.sh("erp3", "test -e /var/lib/postgresql/13/main.otr-diverged-2-*/PG_VERSION")?;
            follows(pair, "erp3", "erp1")?;
            arrives(pair, "erp3", "select count(*) from orders", "307")
        })
        .step("and_all_three_are_whole_again", |pair| {
            pair.lab.call(&["boot", "erp2"])?;
            pair.otr.finish(SPEC, "rejoin erp2 --yes --json")?;
            for host in ["erp2", "erp3"] {
                follows(pair, host, "erp1")?;
            }
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            ready(pair, true, "ready to promote")
        })
}

/// It streams from production.
fn streams(pair: &Pair, host: &str, production: &str) -> Result<()> {
    let sql = format!("select count(*) from pg_stat_replication where state = 'streaming' and application_name = 'otr_{host}'");
    pair.lab.wait(&format!("streaming from {production} to {host}"), 30, |lab| Ok(lab.sql(production, "postgres", &sql)? == "1"))
}

/// It streams, and its Redis is a replica of production's.
fn follows(pair: &Pair, host: &str, production: &str) -> Result<()> {
    streams(pair, host, production)?;
    let of = format!("master_host:{}", pair.lab.address(production));
    pair.lab.wait("the replica of Redis", 30, |lab| {
        let told = lab.redis(host, "info replication")?;
        Ok(told.contains(&of) && told.contains("master_link_status:up"))
    })
}

fn arrives(pair: &Pair, host: &str, sql: &str, value: &str) -> Result<()> {
    pair.lab.wait(&format!("{value} on {host}"), 10, |lab| Ok(lab.sql(host, "acme", sql)? == value))
}

/// Whether a standby could be promoted, and what status says of it.
fn ready(pair: &mut Pair, ready: bool, says: &str) -> Result<()> {
    let run = pair.otr.run(SPEC, "status")?;
    let said = run.ended(i32::from(!ready))?.said();
    ensure!(said.contains(says), "{said}");
    Ok(())
}
