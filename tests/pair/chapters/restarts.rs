//! 29: what interrupts the users of production is in the plan, and is done with consent or in the spec's window alone.

use anyhow::{Result, ensure};

use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "pair.yaml";
const CHANGED: &str = "restarts.yaml";

pub fn chapter() -> Chapter {
    Chapter::new("restarts", Scene::Standby)
        .step("the_plan_says_what_interrupts_users_and_why", |pair| {
            pair.otr.vary(SPEC, CHANGED, |text| {
                text.replace("limit_time_cpu: 120", "limit_time_cpu: 121")
                    .replace("wal_keep_size: 64MB", "wal_keep_size: 64MB, shared_buffers: 96MB")
            })?;
            let said = pair.otr.run(CHANGED, "plan")?.said();
            for words in [
                "restart odoo.service because of limit_time_cpu: users are interrupted for about 15 s",
                "restart postgresql@13-main.service because of shared_buffers: users are interrupted for about 5 s",
                "agree with --restarts",
            ] {
                ensure!(said.contains(words), "the plan does not say {words:?}:\n{said}");
            }
            Ok(())
        })
        .step("without_consent_all_else_is_done", |pair| {
            let before = started(pair, "erp1")?;
            for _ in 0..2 {
                let run = pair.otr.run(CHANGED, "apply --yes")?;
                ensure!(run.ended(1)?.said().contains("2 left, for they interrupt users"), "{}", run.said());
                ensure!(started(pair, "erp1")? == before, "production was restarted");
            }
            pair.lab.sh(
                "erp1",
                "grep -qx 'limit_time_cpu = 121' /etc/odoo/odoo.conf; grep -q shared_buffers /etc/postgresql/13/main/conf.d/50-otr.conf",
            )?;
            // A standby is restarted as it must be.
            ensure!(pair.lab.sql("erp2", "postgres", "show shared_buffers")? == "96MB", "the standby was not restarted");
            Ok(())
        })
        .step("the_window_of_the_spec_is_consent", |pair| {
            let zone = "rm -f /etc/localtime; ln -s /usr/share/zoneinfo/Etc/GMT-5 /etc/localtime";
            let has = pair.lab.holds("erp1", "test -e /usr/share/zoneinfo/Etc/GMT-5")?;
            if has {
                pair.lab.sh("erp1", zone)?;
            }
            let clock = |hours: &str| pair.lab.sh("erp1", &format!("date -d '{hours}' +%H:%M")).map(|text| text.trim().to_owned());
            let (before, after, later) = (clock("-1 hour")?, clock("1 hour")?, clock("2 hours")?);
            let within = |from: &str, to: &str| format!("maintenance: {{window: \"daily {from}-{to}\"}}\nschedule:");
            let odoo = started(pair, "erp1")?;
            pair.otr.vary(CHANGED, "outside.yaml", |text| text.replace("schedule:", &within(&after, &later)))?;
            pair.otr.run("outside.yaml", "apply --yes")?.ended(1)?;
            ensure!(started(pair, "erp1")? == odoo, "production was restarted outside of the window");
            pair.otr.vary(CHANGED, "inside.yaml", |text| text.replace("schedule:", &within(&before, &after)))?;
            pair.otr.run("inside.yaml", "apply --yes --json")?.ended(0)?;
            ensure!(started(pair, "erp1")? != odoo, "production was not restarted");
            pair.nothing_differs("inside.yaml")
        })
        .step("a_switchover_says_so_too_and_needs_no_word", |pair| {
            let said = pair.otr.run(SPEC, "switchover --dry-run --despite-drift")?.said();
            ensure!(said.contains("(interrupts users)"), "{said}");
            Ok(())
        })
        .step("with_consent_it_is_done", |pair| {
            let before = started(pair, "erp1")?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            ensure!(started(pair, "erp1")? != before, "production was not restarted");
            pair.nothing_differs(SPEC)
        })
}

/// When Odoo and PostgreSQL last started.
fn started(pair: &Pair, host: &str) -> Result<String> {
    pair.lab.sh(host, "systemctl show -p ActiveEnterTimestampMonotonic odoo postgresql@13-main redis-server")
}
