//! Worlds to begin with: two bare machines, or a running production beside one or two bare ones.

use std::path::Path;

use super::World;
use super::machine::Machine;
use super::odoo::BUNDLES;
use super::packages::Archive;
use super::postgres::Database;
use crate::look::Package;
use crate::look::apt::PackageVersion;
use crate::name::HostName;

/// When a simulated world begins: 14 June 2026, 08:00 UTC, in seconds since the epoch.
pub const BEGIN: f64 = 1_781_424_000.0;

/// Name and address of the two machines.
const PAIR: [(&str, &str); 2] = [("erp1", "10.77.0.11"), ("erp2", "10.77.0.12")];

/// What production runs, and at which version. Some are not the newest.
const SOFTWARE: [(&str, Option<&str>); 7] = [
    ("curl", None),
    ("git", None),
    ("odoo-14", Some("14.0.0+dfsg.2-7+deb11u1")),
    ("postgresql-13", None),
    ("python3-pip", None),
    ("redis-server", Some("5:6.0.16-1+deb11u5")),
    ("vim", None),
];

const ODOO_CONF: &str = "[options]\n; set up by hand, long ago\nadmin_passwd = simulated-master\ndb_host = False\ndb_port = False\ndb_user = odoo\ndb_password = False\ndb_name = acme\ndbfilter = ^acme$\naddons_path = /usr/lib/python3/dist-packages/odoo/addons,/usr/share/odoo-acme\nworkers = 4\nmax_cron_threads = 2\nlimit_time_cpu = 120\nlist_db = False\nproxy_mode = True\n";

impl World {
    /// Two machines with Debian and nothing else.
    pub fn bare() -> World {
        let world = World::empty(Archive::debian(), BEGIN);
        for (name, address) in PAIR {
            if let Ok(name) = name.parse() {
                world.add(debian(name, address));
            }
        }
        world
    }

    /// erp1, a running production that otr never touched, and erp2 with Debian and nothing else.
    pub fn pair() -> World {
        let world = World::bare();
        world.with(|state| {
            let archive = &mut state.archive;
            if let Some(machine) = state.machines.values_mut().next() {
                produce(machine, archive);
                machine.now += 86_400.0;
                state.now = machine.now;
            }
        });
        world
    }

    /// The same with erp3, a second bare machine.
    pub fn trio() -> World {
        let world = World::pair();
        if let Ok(name) = "erp3".parse() {
            let mut machine = debian(name, "10.77.0.13");
            machine.now = world.with(|state| state.now);
            world.add(machine);
        }
        world
    }

    /// Odoo on a host makes an attachment in its first database; gives its store name.
    pub fn create_attachment(&self, host: &HostName, name: &str, bytes: &[u8]) -> Option<String> {
        let made = self.mutate(host, |machine| {
            let database = machine.clusters.values().find_map(|c| c.data.as_ref()?.content.databases.keys().next().cloned())?;
            Some(machine.attach(&database, name, bytes, false).1)
        });
        made.flatten()
    }
}

fn debian(name: HostName, address: &str) -> Machine {
    let mut machine = Machine::bare(name, address, BEGIN);
    for (package, version) in [
        ("base-files", "11.1+deb11u11"),
        ("libc6", "2.31-13+deb11u11"),
        ("openssh-server", "1:8.4p1-5+deb11u3"),
        ("sudo", "1.9.5p2-3+deb11u2"),
        ("systemd", "247.3-7+deb11u7"),
    ] {
        machine.packages.insert(
            package.into(),
            Package { version: version.into(), installed: true, held: false, manual: package != "libc6", half: false },
        );
    }
    let ssh = "[Service]\n[Install]\nWantedBy=multi-user.target\n";
    machine.files.write("/lib/systemd/system/ssh.service", ssh, ("root", "root", 0o644), BEGIN);
    machine.units.entry("ssh.service".into()).or_default().enabled = true;
    machine.start_enabled_units();
    machine
}

fn produce(machine: &mut Machine, archive: &mut Archive) {
    let wishes: Vec<PackageVersion> = SOFTWARE
        .iter()
        .filter_map(|(name, version)| Some(PackageVersion { name: name.parse().ok()?, version: version.map(str::to_owned) }))
        .collect();
    // The archive holds all of them; a test below sees to it.
    let _ = machine.install(&wishes, archive);
    machine
        .python
        .insert(String::new(), [("phonenumbers", "8.13.0"), ("redis", "5.0.1")].map(|(m, v)| (m.to_owned(), v.to_owned())).into());
    let now = machine.tick();
    machine.files.write("/etc/odoo/odoo.conf", ODOO_CONF, ("odoo", "odoo", 0o640), now);
    for (name, text) in [
        ("__manifest__.py", "{'name': 'Acme', 'version': '14.0.1.2.0', 'depends': ['base']}\n"),
        ("__init__.py", "from . import models\n"),
        ("models.py", "# the company's own fields\n"),
    ] {
        machine.files.write(Path::new("/usr/share/odoo-acme/acme_base").join(name), text, ("odoo", "odoo", 0o644), now);
    }
    for directory in ["/usr/share/odoo-acme", "/usr/share/odoo-acme/acme_base"] {
        if let Some(entry) = machine.files.get_mut(directory) {
            entry.owner = "odoo".into();
            entry.group = "odoo".into();
        }
    }
    machine.stop_unit("odoo.service");
    let _ = machine.start_unit("odoo.service");
    if let Some(data) = machine.clusters.values_mut().find_map(|cluster| cluster.data.as_mut()) {
        data.commit(now, 0x2_6a3_1f8, |content| {
            content.databases.insert("acme".into(), Database { size: 61_473_583, ..Database::default() });
        });
    }
    for n in 1..=36 {
        let (name, text) = match n % 3 {
            0 => (format!("INV-2026-{n:04}.pdf"), format!("%PDF-1.4 invoice {n}\n").repeat(n)),
            1 => (format!("image_{n}.png"), format!("\u{89}PNG picture {n}\n").repeat(2 * n)),
            _ => (format!("delivery slip {n}.txt"), format!("{n} crates of apples\n")),
        };
        machine.attach("acme", &name, text.as_bytes(), false);
    }
    for bundle in BUNDLES {
        machine.attach("acme", bundle, format!("/* {bundle} */\n").repeat(9).as_bytes(), true);
    }
    let sessions = machine.odoo_data().join("sessions");
    for sid in ["2d1f0c9a", "77aa01be"] {
        machine.files.write(sessions.join(format!("werkzeug_{sid}.sess")), format!("session {sid}"), ("odoo", "odoo", 0o644), now);
    }
    machine.redis.keys = 7;
}
