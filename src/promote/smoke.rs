//! The smoke test: each database's login page answers 200, and so does every asset it names, and the port of
//! chat and notifications. What will not become well by itself is told in seconds.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::journal::Journal;
use super::{Progress, Promotion, look};
use crate::look::{LoginPage, Look, Visit};
use crate::spec::Odoo;

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
/// How long it may answer wrongly, or its service be down: systemd tries again after 5 s, where otr said so.
const WRONG: Duration = Duration::from_secs(15);

pub(super) fn test(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Result<Option<String>, String> {
    let spec = promotion.inputs.spec;
    let Some(odoo) = &spec.odoo else { return Ok(Some("the spec has no `odoo:`, so nothing is asked".into())) };
    let host = promotion.host;
    let mut told = Vec::new();
    for visit in odoo.visits(spec.http_port(host)) {
        let page = answer(promotion, odoo, &visit)?;
        let broken: Vec<String> = page.assets.iter().filter(|a| a.status != 200).map(|a| format!("{} {}", a.status, a.path)).collect();
        let smoke = Smoke { login: page.status, assets: page.assets.len() - broken.len(), broken };
        let several = visit.database.as_ref().filter(|_| odoo.databases.len() > 1);
        let (about, assets) = (several.map(|name| format!(" of {name}")).unwrap_or_default(), smoke.assets);
        // The first database's is the one on record, unless a later one fails.
        if progress.smoke.is_none() || page.trouble().is_some() {
            progress.smoke = Some(smoke);
        }
        if let Some(why) = page.trouble() {
            return Err(format!("users cannot work with Odoo{about} on {host}: {why}; see journalctl -u {} and Odoo's log", odoo.unit));
        }
        told.push(match &page.ended {
            Some(to) => format!("login page{about} sends to {to}"),
            None => format!("login page{about} {}, {assets} assets 200", page.status),
        });
    }
    Ok(Some(told.join("; ")))
}

/// Asks until all is well, or nothing will become well by itself.
fn answer(promotion: &Promotion<'_>, odoo: &Odoo, visit: &Visit) -> Result<LoginPage, String> {
    let host = promotion.host;
    let deadline = Instant::now() + promotion.patience(PATIENCE);
    let wrong = if promotion.at_once { Duration::ZERO } else { WRONG };
    let (mut ran, mut silent) = (Instant::now(), Instant::now());
    let mut restarts = None;
    loop {
        let facts = look(promotion, host, &[Look::LoginPage(visit.clone()), Look::Unit(odoo.unit.clone())]);
        if let Ok(unit) = facts.unit(host, &odoo.unit) {
            // Between two attempts systemd calls it activating: then it ended later than it began.
            if unit.active && unit.active_since >= unit.last_active {
                ran = Instant::now();
            }
            let again = unit.restarts.saturating_sub(*restarts.get_or_insert(unit.restarts));
            if ran.elapsed() > WRONG || again > 1 {
                return Err(format!("{0} does not stay up on {host}; see journalctl -u {0} and Odoo's log", odoo.unit));
            }
        }
        let page = facts.login_page(host, visit).cloned().map_err(|e| e.to_string())?;
        if page.is_silent() {
            silent = Instant::now();
        }
        if page.trouble().is_none() || silent.elapsed() >= wrong && !page.is_silent() || Instant::now() >= deadline {
            return Ok(page);
        }
        promotion.watch.waits(&format!("Odoo on {host} (its login page answers {})", page.status));
        std::thread::sleep(Duration::from_millis(200));
    }
}
