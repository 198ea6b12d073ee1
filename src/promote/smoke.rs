//! The smoke test: Odoo's login page answers 200, and so does every asset it names.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::journal::Journal;
use super::{Progress, Promotion, look};
use crate::look::{LoginPage, Look};
use crate::name::DatabaseName;

/// What Odoo answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smoke {
    /// HTTP status of the login page.
    pub login: u16,
    /// Assets that answered 200.
    pub assets: usize,
    /// Assets that did not, with their status.
    pub broken: Vec<String>,
}

/// How long Odoo may take to answer after its start, seconds.
const PATIENCE: u64 = 180;
/// How long its service may be down meanwhile: systemd tries again after 5 s, where otr said so.
const DOWN: Duration = Duration::from_secs(15);

pub(super) fn test(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Result<Option<String>, String> {
    let spec = promotion.inputs.spec;
    let Some(odoo) = &spec.odoo else { return Ok(Some("the spec has no `odoo:`, so nothing is asked".into())) };
    let host = promotion.host;
    let port = spec.http_port(host);
    let database: Option<&DatabaseName> = odoo.databases.first();
    let mut ran = Instant::now();
    let mut ask = || -> Result<LoginPage, String> {
        let looks = [Look::LoginPage { port, database: database.cloned() }, Look::Unit(odoo.unit.clone())];
        let facts = look(promotion, host, &looks);
        // Between two attempts systemd calls it activating: then it ended later than it began.
        if facts.unit(host, &odoo.unit).is_ok_and(|unit| unit.active && unit.active_since >= unit.last_active) {
            ran = Instant::now();
        }
        if ran.elapsed() > DOWN {
            return Err(format!("{0} does not stay up on {host}; see journalctl -u {0} and Odoo's log", odoo.unit));
        }
        facts.login_page(host, port, database).cloned().map_err(|e| e.to_string())
    };
    let deadline = Instant::now() + promotion.patience(PATIENCE);
    let mut page = ask()?;
    while page.status != 200 && Instant::now() < deadline {
        promotion.watch.waits(&format!("Odoo on {host} (its login page answers {})", page.status));
        std::thread::sleep(Duration::from_millis(200));
        page = ask()?;
    }
    let broken: Vec<String> = page.assets.iter().filter(|a| a.status != 200).map(|a| format!("{} {}", a.status, a.path)).collect();
    let smoke = Smoke { login: page.status, assets: page.assets.len() - broken.len(), broken };
    progress.smoke = Some(smoke.clone());
    if page.status != 200 {
        let why = page.error.map(|e| format!(" ({e})")).unwrap_or_default();
        return Err(format!(
            "Odoo's login page on {host} answers {}{why} after {PATIENCE} s; see journalctl -u {} and Odoo's log",
            page.status, odoo.unit
        ));
    }
    if !smoke.broken.is_empty() {
        return Err(format!("{} assets of the login page are broken: {}", smoke.broken.len(), smoke.broken.join(", ")));
    }
    Ok(Some(format!("login page 200, {} assets 200", smoke.assets)))
}
