//! OCA's `session_db` (PyPI): a table of PostgreSQL, so sessions follow the database as it
//! replicates. Source: its pg_session_store.py, versions 14.0 and 19.0.

use super::{Code, Module, Pairs, Settings, Store, Wish};

pub(super) const MODULE: Module = Module {
    name: "session_db",
    addon: "session_db",
    stores: &[Store::Database],
    odoo: (13, 19),
    redis: None,
    python: Some((
        "werkzeug",
        1,
        14,
        "it imports werkzeug.contrib, which werkzeug 1.0 dropped; Odoo only logs that, and keeps sessions in files",
    )),
    sentinel: Err("it keeps sessions in PostgreSQL"),
    tls: Err("it keeps sessions in PostgreSQL: say sslmode in `uri`"),
    prefix: false,
    // Its one connection is not shared between threads (its README).
    workers: true,
    code: Code::Pypi,
    requirements,
    settings,
    key: |_| String::new(),
};

/// OCA packs each series under its own name up to 14, then under one name with the series in its version.
fn requirements(version: Option<&str>, odoo: Option<u32>) -> Vec<String> {
    let (name, series) = match odoo {
        Some(odoo @ ..=14) => (format!("odoo{odoo}-addon-session-db"), None),
        Some(odoo) => ("odoo-addon-session-db".to_owned(), Some(odoo)),
        None => ("odoo-addon-session-db".to_owned(), None),
    };
    vec![match (version, series) {
        (Some(version), _) => format!("{name}=={version}"),
        (None, Some(series)) => format!("{name}=={series}.0.*"),
        (None, None) => name,
    }]
}

fn settings(wish: &Wish<'_>) -> Settings {
    let mut pairs = Pairs::default();
    pairs.maybe("SESSION_DB_URI", wish.uri.clone());
    Settings { environment: pairs.0, options: Vec::new() }
}
