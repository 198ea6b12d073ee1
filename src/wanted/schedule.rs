//! Timers that run otr on the standbys. On production they are stopped: a promotion ends them.

use super::List;
use crate::action::Attributes;
use crate::name::{Mode, UnitName};
use crate::resource::file::File;
use crate::resource::program;
use crate::resource::unit::{Unit, UnitState};
use crate::resource::{Resource, ResourceId};
use crate::secret::Text;
use crate::spec::{Access, Role};

/// This very program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its digest; or why it cannot be read.
    pub sha256: Result<String, String>,
    /// The architecture it was built for.
    pub architecture: &'static str,
}

/// The timers of a standby.
pub const TIMERS: [&str; 2] = ["otr-plan.timer", "otr-sync.timer"];
/// What they start.
pub const SERVICES: [&str; 2] = ["otr-plan.service", "otr-sync.service"];

/// Where otr stands on the hosts.
pub const PROGRAM: &str = "/usr/local/bin/otr";
const SPEC: &str = "/etc/otr/spec.yaml";

/// otr itself on a host; wanted once, whoever needs it.
pub fn program(list: &mut List<'_>) -> ResourceId {
    let program = program::Program {
        host: list.host.clone(),
        path: PROGRAM.into(),
        sha256: list.inputs.program.sha256.clone(),
        architecture: list.inputs.program.architecture,
    };
    let id = program.id();
    match list.wanted.iter().any(|wanted| wanted.resource.id() == id) {
        true => id,
        false => list.add(program, &[]),
    }
}

/// The program, the spec, and a service and timer for each verb of the schedule.
pub fn timers(list: &mut List<'_>) {
    let schedule = list.spec().schedule.clone();
    if schedule.plan.is_none() && schedule.sync.is_none() {
        return;
    }
    if list.role != Role::Standby {
        for unit in TIMERS.into_iter().chain(SERVICES).filter_map(|name| name.parse::<UnitName>().ok()) {
            list.add(Unit { host: list.host.clone(), unit, state: UnitState::Stopped, reads: Vec::new(), reloads: false }, &[]);
        }
        return;
    }
    if list.spec().hosts.get(list.host).is_none_or(|host| host.access == Access::Observe) {
        return;
    }
    let Ok(root) = "root".parse::<crate::name::Word>() else { return };
    let attributes = |mode| Attributes { owner: root.clone(), group: root.clone(), mode: Mode(mode) };
    let file = |list: &mut List<'_>, path: &str, text: String, mode| {
        let content = Ok(Text::Plain(text));
        list.add(File { host: list.host.clone(), path: path.into(), content, attributes: attributes(mode) }, &[])
    };
    let mut needs = vec![program(list)];
    let text = list.inputs.text.to_owned();
    needs.push(file(list, SPEC, text, 0o640));
    for (verb, when) in [("plan", schedule.plan), ("sync", schedule.sync)] {
        let Some(when) = when else { continue };
        let arguments = if verb == "plan" { "plan --detailed-exitcode" } else { verb };
        let host = list.host.clone();
        let name = list.spec().name.clone();
        let service = format!(
            "# Written by otr.\n[Unit]\nDescription=otr {verb} for {name}\nAfter=network-online.target\nWants=network-online.target\n\n\
             [Service]\nType=oneshot\nExecStart={PROGRAM} --spec {SPEC} --here {host} {arguments}\n\
             # Drift is a finding, not a failure of the service.\nSuccessExitStatus=2\nNice=10\nIOSchedulingClass=idle\nTimeoutStartSec=6h\n"
        );
        let timer = format!(
            "# Written by otr.\n[Unit]\nDescription=otr {verb} for {name}, {when}\n\n\
             [Timer]\nOnCalendar={when}\nPersistent=true\nRandomizedDelaySec=60\n\n[Install]\nWantedBy=timers.target\n"
        );
        let service = file(list, &format!("/etc/systemd/system/otr-{verb}.service"), service, 0o644);
        let timer_path = format!("/etc/systemd/system/otr-{verb}.timer");
        let timer = file(list, &timer_path, timer, 0o644);
        let Ok(unit) = format!("otr-{verb}.timer").parse::<UnitName>() else { continue };
        let needs = [needs.clone(), vec![service, timer]].concat();
        list.add(Unit { host, unit, state: UnitState::Running, reads: vec![timer_path.into()], reloads: false }, &needs);
    }
}
