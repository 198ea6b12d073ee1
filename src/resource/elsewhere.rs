//! A Redis that otr does not set up: whether a host reaches it, and whether it is well. Changes nothing.

use super::{Decision, Kind, Resource, ResourceId};
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::look::elsewhere::{Elsewhere, ElsewhereSight};
use crate::name::HostName;

/// It, as one host sees it.
#[derive(Debug)]
pub struct Reached {
    /// From where.
    pub host: HostName,
    /// Where it is.
    pub at: Elsewhere,
    /// It must be a cluster.
    pub cluster: bool,
}

impl Resource for Reached {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Redis, format!("{}:{}", self.at.host, self.at.port))
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        vec![(self.host.clone(), Look::RedisElsewhere(self.at.clone()))]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let Elsewhere { host, port, .. } = &self.at;
        let sight = facts.redis_elsewhere(&self.host, &self.at)?;
        if let ElsewhereSight::Silent(why) = sight {
            let remedy =
                "Odoo there could not log anybody in. Look at the server, its password in `sessions.server`, and the network between";
            return Err(FactError::Refused(format!("{} does not reach the Redis {host}:{port}: {why}. {remedy}", self.host)));
        }
        match (sight.field("cluster_state"), self.cluster) {
            (Some("ok"), true) | (None, false) => Ok(Decision::Holds),
            (Some(_), false) => {
                Err(FactError::Refused(format!("{host}:{port} is a Redis Cluster: say `cluster: true`, and name a module that knows it")))
            }
            (None, true) => Err(FactError::Refused(format!("{host}:{port} is no Redis Cluster, but the spec says `cluster: true`"))),
            (Some(state), true) => Err(FactError::Refused(format!(
                "the Redis Cluster at {host}:{port} is {state}: {} of 16384 slots are served, so a part of the sessions is out of reach",
                sight.field("cluster_slots_ok").unwrap_or("?")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::Sight;

    fn decide(cluster: bool, sight: ElsewhereSight) -> String {
        let host: HostName = "erp1".parse().unwrap();
        let at = Elsewhere { host: "sessions".into(), port: 7000, authority: None };
        let seen = [(Look::RedisElsewhere(at.clone()), Ok(Sight::RedisElsewhere(sight)))].into();
        let facts = Facts::new([(host.clone(), Ok(seen))].into());
        match (Reached { host, at, cluster }).decide(&facts) {
            Ok(decision) => format!("{decision:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_cluster_is_well_or_says_what_is_out_of_reach() {
        let up = |state: &[(&str, &str)]| {
            let cluster = state.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            ElsewhereSight::Up { info: Default::default(), cluster }
        };
        assert_eq!(decide(true, up(&[("cluster_state", "ok")])), "Holds");
        assert_eq!(decide(false, up(&[])), "Holds");
        let fails = decide(true, up(&[("cluster_state", "fail"), ("cluster_slots_ok", "10923")]));
        assert!(fails.contains("10923 of 16384"), "{fails}");
        assert!(decide(false, up(&[("cluster_state", "ok")])).contains("cluster: true"));
        assert!(decide(true, up(&[])).contains("no Redis Cluster"));
        assert!(decide(false, ElsewhereSight::Silent("Connection refused".into())).contains("Connection refused"));
    }
}
