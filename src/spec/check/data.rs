//! Files, replication, timers.

use super::Findings;
use super::hosts::known;
use crate::spec::{HostSpec, OptionValue, Spec};

pub(super) fn check(spec: &Spec, findings: &mut Findings<'_>) {
    files(spec, findings);
    replication(spec, findings);
    for (path, value) in [("schedule.plan", &spec.schedule.plan), ("schedule.sync", &spec.schedule.sync)] {
        if let Some(value) = value {
            calendar(path, value, findings);
        }
    }
    if let Some(path) = &spec.schedule.summary_file {
        findings.absolute("schedule.summary_file", path);
    }
    let filestore = &spec.filestore;
    if filestore.follow.is_some() && spec.replication.is_none() {
        findings.key(
            "filestore.follow",
            "there is no replica to follow: the spec has no `replication:`",
            "leave it out: `schedule.sync` copies then",
        );
    }
    for (path, span) in [("filestore.follow", filestore.follow), ("filestore.reconcile", filestore.reconcile)] {
        if span.is_some_and(|span| span.0.is_zero()) {
            findings.value(path, format!("`{path}` is no time at all"), "a time span such as 5s or 1h");
        }
    }
    if let Some(redis) = &spec.redis {
        findings.absolute("redis.config", &redis.config());
    }
}

fn files(spec: &Spec, findings: &mut Findings<'_>) {
    for (number, file) in spec.files.iter().enumerate() {
        let item = format!("files[{number}]");
        let path = format!("{item}.path");
        let shown = file.path.display();
        findings.absolute(&path, &file.path);
        if file.source().is_none() {
            let named: Vec<&str> = [
                ("template", file.template.is_some()),
                ("content", file.content.is_some()),
                ("directory", file.directory),
                ("clone", file.clone),
            ]
            .into_iter()
            .filter_map(|(name, there)| there.then_some(name))
            .collect();
            let message = match named.is_empty() {
                true => format!("{shown} has no content"),
                false => format!("{shown} has several contents: {}", named.join(" and ")),
            };
            findings.value(&path, message, "write one of `template: NAME`, `content: TEXT`, `directory: true`, `clone: true`");
        }
        cloned(spec, file, &item, findings);
        let managed =
            [("odoo", spec.odoo.as_ref().map(|odoo| odoo.config.clone())), ("redis", spec.redis.as_ref().map(|redis| redis.config()))];
        if let Some((part, _)) = managed.into_iter().find(|(_, config)| config.as_ref() == Some(&file.path)) {
            findings.value(&path, format!("{shown} is already written from `{part}:`"), format!("say it under `{part}:`"));
        }
        for (n, host) in file.hosts.iter().flatten().enumerate() {
            known(spec, host, &format!("{item}.hosts[{n}]"), findings);
        }
        let meet = |other: &crate::spec::FileSpec| match (&file.hosts, &other.hosts) {
            (Some(here), Some(there)) => here.iter().any(|host| there.contains(host)),
            _ => true,
        };
        if let Some(earlier) = spec.files[..number].iter().position(|other| other.path == file.path && meet(other)) {
            let line = findings.line(&format!("files[{earlier}].path"));
            findings.value(&path, format!("{shown} is written twice on one host"), format!("the other is on line {line}"));
        }
    }
}

/// What makes a host itself, what holds data, and what otr keeps: never another host's.
const NEVER: [&str; 9] = [
    "/var/lib/otr",
    "/etc/otr",
    "/etc/postgresql",
    "/var/lib/postgresql",
    "/etc/ssh",
    "/etc/hostname",
    "/etc/machine-id",
    "/etc/fstab",
    "/etc/shadow",
];

/// A file or tree that is taken from production.
fn cloned(spec: &Spec, file: &crate::spec::FileSpec, item: &str, findings: &mut Findings<'_>) {
    if !file.clone {
        for (key, there) in [("ignore", !file.ignore.is_empty()), ("show", file.show)] {
            if there {
                findings.key(&format!("{item}.{key}"), format!("`{key}` says something only together with `clone: true`"), "");
            }
        }
        return;
    }
    for key in ["owner", "group", "mode"] {
        if findings.tree.at(&format!("{item}.{key}")).exact {
            findings.key(&format!("{item}.{key}"), format!("a clone takes `{key}` from production too"), "take it out");
        }
    }
    let (path, shown) = (format!("{item}.path"), file.path.display());
    // Which units start at boot differs by role: a clone of all would start Odoo on the standby.
    let units = ["/etc/systemd", "/etc/systemd/system"].iter().any(|path| file.path == std::path::Path::new(path));
    if units {
        findings.value(
            &path,
            format!("{shown} is too much for a clone: what starts at boot differs by role"),
            "name drop-in folders: /etc/systemd/system/nginx.service.d",
        );
    } else if file.path.is_absolute() && file.path.components().count() < 3 {
        findings.value(&path, format!("{shown} is too much for a clone"), "name the parts that are needed: /etc/nginx/sites-available");
        return;
    }
    of_each_host(spec, &file.path, &path, findings);
}

/// What no clone may hold.
pub(super) fn of_each_host(spec: &Spec, tree: &std::path::Path, path: &str, findings: &mut Findings<'_>) {
    let data = spec.odoo.as_ref().map(|odoo| odoo.data_dir.clone());
    let mut never = NEVER.iter().map(std::path::PathBuf::from).chain(data);
    if let Some(other) = never.find(|other| tree.starts_with(other) || other.starts_with(tree)) {
        let why = format!("{} cannot be a clone: {} is each host's own, or is kept in another way", tree.display(), other.display());
        findings.value(path, why, "name what lies beside it");
    }
}

/// What otr writes itself, because it differs from host to host.
const DERIVED: [&str; 4] = ["primary_conninfo", "primary_slot_name", "hot_standby", "port"];
/// What would end a standby's life as one: it promotes itself there, or stops.
const ENDS: [&str; 6] = [
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
    "promote_trigger_file",
];

fn replication(spec: &Spec, findings: &mut Findings<'_>) {
    let Some(replication) = &spec.replication else { return };
    for (key, value) in &replication.parameters {
        let path = crate::spec::tree::join("replication.parameters", key);
        if ENDS.contains(&key.to_lowercase().as_str()) {
            findings.key(&path, format!("`{key}` would let a standby promote itself, or stop"), "leave it out");
            continue;
        }
        let level = if let OptionValue::Text(text) = value { text.as_str() } else { "" };
        if key == "wal_level" && !["replica", "logical"].contains(&level) {
            findings.value(&path, format!("`{path}` is what a standby can follow"), "`replica` (what otr writes) or `logical`");
        }
        if !DERIVED.contains(&key.to_lowercase().as_str()) {
            if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c)) {
                findings.key(&path, format!("`{path}` cannot be a setting of postgresql.conf"), "letters, digits, '_' and '.'");
            }
            continue;
        }
        let text = if let OptionValue::Text(text) = value { text.as_str() } else { "" };
        let source = text.split_whitespace().find_map(|word| word.strip_prefix("host=")).map(|host| host.trim_matches('\''));
        let itself = source.and_then(|source| {
            spec.members().find(|name| name.as_str() == source || spec.hosts.get(*name).and_then(HostSpec::reached_at) == Some(source))
        });
        let message = match itself {
            Some(host) => format!("`{key}` holds for every host: {host} would name itself as its source"),
            None => format!("`{key}` is not the spec's to say: otr writes it"),
        };
        findings.key(&path, message, "leave it out: it follows from `production:`, `replication:` and each host's address");
    }
}

/// A calendar event (systemd.time(7)), as far as its characters go; systemd has the last word.
fn calendar(path: &str, value: &str, findings: &mut Findings<'_>) {
    let fields: Vec<&str> = value.split_whitespace().collect();
    let cron = |field: &&str| field.chars().all(|c| c.is_ascii_digit() || "*/,-".contains(c));
    let hint = "systemd.time(7): `hourly`, `daily`, `Mon 04:00`, `*-*-* 02:30:00`";
    if fields.is_empty() {
        findings.value(path, format!("`{path}` is empty"), hint);
    } else if fields.len() == 5 && fields.iter().all(cron) {
        findings.value(path, format!("`{path}`: {value:?} is written for cron, but a systemd timer reads it"), hint);
    } else if !value.chars().all(|c| c.is_ascii_alphanumeric() || " :*/,.-~_+".contains(c)) {
        findings.value(path, format!("`{path}`: {value:?} is not a calendar event"), hint);
    }
}
