//! The Odoo of a drill: what it is told. Pure.
//!
//! Of the standby's odoo.conf it gets the few options without which no Odoo loads its code, and no
//! others: a list of what may pass, not of what may not. Of production's environment it gets nothing.

use std::collections::BTreeMap;

use crate::action::DrilledOdoo;
use crate::action::drill::{PLACE, PORT};
use crate::format::ini::Ini;
use crate::resource::odoo_conf::rendered;
use crate::secret::{Secret, Text};
use crate::session::MODULES;
use crate::spec::Odoo;
use crate::wanted::{Inputs, environment_file, plain};

/// The options of the standby's odoo.conf that a drill takes over.
const TAKEN: [&str; 14] = [
    "addons_path",
    "server_wide_modules",
    "upgrade_path",
    "unaccent",
    "geoip_database",
    "geoip_city_db",
    "geoip_country_db",
    "bin_path",
    "limit_memory_hard",
    "limit_memory_soft",
    "limit_time_cpu",
    "limit_time_real",
    "without_demo",
    "translate_modules",
];

/// Programs of which `ExecStart=` says nothing about Odoo's.
const WRAPPERS: [&str; 6] = ["sh", "bash", "dash", "env", "nice", "python3"];

/// Makes the Odoo of a drill of the standby's odoo.conf and the words of its unit's `ExecStart=`.
///
/// # Errors
/// The file is none that Odoo reads, its program is not clear, or a secret could not be read.
pub fn odoo(inputs: &Inputs<'_>, odoo: &Odoo, config: &str, starts: &[String]) -> Result<DrilledOdoo, String> {
    let spec = inputs.spec;
    let config = Ini::parse(config).map_err(|why| format!("{}: {why}", odoo.config.display()))?;
    let mut environment = BTreeMap::new();
    for (name, value) in &spec.drill.environment {
        environment.insert(name.clone(), inputs.option(value, plain));
    }
    let (options, sensitive) = options(inputs, odoo, &config)?;
    let text =
        options.iter().fold("[options]\n".to_owned(), |text, (key, value)| text + &format!("{key} = {}\n", value.replace('\n', "\n    ")));
    Ok(DrilledOdoo {
        user: odoo.user.clone(),
        program: program(&spec.drill.command, starts).ok_or_else(|| {
            format!("how Odoo starts does not follow from `ExecStart=` of {}: say its program as `drill.command`", odoo.unit)
        })?,
        config: if sensitive { Text::Sensitive(Secret::new(text)) } else { Text::Plain(text) },
        environment: environment_file(&environment).map_err(|why| why.to_string())?,
        filestore: odoo.data_dir.join("filestore"),
        databases: odoo.databases.clone(),
        hidden: vec![odoo.config.clone()],
    })
}

/// The words before the first option.
fn program(said: &[String], starts: &[String]) -> Option<Vec<String>> {
    if !said.is_empty() {
        return Some(said.to_vec());
    }
    let words: Vec<String> = starts.iter().take_while(|word| !word.starts_with('-')).cloned().collect();
    let name = |word: &String| word.rsplit('/').next().unwrap_or_default().to_owned();
    // `python3 odoo-bin` is a program; `sh` alone, or a wrapper of something, is none.
    let clear = match words.as_slice() {
        [one] => !WRAPPERS.contains(&name(one).as_str()),
        [first, second] => name(first).starts_with("python") && second.starts_with('/'),
        _ => false,
    };
    clear.then_some(words)
}

fn options(inputs: &Inputs<'_>, odoo: &Odoo, config: &Ini) -> Result<(BTreeMap<String, String>, bool), String> {
    let version = inputs.spec.odoo_version();
    let mut options = BTreeMap::new();
    for key in TAKEN {
        if let Some(value) = config.get("options", key) {
            options.insert(key.to_owned(), value.to_owned());
        }
    }
    // The session store stays out of it: it would ask the real Redis, and Odoo's own files will do.
    if let Some(modules) = options.get_mut("server_wide_modules") {
        let ours = |name: &&str| !MODULES.iter().any(|module| module.addon == *name);
        *modules = modules.split(',').map(str::trim).filter(ours).collect::<Vec<_>>().join(",");
    }
    let mut sensitive = false;
    for (key, value) in &inputs.spec.drill.options {
        let key = key.to_lowercase();
        let text = inputs.option(value, |value| rendered(&key, value, version)).map_err(|why| why.to_string())?;
        sensitive |= text.is_sensitive();
        options.insert(key, text.expose().to_owned());
    }
    let user = config.get("options", "db_user").filter(|user| !["", "False", "false", "None"].contains(user));
    let databases: Vec<&str> = odoo.databases.iter().map(|name| name.as_str()).collect();
    let http = if version.is_some_and(|version| version <= 10) { "xmlrpc" } else { "http" };
    let fixed = [
        ("db_host", format!("{PLACE}/socket")),
        ("db_port", "5432".into()),
        ("db_user", user.unwrap_or(odoo.user.as_str()).to_owned()),
        ("db_name", databases.join(",")),
        ("list_db", "False".into()),
        ("data_dir", format!("{PLACE}/odoo")),
        ("workers", "0".into()),
        ("max_cron_threads", "0".into()),
        ("smtp_server", "invalid.invalid".into()),
    ];
    options.extend(fixed.map(|(key, value)| (key.to_owned(), value)));
    options.insert(format!("{http}_port"), PORT.to_string());
    options.insert(format!("{http}_interface"), "127.0.0.1".into());
    Ok((options, sensitive))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secrets;
    use crate::spec::load::from_text;
    use crate::wanted::Program;

    const SPEC: &str = "version: 1\nname: acme\nproduction: erp1\nhosts: {erp1: {address: 192.0.2.1}, erp2: {address: 192.0.2.2}}\n\
        replication: {postgresql: 13}\nodoo:\n  version: 14\n  databases: [acme, beta]\n  environment: {AWS_ACCESS_KEY_ID: AKIA-PRODUCTION, AWS_HOST: s3.example.net}\n\
        drill: {environment: {RUNNING_ENV: test}, options: {running_env: test}}\n";
    const CONF: &str = "[options]\naddons_path = /usr/lib/odoo,/opt/x\nadmin_passwd = hunter2\ndb_password = hunter2\ndb_user = erp\ndb_host = 10.0.0.1\n\
        server_wide_modules = base,web,session_redis\nworkers = 6\naws_secret_access_key = hunter2\nlogfile = /var/log/odoo.log\n\
        [fs_storage.production]\noptions = hunter2\n";

    fn made(starts: &[&str]) -> Result<DrilledOdoo, String> {
        let spec = from_text("spec.yaml".as_ref(), SPEC.into(), &[]).unwrap().spec;
        let (secrets, files) = (Secrets::read([]), BTreeMap::new());
        let program = Program { sha256: Ok(String::new()), architecture: "x86_64" };
        let inputs =
            Inputs { spec: &spec, secrets: &secrets, files: &files, program: &program, text: "", promoting: false, checksum: false };
        let starts: Vec<String> = starts.iter().map(|word| (*word).to_owned()).collect();
        odoo(&inputs, spec.odoo.as_ref().unwrap(), CONF, &starts)
    }

    /// The line that must not be crossed: what production writes with never comes near a drill.
    #[test]
    fn nothing_of_productions_comes_near_it() {
        let made = made(&["/usr/bin/odoo", "--config", "/etc/odoo/odoo.conf"]).unwrap();
        let script =
            crate::action::script::script(&crate::action::Action::Drill(crate::action::DrillAction::StartOdoo(Box::new(made.clone()))));
        for word in ["AKIA-PRODUCTION", "AWS_", "hunter2", "s3.example.net", "session_redis", "10.0.0.1", "/var/log/odoo.log"] {
            assert!(!script.contains(word), "{word} is in:\n{script}");
        }
        assert_eq!(made.environment.expose(), "# Written by otr.\nRUNNING_ENV=\"test\"\n");
        let config = made.config.expose();
        for line in [
            "addons_path = /usr/lib/odoo,/opt/x",
            "server_wide_modules = base,web",
            "db_user = erp",
            "workers = 0",
            "db_name = acme,beta",
            "running_env = test",
        ] {
            assert!(config.lines().any(|l| l == line), "{line} is not in:\n{config}");
        }
        assert!(script.contains("PrivateNetwork=yes") && script.contains("InaccessiblePaths=-/etc/odoo/odoo.conf"));
    }

    #[test]
    fn a_program_that_is_not_clear_is_asked_for() {
        assert_eq!(made(&["/usr/bin/odoo", "-c", "x"]).unwrap().program, ["/usr/bin/odoo"]);
        assert_eq!(made(&["/v/bin/python3", "/opt/odoo-bin", "-c"]).unwrap().program, ["/v/bin/python3", "/opt/odoo-bin"]);
        for starts in [&["/bin/sh", "-c", "odoo"][..], &["/usr/bin/env", "odoo"], &[]] {
            assert!(made(starts).unwrap_err().contains("drill.command"), "{starts:?}");
        }
    }
}
