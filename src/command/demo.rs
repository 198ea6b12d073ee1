//! `otr demo`: the life of a pair, played on a simulated one inside this program.
//!
//! The engine, the spec and the reports are those of the other verbs; only the machines are
//! made of values. Nothing is contacted and no file is read or written.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::{Exit, Ready, Session, open_fleet, print, print_json, report, style};
use crate::cli::Global;
use crate::converge::{Limits, Silent, converge};
use crate::fleet::Fleet;
use crate::host::simulated::World;
use crate::name::HostName;
use crate::promote::{PromoteReport, Promotion, Verb, promote};
use crate::report::text::Style;
use crate::report::{Outcome, Report, promotion, text};
use crate::resource::{Kind, Wanted};
use crate::secret::Secrets;
use crate::spec::load::{Loaded, parse};
use crate::status::{Status, looks, status};
use crate::sync::{Stores, stores, sync};
use crate::template::Templates;
use crate::wanted::{Program, all, data};

mod words;

const SPEC: &str = include_str!("../../specs/acme.yaml");

pub fn run(global: &Global) -> Result<Exit> {
    let stage = Stage::new()?;
    let mut script = Script { json: global.json, style: style(global), reports: Vec::new() };
    script.say(words::PROLOGUE)?;

    script.headline(1, words::PLAN)?;
    script.play(&stage.plan()?, words::plan)?;

    script.headline(2, words::APPLY)?;
    script.play(&stage.apply()?, words::apply)?;

    script.headline(3, words::PLAN_AGAIN)?;
    script.play(&stage.plan()?, text::render)?;

    script.headline(4, words::SYNC)?;
    stage.attach("order 4711.pdf", "%PDF-1.4 order")?;
    stage.attach("forklift.jpg", "a forklift")?;
    script.play(&stage.sync()?, text::render)?;

    script.headline(5, words::STATUS)?;
    stage.attach("invoice 4712.pdf", "%PDF-1.4 invoice")?;
    script.play(&stage.status()?, crate::report::status::render)?;

    stage.world.power_cut(&stage.old);
    script.headline(6, words::PROMOTE)?;
    let promoted = stage.promote()?;
    script.play(&promoted, promotion::render)?;
    script.say(words::EPILOGUE)?;
    script.end()?;
    Ok(if promoted.promoted { Exit::Done } else { Exit::Failed })
}

/// The simulated pair and the spec it plays.
pub(super) struct Stage {
    pub world: World,
    pub session: Session,
    pub old: HostName,
    pub new: HostName,
}

impl Stage {
    pub fn new() -> Result<Self> {
        let (spec, tree) = parse(SPEC).map_err(|problems| anyhow!("the embedded spec: {problems:?}"))?;
        let old = spec.production.clone();
        let new = spec.standbys().next().cloned().context("the embedded spec has no standby")?;
        let world = World::pair();
        for (name, host) in &spec.hosts {
            world.mutate(name, |machine| machine.addresses = vec![host.address.clone()]).context("the embedded spec has other hosts")?;
        }
        let secrets = Secrets::with(spec.secrets().into_iter().map(|(_, source)| source), |_| Ok("made-up-for-the-demo".to_owned()));
        // A folder that cannot be there: only otr's own templates count.
        let directory = PathBuf::from("/nonexistent/demo");
        let loaded =
            Loaded { spec, path: "specs/acme.yaml".into(), text: SPEC.to_owned(), tree, directory: directory.clone(), notes: Vec::new() };
        let program = Program { sha256: Ok("0".repeat(64)), architecture: "x86_64" };
        let session =
            Session { loaded, secrets, templates: Templates::new(&directory), connector: Box::new(world.clone()), program, here: None };
        Ok(Self { world, session, old, new })
    }

    fn ready(&self) -> Ready {
        self.session.ready(self.session.loaded.spec.clone())
    }

    fn open(&self, ready: &Ready, lock: Option<&str>) -> Result<Fleet> {
        open_fleet(&self.session, &ready.spec, lock).map_err(|(host, error)| anyhow!("{host}: {error}"))
    }

    fn plan(&self) -> Result<Report> {
        let ready = self.ready();
        let wanted = all(ready.inputs(&self.session, false));
        Ok(super::plan::look(&ready, &self.open(&ready, None)?, &wanted))
    }

    pub fn apply(&self) -> Result<Report> {
        let ready = self.ready();
        self.converge("apply", &ready, &all(ready.inputs(&self.session, false)))
    }

    fn sync(&self) -> Result<Report> {
        let ready = self.ready();
        let fleet = self.open(&ready, Some("sync"))?;
        let limits = Limits {
            spec: &ready.spec,
            patience: Duration::from_secs(1),
            consent: &BTreeSet::new(),
            promoting: None,
            restarts: true,
            trusting: false,
        };
        let wanted: Vec<_> =
            data(ready.inputs(&self.session, false)).into_iter().filter(|w| w.resource.id().kind != Kind::Filestore).collect();
        let synced = sync(&fleet, &wanted, &stores(&ready.spec, Stores::default()), &limits, &Silent)?;
        let mut report = report("sync", &ready.spec, &fleet, synced.resources);
        let failed = report.resources.iter().any(|r| matches!(r.outcome, Some(Outcome::Failed | Outcome::NotReached)));
        report.notes = super::sync::note(&self.session, &fleet, failed, None);
        Ok(report)
    }

    fn converge(&self, verb: &'static str, ready: &Ready, wanted: &[Wanted]) -> Result<Report> {
        let fleet = self.open(ready, Some(verb))?;
        let limits = Limits {
            spec: &ready.spec,
            patience: Duration::from_secs(1),
            consent: &BTreeSet::new(),
            promoting: None,
            restarts: true,
            trusting: false,
        };
        let resources = converge(&fleet, wanted, &limits, &Silent)?;
        Ok(report(verb, &ready.spec, &fleet, resources))
    }

    pub fn status(&self) -> Result<Status> {
        let ready = self.ready();
        Ok(status(&ready.spec, &self.open(&ready, None)?.look(looks(&ready.spec))))
    }

    pub fn promote(&self) -> Result<PromoteReport> {
        let ready = self.session.ready(self.session.loaded.spec.with_production(&self.new));
        let fleet = self.open(&ready, None)?;
        Ok(promote(&Promotion {
            verb: Verb::Promote,
            connect: None,
            before: None,
            keep_diverged: true,
            despite_drift: false,
            fleet: &fleet,
            inputs: ready.inputs(&self.session, true),
            host: &self.new,
            old: &self.old,
            despite_better: None,
            stated_down: Some(&self.old),
            by: "otr demo",
            snapshot: None,
            watch: &Silent,
            dry_run: false,
            at_once: true,
        }))
    }

    pub fn attach(&self, name: &str, bytes: &str) -> Result<()> {
        self.world.create_attachment(&self.old, name, bytes.as_bytes()).context("the simulated Odoo has no database")?;
        Ok(())
    }
}

/// What the audience gets: words as they come, or every report at the end.
struct Script {
    json: bool,
    style: Style,
    reports: Vec<Value>,
}

impl Script {
    fn say(&self, words: &str) -> Result<()> {
        if self.json { Ok(()) } else { print(words.trim_end()) }
    }

    fn headline(&self, number: usize, act: words::Act) -> Result<()> {
        self.say(&words::headline(number, act, self.style))
    }

    fn play<R: serde::Serialize>(&mut self, report: &R, render: impl Fn(&R, Style) -> String) -> Result<()> {
        if self.json {
            self.reports.push(serde_json::to_value(report)?);
            return Ok(());
        }
        print(render(report, self.style).trim_end())
    }

    fn end(&self) -> Result<()> {
        if self.json { print_json(&self.reports) } else { Ok(()) }
    }
}
