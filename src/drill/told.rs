//! What a drill tells.

use serde::Serialize;

use super::{Drill, Progress, now};
use crate::history::drill::Drilled;
use crate::look::drill::Files;
use crate::name::{DatabaseName, HostName};
use crate::promote::{StepOutcome, StepReport};

/// What a drill did and saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrillReport {
    /// The number of this format.
    pub format: u32,
    /// `drill`.
    pub verb: &'static str,
    /// The spec's name.
    pub spec: String,
    /// The standby.
    pub host: HostName,
    /// Every step succeeded: its data becomes a working Odoo.
    pub ok: bool,
    /// Nothing was changed: this is what would happen.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The steps in order.
    pub steps: Vec<StepReport>,
    /// What was copied, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_bytes: Option<u64>,
    /// The commit time of the newest transaction it surely contained, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// From Odoo's start until it listened, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub odoo_start_seconds: Option<f64>,
    /// From then to its first login page, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_login_seconds: Option<f64>,
    /// The databases.
    pub databases: Vec<DatabaseDrill>,
    /// What a person should do now.
    pub next: Vec<String>,
    /// Another drill is under way.
    #[serde(skip)]
    pub busy: bool,
    /// It did more than look.
    #[serde(skip)]
    pub(super) begun: bool,
    #[serde(skip)]
    seconds: f64,
}

/// One database in a drill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatabaseDrill {
    /// Which.
    pub database: DatabaseName,
    /// HTTP status of its login page; 0 if it was not asked.
    pub login: u16,
    /// Assets of the page that answered 200.
    pub assets: usize,
    /// Its attachments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
}

impl DrillReport {
    pub(super) fn new(drill: &Drill<'_>, steps: Vec<StepReport>, progress: Progress, seconds: f64) -> Self {
        let failed = steps.iter().any(|step| step.outcome == StepOutcome::Failed);
        let host = drill.host;
        let mut next = Vec::new();
        if drill.dry_run {
            next.push(format!("nothing was changed; {}`otr drill {host}` does it", if failed { "mend what failed, then " } else { "" }));
        } else if failed {
            next.push(format!("mend what failed and run `otr drill {host}` again; neither {host}'s replica nor production was touched"));
        }
        Self {
            format: 1,
            verb: "drill",
            spec: drill.inputs.spec.name.to_string(),
            host: host.clone(),
            ok: !failed && !drill.dry_run,
            dry_run: drill.dry_run,
            steps,
            data_bytes: progress.data,
            transaction: progress.transaction,
            odoo_start_seconds: progress.answers.map(|(start, _)| start),
            first_login_seconds: progress.answers.map(|(_, login)| login),
            databases: progress.databases,
            next,
            busy: progress.busy,
            begun: progress.begun,
            seconds,
        }
    }

    /// Its line in the record.
    pub(super) fn line(&self, error: Option<String>) -> Option<String> {
        let odoo_seconds = self.odoo_start_seconds.zip(self.first_login_seconds).map(|(start, login)| start + login);
        let drilled = Drilled { at: now(), ok: self.ok, seconds: self.seconds, odoo_seconds, transaction: self.transaction.clone(), error };
        serde_json::to_string(&drilled).ok()
    }
}
