//! Whether a production that otr cannot log in to lives: asked of every other host, with a moment's
//! patience where a stream may still be one.

use std::time::{Duration, Instant};

use super::Promotion;
use crate::facts::Facts;
use crate::fleet::Fleet;
use crate::look::Look;
use crate::name::HostName;
use crate::plan::life::{self, Heard, Sign};
use crate::spec::Spec;

/// How long the next message of a stream is waited for.
pub const NEXT: Duration = Duration::from_secs(3);

/// What the other hosts see of it.
pub(super) fn signs(promotion: &Promotion<'_>, before: &Heard) -> Vec<Sign> {
    seen(promotion.fleet, promotion.inputs.spec, promotion.old, before, if promotion.at_once { Duration::ZERO } else { NEXT })
}

/// The same without a promotion: what `status` and the question for a statement ask first.
pub fn seen(fleet: &Fleet, spec: &Spec, of: &HostName, before: &Heard, patience: Duration) -> Vec<Sign> {
    let look = |senders: &[String]| -> Facts {
        let asked = life::looks(spec, of, senders).into_iter().filter(|(host, _)| fleet.unreachable(host).is_none());
        fleet.look(asked)
    };
    let mut facts = look(&[]);
    let senders = life::senders(spec, of, &facts);
    let known = |sender: &String| spec.hosts.get(of).is_some_and(|host| host.reached_at() == Some(sender) || host.address == *sender);
    let mut heard = life::heard(spec, of, &facts);
    heard.extend(before.clone());
    if !senders.iter().all(known) {
        facts = look(&senders);
    }
    let mut signs: Vec<Sign> =
        fleet.shut(of).into_iter().map(|why| Sign { words: format!("its sshd answers: {why}"), serves: false }).collect();
    signs.extend(life::signs(spec, of, &facts, &heard));
    let until = Instant::now() + patience;
    let streams = |(_, look): &(HostName, Look)| !matches!(look, Look::Life(_));
    let undecided = signs.is_empty() && life::is_undecided(spec, of, &facts);
    while undecided && signs.is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(300));
        let asked = life::looks(spec, of, &[]).into_iter().filter(|(host, _)| fleet.unreachable(host).is_none()).filter(streams);
        facts = fleet.look(asked);
        signs = life::signs(spec, of, &facts, &heard);
    }
    signs
}

/// Why a statement does not count, if there are signs against it.
pub(super) fn refused<'a>(promotion: &Promotion<'_>, signs: impl Iterator<Item = &'a Sign>) -> Option<String> {
    let (old, host) = (promotion.old, promotion.host);
    let seen: Vec<&str> = signs.map(|sign| sign.words.as_str()).collect();
    if seen.is_empty() {
        return None;
    }
    let why = promotion.fleet.unreachable(old).map(|why| format!(" From here it cannot be reached: {why}.")).unwrap_or_default();
    Some(format!(
        "{old} lives, whoever says that it is down: {}.{why} {host} would be a second production. Let otr log in to {old} again, or {}",
        seen.join("; "),
        life::remedy(old.as_str())
    ))
}
