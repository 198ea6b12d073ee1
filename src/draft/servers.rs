//! Sessions, Redis, mounts and PostgreSQL of a draft.

use std::path::{Path, PathBuf};

use super::{Choices, Section, Seen, odoo, yaml};
use crate::look::survey::{Cluster, Mount};
use crate::look::{RedisSight, Survey};
use crate::secret::Secret;
use crate::session::MODULES;

/// The cluster that is production's: the first that runs and takes writes.
pub fn cluster(survey: &Survey) -> Option<&Cluster> {
    let clusters = &survey.clusters;
    clusters.iter().find(|cluster| cluster.online && !cluster.recovery).or_else(|| clusters.first())
}

/// The configuration of the Redis that runs there.
pub fn redis_config(survey: &Survey) -> Option<PathBuf> {
    let running = |name| survey.servers.get(name).copied();
    match (running("redis-server"), running("valkey-server")) {
        (Some(true), _) | (Some(_), None | Some(false)) => Some("/etc/redis/redis.conf".into()),
        (_, Some(_)) => Some("/etc/valkey/valkey.conf".into()),
        _ => None,
    }
}

/// The session module of server_wide_modules, if it is one otr knows.
pub fn sessions(seen: &Seen<'_>, notes: &mut Vec<String>) -> Option<Section> {
    let loaded = seen.conf?.get("options", "server_wide_modules").unwrap_or_default();
    let loaded: Vec<&str> = loaded.split(',').map(str::trim).collect();
    let mut fitting = MODULES.iter().filter(|module| loaded.contains(&module.addon));
    let first = fitting.next()?;
    // Two modules of one name: what pip installed tells them apart.
    let module = std::iter::once(first)
        .chain(fitting)
        .find(|module| seen.python.is_some_and(|python| python.modules.contains_key(module.name)))
        .unwrap_or(first);
    let variables = seen.survey.services.iter().find(|service| !service.variables.is_empty()).map(|service| &service.variables);
    let said =
        |suffix: &str| variables?.iter().find(|(name, value)| name.ends_with(suffix) && !value.is_empty()).map(|(_, value)| value.as_str());
    let store = if module.stores == [crate::session::Store::Database] { "database" } else { "redis" };
    let mut fields = vec![format!("store: {store}"), format!("module: {}", module.name)];
    if store == "redis" {
        fields.extend(said("_PREFIX").map(|prefix| format!("prefix: {}", yaml::scalar(prefix))));
        if let Some(host) = said("_HOST").filter(|host| !matches!(*host, "localhost" | "127.0.0.1")) {
            let port = said("_PORT").map(|port| format!(", port: {port}")).unwrap_or_default();
            fields.push(format!("server: {{host: {}{port}}}", yaml::scalar(host)));
            notes.push(format!("sessions are in a Redis on {host}, which otr does not set up"));
        }
    }
    let own = store == "redis" && !fields.iter().any(|field| field.starts_with("server:"));
    let mut section = Section::new("sessions", "Logins survive a failover.", format!("sessions: {{{}}}\n", fields.join(", ")));
    section.needs = own.then_some("redis");
    Some(section)
}

/// Redis as it runs.
pub fn redis(seen: &Seen<'_>, choices: &Choices, notes: &mut Vec<String>) -> Option<Section> {
    let config = redis_config(seen.survey)?;
    let mut text = "redis:\n".to_owned();
    let mut put = |line: String| text.push_str(&format!("  {line}\n"));
    if config.starts_with("/etc/valkey") {
        put("software: valkey".into());
    }
    match seen.redis {
        Some(RedisSight::Up { settings, .. }) => {
            let said = |name: &str| settings.get(name).map(String::as_str).filter(|value| !value.is_empty());
            if let Some(port) = said("port").filter(|port| !matches!(*port, "0" | "6379")) {
                put(format!("port: {port}"));
            }
            if let Some(bytes) = said("maxmemory").filter(|bytes| *bytes != "0") {
                put(format!("maxmemory: {}", size(bytes)));
            }
            if let Some(policy) = said("maxmemory-policy") {
                put(format!("maxmemory-policy: {}", yaml::scalar(policy)));
            }
            if let Some(on) = said("appendonly") {
                put(format!("appendonly: {}", on == "yes"));
            }
            match password(seen) {
                Some((name, _)) => put(format!("password: {}", choices.reference(name.as_str()))),
                None => notes.push("Redis has no password: a standby cannot follow it until it has one (redis.password)".into()),
            }
        }
        _ => notes.push(format!("Redis ({}) could not be asked: its settings are not in the spec", config.display())),
    }
    if text.lines().count() == 1 {
        text = "redis: {}\n".into();
    }
    let mut section = Section::new("redis", "", text);
    if password(seen).is_some() && choices.secrets.is_none() {
        section.off = Some("put production's password into its file, or let --secrets DIR do that, and take the # away".into());
    }
    Some(section)
}

/// Its password, if it has one.
pub fn password(seen: &Seen<'_>) -> Option<(String, Secret)> {
    let Some(RedisSight::Up { secrets, .. }) = seen.redis else { return None };
    let password = secrets.get("requirepass").filter(|password| !password.expose().is_empty())?;
    Some(("redis_password".to_owned(), password.clone()))
}

/// Bytes as Redis writes them, in the largest unit that loses nothing.
fn size(bytes: &str) -> String {
    let number: u64 = bytes.parse().unwrap_or(0);
    for (unit, factor) in [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)] {
        if number > 0 && number.is_multiple_of(factor) {
            return format!("{}{unit}", number / factor);
        }
    }
    bytes.to_owned()
}

/// File systems that hold Odoo's data or add-ons and come from elsewhere.
pub fn storage(seen: &Seen<'_>, notes: &mut Vec<String>) -> Option<Section> {
    let data = odoo::data_dir(seen);
    let holds = |at: &Path| data.starts_with(at) || at.starts_with(&data);
    let (ours, others): (Vec<_>, Vec<_>) = seen.survey.mounts.iter().partition(|mount| holds(&mount.at));
    let told = |mount: &&Mount| {
        format!(
            "{} ({} from {}) is mounted, and holds nothing of Odoo's data: it is not in the spec",
            mount.at.display(),
            mount.kind,
            mount.from
        )
    };
    notes.extend(others.iter().map(told));
    if ours.is_empty() {
        return None;
    }
    let mut text = "storage:\n  mounts:\n".to_owned();
    for mount in ours {
        let kind = mount.kind.strip_prefix("fuse.").unwrap_or(&mount.kind);
        let (at, from) = (yaml::scalar(&mount.at.display().to_string()), yaml::scalar(&mount.from));
        text.push_str(&format!("    - {{at: {at}, from: {from}, type: {}, shared: true}}\n", yaml::scalar(kind)));
    }
    let mut section = Section::new("storage", "Both machines see the same files here: nothing of it is copied.", text);
    section.off = Some("say its `options:` (docs/storage.md), then take the # away".into());
    Some(section)
}

/// Replication: what turns two machines into a pair.
pub fn replication(seen: &Seen<'_>, choices: &Choices, notes: &mut Vec<String>) -> Option<Section> {
    let Some(cluster) = cluster(seen.survey) else {
        notes.push("no PostgreSQL cluster was found on production".into());
        return None;
    };
    for other in seen.survey.clusters.iter().filter(|other| *other != cluster) {
        notes.push(format!("PostgreSQL cluster {}/{} is not in the spec: one cluster is replicated", other.version, other.name));
    }
    let mut fields = vec![format!("postgresql: {}", cluster.version)];
    fields.extend((cluster.name != "main").then(|| format!("cluster: {}", yaml::scalar(&cluster.name))));
    fields.extend((cluster.port != 5432).then(|| format!("port: {}", cluster.port)));
    let comment = "The standby's PostgreSQL follows within milliseconds, and can take over. On production this adds a role,\n\
                   a slot, lines of pg_hba.conf and settings, and the guard that keeps an old production down at boot.";
    let mut section = Section::new("replication", comment, format!("replication: {{{}}}\n", fields.join(", ")));
    if !choices.replicate {
        section.off = Some("it changes production. Take the # away, and `otr plan` shows how.".into());
    }
    Some(section)
}
