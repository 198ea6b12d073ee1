//! `otr sessions`: the login sessions on both sides. Exit 1 where a side was not seen, or has not
//! the session that was asked for.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::{Exit, Session, locked, open_fleet, print, print_json, warn_of_stale_spec};
use crate::cli::{Global, SessionsArgs};
use crate::secret::{SecretSource, Secrets};
use crate::sessions::{id_of, looks, place, report};
use crate::spec::Setting;

pub fn run(global: &Global, args: &SessionsArgs) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let fleet = match open_fleet(&session, spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    warn_of_stale_spec(&fleet, spec);
    let uri = match &spec.sessions.uri {
        Some(Setting::Plain(text)) => Some(text.clone()),
        Some(Setting::Secret(reference)) => Some(session.secrets.get(&reference.secret)?.expose().to_owned()),
        None => None,
    };
    let cookie = args.cookie.as_deref().map(cookie).transpose()?;
    let id = match &cookie {
        Some(text) => Some(id_of(text.expose()).context("--cookie: there is no session id in it")?),
        None => None,
    };
    let places: BTreeMap<_, _> = spec.members().map(|host| (host.clone(), place(spec, host, uri.as_deref()))).collect();
    let told = report(spec, &fleet.look(looks(&places)), &places, id);
    match global.json {
        true => print_json(&told)?,
        false => print(crate::report::sessions::render(&told, super::style(global)).trim_end())?,
    }
    let good = told.hosts.iter().all(|host| host.error.is_none() && host.has_cookie != Some(false));
    Ok(if good { Exit::Done } else { Exit::Failed })
}

/// A cookie is as good as a password: it is never an argument itself.
fn cookie(source: &str) -> Result<crate::secret::Secret> {
    let source = SecretSource::try_from(source.to_owned()).map_err(anyhow::Error::msg).context("--cookie")?;
    let secrets = Secrets::read([&source]);
    Ok(secrets.get(&source)?.clone())
}
