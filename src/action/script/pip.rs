//! pip as POSIX shell. What apt or another installer put there is never removed by it. A virtual
//! environment that another user can change is code of his: root never runs it, he does.

use std::path::Path;

use crate::action::PipInstall;
use crate::look::owner::AS_OWNER;
use crate::look::pip::{constraints, program};
use crate::look::{Site, quote, quote_path};

/// As the owner of the folder that it is made in.
pub(super) fn make(path: &Path) -> String {
    let (folder, path) = (quote_path(path.parent().unwrap_or(path)), quote_path(path));
    format!(
        "{AS_OWNER}\na={folder}; until [ -e \"$a\" ]; do a=${{a%/*}}; a=${{a:-/}}; done\nas_owner \"$a\" python3 -m venv --system-site-packages -- {path}"
    )
}

/// A repository that asks for a password must fail, not wait. An environment of uv's has no pip.
fn begin(site: &Site) -> String {
    let ensure = match site {
        Site::System => String::new(),
        Site::Venv(_) => {
            let pip = program(site);
            format!("{pip} --version >/dev/null 2>&1 || {} -m ensurepip >/dev/null\n", pip.trim_end_matches(" -m pip"))
        }
    };
    format!("{AS_OWNER}\nexport PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 GIT_TERMINAL_PROMPT=0\n{ensure}")
}

fn list(words: &[String]) -> String {
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

fn flag(break_system_packages: bool) -> &'static str {
    if break_system_packages { " --break-system-packages" } else { "" }
}

/// A requirement that no index has keeps none of the others back: each is named.
const EACH: &str = r#"each() {
  said=$(run "$@" 2>&1) && return 0
  case $# in 1) printf '%s\n' "$said" >&2; return 1;; esac
  case $said in *'No matching distribution'*|*'Could not find a version'*) ;; *) printf '%s\n' "$said" >&2; return 1;; esac
  bad=
  for one; do said=$(run "$one" 2>&1) || bad="$bad
$one: $(printf '%s\n' "$said" | grep '^ERROR' | tail -n 1)"; done
  [ -z "$bad" ] || { printf 'pip installed the rest; it cannot install:%s\n' "$bad" >&2; return 1; }
}
"#;

/// What a module needs and an older one of apt's stands in the way of: pip must not replace that.
const ADVICE: &str = "a module that apt installed is too old for this, and pip must not replace it: write the newer one into pip.install, which puts it over apt's";

pub(super) fn install(install: &PipInstall) -> String {
    let PipInstall { site, requirements, over, keep, whole, break_system_packages } = install;
    let (pip, flag) = (program(site), flag(*break_system_packages));
    let mut script = begin(site) + &constraints(keep) + EACH;
    if !over.is_empty() {
        script += &format!("run() {{ {pip} install{flag} --no-deps --ignore-installed \"$@\"; }}\neach {}\n", list(over));
    }
    let deps = if *whole { " --no-deps" } else { "" };
    script
        + &format!(
            "run() {{ {pip} install{flag}{deps} -c \"$keep\" \"$@\"; }}\n\
         each {} 2>\"$keep.said\" || {{ cat \"$keep.said\" >&2; ! cut -d= -f1 \"$keep\" | sed -e 's/-/[-_.]/g' -e 's/.*/ &[<>=!~ ]/' | grep -qif - \"$keep.said\" || echo {} >&2; rm -f -- \"$keep.said\"; false; }}\nrm -f -- \"$keep.said\"",
            list(requirements),
            quote(ADVICE),
        )
}

pub(super) fn replace(site: &Site, requirements: &[String], break_system_packages: bool) -> String {
    format!("{}{} install{} --force-reinstall --no-deps {}", begin(site), program(site), flag(break_system_packages), list(requirements))
}

pub(super) fn uninstall(site: &Site, modules: &[String], break_system_packages: bool) -> String {
    format!("{}{} uninstall{} -y {}", begin(site), program(site), flag(break_system_packages), list(modules))
}
