//! 27: the second generation, from nothing to a rejoin: Odoo 19, PostgreSQL 17, Redis 8 on Debian 13.

use anyhow::{Context, Result, ensure};

use crate::odoo;
use crate::pair::{NINETEEN, Pair};
use crate::runner::Chapter;

pub fn chapter() -> Chapter {
    let spec = NINETEEN.spec;
    Chapter::new("nineteen", NINETEEN.standby())
        .step("apply_made_the_standby_and_a_reboot_of_both_changed_nothing", move |pair| {
            pair.nothing_differs(spec)?;
            pair.odoo_never_ran_on_erp2()
        })
        .step("an_attachment_is_made_and_a_browser_logs_in", move |pair| {
            let made = odoo::create(&pair.lab, "erp1", "contract.txt")?;
            pair.notes.attachments.push(made);
            odoo::log_in(&pair.lab, "erp1", &folder(pair)?)?;
            pair.lab.wait("the contact on erp2", 10, |lab| {
                Ok(lab.sql("erp2", "acme", "select count(*) from res_partner where name = 'contract.txt'")? == "1")
            })?;
            pair.otr.run(spec, "sync filestore --json")?.ended(0).map(drop)
        })
        .step("production_loses_its_power_and_the_standby_takes_over", move |pair| {
            pair.lab.call(&["kill", "erp1"])?;
            pair.otr.run(spec, "promote erp2 --yes --production-is-down erp1 --write-spec --json")?.ended(0)?;
            odoo::login_page_is_whole(&pair.lab, "erp2")
        })
        .step("the_attachment_and_the_login_are_there", |pair| {
            odoo::still_has(&pair.lab, "erp2", pair.notes.attachments.first().context("none")?)?;
            odoo::still_logged_in(&pair.lab, "erp2", &folder(pair)?)?;
            odoo::create(&pair.lab, "erp2", "the-next-morning.txt").map(drop)
        })
        .step("the_old_production_is_rejoined", move |pair| {
            pair.lab.call(&["boot", "erp1"])?;
            pair.otr.finish(spec, "rejoin erp1 --yes --json")?;
            ensure!(pair.lab.holds("erp1", &format!("systemctl is-active -q {}", NINETEEN.unit()))?, "PostgreSQL is down on erp1");
            ensure!(pair.lab.sql("erp1", "postgres", "select pg_is_in_recovery()")? == "t", "erp1 is no standby");
            pair.nothing_differs(spec)
        })
}

fn folder(pair: &Pair) -> Result<std::path::PathBuf> {
    Ok(pair.otr.spec(NINETEEN.spec).parent().context("a spec has a folder")?.to_owned())
}
