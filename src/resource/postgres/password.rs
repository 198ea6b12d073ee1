//! The replication password: from the spec, or made up once on a standby and kept there.
//!
//! It lives in a pgpass file that only postgres reads, on every managed member; production's
//! server knows its SCRAM verifier. The controller keeps nothing.

use std::path::PathBuf;

use super::attributes;
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::format::postgres::{pgpass, pgpass_password};
use crate::look::Look;
use crate::name::{HostName, Word};
use crate::resource::{Change, Decision, Difference, Kind, Resource, ResourceId, Shown, file};
use crate::secret::{Secret, SecretError, Text};

/// Where the password comes from.
#[derive(Debug, Clone)]
pub struct Password {
    /// What the spec says.
    pub said: Option<Result<Secret, SecretError>>,
    /// The pgpass file on every holder.
    pub path: PathBuf,
    /// The replication role.
    pub role: Word,
    /// The managed members; the first standby among them makes it up.
    pub holders: Vec<HostName>,
    /// Who makes it up.
    pub maker: Option<HostName>,
}

impl Password {
    /// What must be seen to find it.
    pub fn looks(&self) -> Vec<(HostName, Look)> {
        match self.said {
            Some(_) => Vec::new(),
            None => self.holders.iter().map(|host| (host.clone(), Look::SecretContent(self.path.clone()))).collect(),
        }
    }

    /// The password, if there is one yet. A holder that cannot be reached is passed over.
    pub fn find(&self, facts: &Facts) -> Result<Option<Secret>, FactError> {
        if let Some(said) = &self.said {
            return Ok(Some(said.clone()?));
        }
        for host in self.holders.iter().filter(|host| facts.unreachable(host).is_none()) {
            if let Some(text) = facts.secret_content(host, &self.path)?
                && let Some(password) = pgpass_password(text.expose(), self.role.as_str())
            {
                return Ok(Some(Secret::new(password)));
            }
        }
        Ok(None)
    }
}

/// The pgpass file on one host.
#[derive(Debug)]
pub struct PassFile {
    /// Where.
    pub host: HostName,
    /// What it holds.
    pub password: Password,
}

impl Resource for PassFile {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Replication, "password file")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks = file::looks(&self.host, &self.password.path, true);
        looks.extend(self.password.looks());
        looks
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let attributes = attributes(0o600);
        if let Some(waits) = file::account_missing(&self.host, &attributes, facts)? {
            return Ok(waits);
        }
        let path = &self.password.path;
        let Some(password) = self.password.find(facts)? else {
            return Ok(match &self.password.maker {
                Some(maker) if *maker == self.host => Decision::Change(Change {
                    differences: vec![Difference { what: "password".into(), is: Shown::Absent, wanted: Shown::Sensitive }],
                    actions: vec![Action::MakeUpPassword { path: path.clone(), role: self.password.role.clone() }],
                    ..Change::default()
                }),
                Some(maker) => Decision::waits(format!("the replication password, made up on {maker}")),
                None => {
                    return Err(FactError::Refused("no host may keep a replication password; say replication.password".into()));
                }
            });
        };
        let text = Text::Sensitive(Secret::new(pgpass(self.password.role.as_str(), password.expose())));
        let is = facts.secret_content(&self.host, path)?.as_ref().map(Secret::expose);
        file::settle(&self.host, path, file::content_differences(is, &text), &text, &attributes, None, facts)
    }
}
