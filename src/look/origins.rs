//! Where packages can be had, as apt knows: asked only when an installation failed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Reply, SightError, quote};

/// Where one version of a package can be had.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The sources that have it, as apt writes them; none if it was installed from a file.
    pub sources: Vec<String>,
    /// Every version that some source has.
    pub versions: Vec<String>,
}

pub(super) fn script(packages: &[(String, String)]) -> String {
    let names: Vec<String> = packages.iter().map(|(name, _)| quote(name)).collect();
    format!("apt-cache policy -- {}", names.join(" "))
}

/// Takes `apt-cache policy` apart: a version's line, then a line for each source it is in.
pub(super) fn read(reply: &Reply, limit: u64, packages: &[(String, String)]) -> Result<BTreeMap<String, Origin>, SightError> {
    let mut origins = BTreeMap::new();
    let mut package: Option<&str> = None;
    let mut version = "";
    for line in reply.text(limit)?.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            package = Some(name);
            version = "";
            origins.entry(name.to_owned()).or_insert_with(Origin::default);
            continue;
        }
        let Some(name) = package else { continue };
        let words: Vec<&str> = line.trim_start_matches(" ***").split_whitespace().collect();
        let indent = line.len() - line.trim_start_matches([' ', '*']).len();
        match words.as_slice() {
            [number, _priority] if indent == 5 => version = number,
            [_priority, rest @ ..] if indent > 5 && !version.is_empty() && !rest.is_empty() => {
                let source = rest.join(" ");
                // What is installed is no source. The whole path would make lintian take us for a reader of that file.
                if source.ends_with("/dpkg/status") {
                    continue;
                }
                let origin = origins.entry(name.to_owned()).or_insert_with(Origin::default);
                if !origin.versions.iter().any(|known| known == version) {
                    origin.versions.push(version.to_owned());
                }
                if packages.iter().any(|(wanted, at)| wanted == name && at == version) {
                    origin.sources.push(source.strip_suffix(" Packages").unwrap_or(&source).to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(origins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_by_version() {
        let stdout = "tree:\n  Installed: 1.8.0-1+b1\n  Candidate: 1.8.0-1+b1\n  Version table:\n *** 1.8.0-1+b1 500\n        500 http://deb.example.net/debian bullseye/main amd64 Packages\n        100 /var/lib/dpkg/status\n     1.7 990\n        990 http://old.example.net ./ Packages\nacme:\n  Installed: 2.0\n  Candidate: 2.0\n  Version table:\n *** 2.0 100\n        100 /var/lib/dpkg/status\n";
        let wanted = [("tree".to_owned(), "1.8.0-1+b1".to_owned()), ("acme".to_owned(), "2.0".to_owned())];
        let origins = read(&Reply { stdout: stdout.into(), ..Reply::default() }, 1, &wanted).unwrap();
        assert_eq!(origins["tree"].sources, ["http://deb.example.net/debian bullseye/main amd64"]);
        assert_eq!(origins["tree"].versions, ["1.8.0-1+b1", "1.7"]);
        assert_eq!(origins["acme"], Origin::default(), "from a file");
    }
}
