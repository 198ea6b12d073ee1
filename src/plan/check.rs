//! Reads a finished plan and refuses what must never happen, whoever made it. Pure.
//!
//! Every rule here is also a rule of the resource that would break it; this is the second
//! pair of eyes.

use super::{Plan, Verdict};
use crate::action::Action;
use crate::name::HostName;
use crate::spec::{Access, Role, Spec};

/// A plan that must not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Only a promotion promotes.
    #[error("{host} would be promoted outside a promotion")]
    PromotesAside {
        /// Which host.
        host: HostName,
    },
    /// Two hosts would take writes.
    #[error("{first} and {second} would both be promoted")]
    TwoPrimaries {
        /// One.
        first: HostName,
        /// The other.
        second: HostName,
    },
    /// Production's data would be replaced by a copy.
    #[error("{host} is production, and its database would be replaced by a copy")]
    OverwritesProduction {
        /// Which host.
        host: HostName,
    },
    /// A standby's Odoo would be started.
    #[error("{host} is a standby, and {unit} would be started on it")]
    StartsStandby {
        /// Which host.
        host: HostName,
        /// Which unit.
        unit: String,
    },
    /// Two hosts take writes, and nobody said which is right.
    #[error("{0}")]
    SplitBrain(String),
    /// The spec says of a host that it is production, and another was promoted since.
    #[error("{0}")]
    StaleSpec(String),
    /// Data would be copied from a host onto itself.
    #[error("{host} would fetch data from itself")]
    FetchesFromItself {
        /// Which host.
        host: HostName,
    },
}

/// Every rule a plan breaks. `promoting` is the host a promotion is under way for.
pub fn check(plan: &Plan, spec: &Spec, promoting: Option<&HostName>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut promoted: Option<&HostName> = None;
    let odoo = spec.odoo.as_ref().map(|odoo| &odoo.unit);
    for item in &plan.items {
        let host = &item.id.host;
        let Verdict::Change(change) = &item.verdict else { continue };
        for action in &change.actions {
            match action {
                Action::Promote { .. } => {
                    if promoting != Some(host) {
                        found.push(Violation::PromotesAside { host: host.clone() });
                    }
                    if let Some(first) = promoted.filter(|first| *first != host) {
                        found.push(Violation::TwoPrimaries { first: first.clone(), second: host.clone() });
                    }
                    promoted = Some(host);
                }
                Action::BaseBackup { .. } | Action::FollowPrimary { .. } if spec.role(host) == Role::Production => {
                    found.push(Violation::OverwritesProduction { host: host.clone() });
                }
                Action::Unit { unit, verb } if Some(unit) == odoo && spec.role(host) == Role::Standby && verb.starts() => {
                    found.push(Violation::StartsStandby { host: host.clone(), unit: unit.to_string() });
                }
                Action::Fetch { from, .. } | Action::KeepStore { from, .. } if from == host => {
                    found.push(Violation::FetchesFromItself { host: host.clone() })
                }
                _ => {}
            }
        }
    }
    found
}

/// Whether otr may change a host at all. An observed host receives no action, ever.
pub fn may_change(spec: &Spec, host: &HostName) -> bool {
    spec.hosts.get(host).is_some_and(|host| host.access == Access::Manage)
}
