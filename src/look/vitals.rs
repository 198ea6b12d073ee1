//! What a machine has to give: room on its disks, free ports, locales, and how soon Odoo answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::postgres::psql;
use super::{ClusterName, Reply, SightError, quote, quote_path};
use crate::name::DatabaseName;

/// What a machine has to give.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Vitals {
    /// The file system below each path.
    pub rooms: BTreeMap<PathBuf, Room>,
    /// TCP ports somebody listens on, and the program, where the login may see it.
    pub ports: BTreeMap<u16, String>,
    /// The locales programs can use, as `locale -a` has them.
    pub locales: BTreeSet<String>,
    /// The C library: its version decides how text is sorted.
    pub libc: String,
    /// Databases: encoding, collation, and the bytes of the attachments they refer to.
    pub databases: BTreeMap<String, Database>,
    /// Milliseconds until the first byte of the login page; `None` if nothing answers.
    pub first_byte: Option<u64>,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Where it is mounted.
    pub mounted_at: PathBuf,
    /// Bytes it has.
    pub size: u64,
    /// Bytes that are free.
    pub free: u64,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// `UTF8`.
    pub encoding: String,
    /// `LC_COLLATE`.
    pub collation: String,
    /// Bytes of the files its attachments refer to, where it is Odoo's.
    pub attachments: u64,
}

const FIRST_BYTE: &str = r#"
import sys, time, http.client
begun = time.monotonic()
try:
    link = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=15)
    link.request("GET", "/web/login" + sys.argv[2])
    link.getresponse().read(1)
    print("first-byte\t%d" % ((time.monotonic() - begun) * 1000))
except Exception:
    pass
"#;

pub(super) fn script(paths: &[PathBuf], odoo: Option<u16>, cluster: Option<&ClusterName>, databases: &[DatabaseName]) -> String {
    let list: Vec<String> = paths.iter().map(|path| quote_path(path)).collect();
    let mut script = format!(
        r#"for path in {}; do
  there=$path
  while [ ! -e "$there" ]; do there=$(dirname "$there"); done
  df -Pk -- "$there" | awk -v path="$path" 'NR == 2 {{ printf "room\t%s\t%s\t%.0f\t%.0f\n", path, $6, $2 * 1024, $4 * 1024 }}'
done
ss -Hltnp 2>/dev/null | awk '{{ n = split($4, at, ":"); who = ""; if (match($0, /\(\("[^"]*/)) who = substr($0, RSTART + 3, RLENGTH - 3); print "port\t" at[n] "\t" who }}'
locale -a 2>/dev/null | sed 's/^/locale\t/'
ldd --version 2>/dev/null | sed -n '1s/.* /libc\t/p'
"#,
        list.join(" ")
    );
    if let Some(port) = odoo {
        let database = databases.first().map_or(String::new(), |name| format!("?db={name}"));
        script.push_str(&format!("command -v python3 >/dev/null && python3 -c {} {port} {}\n", quote(FIRST_BYTE), quote(&database)));
    }
    if let Some(cluster) = cluster {
        let psql_of = |database: &str| format!("{} -F '\t' 2>/dev/null", psql(cluster, database));
        let all = "SELECT 'database', datname, pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'";
        script.push_str(&format!("{} -c {}\n", psql_of("postgres"), quote(all)));
        for database in databases {
            let sum = format!(
                "SELECT 'attachments', '{database}', coalesce(sum(size), 0)::bigint FROM \
                 (SELECT max(file_size) AS size FROM ir_attachment WHERE store_fname <> '' AND store_fname NOT LIKE '%://%' GROUP BY store_fname) files"
            );
            script.push_str(&format!("{} -c {}\n", psql_of(database.as_str()), quote(&sum)));
        }
    }
    script + ":"
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Vitals, SightError> {
    let mut vitals = Vitals::default();
    for line in reply.text(limit)?.lines() {
        let wrong = || SightError::Unreadable(format!("line {line:?}"));
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        match line.split('\t').collect::<Vec<_>>().as_slice() {
            ["room", path, at, size, free] => {
                let room = Room { mounted_at: at.into(), size: number(size)?, free: number(free)? };
                vitals.rooms.insert(path.into(), room);
            }
            ["port", port, who] => {
                vitals.ports.entry(port.parse().map_err(|_| wrong())?).or_insert_with(|| (*who).to_owned());
            }
            ["locale", name] => {
                vitals.locales.insert((*name).to_owned());
            }
            ["libc", version] => vitals.libc = (*version).to_owned(),
            ["first-byte", time] => vitals.first_byte = Some(number(time)?),
            ["database", name, encoding, collation] => {
                let database = Database { encoding: (*encoding).to_owned(), collation: (*collation).to_owned(), attachments: 0 };
                vitals.databases.insert((*name).to_owned(), database);
            }
            ["attachments", name, bytes] => {
                let bytes = number(bytes)?;
                if let Some(database) = vitals.databases.get_mut(*name) {
                    database.attachments = bytes;
                }
            }
            _ => return Err(wrong()),
        }
    }
    Ok(vitals)
}

impl Vitals {
    /// The file system below a path.
    pub fn room(&self, path: &Path) -> Option<&Room> {
        self.rooms.get(path)
    }

    /// Whether a database of this collation can be used here.
    pub fn has_locale(&self, collation: &str) -> bool {
        // `C.UTF-8` and `de_DE.UTF-8` are listed as C.UTF-8 or C.utf8, de_DE.utf8.
        let plain = |name: &str| name.to_ascii_lowercase().replace('-', "");
        matches!(collation, "C" | "POSIX") || self.locales.iter().any(|locale| plain(locale) == plain(collation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_read() {
        let text = "room\t/var/lib/odoo\t/\t1000\t400\nport\t22\tsshd\nport\t22\t\nport\t8069\todoo\nlocale\tC.UTF-8\nlocale\tde_DE.utf8\n\
                    libc\t2.31\nfirst-byte\t63\ndatabase\tacme\tUTF8\tC.UTF-8\nattachments\tacme\t77\n";
        let vitals = read(&Reply { stdout: text.into(), ..Reply::default() }, 1).unwrap();
        assert_eq!(vitals.room("/var/lib/odoo".as_ref()).unwrap().free, 400);
        assert_eq!((vitals.ports[&22].as_str(), vitals.ports[&8069].as_str(), vitals.first_byte), ("sshd", "odoo", Some(63)));
        assert_eq!((vitals.databases["acme"].attachments, vitals.libc.as_str()), (77, "2.31"));
        assert!(vitals.has_locale("de_DE.UTF-8") && vitals.has_locale("C") && !vitals.has_locale("sv_SE.UTF-8"));
    }
}
