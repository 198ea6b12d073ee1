//! Texts from machines, made fit for a terminal or a document: nothing in them may end a line that is
//! not theirs, hide, or tell the terminal what to do.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// Begins a colour of otr's own, until the text is ready for the terminal. No machine can guess it.
static MARK: LazyLock<String> = LazyLock::new(|| format!("\u{fdd0}{:016x}:", RandomState::new().build_hasher().finish()));
/// Ends the code of a colour.
const END: char = '\u{fdd1}';

/// A text in one of otr's own colours, for [`terminal`]; `code` is one of "Select Graphic Rendition".
pub(super) fn coloured(code: &str, text: &str) -> String {
    format!("{mark}{code}{END}{text}{mark}0{END}", mark = *MARK)
}

/// What may go to a terminal: everything invisible is written out, but for otr's own colours.
pub fn terminal(text: &str) -> String {
    let mut parts = text.split(MARK.as_str());
    let mut out = visible(parts.next().unwrap_or_default());
    for part in parts {
        match part.split_once(END) {
            Some((code, rest)) => out.extend(["\x1b[", code, "m", &visible(rest)]),
            None => out += &visible(part),
        }
    }
    out
}

/// JSON for a terminal: the same values, with what a terminal would obey or hide as escapes of JSON's.
/// What is below U+0020 is escaped already.
pub fn json(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        let mut units = [0; 2];
        match c {
            '\n' => out.push(c),
            c if c.is_control() || hides(c) => out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"))),
            c => out.push(c),
        }
        out
    })
}

/// The same text with everything invisible written out, but for what ends or indents a line.
pub fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\n' | '\t' => out.push(c),
            // What XML 1.0 and CommonMark do not take, and what turns the direction of writing.
            c if c.is_control() || hides(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
        out
    })
}

/// The same on one line.
pub fn one_line(text: &str) -> String {
    visible(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// What HTML and XML would take for their own, as entities.
pub(super) fn entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// Marks of direction, joiners, tags and noncharacters: no width, or another order.
fn hides(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fdd0}'..='\u{fdef}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = "a\x1b[31m\r\x08\x07\u{9b}2J\u{202e}b\u{e0041}\u{200b}\x7f\u{fdd0}0:31\u{fdd1}";

    #[test]
    fn only_otrs_own_colours_reach_a_terminal() {
        let text = terminal(&format!("{ODD}\n\t{}", coloured("31", &format!("{ODD}\n"))));
        assert_eq!(text.matches('\x1b').count(), 2, "{text:?}");
        assert!(text.contains("\x1b[31ma\\u{1b}[31m\\r\\u{8}\\u{7}\\u{9b}2J\\u{202e}b"), "{text:?}");
        assert!(text.chars().all(|c| "\n\t\x1b".contains(c) || !c.is_control() && !hides(c)), "{text:?}");
        assert_eq!(terminal("täglich ✓ → 漢字\n"), "täglich ✓ → 漢字\n");
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({ "a": ODD, "b": ["ä ✓", 1] });
        let text = json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(text.chars().all(|c| c == '\n' || !c.is_control() && !hides(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
