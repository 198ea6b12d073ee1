//! Users who never stop: one commits numbered rows, one makes attachments, each on whichever host
//! takes them, and both note what was acknowledged. What was acknowledged must be there afterwards.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::lab::Lab;
use crate::odoo::FILESTORE;
use crate::pair::Pair;

const HOSTS: [&str; 2] = ["erp1", "erp2"];
/// The number is the moment the row was begun, in nanoseconds.
const SCRIPT: &str = r#"#!/bin/bash
while :; do
  n=$(date +%s%N)
  if runuser -u postgres -- /usr/lib/postgresql/*/bin/psql -XqAt -v ON_ERROR_STOP=1 acme -c "insert into otr_rows values ('$(hostname)', $n)" >/dev/null 2>&1; then
    echo "$(hostname) $n" >>/var/lib/acknowledged
  fi
  sleep 0.05
done
"#;
const ROWS: &str = "/var/lib/acknowledged";
const FILES: &str = "/var/lib/acknowledged-files";

/// Begins to write rows.
pub fn start(lab: &Lab, production: &str) -> Result<()> {
    lab.sql(production, "acme", "create table if not exists otr_rows (host text, n bigint, primary key (host, n))")?;
    for host in HOSTS {
        lab.put(host, "/usr/local/bin/otr-writer", "0755", SCRIPT.as_bytes())?;
        lab.sh(host, "systemctl is-active -q otr-writer || systemd-run -q --unit=otr-writer /usr/local/bin/otr-writer")?;
    }
    lab.wait("rows to be acknowledged", 10, |lab| Ok(!acknowledged(lab, production, ROWS)?.is_empty()))
}

/// Begins to make attachments too.
pub fn start_files(lab: &Lab, production: &str) -> Result<()> {
    for host in HOSTS {
        lab.put(host, "/usr/local/bin/otr-attacher", "0755", include_bytes!("rpc.py"))?;
        attach(lab, host)?;
    }
    lab.wait("attachments to be acknowledged", 20, |lab| Ok(!acknowledged(lab, production, FILES)?.is_empty()))
}

/// Does something while nobody makes attachments: what is made meanwhile is a difference.
pub fn quietly<T>(pair: &mut Pair, work: impl FnOnce(&mut Pair) -> Result<T>) -> Result<T> {
    let busy: Vec<&str> =
        HOSTS.into_iter().filter(|host| pair.lab.holds(host, "systemctl is-active -q otr-attacher").unwrap_or(false)).collect();
    busy.iter().try_for_each(|host| pair.lab.sh(host, "systemctl stop otr-attacher").map(drop))?;
    let done = work(pair)?;
    busy.iter().try_for_each(|host| attach(&pair.lab, host))?;
    Ok(done)
}

fn attach(lab: &Lab, host: &str) -> Result<()> {
    lab.sh(host, &format!("systemctl is-active -q otr-attacher || systemd-run -q --unit=otr-attacher python3 /usr/local/bin/otr-attacher http://127.0.0.1:8069 acme keep {FILES}")).map(drop)
}

/// Stops writing.
pub fn stop(lab: &Lab) -> Result<()> {
    HOSTS.iter().try_for_each(|host| lab.sh(host, "systemctl stop otr-writer otr-attacher 2>/dev/null || true").map(drop))
}

/// What was lost is on record; from here on it counts anew.
pub fn forget(lab: &Lab) -> Result<()> {
    HOSTS.iter().try_for_each(|host| lab.sh(host, &format!("rm -f {ROWS} {FILES}")).map(drop))
}

fn acknowledged(lab: &Lab, host: &str, log: &str) -> Result<BTreeSet<String>> {
    let text = lab.sh(host, &format!("cat {log} 2>/dev/null || true"))?;
    // A power cut may leave the last line broken.
    Ok(text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect())
}

/// What is noted on the hosts that have power.
fn all(lab: &Lab, log: &str) -> Result<BTreeSet<String>> {
    let mut said = BTreeSet::new();
    for host in HOSTS.into_iter().filter(|host| lab.holds(host, "true").unwrap_or(false)) {
        said.extend(acknowledged(lab, host, log)?);
    }
    Ok(said)
}

/// Acknowledged rows that production has not, and how many were acknowledged.
pub fn lost(lab: &Lab, production: &str) -> Result<(Vec<String>, usize)> {
    let said = all(lab, ROWS)?;
    let there: BTreeSet<String> =
        lab.sql(production, "acme", "select host || ' ' || n from otr_rows")?.lines().map(str::to_owned).collect();
    Ok((said.difference(&there).cloned().collect(), said.len()))
}

/// Acknowledged attachments that production has no row of, or no sound file, and how many were acknowledged.
pub fn lost_files(lab: &Lab, production: &str) -> Result<(Vec<String>, usize)> {
    let said = all(lab, FILES)?;
    let rows: BTreeSet<String> =
        lab.sql(production, "acme", "select checksum from ir_attachment where name like 'kept-%'")?.lines().map(str::to_owned).collect();
    let sums = lab.sh(production, &format!("cd {FILESTORE} && find . -type f -path './??/*' -exec sha1sum {{}} +"))?;
    let sound: BTreeSet<String> = sums
        .lines()
        .filter_map(|line| line.split_once("  ./").filter(|(sum, path)| path.ends_with(sum)).map(|(sum, _)| sum.to_owned()))
        .collect();
    Ok((said.iter().filter(|sha1| !rows.contains(*sha1) || !sound.contains(*sha1)).cloned().collect(), said.len()))
}

/// Not one acknowledged row or attachment is lost.
pub fn nothing_lost(lab: &Lab, production: &str) -> Result<()> {
    for (what, (lost, all), least) in [("rows", lost(lab, production)?, 10), ("attachments", lost_files(lab, production)?, 0)] {
        ensure!(lost.is_empty(), "{} of {all} acknowledged {what} are lost: {:?}", lost.len(), lost.iter().take(5).collect::<Vec<_>>());
        ensure!(all >= least, "only {all} {what} were acknowledged");
        println!("[0 of {all} acknowledged {what} lost] ");
    }
    Ok(())
}
