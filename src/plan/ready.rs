//! What a promotion would run into, as the plan of its own later steps knows it beforehand.

use std::collections::BTreeSet;

use super::{Item, Plan, Verdict};
use crate::resource::{Kind, ResourceId, Wanted};

/// One thing that a promotion would stop at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindrance {
    /// Which resource.
    pub id: ResourceId,
    /// In the plan's words.
    pub why: String,
}

impl Hindrance {
    /// A person may leave it as it is: content that Odoo can start without.
    pub fn is_content(&self) -> bool {
        use Kind::{Addons, Clone, Debconf, Filestore, Packages, Pip, Promotion, Sessions, Sources, System};
        matches!(self.id.kind, Sources | Debconf | Packages | Pip | Addons | Clone | System | Filestore | Sessions | Promotion)
    }

    /// The resource, and why.
    pub fn words(&self) -> String {
        format!("{}: {}", self.id, self.why)
    }
}

/// Of a plan with a standby in production's role: what neither holds nor will be changed by the promotion.
pub fn hindrances(wanted: &[Wanted], plan: &Plan) -> Vec<Hindrance> {
    // What asks another host too is not known while that one is away: no promotion waits for it.
    let alone: BTreeSet<ResourceId> = wanted
        .iter()
        .filter(|wanted| wanted.resource.looks().iter().all(|(host, _)| *host == wanted.resource.id().host))
        .map(|wanted| wanted.resource.id())
        .collect();
    // Until it is promoted these are a standby's, as they must be.
    use Kind::{Epoch, Postgresql, Replication, Role, Slot, Standby};
    let promoted = |kind| matches!(kind, Postgresql | Replication | Slot | Role | Standby | Epoch);
    // What software brings, or a file of otr's, is not there before it.
    let changes = |kinds: &[Kind], named: &str| {
        plan.items
            .iter()
            .any(|item| kinds.contains(&item.id.kind) && item.id.name.ends_with(named) && matches!(item.verdict, Verdict::Change(_)))
    };
    let comes = |item: &Item| {
        changes(&[Kind::Packages, Kind::Pip, Kind::Mount], "")
            || changes(&[Kind::File], &format!("/{}", item.id.name))
            // The promotion itself starts these services, and makes that Redis the primary.
            || matches!(item.id.kind, Kind::Redis | Kind::SessionModule) && changes(&[Kind::Unit], "")
            || item.id.kind == Kind::Sentinel && changes(&[Kind::Redis, Kind::Unit], "")
    };
    let why = |item: &Item| match &item.verdict {
        Verdict::Refused(why) => Some(why.clone()),
        Verdict::Unseen(why) => alone.contains(&item.id).then(|| why.clone()),
        Verdict::Change(change) => {
            let other = change.left_to.as_ref().map(|who| format!("it differs, and otr leaves it to {who}"));
            other.or_else(|| change.discards.as_ref().map(|what| format!("it would replace data: {what}")))
        }
        Verdict::Waits { on, by_itself: false } if !comes(item) => Some(format!("it waits for {on}")),
        Verdict::Waits { .. } | Verdict::Holds => None,
    };
    let items = plan.items.iter().filter(|item| !promoted(item.id.kind));
    items.filter_map(|item| Some(Hindrance { id: item.id.clone(), why: why(item)? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Change;

    #[test]
    fn what_the_promotion_itself_brings_is_waited_for() {
        let host = "erp2".parse().unwrap();
        let item = |kind, verdict| Item { id: ResourceId::new(&host, kind, "x"), verdict, needs: Vec::new() };
        let waits = || Verdict::Waits { on: "the Redis of erp2 to be the primary".into(), by_itself: false };
        let change = || Verdict::Change(Change::default());
        let found = |items: Vec<Item>| hindrances(&[], &Plan { items }).into_iter().map(|it| it.id.kind).collect::<Vec<_>>();
        assert_eq!(found(vec![item(Kind::Sentinel, waits())]), [Kind::Sentinel]);
        assert_eq!(found(vec![item(Kind::Sentinel, waits()), item(Kind::Redis, change())]), []);
        assert_eq!(found(vec![item(Kind::Redis, waits()), item(Kind::Unit, change())]), []);
        // A refusal is one whatever else comes.
        assert_eq!(found(vec![item(Kind::Redis, Verdict::Refused("no".into())), item(Kind::Unit, change())]), [Kind::Redis]);
    }
}
