//! From spec and roles to the ordered list of wanted resources. Pure.
//!
//! One file per area; adding a resource is one line there. The order is the order of work on
//! a host; `needs` names what must hold before a resource is changed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::action::Attributes;
use crate::name::{HostName, Mode, UnitName, Word};
use crate::resource::rest::unit_file;
use crate::resource::unit::{Unit, UnitState};
use crate::resource::{Resource, ResourceId, Wanted};
use crate::secret::{SecretError, Secrets, Text};
use crate::spec::{Access, FileSpec, OptionValue, Role, Setting, Spec};

mod base;
mod clones;
mod database;
mod guard;
mod memcached;
mod odoo;
mod redis;
mod schedule;
mod sentinel;
mod sessions;
mod storage;
mod sync;

pub use database::{cluster_at, follows, leader, slot_of};
pub use guard::guarded;
pub use schedule::{Program, SERVICES, TIMERS, own_spec};
pub use sentinel::everywhere as sentinels;
pub use sessions::{environment as environment_file, plain};
pub use sync::{HASHED, stamp};

/// Everything a wish is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The spec.
    pub spec: &'a Spec,
    /// Its secrets, read.
    pub secrets: &'a Secrets,
    /// Its `files:`, rendered: host and index in the spec → content.
    pub files: &'a BTreeMap<(HostName, usize), Result<Text, SecretError>>,
    /// This very program, for the standbys' timers.
    pub program: &'a Program,
    /// The spec's own text, for the standbys' timers.
    pub text: &'a str,
    /// A promotion runs: a replica may become a primary.
    pub promoting: bool,
    /// Trees of changing files are compared by content, not by size and time alone.
    pub checksum: bool,
}

impl Inputs<'_> {
    /// A setting's text, its secret resolved.
    fn setting(&self, setting: &Setting) -> Result<Text, SecretError> {
        match setting {
            Setting::Plain(text) => Ok(Text::Plain(text.clone())),
            Setting::Secret(reference) => Ok(Text::Sensitive(self.secrets.get(&reference.secret)?.clone())),
        }
    }

    /// An option's text, its secret resolved; other values rendered by `render`.
    ///
    /// # Errors
    /// The secret could not be read.
    pub fn option(&self, value: &OptionValue, render: impl FnOnce(&OptionValue) -> String) -> Result<Text, SecretError> {
        match value {
            OptionValue::Secret(reference) => Ok(Text::Sensitive(self.secrets.get(&reference.secret)?.clone())),
            other => Ok(Text::Plain(render(other))),
        }
    }
}

/// The list under construction, for one host.
struct List<'a> {
    inputs: Inputs<'a>,
    host: &'a HostName,
    role: Role,
    wanted: Vec<Wanted>,
    /// Files of the spec that a service of otr's own resources reads.
    reads: BTreeMap<UnitName, Vec<PathBuf>>,
}

impl List<'_> {
    /// Adds a resource and gives its name.
    fn add(&mut self, resource: impl Resource + 'static, needs: &[ResourceId]) -> ResourceId {
        let id = resource.id();
        self.wanted.push(Wanted { resource: Box::new(resource), needs: needs.to_vec() });
        id
    }
    fn spec(&self) -> &Spec {
        self.inputs.spec
    }
    /// What a service of the spec's must be. The mask of a former role goes with a promotion.
    fn running(&self) -> UnitState {
        if self.inputs.promoting { UnitState::Running } else { UnitState::RunningUnlessMasked }
    }
}

/// A service that is kept down on a host. Where the spec carries the unit's own file there, no mask can stand.
pub fn resting(spec: &Spec, host: &HostName, unit: &UnitName) -> Unit {
    let path = unit_file(unit);
    let carries = |file: &FileSpec| file.path == path || file.clone && path.starts_with(&file.path);
    let here = |file: &&FileSpec| file.hosts.as_ref().is_none_or(|hosts| hosts.contains(host));
    let carried = spec.files.iter().filter(here).any(carries);
    Unit { host: host.clone(), unit: unit.clone(), state: UnitState::Resting { carried }, reads: Vec::new(), reloads: false }
}

/// Whether otr may change a host.
fn managed(spec: &Spec, host: &HostName) -> bool {
    spec.hosts.get(host).is_some_and(|host| host.access == Access::Manage)
}

/// Owner and mode of a file of root's.
pub fn root_file(mode: u32) -> Option<Attributes> {
    let root: Word = "root".parse().ok()?;
    Some(Attributes { owner: root.clone(), group: root, mode: Mode(mode) })
}

/// What every member must be: `plan` and `apply`. Standbys first.
pub fn all(inputs: Inputs<'_>) -> Vec<Wanted> {
    let mut hosts: Vec<&HostName> = inputs.spec.standbys().collect();
    hosts.push(&inputs.spec.production);
    // First the servers, then a witness that watches them.
    hosts.extend(inputs.spec.machines().filter(|host| inputs.spec.role(host) == Role::Witness));
    hosts.into_iter().flat_map(|host| on(inputs, host)).collect()
}

/// What one host must be in its role.
pub fn on(inputs: Inputs<'_>, host: &HostName) -> Vec<Wanted> {
    let role = inputs.spec.role(host);
    if role == Role::Witness {
        return sentinel::witness(inputs, host);
    }
    let mut list = List { inputs, host, role, wanted: Vec::new(), reads: BTreeMap::new() };
    let mut software = base::software(&mut list);
    // Nothing of Odoo's is written before its file systems are there.
    software.extend(storage::mounts(&mut list, &software.clone()));
    let done = software.clone();
    let epoch = guard::epoch(&mut list);
    let directories = odoo::directories(&mut list, &software);
    let configuration = odoo::configuration(&mut list, &software);
    let files = base::files(&mut list, &software);
    let database = database::cluster(&mut list, &[software.clone(), epoch.clone()].concat());
    let redis = redis::server(&mut list, &software);
    sentinel::sentinel(&mut list, &software, &redis);
    let mut sessions = sessions::module(&mut list, &software, &redis);
    sessions.extend(memcached::server(&mut list, &software));
    let program = schedule::program(&mut list);
    guard::guard(&mut list, &software, program.clone());
    let before = [database.clone(), program.clone().into_iter().collect()].concat();
    sync::filestore(&mut list, &before, &directories);
    let needs: Vec<ResourceId> = [software, epoch, directories, configuration, files, database, redis, sessions].concat();
    odoo::service(&mut list, &needs);
    schedule::timers(&mut list, program);
    clones::addons(&mut list, &done);
    clones::files(&mut list, &done);
    list.wanted
}

/// Whether a resource is the same in both roles: software, folders, mounts.
pub fn is_of_both_roles(wanted: &Wanted) -> bool {
    use crate::resource::Kind::{
        Addons, Clone, Debconf, Directory, Filestore, Mount, Packages, Pip, SessionModule, Sessions, Sources, System,
    };
    matches!(
        wanted.resource.id().kind,
        Sources | Debconf | Packages | Pip | Addons | Clone | System | Directory | Mount | SessionModule | Filestore | Sessions
    )
}

/// What Odoo needs of its host in production's role besides the database, so that users can work:
/// the rest is not waited for.
pub fn serving(inputs: Inputs<'_>, host: &HostName) -> Vec<Wanted> {
    let mut list = List { inputs, host, role: inputs.spec.role(host), wanted: Vec::new(), reads: BTreeMap::new() };
    let configuration = odoo::configuration(&mut list, &[]);
    let files = base::files(&mut list, &[]);
    let redis = redis::server(&mut list, &[]);
    odoo::serves(&mut list, &[configuration, files, redis].concat());
    list.wanted
}

/// The data that `sync` moves to the standbys.
pub fn data(inputs: Inputs<'_>) -> Vec<Wanted> {
    let hosts: Vec<&HostName> = inputs.spec.standbys().collect();
    hosts
        .into_iter()
        .flat_map(|host| {
            let mut list = List { inputs, host, role: Role::Standby, wanted: Vec::new(), reads: BTreeMap::new() };
            let program: Vec<ResourceId> = schedule::program(&mut list).into_iter().collect();
            sync::filestore(&mut list, &program, &[]);
            sync::sessions(&mut list);
            list.wanted
        })
        .collect()
}
