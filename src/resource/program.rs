//! otr itself on a standby, for the timers that run it there.

use std::path::PathBuf;

use super::{Decision, Difference, Kind, Resource, ResourceId};
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::name::HostName;

/// This very program on another host.
#[derive(Debug)]
pub struct Program {
    /// Where.
    pub host: HostName,
    /// Its path there.
    pub path: PathBuf,
    /// Its digest here; or why it cannot be read.
    pub sha256: Result<String, String>,
    /// The architecture it was built for (`uname -m`).
    pub architecture: &'static str,
}

impl Resource for Program {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::File, self.path.display().to_string())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        [Look::Digest(self.path.clone()), Look::Machine].into_iter().map(|look| (self.host.clone(), look)).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let wanted = self.sha256.as_ref().map_err(|why| FactError::Refused(format!("otr cannot read its own program: {why}")))?;
        let is = facts.digest(&self.host, &self.path)?;
        if is.as_ref() == Some(wanted) {
            return Ok(Decision::Holds);
        }
        let there = &facts.machine(&self.host)?.architecture;
        if there != self.architecture {
            return Err(FactError::Refused(format!(
                "{} is {there} and this otr is for {}: put an otr for {there} at {} there",
                self.host,
                self.architecture,
                self.path.display()
            )));
        }
        let short = |digest: &String| format!("otr with SHA-256 {}…", digest.get(..12).unwrap_or(digest));
        let difference = Difference::new("program", is.as_ref().map(short), short(wanted));
        Ok(Decision::from_parts(vec![difference], vec![Action::InstallOtr { path: self.path.clone(), sha256: wanted.clone() }]))
    }
}
