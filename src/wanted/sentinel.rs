//! Redis Sentinel: on every member, and on witnesses, which run nothing else.

use std::path::PathBuf;

use super::{Inputs, List, managed, root_file};
use crate::action::RedisServer;
use crate::name::{HostName, PackageName};
use crate::resource::file::File;
use crate::resource::packages::Packages;
use crate::resource::redis::sentinel::{Sentinel, Watch};
use crate::resource::unit::Unit;
use crate::resource::{ResourceId, Wanted};
use crate::spec::requirement::PackageSpec;
use crate::spec::{HostSpec, Role, Spec};

/// How to ask the sentinels of a spec.
pub fn watch(spec: &Spec) -> Watch {
    let address = |host: &HostName| spec.hosts.get(host).and_then(HostSpec::reached_at).map(|at| (host.clone(), at.to_owned()));
    Watch {
        name: spec.sentinel_name().to_owned(),
        port: spec.sentinel().map_or(26379, |sentinel| sentinel.port),
        hosts: spec.sentinels().cloned().collect(),
        servers: spec.members().filter_map(address).collect(),
    }
}

/// The package of the sentinel of a host that has one.
pub fn package(spec: &Spec, host: &HostName) -> Option<PackageName> {
    spec.sentinels().find(|other| *other == host)?;
    format!("{}-sentinel", spec.redis.as_ref()?.software.as_str()).parse().ok()
}

/// The service, and what it watches.
pub fn sentinel(list: &mut List<'_>, software: &[ResourceId], redis: &[ResourceId]) -> Option<ResourceId> {
    let spec = list.spec().clone();
    let (wish, server) = (spec.sentinel()?, spec.redis.as_ref()?);
    package(&spec, list.host)?;
    let unit = spec.sentinel_unit()?;
    let host = list.host.clone();
    let (mut needs, mut reads) = (software.to_vec(), Vec::new());
    if wish.notification_script.is_some() || wish.reconfiguration_script.is_some() {
        // Since Debian 12 its unit lets it execute nothing but itself.
        let text = "# Written by otr: its scripts may be executed.\n[Service]\nNoExecPaths=\nExecPaths=\n";
        let path = PathBuf::from(format!("/etc/systemd/system/{unit}.d/otr-sentinel.conf"));
        let file = File { host: host.clone(), path: path.clone(), content: Ok(text.into()), attributes: root_file(0o644)? };
        needs.push(list.add(file, software));
        reads.push(path);
    }
    let runs = Unit { host: host.clone(), unit: unit.clone(), state: list.running(), reads, reloads: false };
    let runs = list.add(runs, &needs);
    let name = spec.sentinel_name();
    let script =
        |option: &str, path: &Option<PathBuf>| path.as_ref().map(|path| (format!("sentinel {option} {name}"), path.display().to_string()));
    let mut directives = vec![("bind".to_owned(), wish.bind.clone()), ("port".to_owned(), wish.port.to_string())];
    directives.extend(script("notification-script", &wish.notification_script));
    directives.extend(script("client-reconfig-script", &wish.reconfiguration_script));
    let resource = Sentinel {
        host,
        unit,
        config: wish.config(server.software.as_str()),
        watch: watch(&spec),
        decides: spec.sentinel_decides(),
        production: (spec.production.clone(), RedisServer { config: server.config(), port: server.port }),
        quorum: spec.sentinel_quorum(),
        options: vec![
            ("down-after-milliseconds", wish.down_after.0.as_millis().to_string()),
            ("failover-timeout", wish.failover_timeout.0.as_millis().to_string()),
            ("parallel-syncs", wish.parallel_syncs.to_string()),
        ],
        password: server.password.as_ref().map(|password| list.inputs.setting(password)),
        directives,
    };
    Some(list.add(resource, &[&[runs], redis].concat()))
}

/// All that a witness must be.
pub fn witness(inputs: Inputs<'_>, host: &HostName) -> Vec<Wanted> {
    let mut list = List { inputs, host, role: Role::Witness, wanted: Vec::new(), reads: Default::default() };
    let install = package(inputs.spec, host).map(|name| PackageSpec { name, version: None });
    let packages = Packages {
        host: host.clone(),
        install: install.into_iter().collect(),
        hold: Vec::new(),
        remove: Vec::new(),
        clone: None,
        sources: None,
        allowed: Default::default(),
        nixos: Default::default(),
    };
    let software = list.add(packages, &[]);
    let software = [software];
    let files = super::base::files(&mut list, &software);
    sentinel(&mut list, &[&software[..], &files].concat(), &[]);
    list.wanted
}

/// The sentinels of all hosts that otr may change: at a promotion they are told with it.
pub fn everywhere(inputs: Inputs<'_>) -> Vec<Wanted> {
    let hosts = inputs.spec.sentinels().filter(|host| managed(inputs.spec, host));
    hosts
        .flat_map(|host| {
            let mut list = List { inputs, host, role: inputs.spec.role(host), wanted: Vec::new(), reads: Default::default() };
            sentinel(&mut list, &[], &[]);
            list.wanted
        })
        .collect()
}
