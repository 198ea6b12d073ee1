//! What `otr sessions` says: how many on each side, of which database, how old, and whether a
//! given one is there. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::facts::Facts;
use crate::look::{Look, SessionPlace, SessionsSight, sessions::digest};
use crate::name::{DatabaseName, HostName};
use crate::spec::{SessionStore, Spec};
use crate::wanted::cluster_at;

/// The store on every side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionsReport {
    /// The number of this format.
    pub format: u32,
    /// `sessions`.
    pub verb: &'static str,
    /// The spec's name.
    pub spec: String,
    /// The store's word in the spec.
    pub store: SessionStore,
    /// Each member.
    pub hosts: Vec<HostSessions>,
}

/// The store on one host.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct HostSessions {
    /// Its name.
    pub host: String,
    /// Its role in the spec.
    pub role: &'static str,
    /// Why it was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<usize>,
    /// How many by database; those of nobody under the empty name.
    pub databases: BTreeMap<String, usize>,
    /// Seconds since the one used last, and the one unused longest, was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<(u64, u64)>,
    /// Seconds until the first, and the last, ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<(u64, u64)>,
    /// Whether the session asked for is among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_cookie: Option<bool>,
}

/// Where a spec's sessions are looked for; or why they cannot be listed. `uri` is the connection of
/// `store: database`, its secret read.
pub fn place(spec: &Spec, host: &HostName, uri: Option<&str>) -> Result<SessionPlace, String> {
    let sessions = &spec.sessions;
    match sessions.store {
        SessionStore::Filesystem => {
            let odoo = spec.odoo.as_ref().ok_or("the spec has no `odoo:`")?;
            Ok(SessionPlace::Files(odoo.data_dir.join("sessions")))
        }
        SessionStore::Redis => {
            let redis = spec.redis.as_ref().filter(|_| sessions.server.is_none());
            let redis = redis.ok_or("they are in a Redis that otr does not set up: ask there")?;
            // muk_session_store counts from 1 unless it is told.
            let module = sessions.known();
            let default = if module.is_some_and(|module| module.name == "muk_session_store") { 1 } else { 0 };
            let prefix = sessions.prefix.as_deref();
            let prefix = module.map_or_else(|| prefix.unwrap_or_default().to_owned(), |module| (module.key)(prefix));
            Ok(SessionPlace::Redis { config: redis.config(), port: redis.port, index: sessions.index.unwrap_or(default), prefix })
        }
        SessionStore::Database => {
            let at = cluster_at(spec, host).ok_or("the spec has no `replication:`, so no PostgreSQL to ask")?;
            let first = spec.odoo.as_ref().and_then(|odoo| odoo.databases.first());
            let name = uri.map(database_of).or(first.map(DatabaseName::as_str)).ok_or("the spec names no database of sessions")?;
            Ok(SessionPlace::Table(at.cluster, name.parse().map_err(|error: crate::name::NameError| error.to_string())?))
        }
        SessionStore::Memcached => Err("memcached cannot list what it holds".into()),
    }
}

/// The database of a connection: its last part, or all of a bare name.
fn database_of(uri: &str) -> &str {
    let path = uri.split('?').next().unwrap_or(uri);
    path.rsplit('/').next().unwrap_or(path)
}

/// The id in a browser's cookie: the bare id, `session_id=…`, or a jar as curl writes it.
pub fn id_of(text: &str) -> Option<&str> {
    let is_id = |word: &&str| word.len() >= 20 && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let behind = text.rsplit_once("session_id").map(|(_, rest)| rest.trim_start_matches(['=', '\t', ' ', '"', ':']));
    let word = behind.unwrap_or(text).split(|c: char| c.is_whitespace() || c == ';' || c == '"').find(|word| !word.is_empty())?;
    Some(word).filter(is_id)
}

/// Reads the facts. `cookie` is the id asked for.
pub fn report(
    spec: &Spec,
    facts: &Facts,
    places: &BTreeMap<HostName, Result<SessionPlace, String>>,
    cookie: Option<&str>,
) -> SessionsReport {
    let asked = cookie.map(digest);
    let hosts = places.iter().map(|(host, place)| {
        let mut told = HostSessions { host: host.to_string(), role: spec.role(host).as_str(), ..HostSessions::default() };
        let seen = match place {
            Ok(place) => facts.sessions(host, place).map_err(|error| match facts.unreachable(host) {
                Some(why) => why.to_owned(),
                None => error.to_string(),
            }),
            Err(why) => Err(why.clone()),
        };
        match seen {
            Ok(seen) => count(&mut told, seen, asked.as_deref()),
            Err(why) => told.error = Some(why),
        }
        told
    });
    SessionsReport { format: 1, verb: "sessions", spec: spec.name.to_string(), store: spec.sessions.store, hosts: hosts.collect() }
}

/// What must be seen.
pub fn looks(places: &BTreeMap<HostName, Result<SessionPlace, String>>) -> Vec<(HostName, Look)> {
    let known = places.iter().filter_map(|(host, place)| Some((host.clone(), place.clone().ok()?)));
    known.map(|(host, place)| (host, Look::Sessions(place))).collect()
}

fn count(told: &mut HostSessions, seen: &SessionsSight, asked: Option<&str>) {
    told.sessions = Some(seen.sessions.len());
    for session in &seen.sessions {
        *told.databases.entry(session.database.clone().unwrap_or_default()).or_default() += 1;
    }
    let range = |of: fn(&crate::look::sessions::Session) -> Option<u64>| {
        let all = || seen.sessions.iter().filter_map(of);
        all().min().zip(all().max())
    };
    told.age = range(|session| session.age);
    told.left = range(|session| session.left);
    told.has_cookie = asked.map(|asked| seen.ids.contains(asked));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_as_people_have_them() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let jar = format!("# Netscape HTTP Cookie File\n#HttpOnly_10.0.0.1\tFALSE\t/\tFALSE\t1795337525\tsession_id\t{id}\n");
        for text in [id.to_owned(), format!("session_id={id}; Path=/"), jar, format!("{id}\n")] {
            assert_eq!(id_of(&text), Some(id), "{text}");
        }
        assert_eq!(id_of("no cookie here"), None);
        assert_eq!(database_of("postgres://u:p@h/sessions?sslmode=require"), "sessions");
        assert_eq!(database_of("acme"), "acme");
    }
}
