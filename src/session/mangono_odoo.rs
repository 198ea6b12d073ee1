//! `mangono-odoo-redis-session` (PyPI), the older of the two: settings in the environment, or in a
//! section of odoo.conf that Odoo 19 no longer keeps. Source: its redis_config.py, version 1.4.1.

use super::mangono_addon::{COMMAND_LIST, NO_SENTINEL};
use super::{Code, Module, Pairs, Settings, Store, Wish, double_colon, url};

pub(super) const MODULE: Module = Module {
    name: "mangono-odoo-redis-session",
    addon: "redis_session_store",
    stores: &[Store::Redis],
    // It reads `config.misc` even where the environment says all, and 19 has none.
    odoo: (13, 18),
    redis: Some((7, COMMAND_LIST)),
    python: None,
    sentinel: Err(NO_SENTINEL),
    tls: Ok(()),
    prefix: true,
    workers: false,
    code: Code::Pypi,
    requirements: |version, _| vec![super::pinned("mangono-odoo-redis-session", version)],
    settings,
    key: double_colon,
};

fn settings(wish: &Wish<'_>) -> Settings {
    let mut pairs = Pairs::default();
    if wish.tls.is_some() || wish.user.is_some() || wish.index.is_some() {
        // It reads a database number from nowhere else.
        pairs.set("REDIS_URL", url::of(wish));
    } else {
        pairs.set("REDIS_HOST", wish.host);
        pairs.set("REDIS_PORT", wish.port.to_string());
        pairs.maybe("REDIS_PASSWORD", wish.password.clone());
        // Its default is True, also for a server without TLS.
        pairs.set("REDIS_SSL", "False");
    }
    pairs.maybe("REDIS_PREFIX", wish.prefix);
    pairs.maybe("ODOO_SESSION_REDIS_EXPIRATION", wish.expiration.map(|s| s.to_string()));
    pairs.maybe("ODOO_SESSION_REDIS_EXPIRATION_ANONYMOUS", wish.anonymous.map(|s| s.to_string()));
    Settings { environment: pairs.0, options: Vec::new() }
}
