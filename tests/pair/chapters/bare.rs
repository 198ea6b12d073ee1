//! 6: both machines are bare; the spec alone makes production and standby.

use anyhow::{Result, ensure};

use super::standby::{filestore_is_whole, it_streams};
use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "bare.yaml";

pub fn chapter() -> Chapter {
    Chapter::new("bare", Scene::Bare)
        .step("apply_makes_both", |pair| {
            let run = pair.otr.run(SPEC, "apply --yes --json")?;
            run.ended(0)?;
            ensure!(run.json()?.count("failed")? == 0, "something failed");
            Ok(())
        })
        .step("plan_is_empty", |pair| pair.nothing_differs(SPEC))
        .step("both_have_the_software", |pair| {
            for host in ["erp1", "erp2"] {
                pair.lab.sh(host, "otr-lab-tool | grep -qx 'otr-lab-tool 1.0'; apt-mark showhold | grep -qx otr-lab-tool; cd /; python3 -c 'import redis, phonenumbers'; systemctl is-active -q redis-server")?;
            }
            Ok(())
        })
        .step("a_database_made_on_production_arrives", a_database_arrives)
        .step("its_attachments_arrive", |pair| {
            let made = odoo::create(&pair.lab, "erp1", "first.txt")?;
            pair.lab.wait("its row on erp2", 10, |lab| {
                Ok(lab.sql("erp2", "acme", "select count(*) from ir_attachment where name = 'first.txt'")? == "1")
            })?;
            pair.otr.run(SPEC, "sync filestore --json")?.ended(0)?;
            pair.lab.sh("erp2", &format!("test -f {}/{}", odoo::FILESTORE, made.store_name)).map(drop)
        })
        .step("the_standby_is_whole", |pair| {
            it_streams(&pair.lab)?;
            filestore_is_whole(&pair.lab)?;
            pair.odoo_never_ran_on_erp2()
        })
        .step("plan_is_still_empty", |pair| pair.nothing_differs(SPEC))
}

/// Its admin creates the database: what is in it is nobody's configuration.
fn a_database_arrives(pair: &mut Pair) -> Result<()> {
    pair.lab.sh(
        "erp1",
        "systemctl stop odoo
         runuser -u odoo -- psql -XAtc 'select 1' -d acme >/dev/null 2>&1 || runuser -u odoo -- createdb --encoding UTF8 --template template0 --lc-collate C.UTF-8 --lc-ctype C.UTF-8 acme
         runuser -u odoo -- odoo --config /etc/odoo/odoo.conf --init base,web,contacts --without-demo=all --stop-after-init --logfile= --log-level=warn --workers=0
         systemctl start odoo",
    )?;
    odoo::login_page_is_whole(&pair.lab, "erp1")?;
    pair.lab.wait("the database on erp2", 20, |lab| Ok(lab.sql("erp2", "acme", "select count(*) > 10 from ir_attachment")? == "t"))
}
