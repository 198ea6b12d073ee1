//! Sessions in their store: of which database, how old, and which. The ids are as good as
//! passwords: what is kept of them is a digest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ClusterName, Reply, SightError, quote, quote_path};
use crate::name::DatabaseName;

/// Where sessions are looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SessionPlace {
    /// A folder of Odoo's own store.
    Files(PathBuf),
    /// A Redis server.
    Redis {
        /// redis.conf.
        config: PathBuf,
        /// The server's port.
        port: u16,
        /// The database's number.
        index: u32,
        /// What stands before an id.
        prefix: String,
    },
    /// session_db's table.
    Table(ClusterName, DatabaseName),
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The database somebody is logged in to, or chose.
    pub database: Option<String>,
    /// Seconds since it was last written; where the store keeps that.
    pub age: Option<u64>,
    /// Seconds until it ends; where the store keeps that.
    pub left: Option<u64>,
}

/// All sessions of a store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SessionsSight {
    /// They.
    pub sessions: Vec<Session>,
    /// The SHA-256 of each id.
    pub ids: BTreeSet<String>,
}

/// The digest by which an id is known.
pub fn digest(id: &str) -> String {
    Sha256::digest(id.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lines of `AGE LEFT DATABASE ID`, `-` for what is not known.
pub(super) fn script(place: &SessionPlace) -> String {
    match place {
        SessionPlace::Files(directory) => files(directory),
        SessionPlace::Redis { config, port, index, prefix } => redis(config, *port, *index, prefix),
        SessionPlace::Table(cluster, database) => format!(
            "{} <<'OTR-EOF'\nSELECT greatest(0, extract(epoch FROM now() AT TIME ZONE 'UTC' - write_date))::bigint || ' - ' || coalesce(nullif(payload::json->>'db', ''), '-') || ' ' || sid FROM http_sessions;\nOTR-EOF\necho end",
            super::postgres::psql(cluster, database.as_str())
        ),
    }
}

/// Pickles are walked word by word and never loaded: what loads one runs it.
fn files(directory: &Path) -> String {
    let program = r#"
import json, os, pickletools, re, sys, time
now = time.time()
def database(data):
    if data[:1] == b"{":
        return json.loads(data).get("db")
    key = False
    for op, value, _ in pickletools.genops(data):
        if key and op.name in ("NONE",) or key and isinstance(value, str):
            return value
        if isinstance(value, str):
            key = value == "db"
for root, _, names in os.walk(sys.argv[1]):
    for name in names:
        found = re.fullmatch(r"(?:werkzeug_)?([A-Za-z0-9_-]{40,90})(?:\.sess)?", name)
        if not found:
            continue
        try:
            path = os.path.join(root, name)
            age = max(0, int(now - os.stat(path).st_mtime))
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            continue
        try:
            name = database(data)
        except Exception:
            name = None
        print(age, "-", re.sub(r"\s", "_", name or "") or "-", found.group(1))
print("end")
"#;
    let directory = quote_path(directory);
    format!("ls -d -- {directory} >/dev/null || exit 1\npython3 - {directory} <<'OTR-EOF'{program}OTR-EOF")
}

/// One walk inside the server; a replica answers it too. Values that are not JSON (pickles) have no
/// database to show.
fn redis(config: &Path, port: u16, index: u32, prefix: &str) -> String {
    let lua = "local r={} local c='0' repeat local s=redis.call('SCAN',c,'MATCH',ARGV[1]..'*','COUNT',1000) c=s[1] \
               for _,k in ipairs(s[2]) do local v=redis.pcall('GET',k) if type(v)=='string' then local d='-' local ok,j=pcall(cjson.decode,v) \
               if ok and type(j)=='table' and type(j.db)=='string' then d=string.gsub(j.db,'%s','_') end \
               local t=redis.call('TTL',k) if t<0 then t='-' end r[#r+1]='- '..t..' '..d..' '..string.sub(k,#ARGV[1]+1) end end until c=='0' return r";
    format!(
        "{}\nanswer=$(echo PING | redis_send 2>&1)\ncase $answer in *PONG*) ;; *) printf '%s\\n' \"$answer\" >&2; exit 1;; esac\nprintf 'SELECT {index}\\nEVAL \"%s\" 0 \"%s\"\\n' {} {} | redis_send | grep -v -x -e OK -e '.*WRONGPASS .*' -e '.*without any password configured.*'\necho end",
        super::redis::client(config, port),
        quote(lua),
        quote(prefix)
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<SessionsSight, SightError> {
    let text = reply.text(limit)?;
    let lines = text.trim_end().strip_suffix("end").ok_or(SightError::Truncated)?;
    let mut sight = SessionsSight::default();
    for line in lines.lines().filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [age, left, database, id] = fields.as_slice() else {
            // A server's complaint, not an id: those have no blanks.
            return Err(SightError::Failed(line.chars().take(200).collect()));
        };
        let number = |text: &str| text.parse::<u64>().ok();
        sight.ids.insert(digest(id));
        sight.sessions.push(Session { database: (*database != "-").then(|| (*database).to_owned()), age: number(age), left: number(left) });
    }
    Ok(sight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_and_json_are_told_by_database_and_ids_are_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef0123456789abcdef01234567";
        // pickle.dumps({"login": "db", "db": "acme", "uid": 2}, 4), as Odoo 14 writes them.
        let pickle = b"\x80\x04\x95%\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x05login\x94\x8c\x02dx\x94\x8c\x02db\x94\x8c\x04acme\x94\x8c\x03uid\x94K\x02u.";
        std::fs::write(dir.path().join(format!("werkzeug_{id}.sess")), pickle).unwrap();
        let modern = "A".repeat(84);
        std::fs::create_dir(dir.path().join("AA")).unwrap();
        std::fs::write(dir.path().join("AA").join(&modern), r#"{"db": "other", "uid": 2}"#).unwrap();
        std::fs::write(dir.path().join("AA/torn.tmp"), "x").unwrap();
        let place = SessionPlace::Files(dir.path().to_owned());
        let output = std::process::Command::new("sh").arg("-c").arg(script(&place)).output().unwrap();
        let reply =
            Reply { stdout: output.stdout, stderr: String::from_utf8_lossy(&output.stderr).into(), status: output.status.code().unwrap() };
        let sight = read(&reply, 20).unwrap();
        let mut databases: Vec<_> = sight.sessions.iter().map(|session| session.database.clone().unwrap()).collect();
        databases.sort();
        assert_eq!(databases, ["acme", "other"]);
        assert!(sight.ids.contains(&digest(id)) && sight.ids.contains(&digest(&modern)));
        assert!(!format!("{sight:?}").contains(id));
        let gone = SessionPlace::Files(dir.path().join("gone"));
        let output = std::process::Command::new("sh").arg("-c").arg(script(&gone)).output().unwrap();
        assert_ne!(output.status.code(), Some(0), "what cannot be listed is not empty");
    }

    #[test]
    fn a_complaint_is_no_session() {
        let reply = |text: &str| Reply { stdout: text.into(), ..Reply::default() };
        assert!(matches!(read(&reply("NOPERM this user has no permissions\nend\n"), 1), Err(SightError::Failed(_))));
        assert_eq!(read(&reply("end\n"), 1).unwrap().sessions.len(), 0);
        assert_eq!(read(&reply("- 60 acme abc\n"), 1), Err(SightError::Truncated));
        let one = read(&reply("- 60 - abc\nend\n"), 1).unwrap();
        assert_eq!(one.sessions, [Session { database: None, age: None, left: Some(60) }]);
    }
}
