//! The meaning of a spec: what a schema cannot say, because it concerns two places at once or
//! the world outside.
//!
//! [`check`] is pure; [`templates()`] reads the template files and nothing else.

use super::Spec;
use super::problem::Problem;
use super::tree::Tree;

mod data;
mod drill;
pub mod failover;
mod hosts;
mod sentinel;
mod sessions;
mod software;
mod storage;
mod templates;

pub use templates::templates;

/// All that is wrong with the meaning of a spec.
pub fn check(spec: &Spec, tree: &Tree) -> Vec<Problem> {
    let mut findings = Findings { tree, problems: Vec::new() };
    hosts::check(spec, &mut findings);
    software::check(spec, &mut findings);
    data::check(spec, &mut findings);
    sessions::check(spec, &mut findings);
    sentinel::check(spec, &mut findings);
    storage::check(spec, &mut findings);
    failover::check(spec, &mut findings);
    drill::check(spec, &mut findings);
    findings.problems
}

/// Whether templates can use a name as `vars.NAME`.
pub fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Problems with their places.
struct Findings<'a> {
    tree: &'a Tree,
    problems: Vec<Problem>,
}

impl Findings<'_> {
    /// Something is wrong with the value at a path.
    fn value(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let found = self.tree.at(path);
        let place = match found.key {
            Some(key) if !found.exact => key.place,
            _ => found.tree.place,
        };
        self.push(Problem::at(place, path, message), hint.into());
    }
    /// Something is wrong with the key at a path, or with its being there.
    fn key(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Problem::of_key(self.tree.at(path), path, message), hint.into());
    }
    /// Something about the key at a path is worth knowing.
    fn note(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let problem = Problem::of_key(self.tree.at(path), path, message);
        self.push(Problem { note: true, ..problem }, hint.into());
    }
    fn push(&mut self, problem: Problem, hint: String) {
        self.problems.push(if hint.is_empty() { problem } else { problem.hint(hint) });
    }
    /// A path that must begin at the root.
    fn absolute(&mut self, path: &str, value: &std::path::Path) -> bool {
        let shown = value.display();
        let dots = value.components().any(|part| matches!(part, std::path::Component::ParentDir));
        if !value.is_absolute() {
            self.value(path, format!("`{path}`: \"{shown}\" is not an absolute path"), format!("begin it with /: \"/{shown}\""));
        } else if dots || value.to_string_lossy().contains(|c: char| c.is_control()) {
            self.value(path, format!("`{path}`: \"{shown}\" goes through `..` or odd characters"), "write the path itself");
        } else {
            return true;
        }
        false
    }
    /// The line a path is on.
    fn line(&self, path: &str) -> usize {
        let found = self.tree.at(path);
        found.key.map_or(found.tree.place, |key| key.place).line
    }
}
