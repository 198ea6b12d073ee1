//! What happens when production fails, and when it comes back.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

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
    /// A command that makes sure that an unreachable production is down (a power switch, a
    /// hypervisor), and one that proves it. Without it only a person can state that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
    /// Programs to run before or after steps of a promotion, switchover or rejoin: a virtual
    /// address, DNS, a backup, a message to the users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
}

impl Default for Failover {
    fn default() -> Self {
        Self { guard: yes(), guard_port: guard_port(), boot_without_peer: BootWithoutPeer::default(), fence: None, hooks: Vec::new() }
    }
}

/// What makes sure that the old production is down. Both commands run as root on the host that
/// is promoted, with `OTR_OLD_PRODUCTION` and `OTR_OLD_ADDRESS` in their environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    /// Program and arguments that cut it off, by absolute path; no shell reads them. It may be run
    /// again, on a host that is down already.
    pub run: Vec<String>,
    /// Program and arguments that ask whether it is down. Nothing but this answer is a proof.
    pub read_back: Vec<String>,
    /// The proof: `read_back` ends with 0 and prints a line that holds this text.
    pub expect: String,
    /// How long each may take, and how long the proof is waited for.
    #[serde(default = "minute")]
    pub timeout: Span,
}

/// A program run before or after a step. It runs as root, with `OTR_VERB`, `OTR_STEP`, `OTR_WHEN`
/// (`before`, `after`), `OTR_SPEC`, `OTR_HOST` (the new production) and `OTR_OLD_PRODUCTION` in its
/// environment; again where a run that was cut off is begun again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Before which step. Say this or `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<StepName>,
    /// After which step, once that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<StepName>,
    /// Program and arguments, by absolute path; no shell reads them. `files:` can put it there.
    pub run: Vec<String>,
    /// Of which procedures; of all that have the step if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verbs: Vec<FailoverVerb>,
    /// On which host.
    #[serde(default)]
    pub on: HookHost,
    /// How long it may take.
    #[serde(default = "half_minute")]
    pub timeout: Span,
    /// What follows if it fails.
    #[serde(default)]
    pub if_it_fails: IfItFails,
}

/// A procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailoverVerb {
    /// `otr promote`.
    Promote,
    /// `otr switchover`.
    Switchover,
    /// `otr rejoin`.
    Rejoin,
}

/// Where a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HookHost {
    /// On the host that becomes production, or in a rejoin is it.
    #[default]
    New,
    /// On the host that was production. Left out, and reported, where that cannot be reached.
    Old,
}

/// What follows a hook that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IfItFails {
    /// It is reported, and the procedure goes on: a chat that is down must not keep the shop closed.
    #[default]
    Report,
    /// The step fails. Before a switchover's point of no return that puts production back.
    Stop,
}

/// The steps that hooks can be tied to: all that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "docs/failover.md says what each does")]
pub enum StepName {
    FenceCommand,
    Timers,
    Files,
    Replay,
    Snapshot,
    StopOdoo,
    LastFiles,
    StopPostgresql,
    Proof,
    Stop,
    Epoch,
    Recover,
    Mark,
    Keep,
    Source,
    Join,
    Slot,
    Promote,
    Checkpoint,
    Write,
    Bundles,
    ProductionMode,
    SmokeTest,
    Repoint,
    Complete,
    Follow,
    PutBack,
}

impl StepName {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            StepName::FenceCommand => "fence-command",
            StepName::Timers => "timers",
            StepName::Files => "files",
            StepName::Replay => "replay",
            StepName::Snapshot => "snapshot",
            StepName::StopOdoo => "stop-odoo",
            StepName::LastFiles => "last-files",
            StepName::StopPostgresql => "stop-postgresql",
            StepName::Proof => "proof",
            StepName::Stop => "stop",
            StepName::Epoch => "epoch",
            StepName::Recover => "recover",
            StepName::Mark => "mark",
            StepName::Keep => "keep",
            StepName::Source => "source",
            StepName::Join => "join",
            StepName::Slot => "slot",
            StepName::Promote => "promote",
            StepName::Checkpoint => "checkpoint",
            StepName::Write => "write",
            StepName::Bundles => "bundles",
            StepName::ProductionMode => "production-mode",
            StepName::SmokeTest => "smoke-test",
            StepName::Repoint => "repoint",
            StepName::Complete => "complete",
            StepName::Follow => "follow",
            StepName::PutBack => "put-back",
        }
    }
}

/// What a host that was production does at boot if its peer gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BootWithoutPeer {
    /// Start after asking for 30 seconds: a lost standby stops nothing, but an old production that
    /// boots while the new one is unreachable takes writes beside it.
    Start,
    /// Wait until the peer answers, or a person states that it is no production: there are never
    /// two productions, but one that boots while its standby is off waits for a person.
    #[default]
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
fn minute() -> Span {
    Span(Duration::from_secs(60))
}
fn half_minute() -> Span {
    Span(Duration::from_secs(30))
}
