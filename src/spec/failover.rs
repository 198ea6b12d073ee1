//! What happens when production fails, and when it comes back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Promotion, switchover, and the guard that keeps an old production down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failover {
    /// Whether every managed host gets the boot guard: it refuses the role of production to a
    /// host whose peer was promoted.
    #[serde(default = "yes")]
    pub guard: bool,
    /// The TCP port on which each host tells its peers its epoch.
    #[serde(default = "guard_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub guard_port: u16,
    /// What a host that was production does at boot if its peer gives no answer.
    #[serde(default)]
    pub boot_without_peer: BootWithoutPeer,
}

impl Default for Failover {
    fn default() -> Self {
        Self { guard: yes(), guard_port: guard_port(), boot_without_peer: BootWithoutPeer::default() }
    }
}

/// What a host that was production does at boot if its peer gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BootWithoutPeer {
    /// Start after asking for 30 seconds: a lost standby stops nothing, but an old production that
    /// boots while the new one is unreachable takes writes beside it.
    #[default]
    Start,
    /// Wait until the peer answers: there are never two productions, but production stays down
    /// as long as its standby is.
    Wait,
    /// Do not start: a person starts it.
    StayDown,
}

fn yes() -> bool {
    true
}
fn guard_port() -> u16 {
    7315
}
