use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::super::{ActionReport, summary};
use super::*;
use crate::resource::Kind;

/// Texts that try to be more than text.
pub fn hostile() -> impl Strategy<Value = String> {
    let parts = [
        "`",
        "``",
        "```",
        "````diff",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "~~~",
        "|",
        "\\",
        "\\|",
        "<",
        "</details>",
        "<script>",
        "<!--",
        "-->",
        "]]>",
        "&lt;",
        "&",
        "@all",
        "#12",
        "![x](http://y)",
        "[x]: http://y",
        "**",
        "__",
        "# ",
        "- ",
        "    ",
        "\t",
        "\u{0}",
        "\u{7}",
        "\u{1b}[31m",
        "\u{85}",
        "\u{2028}",
        "\u{202e}",
        "\u{ffff}",
        "\"",
        "'",
        "é",
        "x",
        " ",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..8).prop_map(|parts| parts.concat())
}

/// One resource of each state, with texts of a machine's in every place there is.
pub fn report(name: &str, value: &str) -> Report {
    let resource = |host: &str, which: &str, state: State| ResourceReport {
        host: host.parse().unwrap(),
        kind: Kind::File,
        name: format!("{which} {name}"),
        state,
        outcome: None,
        differences: Vec::new(),
        actions: Vec::new(),
        on: None,
        error: None,
        still_differs: false,
        discards: None,
        interruption: None,
        left_to: None,
    };
    let said = |text: &str| Some(text.to_owned());
    // What stands in a block of its own may have lines of its own.
    let long = value.trim_start_matches('x').replace('\u{b}', "\n");
    let action = |commands| ActionReport { title: format!("write {value}"), commands, interrupts: true };
    let secret = Difference::new("secret", Shown::Sensitive, Shown::Sensitive);
    let content = Difference::new("content", format!("a\n{long}\nb\n").as_str(), format!("a\n{long}{long}\nc\n").as_str());
    let resources = vec![
        resource("erp1", "held", State::Holds),
        ResourceReport { error: said(value), ..resource("erp1", "hidden", State::Unseen) },
        ResourceReport {
            differences: vec![content.clone()],
            actions: vec![action(said(&long))],
            ..resource("erp1", "seen", State::Change)
        },
        ResourceReport {
            differences: vec![Difference::new(value, value, "x"), content, secret],
            actions: vec![action(None)],
            discards: said(value),
            interruption: said(value),
            left_to: said(value),
            on: said(value),
            ..resource("erp2", "changed", State::Change)
        },
        ResourceReport { on: said(value), ..resource("erp2", "waiting", State::Waits) },
        ResourceReport { error: said(value), ..resource("erp2", "refused", State::Refused) },
        ResourceReport { error: said(value), ..resource("erp2", "unseen", State::Unseen) },
    ];
    let host = |name: &str, error| HostReport {
        host: name.parse().unwrap(),
        role: "standby",
        address: value.into(),
        observed: name == "erp1",
        error,
    };
    Report {
        format: 1,
        verb: "plan",
        spec: "acme".into(),
        hosts: vec![host("erp1", None), host("erp2", None), host("erp3", said(value))],
        summary: summary(&resources),
        resources,
        changed: true,
        split_brain: false,
        stale_spec: false,
        notes: vec![value.to_owned()],
    }
}

/// What a reader of Markdown makes of it, with the texts of code left out.
fn shape(markdown: &str) -> Vec<String> {
    let mut inside = false;
    let mut shape = Vec::new();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => inside = true,
            Event::End(TagEnd::CodeBlock) => inside = false,
            Event::Text(_) if inside => continue,
            Event::Code(_) => {
                shape.push("code".into());
                continue;
            }
            // The title of a fold is HTML; its text is no tag.
            Event::Html(html) if html.starts_with("<details>") => {
                assert_eq!(html.matches('<').count(), 5, "{html}");
                shape.push("<details>".into());
                continue;
            }
            _ => {}
        }
        shape.push(format!("{event:?}"));
    }
    shape
}

#[test]
fn each_difference_is_told_and_no_secret() {
    let text = render(&report("/etc/motd", "old"));
    for part in [
        "### `plan acme: 2 to change, 1 waiting, 1 for a person to settle, 2 not seen, 1 hosts unreachable, 1 as wanted`\n",
        "#### `erp1` standby (`old`, observed: nothing is changed here)\n",
        "- **~** file `changed /etc/motd`\n  - `old`: `old` → `x`\n  - `content`: differs, see below\n  - `secret`: (sensitive, changed)\n",
        "  - → `write old` **(interrupts)**\n",
        "- **✗** file `unseen /etc/motd`\n  - `old`\n",
        "- **unreachable** `old`\n",
        "<summary><code>erp2 file changed /etc/motd: content</code></summary>\n\n```diff\n@@ ",
        "commands for its admin</code></summary>\n\n```sh\nold\n```\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn what_a_comment_does_not_take_is_left_out_whole() {
    let mut report = report("x", "y");
    let one = report.resources[3].clone();
    report.resources.extend((0..900).map(|n| ResourceReport { name: format!("file {n}"), ..one.clone() }));
    let text = render(&report);
    assert!(text.len() < LIMIT + 100 && text.contains("more did not fit here"), "{}", text.len());
    assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
}

#[test]
fn a_span_holds_any_text() {
    for (text, expected) in
        [("a", "`a`"), ("a`b", "``a`b``"), ("`a`", "`` `a` ``"), ("``", "``` `` ```"), (" ", "`\" \"`"), ("a\nb", "`a\\nb`")]
    {
        assert_eq!(span(text), expected);
    }
}

proptest! {
    /// Whatever a machine says, it is shown and never read as Markdown or HTML.
    #[test]
    fn nothing_in_a_value_is_markdown(name in hostile(), value in hostile()) {
        // An empty value is told in other words, and one of several lines in a fold.
        let value = format!("x{}", value.replace('\n', "\u{b}"));
        prop_assert_eq!(shape(&render(&report(&name, &value))), shape(&render(&report("x", "y"))));
    }
}
