//! What otr tells a simulated PostgreSQL server: promote, slots, roles, rows.
//!
//! Each refuses what the real server refuses, in its words.

use std::path::Path;

use super::files::Node;
use super::machine::Machine;
use super::postgres::{self, Data, Server};
use crate::look::ClusterName;
use crate::secret::Secret;

type Done = Result<(), String>;

impl Machine {
    /// The running server and its data.
    fn serving(&mut self, cluster: &ClusterName) -> Result<(&mut Server, &mut Data), String> {
        let refused = || {
            format!(
                "psql: error: could not connect to server: no such file\n\tIs the server running locally and accepting connections on \".s.PGSQL.{}\"?",
                cluster.port
            )
        };
        let found = self.clusters.get_mut(&postgres::key(cluster)).ok_or_else(refused)?;
        match (found.server.as_mut(), found.data.as_mut()) {
            (Some(server), Some(data)) => Ok((server, data)),
            _ => Err(refused()),
        }
    }

    fn commit(&mut self, cluster: &ClusterName, what: &str, bytes: u64, change: impl FnOnce(&mut postgres::Content)) -> Done {
        let (full, now) = (self.disk_full, self.tick());
        let (server, data) = self.serving(cluster)?;
        if server.in_recovery {
            return Err(format!("ERROR:  cannot execute {what} in a read-only transaction"));
        }
        if full {
            return Err("ERROR:  could not extend file: No space left on device".into());
        }
        data.commit(now, bytes, change);
        Ok(())
    }

    pub(super) fn reload_postgres(&mut self, cluster: &ClusterName) -> Done {
        self.serving(cluster)?;
        self.reload_cluster(&postgres::key(cluster));
        Ok(())
    }

    pub(super) fn set_replication_role(&mut self, cluster: &ClusterName, role: &str, verifier: &str) -> Done {
        let verifier = Secret::new(verifier);
        self.commit(cluster, "CREATE ROLE", 0x1a8, |content| {
            content.roles.insert(role.to_owned(), verifier);
        })
    }

    pub(super) fn create_slot(&mut self, cluster: &ClusterName, slot: &str) -> Done {
        let (server, data) = self.serving(cluster)?;
        let most: usize = server.value("max_replication_slots").parse().unwrap_or(0);
        if !data.slots.contains_key(slot) && data.slots.len() >= most {
            return Err("ERROR:  all replication slots are in use".into());
        }
        data.slots.entry(slot.to_owned()).or_insert(false);
        Ok(())
    }

    pub(super) fn drop_slot(&mut self, cluster: &ClusterName, slot: &str) -> Done {
        let (server, data) = self.serving(cluster)?;
        if server.active_slots.iter().any(|active| active == slot) {
            return Err(format!("ERROR:  replication slot \"{slot}\" is active"));
        }
        data.slots.remove(slot);
        Ok(())
    }

    pub(super) fn reset_setting(&mut self, cluster: &ClusterName, name: &str) -> Done {
        self.serving(cluster)?;
        let key = postgres::key(cluster);
        let path = self.data_directory(&key).join("postgresql.auto.conf");
        let keeps = |line: &&str| !line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='));
        let text: String = self.files.text(&path).lines().filter(keeps).map(|line| format!("{line}\n")).collect();
        let now = self.tick();
        self.files.write(path, text, ("postgres", "postgres", 0o600), now);
        self.reload_cluster(&key);
        Ok(())
    }

    /// `standby.signal`, then a start: a server that runs goes on as it is.
    pub(super) fn follow_primary(&mut self, cluster: &ClusterName, directory: &Path) -> Done {
        let (version, name) = postgres::key(cluster);
        if self.data(&(version, name.clone())).is_none() {
            return Err(format!("{} holds no cluster", directory.display()));
        }
        self.forget_targets(directory, false);
        let now = self.tick();
        self.files.put(directory.join("standby.signal"), Node::File(Vec::new()), ("postgres", "postgres", 0o600), now);
        self.start_unit(&format!("postgresql@{version}-{name}.service"))
    }

    /// Ends a pause, and a delay.
    pub(super) fn replay_all(&mut self, cluster: &ClusterName) -> Done {
        let (server, data) = self.serving(cluster)?;
        if !server.in_recovery {
            return Err("ERROR:  recovery is not in progress".into());
        }
        server.replay_paused = false;
        if let Some((delay, _)) = server.settings.get_mut("recovery_min_apply_delay") {
            delay.value = "0".into();
        }
        data.replay();
        Ok(())
    }

    /// `pg_promote()`: a new timeline, on which the checkpoint is still to come.
    pub(super) fn promote(&mut self, cluster: &ClusterName) -> Done {
        let directory = self.data_directory(&postgres::key(cluster));
        let (server, data) = self.serving(cluster)?;
        if !server.in_recovery {
            // otr's script calls pg_promote() only in recovery: an action can be repeated.
            return Ok(());
        }
        data.replay();
        data.forks.push((data.timeline, data.lsn));
        data.timeline += 1;
        data.state = "in production".into();
        data.parameters = postgres::parameters(|name| Some(server.value(name)));
        data.commit(data.written.committed_at, 0x60, |_| ());
        server.in_recovery = false;
        server.replay_paused = false;
        server.receiver = None;
        self.files.remove_tree(&directory.join("standby.signal"));
        self.production = true;
        Ok(())
    }

    pub(super) fn checkpoint(&mut self, cluster: &ClusterName) -> Done {
        let (_, data) = self.serving(cluster)?;
        data.checkpoint_timeline = data.timeline;
        data.checkpoint = data.lsn;
        Ok(())
    }

    pub(super) fn prove_write(&mut self, cluster: &ClusterName) -> Done {
        self.commit(cluster, "INSERT", 0xe8, |content| content.proofs += 1)
    }

    /// Deletes rows by store name.
    pub(super) fn forget_bundles(&mut self, cluster: &ClusterName, database: &str, names: &[String]) -> Done {
        let (_, data) = self.serving(cluster)?;
        if !data.content.databases.contains_key(database) {
            return Err(format!("psql: error: FATAL:  database \"{database}\" does not exist"));
        }
        self.commit(cluster, "DELETE", 0x40 * names.len() as u64, |content| {
            if let Some(database) = content.databases.get_mut(database) {
                database.attachments.retain(|_, (store_name, _)| !names.contains(store_name));
            }
        })
    }

    /// A password nobody has seen, in a file only postgres reads.
    pub(super) fn make_up_password(&mut self, path: &Path, role: &str) -> Done {
        if !self.accounts.users.contains_key("postgres") {
            return Err("chown: invalid user: 'postgres:postgres'".into());
        }
        if self.disk_full {
            return Err("No space left on device".into());
        }
        let now = self.tick();
        // Made of the clock: a simulated run can be repeated exactly.
        let password = format!("made-up-{:x}-{}", now.to_bits(), self.name);
        self.files.write(path, format!("*:*:*:{role}:{password}\n"), ("postgres", "postgres", 0o600), now);
        Ok(())
    }
}
