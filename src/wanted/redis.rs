//! Redis: the server on every member, replicating from production, its users and certificates.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{List, sentinel};
use crate::action::{Attributes, RedisServer};
use crate::name::{HostName, Mode, Word};
use crate::resource::ResourceId;
use crate::resource::file::File;
use crate::resource::postgres::Reach;
use crate::resource::redis::Redis;
use crate::resource::redis::users::{User, Users};
use crate::resource::unit::Unit;
use crate::secret::Text;
use crate::spec::{Decides, OptionValue, Redis as Wish, Role};

/// The server, the files it reads, and its service.
pub fn server(list: &mut List<'_>, software: &[ResourceId]) -> Vec<ResourceId> {
    let Some(redis) = list.spec().redis.clone() else { return Vec::new() };
    let Ok(owner) = redis.software.as_str().parse::<Word>() else { return Vec::new() };
    let attributes = |mode| Attributes { owner: owner.clone(), group: owner.clone(), mode: Mode(mode) };
    let mut reads = list.reads.remove(&redis.unit()).unwrap_or_default();
    let mut needs = software.to_vec();
    for (path, id) in files(list, &redis, software, &attributes) {
        reads.push(path);
        needs.push(id);
    }
    let production = list.spec().production.clone();
    let others: Vec<HostName> = list.spec().members().filter(|host| *host != list.host).cloned().collect();
    let said = list.spec().hosts.get(&production).and_then(|host| host.reached_at()).map(str::to_owned);
    let follows = (list.role == Role::Standby).then_some((Reach { host: production, said }, redis.port));
    let resource = Redis {
        host: list.host.clone(),
        server: RedisServer { config: redis.config(), port: redis.port },
        unit: redis.unit(),
        attributes: attributes(0o640),
        settings: settings(list, &redis),
        maxmemory: redis.maxmemory,
        follows,
        replicates: redis.password.is_some(),
        others,
        sentinel: list.spec().sentinel_decides().then(|| sentinel::watch(list.spec())),
        promoting: list.inputs.promoting,
    };
    let server = list.add(resource, &needs);
    let unit = Unit { host: list.host.clone(), unit: redis.unit(), state: list.running(), reads, reloads: false };
    let unit = list.add(unit, &[]);
    vec![server, unit]
}

/// Directives, the same in the file and live.
fn settings(list: &List<'_>, redis: &Wish) -> BTreeMap<String, Result<Text, crate::secret::SecretError>> {
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            settings.insert(name.to_owned(), Ok(Text::Plain(value)));
        }
    };
    for (name, value) in &redis.parameters {
        set(&name.to_lowercase(), Some(parameter(value)));
    }
    // Zero is "never": the sentinels tell where the primary is, and otr moves it.
    set("replica-priority", list.spec().sentinel().filter(|sentinel| sentinel.decides == Decides::Otr).map(|_| "0".into()));
    set("maxmemory-policy", redis.maxmemory_policy.map(|policy| policy.as_str().to_owned()));
    set("appendonly", redis.appendonly.map(|on| yes(on).to_owned()));
    set("appendfsync", redis.appendfsync.map(|when| when.as_str().to_owned()));
    // Without a password Redis answers only its own machine, and a replica elsewhere gets nothing.
    set("bind", redis.bind.clone().or_else(|| redis.password.as_ref().map(|_| "0.0.0.0".to_owned())));
    set("aclfile", (!redis.users.is_empty()).then(|| redis.beside("otr-users.acl").display().to_string()));
    if let Some(tls) = &redis.tls {
        let at = |name| Some(redis.beside(name).display().to_string());
        set("port", Some("0".into()));
        set("tls-port", Some(redis.port.to_string()));
        set("tls-cert-file", at("otr-redis.crt"));
        set("tls-key-file", at("otr-redis.key"));
        set("tls-ca-cert-file", redis.authority().map(|path| path.display().to_string()));
        set("tls-auth-clients", Some(yes(tls.verify_clients).into()));
        set("tls-replication", Some("yes".into()));
    } else if redis.port != 6379 {
        set("port", Some(redis.port.to_string()));
    }
    if let Some(password) = &redis.password {
        for name in ["requirepass", "masterauth"] {
            settings.insert(name.to_owned(), list.inputs.setting(password).map(|text| text.map(str::to_owned)));
        }
    }
    settings
}

/// What the server reads besides its configuration: a change there asks for a start.
fn files(list: &mut List<'_>, redis: &Wish, software: &[ResourceId], attributes: &dyn Fn(u32) -> Attributes) -> Vec<(PathBuf, ResourceId)> {
    let host = list.host.clone();
    let mut done = Vec::new();
    if let Some(tls) = &redis.tls {
        let authority = redis.authority().unwrap_or_default();
        // The authority's certificate is for Odoo too; the key for nobody else.
        let files = [
            (authority, &tls.authority, 0o644),
            (redis.beside("otr-redis.crt"), &tls.certificate, 0o644),
            (redis.beside("otr-redis.key"), &tls.key, 0o600),
        ];
        for (path, content, mode) in files {
            let content = list.inputs.setting(content).map(|text| text.map(|text| format!("{}\n", text.trim_end())));
            let file = File { host: host.clone(), path: path.clone(), content, attributes: attributes(mode) };
            done.push((path, list.add(file, software)));
        }
    }
    if !redis.users.is_empty() {
        let everybody = User {
            name: "default".into(),
            password: redis.password.as_ref().map(|password| list.inputs.setting(password)),
            keys: vec!["*".into()],
            commands: vec!["+@all".into()],
        };
        let named = redis.users.iter().map(|(name, user)| User {
            name: name.to_string(),
            password: Some(list.inputs.setting(&user.password)),
            keys: user.keys.clone(),
            commands: user.commands.clone(),
        });
        let path = redis.beside("otr-users.acl");
        let users = std::iter::once(everybody).chain(named).collect();
        let package = redis.package().parse().ok();
        let resource = Users { host, path: path.clone(), attributes: attributes(0o640), package, users };
        done.push((path, list.add(resource, software)));
    }
    done
}

fn yes(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}

fn parameter(value: &OptionValue) -> String {
    match value {
        OptionValue::Bool(on) => yes(*on).into(),
        OptionValue::Int(number) => number.to_string(),
        OptionValue::Float(number) => number.to_string(),
        OptionValue::List(items) => items.join(" "),
        OptionValue::Text(text) => text.clone(),
        // `check` refuses a secret here: every login of the server could read it.
        OptionValue::Secret(reference) => reference.secret.to_string(),
    }
}
