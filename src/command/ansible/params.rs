//! What a playbook says to the modules: checked here, for Ansible checks nothing of a program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::name::HostName;
use crate::resource::Kind;
use crate::secret::Secret;
use crate::spec::problem::nearest;

/// Which module is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// `otr`: plan, apply or sync.
    Otr,
    /// `otr_status`: facts.
    Status,
    /// `otr_promote`.
    Promote,
}

/// What must be true after the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing is changed; the difference is the answer.
    Planned,
    /// The host is as the spec says.
    Applied,
    /// The host has production's data.
    Synced,
}

/// Where the spec is.
#[derive(Debug, Clone, PartialEq)]
pub enum SpecSource {
    /// A file on the target.
    File(PathBuf),
    /// In the task.
    Inline(Value),
}

/// A task's parameters.
#[derive(Debug)]
pub struct Params {
    /// The module.
    pub module: Module,
    /// The spec.
    pub spec: SpecSource,
    /// The host of the spec that the target is; for `otr_promote` the standby.
    pub host: Option<HostName>,
    /// The target's name in the inventory, used if the spec has such a host.
    pub inventory_name: Option<String>,
    /// What is wanted.
    pub state: State,
    /// Kinds of resources; empty for all.
    pub only: Vec<String>,
    /// Secrets by their reference in the spec, or by the NAME in it.
    pub secrets: BTreeMap<String, Secret>,
    /// Data on this host may be replaced by production's.
    pub replace_data: bool,
    /// Production's services may be restarted.
    pub restarts: bool,
    /// Keys of hosts seen for the first time are learned.
    pub accept_new: bool,
    /// A statement for `otr_promote`.
    pub production_is_down: Option<HostName>,
    /// `otr_promote` changes the line of the spec.
    pub write_spec: bool,
    /// Check mode: nothing may be changed.
    pub check: bool,
    /// Diff mode.
    pub diff: bool,
}

impl Module {
    fn named(name: &str) -> Self {
        match name.rsplit('.').next() {
            Some("otr_status") => Module::Status,
            Some("otr_promote") => Module::Promote,
            _ => Module::Otr,
        }
    }

    fn parameters(self) -> &'static [&'static str] {
        match self {
            Module::Otr => &["spec", "host", "state", "only", "secrets", "replace_data", "restarts", "accept_new"],
            Module::Status => &["spec", "host", "secrets", "accept_new"],
            Module::Promote => &["spec", "host", "production_is_down", "write_spec", "accept_new"],
        }
    }
}

impl Params {
    /// Reads a task's JSON. Keys of Ansible's own (`_ansible_…`, of any version) are passed over.
    ///
    /// # Errors
    /// What is wrong with the first parameter that is, and what would be right. Never a value of
    /// `secrets`.
    pub fn read(text: &str) -> Result<Self, String> {
        // Its error could quote what stands there.
        let arguments: Map<String, Value> = serde_json::from_str(text).map_err(|_| "the arguments are not a JSON object".to_owned())?;
        let own = |name: &str| arguments.get(name).filter(|value| !value.is_null());
        let flag = |name: &str| own(name).map_or(Ok(false), |value| truth(name, value));
        let module = Module::named(own("_ansible_module_name").and_then(Value::as_str).unwrap_or_default());
        for name in arguments.keys().filter(|name| !name.starts_with('_')) {
            let known = module.parameters();
            if !known.contains(&name.as_str()) {
                let hint = nearest(name, known.iter().copied()).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
                return Err(format!("unknown parameter `{name}`{hint}; there are {}", known.join(", ")));
            }
        }
        Ok(Self {
            module,
            spec: spec(own("spec"))?,
            host: host("host", own("host"))?,
            inventory_name: own("_otr_inventory_name").and_then(Value::as_str).map(str::to_owned),
            state: state(own("state"))?,
            only: kinds(own("only"))?,
            secrets: secrets(own("secrets"))?,
            replace_data: flag("replace_data")?,
            restarts: flag("restarts")?,
            accept_new: flag("accept_new")?,
            production_is_down: host("production_is_down", own("production_is_down"))?,
            write_spec: flag("write_spec")?,
            check: flag("_ansible_check_mode")?,
            diff: flag("_ansible_diff")?,
        })
    }
}

fn spec(value: Option<&Value>) -> Result<SpecSource, String> {
    match value {
        None => Ok(SpecSource::File("/etc/otr/spec.yaml".into())),
        Some(value @ Value::Object(_)) => Ok(SpecSource::Inline(value.clone())),
        // Older versions of Ansible make text of a mapping that a template gave.
        Some(Value::String(text)) if text.trim_start().starts_with('{') => serde_json::from_str(text)
            .map(SpecSource::Inline)
            .map_err(|_| "`spec` begins like a mapping and is no JSON; give it as YAML, or the path of a file on the target".into()),
        Some(Value::String(path)) if path.starts_with('/') => Ok(SpecSource::File(path.into())),
        Some(Value::String(path)) => {
            Err(format!("`spec` is {path:?}; it must be an absolute path on the target, or the spec itself as a mapping"))
        }
        Some(_) => Err("`spec` must be a path on the target, or the spec itself as a mapping".into()),
    }
}

fn host(name: &str, value: Option<&Value>) -> Result<Option<HostName>, String> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|error| format!("`{name}`: {error}")),
        Some(_) => Err(format!("`{name}` must be the name of a host of the spec")),
    }
}

fn state(value: Option<&Value>) -> Result<State, String> {
    match value.map(|value| value.as_str()) {
        None | Some(Some("applied")) => Ok(State::Applied),
        Some(Some("planned")) => Ok(State::Planned),
        Some(Some("synced")) => Ok(State::Synced),
        Some(other) => Err(format!("`state` is {:?}; it must be planned, applied or synced", other.unwrap_or("no text"))),
    }
}

fn kinds(value: Option<&Value>) -> Result<Vec<String>, String> {
    let wrong = || "`only` must be a list of kinds of resources".to_owned();
    let words: Vec<String> = match value {
        None => Vec::new(),
        Some(Value::String(text)) => text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(wrong()),
    };
    for word in &words {
        let known = Kind::ALL.map(Kind::as_str);
        if !known.contains(&word.as_str()) {
            let hint = nearest(word, known).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
            return Err(format!("`only`: there is no kind {word:?}{hint}; there are {}", known.join(", ")));
        }
    }
    Ok(words)
}

fn secrets(value: Option<&Value>) -> Result<BTreeMap<String, Secret>, String> {
    let wrong = "`secrets` must be a mapping of texts, by the spec's references or the NAME in them";
    match value {
        None => Ok(BTreeMap::new()),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(name, value)| {
                let text = value.as_str().ok_or_else(|| format!("`secrets.{name}` must be a text"))?;
                Ok((name.clone(), Secret::new(text)))
            })
            .collect(),
        Some(_) => Err(wrong.into()),
    }
}

/// What Ansible takes for a boolean; on its command line everything is text.
fn truth(name: &str, value: &Value) -> Result<bool, String> {
    let text = match value {
        Value::Bool(truth) => return Ok(*truth),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.to_lowercase(),
        _ => String::new(),
    };
    match text.as_str() {
        "true" | "yes" | "on" | "1" | "y" | "t" => Ok(true),
        "false" | "no" | "off" | "0" | "n" | "f" => Ok(false),
        _ => Err(format!("`{name}` must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Params::read(text).unwrap_err()
    }

    #[test]
    fn every_version_of_ansible_is_read() {
        let keys_2_21 = r#""_ansible_check_mode": true, "_ansible_debug": false, "_ansible_diff": true, "_ansible_ignore_unknown_opts": false,
            "_ansible_inject_invocation": true, "_ansible_keep_remote_files": false, "_ansible_module_name": "otr", "_ansible_no_log": false,
            "_ansible_remote_tmp": "~/.ansible/tmp", "_ansible_selinux_special_fs": ["nfs"], "_ansible_shell_executable": "/bin/sh",
            "_ansible_socket": null, "_ansible_string_conversion_action": "warn", "_ansible_syslog_facility": "LOG_USER",
            "_ansible_target_log_info": null, "_ansible_tmpdir": null, "_ansible_tracebacks_for": [], "_ansible_verbosity": 0,
            "_ansible_version": "2.21.5", "_ansible_of_a_later_version": {"x": 1}"#;
        let params = Params::read(&format!(r#"{{"spec": "/etc/otr/spec.yaml", "only": "packages, pip", {keys_2_21}}}"#)).unwrap();
        assert!(params.check && params.diff);
        assert_eq!((params.module, params.state, params.only), (Module::Otr, State::Applied, vec!["packages".to_owned(), "pip".into()]));
        let params = Params::read(r#"{"_ansible_module_name": "otr.otr.otr_status", "_ansible_check_mode": "no"}"#).unwrap();
        assert_eq!((params.module, params.check), (Module::Status, false));
        assert_eq!(params.spec, SpecSource::File("/etc/otr/spec.yaml".into()));
    }

    #[test]
    fn a_spec_is_a_path_or_a_mapping() {
        for text in [r#"{"spec": {"version": 1}}"#, r#"{"spec": "{\"version\": 1}"}"#] {
            assert_eq!(Params::read(text).unwrap().spec, SpecSource::Inline(serde_json::json!({ "version": 1 })));
        }
        assert!(wrong(r#"{"spec": "otr.yaml"}"#).contains("absolute path on the target"));
        assert!(wrong(r#"{"spec": 3}"#).contains("a path on the target"));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_near() {
        assert_eq!(
            wrong(r#"{"sepc": "/x"}"#),
            "unknown parameter `sepc` (did you mean `spec`?); there are spec, host, state, only, secrets, replace_data, restarts, accept_new"
        );
        assert!(wrong(r#"{"only": ["pakages"]}"#).contains("did you mean `packages`?"));
        assert!(wrong(r#"{"state": "present"}"#).contains("it must be planned, applied or synced"));
        assert!(wrong(r#"{"state": ["applied"]}"#).contains("it must be planned"));
        assert!(wrong(r#"{"replace_data": "perhaps"}"#).contains("`replace_data` must be true or false"));
        assert!(wrong(r#"{"host": "a b"}"#).contains("`host`"));
        assert!(wrong(r#"{"_ansible_module_name": "otr_promote", "only": []}"#).contains("unknown parameter `only`"));
        assert!(wrong("[]").contains("JSON object"));
    }

    #[test]
    fn no_secret_is_told() {
        for text in [
            r#"{"secrets": {"redis": "hunter2"}, "x": 1}"#,
            r#"{"secrets": {"redis": ["hunter2"]}}"#,
            r#"{"secrets": "hunter2"}"#,
            "{hunter2",
        ] {
            assert!(!wrong(text).contains("hunter2"), "{}", wrong(text));
        }
        let params = Params::read(r#"{"secrets": {"redis": "hunter2"}}"#).unwrap();
        assert!(!format!("{params:?}").contains("hunter2"));
    }
}
