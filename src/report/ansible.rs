//! A report as Ansible reads it. Pure.
//!
//! `rc` is never said: Ansible takes any but 0 for a failure, and otr's 2 is drift.

use serde_json::{Map, Value, json};

use super::{Outcome, Report, ResourceReport, State, text};
use crate::resource::{Difference, Shown};

/// What a module answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// Something was changed, or would be.
    pub changed: bool,
    /// The task failed.
    pub failed: bool,
    /// In one line; what was done so far too, where the task failed.
    pub msg: String,
    /// What a person should know besides.
    pub warnings: Vec<String>,
    /// For diff mode.
    pub diff: Vec<Value>,
    /// Other keys.
    pub more: Map<String, Value>,
}

impl Answer {
    /// A failure before anything was done.
    pub fn failed(msg: impl Into<String>) -> Self {
        Self { failed: true, msg: msg.into(), ..Self::default() }
    }

    /// All is as it was.
    pub fn unchanged(msg: impl Into<String>) -> Self {
        Self { msg: msg.into(), ..Self::default() }
    }

    /// As Ansible's contract has it.
    pub fn json(&self) -> Value {
        let mut json = self.more.clone();
        json.insert("changed".into(), self.changed.into());
        json.insert("msg".into(), self.msg.clone().into());
        if self.failed {
            json.insert("failed".into(), true.into());
        }
        if !self.warnings.is_empty() {
            json.insert("warnings".into(), self.warnings.clone().into());
        }
        if !self.diff.is_empty() {
            json.insert("diff".into(), self.diff.clone().into());
        }
        json.into()
    }
}

/// The answer of a task that planned (`changes` is false) or changed one host.
pub fn of_report(report: &Report, changes: bool, diff: bool) -> Answer {
    let managed = |r: &ResourceReport| !report.hosts.iter().any(|host| host.host == r.host && host.observed);
    let mut answer = Answer { msg: text::summary(report), ..Answer::default() };
    for host in &report.hosts {
        answer.warnings.extend(host.error.as_ref().map(|error| format!("{} cannot be reached: {error}", host.host)));
    }
    answer.warnings.extend(report.notes.iter().cloned());
    let open: Vec<&ResourceReport> = report.resources.iter().filter(|r| r.state != State::Holds || r.outcome.is_some()).collect();
    for resource in open.iter().copied() {
        let about = |why: &str| format!("{}: {why}", resource.id());
        match (resource.state, resource.outcome) {
            (State::Unseen, None) => answer.warnings.push(about(&format!("not seen: {}", resource.error.as_deref().unwrap_or_default()))),
            (State::Refused, None) => answer.warnings.push(about(resource.error.as_deref().unwrap_or_default())),
            (State::Change, None) if resource.left_to.is_some() => {
                answer.warnings.push(about(&format!(
                    "{}: left to {}",
                    differing(resource),
                    resource.left_to.as_deref().unwrap_or_default()
                )));
            }
            (State::Change | State::Waits, None) if changes => {
                answer.warnings.push(about("differs, and otr only looks here: its own admin must change it"));
            }
            _ => {}
        }
    }
    let failures: Vec<String> = open.iter().filter(|r| managed(r)).filter_map(|r| failure(r)).collect();
    // Actions of one that failed may have been carried out in part.
    let touched = |r: &ResourceReport| r.outcome == Some(Outcome::Changed) || (r.outcome == Some(Outcome::Failed) && !r.actions.is_empty());
    answer.changed = match changes {
        true => open.iter().copied().any(touched),
        false => open.iter().filter(|r| managed(r) && r.left_to.is_none()).any(|r| r.state == State::Change),
    };
    if !failures.is_empty() {
        let done: Vec<String> = open.iter().filter(|r| r.outcome == Some(Outcome::Changed)).map(|r| r.id().to_string()).collect();
        let so_far = if done.is_empty() { "nothing else was changed".to_owned() } else { format!("changed before: {}", done.join(", ")) };
        answer.failed = true;
        answer.msg = format!("{}: {}; {so_far}", answer.msg, failures.join("; "));
    } else if diff && answer.changed {
        // Ansible shows no diff of a task that failed.
        let shown = open
            .iter()
            .filter(|r| if changes { r.outcome == Some(Outcome::Changed) } else { r.state == State::Change && r.left_to.is_none() });
        answer.diff = shown.flat_map(|r| differences(r)).collect();
    }
    answer.more.insert("resources".into(), json!(open));
    answer.more.insert("summary".into(), json!(report.summary));
    answer
}

/// Why a resource makes the task fail, if it does.
fn failure(resource: &ResourceReport) -> Option<String> {
    let why = match (resource.outcome?, &resource.error, &resource.on, &resource.discards) {
        (Outcome::Changed, ..) => return None,
        (Outcome::Left, ..) => format!("left: {}; agree with `restarts: true`", resource.interruption.as_deref().unwrap_or_default()),
        (_, _, _, Some(discards)) => format!("{discards}; agree with `replace_data: true`"),
        (_, Some(error), ..) => error.clone(),
        (_, _, Some(on), _) => format!("waits for {on}"),
        (Outcome::Failed, ..) => "failed".into(),
        (Outcome::NotReached, ..) => "not reached".into(),
    };
    Some(format!("{}: {why}", resource.id()))
}

/// What differs, in one line.
fn differing(resource: &ResourceReport) -> String {
    let one = |d: &Difference| format!("{} is {}, wanted {}", d.what, word(&d.is, "absent"), word(&d.wanted, "absent"));
    resource.differences.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// One diff for each text of several lines, and one for all else that differs.
fn differences(resource: &ResourceReport) -> Vec<Value> {
    let header = resource.id().to_string();
    let diff = |before: String, after: String, more: &str| {
        let header = format!("{header}{more}");
        json!({ "before": before, "after": after, "before_header": header, "after_header": header })
    };
    let (mut diffs, mut before, mut after) = (Vec::new(), String::new(), String::new());
    for one in &resource.differences {
        match (&one.is, &one.wanted) {
            (Shown::Text(_) | Shown::Absent, Shown::Text(wanted)) if wanted.contains('\n') => {
                diffs.push(diff(word(&one.is, ""), wanted.clone(), &format!(" ({})", one.what)));
            }
            (Shown::Sensitive, Shown::Sensitive) => {
                before += &format!("{}: (sensitive)\n", one.what);
                after += &format!("{}: (sensitive, changed)\n", one.what);
            }
            (is, wanted) => {
                before += &format!("{}: {}\n", one.what, word(is, "(absent)"));
                after += &format!("{}: {}\n", one.what, word(wanted, "(absent)"));
            }
        }
    }
    if !before.is_empty() {
        diffs.push(diff(before, after, ""));
    }
    diffs
}

fn word(shown: &Shown, absent: &str) -> String {
    match shown {
        Shown::Absent => absent.to_owned(),
        Shown::Sensitive => crate::secret::REDACTED.to_owned(),
        Shown::Text(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ActionReport, HostReport, summary};
    use super::*;
    use crate::resource::Kind;

    fn resource(name: &str, state: State, outcome: Option<Outcome>) -> ResourceReport {
        let changed = state == State::Change || outcome.is_some();
        ResourceReport {
            host: "erp2".parse().unwrap(),
            kind: Kind::File,
            name: name.into(),
            state,
            outcome,
            differences: if changed { vec![Difference::new("mode", "0600", "0644")] } else { Vec::new() },
            actions: if changed {
                vec![ActionReport { title: format!("write {name}"), commands: None, interrupts: false }]
            } else {
                Vec::new()
            },
            on: None,
            error: (outcome == Some(Outcome::Failed)).then(|| "disk full".to_owned()),
            still_differs: false,
            discards: None,
            interruption: None,
            left_to: None,
        }
    }

    fn report(resources: Vec<ResourceReport>) -> Report {
        let host = |name: &str, error: Option<String>| HostReport {
            host: name.parse().unwrap(),
            role: "standby",
            address: "local".into(),
            observed: name == "seen",
            error,
        };
        let (summary, changed) = (summary(&resources), false);
        let hosts = vec![host("erp2", None), host("erp1", Some("no route".into())), host("seen", None)];
        Report {
            format: 1,
            verb: "apply",
            spec: "acme".into(),
            hosts,
            resources,
            summary,
            changed,
            split_brain: false,
            stale_spec: false,
            notes: Vec::new(),
        }
    }

    #[test]
    fn changed_is_what_was_changed_or_would_be() {
        use Outcome::{Changed, Failed};
        let case = |state, outcome, changes| of_report(&report(vec![resource("/x", state, outcome)]), changes, true);
        assert!(!case(State::Holds, None, true).changed && !case(State::Holds, None, false).changed);
        assert!(case(State::Holds, Some(Changed), true).changed);
        assert!(case(State::Change, None, false).changed);
        assert!(case(State::Change, Some(Failed), true).changed, "its actions may have been carried out in part");
        assert!(!case(State::Unseen, None, false).changed && !case(State::Unseen, None, false).failed);
        let mut observed = resource("/x", State::Change, None);
        observed.host = "seen".parse().unwrap();
        let answer = of_report(&report(vec![observed]), true, true);
        assert!(!answer.changed && !answer.failed && answer.warnings.iter().any(|w| w.contains("its own admin")));
    }

    #[test]
    fn a_failure_says_what_was_done() {
        let resources = vec![
            resource("/a", State::Holds, Some(Outcome::Changed)),
            resource("/b", State::Change, Some(Outcome::Failed)),
            ResourceReport { on: Some("erp2 file /b".into()), ..resource("/c", State::Change, Some(Outcome::NotReached)) },
        ];
        let json = of_report(&report(resources), true, true).json();
        assert!(json["failed"] == true && json["changed"] == true && json.get("diff").is_none() && json.get("rc").is_none());
        let message = json["msg"].as_str().unwrap();
        for words in ["erp2 file /b: disk full", "erp2 file /c: waits for erp2 file /b", "changed before: erp2 file /a"] {
            assert!(message.contains(words), "{message}");
        }
        assert_eq!(json["warnings"][0], "erp1 cannot be reached: no route");
    }

    #[test]
    fn a_diff_hides_what_is_sensitive() {
        let mut changed = resource("/a", State::Change, None);
        changed.differences.push(Difference::new("content", "a\n", "b\n"));
        changed.differences.push(Difference::new("admin_passwd", Shown::Sensitive, Shown::Sensitive));
        let answer = of_report(&report(vec![changed.clone()]), false, true);
        assert_eq!(answer.diff[0]["before"], "a\n");
        assert_eq!(answer.diff[1]["after"], "mode: 0644\nadmin_passwd: (sensitive, changed)\n");
        assert_eq!(answer.diff[1]["before_header"], "erp2 file /a");
        assert!(of_report(&report(vec![changed]), false, false).diff.is_empty(), "not asked for");
    }
}
