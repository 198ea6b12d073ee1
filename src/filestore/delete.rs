//! Which files are deleted: pure. Only what the database forgot long ago, few at a time, and
//! nothing where anything is odd.

use std::collections::BTreeMap;

use super::names::StoreName;
use crate::action::keep::Deletes;

/// Names no row refers to, and since when, seconds since the epoch.
pub type Forgotten = BTreeMap<StoreName, i64>;

/// What to do about them.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Verdict {
    /// To be deleted now.
    pub due: Vec<StoreName>,
    /// Why nothing may be deleted.
    pub problem: Option<String>,
}

/// Takes note of what is forgotten; what is needed again is forgotten no more.
pub fn remember(before: &Forgotten, extra: &[StoreName], now: i64) -> Forgotten {
    extra.iter().map(|name| (*name, before.get(name).copied().filter(|since| *since <= now).unwrap_or(now))).collect()
}

/// Judges. `changed_at` says when a file was last written or put in its place.
pub fn judge(forgotten: &Forgotten, total: usize, limits: &Deletes, now: i64, changed_at: impl Fn(&StoreName) -> Option<i64>) -> Verdict {
    let old = |at: i64| now.saturating_sub(at) >= i64::try_from(limits.keep).unwrap_or(i64::MAX);
    let due: Vec<StoreName> =
        forgotten.iter().filter(|(name, since)| old(**since) && changed_at(name).is_some_and(old)).map(|(name, _)| *name).collect();
    let count = due.len() as u64;
    let share = limits.share.of(total as u64);
    let most = limits.allowed.unwrap_or(share.min(limits.files));
    if count > most {
        let limit = match limits.allowed {
            Some(allowed) => format!("the {allowed} of --allow-delete"),
            None => {
                format!("the {most} that one run may (filestore.max_delete: {} of {total}, at most {} files)", limits.share, limits.files)
            }
        };
        let problem = format!(
            "{count} files that the database forgot are due to be deleted, more than {limit}: nothing was deleted; \
             if it is right that they go: otr sync filestore --allow-delete {count}"
        );
        return Verdict { due: Vec::new(), problem: Some(problem) };
    }
    Verdict { due, problem: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::keep::Share;

    const DAY: i64 = 86_400;

    fn name(n: u8) -> StoreName {
        StoreName { sha1: [n; 20], legacy: false }
    }

    fn limits(allowed: Option<u64>) -> Deletes {
        Deletes { keep: 7 * DAY as u64, share: Share(500), files: 1000, allowed }
    }

    #[test]
    fn a_file_goes_only_after_its_time() {
        let now = 100 * DAY;
        let before = remember(&Forgotten::new(), &[name(1), name(2)], now - 8 * DAY);
        let forgotten = remember(&before, &[name(1), name(3)], now);
        assert_eq!(forgotten, Forgotten::from([(name(1), now - 8 * DAY), (name(3), now)]), "2 is needed again");
        let verdict = judge(&forgotten, 100, &limits(None), now, |_| Some(now - 9 * DAY));
        assert_eq!((verdict.due, verdict.problem), (vec![name(1)], None));
        assert!(judge(&forgotten, 100, &limits(None), now, |_| Some(now - DAY)).due.is_empty(), "written yesterday");
        assert!(judge(&forgotten, 100, &limits(None), now, |_| None).due.is_empty(), "not to be seen");
        // A clock that was in the future does not keep files for ever, nor delete them at once.
        assert_eq!(remember(&Forgotten::from([(name(1), now + DAY)]), &[name(1)], now)[&name(1)], now);
    }

    #[test]
    fn over_the_limit_nothing_goes_and_the_way_out_is_named() {
        let forgotten: Forgotten = (0..10).map(|n| (name(n), 0)).collect();
        let old = |_: &StoreName| Some(0);
        let verdict = judge(&forgotten, 100, &limits(None), 100 * DAY, old);
        assert!(verdict.due.is_empty() && verdict.problem.unwrap().ends_with("--allow-delete 10"));
        assert_eq!(judge(&forgotten, 200, &limits(None), 100 * DAY, old).due.len(), 10);
        assert_eq!(judge(&forgotten, 100, &limits(Some(10)), 100 * DAY, old).due.len(), 10);
        assert!(judge(&forgotten, 100, &limits(Some(9)), 100 * DAY, old).problem.is_some());
        assert!(judge(&forgotten, 1_000_000, &Deletes { files: 9, ..limits(None) }, 100 * DAY, old).problem.is_some());
    }
}
