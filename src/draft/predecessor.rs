//! What the predecessor (odooredundancy) left on a machine, and the line of a spec that replaces each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::look::Survey;

/// Its commands, and what does the same.
const REPLACED: [(&str, &str); 7] = [
    ("ot-attachment-sync", "filestore: {follow: 5s}"),
    ("ot-attachments-sync", "filestore: {follow: 5s}"),
    ("ot-apt-sync", "packages: {clone: {}}"),
    ("ot-pip-sync", "pip: {clone: {}}"),
    ("ot-project-sync", "odoo: {addons: {paths: […], clone: {}}}"),
    ("ot-conf-sync", "odoo: {clone: {}} and files: {clone: true}"),
    ("ot-sync-from-source", "schedule: {sync: hourly}"),
];

/// One thing it left.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// What it is.
    pub what: String,
    /// What of the spec replaces it.
    pub replaced_by: String,
}

/// Everything it left.
pub fn found(survey: &Survey) -> Vec<Found> {
    survey
        .traces
        .iter()
        .map(|trace| {
            let (what, by) = match REPLACED.iter().find(|(command, _)| *command == trace.command) {
                Some((command, by)) => (format!("runs {command}"), (*by).to_owned()),
                None if is_settings(&trace.path) => ("its settings".to_owned(), "the spec itself".to_owned()),
                None => ("its summary".to_owned(), format!("schedule: {{summary_file: {}}}", trace.path.display())),
            };
            Found { path: trace.path.clone(), what, replaced_by: by }
        })
        .collect()
}

/// The cron files that run it and nothing else of somebody's can be in: a file of cron.d, cron.hourly …
/// A crontab may hold other lines, so it is a person's to edit.
pub fn jobs(survey: &Survey) -> BTreeSet<PathBuf> {
    let job = |path: &Path| path.parent().is_some_and(|folder| folder.to_string_lossy().starts_with("/etc/cron."));
    survey.traces.iter().filter(|trace| !trace.command.is_empty() && job(&trace.path)).map(|trace| trace.path.clone()).collect()
}

/// The file it told of its runs in.
pub fn summary_file(survey: &Survey) -> Option<String> {
    let summary = survey.traces.iter().find(|trace| trace.command.is_empty() && !is_settings(&trace.path));
    summary.map(|trace| trace.path.display().to_string())
}

fn is_settings(path: &Path) -> bool {
    path.ends_with("ot-redundancy-sync.conf")
}
