//! 26: Odoo's service is a file of the administrator's in /etc/systemd/system, as Odoo from source has it. It is
//! never masked over, overwritten or deleted: a drop-in keeps it down on the standby, and a promotion takes that away.

use anyhow::{Result, ensure};

use super::switchover::is_production;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "pair.yaml";
const CARRIED: &str = "carried.yaml";
const UNIT: &str = "/etc/systemd/system/odoo.service";
const REST: &str = "/etc/systemd/system/odoo.service.d/otr-standby.conf";

pub fn chapter() -> Chapter {
    Chapter::new("own_unit", Scene::Standby)
        .step("an_administrators_mask_on_production_stays_until_he_takes_it_away", |pair| {
            pair.lab.sh("erp1", "systemctl stop odoo; systemctl mask odoo 2>/dev/null")?;
            let run = pair.otr.run(SPEC, "apply --yes")?;
            ensure!(run.ended(1)?.said().contains("if it is to run, unmask it with systemctl"), "{}", run.said());
            pair.lab.sh("erp1", "test \"$(systemctl is-enabled odoo)\" = masked; ! systemctl is-active -q odoo; systemctl unmask odoo.service 2>/dev/null")?;
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
            pair.lab.sh("erp1", "systemctl is-active -q odoo").map(drop)
        })
        .step("a_service_that_reloads_is_up_to_date_after_it", |pair| {
            let unit = "[Service]\\nExecStart=/bin/sleep infinity\\nExecReload=/bin/grep -q good /etc/acme/web\\n[Install]\\nWantedBy=multi-user.target\\n";
            for host in ["erp1", "erp2"] {
                pair.lab.sh(host, &format!("printf '{unit}' >/etc/systemd/system/acme-web.service; echo first >/etc/acme/web; systemctl daemon-reload; systemctl enable -q --now acme-web"))?;
            }
            let started = pair.lab.sh("erp1", "systemctl show -p ActiveEnterTimestampMonotonic acme-web")?;
            let holds = |text: &str| {
                let line = format!("files:\n  - {{path: /etc/acme/web, content: \"{text}\\n\", unit: acme-web.service}}\n");
                move |spec: String| spec.replace("files:\n", &line)
            };
            pair.otr.vary(SPEC, "web.yaml", holds("good"))?;
            pair.otr.run("web.yaml", "apply --yes --json")?.ended(0)?;
            pair.nothing_differs("web.yaml")?;
            ensure!(started == pair.lab.sh("erp1", "systemctl show -p ActiveEnterTimestampMonotonic acme-web")?, "it was restarted");
            // A reload that fails leaves the old configuration, in each run.
            pair.otr.vary(SPEC, "web.yaml", holds("bad"))?;
            for _ in 0..2 {
                let run = pair.otr.run("web.yaml", "apply --yes")?;
                ensure!(run.ended(1)?.said().contains("reload acme-web.service failed"), "{}", run.said());
            }
            for host in ["erp1", "erp2"] {
                pair.lab.sh(host, "systemctl disable -q --now acme-web; rm /etc/systemd/system/acme-web.service /etc/acme/web; systemctl daemon-reload")?;
            }
            pair.otr.run(SPEC, "apply --yes --json").and_then(|run| run.ended(0).map(drop))
        })
        .step("an_administrators_own_unit_is_left_as_it_is", |pair| {
            for host in ["erp1", "erp2"] {
                pair.lab.sh(host, &format!("systemctl unmask odoo 2>/dev/null; {{ cat /lib/systemd/system/odoo.service; echo '# acme: ask Kim'; }} >{UNIT}; systemctl daemon-reload"))?;
            }
            pair.lab.sh("erp1", "systemctl restart odoo")?;
            // Whatever started it there meanwhile: it stops, and cannot be started again.
            pair.lab.sh("erp2", "mv /etc/systemd/system/odoo.service.d/otr-guard.conf /root; systemctl daemon-reload; systemctl start odoo")?;
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
            is_whole(pair, SPEC)?;
            rests(pair, "erp2")
        })
        .step("it_does_not_start_at_boot_or_by_hand", |pair| {
            // Without the guard, which would refuse it too.
            pair.lab.sh("erp2", "mv /etc/systemd/system/odoo.service.d/otr-guard.conf /root; systemctl enable odoo 2>/dev/null; systemctl daemon-reload")?;
            pair.lab.call(&["down", "erp2"])?;
            pair.lab.call(&["boot", "erp2"])?;
            pair.settle()?;
            pair.lab.sh("erp2", "systemctl start odoo; ! systemctl is-active -q odoo; mv /root/otr-guard.conf /etc/systemd/system/odoo.service.d/; systemctl daemon-reload").map(drop)
        })
        .step("a_rest_that_somebody_ended_is_put_back", |pair| {
            for how in [format!("rm {REST}"), format!("echo >{REST}"), format!("rm {REST}; systemctl mask --runtime odoo 2>/dev/null")] {
                pair.lab.sh("erp2", &format!("{how}; systemctl daemon-reload"))?;
                let plan = pair.otr.run(SPEC, "plan --json --detailed-exitcode")?;
                ensure!(plan.ended(2)?.json()?.drift() == ["erp2 unit odoo.service: change"], "{how}: {:?}", plan.json()?.drift());
                pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
                rests(pair, "erp2")?;
            }
            pair.lab.sh("erp2", "systemctl unmask --runtime odoo 2>/dev/null").map(drop)
        })
        .step("the_same_file_under_files_is_carried_and_rests", |pair| {
            pair.otr.vary(SPEC, CARRIED, |text| {
                let unit = "  - path: /etc/systemd/system/odoo.service\n    content: \"[Unit]\\nDescription=Odoo of acme\\nAfter=network.target\\n\\n[Service]\\nUser=odoo\\nExecStart=/usr/bin/odoo --config /etc/odoo/odoo.conf --logfile /var/log/odoo/odoo-server.log\\nKillMode=mixed\\n\\n[Install]\\nWantedBy=multi-user.target\\n\"\n    unit: odoo.service\n";
                text.replace("files:\n", &format!("files:\n{unit}"))
            })?;
            // As an earlier otr left it.
            pair.lab.sh("erp2", &format!("rm {UNIT} {REST}; systemctl daemon-reload; systemctl mask odoo 2>/dev/null"))?;
            pair.otr.run(CARRIED, "apply --yes --restarts --json")?.ended(0)?;
            is_whole(pair, CARRIED)?;
            rests(pair, "erp2")
        })
        .step("both_ways_it_stays_the_same_file", |pair| {
            for (old, new) in [("erp1", "erp2"), ("erp2", "erp1")] {
                pair.otr.run(CARRIED, &format!("switchover {new} --yes --write-spec --json"))?.ended(0)?;
                is_production(pair, new, old)?;
                is_whole(pair, CARRIED)?;
                rests(pair, old)?;
                pair.lab.sh(new, &format!("! test -e {REST}; systemctl is-enabled -q odoo"))?;
            }
            Ok(())
        })
        .step("after_a_power_cut_too", |pair| {
            pair.lab.call(&["kill", "erp1"])?;
            pair.otr.run(CARRIED, "promote erp2 --yes --production-is-down erp1 --write-spec --json")?.ended(0)?;
            pair.lab.call(&["boot", "erp1"])?;
            pair.lab.wait("the end of erp1's boot", 60, |lab| lab.holds("erp1", "systemctl list-jobs | grep -q 'No jobs'"))?;
            pair.otr.run(CARRIED, "rejoin erp1 --yes --json")?.ended(0)?;
            is_production(pair, "erp2", "erp1")?;
            is_whole(pair, CARRIED)?;
            rests(pair, "erp1")
        })
        .step("a_link_an_alias_and_a_template_rest_too", |pair| {
            // erp2 is production; each service is tried on erp1 with a spec that names it.
            let ways = [
                ("linked.service", "mkdir -p /opt/acme; cp UNIT /opt/acme/linked.service; systemctl link /opt/acme/linked.service"),
                ("alias.service", "ln -s /lib/systemd/system/odoo.service /etc/systemd/system/alias.service; mv UNIT /root/; mv RESTd /root/"),
                ("odoo@acme.service", "cp /root/odoo.service '/etc/systemd/system/odoo@.service'"),
            ];
            for (unit, make) in ways {
                let make = make.replace("UNIT", UNIT).replace("RESTd", "/etc/systemd/system/odoo.service.d");
                pair.lab.sh("erp1", &format!("{make}; systemctl daemon-reload"))?;
                pair.otr.vary(CARRIED, "other.yaml", |text| text.replace("odoo:\n  databases", &format!("odoo:\n  unit: {unit}\n  databases")).replace("production: erp1", "production: erp2").replace("    unit: odoo.service\n", ""))?;
                let before = pair.lab.sh("erp1", "cd /etc/systemd/system; find . -name '*.service' -printf '%p %l ' -exec sha1sum {} \\; | grep -e linked -e alias -e odoo@.service || true")?;
                pair.otr.run("other.yaml", "apply --yes --json --only unit --host erp1")?;
                let after = pair.lab.sh("erp1", "cd /etc/systemd/system; find . -name '*.service' -printf '%p %l ' -exec sha1sum {} \\; | grep -e linked -e alias -e odoo@.service || true")?;
                ensure!(before == after, "{unit}: {before}\nbecame {after}");
                pair.lab.sh("erp1", &format!("systemctl start {unit} || true; ! systemctl is-active -q {unit}; ! pgrep -u odoo"))?;
            }
            Ok(())
        })
}

/// Nothing differs, and both hosts have the same file.
fn is_whole(pair: &mut Pair, spec: &str) -> Result<()> {
    pair.otr.run(spec, "sync filestore --json")?.ended(0)?;
    pair.nothing_differs(spec)?;
    let of = |host| pair.lab.sh(host, &format!("stat -c %F {UNIT}; sha256sum {UNIT}"));
    ensure!(of("erp1")? == of("erp2")? && of("erp1")?.starts_with("regular file"), "{} {}", of("erp1")?, of("erp2")?);
    Ok(())
}

/// It does not run, and cannot be started.
fn rests(pair: &Pair, host: &str) -> Result<()> {
    pair.lab.sh(host, "! systemctl is-active -q odoo; systemctl start odoo; sleep 0.5; ! systemctl is-active -q odoo; ! pgrep -u odoo")?;
    let status = pair.lab.sh(host, &format!("test -f {REST} && test -f {UNIT}"));
    status.map(drop)
}
