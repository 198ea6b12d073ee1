//! Packages, Python modules, Odoo's options.

use indexmap::IndexMap;

use super::Findings;
use crate::spec::requirement::{PackageSpec, Requirement};
use crate::spec::{OptionValue, Spec};

pub(super) fn check(spec: &Spec, findings: &mut Findings<'_>) {
    packages(spec, findings);
    pip(spec, findings);
    odoo(spec, findings);
    variables(spec, findings);
}

fn packages(spec: &Spec, findings: &mut Findings<'_>) {
    let Some(packages) = &spec.packages else { return };
    let mut wanted: Vec<PackageSpec> = Vec::new();
    for (number, text) in packages.install.iter().enumerate() {
        let path = format!("packages.install[{number}]");
        match text.parse::<PackageSpec>() {
            Ok(package) if wanted.iter().any(|earlier| earlier.name == package.name) => {
                findings.value(&path, format!("{} is listed twice", package.name), "keep one");
            }
            Ok(package) => wanted.push(package),
            Err(why) => findings.value(&path, why, "write `name` or `name=version`"),
        }
    }
    debconf(packages.clone.as_ref().map_or(&[], |clone| &clone.debconf), findings);
    for (number, name) in packages.remove.iter().enumerate() {
        if wanted.iter().any(|package| package.name == *name) || packages.hold.contains(name) {
            findings.value(
                &format!("packages.remove[{number}]"),
                format!("{name} is to be both there and not there"),
                "take it out of one list",
            );
        }
    }
}

/// A question stands in a line of its own, after a blank.
fn debconf(questions: &[String], findings: &mut Findings<'_>) {
    for (number, question) in questions.iter().enumerate() {
        let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.+-/".contains(c));
        if !question.split_once('/').is_some_and(|(package, rest)| word(package) && word(rest)) {
            let why = format!("{question:?} is no question of debconf's");
            findings.value(&format!("packages.clone.debconf[{number}]"), why, "write `package/question`, as `debconf-show PACKAGE` does");
        }
    }
}

fn pip(spec: &Spec, findings: &mut Findings<'_>) {
    let Some(pip) = &spec.pip else { return };
    if let Some(venv) = &pip.venv {
        findings.absolute("pip.venv", venv);
        if pip.system {
            findings.key("pip.system", "`pip` has both `venv` and `system: true`", "keep the one that Odoo's service runs with");
        }
    } else if !pip.system {
        findings.key("pip", "`pip` says neither `venv` nor `system: true`", "venv: /opt/odoo/venv");
    }
    if pip.venv.is_some() && !pip.system && pip.break_system_packages {
        findings.note("pip.break_system_packages", "`break_system_packages` does nothing in a virtual environment", "");
    }
    let mut names: Vec<String> = Vec::new();
    for (number, text) in pip.install.iter().enumerate() {
        let path = format!("pip.install[{number}]");
        match text.parse::<Requirement>() {
            Ok(requirement) if names.contains(&requirement.name) => {
                findings.value(&path, format!("{} is listed twice", requirement.name), "join both: name>=1,<2");
            }
            Ok(requirement) => names.push(requirement.name),
            Err(why) => findings.value(&path, why, "write a name and PEP 440 specifiers: redis~=5.0 or redis>=4,<6"),
        }
    }
}

fn odoo(spec: &Spec, findings: &mut Findings<'_>) {
    for (name, host) in &spec.hosts {
        options(&format!("hosts.{name}.odoo"), &host.odoo, findings);
    }
    let Some(odoo) = &spec.odoo else { return };
    for (map, values) in [("options", &odoo.options), ("production", &odoo.production), ("standby", &odoo.standby)] {
        options(&format!("odoo.{map}"), values, findings);
    }
    findings.absolute("odoo.config", &odoo.config);
    findings.absolute("odoo.data_dir", &odoo.data_dir);
    for (number, path) in odoo.addons.paths.iter().enumerate() {
        let at = format!("odoo.addons.paths[{number}]");
        findings.absolute(&at, path);
        if odoo.addons.clone.is_none() || !path.is_absolute() || spec.is_shared(path) {
            continue;
        }
        // What production does not have there is removed on a standby.
        let tops = ["/usr", "/usr/local", "/var"];
        let system = ["/", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp"];
        let whole = tops.iter().chain(&system).any(|top| path == std::path::Path::new(top))
            || tops.iter().any(|top| path.parent() == Some(top.as_ref()));
        match whole {
            true => findings.value(
                &at,
                format!("{} is too much for a clone", path.display()),
                "name the add-ons' own directory: /usr/share/odoo-acme",
            ),
            false => super::data::of_each_host(spec, path, &at, findings),
        }
    }
    for (number, name) in odoo.databases.iter().enumerate() {
        if odoo.databases[..number].contains(name) {
            findings.value(&format!("odoo.databases[{number}]"), format!("{name} is listed twice"), "keep one");
        }
    }
    if odoo.databases.is_empty() && spec.replication.is_some() {
        findings.note(
            "odoo",
            "`odoo.databases` is empty: databases are replicated, but no attachment is copied to a standby",
            "databases: [acme]",
        );
    }
}

/// Options of odoo.conf: Python's RawConfigParser lower-cases keys and reads one line each.
pub(super) fn options(path: &str, values: &IndexMap<String, OptionValue>, findings: &mut Findings<'_>) {
    for (key, value) in values {
        let at = crate::spec::tree::join(path, key);
        if key.contains(|c: char| c.is_ascii_uppercase()) {
            findings.key(&at, format!("`{at}`: Odoo reads the keys of odoo.conf in lower case"), format!("write `{}`", key.to_lowercase()));
        } else if key.is_empty() || !key.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c)) {
            findings.key(&at, format!("`{at}` cannot be a key of odoo.conf"), "letters, digits and '_'");
        }
        let broken = match value {
            OptionValue::Text(text) => text.contains(['\n', '\r']),
            OptionValue::List(items) => items.iter().any(|item| item.contains(['\n', '\r', ','])),
            _ => false,
        };
        if broken {
            findings.value(&at, format!("`{at}` does not fit into one line of odoo.conf"), "");
        }
    }
}

fn variables(spec: &Spec, findings: &mut Findings<'_>) {
    let own = spec.hosts.iter().map(|(name, host)| (format!("hosts.{name}.vars"), &host.vars));
    for (path, values) in std::iter::once(("vars".to_owned(), &spec.vars)).chain(own) {
        for key in values.keys().filter(|key| !super::is_variable(key)) {
            let at = crate::spec::tree::join(&path, key);
            findings.key(&at, format!("`{at}`: templates could not name it"), "letters, digits and '_', not starting with a digit");
        }
    }
}
