//! The boot guard on a host: its configuration and the drop-ins that make systemd ask it.

use std::path::PathBuf;

use super::postgres::Reach;
use super::{Decision, Kind, Resource, ResourceId, file};
use crate::action::{Action, Attributes};
use crate::facts::{FactError, Facts};
use crate::guard::{CONFIG, Config};
use crate::look::Look;
use crate::name::{HostName, UnitName};
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
        file::settle(host, CONFIG.as_ref(), differences, &text, &self.attributes, facts)
    }
}

/// A drop-in that counts from the unit's next start: systemd reads it now, and nothing restarts.
#[derive(Debug)]
pub struct DropIn {
    /// Where.
    pub host: HostName,
    /// Whose.
    pub unit: UnitName,
    /// Its file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Owner and mode.
    pub attributes: Attributes,
}

impl Resource for DropIn {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::File, self.path.display().to_string())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        file::looks(&self.host, &self.path, false)
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let text = Text::Plain(self.text.clone());
        let is = file::current(&self.host, &self.path, false, facts)?;
        let differences = file::content_differences(is.as_ref().map(Text::expose), &text);
        let mut decision = file::settle(&self.host, &self.path, differences, &text, &self.attributes, facts)?;
        if let Decision::Change(change) = &mut decision {
            change.actions.push(Action::DaemonReload);
        }
        Ok(decision)
    }
}
