//! Can every host be reached, read and changed, and is there room for what is coming? Pure.

use std::path::PathBuf;

use serde::Serialize;

use crate::facts::Facts;
use crate::look::vitals::Room;
use crate::look::{Look, Machine, Packages, ServerSight, Vitals};
use crate::name::HostName;
use crate::report::text::size;
use crate::spec::{Access, Role, Spec};
use crate::wanted::cluster_at;

mod postgres;

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where.
    pub host: HostName,
    /// What was looked at.
    pub check: &'static str,
    /// It is well.
    pub ok: bool,
    /// What was seen.
    pub seen: String,
    /// What would make it well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// More than this between two clocks spoils every comparison of times, seconds.
const CLOCKS: f64 = 2.0;

/// A login page that takes longer is no page people wait for, milliseconds.
const FIRST_BYTE: u64 = 5_000;

/// What a file system needs free besides what is coming: logs, WAL, a package's temporary files.
const SPARE: u64 = 1 << 30;

/// What must be seen of each host.
pub fn looks(spec: &Spec) -> Vec<(HostName, Look)> {
    let of = |host: &HostName| {
        let server = cluster_at(spec, host).into_iter().flat_map(|at| [Look::Server(at.cluster.clone()), Look::Cluster(at.cluster)]);
        let odoo = spec.odoo.as_ref().filter(|_| spec.role(host) == Role::Production);
        let pages = odoo.into_iter().flat_map(|odoo| odoo.visits(spec.http_port(host)).into_iter().map(Look::LoginPage));
        let unit = odoo.map(|odoo| Look::Unit(odoo.unit.clone()));
        [Look::Machine, Look::Nixos, Look::Packages, vitals(spec, host)]
            .into_iter()
            .chain(server)
            .chain(unit)
            .chain(pages)
            .collect::<Vec<_>>()
    };
    spec.members().flat_map(|host| of(host).into_iter().map(|look| (host.clone(), look)).collect::<Vec<_>>()).collect()
}

/// The disks, ports and databases of a host.
fn vitals(spec: &Spec, host: &HostName) -> Look {
    let production = spec.role(host) == Role::Production;
    Look::Vitals {
        paths: paths(spec).into_iter().map(|(path, _)| path).collect(),
        odoo: spec.odoo.as_ref().filter(|_| production).map(|_| spec.http_port(host)),
        cluster: spec.cluster().filter(|_| production),
        databases: spec.odoo.iter().filter(|_| production).flat_map(|odoo| odoo.databases.clone()).collect(),
    }
}

/// Where something will be written, and what.
fn paths(spec: &Spec) -> Vec<(PathBuf, What)> {
    let mut paths = vec![(PathBuf::from("/var/cache/apt/archives"), What::Packages)];
    if let Some(cluster) = spec.cluster() {
        paths.push((format!("/var/lib/postgresql/{}/{}", cluster.version, cluster.name).into(), What::Databases));
    }
    if let Some(odoo) = &spec.odoo {
        paths.push((odoo.data_dir.join("filestore"), What::Filestore));
    }
    paths
}

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Packages,
    Databases,
    Filestore,
}

/// All findings, host by host.
pub fn examine(spec: &Spec, facts: &Facts) -> Vec<Finding> {
    spec.members().flat_map(|host| Patient { spec, facts, host }.examine()).collect()
}

struct Patient<'a> {
    spec: &'a Spec,
    facts: &'a Facts,
    host: &'a HostName,
}

impl Patient<'_> {
    fn examine(&self) -> Vec<Finding> {
        let machine = match self.facts.machine(self.host) {
            Ok(machine) => machine,
            Err(error) => {
                let why = self.facts.unreachable(self.host).map_or(error.to_string(), str::to_owned);
                return vec![self.bad("reach", why, "try it by hand: ssh with the same user and address")];
            }
        };
        let mut findings = vec![self.well("reach", format!("{} as {}", machine.hostname, machine.user))];
        if self.spec.hosts.get(self.host).is_some_and(|host| host.access == Access::Manage) {
            findings.push(match machine.root {
                true => self.well("rights", "root".into()),
                false => self.bad(
                    "rights",
                    format!("{} is not root", machine.user),
                    &format!("say `become: sudo` for {}, log in as root, or say `access: observe`", self.host),
                ),
            });
        }
        if let Ok(production) = self.facts.machine(&self.spec.production) {
            findings.extend(self.compared(machine, production));
        }
        findings.extend(self.versions());
        findings.extend(self.postgresql(machine));
        findings.extend(self.recovery());
        match self.facts.vitals(self.host, &vitals(self.spec, self.host)) {
            Ok(seen) => {
                findings.extend(self.room(seen));
                findings.extend(self.ports(seen));
                findings.extend(self.locales(seen));
                findings.extend(self.login_pages(seen, machine));
            }
            Err(error) => findings.push(self.bad("vitals", error.to_string(), "run the doctor again once the host is less busy")),
        }
        findings
    }

    fn well(&self, check: &'static str, seen: String) -> Finding {
        Finding { host: self.host.clone(), check, ok: true, seen, remedy: None }
    }

    fn bad(&self, check: &'static str, seen: String, remedy: &str) -> Finding {
        Finding { host: self.host.clone(), check, ok: false, seen, remedy: Some(remedy.to_owned()) }
    }

    fn is_standby(&self) -> bool {
        self.spec.role(self.host) == Role::Standby
    }

    fn compared(&self, machine: &Machine, production: &Machine) -> [Finding; 2] {
        let same = machine.system == production.system && machine.architecture == production.architecture;
        let system = format!("{} {}", machine.system, machine.architecture);
        let apart = (machine.now - production.now).abs();
        let clock = format!("{apart:.1} s from production's");
        [
            match same {
                true => self.well("system", system),
                false => self.bad(
                    "system",
                    system,
                    &format!("production is {} {}; a clone needs the same", production.system, production.architecture),
                ),
            },
            match apart <= CLOCKS {
                true => self.well("clock", clock),
                false => self.bad("clock", clock, "install chrony or systemd-timesyncd"),
            },
        ]
    }

    /// Odoo and PostgreSQL as packages: what a standby has is production's, or is still to come.
    fn versions(&self) -> Option<Finding> {
        let named = |packages: &Packages| -> Vec<(String, String)> {
            let ours =
                |name: &str| name == "odoo" || ["odoo-", "postgresql-"].iter().any(|kind| name.strip_prefix(kind).is_some_and(is_number));
            packages.iter().filter(|(name, package)| package.installed && ours(name)).map(|(n, p)| (n.clone(), p.version.clone())).collect()
        };
        // A host without dpkg has no packages to compare.
        let here = named(self.facts.packages(self.host).ok()?);
        let there = named(self.facts.packages(&self.spec.production).ok()?);
        let told =
            |list: &[(String, String)]| list.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ");
        let differ: Vec<(String, String)> =
            there.iter().filter(|(name, version)| here.iter().any(|(own, is)| own == name && is != version)).cloned().collect();
        Some(match () {
            () if here.is_empty() => self.well("versions", "neither Odoo nor PostgreSQL is installed yet".into()),
            () if !differ.is_empty() => {
                self.bad("versions", told(&here), &format!("production has {}; `otr apply` with packages.clone brings them", told(&differ)))
            }
            () => self.well("versions", told(&here)),
        })
    }

    /// Each file system against what is coming to it.
    fn room(&self, seen: &Vitals) -> Vec<Finding> {
        let mut by_mount: std::collections::BTreeMap<PathBuf, (&Room, u64)> = std::collections::BTreeMap::new();
        let data = self.data_disk();
        for (path, what) in paths(self.spec) {
            let room = data.as_ref().filter(|_| what == What::Databases).or_else(|| seen.room(&path));
            if let Some(room) = room {
                by_mount.entry(room.mounted_at.clone()).or_insert((room, 0)).1 += self.coming(what);
            }
        }
        by_mount
            .into_iter()
            .map(|(at, (room, coming))| {
                let told = match coming {
                    0 => format!("{} free on {}", size(room.free), at.display()),
                    _ => format!("{} free on {}, {} are coming", size(room.free), at.display(), size(coming)),
                };
                match room.free >= coming + SPARE.min(room.size / 20) {
                    true => self.well("disk", told),
                    false => self.bad("disk", told, "make room before `otr apply`, or put a larger disk there"),
                }
            })
            .collect()
    }

    /// Bytes a standby has still to take.
    fn coming(&self, what: What) -> u64 {
        if !self.is_standby() {
            return 0;
        }
        let follows = || cluster_at(self.spec, self.host).and_then(|at| self.facts.server(self.host, &at.cluster).ok());
        let replica = follows().is_some_and(|sight| matches!(sight, ServerSight::Up(server) if server.in_recovery));
        let production = &self.spec.production;
        match what {
            _ if replica => 0,
            What::Packages => 0,
            What::Databases => match cluster_at(self.spec, production).map(|at| self.facts.server(production, &at.cluster)) {
                Some(Ok(ServerSight::Up(server))) => server.databases.values().sum(),
                _ => 0,
            },
            What::Filestore if self.spec.odoo.as_ref().is_some_and(|odoo| self.spec.is_shared(&odoo.data_dir.join("filestore"))) => 0,
            What::Filestore => {
                let there = self.facts.vitals(production, &vitals(self.spec, production));
                there.map_or(0, |vitals| vitals.databases.values().map(|database| database.attachments).sum())
            }
        }
    }

    /// The ports otr's own and Odoo's services take: free, or theirs already.
    fn ports(&self, seen: &Vitals) -> Vec<Finding> {
        let mut wanted: Vec<(u16, &str, &[&str])> = Vec::new();
        wanted.extend(self.spec.odoo.as_ref().map(|_| (self.spec.http_port(self.host), "Odoo", ["odoo", "python", "openerp"].as_slice())));
        wanted.extend(self.spec.cluster().map(|cluster| (cluster.port, "PostgreSQL", ["postgres"].as_slice())));
        wanted.extend(self.spec.redis.as_ref().map(|redis| (redis.port, "Redis", ["redis", "valkey"].as_slice())));
        let guard = self.spec.failover.guard && self.spec.replication.is_some();
        wanted.extend(guard.then_some((self.spec.failover.guard_port, "otr's guard", ["systemd", "otr"].as_slice())));
        let (mut taken, mut fine) = (Vec::new(), Vec::new());
        for (port, whose, programs) in wanted {
            match seen.ports.get(&port) {
                // Without rights the program is not told.
                Some(who) if !who.is_empty() && !programs.iter().any(|program| who.contains(program)) => taken.push((port, whose, who)),
                Some(_) => fine.push(format!("{port} {whose}")),
                None => fine.push(format!("{port} free")),
            }
        }
        let own = (!fine.is_empty()).then(|| self.well("ports", fine.join(", ")));
        let foreign = taken.into_iter().map(|(port, whose, who)| {
            self.bad(
                "ports",
                format!("{port} is taken by {who}"),
                &format!("{whose} needs it: stop {who} there, or say another port in the spec"),
            )
        });
        own.into_iter().chain(foreign).collect()
    }

    /// The locales production's databases sort by must be here, and sort alike.
    fn locales(&self, seen: &Vitals) -> Vec<Finding> {
        let Ok(there) = self.facts.vitals(&self.spec.production, &vitals(self.spec, &self.spec.production)) else { return Vec::new() };
        let mut findings = Vec::new();
        for (name, database) in &there.databases {
            let told = format!("{name} is {} {}", database.encoding, database.collation);
            findings.push(match () {
                () if database.encoding != "UTF8" => {
                    self.bad("locale", told, "Odoo expects UTF8: dump the database and restore it into one with --encoding=UTF8")
                }
                () if !seen.has_locale(&database.collation) => {
                    let remedy = format!(
                        "the locale is missing: put it into /etc/locale.gen and run locale-gen; PostgreSQL refuses {name} without it"
                    );
                    self.bad("locale", told, &remedy)
                }
                () => self.well("locale", told),
            });
        }
        let plain = there.databases.values().all(|database| matches!(database.collation.as_str(), "C" | "POSIX" | "C.UTF-8"));
        if !plain && !seen.libc.is_empty() && !there.libc.is_empty() && seen.libc != there.libc {
            let remedy = "text is sorted by the C library: after a promotion run REINDEX DATABASE, or give both hosts the same release";
            findings.push(self.bad("locale", format!("glibc {}, production {}", seen.libc, there.libc), remedy));
        }
        findings
    }

    /// Each database's login page as a browser gets it, and how soon it comes.
    fn login_pages(&self, seen: &Vitals, machine: &Machine) -> Vec<Finding> {
        let Some(odoo) = self.spec.odoo.as_ref().filter(|_| !self.is_standby()) else { return Vec::new() };
        let mut findings = Vec::new();
        if let Some(loops) = self.facts.unit(self.host, &odoo.unit).ok().and_then(|unit| unit.crash_loop(machine.uptime)) {
            let remedy = format!("see `journalctl -u {}` and Odoo's log on that host", odoo.unit);
            findings.push(self.bad("odoo", format!("{} {loops}", odoo.unit), &remedy));
        }
        for visit in odoo.visits(self.spec.http_port(self.host)) {
            let of = visit.database.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
            findings.push(match self.facts.login_page(self.host, &visit).map(|page| (page, page.trouble())) {
                Err(error) => self.bad("login page", error.to_string(), "run the doctor again once the host is less busy"),
                Ok((_, Some(why))) => {
                    let remedy = format!("see `journalctl -u {}` and Odoo's log on that host", odoo.unit);
                    self.bad("login page", format!("{of}{why}"), &remedy)
                }
                Ok((page, None)) => self.well("login page", format!("{of}{} on {}, {} assets", page.status, page.at, page.assets.len())),
            });
        }
        findings.extend(seen.first_byte.map(|time| {
            let told = format!("first byte after {time} ms");
            match time > FIRST_BYTE {
                true => self.bad("login page", told, "look at the load of the host, and at odoo.conf's workers and limits"),
                false => self.well("login page", told),
            }
        }));
        findings
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}
