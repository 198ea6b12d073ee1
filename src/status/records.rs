//! What stands in the way of reading a host's records, and what its journals leave open. Pure.

use serde::de::DeserializeOwned;

use crate::facts::{FactError, Facts};
use crate::history::drill::Drilled;
use crate::history::pause::{Line, Pause};
use crate::history::{Copied, promotion};
use crate::look::Look;
use crate::name::HostName;
use crate::spec::{Role, Spec};

/// What is known of a host's records.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Each thing in words.
    pub words: Vec<String>,
    /// A journal that a promotion of this host would need cannot be read.
    pub obstacle: Option<String>,
    /// When files were last copied is not known.
    pub copied_unseen: bool,
}

/// The journals; where otr may only look, it never wrote one.
pub(super) fn looks(spec: &Spec, host: &HostName) -> Vec<Look> {
    match crate::plan::check::may_change(spec, host) {
        true => promotion::paths(spec).into_iter().map(Look::Record).collect(),
        false => Vec::new(),
    }
}

pub(super) fn records(spec: &Spec, facts: &Facts, host: &HostName) -> Records {
    let mut records = Records::default();
    let standby = spec.role(host) == Role::Standby;
    if standby {
        records.copied_unseen = !read::<Copied>(&mut records, facts, host, &Copied::path(spec));
        read::<Drilled>(&mut records, facts, host, &Drilled::path(spec));
        read::<Line>(&mut records, facts, host, &Pause::path(spec));
    }
    if !crate::plan::check::may_change(spec, host) {
        return records;
    }
    for path in promotion::paths(spec) {
        let shown = path.display();
        let unread = |why: &str| format!("whether a promotion is open is not known: {shown} on {host} cannot be read: {why}");
        let found = match facts.record(host, &path) {
            Ok(None) | Err(FactError::Unreachable { .. }) => continue,
            // A login that is not root promotes nobody here.
            Err(_) if !facts.machine(host).is_ok_and(|machine| machine.root) => continue,
            Err(FactError::Unseen { why, .. }) => Err(unread(&why.to_string())),
            Err(error) => Err(unread(&error.to_string())),
            Ok(Some(record)) => promotion::open(record).map_err(|why| unread(&why)),
        };
        match found {
            Ok(None) => {}
            Ok(Some(begun)) => records.words.push(format!(
                "a {verb} begun {} is open ({shown}): `otr {verb}` goes on with it",
                begun.at,
                verb = begun.verb
            )),
            Err(why) if standby => records.obstacle = Some(why),
            Err(why) => records.words.push(why),
        }
    }
    records
}

/// Whether it was read whole.
fn read<T: DeserializeOwned>(records: &mut Records, facts: &Facts, host: &HostName, path: &std::path::Path) -> bool {
    match facts.record(host, path) {
        Ok(None) | Err(FactError::Unreachable { .. }) => true,
        Ok(Some(record)) => {
            records.words.extend(record.trouble::<T>().map(|trouble| format!("{}: {trouble}", path.display())));
            record.skipped == 0
        }
        Err(error) => {
            records.words.push(error.to_string());
            false
        }
    }
}
