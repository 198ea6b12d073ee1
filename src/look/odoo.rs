//! Odoo as a browser sees it: the login page and every asset it names, asked for on the host.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Reply, SightError, quote, quote_path};
use crate::name::{DatabaseName, UnitName};

/// Whose page is asked for, and how.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Visit {
    /// Odoo's service: where it listens is seen of its processes.
    pub unit: Option<UnitName>,
    /// Its configuration, unless its processes say another.
    pub config: PathBuf,
    /// The port, where none is seen.
    pub port: u16,
    /// The database to log in to.
    pub database: Option<DatabaseName>,
}

/// What the login page and its assets answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoginPage {
    /// HTTP status of `/web/login`; 0 if nothing answered.
    pub status: u16,
    /// Why nothing answered.
    #[serde(default)]
    pub error: Option<String>,
    /// Each asset the page names, with its HTTP status.
    #[serde(default)]
    pub assets: Vec<Probe>,
    /// The address and port that were asked.
    #[serde(default)]
    pub at: String,
    /// Where the page sends whoever wants to log in, if not to a login.
    #[serde(default)]
    pub ended: Option<String>,
    /// Why Odoo's own configuration keeps everybody from this database.
    #[serde(default)]
    pub refused: Option<String>,
    /// The port of chat and notifications, where there are workers.
    #[serde(default)]
    pub websocket: Option<Probe>,
    /// The last line of Odoo's log that says what is wrong.
    #[serde(default)]
    pub log: Option<String>,
}

impl LoginPage {
    /// Nothing took the connection: Odoo may be starting.
    pub fn is_silent(&self) -> bool {
        self.status == 0 && self.refused.is_none()
    }

    /// Why users cannot log in there, or not work; `None` if all is well.
    pub fn trouble(&self) -> Option<String> {
        let broken: Vec<String> = self.assets.iter().filter(|a| a.status != 200).map(|a| format!("{} {}", a.status, a.path)).collect();
        let why = match (&self.refused, &self.error, &self.ended) {
            (Some(why), ..) => why.clone(),
            (_, Some(why), _) => format!("nothing answers on {}: {why}", self.at),
            (.., Some(to)) if to.starts_with("/web/database") => format!(
                "the login page sends everybody to {to}: Odoo cannot use its database, or more than one fits (db_name, dbfilter, its login)"
            ),
            // A single sign-on is somebody else's page.
            (.., Some(_)) => return None,
            _ if self.status != 200 => format!("the login page answers {}", self.status),
            _ if !broken.is_empty() => format!("{} assets of the login page are broken: {}", broken.len(), broken.join(", ")),
            _ if self.assets.is_empty() => "the page names no asset, so it is no login page".into(),
            _ => match &self.websocket {
                Some(probe) if probe.status == 0 || probe.status >= 500 => {
                    format!("there are workers, and nothing of Odoo's answers on {}: no chat, no notifications", probe.path)
                }
                _ => return None,
            },
        };
        let log = self.log.as_ref().map(|line| format!("; its log says: {line}")).unwrap_or_default();
        Some(why + &log)
    }
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The path asked for.
    pub path: String,
    /// HTTP status; 0 if nothing answered.
    pub status: u16,
}

/// Odoo is Python, so Python is there; curl may not be.
pub(super) fn script(visit: &Visit) -> String {
    let word = |text: Option<&str>| quote(text.unwrap_or_default());
    format!(
        "command -v python3 >/dev/null || {{ echo '{{\"status\": 0, \"error\": \"no python3\"}}'; exit 0; }}; python3 -c {} {} {} {} {}",
        quote(PROGRAM),
        word(visit.unit.as_ref().map(UnitName::as_str)),
        quote_path(&visit.config),
        visit.port,
        word(visit.database.as_ref().map(|name| name.as_str()))
    )
}

const PROGRAM: &str = include_str!("odoo/login_page.py");

pub(super) fn read(reply: &Reply, limit: u64) -> Result<LoginPage, SightError> {
    serde_json::from_str(reply.text(limit)?).map_err(|e| SightError::Unreadable(e.to_string()))
}
