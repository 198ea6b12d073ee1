//! The epoch on a host: raised by a promotion, and equal on both hosts afterwards.

use super::{Decision, Difference, Kind, Resource, ResourceId};
use crate::action::{Action, Attributes};
use crate::epoch::Epoch;
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::name::HostName;

/// A host's epoch is this one: what a promotion wants.
#[derive(Debug)]
pub struct Raised {
    /// Where.
    pub host: HostName,
    /// The installation.
    pub installation: String,
    /// The epoch.
    pub epoch: Epoch,
    /// Owner and mode of its file.
    pub attributes: Attributes,
}

/// A host's epoch agrees with the spec: production's own, and the same on a standby.
#[derive(Debug)]
pub struct Agreed {
    /// Where.
    pub host: HostName,
    /// Production, says the spec.
    pub production: HostName,
    /// The installation.
    pub installation: String,
    /// Owner and mode of its file.
    pub attributes: Attributes,
}

fn write(installation: &str, is: &Epoch, epoch: &Epoch, attributes: &Attributes) -> Decision {
    let action =
        Action::WriteFile { path: Epoch::path(installation), content: epoch.text().into(), attributes: attributes.clone(), reader: None };
    Decision::from_parts(vec![Difference::new("epoch", is.to_string(), epoch.to_string())], vec![action])
}

impl Resource for Raised {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Epoch, &self.installation)
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        vec![(self.host.clone(), Look::Content(Epoch::path(&self.installation)))]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let is = Epoch::seen(facts, &self.host, &self.installation)?;
        if is == self.epoch {
            return Ok(Decision::Holds);
        }
        Ok(write(&self.installation, &is, &self.epoch, &self.attributes))
    }
}

impl Resource for Agreed {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Epoch, &self.installation)
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let look = Look::Content(Epoch::path(&self.installation));
        [&self.host, &self.production].into_iter().map(|host| (host.clone(), look.clone())).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let (host, production) = (&self.host, &self.production);
        let right = Epoch::seen(facts, production, &self.installation)?;
        if let Some(other) = right.production.as_ref().filter(|other| *other != production) {
            return Err(FactError::Refused(format!(
                "the spec says that {production} is production, but epoch {} there is {other}'s: \
                 a promotion of {other} was begun or done. Write `production: {other}`, or finish it: `otr promote {other}`",
                right.number
            )));
        }
        let is = Epoch::seen(facts, host, &self.installation)?;
        if is.number > right.number && is.production.as_ref() == Some(production) {
            return Err(FactError::Refused(format!(
                "{host} has epoch {is}, and {production} was not told of it: a procedure was cut off. Finish it:                  `otr promote {production}`, or if {production} takes writes already, `otr rejoin {host}`"
            )));
        }
        if is.number > right.number {
            let promoted = is.production.as_ref().unwrap_or(host);
            return Err(FactError::Refused(format!(
                "{host} has epoch {is}, above {production}'s {right}: a promotion of {promoted} was begun or done. \
                 Write `production: {promoted}`, or finish it: `otr promote {promoted}`"
            )));
        }
        Ok(if is == right { Decision::Holds } else { write(&self.installation, &is, &right, &self.attributes) })
    }
}
