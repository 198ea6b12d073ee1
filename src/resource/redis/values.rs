//! Values of redis.conf: which are equal, which are secret, which are read at the start alone.

/// Directives that Redis reads only at its start, in every version (redis.io, "CONFIG SET"; config.c
/// of Redis 7.0 and Valkey 8.1, `IMMUTABLE_CONFIG`).
const AT_START: [&str; 24] = [
    "aclfile",
    "always-show-logo",
    "aof_rewrite_cpulist",
    "bgsave_cpulist",
    "bio_cpulist",
    "cluster-enabled",
    "daemonize",
    "databases",
    "disable-thp",
    "enable-debug-command",
    "enable-module-command",
    "enable-protected-configs",
    "io-threads",
    "io-threads-do-reads",
    "logfile",
    "pidfile",
    "rdbchecksum",
    "server_cpulist",
    "set-proc-title",
    "supervised",
    "syslog-enabled",
    "tcp-backlog",
    "unixsocket",
    "unixsocketperm",
];
/// Those that move the server: since version 7 a running one takes them, but two ports cannot change
/// places one by one, and the client that would say it already goes to the new one.
const MOVES: [&str; 2] = ["port", "tls-port"];
/// Those that a running server takes since version 7.
const AT_START_BEFORE_7: [&str; 1] = ["bind"];
/// Directives of another name in Valkey, which writes that one when it rewrites its file.
const OTHER_NAME: [(&str, &str); 1] = [("masterauth", "primaryauth")];
/// Amounts of memory: the server answers bytes, whatever unit the file has.
const MEMORY: [&str; 7] = [
    "auto-aof-rewrite-min-size",
    "active-defrag-ignore-bytes",
    "client-query-buffer-limit",
    "maxmemory",
    "maxmemory-clients",
    "proto-max-bulk-len",
    "repl-backlog-size",
];
const SECRET: [&str; 5] = ["requirepass", "masterauth", "primaryauth", "tls-key-file-pass", "tls-client-key-file-pass"];

/// Whether a change needs a start.
pub(super) fn at_start(name: &str, major: Option<u32>) -> bool {
    AT_START.contains(&name) || MOVES.contains(&name) || (major.is_some_and(|major| major < 7) && AT_START_BEFORE_7.contains(&name))
}

/// The name that Valkey has for a directive besides.
pub(super) fn other_name(name: &str) -> Option<&'static str> {
    OTHER_NAME.iter().find(|(old, _)| *old == name).map(|(_, new)| *new)
}

pub(super) fn is_secret(name: &str) -> bool {
    SECRET.contains(&name)
}

/// Redis answers sizes in bytes whatever unit the file has (`1k` is 1000, `1kb` 1024: redis.conf).
pub(super) fn same(name: &str, is: &str, wanted: &str) -> bool {
    is == wanted || (MEMORY.contains(&name) && bytes(is).is_some() && bytes(is) == bytes(wanted))
}

fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let factor = match unit {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_compared_as_bytes() {
        assert!(same("maxmemory", "536870912", "512mb"));
        assert!(same("repl-backlog-size", "1048576", "1mb"));
        assert!(!same("maxmemory", "512", "512mb"));
        assert!(!same("save", "1kb", "1024"), "only where Redis means bytes");
    }

    #[test]
    fn addresses_move_live_since_7_and_ports_at_a_start() {
        assert!(at_start("bind", Some(6)) && !at_start("bind", Some(7)) && at_start("databases", Some(7)));
        assert!(at_start("tls-port", Some(7)) && at_start("port", Some(8)), "from plain to TLS on one port");
    }
}
