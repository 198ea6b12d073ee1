//! What a drill sees: the ground before it, and afterwards its Odoo and its attachments.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::odoo::{self, LoginPage};
use super::{ClusterName, Reply, SightError, quote, quote_path};
use crate::name::{DatabaseName, UnitName};

/// The drill's own place. Nothing outside of it is written.
pub const PLACE: &str = "/var/lib/otr/drill";
/// The unit that all others are bound to: a drill is under way while it runs, and ends with it.
pub const UNIT: &str = "otr-drill.service";

/// One look of a drill's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DrillLook {
    /// Room, memory, what is there.
    Ground {
        /// Whose data is copied.
        cluster: ClusterName,
        /// The service whose program is started.
        unit: UnitName,
        /// Where the drill takes place.
        place: String,
    },
    /// Odoo in the drill's network, as far as it is.
    Odoo {
        /// Its unit.
        unit: String,
        /// Its log.
        log: String,
        /// Its port.
        port: u16,
        /// The database to log in to.
        database: DatabaseName,
    },
    /// The attachments that the copy names, in the store that the standby has.
    Files {
        /// How `psql` reaches the copy.
        psql: String,
        /// `data_dir/filestore/<database>`.
        directory: std::path::PathBuf,
        /// How many are read and hashed.
        sample: u32,
    },
}

/// What one of them sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "each variant is the sight of the look of the same name")]
pub enum DrillSight {
    Ground(Ground),
    Odoo(Box<Drilled>),
    Files(Files),
}

/// The ground.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Ground {
    /// Bytes of the cluster without its WAL.
    pub data: u64,
    /// Bytes that are free where the drill takes place.
    pub free: u64,
    /// Bytes of memory that nobody needs.
    pub memory: u64,
    /// Table spaces besides the two that every cluster has.
    pub tablespaces: u64,
    /// The words of `ExecStart=` of Odoo's service, which is masked on a standby: its files are read.
    pub starts: Vec<String>,
    /// Programs a drill calls that are not there.
    pub absent: Vec<String>,
}

/// Odoo in the drill.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Drilled {
    /// It runs.
    pub running: bool,
    /// It listens on its port.
    pub listening: bool,
    /// The names of its environment.
    pub environment: Vec<String>,
    /// The interfaces of its network.
    pub network: Vec<String>,
    /// The login page.
    pub page: Option<LoginPage>,
    /// The lines of its log that say what is wrong.
    pub log: Vec<String>,
}

/// Attachments.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Files {
    /// The store is there.
    pub store: bool,
    /// Files that the copy names.
    pub named: u64,
    /// Names that are none of a filestore: kept elsewhere.
    pub elsewhere: u64,
    /// Files that are missing.
    pub missing: u64,
    /// Some of them.
    pub examples: Vec<String>,
    /// Files that were read and hashed.
    pub sampled: u64,
    /// Of these, those whose SHA-1 is not their name, or that cannot be read.
    pub damaged: Vec<String>,
}

impl DrillLook {
    /// Words for a person.
    pub fn shown(&self) -> &'static str {
        match self {
            Self::Ground { .. } => "the room for a drill",
            Self::Odoo { .. } => "the drilled Odoo",
            Self::Files { .. } => "the attachments of the copy",
        }
    }

    /// How long it may take, seconds.
    pub(super) fn limit(&self) -> u64 {
        match self {
            Self::Ground { .. } => 300,
            Self::Odoo { .. } => 180,
            Self::Files { .. } => 3600,
        }
    }

    pub(super) fn script(&self) -> String {
        match self {
            Self::Ground { cluster, unit, place } => ground(cluster, unit, place),
            Self::Odoo { unit, log, port, database } => drilled(unit, log, *port, database),
            Self::Files { psql, directory, sample } => files(psql, directory, *sample),
        }
    }

    pub(super) fn read(&self, reply: &Reply, limit: u64) -> Result<DrillSight, SightError> {
        let text = reply.text(limit)?.strip_suffix("end\n").ok_or(SightError::Truncated)?;
        let mut lines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in text.lines() {
            let (key, value) = line.split_once('\t').ok_or_else(|| SightError::Unreadable(format!("line {line:?}")))?;
            lines.entry(key).or_default().push(value);
        }
        let all = |key: &str| lines.get(key).cloned().unwrap_or_default();
        let words = |key: &str| all(key).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let number = |key: &str| -> Result<u64, SightError> {
            let value = all(key).first().copied().unwrap_or("nothing");
            value.trim().parse().map_err(|_| SightError::Unreadable(format!("{key}: {value:?} is no number")))
        };
        Ok(match self {
            Self::Ground { .. } => DrillSight::Ground(Ground {
                data: number("data")? * 1024,
                free: number("free")? * 1024,
                memory: number("memory")? * 1024,
                tablespaces: number("tablespaces")?,
                starts: all("starts").first().map(|line| starts(line)).unwrap_or_default(),
                absent: words("absent"),
            }),
            Self::Odoo { .. } => {
                let page = all("page").first().filter(|json| !json.is_empty()).map(|json| serde_json::from_str(json)).transpose();
                let page = page.map_err(|error| SightError::Unreadable(error.to_string()))?;
                let split = |key: &str| all(key).first().map(|line| line.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect());
                DrillSight::Odoo(Box::new(Drilled {
                    running: all("running").first() == Some(&"yes"),
                    listening: all("listening").first() == Some(&"yes"),
                    environment: split("environment").unwrap_or_default(),
                    network: split("network").unwrap_or_default(),
                    page,
                    log: words("log"),
                }))
            }
            Self::Files { .. } => DrillSight::Files(Files {
                store: all("store").first() == Some(&"yes"),
                named: number("named")?,
                elsewhere: number("elsewhere")?,
                missing: number("missing")?,
                examples: words("example"),
                sampled: number("sampled")?,
                damaged: words("damaged"),
            }),
        })
    }
}

/// `ExecStart=` of the unit's file, without what systemd reads before it.
fn starts(line: &str) -> Vec<String> {
    line.trim_start_matches(['-', '@', ':', '+', '!']).split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect()
}

fn ground(cluster: &ClusterName, unit: &UnitName, place: &str) -> String {
    let psql = super::postgres::psql(cluster, "postgres");
    format!(
        "t=$(printf '\\t')\n\
         d=$({psql} -c 'SHOW data_directory')\n\
         echo \"data$t$(du -sk --exclude=pg_wal -- \"$d\" | cut -f1)\"\n\
         p={}; while [ ! -e \"$p\" ]; do p=$(dirname \"$p\"); done\n\
         echo \"free$t$(df -Pk -- \"$p\" | awk 'NR == 2 {{ print $4 }}')\"\n\
         echo \"memory$t$(awk '/^MemAvailable:/ {{ print $2 }}' /proc/meminfo)\"\n\
         echo \"tablespaces$t$({psql} -c \"SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')\")\"\n\
         {}\n\
         echo \"starts$t$(printf '%s\\n' \"$e\" | grep . | tail -n 1)\"\n\
         for c in systemd-run nsenter runuser python3 comm shuf sha1sum; do command -v $c >/dev/null || echo \"absent$t$c\"; done\n\
         echo end",
        quote(place),
        exec_start(unit),
    )
}

/// Leaves the `ExecStart=` lines of a unit's files in `$e`: systemctl shows none of a masked one.
pub(super) fn exec_start(unit: &UnitName) -> String {
    format!(
        "u={}; case $u in *@*) n=${{u%%@*}}@.service;; *) n=$u;; esac; i=${{u#*@}}; i=${{i%.service}}\n\
         e=; for d in /lib /usr/lib /usr/local/lib /run /etc; do for f in \"$d/systemd/system/$n\" \"$d/systemd/system/$n.d\"/*.conf \"$d/systemd/system/$u\" \"$d/systemd/system/$u.d\"/*.conf; do \
         [ ! -f \"$f\" ] || e=$(printf '%s\\n' \"$e\"; sed -n 's/^ExecStart=//p' \"$f\" | sed \"s|%[iI]|$i|g\"); done; done",
        quote(unit.as_str())
    )
}

/// Until systemd has handed over, the process is systemd's own: it is still in the host's network.
fn drilled(unit: &str, log: &str, port: u16, database: &DatabaseName) -> String {
    // It listens where it was told to; its unit is not asked, for this runs in its network.
    let visit = odoo::Visit { unit: None, config: "/dev/null".into(), port, database: Some(database.clone()) };
    let page = quote(&odoo::script(&visit));
    format!(
        "t=$(printf '\\t')\n\
         pid=$(systemctl show -p MainPID --value {unit})\n\
         if [ \"${{pid:-0}}\" -gt 0 ] && [ -r /proc/$pid/environ ]; then\n\
         echo \"running${{t}}yes\"\n\
         case $(readlink /proc/$pid/exe) in */systemd|*/systemd-executor|'') echo end; exit 0;; esac\n\
         echo \"environment$t$(tr '\\0' '\\n' </proc/$pid/environ | cut -d= -f1 | tr '\\n' ' ')\"\n\
         echo \"network$t$(awk -F: 'NR > 2 {{ gsub(/ /, \"\", $1); printf \"%s \", $1 }}' /proc/$pid/net/dev)\"\n\
         if grep -q ':{port:04X} 00000000:0000 0A' /proc/$pid/net/tcp; then echo \"listening${{t}}yes\"; echo \"page$t$(nsenter --net=/proc/$pid/ns/net sh -c {page})\"; fi\n\
         else echo \"running${{t}}no\"; fi\n\
         [ ! -r {log} ] || grep -E ' (ERROR|CRITICAL) |^[A-Za-z_.]*(Error|Exception)\\b|no network of its own' {log} | tail -n 8 | cut -c1-300 | \
         while IFS= read -r l; do printf 'log\\t%s\\n' \"$l\"; done\n\
         echo end"
    )
}

fn files(psql: &str, directory: &Path, sample: u32) -> String {
    format!(
        "t=$(mktemp -d) || exit 1\ntrap 'rm -rf -- \"$t\"' EXIT\n\
         {psql} -c 'SELECT DISTINCT store_fname FROM ir_attachment WHERE store_fname IS NOT NULL' >\"$t/all\" || exit 1\n\
         grep -xE '[0-9a-f]{{2}}/[0-9a-f]{{40}}' \"$t/all\" | sort >\"$t/named\"\n\
         s=no; : >\"$t/there\"\n\
         if cd {} 2>/dev/null; then s=yes; find . -mindepth 2 -maxdepth 2 -type f -printf '%P\\n' | sort >\"$t/there\"; fi\n\
         comm -23 \"$t/named\" \"$t/there\" >\"$t/missing\"\n\
         comm -12 \"$t/named\" \"$t/there\" | shuf -n {sample} | sed 's|^\\(../\\)\\(.*\\)$|\\2  \\1\\2|' >\"$t/sample\"\n\
         printf 'store\\t%s\\nnamed\\t%s\\nelsewhere\\t%s\\nmissing\\t%s\\nsampled\\t%s\\n' $s $(wc -l <\"$t/named\") \
         $(( $(wc -l <\"$t/all\") - $(wc -l <\"$t/named\") )) $(wc -l <\"$t/missing\") $(wc -l <\"$t/sample\")\n\
         head -n 20 \"$t/missing\" | sed 's/^/example\\t/'\n\
         [ ! -s \"$t/sample\" ] || sha1sum -c --quiet \"$t/sample\" 2>/dev/null | sed -n 's/^\\(.*\\): FAILED.*/damaged\\t\\1/p' | head -n 20\n\
         echo end",
        quote_path(directory)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(look: &DrillLook) -> Result<DrillSight, SightError> {
        let output = std::process::Command::new("sh").arg("-c").arg(look.script()).env("LC_ALL", "C").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        look.read(&Reply { stdout: output.stdout, stderr, status: output.status.code().unwrap() }, 5)
    }

    #[test]
    fn missing_and_damaged_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, gone, bad) = (
            "aa/".to_owned() + "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
            "bb/".to_owned() + &"b".repeat(40),
            "cc/".to_owned() + &"c".repeat(40),
        );
        for (name, text) in [(&whole, "hello"), (&bad, "else")] {
            std::fs::create_dir_all(folder.path().join(&name[..2])).unwrap();
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let psql = format!("f() {{ printf '%s\\n' {whole} {gone} {bad} s3://bucket/x; }}; f");
        let look = |directory: &Path| DrillLook::Files { psql: psql.clone(), directory: directory.to_owned(), sample: 10 };
        let Ok(DrillSight::Files(seen)) = run(&look(folder.path())) else { panic!("not seen") };
        assert_eq!(seen, Files { store: true, named: 3, elsewhere: 1, missing: 1, examples: vec![gone], sampled: 2, damaged: vec![bad] });
        let Ok(DrillSight::Files(seen)) = run(&look(&folder.path().join("nowhere"))) else { panic!("not seen") };
        assert_eq!((seen.store, seen.missing, seen.sampled), (false, 3, 0));
    }

    #[test]
    fn a_reply_that_breaks_off_is_no_sight() {
        let look = DrillLook::Files { psql: String::new(), directory: "/x".into(), sample: 1 };
        let reply = Reply { stdout: b"store\tyes\nnamed\t3\n".to_vec(), ..Reply::default() };
        assert_eq!(look.read(&reply, 1), Err(SightError::Truncated));
    }

    #[test]
    fn the_program_of_a_unit_is_read() {
        let words = ["/usr/bin/odoo", "--config", "/etc/odoo/odoo.conf"];
        assert_eq!(starts("-/usr/bin/odoo --config \"/etc/odoo/odoo.conf\""), words);
        assert!(starts("").is_empty());
    }
}
