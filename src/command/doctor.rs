//! `otr doctor`: can every host be reached, read and changed? Each finding with its remedy.

use anyhow::Result;
use serde::Serialize;

use super::{Exit, Session, locked, open_fleet, print};
use crate::cli::Global;
use crate::facts::Facts;
use crate::look::{Look, Machine, ServerSight};
use crate::name::HostName;
use crate::spec::{Access, Spec};
use crate::wanted::cluster_at;

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Finding {
    host: HostName,
    check: &'static str,
    ok: bool,
    seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// More than this between two clocks spoils every comparison of times, seconds.
const CLOCKS: f64 = 2.0;

pub fn run(global: &Global) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let fleet = match open_fleet(&session, spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    let looks = spec.members().flat_map(|host| {
        let server = cluster_at(spec, host).map(|at| Look::Server(at.cluster));
        [Some(Look::Machine), Some(Look::Packages), server].into_iter().flatten().map(|look| (host.clone(), look)).collect::<Vec<_>>()
    });
    let facts = fleet.look(looks.collect::<Vec<_>>());
    let mut findings: Vec<Finding> = spec.members().flat_map(|host| examine(spec, &facts, host)).collect();
    findings.extend(secrets(&session));
    let ok = findings.iter().all(|finding| finding.ok);
    if global.json {
        print(&serde_json::to_string_pretty(&serde_json::json!({ "format": 1, "verb": "doctor", "ok": ok, "findings": findings }))?)?;
    } else {
        for finding in &findings {
            let mark = if finding.ok { "✓" } else { "✗" };
            print(&format!("{mark} {:<8} {:<10} {}", finding.host, finding.check, finding.seen))?;
            if let Some(remedy) = &finding.remedy {
                print(&format!("  {:<19} {remedy}", ""))?;
            }
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn examine(spec: &Spec, facts: &Facts, host: &HostName) -> Vec<Finding> {
    let finding = |check, ok, seen: String, remedy: Option<String>| Finding { host: host.clone(), check, ok, seen, remedy };
    let machine = match facts.machine(host) {
        Ok(machine) => machine,
        Err(error) => {
            return vec![finding("reach", false, error.to_string(), Some("try it by hand: ssh with the same user and address".into()))];
        }
    };
    let mut findings = vec![finding("reach", true, format!("{} as {}", machine.hostname, machine.user), None)];
    let managed = spec.hosts.get(host).is_some_and(|h| h.access == Access::Manage);
    if managed {
        let remedy = (!machine.root).then(|| format!("say `become: sudo` for {host}, log in as root, or say `access: observe`"));
        findings.push(finding(
            "rights",
            machine.root,
            if machine.root { "root".into() } else { format!("{} is not root", machine.user) },
            remedy,
        ));
    }
    if let Ok(production) = facts.machine(&spec.production) {
        findings.extend(compare(machine, production).into_iter().map(|(check, ok, seen, remedy)| finding(check, ok, seen, remedy)));
    }
    if let Some(at) = cluster_at(spec, host) {
        let (ok, seen) = match facts.server(host, &at.cluster) {
            Ok(ServerSight::Up(server)) => (true, if server.in_recovery { "a standby".to_owned() } else { "a primary".to_owned() }),
            Ok(ServerSight::Down) => (true, "not running, or not installed yet".to_owned()),
            Err(error) => (false, error.to_string()),
        };
        let remedy = (!ok).then(|| format!("the login needs a PostgreSQL role: createuser {}", machine.user));
        findings.push(finding("postgresql", ok, seen, remedy));
    }
    findings
}

type Compared = (&'static str, bool, String, Option<String>);

fn compare(machine: &Machine, production: &Machine) -> Vec<Compared> {
    let same = machine.system == production.system && machine.architecture == production.architecture;
    let difference = (machine.now - production.now).abs();
    let system = format!("{} {}", machine.system, machine.architecture);
    let remedy = (!same).then(|| format!("production is {} {}; a clone needs the same", production.system, production.architecture));
    let clocks = difference <= CLOCKS;
    vec![
        ("system", same, system, remedy),
        ("clock", clocks, format!("{difference:.1} s from production's"), (!clocks).then(|| "install chrony or systemd-timesyncd".into())),
    ]
}

fn secrets(session: &Session) -> Vec<Finding> {
    let spec = &session.loaded.spec;
    spec.secrets()
        .into_iter()
        .filter_map(|(path, source)| {
            let error = session.secrets.get(source).err()?;
            let remedy = Some(format!("needed by {path} in {}", session.loaded.path.display()));
            Some(Finding { host: spec.production.clone(), check: "secret", ok: false, seen: error.to_string(), remedy })
        })
        .collect()
}
