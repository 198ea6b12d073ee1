//! `mangono-addon-redis-session-store` (PyPI): settings in the environment alone. Source: its
//! env_config.py, versions 2.4.1 and 3.0.1.

use super::{Code, Module, Pairs, Settings, Store, Wish, double_colon, url};

pub(super) const MODULE: Module = Module {
    name: "mangono-addon-redis-session-store",
    addon: "redis_session_store",
    stores: &[Store::Redis],
    odoo: (14, 20),
    redis: Some((7, COMMAND_LIST)),
    python: None,
    sentinel: Err(NO_SENTINEL),
    tls: Ok(()),
    prefix: true,
    workers: false,
    code: Code::Pypi,
    requirements: |version, _| vec![super::pinned("mangono-addon-redis-session-store", version)],
    settings,
    key: double_colon,
};

pub(super) const COMMAND_LIST: &str =
    "it asks for COMMAND LIST at its start, which came with Redis 7; an older one answers an error, and every page is an error";
pub(super) const NO_SENTINEL: &str = "it connects to one server and never asks a sentinel";

fn settings(wish: &Wish<'_>) -> Settings {
    let mut pairs = Pairs::default();
    if wish.tls.is_some() || wish.user.is_some() {
        // Its own keys have no place for an authority's file or a login; the URL comes before all of them.
        pairs.set("REDIS_URL", url::of(wish));
    } else {
        pairs.set("REDIS_HOST", wish.host);
        pairs.set("REDIS_PORT", wish.port.to_string());
        pairs.maybe("REDIS_PASSWORD", wish.password.clone());
        pairs.maybe("REDIS_DB_INDEX", wish.index.map(|n| n.to_string()));
        // Unless it is told, it speaks TLS to a server that does not, and hangs.
        pairs.set("REDIS_SSL", "False");
    }
    pairs.maybe("REDIS_PREFIX", wish.prefix);
    // Version 3 dropped the first part of the two names.
    for (old, new, span) in [
        ("ODOO_SESSION_REDIS_EXPIRATION", "SESSION_EXPIRATION", wish.expiration),
        ("ODOO_SESSION_REDIS_EXPIRATION_ANONYMOUS", "SESSION_EXPIRATION_ANONYMOUS", wish.anonymous),
    ] {
        pairs.maybe(old, span.map(|s| s.to_string()));
        pairs.maybe(new, span.map(|s| s.to_string()));
    }
    Settings { environment: pairs.0, options: Vec::new() }
}
