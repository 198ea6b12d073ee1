//! 5: production lives, and otr cannot log in to it. Nobody's word makes it dead: what the standby sees
//! of it is asked first.

use anyhow::{Result, ensure};

use super::faults::{one_writer, streams};
use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;
use crate::writer;

const SPEC: &str = "pair.yaml";
const PROMOTE: &str = "promote erp2 --yes --production-is-down erp1";

/// What sshd says to an address that failed too often (PerSourcePenalties), or while it is too busy.
const PENALTY: &str = r#"#!/usr/bin/python3
import socket
server = socket.create_server(("", 22))
while True:
    link, _ = server.accept()
    link.sendall(b"Not allowed at this time\r\n")
    link.close()
"#;

pub fn signs() -> Chapter {
    Chapter::new("signs_of_life", Scene::Standby)
        .independent()
        .prepared(|pair| {
            pair.lab.put("erp1", "/usr/local/bin/penalty", "0755", PENALTY.as_bytes())?;
            writer::start(&pair.lab, "erp1")
        })
        .step("a_blocked_ssh_port_is_no_death", |pair| {
            pair.lab.call(&["shut", "erp1", "22"])?;
            lives(pair, SPEC, "port 5432")?;
            pair.lab.call(&["open", "erp1"])?;
            streams(pair)
        })
        .step("a_stream_is_life_where_no_port_answers", |pair| {
            pair.lab.call(&["deaf", "erp1"])?;
            lives(pair, SPEC, "WAL arrives")?;
            pair.lab.call(&["open", "erp1"])?;
            streams(pair)
        })
        .step("a_refused_key_is_an_answer", |pair| {
            pair.lab.call(&["in", "erp1", "mv", "/home/admin/.ssh/authorized_keys", "/home/admin/.ssh/kept"])?;
            let seen = lives(pair, SPEC, "the login as admin was refused");
            pair.lab.call(&["in", "erp1", "mv", "/home/admin/.ssh/kept", "/home/admin/.ssh/authorized_keys"])?;
            seen
        })
        .step("a_machine_that_cannot_be_asked_at_its_address_streams_all_the_same", |pair| {
            pair.otr.vary(SPEC, "elsewhere.yaml", |text| text.replace("address: 10.77.0.11", "address: 10.77.0.99"))?;
            lives(pair, "elsewhere.yaml", "port 5432")
        })
        .step("an_sshd_that_turns_away_is_an_answer", |pair| {
            pair.lab.sh("erp1", "systemd-run -q --on-active=1 --timer-property=AccuracySec=100ms --unit penalty sh -c 'systemctl stop ssh; exec /usr/local/bin/penalty'; sleep 1")?;
            std::thread::sleep(std::time::Duration::from_secs(2));
            let seen = lives(pair, SPEC, "Not allowed at this time");
            pair.lab.call(&["in", "erp1", "sh", "-c", "systemctl stop penalty; systemctl start ssh"])?;
            seen
        })
        .step("a_dead_sshd_is_no_death", |pair| {
            pair.lab.sh("erp1", "systemd-run -q --on-active=1 --timer-property=AccuracySec=100ms systemctl stop ssh")?;
            std::thread::sleep(std::time::Duration::from_secs(2));
            let seen = lives(pair, SPEC, "port 5432");
            pair.lab.call(&["in", "erp1", "systemctl", "start", "ssh"])?;
            seen
        })
        .step("switched_off_as_the_refusal_says_it_can_be_promoted", |pair| {
            writer::stop(&pair.lab)?;
            pair.lab.call(&["shut", "erp1", "22"])?;
            let run = pair.otr.run(SPEC, PROMOTE)?;
            ensure!(run.code == Some(1) && run.said().contains("poweroff"), "it does not say what to do: {}", run.said());
            pair.lab.call(&["down", "erp1"])?;
            let status = pair.otr.run(SPEC, "status")?.said();
            ensure!(status.contains("otr promote erp2 --production-is-down erp1"), "status: {status}");
            pair.otr.run(SPEC, PROMOTE)?.ended(0)?;
            odoo::login_page_is_whole(&pair.lab, "erp2")
        })
}

/// What a promotion would stop at, once PostgreSQL is promoted and nobody is served.
pub fn ready() -> Chapter {
    Chapter::new("ready", Scene::Standby)
        .independent()
        .step("a_value_that_only_production_has_and_odoo_refuses_stops_nothing_half_way", |pair| {
            pair.otr.vary(SPEC, "many.yaml", |text| text.replace("production: {workers: 2", "production: {limit_request: many, workers: 2"))?;
            hindered(pair, "many.yaml", "limit_request")?;
            pair.lab.call(&["boot", "erp1"])?;
            pair.settle()
        })
        .step("an_odoo_whose_unit_is_gone_is_no_readiness", |pair| {
            pair.lab.sh("erp2", "mv /lib/systemd/system/odoo.service /root/; rm /etc/init.d/odoo; rm /etc/systemd/system/odoo.service; systemctl daemon-reload")?;
            let status = pair.otr.run(SPEC, "status")?;
            ensure!(status.code == Some(1) && status.said().contains("odoo.service"), "status is ready: {}", status.said());
            hindered(pair, SPEC, "odoo.service")?;
            pair.lab.sh("erp2", "mv /root/odoo.service /lib/systemd/system/; ln -s /dev/null /etc/systemd/system/odoo.service; systemctl daemon-reload")?;
            pair.lab.call(&["boot", "erp1"])?;
            pair.settle()
        })
        .step("an_odoo_conf_that_odoo_refuses_is_no_readiness", |pair| {
            pair.lab.sh("erp2", "echo 'limit_time_real = 240' >>/etc/odoo/odoo.conf")?;
            let status = pair.otr.run(SPEC, "status")?;
            hindered(pair, SPEC, "is not a file Odoo can read")?;
            ensure!(
                status.code == Some(1) && status.said().contains("is not a file Odoo can read"),
                "status is ready all the same: {}",
                status.said()
            );
            // As the message says: mended, and run again.
            pair.lab.sh("erp2", "sed -i '$d' /etc/odoo/odoo.conf")?;
            pair.otr.run(SPEC, PROMOTE)?.ended(0)?;
            odoo::login_page_is_whole(&pair.lab, "erp2")
        })
}

/// Production loses its power; the promotion and its dry run stop before anything was done.
fn hindered(pair: &mut Pair, spec: &str, words: &str) -> Result<()> {
    pair.lab.call(&["kill", "erp1"])?;
    for arguments in [format!("{PROMOTE} --dry-run"), PROMOTE.to_owned()] {
        let run = pair.otr.run(spec, &arguments)?;
        ensure!(
            pair.lab.sql("erp2", "postgres", "select pg_is_in_recovery()")? == "t",
            "erp2 was promoted, and stopped half-way: {}",
            run.said()
        );
        ensure!(run.code == Some(1) && run.said().contains(words), "{arguments} ended with {:?}: {}", run.code, run.said());
    }
    Ok(())
}

const OWN_PORT: &str = "own_port.yaml";
/// Odoo dies half a second after each start.
const DIES: &str = "[Service]\nExecStart=\nExecStart=/bin/sh -c 'sleep 0.5; exit 1'\nRestart=always\nRestartSec=1\nStartLimitIntervalSec=0\n[Unit]\nStartLimitIntervalSec=0\n";

/// A service that runs, and that nobody can work with.
pub fn unwell() -> Chapter {
    Chapter::new("unwell", Scene::Standby)
        .step("an_odoo_that_dies_after_each_start_is_not_active", |pair| {
            pair.lab.put("erp1", "/run/systemd/system/odoo.service.d/zz-dies.conf", "0644", DIES.as_bytes())?;
            pair.lab.sh("erp1", "systemctl daemon-reload; systemctl restart odoo; sleep 8")?;
            for verb in ["status", "doctor", "plan"] {
                let run = pair.otr.run(SPEC, verb)?;
                ensure!(run.said().contains("does not stay up") && run.seconds < 15.0, "{verb} ({:.1} s): {}", run.seconds, run.said());
            }
            pair.lab.sh("erp1", "rm /run/systemd/system/odoo.service.d/zz-dies.conf; systemctl daemon-reload; systemctl restart odoo")?;
            pair.settle()?;
            // As long as systemd has just started it again nobody knows better.
            pair.lab.wait("the doctor's approval", 30, |lab| lab.holds("erp1", "sleep 16"))?;
            pair.otr.run(SPEC, "doctor")?.ended(0).map(drop)
        })
        .step("an_odoo_that_cannot_use_its_database_is_not_well", |pair| {
            pair.lab.sh("erp1", "cp -p /etc/postgresql/13/main/pg_hba.conf /root/; sed -i '1i local acme odoo reject' /etc/postgresql/13/main/pg_hba.conf; systemctl reload postgresql@13-main; systemctl restart odoo; sleep 2")?;
            let run = pair.otr.run(SPEC, "doctor")?;
            ensure!(run.code == Some(1) && run.said().contains("login page"), "the doctor takes any answer for a page: {}", run.said());
            println!("({}) ", run.said().lines().filter(|line| line.contains("login page")).collect::<Vec<_>>().join(" | "));
            pair.lab.sh("erp1", "cp -p /root/pg_hba.conf /etc/postgresql/13/main/; systemctl reload postgresql@13-main; systemctl restart odoo")?;
            pair.settle()
        })
        .step("where_odoo_listens_is_seen_and_its_filter_is_passed", |pair| {
            pair.otr.vary(SPEC, OWN_PORT, |text| {
                text.replace("unmanaged: remove", "unmanaged: keep").replace("db_name: acme", "dbfilter: ^%d$")
            })?;
            let own = "http_port = 8169\\nhttp_interface = HOST";
            for (host, address) in [("erp1", "10.77.0.11"), ("erp2", "10.77.0.12")] {
                let own = own.replace("HOST", address);
                pair.lab.sh(host, &format!("sed -i '/^db_name/d; $a {own}' /etc/odoo/odoo.conf"))?;
            }
            pair.otr.run(OWN_PORT, "apply --yes --restarts --json")?.ended(0)?;
            let run = pair.otr.run(OWN_PORT, "switchover erp2 --yes --write-spec")?;
            run.ended(0)?;
            ensure!(run.said().contains("login page 200, "), "{}", run.said());
            Ok(())
        })
        .step("a_port_of_chat_that_somebody_else_has_is_named_in_seconds", |pair| {
            pair.lab.sh("erp1", "systemd-run -q --unit squatter python3 -m http.server 8072")?;
            let run = pair.otr.run(OWN_PORT, "switchover erp1 --yes")?;
            ensure!(run.code == Some(1) && run.said().contains("port 8072"), "it ended with {:?}: {}", run.code, run.said());
            ensure!(run.seconds < 60.0, "it took {:.0} s to say so", run.seconds);
            pair.lab.sh("erp1", "systemctl stop squatter")?;
            pair.otr.run(OWN_PORT, "switchover erp1 --yes --write-spec")?.ended(0).map(drop)
        })
}

/// Status says that it lives and offers no promotion; the statement is refused; nothing was promoted.
fn lives(pair: &mut Pair, spec: &str, sign: &str) -> Result<()> {
    let status = pair.otr.run(spec, "status")?.said();
    let promote = pair.otr.run(spec, PROMOTE)?;
    let (code, said) = (promote.code, promote.said());
    ensure!(pair.lab.sql("erp2", "postgres", "select pg_is_in_recovery()")? == "t", "erp2 was promoted beside a living erp1: {said}");
    ensure!(!status.contains("--production-is-down"), "status offers it: {status}");
    ensure!(status.contains("erp1 lives") && status.contains(sign), "status does not name the sign {sign:?}: {status}");
    ensure!(code == Some(1) && said.contains("erp1 lives") && said.contains(sign), "it ended with {code:?}: {said}");
    one_writer(pair)
}
