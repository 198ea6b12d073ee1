//! 19: a spec written by looking at a production nobody described, in two kinds of layout.

use anyhow::{Context, Result, ensure};

use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const DEBIAN: &str = "of-debian.yaml";
const OBSERVED: &str = "of-a-guest.yaml";
const WHOLE: &str = "of-the-pair.yaml";
const ODOOTOOLS: &str = "of-odootools.yaml";

/// Debian's package odoo-14, set up by hand.
pub fn debian() -> Chapter {
    Chapter::new("init", Scene::Fresh)
        .step("a_spec_is_written_and_nothing_else", |pair| {
            let before = pair.snapshot()?;
            let answer = init(pair, DEBIAN, "root@ERP1 --standby root@ERP2 --secrets secrets --yes --json")?;
            ensure!(answer["differs"] == serde_json::json!([]), "production would change: {}", answer["differs"]);
            ensure!(answer["holds"].as_u64().is_some_and(|holds| holds > 10), "it compared {}", answer["holds"]);
            pair.unchanged_since(&before)?;
            let text = std::fs::read_to_string(pair.otr.spec(DEBIAN))?;
            for line in ["databases: [acme]", "production: {workers: 2, max_cron_threads: 1}", "  clone: {}", "clone: true"] {
                ensure!(text.contains(line), "no {line:?} in\n{text}");
            }
            ensure!(text.lines().count() < 70, "it is long:\n{text}");
            Ok(())
        })
        .step("its_plan_against_production_is_empty", |pair| {
            pair.otr.run(DEBIAN, "plan --host erp1 --detailed-exitcode")?.ended(0).map(drop)
        })
        .step("a_machine_without_odoo_is_no_production", |pair| {
            let run = pair.otr.run("none.yaml", &with_addresses(pair, "init root@ERP2 --yes"))?;
            ensure!(run.ended(1)?.stderr.contains("is it the production?"), "{}", run.said());
            ensure!(!pair.otr.spec("none.yaml").exists(), "it was written");
            Ok(())
        })
        .step("it_overwrites_nothing", |pair| {
            let run = pair.otr.run(DEBIAN, &with_addresses(pair, "init root@ERP1 --yes"))?;
            ensure!(run.ended(1)?.stderr.contains("is there already"), "{}", run.said());
            Ok(())
        })
        .step("a_login_without_rights_sees_less_and_says_so", |pair| {
            let before = pair.snapshot()?;
            let answer = init(pair, OBSERVED, "guest@ERP1 --observe --database acme --yes --json")?;
            pair.unchanged_since(&before)?;
            ensure!(answer["spec"].as_str().is_some_and(|text| text.contains("access: observe")), "{}", answer["spec"]);
            let notes = answer["notes"].to_string();
            ensure!(notes.contains("odoo.conf") && notes.contains("no right to see it"), "{notes}");
            pair.otr.run(OBSERVED, "check of-a-guest.yaml")?.ended(0).map(drop)
        })
        .step("apply_makes_a_clone_of_it", |pair| {
            pair.otr.run(DEBIAN, "apply --host erp2 --yes --json")?.ended(0)?;
            pair.otr.run(DEBIAN, "plan --detailed-exitcode")?.ended(0)?;
            only_what_is_per_host(pair, DEBIAN)
        })
        .step("with_replicate_apply_makes_the_pair", |pair| {
            let answer = init(pair, WHOLE, "root@ERP1 --standby root@ERP2 --secrets secrets --replicate --yes --json")?;
            ensure!(answer["differs"].as_array().is_some_and(|differs| !differs.is_empty()), "nothing would change on production");
            pair.otr.run(WHOLE, "apply --yes --restarts --json --replace-data erp2")?.ended(0)?;
            pair.nothing_differs(WHOLE)?;
            super::standby::it_streams(&pair.lab)?;
            odoo::login_page_is_whole(&pair.lab, "erp1")
        })
        .step("the_doctor_finds_both_well", |pair| {
            let run = pair.otr.run(WHOLE, "doctor")?;
            for line in [
                "erp1     login page first byte after",
                "erp1     locale     acme is UTF8",
                "erp2     disk",
                "erp2     ports      8069 free, 5432 PostgreSQL",
                "erp2     locale     acme is UTF8",
            ] {
                ensure!(run.ended(0)?.stdout.contains(line), "no {line:?} in\n{}", run.stdout);
            }
            Ok(())
        })
}

/// The vendor's nightly package with projects below /usr/share, as odootools leaves it, and the
/// predecessor's scripts at work on the standby.
pub fn odootools() -> Chapter {
    Chapter::new("init_odootools", Scene::Fresh)
        .step("production_is_odootools", |pair| {
            pair.lab.call(&["nightly"])?;
            pair.lab.sh("erp1", ODOOTOOLS_STAGE)?;
            odoo::login_page_is_whole(&pair.lab, "erp1")?;
            pair.lab.sh("erp2", PREDECESSOR).map(drop)
        })
        .step("a_spec_is_written_whose_plan_is_empty", |pair| {
            let answer = init(pair, ODOOTOOLS, "root@ERP1 --standby root@ERP2 --secrets secrets --yes --json")?;
            ensure!(answer["differs"] == serde_json::json!([]), "production would change: {}", answer["differs"]);
            let text = answer["spec"].as_str().context("no spec")?;
            for line in
                ["install: [odoo, ", "version: 14", "/usr/share/odoo-acme, /usr/share/odooext-oca-web", "summary_file: /var/log/odoo/"]
            {
                ensure!(text.contains(line), "no {line:?} in\n{text}");
            }
            pair.otr.run(ODOOTOOLS, "plan --host erp1 --detailed-exitcode")?.ended(0).map(drop)
        })
        .step("the_predecessor_is_listed_with_what_replaces_it", |pair| {
            let run = pair.otr.run("none.yaml", &with_addresses(pair, "init root@ERP1 --standby root@ERP2 --yes --dry-run"))?;
            let said = &run.ended(0)?.stdout;
            for line in [
                "erp2 /etc/cron.hourly/ot-attachments-sync: runs ot-attachments-sync ▸ filestore: {follow: 5s}",
                "erp2 /etc/cron.monthly/ot-sync-from-source: runs ot-sync-from-source ▸ schedule: {sync: hourly}",
                "erp2 /etc/odoo/ot-redundancy-sync.conf: its settings ▸ the spec itself",
                "erp2 /var/log/odoo/ot-summary.log: its summary ▸ schedule: {summary_file: /var/log/odoo/ot-summary.log}",
            ] {
                ensure!(said.contains(line), "no {line:?} in\n{said}");
            }
            Ok(())
        })
        .step("apply_makes_a_clone_of_it", |pair| {
            pair.otr.run(ODOOTOOLS, "apply --host erp2 --yes --json")?.ended(0)?;
            pair.otr.run(ODOOTOOLS, "plan --detailed-exitcode")?.ended(0)?;
            only_what_is_per_host(pair, ODOOTOOLS)
        })
        .step("its_cron_jobs_go", |pair| {
            let run = pair.otr.run(ODOOTOOLS, "init --retire-predecessor")?;
            ensure!(run.code == Some(1) && run.stdout.contains("nothing was changed"), "nobody was asked: {}", run.said());
            pair.otr.run(ODOOTOOLS, "init --retire-predecessor --yes")?.ended(0)?;
            pair.lab.sh(
                "erp2",
                "test ! -e /etc/cron.hourly/ot-attachments-sync; test ! -e /etc/cron.monthly/ot-sync-from-source
                 test -e /etc/cron.d/own; test -e /etc/odoo/ot-redundancy-sync.conf; crontab -l | grep -q ot-apt-sync",
            )?;
            let again = pair.otr.run(ODOOTOOLS, "init --retire-predecessor --yes")?;
            ensure!(again.ended(0)?.stdout.contains("crontabs/root runs ot-apt-sync: it stays"), "{}", again.said());
            Ok(())
        })
}

/// Runs init with the lab's addresses; its answer.
fn init(pair: &mut Pair, file: &str, arguments: &str) -> Result<serde_json::Value> {
    let run = pair.otr.run(file, &with_addresses(pair, &format!("init {arguments}")))?;
    Ok(run.ended(0)?.json()?.0)
}

fn with_addresses(pair: &Pair, arguments: &str) -> String {
    arguments.replace("ERP1", pair.lab.address("erp1")).replace("ERP2", pair.lab.address("erp2"))
}

/// `diff` names the numbers of processes and nothing else.
fn only_what_is_per_host(pair: &mut Pair, spec: &str) -> Result<()> {
    let answer = pair.otr.run(spec, "diff erp1 erp2 --json")?.ended(0)?.json()?.0;
    let areas = answer["areas"].as_array().context("no areas")?;
    let mut differ: Vec<&str> =
        areas.iter().flat_map(|area| area["differences"].as_array()).flatten().filter_map(|d| d["what"].as_str()).collect();
    differ.sort_unstable();
    ensure!(differ == ["max_cron_threads", "workers"], "erp1 and erp2 differ in {differ:?}");
    Ok(())
}

const ODOOTOOLS_STAGE: &str = r#"systemctl stop odoo
rm -f /var/lib/dpkg/info/odoo-14.postrm /var/lib/dpkg/info/odoo-14.prerm   # they would remove Odoo's account
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Options::=--force-confold odoo >/dev/null
systemctl stop odoo
for tree in odoo-acme odooext-oca-web; do
  mkdir -p /usr/share/$tree/${tree#odoo*-}_base
  printf "{'name': '%s', 'version': '14.0.1.0.0', 'depends': ['base'], 'installable': True}\n" $tree >/usr/share/$tree/${tree#odoo*-}_base/__manifest__.py
  : >/usr/share/$tree/${tree#odoo*-}_base/__init__.py
done
mv /usr/share/odooext-oca-web/oca-web_base /usr/share/odooext-oca-web/oca_web_base
chown -R odoo:odoo /usr/share/odoo-* /usr/share/odooext-*
chmod -R g+w /usr/share/odoo-* /usr/share/odooext-*
ln -sfn /usr/lib/python3/dist-packages/odoo /usr/share/core-odoo
printf 'ODOO_USER=odoo\nODOO_VERSION=14\n' >/etc/odoo/odoo.tools
sed -i '/^limit_time_real/a addons_path = /usr/lib/python3/dist-packages/odoo/addons, /usr/share/odoo-acme, /usr/share/odooext-oca-web' /etc/odoo/odoo.conf
systemctl enable -q odoo; systemctl start odoo"#;

const PREDECESSOR: &str = r#"mkdir -p /etc/odoo /var/log/odoo /etc/cron.hourly /etc/cron.monthly /etc/cron.d
printf 'SYNCMODE=standby\nSUMMARYFILE="/var/log/odoo/ot-summary.log"\n' >/etc/odoo/ot-redundancy-sync.conf
echo '2026-11-01 03:00:00 :  ot-attachments-sync' >/var/log/odoo/ot-summary.log
printf '#!/bin/sh\nexec /usr/bin/ot-attachments-sync\n' >/etc/cron.hourly/ot-attachments-sync
printf '#!/bin/sh\nexec /usr/bin/ot-sync-from-source\n' >/etc/cron.monthly/ot-sync-from-source
printf '0 4 * * * root /usr/bin/true\n' >/etc/cron.d/own
chmod 755 /etc/cron.hourly/* /etc/cron.monthly/*
echo '0 5 * * * /usr/bin/ot-apt-sync' | crontab -"#;
