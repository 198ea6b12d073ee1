//! Paths such as `hosts.erp1.port`, `files[2].path` or `vars."a.b"`.

/// One step of a path.
pub(super) enum Step {
    Key(String),
    Item(usize),
}

/// Joins a path and a key, quoting a key that holds a dot or a bracket.
pub fn join(path: &str, key: &str) -> String {
    let key = match key.contains(['.', '[', ']', '"']) {
        true => format!("\"{}\"", key.replace('"', "\\\"")),
        false => key.to_owned(),
    };
    match path.is_empty() {
        true => key,
        false => format!("{path}.{key}"),
    }
}

/// The path of the node that holds this one.
pub fn parent(path: &str) -> Option<String> {
    let mut steps = steps(path);
    steps.pop()?;
    Some(steps.into_iter().fold(String::new(), |path, step| match step {
        Step::Key(key) => join(&path, &key),
        Step::Item(number) => format!("{path}[{number}]"),
    }))
}

/// A path's steps.
pub(super) fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(inside) = rest.strip_prefix('[') {
            let (number, after) = inside.split_once(']').unwrap_or((inside, ""));
            steps.push(number.parse().map_or_else(|_| Step::Key(number.to_owned()), Step::Item));
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('"') {
            let mut key = String::new();
            let mut characters = inside.char_indices();
            let mut end = inside.len();
            while let Some((at, c)) = characters.next() {
                match c {
                    '\\' => key.extend(characters.next().map(|(_, c)| c)),
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    c => key.push(c),
                }
            }
            steps.push(Step::Key(key));
            rest = &inside[end..];
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(Step::Key(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_at_its_last_step() {
        assert_eq!(parent("files[2].path").as_deref(), Some("files[2]"));
        assert_eq!(parent("files[2]").as_deref(), Some("files"));
        assert_eq!(parent("a.\"b.c\".d").as_deref(), Some("a.\"b.c\""));
        assert_eq!(parent("a").as_deref(), Some(""));
        assert_eq!(parent(""), None);
    }
}
