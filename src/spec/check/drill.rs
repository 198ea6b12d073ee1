//! A drill is never given what production writes with.

use super::Findings;
use crate::spec::drill::{FIXED, is_credential};
use crate::spec::{OptionValue, Spec};

pub(super) fn check(spec: &Spec, findings: &mut Findings<'_>) {
    let ours = |at: &str| at.starts_with("drill.");
    let secrets: Vec<_> = spec.secrets().into_iter().filter(|(at, _)| !ours(at)).collect();
    let maps = spec.option_maps();
    let (own, others): (Vec<_>, Vec<_>) = maps.iter().partition(|(at, _)| ours(at));
    let others: Vec<(String, &str, &OptionValue)> =
        others.into_iter().flat_map(|(at, map)| map.iter().map(move |(key, value)| (format!("{at}.{key}"), key.as_str(), value))).collect();
    for (at, map) in own {
        for (key, value) in map.iter() {
            let path = format!("{at}.{key}");
            let same = match value {
                OptionValue::Secret(reference) => secrets.iter().find(|(_, source)| **source == reference.secret).map(|(other, _)| other),
                value => {
                    others.iter().find(|(_, name, other)| *other == value && (is_credential(key) || is_credential(name))).map(|(o, ..)| o)
                }
            };
            if let Some(other) = same {
                findings.value(
                    &path,
                    format!("this is `{other}`: a drill is never given what production writes with"),
                    "give the drill a key of its own that can only read, or none: its Odoo has no network",
                );
            }
            if at == "drill.options" && FIXED.contains(&key.to_lowercase().as_str()) {
                findings.key(&path, format!("`{key}` is the drill's own: it keeps its Odoo on the copy, and shut in"), "leave it out");
            }
        }
    }
    if let Some(program) = spec.drill.command.first()
        && !program.starts_with('/')
    {
        findings.value("drill.command[0]", format!("{program:?} is not an absolute path"), "/usr/bin/odoo");
    }
}
