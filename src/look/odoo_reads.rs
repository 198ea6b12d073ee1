//! Whether Odoo itself reads a text as its configuration: asked of its own parser on the host, without a
//! server, a database or a change of its file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Reply, SightError, quote};
use crate::name::{UnitName, Word};
use crate::secret::Secret;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reading {
    /// The file whose text it would be.
    pub config: PathBuf,
    /// Odoo's service, whose program says which Python it is.
    pub unit: UnitName,
    /// Its user.
    pub user: Word,
    /// The text.
    pub text: Secret,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Read {
    /// It reads it.
    Yes,
    /// It does not start with it.
    No(String),
    /// It could not be asked: there is no Odoo that this way finds.
    Unasked(String),
}

/// The text comes on standard input: it holds passwords.
pub(super) fn script(reading: &Reading) -> String {
    format!(
        "{}\nset -- $(printf '%s\\n' \"$e\" | grep . | tail -n 1 | sed 's/^[-@:+!]*//'); p=$1; d=\n\
         case $p in *python*) d=$(dirname -- \"${{2:-/}}\");; *) d=$(dirname -- \"${{p:-/}}\"); \
         p=$(sed -n '1s/^#! *\\([^ ]*\\).*/\\1/p' \"$p\" 2>/dev/null | tr -d '\\0');; esac\n\
         case $p in *python*) ;; *) p=python3;; esac\n\
         command -v \"$p\" >/dev/null || {{ echo 'unasked no Python'; exit 0; }}\n\
         r=; [ \"$(id -u)\" != 0 ] || r=\"runuser -u {} --\"\n\
         base64 -d | $r timeout 15 \"$p\" -c {} \"$d\" 2>&1 | tail -c 2000",
        super::drill::exec_start(&reading.unit),
        quote(reading.user.as_str()),
        quote(PROGRAM)
    )
}

/// The package's `__init__` loads all of Odoo, which takes half a second: the parser's own module first, and
/// all of it only where that one says no.
const PROGRAM: &str = r#"
import importlib, importlib.util, os, signal, sys, tempfile, types
text = sys.stdin.buffer.read()
if sys.argv[1]:
    sys.path.insert(0, sys.argv[1])
found = importlib.util.find_spec("odoo")
if found is None:
    print("unasked Odoo's modules are not found by", sys.executable)
    sys.exit()
def read(alone):
    for name in [name for name in sys.modules if name.split(".")[0] == "odoo"]:
        del sys.modules[name]
    if alone:
        for name, inner in (("odoo", ""), ("odoo.tools", "tools")):
            package = types.ModuleType(name)
            package.__path__ = [os.path.join(path, inner) for path in found.submodule_search_locations]
            sys.modules[name] = package
    config = importlib.import_module("odoo.tools.config").config
    # 19 wants a path that can be resolved; its own user alone can read the file.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.NamedTemporaryFile(dir=memory, suffix=".conf") as place:
        def ends(*_):
            os.unlink(place.name)
            os._exit(1)
        signal.signal(signal.SIGTERM, ends)
        place.write(text)
        place.flush()
        config._parse_config(["-c", place.name])
try:
    read(True)
    print("yes")
except BaseException:
    try:
        read(False)
        print("yes")
    except ImportError as error:
        print("unasked", error)
    except SystemExit:
        print("no")
    except BaseException as error:
        print("no", error)
"#;

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Read, SightError> {
    let text = reply.text(limit)?;
    let all: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Ok(match all.last().map(|line| line.split_once(' ').unwrap_or((line, ""))) {
        Some(("yes", _)) => Read::Yes,
        // A parser that ends the program has said why on the line before.
        Some(("no", "")) => Read::No(all.iter().rev().nth(1).copied().unwrap_or("it says no").to_owned()),
        Some(("no", why)) => Read::No(why.to_owned()),
        Some(("unasked", why)) => Read::Unasked(why.to_owned()),
        _ => Read::Unasked(all.last().copied().unwrap_or("it said nothing").to_owned()),
    })
}
