//! Configuration of a draft that no package of Odoo's brings: web servers, drop-ins.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Section, Seen, yaml};

/// Folders that are taken whole, and the service that reads each.
const TREES: [(&str, &str); 2] = [("/etc/nginx/sites-enabled", "nginx.service"), ("/etc/nginx/conf.d", "nginx.service")];

/// What lies beside such a folder, for its links to lead to.
const BESIDE: [(&str, &str); 1] = [("/etc/nginx/sites-enabled", "/etc/nginx/sites-available")];

/// Single files, and the service that reads each.
const FILES: [(&str, &str); 2] = [("/etc/haproxy/haproxy.cfg", "haproxy.service"), ("/etc/pgbouncer/pgbouncer.ini", "pgbouncer.service")];

/// Its section, if there is such configuration.
pub fn files(seen: &Seen<'_>) -> Option<Section> {
    let mut wanted: BTreeMap<String, Option<&str>> = BTreeMap::new();
    for path in &seen.survey.files {
        let tree = TREES.iter().find(|(tree, _)| path.parent() == Some(Path::new(tree)));
        let file = FILES.iter().find(|(file, _)| path == Path::new(file));
        match (tree, file) {
            (Some((tree, unit)), _) => {
                let beside = BESIDE.iter().filter(|(of, _)| of == tree).map(|(_, beside)| ((*beside).to_owned(), Some(*unit)));
                wanted.extend(beside);
                wanted.insert((*tree).to_owned(), Some(unit));
            }
            (None, Some((file, unit))) => drop(wanted.insert((*file).to_owned(), Some(unit))),
            (None, None) => drop(wanted.insert(path.display().to_string(), None)),
        }
    }
    if wanted.is_empty() {
        return None;
    }
    let mut text = "files:\n".to_owned();
    for (path, unit) in wanted {
        let unit = unit.map(|unit| format!(", unit: {unit}")).unwrap_or_default();
        text.push_str(&format!("  - {{path: {}, clone: true{unit}}}\n", yaml::scalar(&path)));
    }
    Some(Section::new("files", "Taken from production as they stand there; where they differ by host, write a template (README).", text))
}
