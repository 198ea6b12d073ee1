use super::*;

fn wish<'a>() -> Wish<'a> {
    Wish {
        store: Store::Redis,
        host: "127.0.0.1",
        port: 6379,
        index: None,
        user: None,
        password: Some(Text::Sensitive(Secret::new("p@ss/w%rd"))),
        prefix: Some("acme"),
        expiration: Some(604_800),
        anonymous: None,
        tls: None,
        sentinel: None,
        uri: None,
    }
}

fn environment(name: &str, wish: &Wish<'_>) -> Vec<String> {
    let settings = (Module::find(name).unwrap().settings)(wish);
    let both = settings.environment.iter().chain(&settings.options);
    both.map(|(name, value)| format!("{name}={}", value.expose())).collect()
}

/// Everything that can be wished for without TLS.
fn all<'a>() -> Wish<'a> {
    let uri = Some(Text::from("postgres://db/sessions"));
    Wish { index: Some(3), anonymous: Some(3600), uri, ..wish() }
}

#[test]
fn each_module_gets_its_own_words() {
    let url = "redis://:p%40ss%2Fw%25rd@127.0.0.1:6379/3";
    let camptocamp =
        ["ODOO_SESSION_REDIS_PREFIX=acme", "ODOO_SESSION_REDIS_EXPIRATION=604800", "ODOO_SESSION_REDIS_EXPIRATION_ANONYMOUS=3600"];
    let words = |own: &[&str], more: &[&str]| [own, more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let by_url = format!("ODOO_SESSION_REDIS_URL={url}");
    assert_eq!(environment("session_redis", &all()), words(&["ODOO_SESSION_REDIS=1", &by_url], &camptocamp));
    let by_host = [
        "ODOO_SESSION_REDIS=1",
        "ODOO_SESSION_REDIS_HOST=127.0.0.1",
        "ODOO_SESSION_REDIS_PORT=6379",
        "ODOO_SESSION_REDIS_PASSWORD=p@ss/w%rd",
    ];
    assert_eq!(environment("session_redis", &Wish { index: None, ..all() }), words(&by_host, &camptocamp));
    let sentinel = Some(Sentinel { host: "127.0.0.1", port: 26379, primary: "acme" });
    let by_sentinel = [
        "ODOO_SESSION_REDIS=1",
        "ODOO_SESSION_REDIS_SENTINEL_HOST=127.0.0.1",
        "ODOO_SESSION_REDIS_SENTINEL_PORT=26379",
        "ODOO_SESSION_REDIS_SENTINEL_MASTER_NAME=acme",
        "ODOO_SESSION_REDIS_PASSWORD=p@ss/w%rd",
    ];
    assert_eq!(environment("session_redis", &Wish { sentinel, ..all() }), words(&by_sentinel, &camptocamp));
    let plain = ["REDIS_HOST=127.0.0.1", "REDIS_PORT=6379", "REDIS_PASSWORD=p@ss/w%rd"];
    let spans = [
        "REDIS_SSL=False",
        "REDIS_PREFIX=acme",
        "ODOO_SESSION_REDIS_EXPIRATION=604800",
        "SESSION_EXPIRATION=604800",
        "ODOO_SESSION_REDIS_EXPIRATION_ANONYMOUS=3600",
        "SESSION_EXPIRATION_ANONYMOUS=3600",
    ];
    let addon = [&plain[..], &["REDIS_DB_INDEX=3"], &spans].concat();
    assert_eq!(environment("mangono-addon-redis-session-store", &all()), addon);
    assert_eq!(
        environment("mangono-odoo-redis-session", &all()),
        words(&[&format!("REDIS_URL={url}"), "REDIS_PREFIX=acme"], &camptocamp[1..])
    );
    let older = environment("mangono-odoo-redis-session", &Wish { index: None, ..all() });
    assert_eq!(older, words(&plain, &[&spans[..2], &camptocamp[1..]].concat()));
    assert_eq!(
        environment("muk_session_store", &all()),
        [
            "session_store_redis=True",
            "session_store_database=False",
            "session_store_host=127.0.0.1",
            "session_store_port=6379",
            "session_store_dbindex=3",
            "session_store_prefix=acme",
            "session_store_pass=p@ss/w%rd",
            "session_store_ssl=False"
        ]
    );
    let muk = environment("muk_session_store", &Wish { store: Store::Database, ..all() });
    assert_eq!(muk, ["session_store_redis=False", "session_store_database=True", "session_store_dbname=postgres://db/sessions"]);
    assert_eq!(environment("session_db", &Wish { store: Store::Database, ..all() }), ["SESSION_DB_URI=postgres://db/sessions"]);
}

#[test]
fn tls_goes_by_url_with_the_authority_named() {
    let secure = Wish { tls: Some(Path::new("/etc/redis/ca.crt")), user: Some("odoo"), ..wish() };
    let url = "rediss://odoo:p%40ss%2Fw%25rd@127.0.0.1:6379/0?ssl_cert_reqs=required&ssl_ca_certs=%2Fetc%2Fredis%2Fca.crt";
    for (module, key) in [
        ("session_redis", "ODOO_SESSION_REDIS_URL"),
        ("mangono-addon-redis-session-store", "REDIS_URL"),
        ("mangono-odoo-redis-session", "REDIS_URL"),
    ] {
        let told = environment(module, &secure);
        assert!(told.contains(&format!("{key}={url}")), "{module}: {told:?}");
        assert!(!told.iter().any(|line| line.contains("HOST=")), "{module}: {told:?}");
    }
    let muk = environment("muk_session_store", &secure);
    assert!(muk.contains(&"session_store_ssl_cert_reqs=required".into()), "{muk:?}");
}

#[test]
fn what_holds_a_password_stays_a_secret() {
    for module in MODULES {
        for tls in [None, Some(Path::new("/ca"))] {
            let settings = (module.settings)(&Wish { tls, ..wish() });
            for (name, value) in settings.environment.iter().chain(&settings.options) {
                assert!(value.is_sensitive() == (value.expose().contains("ss")) || value.expose() == "required", "{name}: {value:?}");
            }
        }
    }
}

#[test]
fn the_module_stands_behind_what_it_replaces() {
    assert_eq!(server_wide(None, Some(14), "x"), "base,web,x");
    assert_eq!(server_wide(None, Some(19), "x"), "base,rpc,web,x");
    assert_eq!(server_wide(Some("base, web,queue_job"), Some(14), "x"), "base,web,queue_job,x");
    assert_eq!(server_wide(Some("x,base,web"), Some(14), "x"), "base,web,x", "before what it replaces it is in a wrong place");
    assert_eq!(server_wide(Some("queue_job,x,web,y"), Some(14), "x"), "queue_job,web,x,y", "an order somebody chose stays");
    assert_eq!(server_wide(Some("base,x,y"), Some(14), "x"), "base,x,y");
}

#[test]
fn names_and_versions() {
    assert_eq!(Module::find("session_db").unwrap().addon, "session_db");
    assert!(Module::find("redis_session_store").is_none(), "two modules have that name");
    assert!(Module::find("muk_session_store").unwrap().refuses(14).unwrap().contains("10 to 13"));
    assert!(Module::find("mangono-odoo-redis-session").unwrap().refuses(19).is_some());
    let db = Module::find("session_db").unwrap();
    assert_eq!((db.requirements)(None, Some(14)), ["odoo14-addon-session-db"]);
    assert_eq!((db.requirements)(None, Some(19)), ["odoo-addon-session-db==19.0.*"]);
    assert_eq!((db.requirements)(Some("14.0.1.0.2"), Some(14)), ["odoo14-addon-session-db==14.0.1.0.2"]);
    assert_eq!((Module::find("session_redis").unwrap().key)(Some("a")), "session::a:");
    assert_eq!((Module::find("session_redis").unwrap().key)(None), "session:");
}
