//! 0: the stage itself. Without these, a later chapter could pass for the wrong reason.

use anyhow::{Result, ensure};

use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

pub fn chapter() -> Chapter {
    Chapter::new("stage", Scene::Fresh)
        .step("erp2_is_bare", |pair| {
            for program in ["python3", "psql", "redis-server", "odoo", "rsync", "pip3", "curl"] {
                ensure!(!pair.lab.holds("erp2", &format!("command -v {program}"))?, "erp2 has {program}");
            }
            pair.lab.sh("erp2", "test ! -e /var/lib/odoo; test ! -e /etc/postgresql; ! getent passwd odoo").map(drop)
        })
        .step("erp1_is_a_production", |pair| {
            odoo::login_page_is_whole(&pair.lab, "erp1")?;
            ensure!(pair.lab.redis("erp1", "dbsize")? == "21", "Redis has not its 21 keys");
            let sql = "select count(*) from ir_attachment where name like 'scan-%' and store_fname <> ''";
            ensure!(pair.lab.sql("erp1", "acme", sql)? == "50", "the filestore has not its 50 scans");
            pair.lab.sh("erp1", "apt-mark showhold | grep -qx otr-lab-tool; python3 -c 'import phonenumbers, redis'; test -z \"$(find /var/lib/odoo ! -user odoo)\"").map(drop)
        })
        .step("the_repository_has_all_of_productions_versions", |pair| {
            let all = pair.lab.sh("erp1", "dpkg-query -W -f '${Package}=${Version}\\n'")?;
            pair.lab.sh("erp2", &format!("apt-get update -qq; apt-get install -s -qq --no-install-recommends {} | grep -c '^Inst'", all.replace('\n', " "))).map(drop)
        })
        .step("logins_have_the_rights_they_should", |pair| {
            for (login, uid) in [("root@erp1", "0"), ("admin@erp1", "0"), ("guest@erp1", ""), ("odoo@erp1", ""), ("admin@erp2", "0")] {
                let got = sudo(pair, login)?;
                ensure!(got == uid, "sudo as {login} gives {got:?}, not {uid:?}");
            }
            Ok(())
        })
        .step("a_snapshot_sees_a_touched_file_and_a_restart", |pair| {
            let before = pair.snapshot()?;
            pair.unchanged_since(&before)?;
            pair.lab.sh("erp2", "touch /etc/hosts")?;
            ensure!(pair.unchanged_since(&before).is_err(), "it did not see a touched file");
            let before = pair.snapshot()?;
            pair.lab.sh("erp1", "systemctl restart cron")?;
            ensure!(pair.unchanged_since(&before).is_err(), "it did not see a restart");
            Ok(())
        })
        .step("a_peer_can_be_cut_off", |pair| {
            let reaches = |pair: &Pair| pair.lab.holds("erp1", "ping -c1 -W1 erp2");
            ensure!(reaches(pair)?, "erp1 does not reach erp2");
            pair.lab.call(&["cut", "erp1", "erp2"])?;
            ensure!(!reaches(pair)? && pair.lab.holds("erp2", "true")?, "the cut is not a cut");
            pair.lab.call(&["heal", "erp1", "erp2"])?;
            ensure!(reaches(pair)?, "it did not heal");
            Ok(())
        })
        .step("a_power_cut_keeps_what_was_written", |pair| {
            let made = odoo::create(&pair.lab, "erp1", "before-the-cut.txt")?;
            pair.lab.call(&["kill", "erp1"])?;
            pair.lab.call(&["boot", "erp1"])?;
            odoo::still_has(&pair.lab, "erp1", &made)
        })
        .step("machines_can_be_kept_and_restored", |pair| {
            pair.lab.call(&["save", "stage"])?;
            pair.lab.sh("erp1", "rm -r /etc/odoo")?;
            pair.lab.call(&["restore", "stage"])?;
            ensure!(pair.lab.holds("erp1", "test -s /etc/odoo/odoo.conf")?, "erp1 is not as it was kept");
            odoo::login_page_is_whole(&pair.lab, "erp1")
        })
}

fn sudo(pair: &Pair, login: &str) -> Result<String> {
    let (user, host) = login.split_once('@').unwrap_or((login, "erp1"));
    let known_hosts = format!("UserKnownHostsFile={}", pair.lab.fact("KNOWN_HOSTS"));
    let mut ssh = pair.lab.driver("ssh");
    ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-i", pair.lab.fact("KEY"), "-o", &known_hosts]);
    let output = ssh.args(["-l", user, pair.lab.address(host), "echo in; sudo -n id -u 2>/dev/null"]).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(said.starts_with("in"), "{login} cannot log in: {}", String::from_utf8_lossy(&output.stderr));
    Ok(said.trim_start_matches("in").trim().to_owned())
}
