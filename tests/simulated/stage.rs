//! The engine on a simulated pair: what the verbs do, without a command line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use otr::converge::{Limits, Silent, Watch, converge, plan};
use otr::fleet::Fleet;
use otr::host::simulated::World;
use otr::host::simulated::filestore::sha1;
use otr::name::HostName;
use otr::plan::check::Violation;
use otr::plan::{Plan, Verdict};
use otr::promote::{PromoteReport, Promotion, Verb, promote};
use otr::report::ResourceReport;
use otr::resource::{Kind, Wanted};
use otr::secret::{SecretSource, Secrets};
use otr::spec::load::parse;
use otr::spec::{Access, Spec};
use otr::status::{Status, looks, status};
use otr::sync::{Stores, stores, sync};
use otr::template::{Rendered, Templates};
use otr::wanted::{Inputs, Program, all, data};

pub const STORE: &str = "/var/lib/odoo/.local/share/Odoo/filestore/acme";
pub const JOURNAL: &str = "/var/lib/otr/promotion-acme.jsonl";
pub const MAIN: (u32, &str) = (13, "main");

pub fn erp1() -> HostName {
    "erp1".parse().unwrap()
}
pub fn erp2() -> HostName {
    "erp2".parse().unwrap()
}
pub fn main_cluster() -> (u32, String) {
    (MAIN.0, MAIN.1.to_owned())
}

/// A world, and what a person wants of it.
#[derive(Clone)]
pub struct Stage {
    pub world: World,
    pub spec: Spec,
    pub secrets: Secrets,
    pub program: Program,
}

/// The pair after a first apply. Made once: `fork` it.
pub static CONVERGED: LazyLock<Stage> = LazyLock::new(|| {
    let stage = Stage::new(World::pair());
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    stage
});

impl Stage {
    /// acme.yaml's spec on a world.
    pub fn new(world: World) -> Self {
        let (spec, _) = parse(include_str!("../../specs/acme.yaml")).unwrap();
        Self::with(world, spec, |_| Ok("made-up".into()))
    }

    pub fn with(world: World, spec: Spec, secret: impl Fn(&SecretSource) -> Result<String, String>) -> Self {
        for (name, host) in &spec.hosts {
            world.mutate(name, |machine| machine.addresses = vec![host.address.clone()]);
        }
        let secrets = Secrets::with(spec.secrets().into_iter().map(|(_, source)| source), secret);
        Self { world, spec, secrets, program: Program { sha256: Ok("0".repeat(64)), architecture: "x86_64" } }
    }

    pub fn converged() -> Self {
        CONVERGED.fork()
    }

    pub fn fork(&self) -> Self {
        Self { world: self.world.fork(), ..self.clone() }
    }

    /// The same pair, erp1 only to be looked at, with a login that could not change it.
    pub fn observing(mut self) -> Self {
        if let Some(host) = self.spec.hosts.get_mut(&erp1()) {
            host.access = Access::Observe;
        }
        self
    }

    fn with_inputs<T>(&self, spec: &Spec, promoting: bool, work: impl FnOnce(Inputs<'_>) -> T) -> T {
        let files: Rendered = Templates::new(&PathBuf::from("/nonexistent")).files(spec, &self.secrets);
        work(Inputs {
            spec,
            secrets: &self.secrets,
            files: &files,
            program: &self.program,
            text: "version: 1\n",
            promoting,
            checksum: false,
        })
    }

    pub fn wanted(&self) -> Vec<Wanted> {
        self.with_inputs(&self.spec, false, all)
    }

    pub fn fleet(&self) -> Fleet {
        Fleet::open(&self.world, self.spec.members())
    }

    pub fn plan(&self) -> Plan {
        plan(&self.fleet(), &self.wanted())
    }

    /// What a plan says of everything that does not hold.
    pub fn open(&self) -> BTreeMap<String, Verdict> {
        let items = self.plan().items.into_iter();
        items.filter(|item| item.verdict != Verdict::Holds).map(|item| (item.id.to_string(), item.verdict)).collect()
    }

    /// What a promotion's plan says of everything that does not hold.
    pub fn promoting_open(&self) -> BTreeMap<String, Verdict> {
        let wanted = self.with_inputs(&self.spec, true, all);
        let items = plan(&self.fleet(), &wanted).items.into_iter();
        items.filter(|item| item.verdict != Verdict::Holds).map(|item| (item.id.to_string(), item.verdict)).collect()
    }

    pub fn apply(&self) -> Result<Vec<ResourceReport>, Violation> {
        self.apply_agreeing(&BTreeSet::new())
    }

    pub fn apply_agreeing(&self, consent: &BTreeSet<HostName>) -> Result<Vec<ResourceReport>, Violation> {
        self.converge(&self.wanted(), consent)
    }

    pub fn sync(&self) -> Result<Vec<ResourceReport>, Violation> {
        self.sync_comparing(false)
    }

    pub fn sync_comparing(&self, checksum: bool) -> Result<Vec<ResourceReport>, Violation> {
        let mut wanted = self.with_inputs(&self.spec, false, |inputs| data(Inputs { checksum, ..inputs }));
        wanted.retain(|w| w.resource.id().kind != Kind::Filestore);
        let limits = Limits {
            spec: &self.spec,
            patience: Duration::ZERO,
            consent: &BTreeSet::new(),
            promoting: None,
            restarts: true,
            trusting: false,
        };
        Ok(sync(&self.fleet(), &wanted, &stores(&self.spec, Stores::default()), &limits, &Silent)?.resources)
    }

    fn converge(&self, wanted: &[Wanted], consent: &BTreeSet<HostName>) -> Result<Vec<ResourceReport>, Violation> {
        // What happens by itself happens at once in a simulated world.
        converge(
            &self.fleet(),
            wanted,
            &Limits { spec: &self.spec, patience: Duration::ZERO, consent, promoting: None, restarts: true, trusting: false },
            &Silent,
        )
    }

    /// Promotes the host that is not production; does not change this stage's spec.
    pub fn promote(&self, stated_down: bool) -> PromoteReport {
        self.promote_with(stated_down, |promotion| promotion)
    }

    /// The same with another wish.
    pub fn promote_with(&self, stated_down: bool, wish: impl for<'a> Fn(Promotion<'a>) -> Promotion<'a>) -> PromoteReport {
        let (old, new) = (self.spec.production.clone(), self.other());
        let spec = self.spec.with_production(&new);
        let fleet = Fleet::open(&self.world, spec.members());
        self.with_inputs(&spec, true, |inputs| {
            promote(&wish(Promotion {
                stated_down: stated_down.then_some(&old),
                connect: Some(&self.world),
                ..promotion(Verb::Promote, &fleet, inputs, (&new, &old))
            }))
        })
    }

    /// Promotes one of several standbys, production being stated to be down.
    pub fn promote_host(&self, new: &HostName, despite_better: Option<&HostName>) -> PromoteReport {
        let old = self.spec.production.clone();
        let spec = self.spec.with_production(new);
        let fleet = Fleet::open(&self.world, spec.members());
        self.with_inputs(&spec, true, |inputs| {
            promote(&Promotion {
                stated_down: Some(&old),
                despite_better,
                connect: Some(&self.world),
                ..promotion(Verb::Promote, &fleet, inputs, (new, &old))
            })
        })
    }

    /// One of several hosts follows production.
    pub fn rejoin_host(&self, host: &HostName) -> PromoteReport {
        let fleet = self.fleet();
        self.with_inputs(&self.spec, true, |inputs| promote(&promotion(Verb::Rejoin, &fleet, inputs, (&self.spec.production, host))))
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        status(&self.spec, &self.fleet().look(looks(&self.spec)))
    }

    /// The two change places; does not change this stage's spec.
    pub fn switchover(&self) -> PromoteReport {
        self.switchover_with(false)
    }

    /// What a switchover would do.
    pub fn switchover_with(&self, dry_run: bool) -> PromoteReport {
        self.switchover_as(dry_run, &Silent)
    }

    /// Somebody looks on, and may meddle.
    pub fn switchover_watched(&self, watch: &dyn Watch) -> PromoteReport {
        self.switchover_as(false, watch)
    }

    fn switchover_as(&self, dry_run: bool, watch: &dyn Watch) -> PromoteReport {
        let (old, new) = (self.spec.production.clone(), self.other());
        let spec = self.spec.with_production(&new);
        let fleet = Fleet::open(&self.world, spec.members());
        self.with_inputs(&spec, true, |inputs| {
            self.with_inputs(&self.spec, true, |before| {
                promote(&Promotion { before: Some(before), dry_run, watch, ..promotion(Verb::Switchover, &fleet, inputs, (&new, &old)) })
            })
        })
    }

    /// The host that is not production follows it.
    pub fn rejoin(&self) -> PromoteReport {
        let fleet = self.fleet();
        let old = self.other();
        self.with_inputs(&self.spec, true, |inputs| promote(&promotion(Verb::Rejoin, &fleet, inputs, (&self.spec.production, &old))))
    }

    /// The host that the spec does not call production.
    pub fn other(&self) -> HostName {
        if self.spec.production == erp1() { erp2() } else { erp1() }
    }

    /// The same world, with the spec's one line naming a host.
    pub fn with_production(&self, host: &HostName) -> Self {
        Self { spec: self.spec.with_production(host), ..self.clone() }
    }

    /// The same world, with the spec's one line changed.
    pub fn after_promotion(&self) -> Self {
        Self { spec: self.spec.with_production(&erp2()), ..self.clone() }
    }

    /// Sound files of a host's store: name to content.
    pub fn sound_files(&self, host: &HostName) -> BTreeMap<PathBuf, Vec<u8>> {
        self.store_files(host).into_iter().filter(|(path, bytes)| is_sound(path, bytes)).collect()
    }

    /// All files of a host's store.
    pub fn store_files(&self, host: &HostName) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = self.world.files(host);
        files.below(STORE.as_ref()).filter_map(|(path, _)| Some((path.to_owned(), files.bytes(path)?.to_vec()))).collect()
    }

    /// Everything a host's databases hold, and its store: what must never be lost.
    pub fn data(&self, host: &HostName) -> (String, BTreeMap<PathBuf, Vec<u8>>) {
        let databases = self.world.mutate(host, |machine| {
            machine.clusters.get(&main_cluster()).and_then(|c| c.data.as_ref()).map(|data| format!("{:?}", data.written.databases))
        });
        (databases.flatten().unwrap_or_default(), self.sound_files(host))
    }

    /// A host's PostgreSQL: `Some(true)` while it takes writes, `None` while it is down.
    pub fn writes(&self, host: &HostName) -> Option<bool> {
        let server = self
            .world
            .mutate(host, |machine| machine.clusters.get(&main_cluster()).and_then(|c| c.server.as_ref().map(|s| !s.in_recovery)));
        server.flatten()
    }

    pub fn odoo_starts_on_standby(&self) -> usize {
        self.world.starts(&erp2(), "odoo.service")
    }
}

fn promotion<'a>(verb: Verb, fleet: &'a Fleet, inputs: Inputs<'a>, (host, old): (&'a HostName, &'a HostName)) -> Promotion<'a> {
    Promotion {
        verb,
        connect: None,
        fleet,
        inputs,
        before: None,
        host,
        old,
        keep_diverged: true,
        despite_drift: false,
        despite_better: None,
        stated_down: None,
        by: "a test",
        snapshot: None,
        watch: &Silent,
        dry_run: false,
        at_once: true,
    }
}

/// A file of a store whose content is what its name says.
pub fn is_sound(path: &std::path::Path, bytes: &[u8]) -> bool {
    path.file_name().and_then(|name| name.to_str()) == Some(sha1(bytes).as_str())
}

/// What went wrong, for an assertion's message.
pub fn troubles(reports: &[ResourceReport]) -> Vec<String> {
    let bad = reports.iter().filter(|r| r.state != otr::report::State::Holds);
    bad.map(|r| format!("{} {:?} {:?} {:?} {:?}", r.id(), r.state, r.on, r.error, r.discards)).collect()
}
