//! `otr init`: looks at a running production and writes a spec that says what it is.
//!
//! The spec is tried before it is written: its plan is made for production, and each part that
//! would change something there is written as a comment, with the reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;

use super::diff::side;
use super::{Exit, Session, ask, print, print_json, style};
use crate::cli::{Global, InitArgs};
use crate::draft::predecessor::{found, summary_file};
use crate::draft::{Choices, Door, Draft, Seen, secrets};
use crate::fleet::Fleet;
use crate::host::Connect;
use crate::host::connect::Connector;
use crate::look::{Look, Machine, Survey};
use crate::name::{HostName, Word};
use crate::report::init::{Answer, Differs, Left, NotYet, render};
use crate::report::{Report, ResourceReport, State};
use crate::resource::Kind;
use crate::secret::{Secret, SecretSource, Secrets};
use crate::spec::Access;
use crate::spec::host::{Become, HostSpec};
use crate::spec::load::{Loaded, parse};
use crate::wanted::on;

mod keep;
mod production;
mod retire;

use production::Production;

pub fn run(global: &Global, args: &InitArgs) -> Result<Exit> {
    if args.retire_predecessor {
        return retire::run(global, args);
    }
    let file = global.spec.clone().unwrap_or_else(|| "otr.yaml".into());
    ensure!(args.dry_run || !file.exists(), "{} is there already: name another file with --spec, or move it away", file.display());
    let Some(address) = &args.production else { bail!("name the running production") };
    let (name, spec) = side(None, address, "production")?;
    let connect = |name: &HostName, spec: &HostSpec| -> Box<dyn Connect> {
        Box::new(Connector { hosts: IndexMap::from([(name.clone(), spec.clone())]), accept_new: global.accept_new, here: None })
    };
    let (production, spec) = with_rights(&connect, &name, spec, args.observe)?;
    ensure!(
        !production.survey.services.is_empty() || !production.survey.clusters.is_empty(),
        "{address} runs neither Odoo nor PostgreSQL: is it the production?"
    );
    let args = &with_secrets(args, &production)?;
    let standby = match standby(args)? {
        None => None,
        Some(address) => {
            let (name, spec) = side(None, &address, "standby")?;
            Some(Follower::look(connect(&name, &spec).as_ref(), &name, spec))
        }
    };
    let answer = draft(global, args, &production, (&name, &spec), standby, None)?;
    if !args.dry_run {
        if let Some(folder) = &args.secrets {
            keep::secrets(folder, &secrets(&production.seen()))?;
        }
        keep::spec(&file, &answer.spec)?;
    }
    let answer = Answer { file: (!args.dry_run).then_some(file), ..answer };
    match global.json {
        true => print_json(&answer)?,
        false => print(render(&answer, style(global)).trim_end())?,
    }
    Ok(Exit::Done)
}

/// Root sees files and databases that a login of its own does not; without it otr may only look.
fn with_rights(
    connect: &dyn Fn(&HostName, &HostSpec) -> Box<dyn Connect>,
    name: &HostName,
    mut spec: HostSpec,
    observe: bool,
) -> Result<(Production, HostSpec)> {
    let seen = Production::look(connect(name, &spec).as_ref(), name)?;
    if seen.machine.root {
        return Ok((seen, spec));
    }
    if !observe {
        let sudo = HostSpec { becomes: Some(Become::Sudo), ..spec.clone() };
        if let Ok(more) = Production::look(connect(name, &sudo).as_ref(), name) {
            return Ok((more, sudo));
        }
    }
    spec.access = Access::Observe;
    Ok((seen, spec))
}

/// A person at a terminal is asked where production's secrets are to be put.
fn with_secrets(args: &InitArgs, production: &Production) -> Result<InitArgs> {
    let names = secrets(&production.seen()).into_keys().collect::<Vec<_>>().join(", ");
    let asks = args.secrets.is_none() && !args.yes && !args.dry_run && !names.is_empty();
    let folder = match asks {
        true => ask(&format!("Production has secrets ({names}). A folder for them, which only you can read (empty: none)?"))?,
        false => None,
    };
    let folder = folder.filter(|folder| !folder.is_empty()).map(PathBuf::from);
    Ok(InitArgs { secrets: args.secrets.clone().or(folder), ..args.clone() })
}

/// The machine that is to follow.
struct Follower {
    name: HostName,
    spec: HostSpec,
    machine: Result<Machine, String>,
    survey: Option<Survey>,
}

impl Follower {
    fn look(connect: &dyn Connect, name: &HostName, mut spec: HostSpec) -> Self {
        let facts = Fleet::open(connect, [name]).look([Look::Machine, Look::Survey].map(|look| (name.clone(), look)));
        let machine = facts.machine(name).cloned().map_err(|error| facts.unreachable(name).map_or(error.to_string(), str::to_owned));
        if machine.as_ref().is_ok_and(|machine| !machine.root) {
            spec.becomes = Some(Become::Sudo);
        }
        Self { name: name.clone(), spec, machine, survey: facts.survey(name).ok().cloned() }
    }
}

/// The standby as it was named, or as a person names it now.
fn standby(args: &InitArgs) -> Result<Option<String>> {
    let asked = match (&args.standby, args.yes) {
        (Some(standby), _) => Some(standby.clone()),
        (None, true) => None,
        (None, false) => ask("The standby, as [user@]address (empty: later)?")?,
    };
    Ok(asked.filter(|address| !address.is_empty()))
}

/// Drafts the spec and tries it; on simulated machines if `connect` says so.
fn draft(
    global: &Global,
    args: &InitArgs,
    production: &Production,
    (name, spec): (&HostName, &HostSpec),
    standby: Option<Follower>,
    connect: Option<&dyn Connect>,
) -> Result<Answer> {
    let first = door(Some(&production.machine), name, spec, "erp1", None);
    let mut notes = production.unseen.clone();
    let mut predecessor: Vec<Left> = left(&first.name, &production.survey);
    let surveys = std::iter::once(&production.survey).chain(standby.as_ref().and_then(|follower| follower.survey.as_ref()));
    let summary_file = surveys.into_iter().find_map(summary_file);
    let second = standby.map(|follower| {
        match &follower.machine {
            Ok(machine) if machine.system != production.machine.system => {
                notes.push(format!(
                    "the standby is a {}, production a {}: a clone needs the same",
                    machine.system, production.machine.system
                ));
            }
            Ok(_) => {}
            Err(why) => notes.push(format!("the standby was not looked at: {why}")),
        }
        let second = door(follower.machine.as_ref().ok(), &follower.name, &follower.spec, "erp2", Some(&first));
        predecessor.extend(follower.survey.iter().flat_map(|survey| left(&second.name, survey)));
        second
    });
    let choices = Choices { summary_file, ..choices(args, production, first, second)? };
    let mut draft = Draft::make(&production.seen(), &choices);
    let report = settle(global, &mut draft, &choices, &production.seen(), connect)?;
    notes.append(&mut draft.notes);
    let not_yet = |section: &crate::draft::Section| Some(NotYet { key: section.key, why: section.off.clone()? });
    Ok(Answer {
        format: 1,
        verb: "init",
        file: None,
        spec: draft.render(),
        not_yet: draft.sections.iter().filter_map(not_yet).collect(),
        notes,
        predecessor,
        holds: report.resources.iter().filter(|resource| resource.state == State::Holds).count(),
        differs: report.resources.iter().filter_map(Differs::of).collect(),
        production: choices.production.name,
        standby: choices.standby.map(|door| door.name),
    })
}

fn left(host: &HostName, survey: &Survey) -> Vec<Left> {
    found(survey).into_iter().map(|found| Left { host: host.clone(), found }).collect()
}

/// A host of the spec, by the name it calls itself.
fn door(machine: Option<&Machine>, name: &HostName, spec: &HostSpec, otherwise: &str, taken: Option<&Door>) -> Door {
    let hostname = machine.map_or(spec.address.as_str(), |machine| machine.hostname.as_str());
    let label = hostname.split('.').next().filter(|label| label.parse::<u8>().is_err()).unwrap_or_default();
    let free = |name: &HostName| taken.is_none_or(|door| door.name != *name);
    let names = [label.to_owned(), otherwise.to_owned(), format!("{otherwise}-b")];
    Door {
        name: names.iter().filter_map(|name| name.parse().ok()).find(free).unwrap_or_else(|| name.clone()),
        address: spec.address.clone(),
        listen: machine.filter(|_| spec.is_local()).and_then(|machine| machine.addresses.first().cloned()),
        user: spec.user.clone(),
        port: spec.port,
        sudo: spec.becomes.is_some(),
        observe: spec.access == Access::Observe,
    }
}

/// What a person decides: by an option, when asked, or by what was found.
fn choices(args: &InitArgs, production: &Production, first: Door, standby: Option<Door>) -> Result<Choices> {
    let wizard = |question: &str, found: &str| -> Result<String> {
        let answer = if args.yes { None } else { ask(&format!("{question} [{found}]"))? };
        Ok(answer.filter(|answer| !answer.is_empty()).unwrap_or_else(|| found.to_owned()))
    };
    let mut databases = args.database.clone();
    if databases.is_empty() {
        let found: Vec<&str> = production.databases().iter().map(|name| name.as_str()).collect();
        let said = wizard("Databases, with a comma between them?", &found.join(","))?;
        for name in said.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            databases.push(name.parse().with_context(|| format!("database {name:?}"))?);
        }
    }
    let name = match &args.name {
        Some(name) => name.clone(),
        None => {
            let word = databases.first().and_then(|name| name.as_str().parse::<Word>().ok()).or_else(|| first.name.as_str().parse().ok());
            let found = word.context("nothing was found that could be the installation's name: say --name")?;
            wizard("The installation's name?", found.as_str())?.parse().context("the installation's name")?
        }
    };
    let question = format!("Make the pair in this spec? The next `otr apply` then gives {} what replication needs. y/n", first.name);
    let replicate = args.replicate || (standby.is_some() && wizard(&question, "n")?.eq_ignore_ascii_case("y"));
    let secrets = match &args.secrets {
        None => None,
        Some(folder) => Some(std::path::absolute(folder).context("--secrets")?.to_str().context("--secrets: not UTF-8")?.to_owned()),
    };
    Ok(Choices { name, production: first, standby, databases, secrets, summary_file: None, replicate })
}

/// Tries the draft on production until nothing more is to be written as a comment.
fn settle(global: &Global, draft: &mut Draft, choices: &Choices, seen: &Seen<'_>, connect: Option<&dyn Connect>) -> Result<Report> {
    // Their files are written when the spec is; it is tried before.
    let given: BTreeMap<SecretSource, Secret> = match &choices.secrets {
        None => BTreeMap::new(),
        Some(folder) => {
            secrets(seen).into_iter().map(|(name, secret)| (SecretSource::File(Path::new(folder).join(name)), secret)).collect()
        }
    };
    loop {
        let text = draft.render();
        let (spec, tree) = match parse(&text) {
            Ok(parsed) => parsed,
            Err(problems) => {
                let wrong: Vec<_> = problems.iter().filter(|problem| !problem.note).collect();
                let key = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
                let off = wrong.iter().filter(|problem| draft.put_off(&key(&problem.path), &problem.message)).count();
                let why = wrong.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect::<Vec<_>>().join("; ");
                ensure!(off > 0, "the drafted spec is wrong, which is a mistake in otr ({why}):\n{text}");
                continue;
            }
        };
        let secrets = Secrets::given(spec.secrets().into_iter().map(|(_, source)| source), &given);
        let loaded = Loaded { spec, path: "otr.yaml".into(), text, tree, directory: ".".into(), notes: Vec::new() };
        let session = Session::new(global, loaded, secrets)?;
        let ready = session.ready(session.loaded.spec.clone());
        let production = &choices.production.name;
        let wanted = on(ready.inputs(&session, false), production);
        let fleet = Fleet::open(connect.unwrap_or(session.connector.as_ref()), [production]);
        let report = super::plan::look(&ready, &fleet, &wanted);
        let open: Vec<(&ResourceReport, Differs)> = report.resources.iter().filter_map(|r| Some((r, Differs::of(r)?))).collect();
        let off = open.iter().filter(|(resource, differs)| {
            section_of(resource).is_some_and(|key| draft.put_off(key, &format!("{}: {}", differs.resource, differs.why)))
        });
        if off.count() == 0 {
            return Ok(report);
        }
    }
}

/// The part of the spec that asks for a resource, where a spec can do without it.
fn section_of(resource: &ResourceReport) -> Option<&'static str> {
    let named = |words: [&str; 2]| words.iter().any(|word| resource.name.contains(word));
    match resource.kind {
        Kind::Redis => Some("redis"),
        Kind::Unit if named(["redis-server", "valkey-server"]) => Some("redis"),
        Kind::SessionModule => Some("sessions"),
        Kind::File if named(["otr-sessions.conf", "odoo-sessions.env"]) => Some("sessions"),
        Kind::Mount => Some("storage"),
        Kind::Pip => Some("pip"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
