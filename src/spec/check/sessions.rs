//! Sessions and Redis: what a module cannot do, and what would lose logins.

use super::Findings;
use crate::session::{Code, Module, Sentinel, Wish};
use crate::spec::requirement::{PackageSpec, Requirement};
use crate::spec::{EvictionPolicy, OptionValue, SessionStore, Spec};

pub(super) fn check(spec: &Spec, findings: &mut Findings<'_>) {
    store(spec, findings);
    if let Some(module) = spec.sessions.known() {
        fits(spec, module, findings);
        unheard(spec, module, findings);
        python(spec, module, findings);
        database(spec, module, findings);
    }
    settings(spec, findings);
    redis(spec, findings);
}

fn store(spec: &Spec, findings: &mut Findings<'_>) {
    let sessions = &spec.sessions;
    let found = sessions.module.as_ref();
    match sessions.store {
        SessionStore::Redis if spec.redis.is_none() && sessions.server.is_none() => {
            findings.key("sessions.store", "sessions are kept in Redis, but the spec has no `redis:`", "redis: {maxmemory: 512mb}");
        }
        SessionStore::Filesystem if found.is_some() => findings.value(
            "sessions.module",
            "`store: filesystem` is Odoo's own and needs no module",
            "leave `module` out, or write store: redis or store: database",
        ),
        SessionStore::Memcached if found.is_none() => findings.note(
            "sessions.store",
            "no maintained module of Odoo keeps sessions in memcached: Odoo will not use it",
            "store: redis; or name your own `module`, with what it reads under `environment` and `options`",
        ),
        SessionStore::Database if found.is_none() => {
            findings.note("sessions.store", "no `module` reaches that store", "module: session_db")
        }
        _ => {}
    }
    if sessions.memcached.is_some() && sessions.store != SessionStore::Memcached {
        findings.key("sessions.memcached", "only `store: memcached` uses it", "leave it out");
    }
    if let Some(memcached) = &sessions.memcached {
        let at = "sessions.memcached.listen";
        if memcached.listen.is_empty() || !memcached.listen.chars().all(|c| c.is_ascii_alphanumeric() || ".:,-".contains(c)) {
            findings.value(at, format!("{:?} is no address", memcached.listen), "listen: 127.0.0.1");
        } else if memcached.listen.split(',').any(|one| !["127.0.0.1", "::1", "localhost"].contains(&one)) {
            findings.note(at, "memcached asks nobody for a password: who reaches that port reads every session", "listen: 127.0.0.1");
        }
        if memcached.memory.0 < 1 << 20 {
            findings.value("sessions.memcached.memory", "less than 1mb is no limit memcached knows", "memory: 64mb");
        }
    }
    let Some(module) = sessions.known() else { return };
    if sessions.store != SessionStore::Filesystem && sessions.store.of_module().is_none_or(|store| !module.stores.contains(&store)) {
        findings.value("sessions.module", format!("{} does not keep sessions there", module.name), "name another module or store");
    }
}

fn fits(spec: &Spec, module: &Module, findings: &mut Findings<'_>) {
    let sessions = &spec.sessions;
    if let Some(why) = spec.odoo_version().and_then(|odoo| module.refuses(odoo)).filter(|_| !sessions.patched) {
        findings.value("sessions.module", why, "name another module; or say `patched: true` if its code was changed");
    }
    let tls = spec.redis.as_ref().filter(|_| sessions.server.is_none()).and_then(|redis| redis.tls.as_ref());
    if let (Some(_), Err(why)) = (tls, module.tls) {
        findings.value("sessions.module", format!("Redis speaks TLS, and {} does not: {why}", module.name), "name another module");
    }
    if tls.is_some_and(|tls| tls.verify_clients) && sessions.store == SessionStore::Redis {
        findings.key(
            "redis.tls.verify_clients",
            format!("Redis would ask Odoo for a certificate, and {} has none to show", module.name),
            "leave it out: the password lets clients in",
        );
    }
    if sessions.server.as_ref().is_some_and(|server| server.cluster) && !sessions.patched {
        findings.key(
            "sessions.server.cluster",
            format!("{} connects to one server, and a Redis Cluster sends it to others", module.name),
            "name a module that knows clusters; or say `patched: true` if its code was changed",
        );
    }
    if sessions.prefix.is_some() && !module.prefix {
        findings.key("sessions.prefix", format!("{} knows no prefix", module.name), "leave it out");
    }
    let shared = sessions.server.is_some() && module.prefix && sessions.prefix.as_deref().unwrap_or_default().is_empty();
    if shared {
        findings.key(
            "sessions.server",
            "without a `prefix` another Odoo on that server reads and deletes the same sessions",
            format!("prefix: {}", spec.name),
        );
    }
}

/// What a module has no word for, it is told nowhere: a login of its own would then give `default`
/// another's password.
fn unheard(spec: &Spec, module: &Module, findings: &mut Findings<'_>) {
    let sessions = &spec.sessions;
    let Some(store) = sessions.store.of_module() else { return };
    let own = sessions.server.is_none();
    let tls = spec.redis.as_ref().filter(|_| own).and_then(|redis| redis.authority());
    let sentinel = spec.sentinel().filter(|_| own && module.sentinel.is_ok());
    let wish = || Wish {
        store,
        host: "localhost",
        port: 6379,
        index: None,
        user: None,
        password: None,
        prefix: None,
        expiration: None,
        anonymous: None,
        tls: tls.as_deref(),
        sentinel: sentinel.map(|sentinel| Sentinel { host: "127.0.0.1", port: sentinel.port, primary: spec.sentinel_name() }),
        uri: None,
    };
    let wished = [
        ("user", sessions.user.is_some(), Wish { user: Some("x"), ..wish() }),
        ("index", sessions.index.is_some(), Wish { index: Some(7), ..wish() }),
        ("expiration", sessions.expiration.is_some(), Wish { expiration: Some(7), ..wish() }),
        ("anonymous_expiration", sessions.anonymous_expiration.is_some(), Wish { anonymous: Some(7), ..wish() }),
    ];
    let without = (module.settings)(&wish());
    for (key, _, _) in wished.into_iter().filter(|(_, said, wish)| *said && (module.settings)(wish) == without) {
        let how = if sentinel.is_some() { " where it asks a sentinel" } else { "" };
        findings.key(&format!("sessions.{key}"), format!("{} knows no `{key}`{how}", module.name), "leave it out");
    }
}

fn python(spec: &Spec, module: &Module, findings: &mut Findings<'_>) {
    if let Some(version) = spec.sessions.version.as_ref().filter(|v| format!("x=={v}").parse::<Requirement>().is_err()) {
        findings.value("sessions.version", format!("{version:?} is not a version such as 3.0.1"), "");
    }
    let debian = spec.packages.iter().flat_map(|packages| &packages.install).filter_map(|text| text.parse::<PackageSpec>().ok());
    let library = debian.into_iter().any(|package| package.name.as_str() == "python3-redis") && module.code == Code::AddonsPath;
    if spec.pip.is_none() && !library {
        let what = match module.code {
            Code::Pypi => format!("{} comes from PyPI", module.name),
            Code::AddonsPath => format!("{} needs the Python module redis", module.name),
        };
        let hint = if module.code == Code::Pypi { "pip: {system: true}" } else { "pip: {system: true}, or the package python3-redis" };
        findings.key("sessions.module", format!("{what}, but the spec has no `pip:`"), hint);
    }
}

fn database(spec: &Spec, module: &Module, findings: &mut Findings<'_>) {
    let Some(odoo) = &spec.odoo else { return };
    if spec.sessions.store == SessionStore::Database && spec.sessions.uri.is_none() && odoo.databases.is_empty() {
        findings.key("sessions", format!("{} is told no database", module.name), "uri: acme_sessions");
    }
    let workers = odoo.production.get("workers").or_else(|| odoo.options.get("workers"));
    if module.workers && !matches!(workers, Some(OptionValue::Int(1..))) {
        findings.key(
            "sessions.module",
            format!("{} shares one connection and needs worker processes", module.name),
            "odoo: {production: {workers: 4}}",
        );
    }
}

fn settings(spec: &Spec, findings: &mut Findings<'_>) {
    let sessions = &spec.sessions;
    let of_odoo = spec.odoo.iter().flat_map(|odoo| odoo.environment.keys()).map(|key| ("odoo.environment", key));
    let of_drill = spec.drill.environment.keys().map(|key| ("drill.environment", key));
    let all = sessions.environment.keys().map(|key| ("sessions.environment", key)).chain(of_odoo).chain(of_drill);
    for (map, key) in all.filter(|(_, key)| !super::is_variable(key)) {
        let at = crate::spec::tree::join(map, key);
        findings.key(&at, format!("`{at}` cannot be a variable of the environment"), "letters, digits and '_'");
    }
    super::software::options("sessions.options", &sessions.options, findings);
    if sessions.prefix.as_ref().is_some_and(|prefix| !prefix.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))) {
        findings.value("sessions.prefix", "a prefix has letters, digits, `-`, `_` and `.`", "");
    }
    if sessions.module.is_some() && sessions.known().is_none() {
        let ours = [
            ("version", sessions.version.is_some()),
            ("prefix", sessions.prefix.is_some()),
            ("expiration", sessions.expiration.is_some()),
            ("anonymous_expiration", sessions.anonymous_expiration.is_some()),
            ("index", sessions.index.is_some()),
            ("uri", sessions.uri.is_some()),
        ];
        for (key, _) in ours.into_iter().filter(|(_, there)| *there) {
            findings.note(
                &format!("sessions.{key}"),
                format!("otr does not know this module, so `{key}` is told to nobody"),
                "say it under `environment` or `options`, as the module reads it",
            );
        }
    }
    if let Some(user) = &sessions.user
        && spec.redis.as_ref().is_none_or(|redis| !redis.users.keys().any(|name| name.as_str() == user))
    {
        findings.value("sessions.user", format!("`redis.users` has no {user}"), "");
    }
}

/// Directives that have a key of their own, or that otr derives.
const OWN: [&str; 22] = [
    "port",
    "tls-port",
    "bind",
    "requirepass",
    "masterauth",
    "masteruser",
    "primaryauth",
    "primaryuser",
    "replicaof",
    "slaveof",
    "maxmemory",
    "maxmemory-policy",
    "appendonly",
    "appendfsync",
    "aclfile",
    "user",
    "tls-cert-file",
    "tls-key-file",
    "tls-ca-cert-file",
    "tls-auth-clients",
    "tls-replication",
    "cluster-enabled",
];
/// Directives that appear several times, or that take the data away.
const NOT_ONE_LINE: [(&str, &str); 8] = [
    ("dir", "moving it would start Redis without its data"),
    ("dbfilename", "another name would start Redis without its data"),
    ("appendfilename", "another name would start Redis without its data"),
    ("appenddirname", "another name would start Redis without its data"),
    ("include", "what it includes could not be compared"),
    ("loadmodule", "it may appear several times"),
    ("rename-command", "it may appear several times"),
    ("client-output-buffer-limit", "it may appear several times"),
];

fn redis(spec: &Spec, findings: &mut Findings<'_>) {
    let Some(redis) = &spec.redis else { return };
    for (key, value) in &redis.parameters {
        let at = crate::spec::tree::join("redis.parameters", key);
        let name = key.to_lowercase();
        if OWN.contains(&name.as_str()) {
            findings.key(&at, format!("`{name}` is not a parameter: it has its own key under `redis:`, or otr derives it"), "");
        } else if let Some((_, why)) = NOT_ONE_LINE.iter().find(|(other, _)| *other == name) {
            findings.key(&at, format!("`{name}` is not compared by otr: {why}"), "");
        } else if name == "save" && matches!(value, OptionValue::Text(text) if text.split_whitespace().count() > 2) {
            findings.value(&at, "several save points are several lines before Redis 7", "one pair such as \"300 10\", or \"\"");
        } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') || name.is_empty() {
            findings.key(&at, format!("`{name}` cannot be a directive of redis.conf"), "");
        } else if matches!(value, OptionValue::Secret(_)) {
            findings.value(&at, "every login of the server could read a secret there", "");
        }
    }
    for (name, user) in &redis.users {
        let odd = |word: &String| word.is_empty() || word.contains(char::is_whitespace);
        let wrong = user.commands.iter().find(|rule| odd(rule) || !rule.starts_with(['+', '-']));
        if let Some(rule) = wrong.or_else(|| user.keys.iter().find(|key| odd(key))) {
            findings.key(
                &format!("redis.users.{name}"),
                format!("{rule:?} is no rule of an ACL"),
                "commands: [\"+@all\"], keys: [\"session:*\"]",
            );
        }
        if name.as_str() == "default" {
            findings.key("redis.users.default", "the user `default` is the one of `redis.password`", "name another user");
        }
    }
    let keeps_sessions = spec.sessions.store == SessionStore::Redis && spec.sessions.server.is_none();
    if keeps_sessions && redis.maxmemory.is_some() && redis.maxmemory_policy.is_none_or(|policy| policy == EvictionPolicy::Noeviction) {
        findings.note(
            if redis.maxmemory_policy.is_some() { "redis.maxmemory-policy" } else { "redis.maxmemory" },
            "with `noeviction` (Redis's default) nobody can log in once the limit is reached: every write of a session is refused",
            "maxmemory-policy: volatile-lru drops the sessions that were not used for longest",
        );
    }
}
