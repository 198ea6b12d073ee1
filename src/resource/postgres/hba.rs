//! The lines of pg_hba.conf that let the other members replicate.

use super::{ClusterAt, Reach, attributes};
use crate::facts::{FactError, Facts};
use crate::format::postgres::{hba_lines, with_hba_lines};
use crate::look::{Look, SightError};
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
    /// They may rewind themselves from here: `otr rejoin` does, where otr manages both.
    pub rewind: bool,
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
        let Some(current) = facts.content(&self.at.host, &path).map_err(|error| self.with_the_lines(error, facts))? else {
            return Ok(Decision::waits(format!("PostgreSQL cluster {} (a package makes it)", self.at.cluster)));
        };
        // A line for pg_rewind does no harm where none is wanted.
        let mut is = hba_lines(&current.text);
        is.retain(|line| self.rewind || !line.starts_with("hostssl postgres "));
        let mut lines = Vec::new();
        for peer in &self.peers {
            // A peer that cannot be asked for its addresses keeps the lines it has.
            if peer.said.as_ref().is_none_or(|said| said.parse::<std::net::IpAddr>().is_err())
                && facts.unreachable(&peer.host).is_some()
                && !is.is_empty()
            {
                return Ok(Decision::Holds);
            }
            lines.extend(self.lines_for(peer, facts)?);
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
        file::settle(&self.at.host, &path, differences, &text, &attributes, None, facts)
    }
}

impl Hba {
    fn lines_for(&self, peer: &Reach, facts: &Facts) -> Result<Vec<String>, FactError> {
        // pg_rewind reads its source over an ordinary connection.
        let databases: &[&str] = if self.rewind { &["replication", "postgres"] } else { &["replication"] };
        let mut lines = Vec::new();
        for address in peer.sources(facts)? {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            lines.extend(databases.iter().map(|database| format!("hostssl {database} {} {address}/{bits} scram-sha-256", self.role)));
        }
        Ok(lines)
    }

    /// Who may not read the file (an observed host's login) is told what must stand in it.
    fn with_the_lines(&self, error: FactError, facts: &Facts) -> FactError {
        let FactError::Unseen { host, what, why: SightError::Denied(why) } = error else { return error };
        let lines: Vec<String> = self.peers.iter().filter_map(|peer| self.lines_for(peer, facts).ok()).flatten().collect();
        let why = format!(
            "{why}; it must end with\n{}Let the login read it (setfacl -m u:LOGIN:r), and a lost line is seen",
            with_hba_lines("", &lines)
        );
        FactError::Unseen { host, what, why: SightError::Denied(why) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::accounts::Accounts;
    use crate::look::{ClusterName, Sight};

    #[test]
    fn who_may_not_read_it_is_told_the_lines() {
        let host: HostName = "erp1".parse().unwrap();
        let at = ClusterAt { host: host.clone(), cluster: ClusterName { version: 13, name: "main".parse().unwrap(), port: 5432 } };
        let peer = Reach { host: "erp2".parse().unwrap(), said: Some("10.0.0.12".into()) };
        let accounts = Accounts { users: [("postgres".into(), "/".into())].into(), groups: ["postgres".into()].into() };
        let denied = SightError::Denied("Permission denied".into());
        let seen = [(Look::Accounts, Ok(Sight::Accounts(accounts))), (Look::Content(at.hba_file()), Err(denied))];
        let facts = Facts::new([(host, Ok(seen.into()))].into());
        let hba = Hba { at, role: "otr_repl".parse().unwrap(), peers: vec![peer], rewind: false };
        let error = hba.decide(&facts).unwrap_err().to_string();
        assert!(error.contains("\nhostssl replication otr_repl 10.0.0.12/32 scram-sha-256\n"), "{error}");
    }
}
