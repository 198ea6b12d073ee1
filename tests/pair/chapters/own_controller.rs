//! 8: the standby runs otr itself (`address: local`) and looks at production over SSH as user
//! odoo: the deployment the predecessor had. The binary here must be the static one.

use anyhow::{Context, Result, bail, ensure};

use super::observe::admin_does_what_plan_prints;
use super::standby::{filestore_is_whole, it_streams};
use crate::odoo;
use crate::otr::{REPLICATION_PASSWORD, Report};
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const OTR: &str = "/usr/local/bin/otr -s /etc/otr/spec.yaml";

pub fn chapter() -> Chapter {
    Chapter::new("own_controller", Scene::Fresh)
        .step("otr_is_installed_on_the_standby", install)
        .step("productions_admin_does_what_plan_prints", |pair| {
            admin_does_what_plan_prints(pair, |pair| {
                Ok(Report(serde_json::from_str(&pair.lab.sh("erp2", &format!("{OTR} plan --json"))?)?))
            })
        })
        .step("apply_makes_itself_a_standby", |pair| {
            pair.lab.sh("erp2", &format!("{OTR} apply --yes --restarts"))?;
            it_streams(&pair.lab)?;
            filestore_is_whole(&pair.lab)?;
            pair.odoo_never_ran_on_erp2()
        })
        .step("its_timers_run_it", |pair| {
            let made = odoo::create(&pair.lab, "erp1", "by-the-timer.txt")?;
            pair.lab.sh("erp2", "systemctl is-active -q otr-sync.timer otr-plan.timer")?;
            pair.lab.wait("its row on erp2", 10, |lab| {
                Ok(lab.sql("erp2", "acme", "select count(*) from ir_attachment where name = 'by-the-timer.txt'")? == "1")
            })?;
            pair.lab.sh("erp2", "systemctl start otr-sync.service")?;
            pair.lab.wait("the file", 30, |lab| lab.holds("erp2", &format!("test -f {}/{}", odoo::FILESTORE, made.store_name)))?;
            pair.notes.attachments.push(made);
            Ok(())
        })
        .step("it_promotes_itself", |pair| {
            pair.lab.call(&["kill", "erp1"])?;
            pair.lab.sh("erp2", &format!("{OTR} promote erp2 --yes --production-is-down erp1"))?;
            odoo::login_page_is_whole(&pair.lab, "erp2")?;
            odoo::still_has(&pair.lab, "erp2", pair.notes.attachments.first().context("none")?)?;
            odoo::create(&pair.lab, "erp2", "after.txt").map(drop)
        })
}

fn install(pair: &mut Pair) -> Result<()> {
    let program = std::fs::read(pair.otr.program())?;
    let put = |path: &str, mode: &str, content: &[u8]| pair.lab.put("erp2", path, mode, content);
    put("/usr/local/bin/otr", "0755", &program)?;
    let Ok(version) = pair.lab.sh("erp2", "/usr/local/bin/otr --version") else {
        bail!(
            "{} does not run on bullseye: it must be the static build that tests/run makes (OTR_BIN names it)",
            pair.otr.program().display()
        );
    };
    ensure!(version.starts_with("otr "), "{version}");
    put("/etc/otr/spec.yaml", "0644", &std::fs::read(pair.otr.spec("local.yaml"))?)?;
    put("/etc/otr/replication_password", "0600", REPLICATION_PASSWORD.as_bytes())?;
    put("/root/.ssh/id_ed25519", "0600", &std::fs::read(pair.lab.fact("KEY"))?)?;
    put("/root/.ssh/known_hosts", "0600", &std::fs::read(pair.lab.fact("KNOWN_HOSTS"))?)
}
