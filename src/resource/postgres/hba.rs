//! The lines of pg_hba.conf that let the other members replicate.

use super::{ClusterAt, Reach, attributes};
use crate::facts::{FactError, Facts};
use crate::format::postgres::{hba_lines, with_hba_lines};
use crate::look::Look;
use crate::name::{HostName, Word};
use crate::resource::{Decision, Difference, Kind, Resource, ResourceId, Shown, file};

/// The lines on one host. They are the same in both roles, so that a switchover needs no change.
#[derive(Debug)]
pub struct Hba {
    /// Where.
    pub at: ClusterAt,
    /// The replication role.
    pub role: Word,
    /// The other members.
    pub peers: Vec<Reach>,
}

impl Resource for Hba {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Replication, "pg_hba.conf")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks = file::looks(&self.at.host, &self.at.hba_file(), false);
        looks.extend(self.peers.iter().map(|peer| (peer.host.clone(), Look::Machine)));
        looks
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let attributes = attributes(0o640);
        if let Some(waits) = file::account_missing(&self.at.host, &attributes, facts)? {
            return Ok(waits);
        }
        let path = self.at.hba_file();
        let Some(current) = facts.content(&self.at.host, &path)? else {
            return Ok(Decision::waits(format!("PostgreSQL cluster {} (a package makes it)", self.at.cluster)));
        };
        let is = hba_lines(&current.text);
        let mut lines = Vec::new();
        for peer in &self.peers {
            // A peer that cannot be asked for its addresses keeps the lines it has.
            if peer.said.as_ref().is_none_or(|said| said.parse::<std::net::IpAddr>().is_err())
                && facts.unreachable(&peer.host).is_some()
                && !is.is_empty()
            {
                return Ok(Decision::Holds);
            }
            for address in peer.sources(facts)? {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                lines.push(format!("hostssl replication {} {address}/{bits} scram-sha-256", self.role));
                // pg_rewind reads its source over an ordinary connection.
                lines.push(format!("hostssl postgres {} {address}/{bits} scram-sha-256", self.role));
            }
        }
        let mut differences = Vec::new();
        for line in lines.iter().filter(|line| !is.contains(&line.as_str())) {
            differences.push(Difference::new("line", Shown::Absent, line.as_str()));
        }
        for line in is.iter().filter(|line| !lines.iter().any(|l| l == *line)) {
            differences.push(Difference::new("line", *line, Shown::Absent));
        }
        if differences.is_empty() && lines != is {
            differences.push(Difference::new("lines", "in another order", "in order"));
        }
        let text = with_hba_lines(&current.text, &lines).into();
        file::settle(&self.at.host, &path, differences, &text, &attributes, facts)
    }
}
