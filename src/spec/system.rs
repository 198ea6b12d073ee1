//! What Odoo and PostgreSQL depend on besides packages and files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CloneSpec;
use crate::name::Word;

/// Ids, locales, the time zone, kernel settings and limits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// Accounts whose ids and members are compared, besides Odoo's, PostgreSQL's and Redis' own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Word>,
    /// Compare them with production's and name what differs, such as `user odoo`, `time zone`,
    /// `sysctl vm.swappiness`; `ignore` takes these names. Nothing is changed: what must be alike is
    /// written under `files:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone: Option<CloneSpec>,
}
