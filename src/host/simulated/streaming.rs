//! What passes between two simulated PostgreSQL servers: the right to connect, streaming, a base backup.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::Node;
use super::machine::Machine;
use super::postgres::{self, lsn_text};
use super::scram;
use crate::look::{ClusterName, Receiver};
use crate::name::HostName;

/// The machines by name.
pub type Machines = BTreeMap<HostName, Machine>;
/// Which verifiers were found to fit: computing it takes thousands of hashes.
pub type Fitting = BTreeMap<Vec<u8>, bool>;

type Key = (u32, String);

/// The words of a `primary_conninfo`.
#[derive(Debug, Clone, Default)]
pub(super) struct Conninfo(BTreeMap<String, String>);

impl Conninfo {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect())
    }
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// The primary a standby's conninfo leads to, or what a client there would be told.
pub(super) fn connect(
    machines: &Machines,
    fitting: &mut Fitting,
    standby: &HostName,
    conninfo: &Conninfo,
) -> Result<(HostName, Key), String> {
    let (host, port) = (conninfo.get("host"), if conninfo.get("port").is_empty() { "5432" } else { conninfo.get("port") });
    let no = |why: &str| {
        format!(
            "could not connect to server: {why}\n\tIs the server running on host \"{host}\" and accepting TCP/IP connections on port {port}?"
        )
    };
    let from = machines.get(standby).filter(|machine| machine.is_reachable()).ok_or_else(|| no("Network is unreachable"))?;
    let primary =
        machines.values().find(|machine| machine.addresses.iter().any(|address| address == host) || machine.name.as_str() == host);
    let primary = primary.filter(|machine| machine.is_reachable()).ok_or_else(|| no("No route to host"))?;
    let serving = primary.clusters.iter().find_map(|(key, cluster)| {
        Some((key, cluster.server.as_ref()?, cluster.data.as_ref()?)).filter(|(_, server, _)| server.value("port") == port)
    });
    let (key, server, data) = serving.ok_or_else(|| no("Connection refused"))?;
    let listens =
        server.value("listen_addresses").split(',').map(str::trim).any(|address| address == "*" || address == "0.0.0.0" || address == host);
    if !listens {
        return Err(no("Connection refused"));
    }
    let (user, encrypted) = (conninfo.get("user"), conninfo.get("sslmode") != "disable" && server.value("ssl") == "on");
    let address = from.addresses.first().map_or("", String::as_str);
    if !server.hba.lines().any(|line| admits(line, user, address, encrypted)) {
        let how = if encrypted { "on" } else { "off" };
        return Err(format!("FATAL:  no pg_hba.conf entry for replication connection from host \"{address}\", user \"{user}\", SSL {how}"));
    }
    let verifier =
        data.content.roles.get(user).ok_or_else(|| format!("FATAL:  password authentication failed for user \"{user}\" (no such role)"))?;
    let password = password(from, Path::new(conninfo.get("passfile")), host, port, user).ok_or("fe_sendauth: no password supplied")?;
    let fits =
        *fitting.entry(scram::fingerprint(verifier.expose(), &password)).or_insert_with(|| scram::fits(verifier.expose(), &password));
    if !fits {
        return Err(format!("FATAL:  password authentication failed for user \"{user}\""));
    }
    if server.value("max_wal_senders") == "0" || server.value("wal_level") == "minimal" {
        return Err("FATAL:  number of requested standby connections exceeds max_wal_senders".into());
    }
    Ok((primary.name.clone(), key.clone()))
}

/// Whether a line of pg_hba.conf lets a replication connection in.
fn admits(line: &str, user: &str, address: &str, encrypted: bool) -> bool {
    let fields: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
    let [kind, database, who, from, method, ..] = fields.as_slice() else { return false };
    let kind = match *kind {
        "host" => true,
        "hostssl" => encrypted,
        "hostnossl" => !encrypted,
        _ => false,
    };
    kind && database.split(',').any(|d| d == "replication")
        && who.split(',').any(|w| w == user || w == "all")
        && within(address, from)
        && *method != "reject"
}

fn within(address: &str, network: &str) -> bool {
    if matches!(network, "all" | "samenet") {
        return true;
    }
    let Some((network, bits)) = network.split_once('/') else { return network == address };
    let number = |text: &str| text.parse::<std::net::Ipv4Addr>().ok().map(u32::from);
    match (number(address), number(network), bits.parse::<u32>()) {
        (Some(address), Some(network), Ok(bits)) if bits <= 32 => (address ^ network).checked_shr(32 - bits).unwrap_or(0) == 0,
        _ => network == address,
    }
}

/// The password of a pgpass file, which libpq reads only if no one else can.
fn password(machine: &Machine, path: &Path, host: &str, port: &str, user: &str) -> Option<String> {
    let entry = machine.files.get(path)?;
    if entry.owner != "postgres" || entry.mode & 0o077 != 0 {
        return None;
    }
    machine.files.text(path).lines().find_map(|line| {
        let fields: Vec<&str> = line.splitn(5, ':').collect();
        let [h, p, d, u, password] = fields.as_slice() else { return None };
        let fits = |field: &str, value: &str| field == "*" || field == value;
        (fits(h, host) && fits(p, port) && fits(d, "replication") && fits(u, user)).then(|| (*password).to_owned())
    })
}

/// Lets WAL flow as far as it now can, on every machine.
pub fn settle(machines: &mut Machines, fitting: &mut Fitting, now: f64) {
    for cluster in machines.values_mut().flat_map(|machine| machine.clusters.values_mut()) {
        if cluster.server.is_some() {
            cluster.leaving = None;
        } else {
            cluster.server.clone_from(&cluster.leaving);
        }
    }
    flow(machines, fitting, now);
    for cluster in machines.values_mut().flat_map(|machine| machine.clusters.values_mut()) {
        if cluster.leaving.take().is_some() {
            cluster.server = None;
        }
    }
    for machine in machines.values_mut() {
        stop_overtaken(machine);
    }
}

fn flow(machines: &mut Machines, fitting: &mut Fitting, now: f64) {
    let mut standbys = Vec::new();
    for (host, machine) in machines.iter_mut() {
        for (key, cluster) in &mut machine.clusters {
            let Some(server) = &mut cluster.server else { continue };
            server.senders.clear();
            server.active_slots.clear();
            if server.in_recovery {
                let was = server.receiver.take();
                standbys.push((
                    host.clone(),
                    key.clone(),
                    server.value("primary_conninfo").to_owned(),
                    server.value("primary_slot_name").to_owned(),
                    was,
                ));
            }
        }
    }
    for (host, key, conninfo, slot, _) in standbys {
        // Why it does not stream stands in the server's log, which nobody looks at.
        let _ = stream(machines, fitting, (&host, &key), &conninfo, &slot, now);
    }
}

fn stream(
    machines: &mut Machines,
    fitting: &mut Fitting,
    (host, key): (&HostName, &Key),
    conninfo: &str,
    slot: &str,
    now: f64,
) -> Result<(), String> {
    if conninfo.is_empty() {
        return Err("no primary_conninfo".into());
    }
    let conninfo = Conninfo::parse(conninfo);
    let (primary, primary_key) = connect(machines, fitting, host, &conninfo)?;
    if primary == *host {
        return Err("it leads to itself".into());
    }
    let source = machines.get(&primary).and_then(|machine| machine.data(&primary_key)).ok_or("no data")?.clone();
    if !slot.is_empty() && source.slots.get(slot) != Some(&false) {
        return Err(format!("ERROR:  replication slot \"{slot}\" does not exist, or its WAL is lost"));
    }
    let cluster = machines.get_mut(host).and_then(|machine| machine.clusters.get_mut(key)).ok_or("no cluster")?;
    let (Some(data), Some(server)) = (cluster.data.as_mut(), cluster.server.as_mut()) else { return Err("not running".into()) };
    if data.system_identifier != source.system_identifier {
        return Err("FATAL:  database system identifier differs between the primary and standby".into());
    }
    let ends = if data.timeline == source.timeline {
        Some(source.lsn)
    } else {
        source.forks.iter().find(|(timeline, _)| *timeline == data.timeline).map(|(_, lsn)| *lsn)
    };
    if data.timeline > source.timeline || ends.is_none_or(|end| data.lsn > end) {
        return Err(format!("FATAL:  timeline {} forked off before current recovery point {}", source.timeline, lsn_text(data.lsn)));
    }
    data.timeline = source.timeline;
    data.checkpoint_timeline = source.timeline;
    data.checkpoint = source.checkpoint;
    data.forks = source.forks;
    let arrived = source.lsn > data.lsn;
    data.lsn = source.lsn;
    data.written = source.written;
    data.parameters = source.parameters;
    // The first commit beyond a recovery target ends recovery there.
    let target = crate::look::postgres::TARGETS.iter().any(|name| !server.value(name).is_empty());
    let promotes = target && arrived && server.value("recovery_target_action") == "promote";
    server.replay_paused |= target && arrived;
    if !server.replay_paused && ["", "0"].contains(&server.value("recovery_min_apply_delay")) {
        data.replay();
    }
    if promotes {
        let cluster = ClusterName { version: key.0, name: key.1.parse().map_err(|_| "no name")?, port: 0 };
        return machines.get_mut(host).ok_or("no machine")?.promote(&cluster);
    }
    let slot = Some(slot.to_owned()).filter(|slot| !slot.is_empty());
    server.receiver = Some(Receiver {
        status: "streaming".into(),
        slot: slot.clone(),
        sender: Some(conninfo.get("host").to_owned()),
        timeline: source.timeline,
        latest_end_lsn: Some(lsn_text(source.lsn)),
        last_message_at: Some(now),
    });
    let name = Some(conninfo.get("application_name")).filter(|name| !name.is_empty()).unwrap_or("walreceiver").to_owned();
    if let Some(server) = machines.get_mut(&primary).and_then(|machine| machine.clusters.get_mut(&primary_key)?.server.as_mut()) {
        server.senders.insert(name, "streaming".into());
        server.active_slots.extend(slot);
    }
    Ok(())
}

/// A standby dies when it replays that its primary's parameters were raised above its own.
fn stop_overtaken(machine: &mut Machine) {
    let overtaken = |cluster: &postgres::Cluster| {
        let (Some(server), Some(data)) = (&cluster.server, &cluster.data) else { return false };
        let own = postgres::parameters(|name| Some(server.value(name)));
        server.in_recovery && postgres::refuse_lower(&own, &data.parameters).is_err()
    };
    let keys: Vec<Key> = machine.clusters.iter().filter(|(_, cluster)| overtaken(cluster)).map(|(key, _)| key.clone()).collect();
    for (version, name) in keys {
        machine.fail_unit(&format!("postgresql@{version}-{name}.service"));
    }
}

/// What a base backup is told.
#[derive(Debug, Clone, Copy)]
pub struct Backup<'a> {
    /// The cluster that is replaced.
    pub cluster: &'a ClusterName,
    /// Its data directory.
    pub directory: &'a Path,
    /// How to reach the primary.
    pub conninfo: &'a str,
    /// The slot that keeps WAL meanwhile.
    pub slot: Option<&'a str>,
    /// The old data stays beside it.
    pub keep_old: bool,
}

/// Copies a primary's cluster, then puts it in the place of the old one and starts it as a standby.
pub fn base_backup(machines: &mut Machines, fitting: &mut Fitting, host: &HostName, backup: Backup<'_>) -> Result<(), String> {
    let failed = |why: String| format!("pg_basebackup: error: {why}");
    let key = postgres::key(backup.cluster);
    let unit = format!("postgresql@{}-{}.service", key.0, key.1);
    let machine = machines.get_mut(host).ok_or("no machine")?;
    if !machine.has_package(&format!("postgresql-{}", key.0)) || !machine.clusters.contains_key(&key) {
        return Err(format!("runuser: failed to execute /usr/lib/postgresql/{}/bin/pg_basebackup: No such file or directory", key.0));
    }
    machine.stop_unit(&unit);
    let full = machine.disk_full;
    let (primary, primary_key) = connect(machines, fitting, host, &Conninfo::parse(backup.conninfo)).map_err(failed)?;
    let source = machines.get(&primary).ok_or("no primary")?;
    let mut data = source.data(&primary_key).ok_or("no data")?.clone();
    if let Some(slot) = backup.slot.filter(|slot| !data.slots.contains_key(*slot)) {
        return Err(failed(format!(
            "could not send replication command \"START_REPLICATION\": ERROR:  replication slot \"{slot}\" does not exist"
        )));
    }
    if full {
        return Err(failed("could not write to file: No space left on device".into()));
    }
    let from = source.data_directory(&primary_key);
    let copies: Vec<_> =
        source.files.below(&from).filter_map(|(path, entry)| Some((path.strip_prefix(&from).ok()?.to_owned(), entry.clone()))).collect();
    let machine = machines.get_mut(host).ok_or("no machine")?;
    let now = machine.tick();
    let cluster = machine.clusters.entry(key).or_default();
    if backup.keep_old {
        let old = (0..)
            .map(|n| PathBuf::from(format!("{}.otr-old.{n}", backup.directory.display())))
            .find(|place| machine.files.get(place).is_none());
        let old = old.ok_or("no name is free")?;
        machine.files.rename(backup.directory, &old);
        cluster.kept.extend(cluster.data.take().map(|data| (old, data)));
    } else {
        machine.files.remove_tree(backup.directory);
    }
    let private = ("postgres", "postgres", 0o700);
    machine.files.make_parents(backup.directory, private, now);
    for (name, entry) in copies.into_iter().filter(|(name, _)| !name.as_os_str().is_empty()) {
        machine.files.put(backup.directory.join(name), entry.node, (&entry.owner, &entry.group, entry.mode), now);
    }
    machine.files.put(backup.directory.join("standby.signal"), Node::File(Vec::new()), ("postgres", "postgres", 0o600), now);
    machine.forget_targets(backup.directory, true);
    let cluster = machine.clusters.entry(postgres::key(backup.cluster)).or_default();
    data.slots.clear();
    data.replay();
    cluster.data = Some(data);
    machine.start_unit(&unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_pg_hba_admits_whom_it_names() {
        let line = "hostssl replication otr_repl 10.77.0.12/32 scram-sha-256";
        assert!(admits(line, "otr_repl", "10.77.0.12", true));
        assert!(!admits(line, "otr_repl", "10.77.0.12", false), "hostssl");
        assert!(!admits(line, "otr_repl", "10.77.0.13", true));
        assert!(!admits(line, "odoo", "10.77.0.12", true));
        assert!(!admits("host all all 0.0.0.0/0 md5", "otr_repl", "10.77.0.12", true), "all is no replication");
        assert!(admits("host replication all 10.77.0.0/24 md5", "x", "10.77.0.12", true));
        assert!(admits("host replication all 0.0.0.0/0 md5", "x", "10.77.0.12", true));
        assert!(!admits("# hostssl replication otr_repl 10.77.0.12/32 scram-sha-256", "otr_repl", "10.77.0.12", true));
    }
}
