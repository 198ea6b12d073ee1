//! How a machine is at one moment, as far as a run that does nothing must leave it alone:
//! when each unit started, and every file's name, owner, mode and times.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::lab::Lab;

/// One machine at one moment.
pub struct Snapshot {
    host: String,
    lines: BTreeSet<String>,
}

// A running Odoo clears its own filestore of what nobody refers to, a minute after its start.
// Logins start and end user@.service and what belongs to it; that is no change.
const SCRIPT: &str = r"
systemctl show '*.service' '*.timer' -p Id -p ActiveEnterTimestampMonotonic -p NRestarts |
  awk 'BEGIN { RS = ``; FS = `\n` } { $1 = $1; print }' | grep -v -e user@ -e user-runtime-dir@
find /etc /usr/local /opt /root/.ssh $(systemctl is-active -q odoo || echo /var/lib/odoo) /var/lib/dpkg/status /var/lib/postgresql/1?/main/postgresql.auto.conf -xdev \
  -printf '%p mtime %T@ ctime %C@ mode %m owner %u:%g\n' 2>/dev/null || true";

impl Snapshot {
    /// Looks.
    pub fn take(lab: &Lab, host: &str) -> Result<Self> {
        let lines = lab.sh(host, &SCRIPT.replace('`', "\""))?.lines().map(str::to_owned).collect();
        Ok(Self { host: host.to_owned(), lines })
    }

    /// Whether it shows this host.
    pub fn is_of(&self, host: &str) -> bool {
        self.host == host
    }

    /// Looks again and compares.
    pub fn same_as_now(&self, lab: &Lab) -> Result<()> {
        let now = Self::take(lab, &self.host)?;
        // What was and what is stand one below the other: a line begins with the thing's name.
        let gone = self.lines.difference(&now.lines).map(|line| (line, "was"));
        let mut changes: Vec<_> = gone.chain(now.lines.difference(&self.lines).map(|line| (line, "is "))).collect();
        changes.sort_by_key(|(line, when)| (line.split(' ').next(), std::cmp::Reverse(*when)));
        let words: Vec<String> = changes.iter().take(30).map(|(line, when)| format!("  {when} {line}")).collect();
        ensure!(changes.is_empty(), "{} was touched in {} places:\n{}", self.host, changes.len(), words.join("\n"));
        Ok(())
    }
}
