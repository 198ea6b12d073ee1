//! Redis: the server on every member, replicating from production.

use std::collections::BTreeMap;

use super::List;
use crate::action::{Attributes, RedisServer};
use crate::name::{Mode, Word};
use crate::resource::ResourceId;
use crate::resource::postgres::Reach;
use crate::resource::redis::Redis;
use crate::resource::unit::{Unit, UnitState};
use crate::secret::Text;
use crate::spec::Role;

/// The server and its service.
pub fn redis(list: &mut List<'_>, software: &[ResourceId]) -> Vec<ResourceId> {
    let Some(redis) = list.spec().redis.clone() else { return Vec::new() };
    let Ok(owner) = "redis".parse::<Word>() else { return Vec::new() };
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            settings.insert(name.to_owned(), Ok(Text::Plain(value)));
        }
    };
    set("maxmemory", redis.maxmemory.map(|size| size.to_string()));
    set("maxmemory-policy", redis.maxmemory_policy.map(|policy| policy.as_str().to_owned()));
    set("appendonly", redis.appendonly.map(|on| if on { "yes" } else { "no" }.to_owned()));
    // Without a password Redis answers only its own machine, and a replica elsewhere gets nothing.
    set("bind", redis.bind.clone().or_else(|| redis.password.as_ref().map(|_| "0.0.0.0".to_owned())));
    if let Some(password) = &redis.password {
        for name in ["requirepass", "masterauth"] {
            settings.insert(name.to_owned(), list.inputs.setting(password).map(|text| text.map(str::to_owned)));
        }
    }
    let production = list.spec().production.clone();
    let said = list.spec().hosts.get(&production).and_then(|host| host.reached_at()).map(str::to_owned);
    let follows = (list.role == Role::Standby && redis.password.is_some()).then_some((Reach { host: production, said }, redis.port));
    let resource = Redis {
        host: list.host.clone(),
        server: RedisServer { config: redis.config.clone(), port: redis.port },
        unit: redis.unit.clone(),
        attributes: Attributes { owner: owner.clone(), group: owner, mode: Mode(0o640) },
        settings,
        follows,
        promoting: list.inputs.promoting,
    };
    let server = list.add(resource, software);
    let reads = list.reads.remove(&redis.unit).unwrap_or_default();
    let unit = Unit { host: list.host.clone(), unit: redis.unit, state: UnitState::Running, reads, reloads: false };
    let unit = list.add(unit, &[]);
    vec![server, unit]
}
