//! 7: otr may only look at production, as a user without rights. Everything on the standby
//! works; what production needs is printed as commands, and its own admin runs them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::standby::{filestore_is_whole, it_streams};
use crate::odoo;
use crate::otr::{REPLICATION_PASSWORD, Report};
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "observe.yaml";

pub fn chapter() -> Chapter {
    Chapter::new("observe", Scene::Fresh)
        .step("plan_prints_what_productions_admin_must_run", |pair| {
            let report = pair.otr.run(SPEC, "plan --json")?.ended(0)?.json()?;
            ensure!(!commands(&report, "erp1").is_empty(), "there is nothing for the admin to run");
            let text = pair.otr.run(SPEC, "plan")?.said();
            ensure!(text.contains("50-otr.conf") || text.contains("conf.d"), "the text does not show the commands");
            Ok(())
        })
        .step("production_receives_no_action", |pair| {
            let before = pair.snapshot()?;
            let run = pair.otr.run(SPEC, "apply --yes --restarts --json")?;
            let touched: Vec<String> =
                run.json()?.touched().into_iter().filter(|line| line.starts_with("erp1 ") && line.contains("(changed)")).collect();
            ensure!(touched.is_empty(), "{touched:?}");
            before.iter().filter(|s| s.is_of("erp1")).try_for_each(|s| s.same_as_now(&pair.lab))
        })
        .step("its_admin_runs_them", |pair| admin_does_what_plan_prints(pair, |pair| pair.otr.run(SPEC, "plan --json")?.json()))
        .step("apply_makes_a_standby", |pair| {
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            it_streams(&pair.lab)?;
            filestore_is_whole(&pair.lab)?;
            pair.odoo_never_ran_on_erp2()
        })
        .step("nothing_on_the_standby_differs", |pair| {
            let report = pair.otr.run(SPEC, "plan --json")?.ended(0)?.json()?;
            let drift: Vec<String> = report.drift().into_iter().filter(|line| line.starts_with("erp2 ")).collect();
            ensure!(drift.is_empty(), "{drift:?}");
            Ok(())
        })
        .step("a_difference_on_production_is_shown_with_its_remedy", |pair| {
            pair.lab.sh("erp1", "sed -i 's/^limit_time_cpu = .*/limit_time_cpu = 9/' /etc/odoo/odoo.conf")?;
            let report = pair.otr.run(SPEC, "plan --json")?.ended(0)?.json()?;
            let commands = commands(&report, "erp1").join("\n");
            ensure!(commands.contains("/etc/odoo/odoo.conf"), "the commands for erp1 are:\n{commands}");
            pair.otr.run(SPEC, "apply --yes --restarts --json")?;
            pair.lab.sh("erp1", "grep -qx 'limit_time_cpu = 9' /etc/odoo/odoo.conf").map(drop)
        })
        .step("sync_works", |pair| {
            let made = odoo::create(&pair.lab, "erp1", "seen.txt")?;
            pair.lab.wait("its row on erp2", 10, |lab| {
                Ok(lab.sql("erp2", "acme", "select count(*) from ir_attachment where name = 'seen.txt'")? == "1")
            })?;
            pair.otr.run(SPEC, "sync filestore --json")?.ended(0)?;
            pair.lab.sh("erp2", &format!("test -f {}/{}", odoo::FILESTORE, made.store_name)).map(drop)
        })
}

/// The commands a plan prints for a host's own admin.
fn commands(report: &Report, host: &str) -> Vec<String> {
    let mut found = Vec::new();
    for resource in report.resources().filter(|r| r["host"] == host) {
        for action in resource["actions"].as_array().into_iter().flatten() {
            match &action["commands"] {
                Value::String(text) => found.push(text.clone()),
                Value::Array(lines) => found.extend(lines.iter().filter_map(Value::as_str).map(str::to_owned)),
                _ => {}
            }
        }
    }
    found
}

/// Production's admin: a person with root rights on erp1 who does what plan prints, round by
/// round, and types the one password that is never printed.
pub fn admin_does_what_plan_prints(pair: &mut Pair, plan: impl Fn(&mut Pair) -> Result<Report>) -> Result<()> {
    for _ in 0..5 {
        let report = plan(pair)?;
        let needed = ["postgresql", "replication", "slot", "role", "file", "unit"];
        let here: Vec<&Value> = report
            .resources()
            .filter(|r| r["host"] == "erp1" && needed.iter().any(|kind| r["kind"] == *kind) && r["state"] != "holds")
            .collect();
        let hidden: Vec<&str> = here.iter().filter(|r| r["name"] == "pg_hba.conf").filter_map(|r| r["error"].as_str()).collect();
        let change: Vec<&Value> = here.iter().copied().filter(|r| r["state"] == "change").collect();
        let todo = commands(&Report(serde_json::json!({ "resources": change })), "erp1");
        if todo.is_empty() && hidden.is_empty() {
            return Ok(());
        }
        for words in hidden {
            reveal(pair, words)?;
        }
        run_as_admin(pair, &todo).context("production's admin runs what plan printed")?;
    }
    anyhow::bail!("plan still asks production's admin for something")
}

/// What may not be read is told in words: the lines it must hold, and how to let otr see them.
fn reveal(pair: &Pair, words: &str) -> Result<()> {
    const HBA: &str = "/etc/postgresql/13/main/pg_hba.conf";
    let lines: Vec<&str> = words.lines().skip_while(|line| !line.starts_with("# ")).collect();
    let (Some((last, lines)), true) = (lines.split_last(), words.contains("setfacl -m u:LOGIN:r")) else {
        anyhow::bail!("the admin is not told what to do: {words}");
    };
    ensure!(last.starts_with("Let the login read it") && lines.len() == 3, "{words}");
    pair.lab.put("erp1", "/root/hba", "0600", format!("{}\n", lines.join("\n")).as_bytes())?;
    pair.lab.sh("erp1", &format!("cat /root/hba >> {HBA}; setfacl -m u:odoo:r {HBA}; systemctl reload postgresql")).map(drop)
}

/// Where a command would show a password, plan prints `(sensitive)`: the admin sets it himself.
fn run_as_admin(pair: &Pair, commands: &[String]) -> Result<()> {
    for command in commands {
        if command.contains("(sensitive)") {
            let sql = format!(
                "do $$ begin create role otr_repl; exception when duplicate_object then null; end $$; alter role otr_repl login replication password '{REPLICATION_PASSWORD}'"
            );
            pair.lab.sql("erp1", "postgres", &format!("set password_encryption = 'scram-sha-256'; {sql}"))?;
        } else {
            pair.lab.sh("erp1", command)?;
        }
    }
    pair.lab.wait("PostgreSQL on erp1", 20, |lab| lab.holds("erp1", "cd /; runuser -u postgres -- psql -Atc 'select 1'"))
}
