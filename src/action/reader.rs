//! Who reads a file that is to be written: its owner reads the new one before it takes its place. Where
//! the owner is not there, nobody can be asked, and the file is written.

use std::path::Path;

use serde::Serialize;

use crate::look::{quote, quote_path};
use crate::name::{UnitName, Word};

/// An owner that must be told how to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reader {
    /// Odoo's own parser, with the interpreter of its unit and as its user; Python's where there is no
    /// Odoo. Between the old file and the new one, these keys differ and no others.
    Odoo { unit: UnitName, user: Word, keys: Vec<String> },
    /// The server itself: behind the file's last line comes a port that is none, and there it ends, before
    /// it touches anything (6 to 8; a word it does not know is taken for a module's since 7).
    Redis { user: Word },
}

/// Reads the file as a whole: Odoo's parser knows which values each option takes (14 and 19; nothing is
/// started, nothing saved). It tells names, never values: some are passwords.
const ODOO: &str = r#"
import configparser, os, sys
new, old, script, *keys = sys.argv[1:]
def read(path):
    parser = configparser.RawConfigParser()
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        parser.read_file(file)
    return {(section, key): value for section in parser.sections() for key, value in parser.items(section)}
def refuse(error, name="it"):
    where = f" in line {error.lineno}" if getattr(error, "lineno", None) else ""
    sys.exit(f"{name} cannot be read: {type(error).__name__}{where}")
try:
    after = read(new)
except configparser.Error as error:
    refuse(error)
try:
    before = read(old)
except (OSError, configparser.Error):
    before = None
if before is not None:
    changed = sorted({key for section, key in before.keys() | after.keys() if before.get((section, key)) != after.get((section, key))} - set(keys))
    if changed:
        sys.exit("other keys would change too: " + ", ".join(changed))
try:
    if script:
        sys.path.insert(0, os.path.dirname(os.path.realpath(script)))
    from odoo.tools import config
except Exception:
    sys.exit(0)
for (section, key), value in after.items():
    if section == "options" and value not in ("False", "false") and key in getattr(config, "options_index", {}):
        try:
            config.parse(key, value)
        except Exception as error:
            refuse(error, key)
try:
    getattr(config, "_parse_config", lambda args: None)(["-c", new])
except UnicodeDecodeError as error:
    # What the old file was read with, only its unit knows.
    if before is None or not any("\udc80" <= c <= "\udcff" for c in open(old, encoding="utf-8", errors="surrogateescape").read()):
        refuse(error)
except Exception as error:
    refuse(error)
"#;

impl Reader {
    /// `$new` is the new file, `$place` its place; `$said` what was said against it.
    fn asks(&self) -> String {
        match self {
            Reader::Odoo { unit, user, keys } => {
                let keys: Vec<String> = keys.iter().map(|key| quote(key)).collect();
                format!(
                    r#"set -f; set -- $(systemctl show -p ExecStart --value -- {unit} 2>/dev/null | sed -n 's/.* argv\[\]=\([^;]*\) ;.*/\1/p' | head -n 1); set +f
python=${{1-}} script=${{1-}}
case ${{python##*/}} in
  python*) shift; while case ${{1-}} in -*) ;; *) false;; esac; do shift; done; script=${{1-}} ;;
  *) python=$(head -n 1 -- "${{python:-/dev/null}}" 2>/dev/null | tr -d '\0' | sed -n 's/^#! *\(.*env  *\)\{{0,1\}}\(-S  *\)\{{0,1\}}\([^ ]*python[^ ]*\).*/\3/p'); python=${{python:-python3}} ;;
esac
if command -v "$python" >/dev/null; then
  said=$(runuser -u {user} -- env -i PATH="$PATH" LANG=C.UTF-8 HOME=/nonexistent PYTHONDONTWRITEBYTECODE=1 timeout -k 5 60 "$python" - "$new" "$place" "$script" {keys} 2>&1 <<'OTR-READER'
{ODOO}
OTR-READER
  ) || refused Odoo "$said"
fi"#,
                    unit = quote(unit.as_str()),
                    user = quote(user.as_str()),
                    keys = keys.join(" "),
                )
            }
            // What it says first is the line, which may hold a password.
            Reader::Redis { user } => format!(
                r#"server=$(command -v redis-server || command -v valkey-server) || server=
if [ -n "$server" ]; then
  said=$(runuser -u {user} -- env -i PATH="$PATH" LC_ALL=C timeout -k 5 20 "$server" "$new" --port otr-reads-no-further 2>&1 </dev/null) || :
  case $said in *">>> 'port "*otr-reads-no-further*) ;; *) refused Redis "$(printf '%s\n' "$said" | sed -n "s/^>>> '\([A-Za-z-]*\).*/\1:/p; /^>>> /,\$ {{ /^>>> /!p; }}")";; esac
fi"#,
                user = quote(user.as_str()),
            ),
        }
    }
}

/// Files with an owner that is asked with the new file in its place, seen by nobody else: below which
/// path, who, and its command.
const IN_PLACE: [(&str, &str, &str); 5] = [
    ("/etc/nginx/", "nginx", "nginx -t -q"),
    ("/etc/ssh/sshd_config", "sshd", "sshd -t"),
    ("/etc/sudoers", "visudo", "visudo -c -q"),
    ("/etc/haproxy/", "haproxy", "haproxy -c -q -f /etc/haproxy/haproxy.cfg"),
    ("/etc/postgresql/", "runuser", "PostgreSQL"),
];

/// A cluster's settings; its other files are read by the running server alone.
fn postgres(path: &Path) -> Option<String> {
    let mut parts = path.strip_prefix("/etc/postgresql").ok()?.components().map(|part| part.as_os_str().to_string_lossy());
    let (version, name) = (parts.next()?, parts.next()?);
    let file = parts.next_back()?;
    let of_settings = file.ends_with(".conf") && !["pg_hba.conf", "pg_ident.conf", "start.conf", "pg_ctl.conf"].contains(&&*file);
    let program = format!("/usr/lib/postgresql/{version}/bin/postgres");
    let config = quote(&format!("/etc/postgresql/{version}/{name}"));
    of_settings.then(|| format!("runuser -u postgres -- {} -C data_directory -D {config}", quote(&program)))
}

/// Lines of a script that end it before `$new` takes the place of `path`, if its owner refuses it.
/// A file with a secret is not quoted in what is said.
pub(super) fn read(reader: Option<&Reader>, path: &Path, secret: bool) -> String {
    let shown = quote_path(path);
    let asks = match reader {
        Some(reader) => reader.asks(),
        None => {
            let of = |(below, ..): &&(&str, &str, &str)| path.to_string_lossy().starts_with(below);
            let Some((_, program, command)) = IN_PLACE.iter().find(of) else { return String::new() };
            let command = if *command == "PostgreSQL" { postgres(path) } else { Some((*command).to_owned()) };
            let Some(command) = command else { return String::new() };
            let directory = quote_path(path.parent().unwrap_or(Path::new("/")));
            let name = quote_path(path.file_name().map_or(Path::new(""), Path::new));
            let who = if *program == "runuser" { "PostgreSQL" } else { program };
            let said = if secret { "\"(what it says is not shown, for the file holds a secret)\"" } else { "\"$said\"" };
            // What it refuses already, without the new file, says nothing of the new file.
            format!(
                r#"if command -v {program} >/dev/null && unshare -m true 2>/dev/null; then
  seen=$(mktemp -d /run/otr-reads.XXXXXX)
  trap 'rm -rf -- "$seen"; leave' EXIT
  mkdir -- "$seen/d"
  cp -a -- {directory}/. "$seen/d"
  cp -a -- "$new" "$seen/d/"{name}
  rm -rf -- "$seen/d/."{name}.otr-*
  said=$(unshare -m sh -c 'mount --bind "$1" "$2" && {{ {command}; }}' sh "$seen/d" {directory} 2>&1 >/dev/null </dev/null) ||
    ! {command} >/dev/null 2>&1 </dev/null || refused {who} {said}
fi"#
            )
        }
    };
    format!(
        "place={shown}\nrefused() {{ printf '%s refuses what was to be written to %s, so it stays as it was: %s\\n' \"$1\" \"$place\" \"$2\" >&2; exit 1; }}\n{asks}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_owns_a_file_is_seen_by_its_path() {
        let of = |path: &str| read(None, Path::new(path), false);
        assert!(of("/etc/sudoers.d/acme").contains("visudo -c -q") && of("/etc/ssh/sshd_config.d/x.conf").contains("sshd -t"));
        assert!(of("/etc/nginx/sites-available/odoo").contains("nginx -t") && of("/etc/haproxy/haproxy.cfg").contains("haproxy -c"));
        assert!(of("/etc/postgresql/17/main/conf.d/50-otr.conf").contains("-D /etc/postgresql/17/main"));
        assert!(of("/etc/postgresql/17/main/pg_hba.conf").is_empty() && of("/etc/acme/notice").is_empty());
    }
}
