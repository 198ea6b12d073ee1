//! The pair on the stage: the machines, the program, and the scenes chapters begin in.

use anyhow::{Result, ensure};

use crate::lab::Lab;
use crate::otr::Otr;
use crate::snapshot::Snapshot;

/// Where a chapter begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// erp1 is the production otr never touched, erp2 is bare Debian.
    Fresh,
    /// Both are bare Debian.
    Bare,
    /// otr made erp2 the standby of erp1 (specs/pair.yaml), and nothing differs.
    Standby,
    /// Three are bare, of a newer Debian; none of them was told anything.
    Newer(&'static str),
}

/// Everything a step can use.
pub struct Pair {
    /// The machines.
    pub lab: Lab,
    /// The program.
    pub otr: Otr,
    /// What a step leaves for a later one of its chapter.
    pub notes: Notes,
    scene: Option<Scene>,
    kept: bool,
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

const KEPT: &str = "standby";

impl Pair {
    /// Finds the program and the lab; boots nothing yet.
    pub fn new(reuse: bool) -> Result<Self> {
        let lab = Lab::new(reuse)?;
        let otr = Otr::new(&lab)?;
        let kept = reuse && lab.call(&["kept"])?.lines().any(|name| name == KEPT);
        Ok(Self { lab, otr, notes: Notes::default(), scene: None, kept, reuse })
    }

    /// Sets the scene, unless it stands already.
    pub fn enter(&mut self, scene: Scene) -> Result<()> {
        self.notes = Notes::default();
        self.otr.fresh_specs()?;
        if self.scene != Some(scene) {
            self.scene = None;
            match scene {
                Scene::Fresh => self.boot(&["erp1:prod", "erp2:min"])?,
                Scene::Bare => self.boot(&["erp1:min", "erp2:min"])?,
                Scene::Newer(suite) => {
                    self.boot(&["erp1", "erp2", "erp3"].map(|host| format!("{host}:{suite}")).each_ref().map(String::as_str))?
                }
                Scene::Standby if self.kept => {
                    self.lab.call(&["restore", KEPT])?;
                    self.otr.meet(&self.lab)?;
                    self.settle()?;
                    if self.reuse {
                        // An earlier run's binary stands on the standby.
                        self.otr.run("pair.yaml", "apply --yes --json")?.ended(0)?;
                    }
                }
                Scene::Standby => {
                    self.boot(&["erp1:prod", "erp2:min"])?;
                    self.otr.run("pair.yaml", "apply --yes --json")?.ended(0)?;
                    self.keep()?;
                }
            }
        }
        self.scene = Some(scene);
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

    /// Keeps the machines as they are for every later [`Scene::Standby`]; they reboot.
    pub fn keep(&mut self) -> Result<()> {
        self.lab.call(&["save", KEPT])?;
        self.kept = true;
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
