//! Looking at a production that no spec describes yet.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::draft::{Seen, cluster, config_path, databases_named, redis_config, site};
use crate::facts::Facts;
use crate::fleet::Fleet;
use crate::format::ini::Ini;
use crate::host::Connect;
use crate::look::{ClusterName, Look, Machine, Packages, PythonSight, RedisSight, ServerSight, Survey};
use crate::name::{DatabaseName, HostName};

/// All that was seen. It holds passwords, so it is not to be printed.
pub struct Production {
    pub machine: Machine,
    pub survey: Survey,
    homes: BTreeMap<String, String>,
    conf: Option<Ini>,
    packages: Option<Packages>,
    python: Option<PythonSight>,
    redis: Option<RedisSight>,
    databases: Vec<DatabaseName>,
    /// What could not be seen, and why.
    pub unseen: Vec<String>,
}

impl Production {
    /// What stands there, and what that consists of: two trips.
    pub fn look(connect: &dyn Connect, host: &HostName) -> Result<Self> {
        let fleet = Fleet::open(connect, [host]);
        let look = |looks: Vec<Look>| fleet.look(looks.into_iter().map(|look| (host.clone(), look)));
        let facts = look(vec![Look::Machine, Look::Nixos, Look::Survey, Look::Accounts]);
        if let Some(why) = facts.unreachable(host) {
            bail!("{host} cannot be reached: {why}");
        }
        let mut seen = Self {
            machine: facts.machine(host)?.clone(),
            survey: facts.survey(host)?.clone(),
            homes: facts.accounts(host)?.users.clone(),
            conf: None,
            packages: None,
            python: None,
            redis: None,
            databases: Vec::new(),
            unseen: Vec::new(),
        };
        seen.unseen.extend(seen.survey.hidden.iter().map(|path| format!("{} may not be read by {}", path.display(), seen.machine.user)));
        let debian = facts.nixos(host)?.is_none();
        let server = cluster(&seen.survey)
            .and_then(|cluster| Some(ClusterName { version: cluster.version, name: cluster.name.parse().ok()?, port: cluster.port }));
        let conf = config_path(&seen.survey);
        let place = site(&seen.survey);
        let redis = redis_config(&seen.survey).map(|config| (config, 6379));
        let mut looks = vec![Look::SecretContent(conf.clone()), Look::Python(place.clone())];
        looks.extend(debian.then_some(Look::Packages));
        looks.extend(redis.clone().map(|(config, port)| Look::Redis { config, port }));
        looks.extend(server.clone().map(Look::Server));
        let facts = look(looks);
        seen.conf = seen.kept(facts.secret_content(host, &conf)).flatten().and_then(|text| match Ini::parse(text.expose()) {
            Ok(ini) => Some(ini),
            Err(error) => {
                seen.unseen.push(format!("{} is not a file Odoo can read: {error}", conf.display()));
                None
            }
        });
        seen.python = seen.kept(facts.python(host, &place));
        seen.packages = if debian { seen.kept(facts.packages(host)) } else { None };
        seen.redis = redis.and_then(|(config, port)| seen.kept(facts.redis(host, &config, port)));
        seen.databases = seen.named(&facts, host, server.as_ref());
        Ok(seen)
    }

    /// A sight, or a line on why there is none.
    fn kept<T: Clone>(&mut self, sight: Result<&T, crate::facts::FactError>) -> Option<T> {
        match sight {
            Ok(sight) => Some(sight.clone()),
            Err(error) => {
                self.unseen.push(error.to_string());
                None
            }
        }
    }

    /// The databases odoo.conf names; else all the server has.
    fn named(&mut self, facts: &Facts, host: &HostName, server: Option<&ClusterName>) -> Vec<DatabaseName> {
        let named = databases_named(self.conf.as_ref());
        let Some(cluster) = server.filter(|_| named.is_empty()) else { return named };
        match self.kept(facts.server(host, cluster)) {
            Some(ServerSight::Up(server)) => server.databases.keys().filter_map(|name| name.parse().ok()).collect(),
            _ => Vec::new(),
        }
    }

    /// The databases whose attachments are to be kept in step.
    pub fn databases(&self) -> &[DatabaseName] {
        &self.databases
    }

    /// As a draft sees it.
    pub fn seen(&self) -> Seen<'_> {
        Seen {
            survey: &self.survey,
            machine: &self.machine,
            homes: &self.homes,
            conf: self.conf.as_ref(),
            packages: self.packages.as_ref(),
            python: self.python.as_ref(),
            redis: self.redis.as_ref(),
        }
    }
}
