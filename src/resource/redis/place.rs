//! Whom a Redis follows: as the spec says, or as the sentinels say where they decide.

use super::Redis;
use crate::action::{Action, SentinelAction};
use crate::facts::{FactError, Facts};
use crate::look::{RedisSight, SentinelSight};
use crate::resource::{Change, Decision, Difference};

/// A server's place in the replication.
pub(super) struct Place {
    /// Whom it follows; nobody if it is the primary.
    pub primary: Option<(String, u16)>,
    /// The sentinels said so.
    pub by_sentinel: bool,
}

impl Place {
    /// The role in words.
    pub fn role(&self) -> String {
        self.primary.as_ref().map_or_else(|| "primary".to_owned(), |(host, port)| format!("replica of {host}:{port}"))
    }
}

impl Redis {
    pub(super) fn place(&self, facts: &Facts) -> Result<Place, FactError> {
        let by_sentinel =
            self.sentinel.as_ref().map(|watch| Ok::<_, FactError>(watch.says(facts)?.zip(Some(watch)))).transpose()?.flatten();
        if let Some((address, port, watch)) = by_sentinel.and_then(|(sight, watch)| sight.address().map(|(a, p)| (a, p, watch))) {
            let primary = (!watch.is(&self.host, address)).then(|| (address.to_owned(), port));
            return Ok(Place { primary, by_sentinel: true });
        }
        let follows =
            || facts.redis(&self.host, &self.server.config, self.server.port).is_ok_and(|sight| sight.info("role") == Some("slave"));
        let primary = self.follows.as_ref().filter(|_| self.replicates || follows());
        let primary = primary.map(|(reach, port)| Ok::<_, FactError>((reach.address(facts)?, *port))).transpose()?;
        Ok(Place { primary, by_sentinel: false })
    }

    /// At a promotion the primary comes to the new production too: Sentinel is asked for it where
    /// the old primary lives, and waited for where it is down.
    pub(super) fn fails_over(&self, place: &Place, sight: &RedisSight, facts: &Facts) -> Result<Option<Decision>, FactError> {
        let (Some(watch), Some((address, _))) = (&self.sentinel, &place.primary) else { return Ok(None) };
        if !self.promoting || !place.by_sentinel || self.follows.is_some() {
            return Ok(None);
        }
        let own = facts.sentinel(&self.host, watch.port, &watch.name)?;
        if own.field("flags").is_some_and(|flags| flags.contains("failover_in_progress")) {
            return Ok(Some(Decision::settles("the failover of Sentinel to end")));
        }
        let lives = |host| facts.redis(host, &self.server.config, self.server.port).is_ok_and(|redis| redis.info("role") == Some("master"));
        let old = watch.host_at(address).filter(|host| lives(host));
        let linked = sight.info("master_link_status") == Some("up");
        match (old, own.has_quorum()) {
            (Some(old), _) if linked => {
                let action = SentinelAction::FailOver { port: watch.port, name: watch.name.clone() };
                let differences = vec![Difference::new(format!("primary of {}", watch.name), old.as_str(), self.host.as_str())];
                Ok(Some(Decision::Change(Change { differences, actions: vec![Action::Sentinel(action)], ..Change::default() })))
            }
            (Some(old), _) => Ok(Some(Decision::settles(format!("the Redis of {} to have all of {old}'s keys", self.host)))),
            (None, true) => Ok(Some(Decision::settles(format!("Sentinel to make the Redis of {} the primary", self.host)))),
            (None, false) => Err(FactError::Refused(no_majority(self, own))),
        }
    }
}

fn no_majority(redis: &Redis, own: &SentinelSight) -> String {
    let why = match own {
        SentinelSight::Up { quorum, .. } => quorum.as_str(),
        SentinelSight::Down => "its sentinel does not run",
    };
    format!(
        "Sentinel decides which Redis is the primary, and on {} it cannot: {why}. Bring a majority of the sentinels back; \
         or say `decides: otr` in the spec, and the same command makes this Redis the primary",
        redis.host
    )
}
