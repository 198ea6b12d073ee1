//! A spec from text, and from a file.
//!
//! [`parse`] and [`examine`] take text and touch nothing; [`read`] reads the disk.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value as Json;

use super::problem::{Problem, render_all};
use super::tree::{Key, Place, Tree, Value};
use super::{OptionValue, Spec, check, schema};

/// The most bytes a spec may have. Real ones have a few thousand.
pub const LIMIT: u64 = 1 << 20;

const EMPTY_HINT: &str = "a spec starts with `version: 1`, `name:`, `production:` and `hosts:`; specs/minimal.yaml is one";

/// A spec that was read and found right.
#[derive(Clone)]
pub struct Loaded {
    /// The spec, with the values of `--set`.
    pub spec: Spec,
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Its nodes.
    pub tree: Tree,
    /// The folder it stands in: templates are looked for here.
    pub directory: PathBuf,
    /// What is worth knowing about it.
    pub notes: Vec<Problem>,
}

/// A spec that cannot be used, with all that is wrong with it.
#[derive(Clone)]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// Its text, as far as there is one.
    pub text: String,
    /// What is wrong, in the order of the file.
    pub problems: Vec<Problem>,
}

// Text of a spec may hold a password, so neither shows it.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("path", &self.path).field("notes", &self.notes).finish_non_exhaustive()
    }
}
impl fmt::Debug for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(render_all(&self.problems, &self.path, &self.text).trim_end())
    }
}
impl std::error::Error for LoadError {}

/// A spec from its text.
///
/// # Errors
/// The first error of syntax alone, or every error of meaning.
pub fn parse(text: &str) -> Result<(Spec, Tree), Vec<Problem>> {
    match examine(text) {
        Examined { spec: Some(spec), tree: Some(tree), problems } if problems.iter().all(|p| p.note) => Ok((spec, tree)),
        Examined { problems, .. } => Err(problems),
    }
}

/// What could be made of a text.
#[derive(Debug, Clone, Default)]
pub struct Examined {
    /// The spec, without the parts that are wrong.
    pub spec: Option<Spec>,
    /// Its nodes.
    pub tree: Option<Tree>,
    /// Everything found, in the order of the text.
    pub problems: Vec<Problem>,
}

/// Finds all that is wrong with a text. What is wrong in one part does not hide the others.
pub fn examine(text: &str) -> Examined {
    let content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#') && line.trim() != "---";
    if !text.trim_start_matches('\u{feff}').lines().any(content) {
        return Examined { problems: vec![Problem::of_file("the file is empty").hint(EMPTY_HINT)], ..Examined::default() };
    }
    let mut tree = match Tree::parse(text) {
        Ok(tree) => tree,
        Err(error) => return Examined { problems: vec![syntax(text, error)], ..Examined::default() },
    };
    static SCHEMA: OnceLock<Json> = OnceLock::new();
    let mut problems = schema::validate(&tree, SCHEMA.get_or_init(schema::schema));
    problems.iter_mut().for_each(|problem| explain(problem, &tree));
    let spec = typed(&mut tree, &mut problems);
    if let Some(spec) = &spec {
        problems.extend(check::check(spec, &tree));
    }
    sort(&mut problems);
    Examined { spec, tree: Some(tree), problems }
}

/// In the order of the file, each once.
pub(super) fn sort(problems: &mut Vec<Problem>) {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
}

fn syntax(text: &str, error: super::tree::SyntaxError) -> Problem {
    if error.bomb {
        return Problem::at(error.place, "", "the YAML grows beyond all measure when it is read (too many nodes, aliases or levels)")
            .hint("a spec needs no anchors that multiply each other; write the values out");
    }
    let hidden = super::problem::Excerpt::of(text, error.place.line).map(|line| line.hidden).unwrap_or_default();
    let repeats = hidden.split(|c: char| !c.is_alphanumeric()).any(|word| word.len() > 2 && error.message.contains(word));
    let message = if repeats { "this is not valid YAML".to_owned() } else { format!("this is not valid YAML: {}", error.message) };
    Problem::at(error.place, "", message)
}

/// Says more where the schema alone cannot know what was meant.
fn explain(problem: &mut Problem, tree: &Tree) {
    let one_line =
        "production is the one line `production: HOST` at the top; every other host is a standby, and `role` only says `witness`";
    let is_role = problem.path.starts_with("hosts.") && problem.path.ends_with(".role");
    if is_role && matches!(&tree.at(&problem.path).tree.value, Value::Text(role) if role == "production" || role == "standby") {
        problem.hint = Some(one_line.into());
    }
    if problem.path == "production" && problem.message.contains("twice") {
        problem.message = "`production` is written twice: only one host can be production".into();
        problem.hint = Some(one_line.into());
    }
    if problem.path == "production" && matches!(tree.at("production").tree.value, Value::List(_)) {
        problem.message = "`production` must be one host, not a list".into();
        problem.hint = Some(one_line.into());
    }
    if problem.path.is_empty() && problem.message.starts_with("`production` is missing") {
        problem.hint = Some(one_line.into());
    }
}

/// The tree as a spec, after the parts with problems were taken out of it.
fn typed(tree: &mut Tree, problems: &mut Vec<Problem>) -> Option<Spec> {
    // So much is wrong that what is left says nothing; and each part costs a walk.
    if !matches!(tree.value, Value::Map(_)) || problems.len() > 500 {
        return None;
    }
    dedupe(tree);
    let mut wrong: Vec<(Place, String)> = problems.iter().map(|p| (Place { line: p.line, column: p.column }, p.path.clone())).collect();
    wrong.sort();
    // From the end, so that the numbers of a list's items stay right.
    for (place, path) in wrong.iter().rev() {
        let found = tree.at(path);
        // The second of two equal keys is gone already.
        if path.is_empty() || !found.exact || (found.tree.place != *place && found.key.is_none_or(|key| key.place != *place)) {
            continue;
        }
        if is_host(path) {
            return None;
        }
        // `{secret: …}` is one value.
        tree.remove(path.strip_suffix(".secret").unwrap_or(path));
    }
    if !wrong.is_empty() {
        fill(tree);
    }
    for _ in 0..100 {
        let error = match tree.typed::<Spec>() {
            Ok(spec) => return Some(spec),
            Err(error) => error,
        };
        let place = error.place.unwrap_or_default();
        let path = tree.path_of(place).unwrap_or_default();
        let message = match error.message.starts_with("data did not match any variant") {
            true => "this cannot stand here".to_owned(),
            false => error.message,
        };
        // What the schema refused, or what is missing because it was taken out above, is known.
        if path.is_empty() || message.starts_with("missing field") {
            if problems.is_empty() {
                problems.push(Problem::at(place, path, message));
            }
            return None;
        }
        problems.push(Problem::at(place, path.clone(), format!("`{path}`: {message}")));
        if is_host(&path) || !tree.remove(&path) {
            return None;
        }
        fill(tree);
    }
    None
}

/// A host without which other parts would wrongly seem to name an unknown one.
fn is_host(path: &str) -> bool {
    path == "hosts" || super::tree::parent(path).as_deref() == Some("hosts")
}

/// Keeps the first of equal keys.
fn dedupe(tree: &mut Tree) {
    match &mut tree.value {
        Value::List(items) => items.iter_mut().for_each(dedupe),
        Value::Map(entries) => {
            let mut seen = std::collections::BTreeSet::new();
            entries.retain(|(key, _)| seen.insert(key.text.clone()));
            entries.iter_mut().for_each(|(_, value)| dedupe(value));
        }
        _ => {}
    }
}

/// Puts something in place of what every spec needs, so that the rest can be checked.
fn fill(tree: &mut Tree) {
    let host = match tree.get("hosts").map(|(_, hosts)| &hosts.value) {
        Some(Value::Map(hosts)) => hosts.first().map(|(key, _)| Value::Text(key.text.clone())),
        _ => None,
    };
    let Value::Map(entries) = &mut tree.value else { return };
    let needed = [("version", Some(Value::Int(1))), ("name", Some(Value::Text("unnamed".into()))), ("production", host)];
    for (name, value) in needed {
        if let (Some(value), false) = (value, entries.iter().any(|(key, _)| key.text == name)) {
            let key = Key { text: name.into(), place: Place::default() };
            entries.push((key, Tree { place: Place::default(), value, quoted: true }));
        }
    }
}

/// A spec from a file, with values for `vars` from the command line.
///
/// # Errors
/// The file cannot be read, or all that is wrong with it and its templates.
pub fn read(path: &Path, sets: &[(String, String)]) -> Result<Loaded, LoadError> {
    match contents(path) {
        Ok(text) => from_text(path, text, sets),
        Err(problem) => Err(LoadError { path: path.to_owned(), text: String::new(), problems: vec![problem] }),
    }
}

/// A spec from its text, as if it stood at `path`.
///
/// # Errors
/// All that is wrong with it and its templates.
pub fn from_text(path: &Path, text: String, sets: &[(String, String)]) -> Result<Loaded, LoadError> {
    let fail = |text: &str, problems| LoadError { path: path.to_owned(), text: text.to_owned(), problems };
    let Examined { spec, tree, mut problems } = examine(&text);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let (Some(mut spec), Some(tree)) = (spec, tree) else { return Err(fail(&text, problems)) };
    for (name, value) in sets {
        if let Err(why) = set(&mut spec, name, value) {
            problems.push(Problem::of_file(why));
        }
    }
    problems.extend(check::templates(&spec, &tree, &directory));
    sort(&mut problems);
    match problems.iter().all(|problem| problem.note) {
        true => Ok(Loaded { spec, path: path.to_owned(), text, tree, directory, notes: problems }),
        false => Err(fail(&text, problems)),
    }
}

/// Sets a variable for templates, over the spec's and every host's.
fn set(spec: &mut Spec, name: &str, value: &str) -> Result<(), String> {
    if !check::is_variable(name) {
        return Err(format!("--set {name}=…: {name:?} is not a variable's name: letters, digits and '_'"));
    }
    let value = match (value, value.parse::<i64>()) {
        ("true", _) => OptionValue::Bool(true),
        ("false", _) => OptionValue::Bool(false),
        (text, Ok(number)) if number.to_string() == text => OptionValue::Int(number),
        (text, _) => OptionValue::Text(text.to_owned()),
    };
    for host in spec.hosts.values_mut() {
        if let Some(own) = host.vars.get_mut(name) {
            *own = value.clone();
        }
    }
    spec.vars.insert(name.to_owned(), value);
    Ok(())
}

fn contents(path: &Path) -> Result<String, Problem> {
    let cannot = |error: std::io::Error| Problem::of_file(format!("cannot be read: {error}"));
    let file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.is_dir() {
        return Err(Problem::of_file("is a folder: name the spec in it"));
    }
    let too_long =
        |size: u64| Problem::of_file(format!("is {size} bytes long; a spec has at most {LIMIT}")).hint("is this the right file?");
    if metadata.len() > LIMIT {
        return Err(too_long(metadata.len()));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Problem::of_file(format!("is longer than {LIMIT} bytes; no spec is")).hint("is this the right file?"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let byte = error.as_bytes().get(at).copied().unwrap_or_default();
        Problem::of_file(format!("is not UTF-8: line {line}, byte {} of the file is 0x{byte:02x}", at + 1))
            .hint("save it as UTF-8, for example with `iconv -f LATIN1 -t UTF-8`")
    })
}
