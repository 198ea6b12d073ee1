//! Software and plain files.

use super::{List, cluster_at};
use crate::action::Attributes;
use crate::look::Site;
use crate::name::Mode;
use crate::resource::ResourceId;
use crate::resource::debconf::Debconf;
use crate::resource::file::{Directory, File};
use crate::resource::idle::Idle;
use crate::resource::packages::{Allowed, Obtainable, Packages};
use crate::resource::pip::Pip;
use crate::resource::pip::lock::Lock;
use crate::resource::sources::Sources;
use crate::resource::system::System;
use crate::resource::unit::Unit;
use crate::spec::requirement::{PackageSpec, Requirement};
use crate::spec::{FileSource, Role, Spec};

/// Packages and modules. On a standby Odoo is kept down first: Debian's package would start it.
pub fn software(list: &mut List<'_>) -> Vec<ResourceId> {
    let spec = list.spec().clone();
    let production = spec.production.clone();
    let standby = list.role == Role::Standby;
    let mut done = Vec::new();
    if let Some(odoo) = spec.odoo.as_ref().filter(|_| standby) {
        let resting = super::resting(&spec, list.host, &odoo.unit);
        let clusters = cluster_at(&spec, list.host).zip(cluster_at(&spec, &production));
        done.push(list.add(Idle { unit: resting, clusters }, &[]));
    }
    let mut storage = super::storage::packages(&spec);
    storage.extend(super::sentinel::package(&spec, list.host));
    storage.extend(spec.sessions.server.as_ref().and_then(|_| "redis-tools".parse().ok()));
    storage.extend(spec.memcached().and_then(|_| "memcached".parse().ok()));
    if let Some(packages) = spec.packages.clone().or_else(|| (!storage.is_empty()).then(Default::default)) {
        let mut install: Vec<PackageSpec> = packages.install.iter().filter_map(|text| text.parse().ok()).collect();
        for name in storage {
            if !install.iter().any(|other| other.name == name) {
                install.push(PackageSpec { name, version: None });
            }
        }
        let taken = packages.clone.clone().filter(|_| standby);
        let sources = taken.as_ref().and_then(|clone| clone.sources.clone());
        let sources = sources.map(|clone| Sources { host: list.host.clone(), production: production.clone(), clone });
        if let Some(resource) = sources.clone() {
            done.push(list.add(resource, &done.clone()));
        }
        if let Some(questions) = taken.as_ref().map(|clone| clone.debconf.clone()).filter(|list| !list.is_empty()) {
            let resource = Debconf { host: list.host.clone(), production: production.clone(), questions };
            done.push(list.add(resource, &done.clone()));
        }
        let resource = Packages {
            host: list.host.clone(),
            install,
            hold: packages.hold.clone(),
            remove: packages.remove.clone(),
            clone: taken.map(|clone| (production.clone(), clone)),
            sources,
            allowed: Allowed { removals: packages.allow_removals.clone(), downgrades: packages.allow_downgrades.clone() },
            nixos: packages.nixos.clone(),
        };
        let obtainable = Obtainable(resource.clone());
        done.push(list.add(resource, &done.clone()));
        // Nothing needs it: one package that cannot be had keeps nothing else waiting.
        list.add(obtainable, &[]);
    }
    if let Some(pip) = &spec.pip {
        if pip.clone.is_some() && standby {
            let site = pip.venv.clone().map_or(Site::System, Site::Venv);
            list.add(Lock { host: list.host.clone(), production: production.clone(), site }, &[]);
        }
        let resource = Pip {
            host: list.host.clone(),
            site: pip.venv.clone().map_or(Site::System, Site::Venv),
            install: requirements(&spec, &pip.install),
            clone: pip.clone.clone().filter(|_| standby).map(|clone| (production.clone(), clone)),
            break_system_packages: pip.break_system_packages,
        };
        done.push(list.add(resource, &done.clone()));
    }
    if let Some((system, ignore)) = spec.system.as_ref().filter(|_| standby).and_then(|system| Some((system, system.clone.clone()?))) {
        let mut accounts: Vec<String> = system.accounts.iter().map(ToString::to_string).collect();
        accounts.extend(spec.odoo.iter().map(|odoo| odoo.user.to_string()));
        accounts.extend(spec.replication.iter().map(|_| "postgres".to_owned()));
        accounts.extend(spec.redis.iter().map(|redis| redis.software.as_str().to_owned()));
        let resource = System { host: list.host.clone(), production, ignore, accounts };
        list.add(resource, &[]);
    }
    done
}

/// What the spec asks for, and what the session module needs unless the spec says more about it.
fn requirements(spec: &Spec, said: &[String]) -> Vec<Requirement> {
    let mut all: Vec<Requirement> = said.iter().filter_map(|text| text.parse().ok()).collect();
    for needed in spec.sessions.requirements(spec.odoo_version()).iter().filter_map(|text| text.parse::<Requirement>().ok()) {
        if !all.iter().any(|other| other.name == needed.name) {
            all.push(needed);
        }
    }
    all
}

/// The spec's `files:`, and the units that read them.
pub fn files(list: &mut List<'_>, software: &[ResourceId]) -> Vec<ResourceId> {
    let mut done = Vec::new();
    let mut units: indexmap::IndexMap<_, Vec<(std::path::PathBuf, ResourceId)>> = indexmap::IndexMap::new();
    for (index, file) in list.spec().files.clone().into_iter().enumerate() {
        let here = file.hosts.as_ref().map_or(list.role != Role::Witness, |hosts| hosts.contains(list.host));
        if !here || file.clone {
            continue;
        }
        let directory = file.source() == Some(FileSource::Directory);
        let attributes = Attributes {
            owner: file.owner.clone(),
            group: file.group.clone().unwrap_or_else(|| file.owner.clone()),
            mode: file.mode.unwrap_or(Mode(if directory { 0o755 } else { 0o644 })),
        };
        let id = if directory {
            list.add(Directory { host: list.host.clone(), path: file.path.clone(), attributes }, software)
        } else {
            // Every file was rendered before; one that was not is a bug the report should show, not hide.
            let Some(content) = list.inputs.files.get(&(list.host.clone(), index)).cloned() else { continue };
            list.add(File { host: list.host.clone(), path: file.path.clone(), content, attributes }, software)
        };
        if let Some(unit) = file.unit {
            units.entry(unit).or_default().push((file.path, id.clone()));
        }
        done.push(id);
    }
    let own = [list.spec().odoo.as_ref().map(|o| o.unit.clone()), list.spec().redis.as_ref().map(|r| r.unit())];
    for (unit, read) in units {
        let (reads, needs): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        // One that reads a cloned tree too is decided about when all is known that it reads.
        let clones = list.role == Role::Standby && list.spec().files.iter().any(|file| file.clone && file.unit.as_ref() == Some(&unit));
        if clones || own.contains(&Some(unit.clone())) {
            list.reads.insert(unit, reads);
            continue;
        }
        done.push(list.add(Unit { host: list.host.clone(), unit, state: list.running(), reads, reloads: true }, &needs));
    }
    done
}
