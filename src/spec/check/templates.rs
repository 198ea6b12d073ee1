//! Templates: each is rendered for each of its hosts, with something in place of the secrets.

use std::path::Path;

use super::Findings;
use crate::name::HostName;
use crate::secret::Secrets;
use crate::spec::problem::Problem;
use crate::spec::tree::Tree;
use crate::spec::{FileSource, Spec};
use crate::template::{Context, TemplateError, Templates};

/// What is wrong with the templates of a spec that stands in `directory`.
pub fn templates(spec: &Spec, tree: &Tree, directory: &Path) -> Vec<Problem> {
    let mut findings = Findings { tree, problems: Vec::new() };
    let templates = Templates::new(directory);
    let secrets = Secrets::with(spec.secrets().into_iter().map(|(_, source)| source), |_| Ok("placeholder".into()));
    for (number, file) in spec.files.iter().enumerate() {
        let (Some(source), path) = (file.source(), format!("files[{number}]")) else { continue };
        let field = match source {
            FileSource::Template(_) => format!("{path}.template"),
            FileSource::Content(_) => format!("{path}.content"),
            FileSource::Directory | FileSource::Clone => continue,
        };
        let hosts: Vec<&HostName> = match &file.hosts {
            Some(hosts) => hosts.iter().filter(|host| spec.hosts.contains_key(*host)).collect(),
            None => spec.members().collect(),
        };
        let mut failed: Vec<(TemplateError, Vec<&str>)> = Vec::new();
        for host in &hosts {
            let Err(error) = templates.render(&source, &Context { spec, host, secrets: &secrets }) else { continue };
            match failed.iter_mut().find(|(known, _)| *known == error) {
                Some((_, hosts)) => hosts.push(host.as_str()),
                None => failed.push((error, vec![host.as_str()])),
            }
        }
        for (error, on) in failed {
            let somewhere = if on.len() < hosts.len() { format!(" on {}", on.join(", ")) } else { String::new() };
            let hint = match &error {
                TemplateError::Wrong { hint, .. } => hint.clone().unwrap_or_default(),
                TemplateError::Unknown { .. } => "write the file, or name it by its path from there".into(),
                TemplateError::Unreadable { .. } => "otr reads it as the user who starts it".into(),
                _ => String::new(),
            };
            let message = match (&error, &source) {
                (TemplateError::Wrong { line, message, .. }, FileSource::Content(_)) => format!("line {line} of `content`: {message}"),
                _ => error.to_string(),
            };
            findings.value(&field, format!("{message}{somewhere}"), hint);
        }
    }
    findings.problems
}
