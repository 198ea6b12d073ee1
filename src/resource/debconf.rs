//! Answers of debconf that a standby takes from production, before the packages that ask.

use super::{Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::action::{Action, DebconfAnswer};
use crate::facts::{FactError, Facts};
use crate::format::credentials::{holds_password, is_secret_key};
use crate::look::Look;
use crate::name::HostName;
use crate::secret::{Secret, Text};

/// The answers that the spec lists.
#[derive(Debug)]
pub struct Debconf {
    /// Where.
    pub host: HostName,
    /// From where.
    pub production: HostName,
    /// Which.
    pub questions: Vec<String>,
}

impl Resource for Debconf {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Debconf, "answers")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        [&self.production, &self.host].map(|host| (host.clone(), Look::Debconf(self.questions.clone()))).into()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let there = facts.debconf(&self.production, &self.questions)?;
        let here = facts.debconf(&self.host, &self.questions)?;
        let (mut differences, mut answers) = (Vec::new(), Vec::new());
        for (question, wanted) in there {
            let is = here.get(question);
            if is.is_some_and(|is| is.value.expose() == wanted.value.expose()) {
                continue;
            }
            let value = wanted.value.expose();
            if value.contains("\\n") {
                return Err(FactError::Refused(format!(
                    "{question}: {}'s answer has several lines, and debconf-set-selections takes one: answer it on {} by hand",
                    self.production, self.host
                )));
            }
            let hide = wanted.value.is_sensitive() || is_secret_key(question) || holds_password(value);
            let shown = |text: &Text| if hide { Shown::Sensitive } else { Shown::Text(text.expose().to_owned()) };
            differences.push(Difference {
                what: question.clone(),
                is: is.map_or(Shown::Absent, |is| shown(&is.value)),
                wanted: shown(&wanted.value),
            });
            answers.push(DebconfAnswer {
                owner: wanted.owner.clone(),
                question: question.clone(),
                kind: wanted.kind.clone(),
                value: if hide { Text::Sensitive(Secret::new(value)) } else { wanted.value.clone() },
            });
        }
        Ok(Decision::from_parts(differences, if answers.is_empty() { Vec::new() } else { vec![Action::AnswerDebconf { answers }] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::debconf::{Answer, Answers};
    use crate::look::{Seen, Sight};

    fn decide(there: &[(&str, &str, &str)], here: &[(&str, &str, &str)]) -> Result<Decision, FactError> {
        let (one, two): (HostName, HostName) = ("erp1".parse().unwrap(), "erp2".parse().unwrap());
        let questions = vec!["a/b".to_owned(), "a/key".to_owned()];
        let answers = |list: &[(&str, &str, &str)]| -> Answers {
            let one = |(question, kind, value): &(&str, &str, &str)| {
                let value = if *kind == "password" { Text::Sensitive(Secret::new(*value)) } else { (*value).into() };
                ((*question).to_owned(), Answer { owner: "a".into(), kind: (*kind).to_owned(), value })
            };
            list.iter().map(one).collect()
        };
        let seen = |list| Seen::from([(Look::Debconf(questions.clone()), Ok(Sight::Debconf(answers(list))))]);
        let facts = Facts::new([(one.clone(), Ok(seen(there))), (two.clone(), Ok(seen(here)))].into());
        Debconf { host: two, production: one, questions }.decide(&facts)
    }

    #[test]
    fn answers_are_carried_and_secrets_shown_nowhere() {
        let there = [("a/b", "select", "Europe"), ("a/key", "password", "hunter2")];
        assert_eq!(decide(&there, &there), Ok(Decision::Holds));
        assert_eq!(decide(&[], &there), Ok(Decision::Holds), "what production has no answer to");
        let Ok(Decision::Change(change)) = decide(&there, &[("a/b", "select", "Asia")]) else { panic!() };
        assert_eq!(change.differences.len(), 2);
        assert_eq!(change.actions[0].title(), "answer debconf's a/b a/key");
        let script = crate::action::script::script(&change.actions[0]);
        assert!(script.contains("a a/b select Europe\na a/key password hunter2\n"), "{script}");
        let shown = crate::action::script::shown(&change.actions[0]);
        assert!(!format!("{change:?}{shown}{}", serde_json::to_string(&change.actions).unwrap()).contains("hunter"), "{shown}");
        assert!(matches!(decide(&[("a/b", "string", "one\\ntwo")], &[]), Err(FactError::Refused(_))));
    }
}
