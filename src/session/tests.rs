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

#[test]
fn each_module_gets_its_own_words() {
    assert_eq!(
        environment("session_redis", &wish()),
        [
            "ODOO_SESSION_REDIS=1",
            "ODOO_SESSION_REDIS_HOST=127.0.0.1",
            "ODOO_SESSION_REDIS_PORT=6379",
            "ODOO_SESSION_REDIS_PASSWORD=p@ss/w%rd",
            "ODOO_SESSION_REDIS_PREFIX=acme",
            "ODOO_SESSION_REDIS_EXPIRATION=604800"
        ]
    );
    let mangono = environment("mangono-addon-redis-session-store", &wish());
    assert!(mangono.contains(&"REDIS_SSL=False".into()) && mangono.contains(&"SESSION_EXPIRATION=604800".into()), "{mangono:?}");
    let muk = environment("muk_session_store", &Wish { index: Some(3), ..wish() });
    assert!(muk.contains(&"session_store_dbindex=3".into()) && muk.contains(&"session_store_pass=p@ss/w%rd".into()), "{muk:?}");
    let uri = Text::from("postgres://db/sessions");
    let db = environment("session_db", &Wish { store: Store::Database, uri: Some(uri), ..wish() });
    assert_eq!(db, ["SESSION_DB_URI=postgres://db/sessions"]);
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
    assert_eq!(server_wide(Some("x,base,web"), Some(14), "x"), "x,base,web", "an order somebody chose stays");
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
