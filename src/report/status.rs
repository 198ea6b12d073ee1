//! The status as people read it. Pure.

use std::fmt::Write;

use super::text::{Style, paint, size};
use crate::plan::life::remedy;
use crate::status::{HostStatus, RedisStatus, SentinelStatus, Status};

/// Text of a status; its last line says whether a promotion could begin.
pub fn render(status: &Status, style: Style) -> String {
    let mut out = String::new();
    for host in &status.hosts {
        let _ = writeln!(out, "{}  {}", paint(style, "1", host.host.as_str()), host.role);
        if let Some(error) = &host.error {
            let _ = writeln!(out, "  {} {error}", paint(style, "31", "unreachable:"));
            continue;
        }
        render_host(&mut out, host, style);
    }
    if !status.would_lose.is_empty() {
        let remedy = if status.production_silent { "" } else { " (run `otr sync`)" };
        let _ = writeln!(out, "{} {}{remedy}", paint(style, "33", "would be lost:"), status.would_lose.join("; "));
    }
    if status.production_silent {
        let production = status.hosts.iter().find(|host| host.role == "production");
        let name = production.map_or("production", |host| host.host.as_str());
        let _ = writeln!(out, "{} {name}'s PostgreSQL gives no answer", paint(style, "31", "production is silent:"));
        silent(&mut out, status, production, style);
        if status.ready {
            return out;
        }
    }
    if status.ready {
        more_standbys(&mut out, status, style);
        let _ = writeln!(out, "{}", paint(style, "32", "ready to promote"));
    } else {
        let _ = writeln!(out, "{} {}", paint(style, "31", "not ready to promote:"), status.obstacles.join("; "));
    }
    out
}

/// What a person can do about a production that gives no answer.
fn silent(out: &mut String, status: &Status, production: Option<&HostStatus>, style: Style) {
    let first = status.hosts.iter().find(|host| host.role == "standby").map(|host| host.host.clone());
    let Some((production, standby)) = production.zip(status.best.as_ref().or(first.as_ref())) else { return };
    let name = &production.host;
    if status.ready {
        more_standbys(out, status, style);
    }
    let seen: Vec<&str> = status.production_lives.iter().map(|sign| sign.words.as_str()).collect();
    let _ = match &production.error {
        Some(why) if !seen.is_empty() => writeln!(
            out,
            "{} {}; but it cannot be reached from here: {why}. Nothing is promoted in place of a production that lives: let otr log in again, or {}",
            paint(style, "31", &format!("{name} lives:")),
            seen.join("; "),
            remedy(name.as_str())
        ),
        Some(_) if status.ready => {
            writeln!(out, "{standby} can be promoted once {name} is surely down: otr promote {standby} --production-is-down {name}")
        }
        None if status.ready => writeln!(
            out,
            "{name} itself answers: start its PostgreSQL there; or stop Odoo there too, and `otr promote {standby}` needs no statement"
        ),
        _ => Ok(()),
    };
}

/// What is said of standbys besides the one to promote.
fn more_standbys(out: &mut String, status: &Status, style: Style) {
    for less in &status.less {
        let _ = writeln!(out, "{less}");
    }
    if !status.unready.is_empty() {
        let _ = writeln!(out, "{} {}", paint(style, "33", "not so:"), status.unready.join("; "));
    }
}

fn render_host(out: &mut String, host: &HostStatus, style: Style) {
    if let Some(server) = &host.postgresql {
        let mut words = vec![server.state.to_owned()];
        words.extend(server.timeline.map(|timeline| format!("timeline {timeline}")));
        words.extend(server.receiver.clone());
        words.extend(server.lag_bytes.map(|bytes| format!("{} behind production", size(bytes))));
        words.extend(server.not_received_bytes.filter(|bytes| *bytes > 0).map(|bytes| format!("{} not received", size(bytes))));
        words.extend(server.last_message_seconds.filter(|seconds| *seconds > 30).map(|seconds| format!("last message {seconds} s ago")));
        words.extend(server.last_transaction.as_ref().map(|at| format!("last transaction {at}")));
        let _ = writeln!(out, "  PostgreSQL  {}", words.join(", "));
        if let Some(why) = &server.replay {
            let _ = writeln!(out, "  Replay      {why}");
        }
    }
    if host.epoch.is_some() || host.guard.is_some_and(|guard| guard != "set") {
        let epoch = host.epoch.as_deref().unwrap_or("0: nothing was ever promoted");
        let _ = writeln!(out, "  Epoch       {epoch}, guard {}", host.guard.unwrap_or("not seen"));
    }
    if let Some(odoo) = &host.odoo {
        let _ = writeln!(out, "  Odoo        {odoo}");
    }
    if let Some(redis) = &host.redis {
        render_redis(out, redis, style);
    }
    if let Some(server) = &host.session_server {
        let mut words = vec![server.at.clone()];
        words.extend(server.error.as_ref().map(|why| format!("{} {why}", paint(style, "31", "not reached:"))));
        words.extend(server.cluster.as_ref().map(|state| match state.as_str() {
            "ok" => "cluster ok".to_owned(),
            other => paint(style, "31", &format!("cluster {other}")),
        }));
        words.extend(server.nodes.map(|(nodes, primaries)| format!("{primaries} primaries of {nodes} nodes")));
        words.extend(server.slots_ok.map(|slots| format!("{slots} of 16384 slots")));
        words.extend(server.used_bytes.map(|bytes| format!("{} used", size(bytes))));
        let _ = writeln!(out, "  Sessions    {}", words.join(", "));
    }
    if let Some(memcached) = &host.memcached {
        let words = match memcached.up {
            true => format!(
                "{} items, {} of {} used, {} evicted, up {} s: nothing in it is older",
                memcached.items,
                size(memcached.used_bytes),
                size(memcached.limit_bytes),
                memcached.evicted,
                memcached.uptime
            ),
            false => paint(style, "31", "down"),
        };
        let _ = writeln!(out, "  memcached   {words}");
    }
    if let Some(sentinel) = &host.sentinel {
        let _ = writeln!(out, "  Sentinel    {}", sentinel_words(sentinel, style));
    }
    for filestore in &host.filestores {
        let mut words = format!("{}: {} files, {} missing", filestore.database, filestore.needed, filestore.missing);
        if filestore.missing > 0 {
            let _ = write!(words, " ({}", size(filestore.missing_bytes));
            if filestore.rebuildable > 0 {
                let _ = write!(words, ", {} that Odoo makes again", filestore.rebuildable);
            }
            if let Some(gone) = filestore.missing_on_production.filter(|gone| *gone > 0) {
                let _ = write!(words, ", {gone} missing on production too");
            }
            words.push(')');
        }
        let _ = writeln!(out, "  Filestore   {words}");
        for example in filestore.lost.iter().take(5) {
            let _ = writeln!(out, "              {} {example}", paint(style, "31", "missing:"));
        }
    }
    if host.role == "standby" && !host.filestores.is_empty() {
        let _ = writeln!(
            out,
            "  Last sync   {}",
            host.last_sync.as_deref().unwrap_or(if host.last_sync_unseen { "not known" } else { "none on record" })
        );
        for ran in host.syncs.iter().filter(|ran| ran.what == "follow") {
            let _ = writeln!(out, "  Follower    compared everything at {}", ran.last_ran);
        }
        for ran in host.syncs.iter().filter(|ran| ran.last_succeeded.as_ref() != Some(&ran.last_ran)) {
            let good = ran
                .last_succeeded
                .as_ref()
                .map_or_else(|| "none that went well is on record".to_owned(), |at| format!("went well last {at}"));
            let _ = writeln!(out, "              {} {} at {}, {good}", paint(style, "31", "failed:"), ran.what, ran.last_ran);
        }
    }
    if let Some(drill) = &host.drill {
        let mut words = vec![
            drill
                .last_succeeded
                .as_ref()
                .map_or_else(|| "none that went well is on record".to_owned(), |at| format!("went well last {at}")),
        ];
        words.extend(drill.odoo_seconds.map(|seconds| format!("Odoo answered {seconds:.0} s after its start")));
        words.extend(drill.under_way.then(|| paint(style, "33", "one is under way")));
        words.extend(drill.leftovers.then(|| paint(style, "33", "one that was cut off left its copy: the next `otr drill` clears it")));
        words.extend(drill.error.as_ref().map(|why| {
            format!(
                "{} at {}: {}",
                paint(style, "31", "failed"),
                drill.last_ran.as_deref().unwrap_or("-"),
                why.lines().next().unwrap_or_default()
            )
        }));
        let _ = writeln!(out, "  Drill       {}", words.join(", "));
    }
    if let Some(pause) = &host.paused {
        let _ = writeln!(out, "  {}      {}", paint(style, "33", "Paused"), pause.words().trim_start_matches("paused "));
    }
    for record in &host.records {
        let _ = writeln!(out, "  {}     {record}", paint(style, "33", "Records"));
    }
    for unseen in &host.unseen {
        let _ = writeln!(out, "  {} {unseen}", paint(style, "31", "not seen:"));
    }
}

fn sentinel_words(sentinel: &SentinelStatus, style: Style) -> String {
    if sentinel.state == "down" {
        return paint(style, "31", "down");
    }
    let mut words = vec![sentinel.primary.as_ref().map_or("watches nothing".to_owned(), |primary| format!("primary {primary}"))];
    words.extend(sentinel.trouble.iter().map(|flag| paint(style, "31", flag)));
    words.extend(sentinel.replicas.map(|n| format!("{n} replicas")));
    words.extend(sentinel.sentinels.map(|n| format!("{n} sentinels")));
    words.push(if sentinel.quorum { "quorum".into() } else { paint(style, "31", "no quorum: it cannot fail over") });
    words.join(", ")
}

fn render_redis(out: &mut String, redis: &RedisStatus, style: Style) {
    let mut words = vec![redis.state.to_owned()];
    words.extend(redis.link.as_ref().map(|link| format!("link {link}")));
    words.extend(redis.lag_bytes.map(|bytes| format!("{} behind production", size(bytes))));
    words.extend(redis.heard_seconds_ago.filter(|seconds| *seconds > 10).map(|seconds| format!("last heard {seconds} s ago")));
    words.extend(redis.keys.map(|keys| format!("{keys} keys")));
    words.extend(redis.used_bytes.map(|bytes| {
        let peak = redis.peak_bytes.map(|peak| format!(" (peak {})", size(peak))).unwrap_or_default();
        let limit = redis.limit_bytes.map(|limit| format!(" of {}", size(limit))).unwrap_or_default();
        format!("{}{limit} used{peak}", size(bytes))
    }));
    words.extend(redis.evicted.filter(|n| *n > 0).map(|n| format!("{n} keys evicted")));
    words.extend(redis.refused_writes.filter(|n| *n > 0).map(|n| format!("{n} writes refused")));
    let _ = writeln!(out, "  Redis       {}", words.join(", "));
    if redis.full {
        let full = paint(style, "31", "full:");
        let _ = writeln!(out, "              {full} it refuses every write, so nobody can log in (maxmemory-policy noeviction)");
    }
}
