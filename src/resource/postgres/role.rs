//! The replication role on production.

use super::ClusterAt;
use super::password::Password;
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::format::credentials::{scram_matches, scram_verifier};
use crate::look::Look;
use crate::name::HostName;
use crate::resource::{Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::secret::Text;

/// The role, with its password.
#[derive(Debug)]
pub struct ReplicationRole {
    /// Production's cluster.
    pub at: ClusterAt,
    /// Its password and name.
    pub password: Password,
}

impl Resource for ReplicationRole {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Role, self.password.role.as_str())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks = self.password.looks();
        looks.push((self.at.host.clone(), Look::Server(self.at.cluster.clone())));
        looks
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let Some(server) = self.at.server(facts)? else {
            return Ok(Decision::waits(format!("PostgreSQL on {}", self.at.host)));
        };
        let role = &self.password.role;
        let stored = server.replication_roles.get(role.as_str());
        if stored.is_some() && !server.sees_verifiers {
            // Whether its password is right shows when the standby connects.
            return Ok(Decision::Holds);
        }
        let Some(password) = self.password.find(facts)? else {
            return Ok(Decision::waits("the replication password, made up on the standby"));
        };
        let (is, wanted) = match stored {
            Some(Some(verifier)) if scram_matches(verifier.expose(), &password) => return Ok(Decision::Holds),
            Some(Some(_)) => (Shown::Sensitive, Shown::Sensitive),
            Some(None) => (Shown::Absent, Shown::Sensitive),
            None => (Shown::Absent, Shown::Text("REPLICATION LOGIN".into())),
        };
        let what = if stored.is_none() { "role" } else { "password" };
        let verifier = Text::Sensitive(scram_verifier(role.as_str(), &password));
        Ok(Decision::from_parts(
            vec![Difference { what: what.into(), is, wanted }],
            vec![Action::SetReplicationRole { cluster: self.at.cluster.clone(), role: role.clone(), verifier }],
        ))
    }
}
