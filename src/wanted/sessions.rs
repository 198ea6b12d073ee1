//! Odoo's session module: its settings, each where the module reads it.
//!
//! The environment goes into a file that only root reads and that systemd hands to Odoo: what
//! stands in a unit (`Environment=`) every login may ask systemd for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::List;
use crate::action::Attributes;
use crate::look::Site;
use crate::look::elsewhere::Elsewhere;
use crate::name::Mode;
use crate::resource::ResourceId;
use crate::resource::elsewhere::Reached;
use crate::resource::file::File;
use crate::resource::session::{Module, Need};
use crate::secret::{Secret, SecretError, Text};
use crate::session::{Store, Wish};
use crate::spec::{OptionValue, Spec};

/// The variables of Odoo's service.
pub const ENVIRONMENT: &str = "/etc/otr/odoo-sessions.env";

/// Variables and options, by name.
pub type Values = BTreeMap<String, Result<Text, SecretError>>;

/// What the session module asks of odoo.conf besides its place in `server_wide_modules`.
pub fn options(list: &List<'_>) -> Values {
    let mut values = told(list).1;
    let version = list.spec().odoo_version();
    for (key, value) in &list.spec().sessions.options {
        let text = list.inputs.option(value, |value| crate::resource::odoo_conf::rendered(key, value, version));
        values.insert(key.to_lowercase(), text);
    }
    values
}

/// The environment's file, the drop-in that names it, and the check that the module can run here.
pub fn module(list: &mut List<'_>, software: &[ResourceId], redis: &[ResourceId]) -> Vec<ResourceId> {
    let spec = list.spec().clone();
    let Some(odoo) = &spec.odoo else { return Vec::new() };
    let mut variables = told(list).0;
    for (name, value) in odoo.environment.iter().chain(&spec.sessions.environment) {
        variables.insert(name.clone(), list.inputs.option(value, plain));
    }
    let mut done = Vec::new();
    elsewhere(list);
    if !variables.is_empty() {
        let Ok(root) = "root".parse::<crate::name::Word>() else { return done };
        let attributes = |mode| Attributes { owner: root.clone(), group: root.clone(), mode: Mode(mode) };
        let drop_in = PathBuf::from(format!("/etc/systemd/system/{}.d/otr-sessions.conf", odoo.unit));
        let text =
            format!("# Written by otr. The file may hold a password, so only root reads it.\n[Service]\nEnvironmentFile={ENVIRONMENT}\n");
        let host = list.host.clone();
        let file = File { host: host.clone(), path: ENVIRONMENT.into(), content: environment(&variables), attributes: attributes(0o600) };
        let file = list.add(file, &[]);
        let unit = File { host, path: drop_in.clone(), content: Ok(text.into()), attributes: attributes(0o644) };
        done.push(list.add(unit, std::slice::from_ref(&file)));
        done.push(file);
        list.reads.entry(odoo.unit.clone()).or_default().extend([PathBuf::from(ENVIRONMENT), drop_in]);
    }
    if let Some(known) = spec.sessions.known().filter(|_| !spec.sessions.patched) {
        let server = spec.redis.as_ref().filter(|_| spec.sessions.server.is_none());
        let of_redis =
            known.redis.zip(server).map(|((least, why), server)| (Need::Redis { config: server.config(), port: server.port, least }, why));
        let old = |last: u32| spec.odoo_version().is_some_and(|odoo| odoo <= last);
        let of_python = known.python.filter(|(.., last, _)| old(*last)).map(|(module, below, _, why)| {
            let site = spec.pip.as_ref().and_then(|pip| pip.venv.clone()).map_or(Site::System, Site::Venv);
            (Need::Python { site, module, below }, why)
        });
        for (need, why) in of_redis.into_iter().chain(of_python) {
            let resource = Module { host: list.host.clone(), name: known.name, need, why };
            // Not among what Odoo needs: on the day of a promotion it is to be tried.
            list.add(resource, &[software, redis].concat());
        }
    }
    done
}

/// A Redis that otr does not set up: each host is seen to reach it.
fn elsewhere(list: &mut List<'_>) {
    let Some(server) = list.spec().sessions.server.clone() else { return };
    let mut needs = Vec::new();
    if let (Some(password), Some(attributes)) = (&server.password, super::root_file(0o600)) {
        // The client reads it from there: it is in nobody's arguments.
        let content = list.inputs.setting(password).map(|text| text.map(|text| format!("AUTH {}\n", quoted(text))));
        let file = File { host: list.host.clone(), path: crate::look::elsewhere::LOGIN.into(), content, attributes };
        needs.push(list.add(file, &[]));
    }
    let at = Elsewhere { host: server.host, port: server.port, authority: server.authority };
    let host = list.host.clone();
    // At a promotion it is to be tried.
    if list.inputs.promoting {
        return;
    }
    list.add(Reached { host, at, cluster: server.cluster }, &needs);
}

/// A word of redis-cli's own quoting.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What otr tells a module it knows: variables, and options of odoo.conf.
fn told(list: &List<'_>) -> (Values, Values) {
    let spec = list.spec();
    let sessions = &spec.sessions;
    let (Some(module), Some(store)) = (sessions.known(), sessions.store.of_module()) else { return Default::default() };
    let password = password(list, spec);
    let uri = (store == Store::Database).then(|| uri(list, spec)).flatten();
    // One secret that cannot be read spoils what it stands in, and is named there.
    let error = [&password, &uri].into_iter().flatten().find_map(|text| text.as_ref().err().cloned());
    let readable = |text: &Option<Result<Text, SecretError>>| match text {
        Some(Ok(text)) => Some(text.clone()),
        Some(Err(_)) => Some(Text::Sensitive(Secret::new(""))),
        None => None,
    };
    let authority = match &sessions.server {
        Some(server) => server.authority.clone(),
        None => spec.redis.as_ref().and_then(|redis| redis.authority()),
    };
    let server = sessions.server.as_ref();
    let wish = Wish {
        store,
        // The certificate names the host: 127.0.0.1 is no name.
        host: server.map_or(if authority.is_some() { "localhost" } else { "127.0.0.1" }, |server| &server.host),
        port: server.map(|server| server.port).or(spec.redis.as_ref().map(|redis| redis.port)).unwrap_or(6379),
        index: sessions.index,
        user: sessions.user.as_deref(),
        password: readable(&password),
        prefix: sessions.prefix.as_deref(),
        expiration: sessions.expiration.map(|span| span.0.as_secs()),
        anonymous: sessions.anonymous_expiration.map(|span| span.0.as_secs()),
        tls: authority.as_deref(),
        // Its own host's sentinel: it knows one address alone, and that one is always near.
        sentinel: spec.sentinel().filter(|_| server.is_none() && module.sentinel.is_ok()).map(|sentinel| crate::session::Sentinel {
            host: "127.0.0.1",
            port: sentinel.port,
            primary: spec.sentinel_name(),
        }),
        uri: readable(&uri),
    };
    let settings = (module.settings)(&wish);
    let values = |pairs: Vec<(&str, Text)>| -> Values {
        let one = |text: Text| match &error {
            Some(error) if text.is_sensitive() => Err(error.clone()),
            _ => Ok(text),
        };
        pairs.into_iter().map(|(name, text)| (name.to_owned(), one(text))).collect()
    };
    (values(settings.environment), values(settings.options))
}

fn password(list: &List<'_>, spec: &Spec) -> Option<Result<Text, SecretError>> {
    let setting = match (&spec.sessions.server, &spec.redis) {
        (Some(server), _) => server.password.as_ref(),
        (None, Some(redis)) => match spec.sessions.user.as_ref().and_then(|name| redis.users.iter().find(|(n, _)| n.as_str() == name)) {
            Some((_, user)) => Some(&user.password),
            None => redis.password.as_ref(),
        },
        (None, None) => None,
    };
    setting.map(|setting| list.inputs.setting(setting))
}

/// Sessions beside Odoo's own tables replicate with them; a database of their own is cleaner.
fn uri(list: &List<'_>, spec: &Spec) -> Option<Result<Text, SecretError>> {
    match &spec.sessions.uri {
        Some(setting) => Some(list.inputs.setting(setting)),
        None => spec.odoo.as_ref()?.databases.first().map(|name| Ok(Text::Plain(name.to_string()))),
    }
}

/// A file for `EnvironmentFile=` (systemd.exec(5)): one assignment a line, in double quotes.
///
/// # Errors
/// A secret among them could not be read.
pub fn environment(variables: &Values) -> Result<Text, SecretError> {
    let mut text = String::from("# Written by otr.\n");
    let mut sensitive = false;
    for (name, value) in variables {
        let value = value.as_ref().map_err(Clone::clone)?;
        sensitive |= value.is_sensitive();
        let escaped: String =
            value.expose().chars().flat_map(|c| ("\\\"`$".contains(c)).then_some('\\').into_iter().chain(std::iter::once(c))).collect();
        text += &format!("{name}=\"{escaped}\"\n");
    }
    Ok(if sensitive { Text::Sensitive(Secret::new(text)) } else { Text::Plain(text) })
}

/// A value as a variable.
pub fn plain(value: &OptionValue) -> String {
    match value {
        OptionValue::Bool(on) => if *on { "1" } else { "0" }.into(),
        OptionValue::Int(number) => number.to_string(),
        OptionValue::Float(number) => number.to_string(),
        OptionValue::List(items) => items.join(","),
        OptionValue::Text(text) => text.clone(),
        OptionValue::Secret(reference) => reference.secret.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_of_any_characters_reaches_odoo_whole() {
        let text = environment(&Values::from([("A".into(), Ok(Text::Sensitive(Secret::new("a\"b\\c$d`e f"))))])).unwrap();
        assert!(text.is_sensitive());
        assert_eq!(text.expose(), "# Written by otr.\nA=\"a\\\"b\\\\c\\$d\\`e f\"\n");
        assert!(!environment(&Values::from([("A".into(), Ok("1".into()))])).unwrap().is_sensitive());
    }
}
