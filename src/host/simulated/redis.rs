//! Redis 6.0 on a simulated machine: its file, its live settings and its replication.

use std::collections::BTreeMap;
use std::path::Path;

use super::machine::Machine;
use super::streaming::Machines;
use crate::look::RedisSight;
use crate::name::HostName;
use crate::secret::Secret;

/// Where Debian keeps the configuration.
pub const CONFIG: &str = "/etc/redis/redis.conf";

/// A server and its data.
#[derive(Debug, Clone, Default)]
pub struct Redis {
    /// It runs.
    pub running: bool,
    /// `CONFIG GET`, but for passwords and the primary.
    pub settings: BTreeMap<String, String>,
    /// `requirepass`, `masterauth`.
    pub secrets: BTreeMap<String, Secret>,
    /// The primary it replicates.
    pub primary: Option<(String, u16)>,
    /// The link to it is up, and the data is its.
    pub synced: bool,
    /// Replicas that are connected.
    pub replicas: u32,
    /// Keys in database 0.
    pub keys: u64,
}

/// Settings and their defaults. Source: Redis 6.0's config.c and Debian's redis.conf.
const KNOWN: &[(&str, &str)] = &[
    ("aclfile", ""),
    ("activerehashing", "yes"),
    ("appendfilename", "appendonly.aof"),
    ("appendfsync", "everysec"),
    ("appendonly", "no"),
    ("bind", ""),
    ("daemonize", "no"),
    ("databases", "16"),
    ("dbfilename", "dump.rdb"),
    ("dir", "/var/lib/redis"),
    ("hz", "10"),
    ("io-threads", "1"),
    ("lfu-decay-time", "1"),
    ("logfile", ""),
    ("loglevel", "notice"),
    ("masteruser", ""),
    ("maxclients", "10000"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("maxmemory-samples", "5"),
    ("min-replicas-max-lag", "10"),
    ("min-replicas-to-write", "0"),
    ("no-appendfsync-on-rewrite", "no"),
    ("notify-keyspace-events", ""),
    ("pidfile", ""),
    ("port", "6379"),
    ("protected-mode", "yes"),
    ("rdbchecksum", "yes"),
    ("rdbcompression", "yes"),
    ("repl-backlog-size", "1048576"),
    ("repl-diskless-sync", "no"),
    ("repl-timeout", "60"),
    ("replica-announce-ip", ""),
    ("replica-announce-port", "0"),
    ("replica-priority", "100"),
    ("replica-read-only", "yes"),
    ("replica-serve-stale-data", "yes"),
    ("save", "3600 1 300 100 60 10000"),
    ("slowlog-log-slower-than", "10000"),
    ("stop-writes-on-bgsave-error", "yes"),
    ("supervised", "no"),
    ("tcp-backlog", "511"),
    ("tcp-keepalive", "300"),
    ("timeout", "0"),
    ("tls-auth-clients", "yes"),
    ("tls-ca-cert-file", ""),
    ("tls-cert-file", ""),
    ("tls-key-file", ""),
    ("tls-port", "0"),
    ("tls-replication", "no"),
    ("unixsocket", ""),
];
const FIXED: [&str; 12] = [
    "aclfile",
    "bind",
    "port",
    "tls-port",
    "databases",
    "daemonize",
    "io-threads",
    "unixsocket",
    "supervised",
    "tcp-backlog",
    "logfile",
    "pidfile",
];
const MEMORY: [&str; 2] = ["maxmemory", "repl-backlog-size"];
const SECRET: [&str; 2] = ["requirepass", "masterauth"];

/// Values of a configuration file, the last of a name; `save` lines add up.
fn read(text: &str) -> Vec<(String, String)> {
    let mut seen: Vec<(String, String)> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split_once(char::is_whitespace).map_or(line, |(name, _)| name);
        let (name, value) =
            (name.to_ascii_lowercase().replace("slave", "replica"), crate::format::directives::get(line, name).unwrap_or_default());
        match seen.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) if name == "save" && !value.is_empty() => *old = format!("{old} {value}").trim().to_owned(),
            Some((_, old)) => *old = value,
            None => seen.push((name, value)),
        }
    }
    seen
}

/// A value as CONFIG GET prints it: memory in bytes.
fn shown(name: &str, value: &str) -> String {
    if !MEMORY.contains(&name) {
        return value.to_owned();
    }
    let text = value.to_ascii_lowercase();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor = match suffix {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return value.to_owned(),
    };
    number.parse::<u64>().map_or(value.to_owned(), |number| (number * factor).to_string())
}

impl Redis {
    pub(super) fn power_off(&mut self) {
        self.running = false;
        self.synced = false;
        self.replicas = 0;
    }

    /// A clean stop keeps the data, as a power cut does: the AOF or the last dump.
    pub(super) fn stop(&mut self) {
        self.power_off();
    }

    /// Whether it answers on a port, plainly or with TLS.
    fn listens(&self, port: u16) -> bool {
        ["port", "tls-port"].iter().any(|name| self.settings.get(*name).is_some_and(|own| *own == port.to_string()))
    }

    fn password(&self, name: &str) -> &str {
        self.secrets.get(name).map_or("", Secret::expose)
    }

    /// Whether a client that reads the password from a file gets in.
    fn admits(&self, file: &str) -> bool {
        let live = self.password("requirepass");
        live.is_empty() || read(file).iter().any(|(name, value)| name == "requirepass" && value == live)
    }
}

impl Machine {
    pub(super) fn start_redis(&mut self) -> Result<(), String> {
        if self.files.bytes(CONFIG).is_none() {
            return Err(format!("Fatal error, can't open config file '{CONFIG}'"));
        }
        let text = self.files.text(CONFIG);
        let bare = |line: &&str| {
            line.split_once(' ').is_some_and(|(name, value)| SECRET.contains(&name) && !value.contains('"') && value.trim().contains(' '))
        };
        if text.lines().any(|line| bare(&line)) {
            return Err("*** FATAL CONFIG FILE ERROR ***: wrong number of arguments".into());
        }
        let lines = read(text);
        let mut settings: BTreeMap<String, String> = KNOWN.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut secrets: BTreeMap<String, Secret> = SECRET.iter().map(|name| ((*name).to_owned(), Secret::new(""))).collect();
        self.redis.primary = None;
        for (name, value) in lines {
            if name == "replicaof" {
                let (host, port) = value.split_once(' ').ok_or("Bad directive: replicaof")?;
                self.redis.primary = Some((host.to_owned(), port.trim().parse().map_err(|_| "Bad directive: replicaof")?));
            } else if SECRET.contains(&name.as_str()) {
                secrets.insert(name, Secret::new(value));
            } else {
                let value = shown(&name, &value);
                settings.insert(name, value);
            }
        }
        for name in ["aclfile", "tls-cert-file", "tls-key-file", "tls-ca-cert-file"] {
            let path = settings.get(name).map_or("", String::as_str);
            if !path.is_empty() && self.files.bytes(path).is_none() {
                return Err(format!("Error loading {name}: {path}: No such file or directory"));
            }
        }
        self.redis = Redis { running: true, settings, secrets, synced: false, replicas: 0, ..std::mem::take(&mut self.redis) };
        Ok(())
    }

    fn redis_client(&mut self, config: &Path, port: u16) -> Result<&mut Redis, String> {
        if !self.redis.running || !self.redis.listens(port) {
            return Err(format!("Could not connect to Redis at 127.0.0.1:{port}: Connection refused"));
        }
        match self.redis.admits(self.files.text(config)) {
            true => Ok(&mut self.redis),
            false => Err("WRONGPASS invalid username-password pair\nNOAUTH Authentication required.".into()),
        }
    }

    pub(super) fn set_redis(&mut self, config: &Path, port: u16, name: &str, value: &str) -> Result<(), String> {
        let redis = self.redis_client(config, port)?;
        if SECRET.contains(&name) {
            redis.secrets.insert(name.to_owned(), Secret::new(value));
        } else if FIXED.contains(&name) || !redis.settings.contains_key(name) {
            return Err(format!("ERR Unsupported CONFIG parameter: {name}"));
        } else {
            redis.settings.insert(name.to_owned(), shown(name, value));
        }
        Ok(())
    }

    pub(super) fn replicate_redis(&mut self, config: &Path, port: u16, primary: Option<(String, u16)>) -> Result<(), String> {
        let redis = self.redis_client(config, port)?;
        redis.synced = redis.synced && redis.primary == primary;
        redis.primary = primary;
        Ok(())
    }

    pub(super) fn redis_sight(&self, config: &Path, port: u16) -> RedisSight {
        let redis = &self.redis;
        if !redis.running || !redis.listens(port) {
            return RedisSight::Down;
        }
        if !redis.admits(self.files.text(config)) {
            return RedisSight::Refused;
        }
        let mut settings = redis.settings.clone();
        settings.insert("replicaof".into(), redis.primary.as_ref().map_or(String::new(), |(host, port)| format!("{host} {port}")));
        let used = 860_000 + redis.keys * 400;
        let mut info: BTreeMap<String, String> = [
            ("redis_version", "6.0.16".to_owned()),
            ("role", if redis.primary.is_some() { "slave" } else { "master" }.into()),
            ("connected_slaves", redis.replicas.to_string()),
            ("used_memory", used.to_string()),
            ("used_memory_peak", (used + 40_000).to_string()),
            ("maxmemory", settings.get("maxmemory").cloned().unwrap_or_default()),
            ("evicted_keys", "0".into()),
            ("total_system_memory", (8_u64 << 30).to_string()),
            ("loading", "0".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some((host, port)) = &redis.primary {
            info.insert("master_host".into(), host.clone());
            info.insert("master_port".into(), port.to_string());
            info.insert("master_link_status".into(), if redis.synced { "up" } else { "down" }.into());
            info.insert("master_sync_in_progress".into(), "0".into());
            info.insert("master_last_io_seconds_ago".into(), if redis.synced { "1" } else { "-1" }.into());
        }
        if redis.keys > 0 {
            info.insert("db0".into(), format!("keys={},expires={},avg_ttl=0", redis.keys, redis.keys));
        }
        RedisSight::Up { settings, secrets: redis.secrets.clone(), info }
    }
}

/// Lets replicas follow as far as they now can.
pub fn settle(machines: &mut Machines) {
    for machine in machines.values_mut() {
        machine.redis.replicas = 0;
    }
    for host in machines.keys().cloned().collect::<Vec<HostName>>() {
        let Some(machine) = machines.get(&host).filter(|machine| machine.redis.running) else { continue };
        let Some((address, port)) = machine.redis.primary.clone() else { continue };
        let reaches = |other: &Machine| {
            let (redis, bind) = (&other.redis, other.redis.settings.get("bind").map_or("", String::as_str));
            let open = bind.is_empty() || bind.split_whitespace().any(|one| one == address || one == "0.0.0.0" || one == "*");
            let protected = redis.settings.get("protected-mode").is_some_and(|p| p == "yes")
                && bind.is_empty()
                && redis.password("requirepass").is_empty();
            let named = other.name.as_str() == address || other.addresses.contains(&address);
            named
                && other.name != host
                && other.is_reachable()
                && redis.running
                && open
                && !protected
                && redis.listens(port)
                && (redis.password("requirepass").is_empty() || redis.password("requirepass") == machine.redis.password("masterauth"))
        };
        let primary =
            machines.values().find(|other| machine.is_reachable() && reaches(other)).map(|other| (other.name.clone(), other.redis.keys));
        if let Some(redis) = machines.get_mut(&host).map(|machine| &mut machine.redis) {
            redis.synced = primary.is_some();
            redis.keys = primary.as_ref().map_or(redis.keys, |(_, keys)| *keys);
        }
        if let Some(primary) = primary.and_then(|(name, _)| machines.get_mut(&name)) {
            primary.redis.replicas += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(config: &str) -> Machine {
        let mut machine = Machine::bare("erp1".parse().unwrap(), "10.77.0.11", 1e9);
        machine.files.write(CONFIG, config, ("redis", "redis", 0o640), 1e9);
        machine.start_redis().unwrap();
        machine
    }

    #[test]
    fn the_file_counts_at_the_start_and_config_set_after_it() {
        let mut machine = machine("# x\nmaxmemory 512mb\nsave 900 1\nsave 300 10\n");
        let config = Path::new(CONFIG);
        assert_eq!((machine.redis.settings["maxmemory"].as_str(), machine.redis.settings["save"].as_str()), ("536870912", "900 1 300 10"));
        machine.set_redis(config, 6379, "maxmemory", "1gb").unwrap();
        assert_eq!(machine.redis.settings["maxmemory"], "1073741824");
        assert!(machine.set_redis(config, 6379, "bind", "x").is_err() && machine.set_redis(config, 6379, "nonsense", "x").is_err());
        assert_eq!(machine.redis_sight(config, 6380), RedisSight::Down);
    }

    #[test]
    fn a_password_only_in_memory_is_refused() {
        let mut machine = machine("port 6379\n");
        machine.set_redis(Path::new(CONFIG), 6379, "requirepass", "s").unwrap();
        assert_eq!(machine.redis_sight(Path::new(CONFIG), 6379), RedisSight::Refused);
        assert!(machine.set_redis(Path::new(CONFIG), 6379, "hz", "20").is_err());
    }
}
