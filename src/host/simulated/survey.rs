//! What stands on a simulated machine: Odoo as Debian runs it, servers, and cron files.

use std::path::Path;

use super::machine::Machine;
use crate::look::Survey;
use crate::look::survey::{Cluster, Service, Trace};

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
