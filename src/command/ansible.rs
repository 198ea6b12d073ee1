//! otr as an Ansible module: arguments as JSON, one JSON value on standard output, nothing else
//! anywhere. The machine it runs on is the host of the spec that the task is about.
//!
//! Ansible calls a program of a `library` folder with the path of a file of arguments; the
//! collection's action plugin calls `otr ansible` and sends them on standard input.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Exit, Session, consent, holder, report, select};
use crate::cli::{Global, Selection};
use crate::converge::{Limits, Silent, converge};
use crate::fleet::Fleet;
use crate::name::HostName;
use crate::plan::interruption;
use crate::report::ansible::{Answer, of_report};
use crate::report::of_plan;
use crate::resource::Wanted;
use crate::secret::{Secret, SecretSource, Secrets};
use crate::spec::load::{LoadError, from_text, read};
use crate::spec::problem::nearest;
use crate::spec::{Role, Spec};
use crate::wanted::{all, data};

mod params;
mod promote;

use params::{Module, Params, SpecSource, State};

/// How long `applied` waits for what happens by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ansible's arguments for a whole inline spec are far below this.
const LIMIT: u64 = 16 << 20;

/// Acts as a module if called as one: with one argument, the absolute path of a JSON object that
/// has keys of Ansible. No verb begins with a slash, so nothing else is called like that.
pub fn as_module(arguments: impl Iterator<Item = OsString>) -> Option<Exit> {
    let [_, path] = arguments.collect::<Vec<_>>().try_into().ok()?;
    let path = Path::new(&path);
    if !path.is_absolute() {
        return None;
    }
    let text = text(std::fs::File::open(path).ok()?).ok()?;
    let object: serde_json::Map<String, Value> = serde_json::from_str(&text).ok()?;
    object.keys().any(|key| key.starts_with("_ansible_")).then(|| answer(&text))
}

/// Acts as a module with arguments from standard input.
pub fn from_stdin() -> Exit {
    match text(std::io::stdin()) {
        Ok(text) => answer(&text),
        Err(error) => say(Answer::failed(format!("the arguments cannot be read: {error}"))),
    }
}

fn text(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(LIMIT).read_to_string(&mut text).map(|_| text)
}

/// Runs a task. A panic is an answer too: without one Ansible would show a line of noise.
fn answer(text: &str) -> Exit {
    say(caught(|| Params::read(text).map_err(anyhow::Error::msg).and_then(|params| run(&params))))
}

/// The work's answer, whatever becomes of it.
fn caught(work: impl FnOnce() -> Result<Answer>) -> Answer {
    static PANIC: Mutex<Option<String>> = Mutex::new(None);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        let mut said = PANIC.lock().unwrap_or_else(PoisonError::into_inner);
        let at = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        said.get_or_insert(at);
    }));
    let result = catch_unwind(AssertUnwindSafe(work));
    std::panic::set_hook(before);
    match result {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::failed(words(&error)),
        Err(_) => {
            let at = PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
            Answer::failed(format!("otr itself failed at {at}; what it had begun may be half done: run it again, and report this"))
        }
    }
}

fn say(answer: Answer) -> Exit {
    let failed = answer.failed;
    // Who asked has gone away: there is nobody to tell.
    let _ = super::print(&answer.json().to_string());
    if failed { Exit::Failed } else { Exit::Done }
}

/// An error in one line or several; a wrong spec with all that is wrong.
fn words(error: &anyhow::Error) -> String {
    let Some(wrong) = error.downcast_ref::<LoadError>() else { return format!("{error:#}") };
    let problems = wrong.problems.iter().filter(|problem| !problem.note);
    let lines: Vec<String> = problems
        .map(|p| {
            let place = if p.line > 0 { format!(":{}:{}", p.line, p.column) } else { String::new() };
            let hint = p.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}{place}: {}{hint}", wrong.path.display(), p.message)
        })
        .collect();
    format!("the spec is wrong: {}", lines.join("; "))
}

fn run(params: &Params) -> Result<Answer> {
    if params.module == Module::Promote {
        return promote::run(params);
    }
    let loaded = match &params.spec {
        SpecSource::File(path) => read(path, &[])?,
        SpecSource::Inline(value) => from_text(Path::new("spec"), serde_json::to_string_pretty(value)? + "\n", &[])?,
    };
    let here = here(params, &loaded.spec)?;
    let given = given(params, &loaded.spec)?;
    let secrets = Secrets::given(loaded.spec.secrets().into_iter().map(|(_, source)| source), &given);
    let global =
        Global { spec: None, sets: Vec::new(), accept_new: params.accept_new, here: Some(here.clone()), json: true, verbose: false };
    let session = Session::new(&global, loaded, secrets)?;
    match (params.module, params.state) {
        (Module::Status, _) => facts(&session),
        (_, State::Synced) if session.loaded.spec.role(&here) != Role::Standby => {
            Ok(Answer::unchanged(format!("{here} is no standby: there is nothing to sync to it")))
        }
        _ => converged(params, &session, &here),
    }
}

/// The host of the spec that this machine is.
fn here(params: &Params, spec: &Spec) -> Result<HostName> {
    let there = |name: &str| spec.hosts.keys().find(|host| host.as_str() == name).cloned();
    let names = || spec.hosts.keys().map(HostName::as_str).collect::<Vec<_>>().join(", ");
    if let Some(host) = &params.host {
        return there(host.as_str()).with_context(|| {
            let hint = nearest(host.as_str(), spec.hosts.keys().map(HostName::as_str)).map(|near| format!(" (did you mean `{near}`?)"));
            format!("`host`: the spec has no host {host}{}; it has {}", hint.unwrap_or_default(), names())
        });
    }
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let local: Vec<_> = spec.hosts.iter().filter(|(_, host)| host.is_local()).map(|(name, _)| name.clone()).collect();
    let only = (spec.hosts.len() == 1).then(|| spec.hosts.keys().next().cloned()).flatten();
    params
        .inventory_name
        .as_deref()
        .and_then(there)
        .or_else(|| if let [one] = local.as_slice() { Some(one.clone()) } else { None })
        .or_else(|| there(hostname.trim()))
        .or(only)
        .with_context(|| format!("which host of the spec is this machine? say `host`, one of {}", names()))
}

/// The playbook's secrets, by their source.
fn given(params: &Params, spec: &Spec) -> Result<BTreeMap<SecretSource, Secret>> {
    let wanted: BTreeSet<&SecretSource> = spec.secrets().into_iter().map(|(_, source)| source).collect();
    let names: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let mut given = BTreeMap::new();
    for (name, secret) in &params.secrets {
        let is = |source: &&&SecretSource| {
            source.to_string() == *name || matches!(source, SecretSource::Env(short) | SecretSource::Credential(short) if short == name)
        };
        let Some(source) = wanted.iter().find(is) else {
            bail!(
                "`secrets.{name}`: the spec refers to no such secret; it refers to {}",
                if names.is_empty() { "none".into() } else { names.join(", ") }
            );
        };
        given.insert((*source).clone(), secret.clone());
    }
    Ok(given)
}

/// `planned`, `applied` and `synced`.
fn converged(params: &Params, session: &Session, here: &HostName) -> Result<Answer> {
    let ready = session.ready(session.loaded.spec.clone());
    let spec = &ready.spec;
    let selection = Selection { host: vec![here.clone()], only: params.only.clone() };
    let inputs = ready.inputs(session, false);
    let wanted = select(if params.state == State::Synced { data(inputs) } else { all(inputs) }, &selection, spec)?;
    let fleet = fleet(session, here, &wanted);
    let changes = params.state != State::Planned && !params.check;
    if changes
        && params.state == State::Synced
        && let Some(words) = super::pause::why_it_rests(spec, &fleet)?
    {
        return Ok(Answer::unchanged(words));
    }
    let resources = if changes {
        if crate::plan::check::may_change(spec, here)
            && let Err((host, error)) = fleet.lock([here], &holder("ansible"))
        {
            return Ok(Answer::failed(format!("{host}: {error}")));
        }
        let replaced: &[HostName] = if params.replace_data { std::slice::from_ref(here) } else { &[] };
        let consent = consent(spec, replaced)?;
        let limits = Limits { spec, patience: PATIENCE, consent: &consent, promoting: None, restarts: params.restarts, trusting: false };
        match converge(&fleet, &wanted, &limits, &Silent) {
            Ok(resources) => resources,
            Err(violation) => bail!("this plan must not be carried out: {violation}"),
        }
    } else {
        let observed = spec.machines().map(|host| (host.clone(), !crate::plan::check::may_change(spec, host))).collect();
        let facts = fleet.look(wanted.iter().flat_map(|w| w.resource.looks()));
        of_plan(&interruption::planned(&wanted, spec, &facts), &observed)
    };
    let verb = match (changes, params.state) {
        (true, State::Applied) => "apply",
        (_, State::Synced) => "sync",
        _ => "plan",
    };
    let asked: BTreeSet<HostName> = hosts(here, &wanted);
    let mut report = report(verb, spec, &fleet, resources);
    report.hosts.retain(|host| asked.contains(&host.host));
    if changes && params.state == State::Synced {
        let failed = of_report(&report, changes, false).failed;
        report.notes = super::sync::note(session, &fleet, failed, None);
    }
    Ok(of_report(&report, changes, params.diff))
}

/// The machines that this host's resources ask about, and no others.
fn hosts(here: &HostName, wanted: &[Wanted]) -> BTreeSet<HostName> {
    wanted.iter().flat_map(|one| one.resource.looks()).map(|(host, _)| host).chain([here.clone()]).collect()
}

fn fleet(session: &Session, here: &HostName, wanted: &[Wanted]) -> Fleet {
    Fleet::open(session.connector.as_ref(), &hosts(here, wanted))
}

/// `otr_status`: facts, and no change.
fn facts(session: &Session) -> Result<Answer> {
    let spec = &session.loaded.spec;
    let fleet = Fleet::open(session.connector.as_ref(), spec.machines());
    let status = super::status::seen(session, &fleet);
    let mut answer = Answer::unchanged(match status.ready {
        true => "ready to promote".to_owned(),
        false => format!("not ready to promote: {}", status.obstacles.join("; ")),
    });
    let unreachable = |host: &HostName| fleet.unreachable(host).map(|why| format!("{host} cannot be reached: {why}"));
    answer.warnings = spec.members().filter_map(unreachable).collect();
    answer.more.insert("ansible_facts".into(), json!({ "otr_status": status }));
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arguments: &Value) -> Value {
        let params = Params::read(&arguments.to_string()).map_err(anyhow::Error::msg);
        match params.and_then(|params| run(&params)) {
            Ok(answer) => answer.json(),
            Err(error) => Answer::failed(words(&error)).json(),
        }
    }

    #[test]
    fn only_a_file_of_ansibles_arguments_makes_it_a_module() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("args");
        let call = |arguments: &[&std::ffi::OsStr]| as_module(arguments.iter().map(|argument| (*argument).to_owned())).is_some();
        let name = std::ffi::OsStr::new("otr");
        for text in ["", "version: 1\n", "{}", r#"{"spec": "/x"}"#, "[1]"] {
            std::fs::write(&path, text).unwrap();
            assert!(!call(&[name, path.as_os_str()]), "{text}");
        }
        assert!(!call(&[name]) && !call(&[name, "plan".as_ref()]) && !call(&[name, "/nonexistent".as_ref()]));
        std::fs::write(&path, r#"{"_ansible_version": "2.16.19", "sepc": 1}"#).unwrap();
        assert!(!call(&[name, path.as_os_str(), name]));
        assert_eq!(as_module([name.to_owned(), path.into_os_string()].into_iter()), Some(Exit::Failed));
    }

    #[test]
    fn a_panic_is_an_answer() {
        let said = caught(|| panic!("hunter2")).json();
        assert_eq!((&said["failed"], &said["changed"]), (&json!(true), &json!(false)));
        let message = said["msg"].as_str().unwrap();
        // Where, and not what was said: it may hold a value.
        assert!(message.contains("src/command/ansible.rs:") && !message.contains("hunter2"), "{message}");
    }

    fn spec() -> Value {
        json!({ "version": 1, "name": "acme", "production": "web", "hosts": { "web": { "address": "local" } },
            "redis": { "password": { "secret": "env:OTR_TEST_REDIS" } }, "files": [] })
    }

    #[test]
    fn a_wrong_spec_is_told_whole() {
        let mut wrong = spec();
        wrong["hots"] = json!({});
        wrong["redis"]["maxmemory"] = json!("hunter2");
        let said = told(&json!({ "spec": wrong }));
        let message = said["msg"].as_str().unwrap();
        assert!(said["failed"] == true && said["changed"] == false && said.get("rc").is_none());
        assert!(
            message.starts_with("the spec is wrong: spec:") && message.contains("`hots`") && message.contains("redis.maxmemory"),
            "{message}"
        );
    }

    #[test]
    fn hosts_and_secrets_are_looked_up() {
        let said = told(&json!({ "spec": spec(), "host": "wed" }));
        assert!(said["msg"].as_str().unwrap().contains("no host wed (did you mean `web`?)"), "{said}");
        let said = told(&json!({ "spec": spec(), "secrets": { "postgres": "hunter2" } }));
        assert!(
            said["msg"]
                .as_str()
                .unwrap()
                .contains("`secrets.postgres`: the spec refers to no such secret; it refers to env:OTR_TEST_REDIS")
        );
        assert!(!said.to_string().contains("hunter2"));
        for name in ["env:OTR_TEST_REDIS", "OTR_TEST_REDIS"] {
            let params = Params::read(&json!({ "spec": spec(), "secrets": { name: "hunter2" } }).to_string()).unwrap();
            let loaded = from_text(Path::new("spec"), spec().to_string(), &[]).unwrap();
            assert_eq!(given(&params, &loaded.spec).unwrap().len(), 1);
        }
        let mut two = spec();
        two["hosts"] = json!({ "web": { "address": "192.0.2.1" }, "db": { "address": "192.0.2.2" } });
        let said = told(&json!({ "spec": two, "state": "planned" }));
        assert!(said["msg"].as_str().unwrap().contains("say `host`, one of db, web"), "{said}");
        let said = told(&json!({ "spec": two, "state": "synced", "_otr_inventory_name": "web" }));
        assert!(said["msg"].as_str().unwrap().contains("web is no standby"), "{said}");
    }

    #[test]
    fn this_machine_is_planned_applied_and_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("motd");
        let id =
            |flag: &str| String::from_utf8(std::process::Command::new("id").arg(flag).output().unwrap().stdout).unwrap().trim().to_owned();
        let file = json!({ "path": path, "content": "hello\n", "owner": id("-un"), "group": id("-gn") });
        let spec =
            json!({ "version": 1, "name": "acme", "production": "web", "hosts": { "web": { "address": "local" } }, "files": [file] });
        let task =
            |state: &str, check: bool| told(&json!({ "spec": spec, "state": state, "_ansible_check_mode": check, "_ansible_diff": true }));

        for said in [task("planned", false), task("applied", true)] {
            assert!(said["changed"] == true && said.get("failed").is_none(), "{said}");
            assert_eq!(said["diff"][0]["after"], "hello\n");
            assert!(!path.exists());
        }
        let said = task("applied", false);
        assert_eq!((&said["changed"], said["msg"].as_str().unwrap()), (&json!(true), "apply acme: 1 changed"), "{said}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hello\n");
        for said in [task("applied", false), task("applied", true), task("planned", false)] {
            assert!(said["changed"] == false && said.get("diff").is_none() && said.get("warnings").is_none(), "{said}");
        }
    }
}
