//! Odoo 14 on a simulated machine: starting it, its login page, and the files it makes.

use std::path::{Path, PathBuf};

use super::files::Node;
use super::filestore::store_name;
use super::machine::Machine;
use crate::action::Reader;
use crate::format::ini::Ini;
use crate::look::odoo_reads::Read;
use crate::look::{Attachment, LoginPage, Probe, Visit};

/// Its configuration file.
pub const CONFIG: &str = "/etc/odoo/odoo.conf";

/// Options that are numbers.
const NUMBERS: [&str; 5] = ["workers", "max_cron_threads", "http_port", "db_port", "smtp_port"];

/// The bundles its login page names.
pub const BUNDLES: [&str; 3] = ["web.assets_common.0.css", "web.assets_common.js", "web.assets_frontend.js"];

impl Machine {
    /// An option of odoo.conf; `False` is none.
    pub fn odoo_option(&self, name: &str) -> Option<String> {
        let ini = Ini::parse(self.files.text(CONFIG)).ok()?;
        ini.get("options", name).filter(|value| !["", "False", "None"].contains(value)).map(str::to_owned)
    }

    /// What Odoo's own parser says of a file before it takes its place.
    pub(super) fn owner_reads(&self, reader: Option<&Reader>, text: &str) -> Result<(), String> {
        let Some(Reader::Odoo { .. }) = reader else { return Ok(()) };
        let refused = |why: String| format!("Odoo refuses what was to be written to {CONFIG}, so it stays as it was: {why}");
        let ini = Ini::parse(text).map_err(|why| refused(why.to_string()))?;
        let number = |name: &&&str| {
            ini.get("options", name).is_some_and(|value| !["False", "None"].contains(&value) && value.parse::<u32>().is_err())
        };
        match NUMBERS.iter().find(number) {
            None => Ok(()),
            Some(name) => Err(refused(format!("{name} cannot be read: ValueError"))),
        }
    }

    /// `data_dir`.
    pub fn odoo_data(&self) -> PathBuf {
        self.odoo_option("data_dir").unwrap_or("/var/lib/odoo/.local/share/Odoo".into()).into()
    }

    /// What its parser says of a text.
    pub(super) fn odoo_reads(&self, text: &str) -> Read {
        let ini = match Ini::parse(text) {
            Ok(ini) => ini,
            Err(why) => return Read::No(why.to_string()),
        };
        let number = |name: &&str| {
            ini.get("options", name).is_some_and(|value| !["False", "None"].contains(&value) && value.parse::<u32>().is_err())
        };
        NUMBERS.into_iter().find(number).map_or(Read::Yes, |name| Read::No(format!("option --{name}: invalid integer value")))
    }

    /// Where it serves.
    pub(super) fn odoo_port(&self) -> u16 {
        self.odoo_option("http_port").or(self.odoo_option("xmlrpc_port")).and_then(|port| port.parse().ok()).unwrap_or(8069)
    }

    /// Odoo comes up whatever its database does, but not without its configuration.
    pub(super) fn start_odoo(&mut self) -> Result<(), String> {
        let guard = self.files.text("/etc/systemd/system/odoo.service.d/otr-storage.conf");
        let mut asserted = guard.lines().filter_map(|line| line.strip_prefix("AssertPathIsMountPoint="));
        if let Some(at) = asserted.find(|at| !self.mounts.contains_key(Path::new(at))) {
            return Err(format!("Assertion failed: AssertPathIsMountPoint={at}"));
        }
        let entry = self.files.get(CONFIG).ok_or("odoo: error: the config file /etc/odoo/odoo.conf doesn't exist or is not readable")?;
        let readable = (entry.owner == "odoo" && entry.mode & 0o400 != 0)
            || (entry.group == "odoo" && entry.mode & 0o040 != 0)
            || entry.mode & 0o004 != 0;
        if !readable {
            return Err("odoo: error: the config file /etc/odoo/odoo.conf doesn't exist or is not readable".into());
        }
        if let Read::No(why) = self.odoo_reads(self.files.text(CONFIG)) {
            return Err(format!("odoo: error: {why}"));
        }
        let (data, now) = (self.odoo_data(), self.now);
        self.files.make_parents(&data, ("odoo", "odoo", 0o755), now);
        for (name, mode) in [("sessions", 0o700), ("addons", 0o700), ("addons/14.0", 0o500)] {
            let path = data.join(name);
            if self.files.get(&path).is_none() {
                self.files.put(path, Node::Directory, ("odoo", "odoo", mode), now);
            }
        }
        Ok(())
    }

    /// What a browser on the host sees. Odoo makes bundles that have no row, as it is asked for the page.
    pub(super) fn login_page(&mut self, visit: &Visit) -> LoginPage {
        let at = format!("127.0.0.1:{}", self.odoo_port());
        let nothing = |error: &str| LoginPage { error: Some(error.into()), at: at.clone(), ..LoginPage::default() };
        if !self.has_package("python3") {
            return nothing("no python3");
        }
        // Where its service listens is seen; without it only the port that was named is asked.
        if !self.is_active("odoo.service") || (visit.unit.is_none() && self.odoo_port() != visit.port) {
            return nothing("[Errno 111] Connection refused");
        }
        let Some((recovery, names)) = self.clusters.values().find_map(|cluster| {
            Some((cluster.server.as_ref()?.in_recovery, cluster.data.as_ref()?.content.databases.keys().cloned().collect::<Vec<_>>()))
        }) else {
            return LoginPage { status: 500, at, ..LoginPage::default() };
        };
        let asked = visit.database.as_ref().map(|name| name.as_str().to_owned()).or(self.odoo_option("db_name"));
        let name = match (asked, names.as_slice()) {
            (Some(name), _) => Some(name).filter(|name| names.contains(name)),
            (None, [one]) => Some(one.clone()),
            (None, _) => None,
        };
        // Without a database of its own it sends everybody to the selector, which answers 200.
        let Some(name) = name else {
            return LoginPage { status: 303, ended: Some("/web/database/selector".into()), at, ..LoginPage::default() };
        };
        if recovery {
            return LoginPage { status: 500, at, ..LoginPage::default() };
        }
        let assets = BUNDLES.iter().map(|bundle| self.bundle(&name, bundle)).collect();
        let websocket =
            self.odoo_option("workers").filter(|workers| *workers != "0").map(|_| Probe { path: "port 8072".into(), status: 404 });
        LoginPage { status: 200, assets, at, websocket, ..LoginPage::default() }
    }

    fn bundle(&mut self, database: &str, bundle: &str) -> Probe {
        let rows = |machine: &Self| {
            let data = machine.clusters.values().find_map(|cluster| cluster.data.as_ref())?;
            let rows = &data.content.databases.get(database)?.attachments;
            rows.iter().find(|(_, (_, row))| row.regenerable && row.name == bundle).map(|(id, (name, _))| (*id, name.clone()))
        };
        let (id, name) = rows(self).unwrap_or_else(|| {
            let text = format!("/* {bundle} of {database}, made at {} */", self.now);
            self.attach(database, bundle, text.as_bytes(), true)
        });
        let there = self.files.get(self.odoo_data().join("filestore").join(database).join(&name)).is_some();
        let unique = name.get(3..10).unwrap_or_default();
        Probe { path: format!("/web/content/{id}-{unique}/{bundle}"), status: if there { 200 } else { 404 } }
    }

    /// An attachment as Odoo makes it: the file first, then the row.
    pub(super) fn attach(&mut self, database: &str, name: &str, bytes: &[u8], regenerable: bool) -> (i64, String) {
        let (store, now) = (store_name(bytes), self.tick());
        let path = self.odoo_data().join("filestore").join(database).join(&store);
        if let Some(parent) = path.parent() {
            self.files.make_parents(parent, ("odoo", "odoo", 0o755), now);
        }
        if self.files.get(&path).is_none() {
            self.files.put(Path::new(&path), Node::File(bytes.to_vec()), ("odoo", "odoo", 0o644), now);
        }
        let mut id = 1;
        if let Some(data) = self.clusters.values_mut().find_map(|cluster| cluster.data.as_mut()) {
            data.commit(now, 0x2e8, |content| {
                if let Some(database) = content.databases.get_mut(database) {
                    id = database.attachments.keys().next_back().map_or(180, |last| last + 1);
                    let row =
                        Attachment { size: bytes.len() as u64, id, name: name.to_owned(), regenerable, model: String::new(), record: 0 };
                    database.attachments.insert(id, (store.clone(), row));
                    database.size += 8192;
                }
            });
        }
        (id, store)
    }
}
