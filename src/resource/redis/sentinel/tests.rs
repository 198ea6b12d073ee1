use std::collections::BTreeMap;

use super::*;
use crate::action::Attributes;
use crate::look::{Entry, Seen, Sight};
use crate::name::Mode;
use crate::resource::postgres::Reach;
use crate::resource::redis::Redis;
use crate::secret::Secret;

const FILE: &str = "bind 0.0.0.0\nport 26379\nsentinel myid abc\nsentinel monitor acme 10.0.0.1 6379 2\nsentinel auth-pass acme s3cret\n";

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

fn watch() -> Watch {
    let hosts = ["erp1", "erp2", "third"].map(name).to_vec();
    Watch { name: "acme".into(), port: 26379, hosts, servers: vec![(name("erp1"), "10.0.0.1".into()), (name("erp2"), "10.0.0.2".into())] }
}

fn wish(decides: bool) -> Sentinel {
    Sentinel {
        host: name("erp2"),
        unit: "redis-sentinel.service".parse().unwrap(),
        config: "/etc/redis/sentinel.conf".into(),
        watch: watch(),
        decides,
        production: (name("erp1"), RedisServer { config: "/etc/redis/redis.conf".into(), port: 6379 }),
        quorum: 2,
        options: vec![("down-after-milliseconds", "5000".into())],
        password: Some(Ok(Text::Sensitive(Secret::new("s3cret")))),
        directives: vec![("bind".into(), "0.0.0.0".into()), ("sentinel notification-script acme".into(), "/bin/tell".into())],
    }
}

fn up(address: &str, epoch: u64) -> SentinelSight {
    let epoch = epoch.to_string();
    let fields = [
        ("ip", address),
        ("port", "6379"),
        ("quorum", "2"),
        ("down-after-milliseconds", "5000"),
        ("config-epoch", &epoch),
        ("flags", "master"),
    ];
    let primary = fields.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().filter(|_| !address.is_empty()).collect();
    SentinelSight::Up { primary, quorum: "OK 3 usable Sentinels".into() }
}

fn redis(role: &str, more: &[(&str, &str)]) -> RedisSight {
    let info = [("role", role)].iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    RedisSight::Up { settings: BTreeMap::new(), secrets: BTreeMap::new(), info }
}

/// erp1 is dead unless it has a Redis; each sentinel answers what is given.
fn facts(file: &str, sentinels: [Option<SentinelSight>; 3], servers: [Option<RedisSight>; 2]) -> Facts {
    let mut hosts: BTreeMap<HostName, Result<Seen, String>> = BTreeMap::new();
    for (host, sight) in ["erp1", "erp2", "third"].into_iter().zip(sentinels) {
        let seen = sight.map(|sight| Seen::from([(watch().look(), Ok(Sight::Sentinel(sight)))]));
        hosts.insert(name(host), seen.ok_or_else(|| "no route".to_owned()));
    }
    for (host, sight) in ["erp1", "erp2"].into_iter().zip(servers) {
        let look = Look::Redis { config: "/etc/redis/redis.conf".into(), port: 6379 };
        if let (Some(Ok(seen)), Some(sight)) = (hosts.get_mut(&name(host)), sight) {
            seen.insert(look, Ok(Sight::Redis(sight)));
        }
    }
    if let Some(Ok(seen)) = hosts.get_mut(&name("erp2")) {
        let text = |text: &str| Ok(Sight::SecretContent(Some(Secret::new(text))));
        seen.insert(Look::SecretContent("/etc/redis/sentinel.conf".into()), text(file));
        let (root, kind) = ("root".to_owned(), crate::look::paths::Kind::File);
        let entry = Entry { kind, owner: root.clone(), group: root, mode: Mode(0o755), size: 1, mtime: 0.0 };
        let entry = Some(entry).filter(|_| !file.contains("# no script"));
        seen.insert(Look::Path("/bin/tell".into()), Ok(Sight::Path(entry)));
        seen.insert(Look::SecretContent("/etc/redis/redis.conf".into()), text("requirepass s3cret\nreplicaof 10.0.0.1 6379\n"));
    }
    Facts::new(hosts)
}

fn titles(decision: Result<Decision, FactError>) -> Vec<String> {
    match decision {
        Ok(Decision::Change(change)) => change.actions.iter().map(Action::title).collect(),
        Ok(Decision::Holds) => vec!["holds".into()],
        Ok(Decision::Waits { on, .. }) => vec![format!("waits: {on}")],
        Err(error) => vec![format!("refused: {error}")],
    }
}

fn all(address: &str) -> [Option<SentinelSight>; 3] {
    [Some(up(address, 0)), Some(up(address, 0)), Some(up(address, 0))]
}

const SCRIPT: &str = "sentinel notification-script acme /bin/tell\n";

#[test]
fn a_fresh_one_is_told_everything_once_the_primary_is_there() {
    let debian = "bind 127.0.0.1 ::1\nport 26379\nsentinel monitor mymaster 127.0.0.1 6379 2\nsentinel deny-scripts-reconfig yes\n";
    let primary = || [Some(redis("master", &[])), Some(redis("slave", &[]))];
    let told = titles(wish(true).decide(&facts(debian, all(""), primary())));
    assert_eq!(told, ["change /etc/redis/sentinel.conf while redis-sentinel.service is stopped"]);
    let bound = "bind 0.0.0.0\nport 26379\n";
    let told = titles(wish(true).decide(&facts(bound, all(""), primary())));
    assert_eq!(
        told,
        [
            "SENTINEL MONITOR acme 10.0.0.1 6379",
            "SENTINEL SET acme down-after-milliseconds 5000",
            "SENTINEL SET acme quorum 2",
            "SENTINEL SET acme auth-pass (sensitive)"
        ]
    );
    let waits = titles(wish(true).decide(&facts(bound, all(""), [Some(redis("slave", &[])), None])));
    assert_eq!(waits, ["waits: the Redis of erp1 to be the primary"]);
    let told = titles(wish(true).decide(&facts(FILE, all("10.0.0.1"), primary())));
    assert_eq!(told, ["change /etc/redis/sentinel.conf while redis-sentinel.service is stopped"], "the script, once it watches");
    assert_eq!(titles(wish(true).decide(&facts(&format!("{FILE}{SCRIPT}"), all("10.0.0.1"), primary()))), ["holds"]);
    let waits = titles(wish(true).decide(&facts(&format!("{FILE}# no script\n"), all("10.0.0.1"), primary())));
    assert_eq!(waits, ["waits: /bin/tell on erp2: Sentinel does not start without it"]);
}

#[test]
fn every_line_of_the_example_goes_whatever_the_release_calls_it() {
    let valkey = "sentinel monitor mymaster 127.0.0.1 6379 2\nsentinel down-after-milliseconds mymaster 30000\n\
                  SENTINEL primary-reboot-down-after-period mymaster 0\nSENTINEL resolve-hostnames no\nsentinel monitor acme 10.0.0.1 6379 2\n";
    let gone = super::of_example(valkey);
    assert_eq!(
        gone,
        ["sentinel down-after-milliseconds mymaster", "sentinel monitor mymaster", "sentinel primary-reboot-down-after-period mymaster"]
    );
}

#[test]
fn who_decides_is_what_the_spec_says() {
    let file = format!("{FILE}{SCRIPT}");
    let moved = || facts(&file, all("10.0.0.2"), [Some(redis("master", &[])), Some(redis("master", &[]))]);
    assert_eq!(titles(wish(true).decide(&moved())), ["holds"], "where Sentinel put the primary is right");
    assert_eq!(titles(wish(false).decide(&moved()))[0], "SENTINEL MONITOR acme 10.0.0.1 6379");
}

#[test]
fn one_that_forgot_asks_the_others_and_never_guesses() {
    let servers = || [None, Some(redis("master", &[]))];
    let told = titles(wish(true).decide(&facts(
        FILE.split("sentinel mon").next().unwrap(),
        [None, Some(up("", 0)), Some(up("10.0.0.2", 4))],
        servers(),
    )));
    assert_eq!(told[0], "SENTINEL MONITOR acme 10.0.0.2 6379");
    let told =
        titles(wish(true).decide(&facts(FILE.split("sentinel mon").next().unwrap(), [None, Some(up("", 0)), Some(up("", 0))], servers())));
    assert!(told[0].starts_with("waits: the other sentinels: "), "{told:?}");
}

fn server(standby: bool, promoting: bool) -> Redis {
    let redis: crate::name::Word = "redis".parse().unwrap();
    let production = Reach { host: name("erp1"), said: Some("10.0.0.1".into()) };
    Redis {
        host: name("erp2"),
        server: RedisServer { config: "/etc/redis/redis.conf".into(), port: 6379 },
        unit: "redis-server.service".parse().unwrap(),
        attributes: Attributes { owner: redis.clone(), group: redis, mode: Mode(0o640) },
        settings: BTreeMap::new(),
        maxmemory: None,
        follows: standby.then_some((production, 6379)),
        replicates: true,
        others: vec![name("erp1")],
        sentinel: Some(watch()),
        promoting,
    }
}

#[test]
fn a_server_follows_whom_the_newest_word_of_the_sentinels_names() {
    let says = |sentinels, servers| {
        let place = server(true, false).place(&facts(FILE, sentinels, servers)).unwrap();
        (place.role(), place.by_sentinel)
    };
    assert_eq!(says([Some(up("10.0.0.1", 1)), Some(up("10.0.0.2", 2)), None], [None, None]), ("primary".into(), true));
    assert_eq!(says([None, Some(up("10.0.0.1", 2)), Some(up("10.0.0.2", 1))], [None, None]), ("replica of 10.0.0.1:6379".into(), true));
    let down = || Some(SentinelSight::Down);
    assert_eq!(says([down(), down(), down()], [None, None]), ("replica of 10.0.0.1:6379".into(), false), "before there is any");
    assert!(server(true, false).place(&facts(FILE, [None, down(), down()], [None, None])).is_err(), "who cannot be asked may know");
}

#[test]
fn a_promotion_asks_sentinel_waits_for_it_or_says_that_it_cannot() {
    let linked = || redis("slave", &[("master_link_status", "up")]);
    let decide = |sentinels, old, own: RedisSight| {
        let facts = facts(FILE, sentinels, [old, Some(own.clone())]);
        let server = server(false, true);
        let place = server.place(&facts).unwrap();
        server.fails_over(&place, &own, &facts).transpose().map(titles).unwrap_or_default()
    };
    assert_eq!(decide(all("10.0.0.1"), Some(redis("master", &[])), linked()), ["SENTINEL FAILOVER acme"]);
    assert_eq!(decide(all("10.0.0.2"), None, redis("master", &[])), [""; 0], "it is there already");
    let without = |own: SentinelSight| [None, Some(own), Some(up("10.0.0.1", 0))];
    let waits = decide(without(up("10.0.0.1", 0)), None, linked());
    assert_eq!(waits, ["waits: Sentinel to make the Redis of erp2 the primary"]);
    let SentinelSight::Up { primary, .. } = up("10.0.0.1", 0) else { panic!() };
    let alone = SentinelSight::Up { primary, quorum: "NOQUORUM 1 usable Sentinels".into() };
    let refused = decide(without(alone), None, linked());
    assert!(refused[0].contains("NOQUORUM") && refused[0].contains("decides: otr"), "{refused:?}");
}
