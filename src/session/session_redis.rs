//! camptocamp's `session_redis` (odoo-cloud-platform): a folder in addons_path, settings in the
//! environment. Source: session_redis/http.py and session.py, branches 13.0 to 17.0.

use super::{Code, Module, Pairs, Settings, Store, Wish, double_colon, url};

pub(super) const MODULE: Module = Module {
    name: "session_redis",
    addon: "session_redis",
    stores: &[Store::Redis],
    odoo: (10, 19),
    redis: None,
    python: None,
    sentinel: Ok(()),
    tls: Ok(()),
    prefix: true,
    workers: false,
    code: Code::AddonsPath,
    requirements: |_, _| vec!["redis".into()],
    settings,
    key: double_colon,
};

fn settings(wish: &Wish<'_>) -> Settings {
    let mut pairs = Pairs::default();
    pairs.set("ODOO_SESSION_REDIS", "1");
    if let Some(sentinel) = &wish.sentinel {
        pairs.set("ODOO_SESSION_REDIS_SENTINEL_HOST", sentinel.host);
        pairs.set("ODOO_SESSION_REDIS_SENTINEL_PORT", sentinel.port.to_string());
        pairs.set("ODOO_SESSION_REDIS_SENTINEL_MASTER_NAME", sentinel.primary);
        pairs.maybe("ODOO_SESSION_REDIS_PASSWORD", wish.password.clone());
    } else if wish.tls.is_some() || wish.user.is_some() || wish.index.is_some() {
        // It knows TLS, logins and database numbers by URL alone, and takes the URL before all else.
        pairs.set("ODOO_SESSION_REDIS_URL", url::of(wish));
    } else {
        pairs.set("ODOO_SESSION_REDIS_HOST", wish.host);
        pairs.set("ODOO_SESSION_REDIS_PORT", wish.port.to_string());
        pairs.maybe("ODOO_SESSION_REDIS_PASSWORD", wish.password.clone());
    }
    pairs.maybe("ODOO_SESSION_REDIS_PREFIX", wish.prefix);
    pairs.maybe("ODOO_SESSION_REDIS_EXPIRATION", wish.expiration.map(|s| s.to_string()));
    pairs.maybe("ODOO_SESSION_REDIS_EXPIRATION_ANONYMOUS", wish.anonymous.map(|s| s.to_string()));
    Settings { environment: pairs.0, options: Vec::new() }
}
