//! What a template sees, and whether it looked at a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use minijinja::Value;
use minijinja::value::{Enumerator, Object, Serde};

use crate::name::HostName;
use crate::secret::{REDACTED, Secret, SecretError, Secrets};
use crate::spec::{HostSpec, OptionValue, Spec};

/// For which host of which spec a template is rendered.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The spec, with the values of `--set`.
    pub spec: &'a Spec,
    /// The host the file is for.
    pub host: &'a HostName,
    /// The secrets, read.
    pub secrets: &'a Secrets,
}

/// What happened to the secrets while a template was rendered.
#[derive(Debug, Default)]
pub(super) struct Watch {
    used: AtomicBool,
    missing: Mutex<Option<SecretError>>,
}

impl Watch {
    pub(super) fn used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
    pub(super) fn missing(&self) -> Option<SecretError> {
        self.missing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Context<'_> {
    pub(super) fn values(&self) -> (Value, Arc<Watch>) {
        let watch = Arc::new(Watch::default());
        let mut values: BTreeMap<String, Var> = BTreeMap::new();
        let own = self.spec.hosts.get(self.host).map(|host| &host.vars);
        for (name, value) in self.spec.vars.iter().chain(own.into_iter().flatten()) {
            let var = match value {
                OptionValue::Secret(reference) => Var::Secret(self.secrets.get(&reference.secret).cloned()),
                value => Var::Plain(Value::from(Serde(value))),
            };
            values.insert(name.clone(), var);
        }
        let vars = Value::from_object(Vars { values, watch: Arc::clone(&watch) });
        let peer = self.spec.members().find(|name| *name != self.host);
        let context = minijinja::context! {
            host => self.host_value(self.host),
            role => self.spec.role(self.host).as_str(),
            peer => peer.map(|name| self.host_value(name)),
            spec => Value::from(Serde(self.spec)),
            vars => vars,
        };
        (context, watch)
    }

    /// A host as templates see it: its part of the spec, with its name and role, and as `listen`
    /// the address under which the others reach it, where the spec says one.
    fn host_value(&self, name: &HostName) -> Value {
        let host: Option<&HostSpec> = self.spec.hosts.get(name);
        let base = host.map(|host| Value::from(Serde(host))).unwrap_or_default();
        let mut entries: BTreeMap<String, Value> = BTreeMap::new();
        if let Ok(keys) = base.try_iter() {
            for key in keys {
                if let Ok(value) = base.get_item(&key) {
                    entries.insert(key.to_string(), value);
                }
            }
        }
        entries.insert("name".into(), Value::from(name.as_str()));
        entries.insert("role".into(), Value::from(self.spec.role(name).as_str()));
        if let Some(address) = host.and_then(HostSpec::reached_at) {
            entries.insert("listen".into(), Value::from(address));
        }
        Value::from_pairs(entries)
    }

    /// Whether a text holds the text of a secret.
    pub(super) fn secrets_in(&self, text: &str) -> bool {
        self.known().any(|secret| text.contains(secret.expose()))
    }

    /// A text with what it repeats of secrets blotted out.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        self.known().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), REDACTED))
    }

    fn known(&self) -> impl Iterator<Item = &Secret> {
        self.spec.secrets().into_iter().filter_map(|(_, source)| self.secrets.find(source)).filter(|s| !s.expose().is_empty())
    }
}

enum Var {
    Plain(Value),
    Secret(Result<Secret, SecretError>),
}

/// `vars`: notes when a secret is taken out of it.
struct Vars {
    values: BTreeMap<String, Var>,
    watch: Arc<Watch>,
}

impl fmt::Debug for Vars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Object for Vars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.values.get(key.as_str()?)? {
            Var::Plain(value) => Some(value.clone()),
            Var::Secret(Ok(secret)) => {
                self.watch.used.store(true, Ordering::Relaxed);
                Some(Value::from(secret.expose()))
            }
            Var::Secret(Err(error)) => {
                *self.watch.missing.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error.clone());
                None
            }
        }
    }
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.values.keys().map(|name| Value::from(name.as_str())).collect())
    }
}
