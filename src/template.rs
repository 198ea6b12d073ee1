//! Files made from templates: Jinja's language (minijinja), undefined names are errors.
//!
//! A template is looked for in `templates/` beside the spec, then beside the spec, then among
//! otr's own. It sees `host`, `role`, `peer`, `spec` and `vars`. Text made with a secret is one.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

use crate::name::HostName;
use crate::secret::{Secret, SecretError, Secrets, Text};
use crate::spec::problem::nearest;
use crate::spec::{FileSource, Spec};

mod context;

pub use context::Context;

/// otr's own templates.
const EMBEDDED: [(&str, &str); 2] = [
    ("nginx-odoo.conf", include_str!("../templates/nginx-odoo.conf")),
    ("odoo-limits.conf", include_str!("../templates/odoo-limits.conf")),
];

/// A template that could not be made into text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// No template has this name.
    #[error("there is no template {name:?}: neither in {} nor among otr's own ({})", .folders.join(" nor in "), own_names())]
    Unknown {
        /// As the spec says it.
        name: String,
        /// Where it was looked for.
        folders: Vec<String>,
    },
    /// Its file is there and cannot be read.
    #[error("the template {path} cannot be read: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The cause.
        why: String,
    },
    /// Its text is wrong, or uses what is not there.
    #[error("{file}:{line}: {message}")]
    Wrong {
        /// The template's file, or what stands for it.
        file: String,
        /// From 1.
        line: usize,
        /// The cause.
        message: String,
        /// What would be right.
        hint: Option<String>,
    },
    /// It uses a secret that cannot be read.
    #[error("{file}: {error}")]
    Secret {
        /// The template's file, or what stands for it.
        file: String,
        /// The cause.
        error: SecretError,
    },
    /// A directory has no content.
    #[error("a directory has no content")]
    Directory,
}

fn own_names() -> String {
    EMBEDDED.map(|(name, _)| name).join(", ")
}

/// What stands for the file of a template that is written in the spec.
const INLINE: &str = "content";

/// The content of each file of a spec, by host and index in `files:`.
pub type Rendered = BTreeMap<(HostName, usize), Result<Text, SecretError>>;

/// Where templates are, and how they are read.
#[derive(Debug)]
pub struct Templates {
    folders: Vec<PathBuf>,
    environment: Environment<'static>,
}

impl Templates {
    /// Templates beside a spec in `directory`.
    pub fn new(directory: &Path) -> Self {
        let folders = vec![directory.join("templates"), directory.to_owned()];
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Configuration files: no HTML, every line break counts, a line of tags leaves none.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.unwrap_or_default());
        // Errors then carry the expression they are about. Their values are never shown.
        environment.set_debug(true);
        let looked = folders.clone();
        environment.set_loader(move |name| match source(&looked, name) {
            Ok((_, text)) => Ok(Some(text)),
            Err(error @ TemplateError::Unreadable { .. }) => Err(minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string())),
            Err(_) => Ok(None),
        });
        Self { folders, environment }
    }

    /// A file's content.
    ///
    /// # Errors
    /// The template is not there, is wrong, or uses a name or a secret that is not there.
    pub fn render(&self, source: &FileSource<'_>, context: &Context<'_>) -> Result<Text, TemplateError> {
        let (name, text) = match source {
            FileSource::Template(name) => (*name, None),
            FileSource::Content(text) => (INLINE, Some(*text)),
            FileSource::Directory | FileSource::Clone => return Err(TemplateError::Directory),
        };
        if text.is_none() {
            // Its own errors say more than the engine's.
            self::source(&self.folders, name)?;
        }
        let (values, watch) = context.values();
        let result = match text {
            Some(text) => self.environment.template_from_named_str(INLINE, text).and_then(|template| template.render(&values)),
            None => self.environment.get_template(name).and_then(|template| template.render(&values)),
        };
        if let Some(error) = watch.missing() {
            return Err(TemplateError::Secret { file: self.file(name), error });
        }
        let text = result.map_err(|error| self.explain(&error, name, &values, context))?;
        let sensitive = watch.used() || context.secrets_in(&text);
        Ok(if sensitive { Text::Sensitive(Secret::new(text)) } else { Text::Plain(text) })
    }

    /// Every file of a spec, for each machine. What cannot be rendered spoils only itself.
    pub fn files(&self, spec: &Spec, secrets: &Secrets) -> Rendered {
        let mut files = Rendered::new();
        for host in spec.machines() {
            for (index, file) in spec.files.iter().enumerate() {
                if let Some(source) = file.source().filter(|source| !matches!(source, FileSource::Directory | FileSource::Clone)) {
                    let text = self.render(&source, &Context { spec, host, secrets }).map_err(|error| match error {
                        TemplateError::Secret { error, .. } => error,
                        other => SecretError { origin: file.path.display().to_string(), why: other.to_string() },
                    });
                    files.insert((host.clone(), index), text);
                }
            }
        }
        files
    }

    /// The file a template's name stands for, as people know it.
    fn file(&self, name: &str) -> String {
        match source(&self.folders, name) {
            Ok((file, _)) => file,
            Err(_) => name.to_owned(),
        }
    }

    fn explain(&self, error: &minijinja::Error, name: &str, values: &minijinja::Value, context: &Context<'_>) -> TemplateError {
        // An included template's error is the cause of the includer's.
        let mut inner = error;
        while let Some(cause) = std::error::Error::source(inner).and_then(|cause| cause.downcast_ref::<minijinja::Error>()) {
            inner = cause;
        }
        let expression = inner.range().and_then(|range| whole(inner.template_source()?, range)).unwrap_or_default().trim();
        let (message, hint) = match inner.kind() {
            ErrorKind::UndefinedError => match paths(expression).iter().find_map(|path| undefined(path, values)) {
                Some((unknown, hint)) => (format!("`{unknown}` is not defined"), Some(hint)),
                None => (format!("`{expression}` is not defined"), None),
            },
            kind => {
                let detail = inner.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
                (context.without_secrets(&format!("{kind}{detail}")), None)
            }
        };
        let at = inner.name().unwrap_or(name);
        TemplateError::Wrong { file: self.file(at), line: inner.line().unwrap_or(1), message, hint }
    }
}

/// A template's file and text.
fn source(folders: &[PathBuf], name: &str) -> Result<(String, String), TemplateError> {
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inside && !name.is_empty() {
        for path in folders.iter().map(|folder| folder.join(name)) {
            match std::fs::read_to_string(&path) {
                Ok(text) => return Ok((path.display().to_string(), text)),
                Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err(TemplateError::Unreadable { path: path.display().to_string(), why: error.to_string() }),
            }
        }
        if let Some((name, text)) = EMBEDDED.iter().find(|(own, _)| *own == name) {
            return Ok((format!("{name} (otr's own)"), (*text).to_owned()));
        }
    }
    Err(TemplateError::Unknown { name: name.to_owned(), folders: folders.iter().map(|f| f.display().to_string()).collect() })
}

/// The engine's range may begin in the middle of a dotted name.
fn whole(source: &str, range: std::ops::Range<usize>) -> Option<&str> {
    let before = source.get(..range.start)?;
    let name = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
    source.get(name.len()..range.end)
}

/// The dotted names of an expression, without its texts.
fn paths(expression: &str) -> Vec<String> {
    let mut quote = None;
    let bare: String = expression
        .chars()
        .map(|c| {
            match quote {
                Some(open) if c == open => quote = None,
                None if c == '\'' || c == '"' => quote = Some(c),
                None if c.is_alphanumeric() || c == '_' || c == '.' => return c,
                _ => {}
            }
            ' '
        })
        .collect();
    bare.split_whitespace().filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_')).map(str::to_owned).collect()
}

/// The first part of a dotted name that is not there, and what is.
fn undefined(expression: &str, values: &minijinja::Value) -> Option<(String, String)> {
    let mut here = values.clone();
    let mut path = String::new();
    for part in expression.split('.') {
        if part.is_empty() || !part.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return None;
        }
        let next = here.get_attr(part).ok().filter(|value| !value.is_undefined());
        let full = if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
        let Some(next) = next else {
            let known: Vec<String> = here.try_iter().ok()?.map(|key| key.to_string()).collect();
            let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
            let hint = match (nearest(part, known.iter().map(String::as_str)), known.is_empty()) {
                (Some(near), _) => format!("did you mean `{prefix}{near}`?"),
                (None, false) => format!("there is {}", known.iter().map(|k| format!("`{prefix}{k}`")).collect::<Vec<_>>().join(", ")),
                (None, true) => format!("`{path}` is empty: write it under `{path}:` in the spec"),
            };
            return Some((full, hint));
        };
        here = next;
        path = full;
    }
    None
}

#[cfg(test)]
mod tests;
