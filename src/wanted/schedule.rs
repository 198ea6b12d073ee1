//! Timers that run otr on the standbys. On production they are stopped: a promotion ends them.

use super::{Inputs, List, guarded, managed};
use crate::action::Attributes;
use crate::action::transfer::PROGRAM;
use crate::name::{HostName, Mode, UnitName};
use crate::resource::file::File;
use crate::resource::own_spec::OwnSpec;
use crate::resource::unit::{Unit, UnitState};
use crate::resource::{Kind, ResourceId, program};
use crate::secret::Text;
use crate::spec::{Access, Role, Spec};

/// This very program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its digest; or why it cannot be read.
    pub sha256: Result<String, String>,
    /// The architecture it was built for.
    pub architecture: &'static str,
}

/// The timers of a standby.
pub const TIMERS: [&str; 3] = ["otr-plan.timer", "otr-sync.timer", "otr-scrub.timer"];
/// What they start.
pub const SERVICES: [&str; 4] = ["otr-plan.service", "otr-sync.service", "otr-scrub.service", FOLLOW];
/// Fetches new files as their rows arrive.
const FOLLOW: &str = "otr-follow.service";

const SPEC: &str = "/etc/otr/spec.yaml";

/// This very program: on a standby it keeps the stores, and timers start it; systemd asks it as the guard.
pub fn program(list: &mut List<'_>) -> Option<ResourceId> {
    let spec = list.spec();
    let stores = spec.odoo.as_ref().is_some_and(|odoo| !odoo.databases.is_empty());
    let timers = runs_there(spec);
    let managed = spec.hosts.get(list.host).is_some_and(|host| host.access == Access::Manage);
    let standby = (stores || timers) && list.role == Role::Standby && managed;
    if !standby && !guarded(spec, list.host) {
        return None;
    }
    let program = program::Program {
        host: list.host.clone(),
        path: PROGRAM.into(),
        sha256: list.inputs.program.sha256.clone(),
        architecture: list.inputs.program.architecture,
    };
    Some(list.add(program, &[]))
}

/// The spec, and a service and timer for each verb of the schedule.
pub fn timers(list: &mut List<'_>, program: Option<ResourceId>) {
    let schedule = list.spec().schedule.clone();
    let filestore = list.spec().filestore.clone();
    if !runs_there(list.spec()) {
        return;
    }
    if list.role != Role::Standby {
        let calendar = schedule.plan.is_some() || schedule.sync.is_some();
        let wanted = |name: &&str| match *name {
            FOLLOW => filestore.follow.is_some(),
            "otr-scrub.timer" | "otr-scrub.service" => filestore.scrub.is_some(),
            _ => calendar,
        };
        for unit in TIMERS.into_iter().chain(SERVICES).filter(wanted).filter_map(|name| name.parse::<UnitName>().ok()) {
            list.add(Unit { host: list.host.clone(), unit, state: UnitState::Stopped, reads: Vec::new(), reloads: false }, &[]);
        }
        if let (Some(file), Role::Production, true) = (own_spec(list.inputs, list.host), list.role, managed(list.spec(), list.host)) {
            let (installation, production) = (list.spec().name.clone(), list.host.clone());
            list.add(OwnSpec { file, installation, production }, &[]);
        }
        return;
    }
    if list.spec().hosts.get(list.host).is_none_or(|host| host.access == Access::Observe) {
        return;
    }
    let Some(own) = own_spec(list.inputs, list.host) else { return };
    let owners = own.attributes.clone();
    let attributes = |mode| Attributes { mode: Mode(mode), ..owners.clone() };
    let file = |list: &mut List<'_>, path: &str, text: String, mode| {
        let content = Ok(Text::Plain(text));
        list.add(File { host: list.host.clone(), path: path.into(), content, attributes: attributes(mode) }, &[])
    };
    let mut needs: Vec<ResourceId> = program.into_iter().collect();
    needs.push(list.add(own, &[]));
    let scrub = filestore.scrub.map(|_| "daily".to_owned());
    for (verb, when) in [("plan", schedule.plan), ("sync", schedule.sync), ("scrub", scrub)] {
        let Some(when) = when else { continue };
        let arguments = match verb {
            "plan" => "plan --scheduled --detailed-exitcode",
            "sync" => "sync data",
            "scrub" => "sync scrub",
            verb => verb,
        };
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
    if filestore.follow.is_some() {
        follow(list, &needs);
    }
}

/// The spec, where otr runs by itself. A host that was promoted has it too: with the old one, whoever
/// asks there would be told of the old production.
pub fn own_spec(inputs: Inputs<'_>, host: &HostName) -> Option<File> {
    let root = "root".parse::<crate::name::Word>().ok()?;
    let attributes = Attributes { owner: root.clone(), group: root, mode: Mode(0o640) };
    let content = Ok(Text::Plain(inputs.text.to_owned()));
    (runs_there(inputs.spec) && !inputs.text.is_empty()).then(|| File { host: host.clone(), path: SPEC.into(), content, attributes })
}

/// Whether anything of otr's runs on the standbys by itself.
fn runs_there(spec: &Spec) -> bool {
    let filestore = &spec.filestore;
    spec.schedule.plan.is_some() || spec.schedule.sync.is_some() || filestore.follow.is_some() || filestore.scrub.is_some()
}

/// The service that fetches new files as their rows arrive. It may write nothing but the stores
/// and otr's own state, and use no right of root's but those its work needs: to become postgres
/// and to give files to Odoo's user.
fn follow(list: &mut List<'_>, needs: &[ResourceId]) {
    let (Some(odoo), Ok(unit), Ok(root)) = (list.spec().odoo.clone(), FOLLOW.parse::<UnitName>(), "root".parse::<crate::name::Word>())
    else {
        return;
    };
    let host = list.host.clone();
    let (name, store) = (list.spec().name.clone(), odoo.data_dir.join("filestore"));
    let text = format!(
        "# Written by otr.\n[Unit]\nDescription=otr follows the filestore of {name}\nAfter=network-online.target postgresql.service\n\
         Wants=network-online.target\nStartLimitIntervalSec=0\n\n\
         [Service]\nType=notify\nExecStart={PROGRAM} --spec {SPEC} --here {host} sync filestore --follow\n\
         # It ends by itself, and well, when its host is promoted.\nRestart=on-failure\nRestartSec=10\nWatchdogSec=900\nTimeoutStopSec=30\n\
         Nice=5\nNoNewPrivileges=yes\nProtectSystem=strict\nReadWritePaths=/var/lib/otr {}\nPrivateTmp=yes\nPrivateDevices=yes\n\
         ProtectHome=read-only\nProtectKernelTunables=yes\nProtectKernelModules=yes\nProtectControlGroups=yes\nProtectClock=yes\n\
         RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\nRestrictNamespaces=yes\nRestrictSUIDSGID=yes\nLockPersonality=yes\n\
         CapabilityBoundingSet=CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_SETUID CAP_SETGID CAP_KILL\n\n\
         [Install]\nWantedBy=multi-user.target\n",
        store.display()
    );
    let path = format!("/etc/systemd/system/{FOLLOW}");
    let attributes = Attributes { owner: root.clone(), group: root, mode: Mode(0o644) };
    let file = File { host: host.clone(), path: path.clone().into(), content: Ok(Text::Plain(text)), attributes };
    let file = list.add(file, &[]);
    let store = ResourceId::new(&host, Kind::Directory, store.display().to_string());
    let needs = [needs, &[file, store]].concat();
    let reads = vec![path.into(), PROGRAM.into(), SPEC.into()];
    list.add(Unit { host, unit, state: UnitState::Running, reads, reloads: false }, &needs);
}
