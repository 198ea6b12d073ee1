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
