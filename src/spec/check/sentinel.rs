//! Sentinel: what cannot work, and what would let two decide.

use std::net::IpAddr;

use super::Findings;
use crate::spec::{Decides, HostSpec, Role, SessionStore, Spec};

const AT: &str = "redis.sentinel";

pub(super) fn check(spec: &Spec, findings: &mut Findings<'_>) {
    let (Some(redis), Some(sentinel)) = (&spec.redis, spec.sentinel()) else { return };
    for host in spec.named_sentinels() {
        super::hosts::known(spec, host, "redis.sentinel.hosts", findings);
    }
    let running = spec.sentinels().count();
    if running < 3 {
        findings.key(
            AT,
            format!("{running} sentinels cannot fail over: of two, one alone is no majority"),
            "a third host in `hosts:`, which may be a mere voice: third: {address: 192.0.2.13, role: witness}",
        );
    }
    for host in spec.members().filter(|host| !spec.sentinels().any(|other| other == *host)) {
        findings.key(AT, format!("{host} has no sentinel: its Odoo asks the one of its own host"), "name every member in `hosts`");
    }
    for host in spec.members() {
        let said = spec.hosts.get(host).and_then(HostSpec::reached_at);
        if said.is_none_or(|said| said.parse::<IpAddr>().is_err()) {
            let hint = format!("hosts: {{{host}: {{listen: 192.0.2.11}}}}");
            findings.key(AT, format!("Sentinel knows servers by their IP addresses, and {host} has none in the spec"), hint);
        }
    }
    let most = u32::try_from(running).unwrap_or(u32::MAX);
    if !(1..=most.max(1)).contains(&spec.sentinel_quorum()) {
        findings.value("redis.sentinel.quorum", format!("of {running} sentinels {} can never agree", spec.sentinel_quorum()), "");
    }
    if sentinel.down_after.0.as_millis() < 1000 {
        findings.value("redis.sentinel.down_after", "below a second every pause of a machine is a failover", "down_after: 5s");
    }
    if redis.password.is_none() {
        findings.key(
            AT,
            "without a password Redis answers only its own machine, and sentinels elsewhere get nothing",
            "redis: {password: …}",
        );
    }
    if redis.tls.is_some() {
        findings.key(AT, "otr does not set up Sentinel over TLS, and no session module it knows could use it", "leave one of the two out");
    }
    if spec.sentinel_name().contains(char::is_whitespace) {
        findings.value("redis.sentinel.name", "the name has letters, digits, '-', '_' and '.'", "");
    }
    for (key, path) in
        [("notification_script", &sentinel.notification_script), ("reconfiguration_script", &sentinel.reconfiguration_script)]
    {
        let at = format!("{AT}.{key}");
        let Some(path) = path else { continue };
        if findings.absolute(&at, path) && path.to_string_lossy().contains(|c: char| c.is_whitespace() || "\"'\\".contains(c)) {
            findings.value(&at, "sentinel.conf cannot hold such a path", "");
        }
        // A witness gets only the files that name it.
        let of = |host: &&crate::name::HostName| {
            let named = |file: &crate::spec::FileSpec| match &file.hosts {
                Some(hosts) => hosts.contains(*host),
                None => spec.role(host) != Role::Witness,
            };
            !spec.files.iter().any(|file| file.path == *path && named(file))
        };
        let without: Vec<String> = spec.sentinels().filter(of).map(ToString::to_string).collect();
        if !without.is_empty() {
            let hint = format!("files: [{{path: {}, mode: \"0755\", hosts: [{}], …}}]", path.display(), without.join(", "));
            findings.note(&at, format!("no `files:` puts it on {}, and Sentinel does not start without it", without.join(", ")), hint);
        }
    }
    if redis.parameters.keys().any(|name| name.eq_ignore_ascii_case("replica-priority")) && sentinel.decides == Decides::Otr {
        findings.key("redis.parameters.replica-priority", "with `decides: otr` it is 0 on every host: so Sentinel never fails over", "");
    }
    module(spec, sentinel.decides, findings);
}

fn module(spec: &Spec, decides: Decides, findings: &mut Findings<'_>) {
    let sessions = &spec.sessions;
    if decides == Decides::Otr || sessions.store != SessionStore::Redis || sessions.server.is_some() {
        return;
    }
    match sessions.known() {
        Some(module) => {
            if let Err(why) = module.sentinel {
                findings.value(
                    "sessions.module",
                    format!("Sentinel moves the primary, and {} cannot follow it: {why}", module.name),
                    "module: session_redis; or redis: {sentinel: {decides: otr}}, and the primary stays on production",
                );
            }
        }
        None if sessions.module.is_some() => findings.note(
            "sessions.module",
            format!(
                "Sentinel moves the primary: this module must ask a sentinel for {}, on each host's port {}",
                spec.sentinel_name(),
                port(spec)
            ),
            "say it under `environment` or `options`, as the module reads it",
        ),
        None => {}
    }
}

fn port(spec: &Spec) -> u16 {
    spec.sentinel().map_or(26379, |sentinel| sentinel.port)
}
