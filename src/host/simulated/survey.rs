//! What stands on a simulated machine: Odoo as Debian runs it, servers, and cron files.

use std::path::{Path, PathBuf};

use super::machine::Machine;
use crate::look::survey::{Cluster, Service, Trace};
use crate::look::vitals::{Database, Room};
use crate::look::{Survey, Vitals};
use crate::name::DatabaseName;

const ODOO: &str = "/lib/systemd/system/odoo.service";

impl Machine {
    pub(super) fn survey(&self) -> Survey {
        let mut survey = Survey::default();
        if self.files.get(ODOO).is_some() {
            let field = |name: &str| {
                let text = self.files.text(ODOO);
                text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned()
            };
            survey.services.push(Service {
                unit: "odoo.service".into(),
                active: self.is_active("odoo.service"),
                user: field("User"),
                argv: field("ExecStart").split_whitespace().map(str::to_owned).collect(),
                variables: Default::default(),
            });
        }
        let clusters = self.clusters.iter().map(|((version, name), cluster)| Cluster {
            version: *version,
            name: name.clone(),
            port: 5432,
            online: cluster.server.is_some(),
            recovery: cluster.server.as_ref().is_some_and(|server| server.in_recovery),
        });
        survey.clusters.extend(clusters);
        let servers = ["redis-server", "nginx"].into_iter().filter(|name| self.has_package(name));
        survey.servers.extend(servers.map(|name| (name.to_owned(), self.is_active(&format!("{name}.service")))));
        for (path, _) in self.files.below(Path::new("/etc")) {
            let cron = path.parent().is_some_and(|folder| folder.to_string_lossy().starts_with("/etc/cron."));
            let text = if cron { self.files.text(path) } else { "" };
            let calls = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| word.starts_with("ot-"));
            survey.traces.extend(calls.map(|command| Trace { path: path.to_owned(), command: command.to_owned() }));
            if path.ends_with("ot-redundancy-sync.conf") {
                survey.traces.insert(Trace { path: path.to_owned(), command: String::new() });
            }
        }
        survey
    }
}

/// Bytes of a simulated machine's one disk, and of what is free on it.
const DISK: (u64, u64) = (40 << 30, 30 << 30);

impl Machine {
    pub(super) fn vitals(&self, paths: &[PathBuf], odoo: Option<u16>, databases: &[DatabaseName]) -> Vitals {
        let room = Room { mounted_at: "/".into(), size: DISK.0, free: if self.disk_full { 0 } else { DISK.1 } };
        let serves = |unit: &str, port: u16, who: &str| self.is_active(unit).then(|| (port, who.to_owned()));
        let known = |name: &str| {
            self.clusters.values().filter_map(|cluster| cluster.data.as_ref()).any(|data| data.content.databases.contains_key(name))
        };
        let one = |name: &DatabaseName| {
            (name.to_string(), Database { encoding: "UTF8".into(), collation: "C.UTF-8".into(), attachments: 1 << 20 })
        };
        Vitals {
            rooms: paths.iter().map(|path| (path.clone(), room.clone())).collect(),
            ports: [
                serves("ssh.service", 22, "sshd"),
                serves("odoo.service", 8069, "odoo"),
                serves("redis-server.service", 6379, "redis-server"),
            ]
            .into_iter()
            .flatten()
            .collect(),
            locales: ["C", "C.UTF-8", "POSIX"].map(str::to_owned).into(),
            libc: "2.31".into(),
            databases: databases.iter().filter(|name| known(name.as_str())).map(one).collect(),
            first_byte: odoo.filter(|port| self.is_active("odoo.service") && *port == 8069).map(|_| 80),
        }
    }
}
