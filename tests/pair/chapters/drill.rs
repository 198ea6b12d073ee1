//! 23: a drill. The standby's data becomes a working Odoo on a copy, shut in; neither machine
//! changes, and nothing of it is left, however it ends.

use std::process::Child;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::standby::it_streams;
use crate::lab::Lab;
use crate::odoo::FILESTORE;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "drill.yaml";
const PRODUCTIONS: &str = "AKIA-OF-PRODUCTION";

pub fn chapter() -> Chapter {
    Chapter::new("drill", Scene::Standby)
        .step("production_writes_to_a_bucket", |pair| {
            pair.otr.vary("pair.yaml", SPEC, |text| {
                let key = format!("  environment: {{AWS_HOST: 'https://10.77.0.1', AWS_SECRET_ACCESS_KEY: {PRODUCTIONS}}}\n");
                format!("{}drill: {{environment: {{RUNNING_ENV: test}}}}\n", text.replacen("\nodoo:\n", &format!("\nodoo:\n{key}"), 1))
            })?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.lab.wait("Odoo on erp1 with the key", 60, |lab| {
                lab.holds("erp1", &format!("exec 3<>/dev/tcp/127.0.0.1/8069; tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value odoo)/environ | grep -q {PRODUCTIONS}"))
            })
        })
        .step("its_key_is_refused_to_a_drill", |pair| {
            pair.otr.vary(SPEC, "drill-key.yaml", |text| text.replace("RUNNING_ENV: test", &format!("AWS_SECRET_ACCESS_KEY: {PRODUCTIONS}")))?;
            let said = pair.otr.run("drill-key.yaml", "drill")?.ended(65)?.said();
            ensure!(said.contains("never given what production writes with"), "{said}");
            Ok(())
        })
        .step("a_dry_run_only_looks", |pair| {
            let before = pair.snapshot()?;
            let said = pair.otr.run(SPEC, "drill --dry-run")?.ended(0)?.said();
            ensure!(said.contains("MiB to copy") && said.contains("attachments"), "{said}");
            pair.unchanged_since(&before)?;
            nothing_is_left(&pair.lab)
        })
        .step("a_drill_goes_well_and_changes_neither_machine", |pair| {
            let before = pair.snapshot()?;
            let report = drilled(pair, 0)?;
            ensure!(report["ok"] == true && report["databases"][0]["login"] == 200, "{report:#}");
            ensure!(report["databases"][0]["assets"].as_u64() >= Some(6), "{report:#}");
            let files = &report["databases"][0]["files"];
            ensure!(files["named"].as_u64() > Some(0) && files["missing"] == 0 && files["sampled"].as_u64() > Some(0), "{files}");
            for step in report["steps"].as_array().into_iter().flatten() {
                eprintln!("      {} {:.1} s", step["step"], step["seconds"].as_f64().unwrap_or(0.0));
            }
            pair.unchanged_since(&before)?;
            it_streams(&pair.lab)?;
            pair.lab.sh("erp2", "test \"$(runuser -u postgres -- psql -XAtc 'select pg_is_in_recovery()')\" = t")?;
            nothing_is_left(&pair.lab)
        })
        .step("status_says_when", |pair| {
            let said = pair.otr.run(SPEC, "status")?.ended(0)?.said();
            ensure!(said.contains("Drill       went well last 20"), "{said}");
            let status = pair.otr.run(SPEC, "status --json")?.json()?.0;
            let drill = &status["hosts"][1]["drill"];
            ensure!(drill["last_succeeded"].is_string() && drill["leftovers"] == false, "{drill}");
            Ok(())
        })
        .step("its_odoo_has_no_network_and_none_of_productions_keys", |pair| {
            let mut otr = held(pair)?;
            let seen = look_into(&pair.lab);
            pair.lab.sh("erp2", "rm -f /run/otr-hold")?;
            seen?;
            let second = pair.otr.run(SPEC, "drill")?.ended(75)?.said();
            ensure!(second.contains("another drill is under way"), "{second}");
            // Killed here: what runs, and the copy, go by themselves.
            otr.kill()?;
            otr.wait()?;
            pair.lab.sh("erp2", GO_ON)?;
            pair.lab.wait("the end of a drill that was killed", 60, |lab| Ok(nothing_is_left(lab).is_ok()))?;
            it_streams(&pair.lab)
        })
        .step("what_a_power_cut_leaves_is_shown_and_cleared", |pair| {
            pair.lab.sh("erp2", "mkdir -p /var/lib/otr/drill/pg/base; touch /var/lib/otr/drill/pg/base/1")?;
            let said = pair.otr.run(SPEC, "status")?.said();
            ensure!(said.contains("the next `otr drill` clears it"), "{said}");
            drilled(pair, 0)?;
            nothing_is_left(&pair.lab)
        })
        .step("a_broken_module_fails_it", |pair| {
            let module = "/usr/lib/python3/dist-packages/odoo/addons/web/controllers/main.py";
            pair.lab.sh("erp2", &format!("cp -p {module} /root/main.py; echo 'import no_such_module_at_all' >>{module}"))?;
            let run = drilled(pair, 1);
            pair.lab.sh("erp2", &format!("mv /root/main.py {module}"))?;
            let report = run?;
            ensure!(report.to_string().contains("no_such_module_at_all"), "it does not say why:\n{report:#}");
            nothing_is_left(&pair.lab)
        })
        .step("a_missing_filestore_fails_it", |pair| {
            pair.lab.sh("erp2", &format!("mv {FILESTORE} {FILESTORE}.away"))?;
            let run = drilled(pair, 1);
            pair.lab.sh("erp2", &format!("mv {FILESTORE}.away {FILESTORE}"))?;
            let report = run?;
            ensure!(report.to_string().contains("filestore is not there"), "{report:#}");
            nothing_is_left(&pair.lab)?;
            let status = pair.otr.run(SPEC, "status --json")?.json()?.0;
            ensure!(status["hosts"][1]["drill"]["error"].is_string(), "{status}");
            Ok(())
        })
        .step("a_promotion_stops_it_and_does_not_wait_until_its_copy_is_gone", |pair| {
            let mut otr = held(pair)?;
            pair.lab.wait("the drill at its step login", 120, |lab| lab.holds("erp2", "pgrep -f '^sleep 45'"))?;
            // As if the copy were so large that its removal takes minutes.
            wrapped(&pair.lab, "rm", "case $* in *otr/drill*) sleep 300;; esac")?;
            pair.lab.call(&["kill", "erp1"])?;
            let run = pair.otr.run(SPEC, "promote erp2 --yes --production-is-down erp1 --json")?;
            let report = run.ended(0)?.json()?.0;
            let steps = report["steps"].as_array().context("a promotion has steps")?;
            let timers = steps.iter().find(|step| step["step"] == "timers").context("it has a step timers")?;
            eprintln!("      timers {:.1} s", timers["seconds"].as_f64().unwrap_or(f64::NAN));
            let left = pair.lab.sh("erp2", "systemctl list-units --all --plain --no-legend 'otr-drill*'; ls -d /var/lib/otr/drill; pgrep -f '^sleep 300' >/dev/null")?;
            ensure!(left.contains("otr-drill-clear.service") && left.contains("/var/lib/otr/drill"), "the test proves nothing:\n{left}");
            ensure!(!left.contains("otr-drill.service") && !left.contains("otr-drill-odoo"), "it runs beside the new production:\n{left}");
            pair.lab.sh("erp2", &format!("{GO_ON}; pkill -f '^sleep 300'"))?;
            let code = otr.wait()?.code();
            let said = pair.otr.started_said();
            ensure!(code == Some(1) && said.contains("a promotion does that"), "it ended with {code:?} and said:\n{said}");
            pair.lab.wait("the end of a drill that a promotion stopped", 60, |lab| Ok(nothing_is_left(lab).is_ok()))
        })
}

/// A program on erp2 that first does something else.
fn wrapped(lab: &Lab, program: &str, first: &str) -> Result<()> {
    let script = format!("#!/bin/sh\n{first}\nexec env PATH=/usr/bin:/bin {program} \"$@\"\n");
    lab.put("erp2", &format!("/usr/local/bin/{program}"), "0755", script.as_bytes())
}

/// A drill that is held while it asks for the login page, so that somebody may look into it.
fn held(pair: &mut Pair) -> Result<Child> {
    pair.lab.sh("erp2", "mkdir -p /usr/local/bin; touch /run/otr-hold")?;
    wrapped(&pair.lab, "nsenter", "[ ! -e /run/otr-hold ] || sleep 45")?;
    pair.otr.start(SPEC, "drill --json")
}

const GO_ON: &str = "rm -f /run/otr-hold /usr/local/bin/nsenter /usr/local/bin/rm; pkill -f '^sleep 45'";

fn drilled(pair: &mut Pair, code: i32) -> Result<Value> {
    Ok(pair.otr.run(SPEC, "drill --json")?.ended(code)?.json()?.0)
}

/// No unit, no process, no mount, no file.
fn nothing_is_left(lab: &Lab) -> Result<()> {
    let left = lab.sh("erp2", "set +e; systemctl list-units --all --plain --no-legend 'otr-drill*'; grep otr-drill /proc/mounts; ls -d /var/lib/otr/drill /run/otr-drill 2>/dev/null; pgrep -af ^/.*/var/lib/otr/drill; true")?;
    ensure!(left.trim().is_empty(), "a drill left:\n{left}");
    Ok(())
}

/// From inside the drilled Odoo: what it knows, whom it reaches, and what it may write.
fn look_into(lab: &Lab) -> Result<()> {
    lab.wait("the drill at its step login", 120, |lab| lab.holds("erp2", "pgrep -f '^sleep 45'"))?;
    let inside = |command: &str| {
        format!(
            "p=$(systemctl show -p MainPID --value otr-drill-odoo); /usr/bin/nsenter -t $p -m -n setpriv --reuid odoo --regid odoo --clear-groups {command}"
        )
    };
    let names = lab.sh("erp2", "tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value otr-drill-odoo)/environ")?;
    ensure!(names.contains("RUNNING_ENV=test") && !names.contains("AWS_") && !names.contains(PRODUCTIONS), "its environment:\n{names}");
    for (what, command) in [
        ("it reaches production", "bash -c 'exec 3<>/dev/tcp/10.77.0.11/8069'"),
        ("it reaches the bucket", "bash -c 'exec 3<>/dev/tcp/10.77.0.1/8000'"),
        ("it reaches Redis", "bash -c 'exec 3<>/dev/tcp/127.0.0.1/6379'"),
        ("it sees the replica's socket", "ls /run/postgresql/.s.PGSQL.5432"),
        ("it reads the real odoo.conf", "cat /etc/odoo/odoo.conf"),
        ("it writes into the real filestore", &format!("touch {FILESTORE}/otr-was-here")),
    ] {
        ensure!(!lab.holds("erp2", &inside(command))?, "{what}");
    }
    // The very same attempts where they should succeed: the test itself is proven.
    ensure!(
        lab.holds("erp2", "bash -c 'exec 3<>/dev/tcp/10.77.0.11/8069' && bash -c 'exec 3<>/dev/tcp/10.77.0.1/8000'")?,
        "nobody reaches production"
    );
    ensure!(lab.holds("erp2", &inside("touch /var/lib/otr/drill/odoo/filestore/acme/otr-was-here"))?, "it cannot write into the overlay");
    ensure!(lab.holds("erp2", &format!("test ! -e {FILESTORE}/otr-was-here"))?, "what it wrote passed the overlay");
    let acting = "runuser -u postgres -- psql -h /var/lib/otr/drill/socket -XAtd acme -c \"select (select count(*) from ir_cron where active) + (select count(*) from ir_mail_server where active)\"";
    ensure!(lab.sh("erp2", acting)?.trim() == "0", "something acts by itself in the copy");
    ensure!(lab.sql("erp1", "acme", "select count(*) > 0 from ir_cron where active")? == "t", "production's own were turned off");
    Ok(())
}
