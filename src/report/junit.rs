//! A plan as JUnit's XML, for the test report of a CI. Pure.
//!
//! A suite per host, a case per resource: drift is a failure, what could not be seen an error.
//! What an observed host hides is skipped, as it does not fail `plan` either.

use std::fmt::Write;

use super::visible::{entities, one_line, visible};
use super::{HostReport, Report, ResourceReport, State, text};

/// What a case says besides its name.
struct Said {
    /// `failure`, `error` or `skipped`.
    tag: &'static str,
    /// Drift, waits …
    kind: &'static str,
    message: String,
    body: String,
}

struct Case {
    class: String,
    name: String,
    said: Option<Said>,
}

/// XML of a report.
pub fn render(report: &Report) -> String {
    let mut suites = vec![(report.spec.clone(), vec![whole(report)])];
    for host in &report.hosts {
        let class = format!("otr.{}.{}", report.spec, host.host);
        let resources = report.resources.iter().filter(|r| r.host == host.host);
        let cases = std::iter::once(reached(&class, host)).chain(resources.map(|resource| case(&class, resource, host)));
        suites.push((host.host.to_string(), cases.collect()));
    }
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let all: Vec<&Case> = suites.iter().flat_map(|(_, cases)| cases).collect();
    let _ = writeln!(out, "<testsuites{}>", counts(&text::summary(report), &all));
    for (name, cases) in &suites {
        let _ = writeln!(out, "  <testsuite{}>", counts(name, &cases.iter().collect::<Vec<_>>()));
        cases.iter().for_each(|case| write_case(&mut out, case));
        out += "  </testsuite>\n";
    }
    out + "</testsuites>\n"
}

/// What is said of the pair as a whole: two productions, or a plan that no apply would carry out.
fn whole(report: &Report) -> Case {
    let kind = if report.split_brain { "split-brain" } else { "refused" };
    let said = Said { tag: "failure", kind, message: report.notes.first().cloned().unwrap_or_default(), body: report.notes.join("\n") };
    Case { class: format!("otr.{}", report.spec), name: "the pair".into(), said: (!report.notes.is_empty()).then_some(said) }
}

fn reached(class: &str, host: &HostReport) -> Case {
    let said = |error: &String| Said { tag: "error", kind: "unreachable", message: error.clone(), body: error.clone() };
    Case { class: class.into(), name: "is reached".into(), said: host.error.as_ref().map(said) }
}

fn case(class: &str, resource: &ResourceReport, host: &HostReport) -> Case {
    let (tag, kind) = match resource.state {
        State::Holds => ("", ""),
        State::Change => ("failure", "drift"),
        State::Waits => ("failure", "waits"),
        State::Refused => ("failure", "refused"),
        State::Unseen if host.observed => ("skipped", "unseen"),
        State::Unseen => ("error", "unseen"),
    };
    let said = Said { tag, kind, message: message(resource), body: text::resource(resource, host.observed) };
    Case {
        class: class.into(),
        name: format!("{} {}", resource.kind.as_str(), resource.name),
        said: (resource.state != State::Holds).then_some(said),
    }
}

fn message(resource: &ResourceReport) -> String {
    let differs: Vec<&str> = resource.differences.iter().map(|difference| difference.what.as_str()).collect();
    match (&resource.error, &resource.on) {
        (Some(error), _) => error.clone(),
        (_, Some(on)) if differs.is_empty() => format!("waits for {on}"),
        _ => format!("differs: {}", differs.join(", ")),
    }
}

fn counts(name: &str, cases: &[&Case]) -> String {
    let count = |tag| cases.iter().filter(|case| case.said.as_ref().is_some_and(|said| said.tag == tag)).count();
    format!(
        "{} tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        attribute("name", name),
        cases.len(),
        count("failure"),
        count("error"),
        count("skipped")
    )
}

fn write_case(out: &mut String, case: &Case) {
    let head = format!("    <testcase{}{}", attribute("classname", &case.class), attribute("name", &case.name));
    let _ = match &case.said {
        None => writeln!(out, "{head}/>"),
        // Its schema gives `skipped` a message and no type.
        Some(Said { tag: tag @ "skipped", message, .. }) => {
            writeln!(out, "{head}>\n      <{tag}{}/>\n    </testcase>", attribute("message", message))
        }
        Some(Said { tag, kind, message, body }) => writeln!(
            out,
            "{head}>\n      <{tag}{}{}>{}</{tag}>\n    </testcase>",
            attribute("type", kind),
            attribute("message", message),
            entities(&visible(body))
        ),
    };
}

fn attribute(name: &str, value: &str) -> String {
    format!(" {name}=\"{}\"", entities(&one_line(value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::markdown::tests::{hostile, report};
    use super::*;

    fn parsed(xml: &str) -> roxmltree::Document<'_> {
        roxmltree::Document::parse(xml).unwrap_or_else(|error| panic!("{error}\n{xml}"))
    }

    #[test]
    fn each_state_has_its_tag() {
        let xml = render(&report("x", "y"));
        let document = parsed(&xml);
        let case = |name: &str| document.descendants().find(|node| node.attribute("name") == Some(name)).unwrap();
        assert_eq!(document.root_element().attribute("failures"), Some("5"));
        assert_eq!(document.root_element().attribute("errors"), Some("2"));
        assert_eq!(document.root_element().attribute("skipped"), Some("1"));
        assert_eq!(document.descendants().filter(|n| n.has_tag_name("testcase")).count(), 11);
        let drift = case("file changed x").first_element_child().unwrap();
        assert_eq!(
            (drift.tag_name().name(), drift.attribute("type"), drift.attribute("message")),
            ("failure", Some("drift"), Some("differs: y, content, secret"))
        );
        assert!(case("file held x").first_element_child().is_none());
        assert!(case("file unseen x").first_element_child().unwrap().has_tag_name("error"));
        assert!(case("file hidden x").first_element_child().unwrap().has_tag_name("skipped"));
        assert_eq!(case("the pair").first_element_child().unwrap().text(), Some("y"));
        assert!(!xml.contains("made-up"));
    }

    proptest! {
        /// Whatever a machine says, the XML is well-formed and of the same shape.
        #[test]
        fn it_is_well_formed(name in hostile(), value in hostile()) {
            let xml = render(&report(&name, &value));
            let shape = |xml: &str| parsed(xml).descendants().filter(|n| n.is_element()).map(|n| n.tag_name().name().to_owned()).collect::<Vec<_>>();
            prop_assert_eq!(shape(&xml), shape(&render(&report("x", "y"))));
        }
    }
}
