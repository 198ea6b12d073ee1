//! The copy of the spec that a host keeps from when it was a standby: on production it names
//! production, and is otherwise nobody's business.

use super::file::{File, looks};
use super::{Decision, Difference, Resource, ResourceId};
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::name::{HostName, Word};
use crate::spec::edit::with_production;
use crate::spec::load::parse;

/// The line `production:` of that copy, if there is one.
#[derive(Debug)]
pub struct OwnSpec {
    /// Where it is.
    pub file: File,
    /// Whose spec it is: that of another installation is left alone.
    pub installation: Word,
    /// Who is production.
    pub production: HostName,
}

impl Resource for OwnSpec {
    fn id(&self) -> ResourceId {
        self.file.id()
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        looks(&self.file.host, &self.file.path, false)
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let File { host, path, attributes, .. } = &self.file;
        let Some(content) = facts.content(host, path)? else { return Ok(Decision::Holds) };
        let Ok((spec, _)) = parse(&content.text) else { return Ok(Decision::Holds) };
        if spec.name != self.installation || spec.production == self.production {
            return Ok(Decision::Holds);
        }
        let Some(text) = with_production(&content.text, &self.production) else {
            return Err(FactError::Refused(format!(
                "{host}: {} says `production: {}`, in a way that cannot be changed safely; write `production: {}` there by hand",
                path.display(),
                spec.production,
                self.production
            )));
        };
        let write = Action::WriteFile { path: path.clone(), content: text.into(), attributes: attributes.clone(), reader: None };
        Ok(Decision::from_parts(vec![Difference::new("production", spec.production.as_str(), self.production.as_str())], vec![write]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::Sight;
    use crate::name::Mode;

    #[test]
    fn only_the_line_of_the_same_installation_is_changed() {
        let decide = |text: Option<&str>| {
            let host: HostName = "erp2".parse().unwrap();
            let root: Word = "root".parse().unwrap();
            let attributes = crate::action::Attributes { owner: root.clone(), group: root, mode: Mode(0o640) };
            let file = File { host: host.clone(), path: "/etc/otr/spec.yaml".into(), content: Ok("other".into()), attributes };
            let content = text.map(Into::into);
            let seen = [(Look::Content(file.path.clone()), Ok(Sight::Content(content)))].into();
            let own = OwnSpec { file, installation: "acme".parse().unwrap(), production: host.clone() };
            own.decide(&Facts::new([(host, Ok(seen))].into()))
        };
        let spec = |name: &str, production: &str| {
            format!("version: 1\nname: {name} # ours\nproduction: {production}\nhosts: {{erp1: {{address: a}}, erp2: {{address: b}}}}\n")
        };
        for left in [None, Some("nonsense"), Some(&*spec("other", "erp1")), Some(&*spec("acme", "erp2"))] {
            assert_eq!(decide(left).unwrap(), Decision::Holds, "{left:?}");
        }
        let Decision::Change(change) = decide(Some(&spec("acme", "erp1"))).unwrap() else { panic!("it is not put right") };
        let Some(Action::WriteFile { content, .. }) = change.actions.first() else { panic!("{change:?}") };
        assert_eq!(content.expose(), spec("acme", "erp2"));
    }
}
