//! 5: production loses its power, the standby becomes production, and the report says
//! truthfully what was lost.

use anyhow::{Context, Result, ensure};

use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "pair.yaml";

pub fn chapter() -> Chapter {
    Chapter::new("power_cut", Scene::Standby)
        .step("an_attachment_is_made_and_synced", |pair| {
            let made = odoo::create(&pair.lab, "erp1", "contract.txt")?;
            wait_for_contact(pair, "contract.txt")?;
            pair.otr.run(SPEC, "sync filestore --json")?.ended(0)?;
            let path = format!("{}/{}", odoo::FILESTORE, made.store_name);
            let there = pair.lab.sh("erp2", &format!("sha1sum < {path}"))?;
            ensure!(there.starts_with(&made.sha1), "{path} on erp2 has SHA-1 {there}");
            pair.notes.attachments.push(made);
            Ok(())
        })
        .step("another_is_made_after_the_last_sync", |pair| {
            let made = odoo::create(&pair.lab, "erp1", "too-late.txt")?;
            wait_for_contact(pair, "too-late.txt")?;
            pair.notes.attachments.push(made);
            Ok(())
        })
        .step("promote_refuses_while_production_lives", |pair| {
            let run = pair.otr.run(SPEC, "promote erp2 --yes --json")?;
            ensure!(run.code != Some(0), "it promoted beside a living production");
            ensure!(pair.lab.sql("erp2", "postgres", "select pg_is_in_recovery()")? == "t", "erp2 was promoted");
            odoo::login_page_is_whole(&pair.lab, "erp1")
        })
        .step("a_contact_is_made_that_never_leaves_production", |pair| {
            pair.lab.call(&["cut", "erp1", "erp2"])?;
            odoo::create(&pair.lab, "erp1", "never-sent.txt").map(drop)
        })
        .step("the_power_is_cut_and_promote_wants_a_statement", |pair| {
            pair.lab.call(&["kill", "erp1"])?;
            let run = pair.otr.run(SPEC, "promote erp2 --yes")?;
            ensure!(run.code != Some(0), "it took a silent production for a dead one");
            ensure!(run.said().contains("--production-is-down"), "it does not say how to go on");
            Ok(())
        })
        .step("and_the_file_of_an_asset_bundle_is_gone", |pair| {
            // A bundle of the login page, by its name alone.
            let sql =
                "select store_fname from ir_attachment where name like '%assets_frontend%.js' and store_fname <> '' order by id limit 1";
            let name = pair.lab.sql("erp2", "acme", sql)?;
            pair.lab.sh("erp2", &format!("rm {}/{name}", odoo::FILESTORE)).map(drop)
        })
        .step("promote", |pair| {
            let before = std::fs::read_to_string(pair.otr.spec(SPEC))?;
            let run = pair.otr.run(SPEC, "promote erp2 --yes --production-is-down erp1 --write-spec --json")?;
            run.ended(0)?;
            let steps = run.json()?.0["steps"].as_array().context("a promotion has steps")?.clone();
            let bundles = steps.iter().find(|step| step["step"] == "bundles").context("it has a step bundles")?.to_string();
            ensure!(bundles.contains("delete 1 lost asset bundles from acme"), "the lost bundle is not made again: {bundles}");
            pair.notes.text = run.stdout;
            let after = std::fs::read_to_string(pair.otr.spec(SPEC))?;
            ensure!(
                after == before.replace("production: erp1\n", "production: erp2\n"),
                "the spec is not what it was but for one line:\n{after}"
            );
            Ok(())
        })
        .step("the_login_page_and_its_assets_are_whole", |pair| odoo::login_page_is_whole(&pair.lab, "erp2"))
        .step("the_synced_attachment_is_whole", |pair| odoo::still_has(&pair.lab, "erp2", pair.notes.attachments.first().context("none")?))
        .step("a_row_can_be_written", |pair| odoo::create(&pair.lab, "erp2", "the-next-morning.txt").map(drop))
        .step("the_report_names_what_was_lost", the_report_is_true)
        .step("redis_takes_writes_and_has_every_key", |pair| {
            ensure!(pair.lab.redis("erp2", "info replication")?.contains("role:master"), "Redis on erp2 is still a replica");
            ensure!(pair.lab.redis("erp2", "get counter:orders")? == "4711", "a key was lost");
            pair.lab.redis("erp2", "set counter:orders 4712").map(drop)
        })
        .step("the_timers_that_fed_the_standby_are_off", |pair| {
            ensure!(!pair.lab.holds("erp2", "systemctl is-active -q otr-sync.timer")?, "otr-sync.timer still runs on the new production");
            ensure!(
                pair.lab.holds("erp2", "grep -qx 'production: erp2' /etc/otr/spec.yaml")?,
                "the spec on erp2 still names erp1 as production"
            );
            Ok(())
        })
        .step("promote_again_finds_it_done", |pair| {
            pair.otr.run(SPEC, "promote erp2 --yes --production-is-down erp1 --json")?.ended(0)?;
            odoo::login_page_is_whole(&pair.lab, "erp2")
        })
        .step("it_stays_production_over_a_reboot_when_a_person_says_that_its_peer_is_down", |pair| {
            pair.lab.call(&["down", "erp2"])?;
            pair.lab.call(&["boot", "erp2"])?;
            let waits =
                "journalctl -q --no-pager -b -u postgresql@13-main | grep -q 'waits: erp1 gives no answer.*touch /run/otr/production'";
            pair.lab.wait("the guard's question", 60, |lab| lab.holds("erp2", waits))?;
            ensure!(
                !pair.lab.holds("erp2", "pgrep -u odoo || pgrep -x postgres || pgrep -x redis-server")?,
                "erp2 did not wait for its peer"
            );
            pair.lab.sh("erp2", "touch /run/otr/production")?;
            odoo::login_page_is_whole(&pair.lab, "erp2")?;
            ensure!(pair.lab.redis("erp2", "info replication")?.contains("role:master"), "Redis fell back to its old role");
            Ok(())
        })
}

fn wait_for_contact(pair: &Pair, name: &str) -> Result<()> {
    let sql = format!("select count(*) from res_partner where name = '{name}'");
    pair.lab.wait(&format!("the contact {name} on erp2"), 10, |lab| Ok(lab.sql("erp2", "acme", &sql)? == "1"))
}

fn the_report_is_true(pair: &mut Pair) -> Result<()> {
    let report: serde_json::Value = serde_json::from_str(&pair.notes.text).context("promote printed no JSON")?;
    let files = report["lost"]["files"].as_array().context("no lost.files")?;
    let names: Vec<&str> = files.iter().filter_map(|file| file["name"].as_str()).collect();
    ensure!(names == ["too-late.txt"], "the report names {names:?} as lost, not too-late.txt alone");
    let late = pair.notes.attachments.last().context("none")?;
    ensure!(files[0]["store_name"] == late.store_name.as_str() && files[0]["database"] == "acme", "{}", files[0]);
    let rows = report["lost"]["database"]["words"].as_str().unwrap_or_default();
    ensure!(rows.contains("afterwards is lost"), "the report says nothing about rows that never arrived: {}", report["lost"]);
    ensure!(report["next"].as_array().is_some_and(|next| !next.is_empty()), "the report does not say what to do next");
    let sql = "select string_agg(name, ' ' order by name) from res_partner where name like '%.txt'";
    let there = pair.lab.sql("erp2", "acme", sql)?;
    ensure!(there == "contract.txt the-next-morning.txt too-late.txt", "contacts on erp2: {there}");
    Ok(())
}
