//! 1-3: a production otr never touched gets a standby, and then nothing is left to do.

use anyhow::{Result, ensure};

use crate::lab::Lab;
use crate::odoo::{FILESTORE, login_page_is_whole};
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "pair.yaml";

pub fn chapter() -> Chapter {
    Chapter::new("standby", Scene::Fresh)
        .step("the_specs_are_right", |pair| pair.otr.run(SPEC, "check pair.yaml bare.yaml observe.yaml local.yaml").and_then(|run| run.ended(0).map(drop)))
        .step("plan_shows_both_and_leaves_production_alone", plan_leaves_production_alone)
        .step("apply_makes_a_standby", |pair| {
            let run = pair.otr.run(SPEC, "apply --yes --restarts --json")?;
            let report = run.json()?;
            for bad in ["failed", "not_reached", "refused", "unseen"] {
                ensure!(report.count(bad)? == 0, "{bad}: {}", report.0["summary"]);
            }
            run.ended(0)?;
            Ok(())
        })
        .step("it_streams", |pair| it_streams(&pair.lab))
        .step("it_has_productions_packages", |pair| {
            same(&pair.lab, "packages", "apt-mark showmanual | sort | xargs dpkg-query -W -f '${Package} ${Version} ${db:Status-Want}\\n'")
        })
        .step("it_has_productions_pip_modules", |pair| {
            same(&pair.lab, "pip modules", "ls -d /usr/local/lib/python3*/dist-packages/*.dist-info")
        })
        .step("its_odoo_conf_is_a_standbys", |pair| {
            pair.lab.sh("erp2", "grep -qx 'workers = 0' /etc/odoo/odoo.conf; grep -qx 'db_name = acme' /etc/odoo/odoo.conf; grep -qx 'acme_region = north' /etc/odoo/odoo.conf; test \"$(stat -c '%U:%G %a' /etc/odoo/odoo.conf)\" = 'odoo:odoo 640'").map(drop)
        })
        .step("productions_odoo_conf_is_still_its_admins", |pair| {
            pair.lab.sh("erp1", "grep -q 'Ask Kim' /etc/odoo/odoo.conf; grep -q '^.acme_reports.' /etc/odoo/odoo.conf; grep -qx 'workers = 2' /etc/odoo/odoo.conf").map(drop)
        })
        .step("its_redis_follows_and_no_key_was_lost", |pair| redis_follows(&pair.lab))
        .step("its_filestore_is_whole", |pair| filestore_is_whole(&pair.lab))
        .step("odoo_never_ran_there", |pair| pair.odoo_never_ran_on_erp2())
        .step("production_works", |pair| login_page_is_whole(&pair.lab, "erp1"))
        .step("plan_is_empty", |pair| pair.nothing_differs(SPEC))
        .step("a_second_apply_does_nothing", |pair| {
            let before = pair.snapshot()?;
            let run = pair.otr.run(SPEC, "apply --yes --restarts --json")?;
            let report = run.ended(0)?.json()?;
            ensure!(report.count("changed")? == 0 && report.0["changed"] == false, "it changed {}", report.touched().join("\n"));
            pair.unchanged_since(&before)
        })
        .step("a_reboot_of_both_changes_nothing", |pair| {
            pair.keep()?;
            pair.nothing_differs(SPEC)?;
            pair.odoo_never_ran_on_erp2()
        })
        .step("status_works", |pair| pair.otr.run(SPEC, "status --json").and_then(|run| run.ended(0).map(drop)))
        .step("doctor_is_content", |pair| pair.otr.run(SPEC, "doctor").and_then(|run| run.ended(0).map(drop)))
        .leaves(Scene::Standby)
}

fn plan_leaves_production_alone(pair: &mut Pair) -> Result<()> {
    pair.lab.wait("Odoo on erp1", 30, |lab| lab.holds("erp1", "exec 3<>/dev/tcp/127.0.0.1/8069"))?;
    let before = pair.snapshot()?;
    let run = pair.otr.run(SPEC, "plan --json")?;
    let report = run.ended(0)?.json()?;
    let hosts: Vec<&str> = report.resources().filter_map(|r| r["host"].as_str()).collect();
    ensure!(hosts.contains(&"erp1") && hosts.contains(&"erp2"), "plan shows only {hosts:?}");
    // The first apply restarts the PostgreSQL of a production that works: that is said.
    let restart = "restart postgresql@13-main.service";
    let says = |r: &serde_json::Value| r["host"] == "erp1" && r["interruption"].as_str().is_some_and(|words| words.contains(restart));
    ensure!(report.resources().any(says), "the plan does not say {restart:?}");
    ensure!(report.count("change")? > 0 && report.count("unseen")? == 0, "{}", report.0["summary"]);
    pair.otr.run(SPEC, "plan --detailed-exitcode")?.ended(2)?;
    pair.unchanged_since(&before)
}

/// The standby receives, its slot is used, and a row made on production arrives.
pub fn it_streams(lab: &Lab) -> Result<()> {
    let state = lab.sql("erp1", "postgres", "select application_name || ' ' || state from pg_stat_replication")?;
    ensure!(state.contains("streaming"), "pg_stat_replication: {state:?}");
    ensure!(lab.sql("erp2", "postgres", "select pg_is_in_recovery()")? == "t", "erp2 is no standby");
    ensure!(lab.sql("erp1", "postgres", "select count(*) from pg_replication_slots where active")? == "1", "its slot is not used");
    let rows = lab.sql("erp1", "acme", "select count(*) from ir_attachment")?;
    lab.wait("the same rows on erp2", 10, |lab| Ok(lab.sql("erp2", "acme", "select count(*) from ir_attachment")? == rows))
}

fn same(lab: &Lab, what: &str, script: &str) -> Result<()> {
    let (there, here) = (lab.sh("erp1", script)?, lab.sh("erp2", script)?);
    let missing: Vec<&str> = there.lines().filter(|line| !here.lines().any(|other| other == *line)).collect();
    ensure!(missing.is_empty(), "{what} that differ on erp2: {missing:?}");
    Ok(())
}

/// The replica is in step, and has what the seeded production had.
pub fn redis_follows(lab: &Lab) -> Result<()> {
    lab.wait("the replica's link", 10, |lab| {
        let state = lab.redis("erp2", "info replication")?;
        Ok(state.contains("role:slave") && state.contains("master_link_status:up"))
    })?;
    for host in ["erp1", "erp2"] {
        let keys = lab.redis(host, "dbsize")?;
        ensure!(keys == "21", "Redis on {host} has {keys} keys, not 21");
    }
    Ok(())
}

/// Every file the database names is there, its name is its SHA-1, and Odoo owns every level.
pub fn filestore_is_whole(lab: &Lab) -> Result<()> {
    let wrong = lab.sh("erp2", &format!("cd {FILESTORE}; find . \\( -path ./checklist -o -path ./.otr-quarantine \\) -prune -o -type f -print | while read -r f; do s=$(sha1sum <$f); [ ${{s%% *}} = ${{f##*/}} ] || echo $f; done"))?;
    ensure!(wrong.is_empty(), "files whose SHA-1 is not their name:\n{wrong}");
    let foreign = lab.sh("erp2", "find /var/lib/odoo ! -user odoo")?;
    ensure!(foreign.is_empty(), "not owned by odoo:\n{foreign}");
    let named = lab.sql("erp2", "acme", "select distinct store_fname from ir_attachment where store_fname <> '' order by 1")?;
    // A database that Odoo just made has some 25; the seeded production has 50 more.
    ensure!(named.lines().count() > 20, "the database names only {} files", named.lines().count());
    lab.sh("erp2", &format!("cd {FILESTORE}; for f in {}; do test -f $f || {{ echo $f; exit 1; }}; done", named.replace('\n', " ")))
        .map(drop)
}
