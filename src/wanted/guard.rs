//! The boot guard and the epoch it compares, on every managed host.

use super::database::reach;
use super::{List, cluster_at, managed, root_file};
use crate::action::transfer::PROGRAM;
use crate::guard::Config;
use crate::name::UnitName;
use crate::resource::ResourceId;
use crate::resource::epoch::Agreed;
use crate::resource::file::File;
use crate::resource::guard::GuardConfig;
use crate::resource::unit::{Unit, UnitState};
use crate::secret::Text;
use crate::spec::Spec;

/// Whether the guard is wanted, and anybody could answer it.
pub fn guarded(spec: &Spec, host: &crate::name::HostName) -> bool {
    let peers = spec.members().filter(|peer| *peer != host && managed(spec, peer)).count();
    spec.failover.guard && spec.replication.is_some() && managed(spec, host) && peers > 0
}

/// The epoch of a host agrees with the spec.
pub fn epoch(list: &mut List<'_>) -> Vec<ResourceId> {
    let spec = list.spec();
    let (Some(attributes), true) = (root_file(0o644), spec.replication.is_some()) else { return Vec::new() };
    if !managed(spec, list.host) || !managed(spec, &spec.production) {
        return Vec::new();
    }
    let (production, installation) = (spec.production.clone(), spec.name.to_string());
    vec![list.add(Agreed { host: list.host.clone(), production, installation, attributes }, &[])]
}

/// The guard itself: program, configuration, what answers the peers, and last what asks it.
pub fn guard(list: &mut List<'_>, software: &[ResourceId], program: Option<ResourceId>) {
    let spec = list.spec().clone();
    let (Some(at), Some(attributes)) = (cluster_at(&spec, list.host), root_file(0o644)) else { return };
    if !guarded(&spec, list.host) {
        return;
    }
    let host = list.host.clone();
    let peers = spec.members().filter(|peer| **peer != host && managed(&spec, peer));
    let failover = &spec.failover;
    let config = Config {
        host: host.clone(),
        installation: spec.name.to_string(),
        cluster: at.directory(),
        data: format!("/var/lib/postgresql/{}/{}", at.cluster.version, at.cluster.name).into(),
        odoo: spec.odoo.as_ref().map(|odoo| odoo.unit.clone()),
        redis: spec.redis.as_ref().map(|redis| (redis.unit(), redis.config())),
        peers: Vec::new(),
        port: failover.guard_port,
        boot_without_peer: failover.boot_without_peer,
    };
    let mut needs: Vec<ResourceId> = program.into_iter().collect();
    needs
        .push(list.add(GuardConfig { config, peers: peers.map(|peer| reach(&spec, peer)).collect(), attributes: attributes.clone() }, &[]));
    needs.extend(answering(list, &needs.clone()));
    let mut guards = vec![(at.unit(), "")];
    guards.extend(spec.odoo.as_ref().map(|odoo| (odoo.unit.clone(), "After")));
    guards.extend(spec.redis.as_ref().map(|redis| (redis.unit(), "After")));
    needs.extend(software.iter().cloned());
    for (unit, after) in guards {
        // A guard that waits for the peer must not run into the time limit of Odoo's or Redis' start.
        let order = if after.is_empty() { String::new() } else { format!("[Unit]\nAfter={}\n\n", at.unit()) };
        let text = format!(
            "# Written by otr: this service does not start as production's on a host whose peer was promoted.\n\
             {order}[Service]\nExecCondition=+{} guard {unit}\n",
            PROGRAM
        );
        let path = format!("/etc/systemd/system/{unit}.d/otr-guard.conf").into();
        list.add(File { host: host.clone(), path, content: Ok(text.into()), attributes: attributes.clone() }, &needs);
    }
}

/// What tells the peers this host's epoch, also while PostgreSQL is down.
fn answering(list: &mut List<'_>, needs: &[ResourceId]) -> Vec<ResourceId> {
    let (Some(attributes), Ok(unit)) = (root_file(0o644), "otr-epoch.socket".parse::<UnitName>()) else { return Vec::new() };
    let host = list.host.clone();
    let port = list.spec().failover.guard_port;
    let socket = format!(
        "# Written by otr.\n[Unit]\nDescription=otr tells its peers this host's epoch\n\n\
         [Socket]\nListenStream={port}\nAccept=yes\nMaxConnections=16\n\n[Install]\nWantedBy=sockets.target\n"
    );
    let service = format!(
        "# Written by otr.\n[Unit]\nDescription=otr tells a peer this host's epoch\nCollectMode=inactive-or-failed\n\n\
         [Service]\nExecStart=-{} guard --answer\nStandardOutput=socket\nStandardError=journal\nTimeoutStartSec=10\nRuntimeMaxSec=10\n\
         ProtectSystem=strict\nPrivateTmp=yes\nNoNewPrivileges=yes\n",
        PROGRAM
    );
    let file = |list: &mut List<'_>, path: &str, text: String| {
        let attributes = attributes.clone();
        list.add(File { host: host.clone(), path: path.into(), content: Ok(Text::Plain(text)), attributes }, &[])
    };
    let path = "/etc/systemd/system/otr-epoch.socket";
    let mut needs = needs.to_vec();
    needs.push(file(list, path, socket));
    needs.push(file(list, "/etc/systemd/system/otr-epoch@.service", service));
    let unit = Unit { host: host.clone(), unit, state: UnitState::Running, reads: vec![path.into()], reloads: false };
    vec![list.add(unit, &needs)]
}
