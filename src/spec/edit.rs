//! Changes the one line of a spec that a promotion changes, keeping every other byte.

use super::tree::{Tree, Value};
use crate::name::HostName;

/// The text with another production. `None` if the line is not where the tree says.
pub fn with_production(text: &str, tree: &Tree, host: &HostName) -> Option<String> {
    let (_, node) = tree.get("production")?;
    let Value::Text(old) = &node.value else { return None };
    let start: usize = text.split_inclusive('\n').take(node.place.line - 1).map(str::len).sum();
    let line = text.get(start..)?;
    let column: usize = line.chars().take(node.place.column - 1).map(char::len_utf8).sum();
    let at = start + column;
    let rest = text.get(at..)?;
    let quote = rest.chars().next().filter(|c| *c == '"' || *c == '\'').map_or(0, |_| 1);
    let from = at + quote;
    text.get(from..)?.starts_with(old.as_str()).then(|| format!("{}{host}{}", &text[..from], &text[from + old.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_changes_and_nothing_else() {
        for (before, after) in [
            ("# é\nversion: 1\nproduction: erp1   # the one line\nname: erp1\n", "# é\nversion: 1\nproduction: erp2   # the one line\nname: erp1\n"),
            ("{version: 1, production: 'erp1', x: 2}", "{version: 1, production: 'erp2', x: 2}"),
            ("production: \"erp1\"\r\nname: a\r\n", "production: \"erp2\"\r\nname: a\r\n"),
        ] {
            let tree = Tree::parse(before).unwrap();
            assert_eq!(with_production(before, &tree, &"erp2".parse().unwrap()).unwrap(), after);
        }
    }
}
