//! Packages as POSIX shell: apt and dpkg, which ask nothing and do what the plan said.

use crate::look::apt::{APT, AptRun, FETCHED, INSTALL, STEPS, Step};
use crate::look::quote;

/// Runs a command again while somebody else holds a lock of apt's or dpkg's: not all of them can wait.
const PATIENT: &str = "patient() { n=0; while :; do r=0; m=$(\"$@\" 2>&1) || r=$?; [ $r != 0 ] && [ $n -lt 60 ] || break; case $m in *[Ll]ock*) n=$((n + 1)); sleep 5;; *) break;; esac; done; [ $r = 0 ] || printf '%s\\n' \"$m\" >&2; return $r; }\n";

/// What an earlier run left unpacked; a file that somebody edited stays as it is.
pub(super) fn configure() -> String {
    format!(
        "{PATIENT}patient env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 UCF_FORCE_CONFFOLD=1 dpkg --force-confold --configure -a\n"
    )
}

/// apt is asked once more: what it would do must still be what the plan said.
pub(super) fn change(run: &AptRun, steps: &[Step]) -> String {
    let arguments = run.arguments();
    let mut lines: Vec<String> = steps.iter().map(Step::line).collect();
    lines.sort();
    let manual: Vec<String> = run.install.iter().map(|package| quote(package.name.as_str())).collect();
    let mark = if manual.is_empty() { String::new() } else { format!("\napt-mark manual {} >/dev/null", manual.join(" ")) };
    format!(
        "{configure}now=$({APT} -s {INSTALL} {arguments})\nnow=$(printf '%s\\n' \"$now\" | {STEPS})\n\
         planned=$(cat <<'OTR-EOF'\n{planned}\nOTR-EOF\n)\n\
         [ \"$now\" = \"$planned\" ] || {{ printf 'apt would by now do otherwise than was planned; make the plan again. Planned:\\n%s\\nNow:\\n%s\\n' \"$planned\" \"$now\" >&2; false; }}\n\
         {APT} {INSTALL} {arguments}{mark}",
        configure = configure(),
        planned = lines.join("\n"),
    )
}

/// What one source does not give is no reason to do without the others: it is noted, and named where a
/// package is lacking.
pub(super) fn update(architectures: &[String], asked: &[String]) -> String {
    let asked: Vec<String> = asked.iter().map(|word| quote(word)).collect();
    let asked = if asked.is_empty() { String::new() } else { format!("; printf 'for %s\\n' {}", asked.join(" ")) };
    let foreign: String = architectures
        .iter()
        .map(|name| quote(name))
        .map(|name| format!("dpkg --print-foreign-architectures | grep -qx {name} || [ \"$(dpkg --print-architecture)\" = {name} ] || dpkg --add-architecture {name}\n"))
        .collect();
    format!(
        "{PATIENT}{foreign}[ -d /var/lib/otr ] || mkdir -m 0711 /var/lib/otr\nm=$(patient env {APT} update 2>&1) || :\n\
         {{ printf '%s\\n' \"$m\" | sed -n 's/^[EW]: //p' | tail -n 1{asked}; }} >{FETCHED}.new\nmv -T -- {FETCHED}.new {FETCHED}\n"
    )
}
