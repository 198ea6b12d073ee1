//! The plan: resources with their verdicts, in order. Pure, and with no choice left to make.

use crate::facts::{FactError, Facts};
use crate::resource::{Change, Decision, ResourceId, Wanted};

pub mod behind;
pub mod check;
pub mod interruption;
pub mod life;
pub mod ready;
pub mod split;

/// What is known about one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it must be.
    Holds,
    /// It differs.
    Change(Change),
    /// It cannot be known or done before something else.
    Waits {
        /// What it waits for.
        on: String,
        /// That happens by itself.
        by_itself: bool,
    },
    /// What was seen forbids the wish; a person must settle it.
    Refused(String),
    /// It could not be seen, so nothing is decided.
    Unseen(String),
}

/// One resource and its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Which.
    pub id: ResourceId,
    /// What is known about it.
    pub verdict: Verdict,
    /// What must hold before it is changed.
    pub needs: Vec<ResourceId>,
}

impl Item {
    /// Nothing of it is left for otr to do.
    pub fn is_settled(&self) -> bool {
        match &self.verdict {
            Verdict::Holds => true,
            Verdict::Change(change) => change.left_to.is_some(),
            _ => false,
        }
    }
}

/// All of them, in the order of work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The items.
    pub items: Vec<Item>,
}

impl Plan {
    /// Decides every wanted resource from facts.
    pub fn make<'a>(wanted: impl IntoIterator<Item = &'a Wanted>, facts: &Facts) -> Self {
        let items = wanted
            .into_iter()
            .map(|wanted| Item { id: wanted.resource.id(), verdict: verdict(wanted, facts), needs: wanted.needs.clone() })
            .collect();
        Self { items }
    }

    /// Whether nothing is left to do and everything was seen.
    pub fn holds(&self) -> bool {
        self.items.iter().all(|item| item.verdict == Verdict::Holds)
    }
}

fn verdict(wanted: &Wanted, facts: &Facts) -> Verdict {
    match wanted.resource.decide(facts) {
        Ok(Decision::Holds) => Verdict::Holds,
        Ok(Decision::Change(change)) => Verdict::Change(change),
        Ok(Decision::Waits { on, by_itself }) => Verdict::Waits { on, by_itself },
        Err(FactError::Refused(why)) => Verdict::Refused(why),
        Err(error) => Verdict::Unseen(error.to_string()),
    }
}
