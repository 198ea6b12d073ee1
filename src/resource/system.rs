//! What Odoo and PostgreSQL depend on besides packages and files, compared with production's. It is
//! named and never changed: an id or a kernel setting is a person's to choose.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Decision, Difference, Kind, Resource, ResourceId};
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::name::HostName;
use crate::spec::CloneSpec;

/// Ids, locales, time zone, kernel settings and limits of one standby.
#[derive(Debug)]
pub struct System {
    /// Where.
    pub host: HostName,
    /// Compared with it.
    pub production: HostName,
    /// What may differ.
    pub ignore: CloneSpec,
    /// Accounts whose ids are compared.
    pub accounts: Vec<String>,
}

impl System {
    /// Accounts of people and of services that need no data in common are each host's own.
    fn takes(&self, name: &str) -> bool {
        let of_account = ["user ", "group ", "members of "].iter().find_map(|kind| name.strip_prefix(kind));
        of_account.is_none_or(|account| self.accounts.iter().any(|known| known == account)) && self.ignore.takes(name)
    }
}

impl Resource for System {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::System, "settings")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        [&self.production, &self.host].map(|host| (host.clone(), Look::System)).to_vec()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let (there, here): (&BTreeMap<_, _>, &BTreeMap<_, _>) = (facts.system(&self.production)?, facts.system(&self.host)?);
        let names: BTreeSet<&String> = there.keys().chain(here.keys()).filter(|name| self.takes(name)).collect();
        // A package makes its accounts; until then there is nothing to compare.
        let differs = |name: &&&String| there.get(**name) != here.get(**name);
        let differences: Vec<Difference> = names
            .iter()
            .filter(differs)
            .map(|name| Difference::new(name.as_str(), here.get(*name).cloned(), there.get(*name).cloned()))
            .collect();
        Ok(match differences.is_empty() {
            true => Decision::Holds,
            false => Decision::Change(Change {
                differences,
                left_to: Some("a person, or `files:` of the spec: otr changes no id, locale or kernel setting by itself".into()),
                ..Change::default()
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::{Seen, Sight};

    #[test]
    fn what_differs_is_named_and_left_alone() {
        let (one, two): (HostName, HostName) = ("erp1".parse().unwrap(), "erp2".parse().unwrap());
        let seen = |pairs: &[(&str, &str)]| {
            let map = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Ok(Seen::from([(Look::System, Ok(Sight::System(map)))]))
        };
        let there = seen(&[("user odoo", "107"), ("user kim", "1001"), ("time zone", "Europe/Stockholm"), ("sysctl vm.swappiness", "1")]);
        let here = seen(&[("user odoo", "110"), ("time zone", "Etc/UTC"), ("sysctl vm.swappiness", "60")]);
        let facts = Facts::new([(one.clone(), there), (two.clone(), here)].into());
        let ignore = CloneSpec { ignore: vec!["sysctl *".into()] };
        let Decision::Change(change) =
            (System { host: two, production: one, ignore, accounts: vec!["odoo".into()] }).decide(&facts).unwrap()
        else {
            panic!()
        };
        let named: Vec<&str> = change.differences.iter().map(|d| d.what.as_str()).collect();
        assert_eq!(named, ["time zone", "user odoo"]);
        assert!(change.actions.is_empty() && change.left_to.is_some());
    }
}
