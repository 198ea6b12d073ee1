//! `muk_session_store`: a folder in addons_path (with muk_utils), settings in odoo.conf. Source:
//! store/redis.py and patch/http.py of muk_base, branches up to 13.0.

use super::{Code, Module, Pairs, Settings, Store, Wish};
use crate::secret::Text;

pub(super) const MODULE: Module = Module {
    name: "muk_session_store",
    addon: "muk_session_store",
    stores: &[Store::Redis, Store::Database],
    odoo: (10, 13),
    redis: None,
    python: None,
    sentinel: Err("it connects to one server and never asks a sentinel"),
    tls: Ok(()),
    prefix: true,
    workers: false,
    code: Code::AddonsPath,
    requirements: |_, _| vec!["redis".into()],
    settings,
    key: |prefix| prefix.unwrap_or_default().to_owned(),
};

fn settings(wish: &Wish<'_>) -> Settings {
    let mut pairs = Pairs::default();
    let on = |on: bool| if on { "True" } else { "False" };
    pairs.set("session_store_redis", on(wish.store == Store::Redis));
    pairs.set("session_store_database", on(wish.store == Store::Database));
    if wish.store == Store::Database {
        pairs.maybe("session_store_dbname", wish.uri.clone());
        return Settings { environment: Vec::new(), options: pairs.0 };
    }
    pairs.set("session_store_host", wish.host);
    pairs.set("session_store_port", wish.port.to_string());
    pairs.set("session_store_dbindex", wish.index.unwrap_or(1).to_string());
    pairs.maybe("session_store_prefix", wish.prefix);
    pairs.maybe("session_store_pass", wish.password.clone());
    pairs.set("session_store_ssl", on(wish.tls.is_some()));
    // Left out, it takes any certificate.
    pairs.maybe("session_store_ssl_cert_reqs", wish.tls.map(|_| Text::from("required")));
    Settings { environment: Vec::new(), options: pairs.0 }
}
