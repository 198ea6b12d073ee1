//! Texts from machines, made fit to stand in a document: nothing in them may end a line or hide.

/// The same text with everything invisible written out, but for what ends or indents a line.
pub(super) fn visible(text: &str) -> String {
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
pub(super) fn one_line(text: &str) -> String {
    visible(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// What HTML and XML would take for their own, as entities.
pub(super) fn entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn hides(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
