//! Debian packages: every installed one, its version, hold and whether a person asked for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Reply, SightError};

/// One package that dpkg knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its version.
    pub version: String,
    /// Fully installed; otherwise half-installed, half-configured or removed with files left.
    pub installed: bool,
    /// `apt-mark hold`.
    pub held: bool,
    /// Installed because somebody asked for it, not as a dependency.
    pub manual: bool,
    /// Unpacked and not configured, or with triggers left: a run of dpkg was cut off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub half: bool,
}

/// Every package by name; foreign architectures as `name:arch`.
pub type Packages = BTreeMap<String, Package>;

/// dpkg's own list, then apt's record of what was installed automatically: reading that
/// file costs nothing, starting apt-mark takes half a second. A list that broke off is an error: what
/// it lacks would be taken for removed.
pub(super) fn script() -> String {
    "dpkg --print-architecture && dpkg-query -W -f '${Package}\\t${Architecture}\\t${Version}\\t${db:Status-Want}\\t${db:Status-Status}\\n' && echo && { [ ! -e /var/lib/apt/extended_states ] || cat /var/lib/apt/extended_states; }".into()
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Packages, SightError> {
    let text = reply.text(limit)?;
    let (list, states) = text.split_once("\n\n").ok_or_else(|| SightError::Unreadable("no blank line".into()))?;
    let mut lines = list.lines();
    let native = lines.next().unwrap_or_default();
    let mut packages = Packages::new();
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, architecture, version, want, status] = fields.as_slice() else {
            return Err(SightError::Unreadable(format!("line {line:?}")));
        };
        let half = matches!(*status, "unpacked" | "half-configured" | "triggers-awaited" | "triggers-pending");
        let package = Package {
            version: (*version).to_owned(),
            installed: *status == "installed",
            held: *want == "hold",
            manual: *status == "installed" || half,
            half,
        };
        packages.insert(key(name, architecture, native), package);
    }
    for stanza in states.split("\n\n") {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        if let (Some(name), Some("1")) = (field("Package"), field("Auto-Installed")) {
            let key = key(name, field("Architecture").unwrap_or(native), native);
            if let Some(package) = packages.get_mut(&key) {
                package.manual = false;
            }
        }
    }
    Ok(packages)
}

fn key(name: &str, architecture: &str, native: &str) -> String {
    match architecture == native || architecture == "all" {
        true => name.to_owned(),
        false => format!("{name}:{architecture}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_and_automatic_packages_are_told_apart() {
        let stdout = "amd64\nodoo-14\tall\t14.0.0\tinstall\tinstalled\nlibc6\tamd64\t2.31\thold\tinstalled\nlibc6\ti386\t2.31\tinstall\tinstalled\nold\tamd64\t1\tdeinstall\tconfig-files\n\nPackage: libc6\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: gone\nArchitecture: amd64\nAuto-Installed: 1\n";
        let packages = read(&Reply { stdout: stdout.into(), ..Reply::default() }, 1).unwrap();
        assert!(packages["odoo-14"].manual && packages["odoo-14"].installed);
        assert!(packages["libc6"].held && !packages["libc6"].manual);
        assert!(packages["libc6:i386"].manual);
        assert!(!packages["old"].installed && !packages["old"].manual);
    }
}
