//! The names in passwd and group, with home directories.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Reply, SightError};

/// Users with their home, and groups.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Accounts {
    /// User name → home directory.
    pub users: BTreeMap<String, String>,
    /// Group names.
    pub groups: BTreeSet<String>,
}

pub(super) fn script() -> String {
    "getent passwd | cut -d: -f1,6; echo; getent group | cut -d: -f1".into()
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Accounts, SightError> {
    let text = reply.text(limit)?;
    let (users, groups) = text.split_once("\n\n").ok_or_else(|| SightError::Unreadable("no blank line".into()))?;
    Ok(Accounts {
        users: users.lines().filter_map(|line| line.split_once(':')).map(|(u, h)| (u.to_owned(), h.to_owned())).collect(),
        groups: groups.lines().map(str::to_owned).collect(),
    })
}
