//! The boot guard's configuration on a host.

use super::postgres::Reach;
use super::{Decision, Kind, Resource, ResourceId, file};
use crate::action::Attributes;
use crate::facts::{FactError, Facts};
use crate::guard::{CONFIG, Config};
use crate::look::Look;
use crate::name::HostName;
use crate::secret::Text;

/// What the guard must know.
#[derive(Debug)]
pub struct GuardConfig {
    /// All but the peers.
    pub config: Config,
    /// Whom it asks.
    pub peers: Vec<Reach>,
    /// Owner and mode.
    pub attributes: Attributes,
}

impl Resource for GuardConfig {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.config.host, Kind::File, CONFIG)
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks = file::looks(&self.config.host, CONFIG.as_ref(), false);
        looks.extend(self.peers.iter().filter(|peer| peer.said.is_none()).map(|peer| (peer.host.clone(), Look::Machine)));
        looks
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let mut config = self.config.clone();
        for peer in &self.peers {
            config.peers.push((peer.host.clone(), peer.address(facts)?));
        }
        let text = serde_json::to_string_pretty(&config).map_err(|error| FactError::Refused(error.to_string()))? + "\n";
        let (host, text) = (&config.host, Text::Plain(text));
        let is = file::current(host, CONFIG.as_ref(), false, facts)?;
        let differences = file::content_differences(is.as_ref().map(Text::expose), &text);
        file::settle(host, CONFIG.as_ref(), differences, &text, &self.attributes, None, facts)
    }
}
