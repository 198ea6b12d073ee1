//! redis.conf: one directive per line, name and value, comments with `#`.

use std::collections::BTreeMap;

/// The last value of a directive; Redis takes the last line that names it.
pub fn get(text: &str, name: &str) -> Option<String> {
    text.lines().filter_map(directive).filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| unquoted(value)).next_back()
}

/// The text with directives set (`Some`) or removed (`None`); the rest stays to the byte.
pub fn edited(text: &str, changes: &BTreeMap<String, Option<String>>) -> String {
    let mut left: BTreeMap<&str, &Option<String>> = changes.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let mut out = String::with_capacity(text.len());
    let mut push = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    for line in text.lines() {
        let name = directive(line).map(|(name, _)| name.to_ascii_lowercase());
        match name.and_then(|name| changes.get_key_value(&name)) {
            None => push(line),
            // The first line that names it takes the value; others would be read after it and win.
            Some((name, value)) => {
                if left.remove(name.as_str()).is_some()
                    && let Some(value) = value
                {
                    push(&format!("{name} {}", quoted(name, value)));
                }
            }
        }
    }
    for (name, value) in left {
        if let Some(value) = value {
            push(&format!("{name} {}", quoted(name, value)));
        }
    }
    out
}

fn directive(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    Some(line.split_once(char::is_whitespace).map_or((line, ""), |(name, value)| (name, value.trim())))
}

/// Directives of one word: a blank in it is quoted. Values of several words are several arguments.
const ONE_WORD: [&str; 12] = [
    "requirepass",
    "masterauth",
    "primaryauth",
    "masteruser",
    "primaryuser",
    "tls-key-file-pass",
    "tls-client-key-file-pass",
    "aclfile",
    "dir",
    "logfile",
    "pidfile",
    "unixsocket",
];

fn quoted(name: &str, value: &str) -> String {
    let odd = |c: char| matches!(c, '"' | '\\' | '\'' | '#') || c.is_control();
    let parts = ONE_WORD.contains(&name) && value.contains(char::is_whitespace);
    if !(value.is_empty() || value.contains(odd) || parts) {
        return value.to_owned();
    }
    let escaped = value.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() && c.is_ascii() => format!("\\x{:02x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// A value as Redis reads it (sds.c, `sdssplitargs`): words in double quotes with `\xHH` and escapes, in
/// single quotes, or bare. What it would refuse stays as it stands.
fn unquoted(value: &str) -> String {
    words(value).map_or_else(|| value.to_owned(), |words| words.join(" "))
}

fn words(value: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = value.trim_start().chars().peekable();
    while rest.peek().is_some() {
        let mut word: Vec<u8> = Vec::new();
        let mut quote = None;
        loop {
            let Some(c) = rest.next() else {
                if quote.is_some() {
                    return None;
                }
                break;
            };
            let mut push = |c: char| word.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            match (quote, c) {
                (Some('"'), '\\') => {
                    let next = rest.next()?;
                    let hex: String = rest.clone().take(2).collect();
                    match (next, u8::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == 2)) {
                        ('x', Some(byte)) => {
                            rest.nth(1);
                            word.push(byte);
                        }
                        ('n', _) => push('\n'),
                        ('r', _) => push('\r'),
                        ('t', _) => push('\t'),
                        ('b', _) => push('\x08'),
                        ('a', _) => push('\x07'),
                        (other, _) => push(other),
                    }
                }
                (Some('\''), '\\') if rest.peek() == Some(&'\'') => {
                    rest.next();
                    push('\'');
                }
                (Some(open), c) if open == c => {
                    if rest.peek().is_some_and(|c| !c.is_whitespace()) {
                        return None;
                    }
                    quote = None;
                }
                (Some(_), c) => push(c),
                (None, '"' | '\'') => quote = Some(c),
                (None, c) if c.is_whitespace() => break,
                (None, c) => push(c),
            }
        }
        words.push(String::from_utf8_lossy(&word).into_owned());
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_is_set_once_and_the_rest_stays() {
        let text = "# comment\nmaxmemory 1mb\nsave 900 1\nmaxmemory 2mb\n";
        assert_eq!(get(text, "maxmemory").as_deref(), Some("2mb"));
        let set = |name: &str, value: Option<&str>| BTreeMap::from([(name.to_owned(), value.map(str::to_owned))]);
        assert_eq!(edited(text, &set("maxmemory", Some("3mb"))), "# comment\nmaxmemory 3mb\nsave 900 1\n");
        assert_eq!(edited(text, &set("maxmemory", None)), "# comment\nsave 900 1\n");
        let new = edited(text, &set("requirepass", Some("a\"b#")));
        assert_eq!(get(&new, "requirepass").as_deref(), Some("a\"b#"));
        assert_eq!(edited(text, &BTreeMap::new()), text);
    }

    #[test]
    fn words_are_read_and_written_as_redis_does() {
        for (line, value) in [
            ("requirepass \"two words\"", "two words"),
            ("RequirePass 'it\\'s'", "it's"),
            (r#"requirepass "\x61\"\\b""#, "a\"\\b"),
            ("requirepass bare\r", "bare"),
            ("requirepass \"open", "\"open"),
        ] {
            assert_eq!(get(line, "requirepass").as_deref(), Some(value), "{line}");
        }
        for value in ["two words", "a\"b\\c'd", "tab\tnew\nline", "#x"] {
            let text = edited("", &BTreeMap::from([("requirepass".to_owned(), Some(value.to_owned()))]));
            assert_eq!((text.lines().count(), get(&text, "requirepass").as_deref()), (1, Some(value)), "{text}");
        }
        assert_eq!(edited("", &BTreeMap::from([("save".to_owned(), Some("300 10".to_owned()))])), "save 300 10\n");
    }
}
