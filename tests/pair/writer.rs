//! A user who never stops: commits numbered rows on whichever host takes them, and notes each one
//! that was acknowledged. What was acknowledged must be there afterwards.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::lab::Lab;

const HOSTS: [&str; 2] = ["erp1", "erp2"];
const SCRIPT: &str = r#"#!/bin/bash
n=$(date +%s%N)
while :; do
  n=$((n + 1))
  if runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 acme -c "insert into otr_rows values ('$(hostname)', $n)" >/dev/null 2>&1; then
    echo "$(hostname) $n" >>/var/lib/acknowledged
  fi
  sleep 0.02
done
"#;

/// Begins to write.
pub fn start(lab: &Lab, production: &str) -> Result<()> {
    lab.sql(production, "acme", "create table if not exists otr_rows (host text, n bigint, primary key (host, n))")?;
    for host in HOSTS {
        lab.put(host, "/usr/local/bin/otr-writer", "0755", SCRIPT.as_bytes())?;
        lab.sh(host, "systemctl is-active -q otr-writer || systemd-run -q --unit=otr-writer /usr/local/bin/otr-writer")?;
    }
    lab.wait("rows to be acknowledged", 10, |lab| Ok(!acknowledged(lab, production)?.is_empty()))
}

/// Stops writing.
pub fn stop(lab: &Lab) -> Result<()> {
    HOSTS.iter().try_for_each(|host| lab.sh(host, "systemctl stop otr-writer 2>/dev/null || true").map(drop))
}

fn acknowledged(lab: &Lab, host: &str) -> Result<BTreeSet<String>> {
    let text = lab.sh(host, "cat /var/lib/acknowledged 2>/dev/null || true")?;
    // A power cut may leave the last line broken.
    Ok(text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect())
}

/// Acknowledged rows that production has not, and how many were acknowledged.
pub fn lost(lab: &Lab, production: &str) -> Result<(Vec<String>, usize)> {
    let mut said = BTreeSet::new();
    for host in HOSTS {
        said.extend(acknowledged(lab, host)?);
    }
    let there: BTreeSet<String> =
        lab.sql(production, "acme", "select host || ' ' || n from otr_rows")?.lines().map(str::to_owned).collect();
    Ok((said.difference(&there).cloned().collect(), said.len()))
}

/// Not one acknowledged row is lost.
pub fn nothing_lost(lab: &Lab, production: &str) -> Result<()> {
    let (lost, all) = lost(lab, production)?;
    ensure!(lost.is_empty(), "{} of {all} acknowledged rows are lost: {:?}", lost.len(), lost.iter().take(5).collect::<Vec<_>>());
    ensure!(all > 10, "only {all} rows were acknowledged");
    println!("[0 of {all} acknowledged rows lost] ");
    Ok(())
}
