//! The pair on the stage: the machines, the program, and the scenes chapters begin in.

use anyhow::{Result, ensure};

use crate::lab::Lab;
use crate::otr::Otr;
use crate::snapshot::Snapshot;

/// A production's age: which software its machines run.
#[derive(Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its Odoo.
    pub odoo: u32,
    /// Its PostgreSQL.
    pub postgres: u32,
    /// The spec of its pair.
    pub spec: &'static str,
    production: &'static str,
    bare: &'static str,
    kept: &'static str,
}

/// Debian 11: Odoo 14, PostgreSQL 13, Redis 6; sessions in files.
pub static FOURTEEN: Generation =
    Generation { odoo: 14, postgres: 13, spec: "pair.yaml", production: "prod", bare: "min", kept: "standby" };
/// Debian 13: Odoo 19, PostgreSQL 17, Redis 8; sessions in Redis.
pub static NINETEEN: Generation =
    Generation { odoo: 19, postgres: 17, spec: "pair19.yaml", production: "prod19", bare: "bare19", kept: "standby19" };

#[allow(dead_code, reason = "for chapters that play on both")]
impl Generation {
    /// One chapter per generation, oldest first: `Generation::each(chapter)`.
    pub fn each<T>(make: impl Fn(&'static Self) -> T) -> [T; 2] {
        [make(&FOURTEEN), make(&NINETEEN)]
    }

    /// A chapter's name in this generation.
    pub fn named(&self, chapter: &str) -> String {
        if self.odoo == FOURTEEN.odoo { chapter.to_owned() } else { format!("{chapter}_{}", self.odoo) }
    }

    /// Where its production is untouched and its standby-to-be is bare.
    pub fn fresh(&self) -> Scene {
        if self.odoo == FOURTEEN.odoo { Scene::Fresh } else { Scene::Fresh19 }
    }

    /// Where the standby stands.
    pub fn standby(&self) -> Scene {
        if self.odoo == FOURTEEN.odoo { Scene::Standby } else { Scene::Standby19 }
    }

    /// The unit of its PostgreSQL.
    pub fn unit(&self) -> String {
        format!("postgresql@{}-main", self.postgres)
    }

    /// The data directory of its PostgreSQL.
    pub fn data(&self) -> String {
        format!("/var/lib/postgresql/{}/main", self.postgres)
    }
}

/// Where a chapter begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// erp1 is the production otr never touched, erp2 is bare Debian.
    Fresh,
    /// Both are bare Debian.
    Bare,
    /// otr made erp2 the standby of erp1 (specs/pair.yaml), and nothing differs.
    Standby,
    /// [`Scene::Fresh`] of the second generation.
    Fresh19,
    /// [`Scene::Standby`] of the second generation (specs/pair19.yaml).
    Standby19,
    /// otr made erp2 and erp3 the standbys of erp1, in one run (three.yaml).
    Three,
    /// Three are bare, of a newer Debian; none of them was told anything.
    Newer(&'static str),
}

const ERP2: &str = "  erp2: {address: 10.77.0.12, user: root}\n";
const STREAMING: &str = "select count(*) from pg_stat_replication where state = 'streaming'";

/// Everything a step can use.
pub struct Pair {
    /// The machines.
    pub lab: Lab,
    /// The program.
    pub otr: Otr,
    /// What a step leaves for a later one of its chapter.
    pub notes: Notes,
    /// What the machines of this scene run.
    pub generation: &'static Generation,
    scene: Option<Scene>,
    kept: Vec<String>,
    reuse: bool,
}

/// What steps tell each other.
#[derive(Default)]
pub struct Notes {
    /// Attachments that were made, by what becomes of them.
    pub attachments: Vec<crate::odoo::Attachment>,
    /// Text of any kind.
    pub text: String,
}

const KEPT_THREE: &str = "three";

impl Pair {
    /// Finds the program and the lab; boots nothing yet.
    pub fn new(reuse: bool) -> Result<Self> {
        let lab = Lab::new(reuse)?;
        let otr = Otr::new(&lab)?;
        let kept = if reuse { lab.call(&["kept"])?.lines().map(str::to_owned).collect() } else { Vec::new() };
        Ok(Self { lab, otr, notes: Notes::default(), generation: &FOURTEEN, scene: None, kept, reuse })
    }

    /// Sets the scene, unless it stands already.
    pub fn enter(&mut self, scene: Scene) -> Result<()> {
        self.notes = Notes::default();
        self.otr.fresh_specs()?;
        self.generation = if matches!(scene, Scene::Fresh19 | Scene::Standby19) { &NINETEEN } else { &FOURTEEN };
        if self.scene != Some(scene) {
            self.scene = None;
            match scene {
                Scene::Fresh | Scene::Fresh19 => self.boot_production()?,
                Scene::Bare => self.boot(&["erp1:min", "erp2:min"])?,
                Scene::Newer(suite) => {
                    self.boot(&["erp1", "erp2", "erp3"].map(|host| format!("{host}:{suite}")).each_ref().map(String::as_str))?
                }
                Scene::Three => self.three()?,
                Scene::Standby | Scene::Standby19 if self.kept.iter().any(|name| name == self.generation.kept) => {
                    self.lab.call(&["restore", self.generation.kept])?;
                    self.otr.meet(&self.lab)?;
                    self.settle()?;
                    if self.reuse {
                        // An earlier run's binary stands on the standby.
                        self.otr.run(self.generation.spec, "apply --yes --restarts --json")?.ended(0)?;
                    }
                }
                Scene::Standby | Scene::Standby19 => {
                    self.boot_production()?;
                    self.otr.run(self.generation.spec, "apply --yes --restarts --json")?.ended(0)?;
                    self.keep()?;
                }
            }
        }
        self.scene = Some(scene);
        Ok(())
    }

    fn boot_production(&mut self) -> Result<()> {
        let Generation { production, bare, .. } = self.generation;
        self.boot(&[&format!("erp1:{production}"), &format!("erp2:{bare}")])
    }

    fn three(&mut self) -> Result<()> {
        self.otr.vary("pair.yaml", "three.yaml", |spec| spec.replace(ERP2, &format!("{ERP2}{}", ERP2.replace('2', "3"))))?;
        if self.reuse && self.lab.call(&["kept"])?.lines().any(|name| name == KEPT_THREE) {
            self.lab.call(&["restore", KEPT_THREE])?;
            self.otr.meet(&self.lab)?;
            self.lab.wait("two standbys that stream", 60, |lab| Ok(lab.sql("erp1", "postgres", STREAMING)? == "2"))?;
            self.lab.wait("Odoo on erp1", 60, |lab| lab.holds("erp1", "exec 3<>/dev/tcp/127.0.0.1/8069"))?;
            self.otr.run("three.yaml", "apply --yes --restarts --json")?.ended(0)?;
            return Ok(());
        }
        self.boot(&["erp1:prod", "erp2:min", "erp3:min"])?;
        let run = self.otr.run("three.yaml", "apply --yes --restarts --json")?;
        run.ended(0)?;
        if self.reuse {
            self.lab.call(&["save", KEPT_THREE])?;
            self.lab.wait("two standbys that stream", 60, |lab| Ok(lab.sql("erp1", "postgres", STREAMING)? == "2"))?;
        }
        Ok(())
    }

    fn boot(&mut self, hosts: &[&str]) -> Result<()> {
        self.lab.call(&["drop", "erp1", "erp2", "erp3"])?;
        self.lab.call(&[&["up"], hosts].concat())?;
        self.booted()?;
        self.otr.meet(&self.lab)
    }

    /// A machine answers ssh before everything it starts at boot has started.
    fn booted(&self) -> Result<()> {
        let done = |lab: &Lab, host| lab.holds(host, "systemctl list-jobs | grep -q 'No jobs'").unwrap_or(false);
        self.lab.wait("the end of both boots", 60, |lab| Ok(done(lab, "erp1") && done(lab, "erp2")))
    }

    /// Keeps the machines as they are for every later scene with a standby of theirs; they reboot.
    pub fn keep(&mut self) -> Result<()> {
        self.lab.call(&["save", self.generation.kept])?;
        self.kept.push(self.generation.kept.to_owned());
        self.settle()
    }

    /// Waits until what a boot starts has started: production answers, the standby streams.
    pub fn settle(&self) -> Result<()> {
        self.booted()?;
        self.lab.wait("streaming to erp2", 60, |lab| {
            Ok(lab.sql("erp1", "postgres", "select count(*) from pg_stat_replication where state = 'streaming'")? == "1")
        })?;
        self.lab.wait("the replica of Redis", 60, |lab| Ok(lab.redis("erp2", "info replication")?.contains("master_link_status:up")))?;
        self.lab.wait("Odoo on erp1", 60, |lab| lab.holds("erp1", "exec 3<>/dev/tcp/127.0.0.1/8069"))
    }

    /// A chapter ended.
    pub fn left(&mut self, scene: Option<Scene>) {
        self.scene = scene;
    }

    /// The curtain falls.
    pub fn end(&mut self) {
        if let Err(why) = self.lab.call(&["destroy"]) {
            eprintln!("{why:#}");
        }
    }

    /// `plan` finds nothing to do.
    pub fn nothing_differs(&mut self, spec: &str) -> Result<()> {
        let plan = self.otr.run(spec, "plan --json --detailed-exitcode")?;
        let drift = plan.json()?.drift();
        ensure!(drift.is_empty(), "plan is not empty:\n{}", drift.join("\n"));
        plan.ended(0)?;
        Ok(())
    }

    /// A snapshot of both machines.
    pub fn snapshot(&self) -> Result<Vec<Snapshot>> {
        ["erp1", "erp2"].iter().map(|host| Snapshot::take(&self.lab, host)).collect()
    }

    /// Both machines are as they were in the snapshot.
    pub fn unchanged_since(&self, before: &[Snapshot]) -> Result<()> {
        before.iter().try_for_each(|snapshot| snapshot.same_as_now(&self.lab))
    }

    /// erp2 never ran Odoo, not for a moment.
    pub fn odoo_never_ran_on_erp2(&self) -> Result<()> {
        let journal = self.lab.sh("erp2", "journalctl --no-pager -q -u odoo")?;
        ensure!(journal.trim().is_empty(), "the journal of odoo.service on erp2 is not empty:\n{journal}");
        ensure!(self.lab.holds("erp2", "test ! -s /var/log/odoo/odoo-server.log")?, "Odoo wrote a log on erp2");
        ensure!(!self.lab.holds("erp2", "pgrep -u odoo")?, "a process of user odoo runs on erp2");
        Ok(())
    }
}
