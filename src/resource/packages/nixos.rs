//! Packages of a NixOS host: present or not. They are the host's own configuration, so there is
//! never an action.

use std::collections::BTreeMap;

use super::Packages;
use crate::look::NixSystem;
use crate::name::PackageName;
use crate::resource::{Change, Decision, Difference, Shown};

/// Debian's names that nixpkgs spells otherwise, as far as otr itself asks for them or nearly every
/// spec does. `packages.nixos` says more.
const NAMES: [(&str, &str); 5] = [
    ("nfs-common", "nfs-utils"),
    ("openssh-server", "openssh"),
    ("postgresql-common", "postgresql"),
    ("redis-server", "redis"),
    ("wkhtmltox", "wkhtmltopdf"),
];

/// Compares; what is cloned from a production of another system cannot be compared.
pub fn verify(wanted: &Packages, system: &NixSystem) -> Decision {
    let mut names: BTreeMap<&PackageName, Option<&String>> = wanted.hold.iter().map(|name| (name, None)).collect();
    names.extend(wanted.install.iter().map(|package| (&package.name, package.version.as_ref())));
    let mut differences = Vec::new();
    for (name, version) in names {
        let Some((own, is)) = there(wanted, system, name) else { continue };
        if is.is_none() || version.is_some_and(|version| is != Some(version)) {
            let what = if own == name.as_str() { name.to_string() } else { format!("{name} ({own})") };
            let wish = version.cloned().unwrap_or_else(|| "present".into());
            differences.push(Difference::new(what, is.map(str::to_owned), wish));
        }
    }
    for name in &wanted.remove {
        if let Some((_, Some(version))) = there(wanted, system, name) {
            differences.push(Difference::new(name.as_str(), version, Shown::Absent));
        }
    }
    if differences.is_empty() {
        return Decision::Holds;
    }
    Decision::Change(Change { differences, left_to: Some("the host's own NixOS configuration".into()), ..Change::default() })
}

/// What the host calls a package, and its version if it is there; `None` where it needs none.
fn there<'a>(wanted: &'a Packages, system: &'a NixSystem, name: &'a PackageName) -> Option<(&'a str, Option<&'a str>)> {
    if let Some(said) = wanted.nixos.get(name) {
        return said.as_deref().map(|own| (own, system.version(own)));
    }
    let own = NAMES.iter().find(|(debian, _)| *debian == name.as_str()).map_or(name.as_str(), |(_, own)| own);
    Some((own, system.version(name.as_str()).or_else(|| system.version(own))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;
    use crate::look::{Look, Sight, SightError};
    use crate::resource::Resource;

    fn packages() -> Packages {
        Packages {
            host: "erp2".parse().unwrap(),
            install: ["odoo-14", "postgresql-13", "redis-server", "nginx=1.26.2", "fonts-inconsolata"].map(|t| t.parse().unwrap()).into(),
            hold: vec!["less".parse().unwrap()],
            remove: vec!["apache2".parse().unwrap()],
            clone: None,
            sources: None,
            allowed: Default::default(),
            nixos: [("fonts-inconsolata".parse().unwrap(), None), ("odoo-14".parse().unwrap(), Some("odoo".into()))].into(),
        }
    }

    fn decide(packages: &Packages, names: &[&str]) -> Decision {
        let system = NixSystem { names: names.iter().map(|name| (*name).to_owned()).collect() };
        let seen =
            [(Look::Nixos, Ok(Sight::Nixos(Some(system)))), (Look::Packages, Err(SightError::Failed("sh: 1: dpkg: not found".into())))];
        let facts = Facts::new([(packages.host.clone(), Ok(seen.into()))].into());
        packages.decide(&facts).unwrap()
    }

    #[test]
    fn present_or_not_and_never_an_action() {
        let all = ["odoo-14.0.20231205", "postgresql-13.16", "redis-7.2.4", "nginx-1.26.2", "less-643"];
        assert_eq!(decide(&packages(), &all), Decision::Holds);
        let Decision::Change(change) = decide(&packages(), &["nginx-1.27.0", "apache2-2.4", "postgresql-16.1", "less-643"]) else {
            panic!()
        };
        assert!(change.actions.is_empty() && change.left_to.is_some(), "{change:?}");
        let said: Vec<_> = change.differences.iter().map(|d| (d.what.as_str(), d.is.clone(), d.wanted.clone())).collect();
        let wanted = [
            ("nginx", Shown::from("1.27.0"), Shown::from("1.26.2")),
            ("odoo-14 (odoo)", Shown::Absent, Shown::from("present")),
            ("postgresql-13", Shown::Absent, Shown::from("present")),
            ("redis-server (redis)", Shown::Absent, Shown::from("present")),
            ("apache2", Shown::from("2.4"), Shown::Absent),
        ];
        assert_eq!(said, wanted);
    }

    #[test]
    fn a_host_that_hides_what_it_is_gets_nothing() {
        let packages = packages();
        let seen = [(Look::Nixos, Err(SightError::Timeout(20))), (Look::Packages, Ok(Sight::Packages(BTreeMap::new())))];
        let facts = Facts::new([(packages.host.clone(), Ok(seen.into()))].into());
        assert!(packages.decide(&facts).is_err());
    }

    #[test]
    fn a_debian_takes_no_packages_from_a_nixos() {
        let production: crate::name::HostName = "erp1".parse().unwrap();
        let packages = Packages { clone: Some((production.clone(), Default::default())), ..packages() };
        let debian = [(Look::Nixos, Ok(Sight::Nixos(None))), (Look::Packages, Ok(Sight::Packages(BTreeMap::new())))];
        let nixos = [(Look::Nixos, Ok(Sight::Nixos(Some(NixSystem::default()))))];
        let facts = Facts::new([(packages.host.clone(), Ok(debian.into())), (production, Ok(nixos.into()))].into());
        assert!(packages.decide(&facts).unwrap_err().to_string().contains("erp1 is a NixOS"));
    }
}
