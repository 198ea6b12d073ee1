//! Packages and Python modules of a draft.

use super::{Choices, Section, Seen, servers, yaml};
use crate::look::{Site, Survey};

/// What belongs to the one machine and its hardware.
const OF_THE_HARDWARE: [&str; 6] = ["linux-*", "grub-*", "shim-*", "firmware-*", "*-microcode", "cloud-*"];

/// Where Odoo's Python modules are: the virtual environment its service runs in, or the system's.
pub fn site(survey: &Survey) -> Site {
    survey.venvs.iter().next().map_or(Site::System, |venv| Site::Venv(venv.clone()))
}

/// What Odoo needs by name, and the rest as it stands on production.
pub fn packages(seen: &Seen<'_>, choices: &Choices, notes: &mut Vec<String>) -> Option<Section> {
    let Some(packages) = seen.packages else {
        notes.push(format!("{} is no Debian: its packages are not in the spec", choices.production.name));
        return None;
    };
    let installed = |name: &str| packages.get(name).is_some_and(|package| package.installed);
    let mut install: Vec<String> = packages
        .iter()
        .filter(|(name, package)| {
            let version = name.strip_prefix("odoo-").map(|version| version.parse::<u32>().is_ok());
            package.installed && (version == Some(true) || name.as_str() == "odoo")
        })
        .map(|(name, _)| name.clone())
        .collect();
    install.extend(servers::cluster(seen.survey).map(|cluster| format!("postgresql-{}", cluster.version)).filter(|name| installed(name)));
    for name in ["redis-server", "valkey-server", "nginx"] {
        install.extend(installed(name).then(|| name.to_owned()));
    }
    if site(seen.survey) == Site::System && seen.python.is_some_and(|python| !python.modules.is_empty()) {
        install.extend(installed("python3-pip").then(|| "python3-pip".to_owned()));
    }
    let text =
        format!("packages:\n  install: {}\n  clone: {{ignore: {}, sources: {{}}}}\n", yaml::list(install), yaml::list(OF_THE_HARDWARE));
    Some(Section::new(
        "packages",
        "`clone`: the standby takes what production has, in its versions, but for `ignore`; and its apt sources.",
        text,
    ))
}

/// Modules that pip keeps.
pub fn pip(seen: &Seen<'_>, notes: &mut Vec<String>) -> Option<Section> {
    let mut venvs = seen.survey.venvs.iter();
    venvs.next();
    notes.extend(venvs.map(|venv| format!("{}: a second virtual environment; the spec has one", venv.display())));
    let python = seen.python.filter(|python| !python.modules.is_empty())?;
    let text = match site(seen.survey) {
        Site::Venv(path) => format!("pip: {{venv: {}, clone: {{}}}}\n", yaml::scalar(&path.display().to_string())),
        Site::System if python.externally_managed => "pip: {system: true, break_system_packages: true, clone: {}}\n".to_owned(),
        Site::System => "pip: {system: true, clone: {}}\n".to_owned(),
    };
    let count = python.modules.len();
    let noun = if count == 1 { "module" } else { "modules" };
    Some(Section::new("pip", &format!("{count} {noun} that pip installed; apt's are with the packages."), text))
}
