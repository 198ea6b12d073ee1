//! An old production made a standby again on a simulated machine: recovery alone, a kept copy, pg_rewind.

use std::path::{Path, PathBuf};

use super::files::Node;
use super::machine::Machine;
use super::postgres;
use super::streaming::{Conninfo, Fitting, Machines, connect};
use crate::look::ClusterName;
use crate::name::HostName;

impl Machine {
    pub(super) fn mark_standby(&mut self, data: &Path) -> Result<(), String> {
        if self.files.get(data.join("global/pg_control")).is_none() {
            return Err(format!("touch: cannot touch '{}/standby.signal': No such file or directory", data.display()));
        }
        let now = self.tick();
        self.production = false;
        self.forget_targets(data, false);
        self.files.put(data.join("standby.signal"), Node::File(Vec::new()), ("postgres", "postgres", 0o600), now);
        Ok(())
    }

    /// What would end a standby's life leaves postgresql.auto.conf.
    pub(super) fn forget_targets(&mut self, data: &Path, copied: bool) {
        let path = data.join("postgresql.auto.conf");
        let ends = ["recovery_", "restore_command", "archive_cleanup_command", "promote_trigger_file", "primary_", "hot_standby"];
        let foreign = ["listen_addresses", "synchronous_standby_names"];
        let stays = |line: &&str| {
            let starts = |names: &[&str]| names.iter().any(|name| line.trim_start().starts_with(name));
            !(starts(&ends) || copied && starts(&foreign))
        };
        let text: String = self.files.text(&path).lines().filter(stays).map(|line| format!("{line}\n")).collect();
        if text != self.files.text(&path) {
            let now = self.tick();
            self.files.write(path, text, ("postgres", "postgres", 0o600), now);
        }
    }

    /// Single-user mode: recovers, writes a checkpoint, stops; nobody can connect.
    pub(super) fn recover_cluster(&mut self, cluster: &ClusterName, directory: &Path) -> Result<(), String> {
        let found = self.clusters.get_mut(&postgres::key(cluster)).ok_or("no such cluster")?;
        if found.server.is_some() {
            return Err("FATAL:  lock file \"postmaster.pid\" already exists".into());
        }
        let data = found.data.as_mut().ok_or("no data")?;
        data.checkpoint_timeline = data.timeline;
        data.checkpoint = data.lsn;
        data.state = "shut down".into();
        data.commit(data.written.committed_at, 0x78, |_| ());
        self.mark_standby(directory)
    }

    pub(super) fn keep_data(&mut self, from: &Path, to: &Path) -> Result<(), String> {
        if self.files.get(to).is_some() {
            return Ok(());
        }
        if self.disk_full {
            return Err("cp: error writing: No space left on device".into());
        }
        let copies: Vec<_> =
            self.files.below(from).filter_map(|(path, entry)| Some((path.strip_prefix(from).ok()?.to_owned(), entry.clone()))).collect();
        let now = self.tick();
        self.files.make_parents(to, ("postgres", "postgres", 0o700), now);
        for (name, entry) in copies.into_iter().filter(|(name, _)| !name.as_os_str().is_empty()) {
            self.files.put(to.join(name), entry.node, (&entry.owner, &entry.group, entry.mode), now);
        }
        if let Some(cluster) = self.clusters.values_mut().find(|cluster| cluster.data.is_some()) {
            cluster.kept.extend(cluster.data.clone().map(|data| (PathBuf::from(to), data)));
        }
        Ok(())
    }
}

/// pg_rewind: the target becomes the source's data, to be replayed from where the histories part.
pub(super) fn rewind(
    machines: &mut Machines,
    fitting: &mut Fitting,
    host: &HostName,
    (cluster, directory, conninfo): (&ClusterName, &Path, &str),
) -> Result<(), String> {
    let failed = |why: String| format!("pg_rewind: fatal: {why}");
    let key = postgres::key(cluster);
    let (primary, primary_key) = connect(machines, fitting, host, &Conninfo::parse(conninfo)).map_err(failed)?;
    let source = machines.get(&primary).and_then(|machine| machine.data(&primary_key)).ok_or("no data")?.clone();
    let machine = machines.get_mut(host).ok_or("no machine")?;
    let full = machine.disk_full;
    let target = machine.clusters.get_mut(&key).ok_or("no cluster")?;
    if target.server.is_some() {
        return Err(failed("target server must be shut down cleanly".into()));
    }
    let data = target.data.as_mut().ok_or("no data")?;
    if !data.state.starts_with("shut down") {
        return Err(failed("target server must be shut down cleanly".into()));
    }
    if data.system_identifier != source.system_identifier {
        return Err(failed("source and target clusters are from different systems".into()));
    }
    if full {
        return Err(failed("could not write file: No space left on device".into()));
    }
    if source.checkpoint_timeline > data.timeline {
        *data = postgres::Data { state: "in archive recovery".into(), slots: Default::default(), ..source };
    }
    machine.mark_standby(directory)
}
