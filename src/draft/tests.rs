use super::*;
use crate::look::survey::{Cluster, Mount, Service};
use crate::spec::load::parse;

fn machine() -> Machine {
    Machine {
        hostname: "shop".into(),
        architecture: "x86_64".into(),
        system: "debian 12".into(),
        user: "root".into(),
        root: true,
        now: 0.0,
        ahead: 0,
        uptime: 0.0,
        memory: 0,
        addresses: vec!["192.0.2.11".into()],
    }
}

fn survey() -> Survey {
    Survey {
        services: vec![Service {
            unit: "shop.service".into(),
            active: true,
            user: "shop".into(),
            argv: ["/opt/shop/venv/bin/python", "/opt/shop/odoo/odoo-bin", "-c", "/opt/shop/odoo.conf"].map(str::to_owned).into(),
            variables: [("ODOO_SESSION_REDIS_PREFIX".to_owned(), "shop".to_owned())].into(),
        }],
        venvs: ["/opt/shop/venv".into()].into(),
        releases: [16].into(),
        clusters: vec![
            Cluster { version: 13, name: "old".into(), port: 5433, online: false, recovery: false },
            Cluster { version: 15, name: "shop".into(), port: 5444, online: true, recovery: false },
        ],
        mounts: vec![Mount { at: "/srv/shop/data".into(), from: "nas:/shop".into(), kind: "nfs4".into() }],
        servers: [("redis-server".to_owned(), true)].into(),
        files: ["/etc/nginx/sites-enabled/shop".into(), "/etc/systemd/system/shop.service.d/limits.conf".into()].into(),
        ..Survey::default()
    }
}

fn door(name: &str, address: &str) -> Door {
    Door { name: name.parse().unwrap(), address: address.into(), listen: None, user: None, port: None, sudo: true, observe: false }
}

#[test]
fn a_source_checkout_in_a_venv_is_told_in_few_lines() {
    let conf = Ini::parse(
        "[options]\ndata_dir = /srv/shop/data\ndb_name = shop,shop-test\naddons_path = /opt/shop/odoo/addons, /opt/shop/own\n\
         http_interface = 192.0.2.11\nworkers = 5\nserver_wide_modules = base,web,session_redis\nlist_db = False\n",
    )
    .unwrap();
    let (machine, survey) = (machine(), survey());
    let python = PythonSight { exists: true, modules: [("redis".to_owned(), "5.0.1".to_owned())].into(), ..PythonSight::default() };
    let redis = RedisSight::Up {
        settings: [("maxmemory", "536870912"), ("maxmemory-policy", "volatile-lru"), ("appendonly", "yes")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        secrets: [("requirepass".to_owned(), Secret::new("hunter2"))].into(),
        info: BTreeMap::new(),
    };
    let seen = Seen {
        survey: &survey,
        machine: &machine,
        homes: &BTreeMap::new(),
        conf: Some(&conf),
        packages: Some(&Packages::new()),
        python: Some(&python),
        redis: Some(&redis),
    };
    let choices = Choices {
        name: "shop".parse().unwrap(),
        production: door("shop", "192.0.2.11"),
        standby: Some(door("spare", "192.0.2.12")),
        databases: databases_named(Some(&conf)),
        secrets: Some("/root/secrets".into()),
        summary_file: None,
        replicate: true,
    };
    let draft = Draft::make(&seen, &choices);
    let text = draft.render();
    let (spec, _) = parse(&text).map_err(|problems| format!("{problems:?}\n{text}")).unwrap();
    let odoo = spec.odoo.as_ref().unwrap();
    assert_eq!((odoo.unit.as_str(), odoo.user.as_str(), odoo.version), ("shop.service", "shop", Some(16)));
    assert_eq!((odoo.config.to_str(), odoo.data_dir.to_str()), (Some("/opt/shop/odoo.conf"), Some("/srv/shop/data")));
    assert_eq!(odoo.databases.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["shop", "shop-test"]);
    assert!(spec.hosts[0].odoo.contains_key("http_interface") && odoo.clone.is_some(), "{text}");
    assert_eq!(spec.pip.as_ref().unwrap().venv.as_deref(), Some("/opt/shop/venv".as_ref()));
    let cluster = spec.cluster().unwrap();
    assert_eq!((cluster.version, cluster.name.as_str(), cluster.port), (15, "shop", 5444));
    assert_eq!((spec.sessions.module.as_deref(), spec.sessions.prefix.as_deref()), (Some("session_redis"), Some("shop")));
    assert!(
        draft.notes.iter().any(|note| note.contains("13/old")) && draft.notes.iter().any(|note| note.contains("/opt/shop/odoo/odoo-bin")),
        "{:?}",
        draft.notes
    );
    let storage = draft.sections.iter().find(|section| section.key == "storage").unwrap();
    assert!(storage.off.is_some() && storage.text.contains("nas:/shop"), "{text}");
    let named: Vec<String> = spec.secrets().into_iter().map(|(_, source)| source.to_string()).collect();
    assert_eq!(
        (named, secrets(&seen).into_keys().collect()),
        (vec!["file:/root/secrets/redis_password".to_owned()], vec!["redis_password".to_owned()])
    );
    assert!(text.contains("maxmemory: 512mb") && !text.contains("hunter2"), "{text}");
    assert!(text.contains("path: /etc/nginx/sites-available, clone: true, unit: nginx.service"), "{text}");
    assert!(text.lines().count() < 70, "{text}");
}

#[test]
fn what_cannot_stand_takes_along_what_needs_it() {
    let (machine, survey) = (machine(), survey());
    let conf = Ini::parse("[options]\nserver_wide_modules = base,web,session_redis\n").unwrap();
    let seen =
        Seen { survey: &survey, machine: &machine, homes: &BTreeMap::new(), conf: Some(&conf), packages: None, python: None, redis: None };
    let choices = Choices {
        name: "shop".parse().unwrap(),
        production: door("shop", "local"),
        standby: None,
        databases: Vec::new(),
        secrets: None,
        summary_file: None,
        replicate: false,
    };
    let mut draft = Draft::make(&seen, &choices);
    assert!(draft.put_off("redis", "a\nb") && !draft.put_off("redis", "again"));
    let text = draft.render();
    assert!(text.contains("# sessions: {") && text.contains("# Not yet: a b\n"), "{text}");
    let (spec, _) = parse(&text).map_err(|problems| format!("{problems:?}\n{text}")).unwrap();
    assert!(spec.redis.is_none());
}
