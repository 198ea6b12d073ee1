//! One simulated machine: what it is made of, power and the clock.
//!
//! Its parts' behaviour lives in their own modules; this one only switches them on and off.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::files::Files;
use super::postgres::Cluster;
use super::python::Modules;
use super::redis::Redis;
use super::units::{Start, UnitState};
use crate::guard::Answer;
use crate::look::accounts::Accounts;
use crate::look::debconf::Answers;
use crate::look::python::Source;
use crate::look::{CommandLine, Machine as Sight, Mounted, NixSystem, Packages};
use crate::name::HostName;

/// A machine made of values. Public, so that a test can tamper with anything.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its name.
    pub name: HostName,
    /// It has power.
    pub powered: bool,
    /// Its network link is up.
    pub link: bool,
    /// How often the link was cut.
    pub cuts: u32,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The login otr has there, after `become`.
    pub login: String,
    /// No byte fits any more.
    pub disk_full: bool,
    /// The next line that goes to a record is half written.
    pub tears: bool,
    /// The wall clock, seconds since the epoch.
    pub now: f64,
    /// How far its clock is ahead of the true time, seconds.
    pub skew: f64,
    /// When it was booted.
    pub booted_at: f64,
    /// Users and groups.
    pub accounts: Accounts,
    /// dpkg's list.
    pub packages: Packages,
    /// When otr had the lists of packages fetched.
    pub lists_fetched: Option<f64>,
    /// Because of which packages.
    pub lists_asked: std::collections::BTreeSet<String>,
    /// What debconf was answered.
    pub debconf: Answers,
    /// It is a NixOS, made of this.
    pub nixos: Option<NixSystem>,
    /// Files by path.
    pub files: Files,
    /// Units that were ever touched.
    pub units: BTreeMap<String, UnitState>,
    /// Every start of a unit since the machine exists.
    pub starts: Vec<Start>,
    /// Modules of virtual environments by path; the system's under the empty one.
    pub python: BTreeMap<String, Modules>,
    /// Modules of apt's whose files pip deleted.
    pub deleted_by_pip: BTreeSet<String>,
    /// Where modules are from that are of no index.
    pub python_sources: BTreeMap<String, BTreeMap<String, Source>>,
    /// Ids, locales, time zone, kernel settings, limits.
    pub system: BTreeMap<String, String>,
    /// PostgreSQL clusters by version and name.
    pub clusters: BTreeMap<(u32, String), Cluster>,
    /// The Redis server.
    pub redis: Redis,
    /// What the guard of each other machine's address would hear from it.
    pub neighbours: BTreeMap<String, Answer>,
    /// The open ports of every address that it reaches.
    pub(super) open: BTreeMap<String, Vec<u16>>,
    /// What its sshd says to otr in place of a login, if it lets nobody in.
    pub shut: Option<String>,
    /// Nothing that the machine of otr's run sends arrives; its peers reach it.
    pub filtered: bool,
    /// It was production since it booted.
    pub(super) production: bool,
    /// Programs of people's own: how each ends, and what it prints.
    pub programs: BTreeMap<String, (i32, String)>,
    /// Every call of one of them, with its environment.
    pub calls: Vec<CommandLine>,
    /// What is mounted, besides what a boot needs.
    pub mounts: BTreeMap<PathBuf, Mounted>,
    /// Sources that cannot be mounted, and what the helper says.
    pub unmountable: BTreeMap<String, String>,
    /// Directories nobody can write to.
    pub immutable: BTreeSet<PathBuf>,
    /// Which connection holds otr's lock, and what it calls itself.
    pub(super) lock: Option<(u64, String)>,
    pub(super) last_pid: u32,
}

impl Machine {
    /// Sets its clock wrong.
    pub fn misset(&mut self, skew: f64) {
        let step = skew - self.skew;
        (self.skew, self.now, self.booted_at) = (skew, self.now + step, self.booted_at + step);
    }

    /// A freshly installed Debian bullseye.
    pub fn bare(name: HostName, address: &str, now: f64) -> Self {
        let users = [("root", "/root"), ("nobody", "/nonexistent"), ("www-data", "/var/www")];
        let mut machine = Self {
            name,
            powered: true,
            link: true,
            cuts: 0,
            addresses: vec![address.to_owned()],
            login: "root".into(),
            disk_full: false,
            tears: false,
            now,
            skew: 0.0,
            booted_at: now,
            accounts: Accounts {
                users: users.iter().map(|(user, home)| ((*user).to_owned(), (*home).to_owned())).collect(),
                groups: BTreeSet::from(["root", "nogroup", "adm", "ssl-cert", "www-data"].map(str::to_owned)),
            },
            packages: Packages::new(),
            lists_fetched: None,
            lists_asked: Default::default(),
            debconf: Answers::new(),
            nixos: None,
            files: Files::default(),
            units: BTreeMap::new(),
            starts: Vec::new(),
            python: BTreeMap::new(),
            deleted_by_pip: BTreeSet::new(),
            python_sources: BTreeMap::new(),
            system: [("time zone", "Etc/UTC"), ("user odoo", "107")].map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            clusters: BTreeMap::new(),
            redis: Redis::default(),
            neighbours: BTreeMap::new(),
            open: BTreeMap::new(),
            shut: None,
            filtered: false,
            production: false,
            programs: BTreeMap::new(),
            calls: Vec::new(),
            mounts: BTreeMap::new(),
            unmountable: BTreeMap::new(),
            immutable: BTreeSet::new(),
            lock: None,
            last_pid: 500,
        };
        for directory in [
            "/etc/systemd/system",
            "/lib/systemd/system",
            "/usr/local/bin",
            "/usr/local/sbin",
            "/usr/share",
            "/var/lib",
            "/var/log",
            "/opt",
            "/srv",
            "/root",
            "/tmp",
            "/etc/default",
            "/etc/apt",
        ] {
            machine.files.make_parents(directory.as_ref(), ("root", "root", 0o755), now);
        }
        machine
    }

    /// Runs one of people's own programs.
    pub(super) fn call(&mut self, command: &CommandLine) -> (i32, String) {
        self.calls.push(command.clone());
        let program = command.argv.first().map_or("", String::as_str);
        self.programs.get(program).cloned().unwrap_or_else(|| (127, format!("env: '{program}': No such file or directory")))
    }

    /// A moment later: what is done next is newer than what was done before.
    pub fn tick(&mut self) -> f64 {
        self.now += 0.01;
        self.now
    }

    /// Seconds since boot.
    pub fn uptime(&self) -> f64 {
        self.now - self.booted_at
    }

    /// A new process.
    pub(super) fn pid(&mut self) -> u32 {
        self.last_pid += 7;
        self.last_pid
    }

    /// Reachable over the network.
    pub fn is_reachable(&self) -> bool {
        self.powered && self.link
    }

    /// Whether the login is root.
    pub fn is_root(&self) -> bool {
        self.login == "root"
    }

    /// All processes vanish; what is on disk stays as it is.
    pub fn power_off(&mut self) {
        self.powered = false;
        self.lock = None;
        self.production = false;
        for unit in self.units.values_mut() {
            unit.active = false;
            unit.failed = false;
            unit.active_since = None;
            unit.last_active = None;
            unit.pid = 0;
            unit.loaded = None;
        }
        for cluster in self.clusters.values_mut() {
            cluster.server = None;
            cluster.leaving = None;
        }
        self.redis.power_off();
        self.mounts.clear();
    }

    /// Boots: units that are enabled start, masked ones do not.
    pub fn power_on(&mut self) {
        self.powered = true;
        self.booted_at = self.now;
        self.now += 12.0;
        self.mount_all();
        self.start_enabled_units();
    }

    /// Whether a package is fully installed.
    pub fn has_package(&self, name: &str) -> bool {
        self.packages.get(name).is_some_and(|package| package.installed)
    }

    pub(super) fn add_account(&mut self, name: &str, home: &str) {
        self.accounts.users.insert(name.into(), home.into());
        self.accounts.groups.insert(name.into());
    }

    pub(super) fn sight(&self) -> Sight {
        Sight {
            hostname: self.name.to_string(),
            architecture: "x86_64".into(),
            system: "debian 11".into(),
            user: self.login.clone(),
            root: self.is_root(),
            now: self.now,
            ahead: 0,
            uptime: self.uptime(),
            memory: 8 << 30,
            addresses: self.addresses.clone(),
        }
    }
}
