//! The verbs: one file each. They read, ask, print and choose the exit code; what they do
//! is done elsewhere.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};

use crate::cli::{Cli, Global, Selection, Verb};
use crate::fleet::Fleet;
use crate::host::connect::Connector;
use crate::host::here::{Here, Hinting, find};
use crate::host::{Connect, HostError};
use crate::name::HostName;
use crate::plan::split;
use crate::report::text::Style;
use crate::report::{HostReport, Report, ResourceReport, State, summary};
use crate::resource::{Kind, Wanted};
use crate::secret::Secrets;
use crate::spec::load::{Loaded, read};
use crate::spec::{Access, Spec};
use crate::template::{Rendered, Templates};
use crate::wanted::{Inputs, Program};

pub mod ansible;
mod apply;
mod check;
mod demo;
mod diff;
mod doctor;
mod drill;
mod follow;
mod guard;
mod incident;
mod init;
mod man;
mod notify;
mod pause;
mod plan;
mod progress;
mod promote;
mod record;
mod rejoin;
mod serve;
mod sessions;
mod status;
mod switchover;
mod sync;
mod terminal;

pub use terminal::complain;
pub(crate) use terminal::{ask, print, print_json};

/// How a run ended, for the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Something failed.
    Failed = 1,
    /// `plan --detailed-exitcode`: there is drift.
    Drift = 2,
    /// The command line is wrong (EX_USAGE).
    Usage = 64,
    /// The spec is wrong (EX_DATAERR).
    Spec = 65,
    /// Another otr is at work (EX_TEMPFAIL).
    Locked = 75,
}

/// Runs a verb.
///
/// # Errors
/// What cannot be put into a report: a wrong spec, a file that cannot be written.
pub fn run(cli: Cli) -> Result<Exit> {
    let global = &cli.global;
    match cli.verb {
        Verb::Init(args) => init::run(global, &args),
        Verb::Check { specs } => check::run(global, &specs),
        Verb::Schema { of } => check::schema(of),
        Verb::Doctor => doctor::run(global),
        Verb::Plan(args) => plan::run(global, &args),
        Verb::Apply(args) => apply::run(global, &args),
        Verb::Sync(args) => sync::run(global, &args),
        Verb::Serve(what) => serve::run(&what),
        Verb::Pause(args) => pause::run(global, &args),
        Verb::Resume(args) => pause::resume(global, &args),
        Verb::Status => status::run(global),
        Verb::Diff(args) => diff::run(global, &args),
        Verb::Sessions(args) => sessions::run(global, &args),
        Verb::Drill(args) => drill::run(global, &args),
        Verb::Promote(args) => promote::run(global, &args),
        Verb::Switchover(args) => switchover::run(global, &args),
        Verb::Rejoin(args) => rejoin::run(global, &args),
        Verb::Incident(args) => incident::run(global, &args),
        Verb::Guard(args) => guard::run(&args),
        Verb::Demo => demo::run(global),
        Verb::Record { directory } => record::run(global, &directory),
        Verb::Ansible => Ok(ansible::from_stdin()),
        Verb::Completions { shell } => man::completions(shell),
        Verb::Man { directory } => man::pages(&directory),
    }
}

/// Everything of one run that comes from the spec.
pub(crate) struct Session {
    pub loaded: Loaded,
    pub secrets: Secrets,
    pub templates: Templates,
    pub connector: Box<dyn Connect>,
    pub program: Program,
    /// The host otr runs on, where it is one.
    pub here: Option<HostName>,
}

/// A spec with its files rendered for the roles it says.
pub(crate) struct Ready {
    pub spec: Spec,
    pub files: Rendered,
    /// The spec as a host keeps it for its timers; empty where its line cannot be changed safely.
    text: String,
}

impl Session {
    /// Reads the spec of the command line, its secrets and templates.
    pub fn open(global: &Global) -> Result<Self> {
        let path = spec_path(global).context("no spec: name one with --spec FILE, or put it at ./otr.yaml or /etc/otr/spec.yaml")?;
        let loaded = read(&path, &global.sets)?;
        let secrets = Secrets::read(loaded.spec.secrets().into_iter().map(|(_, source)| source));
        Self::new(global, loaded, secrets)
    }

    /// The same with a spec and secrets that were read already.
    pub fn new(global: &Global, loaded: Loaded, secrets: Secrets) -> Result<Self> {
        if let Some(here) = &global.here {
            anyhow::ensure!(loaded.spec.hosts.contains_key(here), "--here {here}: the spec has no such host");
        }
        let found = if global.here.is_some() { Here::Elsewhere } else { find(&loaded.spec) };
        let here = match &found {
            Here::Is(host) => {
                eprintln!("this machine is {host}, by its address and what otr wrote here: it is not asked over SSH");
                Some(host.clone())
            }
            _ => global.here.clone(),
        };
        let connector = Connector { hosts: loaded.spec.hosts.clone(), accept_new: global.accept_new, here: here.clone() };
        let connector: Box<dyn Connect> = match found {
            Here::Perhaps(perhaps) => Box::new(Hinting { connector, perhaps }),
            _ => Box::new(connector),
        };
        let templates = Templates::new(&loaded.directory);
        let sha256 = own_digest();
        let program = Program { sha256, architecture: std::env::consts::ARCH };
        Ok(Self { loaded, secrets, templates, connector, program, here })
    }

    /// The spec as it is, or as it will be after a promotion.
    pub fn ready(&self, spec: Spec) -> Ready {
        let files = self.templates.files(&spec, &self.secrets);
        let text = match spec.production == self.loaded.spec.production {
            true => self.loaded.text.clone(),
            false => crate::spec::edit::with_production(&self.loaded.text, &spec.production).unwrap_or_default(),
        };
        Ready { spec, files, text }
    }
}

impl Ready {
    pub fn inputs<'a>(&'a self, session: &'a Session, promoting: bool) -> Inputs<'a> {
        Inputs {
            spec: &self.spec,
            secrets: &session.secrets,
            files: &self.files,
            program: &session.program,
            text: &self.text,
            promoting,
            checksum: false,
        }
    }
}

/// The spec of the command line, or the one that lies where one is looked for.
pub(crate) fn spec_path(global: &Global) -> Option<PathBuf> {
    let lying = || ["otr.yaml", "/etc/otr/spec.yaml"].into_iter().map(PathBuf::from).find(|path| path.exists());
    global.spec.clone().or_else(lying)
}

fn own_digest() -> Result<String, String> {
    let bytes = std::env::current_exe().and_then(std::fs::read).map_err(|error| error.to_string())?;
    Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Who is at work, for the lock's next visitor.
pub(crate) fn holder(verb: &str) -> String {
    format!("otr {verb} by {} (process {})", who(), std::process::id())
}

/// The person at work, and where.
pub(crate) fn who() -> String {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "somebody".into());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user} on {}", host.trim())
}

/// Opens the members of a spec and takes the locks of those otr may change.
pub(crate) fn open_fleet(session: &Session, spec: &Spec, lock: Option<&str>) -> Result<Fleet, (HostName, HostError)> {
    let fleet = Fleet::open(session.connector.as_ref(), spec.machines());
    if let Some(verb) = lock {
        lock_fleet(&fleet, spec, verb)?;
    }
    Ok(fleet)
}

/// Takes the locks of the members otr may change.
pub(crate) fn lock_fleet(fleet: &Fleet, spec: &Spec, verb: &str) -> Result<(), (HostName, HostError)> {
    fleet.lock(spec.machines().filter(|host| crate::plan::check::may_change(spec, host)), &holder(verb))
}

/// A spec that is older than a promotion, in words. One trip.
pub(crate) fn stale_spec(fleet: &Fleet, spec: &Spec) -> Option<String> {
    let newer = split::stale(spec, &fleet.look(split::looks(spec)))?;
    Some(newer.words(&spec.production))
}

/// The same on standard error, for verbs that change nothing which depends on roles.
pub(crate) fn warn_of_stale_spec(fleet: &Fleet, spec: &Spec) {
    if let Some(words) = stale_spec(fleet, spec) {
        eprintln!("warning: {words}");
    }
}

/// Says who holds a lock.
pub(crate) fn locked(global: &Global, host: &HostName, error: &HostError) -> Result<Exit> {
    let message = format!("{host}: {error}");
    if global.json {
        print_json(&serde_json::json!({ "format": 1, "error": message }))?;
    } else {
        complain(format!("error: {message}"));
    }
    Ok(if matches!(error, HostError::Locked { .. }) { Exit::Locked } else { Exit::Failed })
}

/// Keeps the resources a selection names.
pub(crate) fn select(wanted: Vec<Wanted>, selection: &Selection, spec: &Spec) -> Result<Vec<Wanted>> {
    for host in &selection.host {
        anyhow::ensure!(spec.hosts.contains_key(host), "--host {host}: the spec has no such host");
    }
    let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    for kind in &selection.only {
        anyhow::ensure!(known.contains(&kind.as_str()), "--only {kind}: no such kind; there are {}", known.join(", "));
    }
    let keeps = |wanted: &Wanted| {
        let id = wanted.resource.id();
        (selection.host.is_empty() || selection.host.contains(&id.host))
            && (selection.only.is_empty() || selection.only.iter().any(|k| k == id.kind.as_str()))
    };
    Ok(wanted.into_iter().filter(keeps).collect())
}

/// Puts a report together.
pub(crate) fn report(verb: &'static str, spec: &Spec, fleet: &Fleet, resources: Vec<ResourceReport>) -> Report {
    let hosts = spec
        .machines()
        .filter_map(|name| {
            let host = spec.hosts.get(name)?;
            Some(HostReport {
                host: name.clone(),
                role: spec.role(name).as_str(),
                address: host.address.clone(),
                observed: host.access == Access::Observe,
                error: fleet.unreachable(name),
            })
        })
        .collect();
    let summary = summary(&resources);
    let changed = summary.changed > 0 || resources.iter().any(|r| r.state == State::Change && r.outcome.is_none());
    Report {
        format: 1,
        verb,
        spec: spec.name.to_string(),
        hosts,
        resources,
        summary,
        changed,
        split_brain: false,
        stale_spec: false,
        notes: Vec::new(),
    }
}

/// Prints a report in the form asked for.
pub(crate) fn show(global: &Global, report: &Report) -> Result<()> {
    match global.json {
        true => print_json(report),
        false => print(crate::report::text::render(report, style(global)).trim_end()),
    }
}

/// Colour on a terminal only, and not if NO_COLOR is set (no-color.org).
pub(crate) fn style(global: &Global) -> Style {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Style { colour, verbose: global.verbose }
}

/// The hosts whose data may be replaced, each of which must be in the spec.
pub(crate) fn consent(spec: &Spec, hosts: &[HostName]) -> Result<BTreeSet<HostName>> {
    for host in hosts {
        anyhow::ensure!(spec.hosts.contains_key(host), "--replace-data {host}: the spec has no such host");
        anyhow::ensure!(*host != spec.production, "--replace-data {host}: it is production");
    }
    Ok(hosts.iter().cloned().collect())
}
