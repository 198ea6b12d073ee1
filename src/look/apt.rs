//! What a run of apt would do, by apt's own simulation with the flags of the real run. Asked only where
//! something is to be installed or removed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Reply, SightError};
use crate::name::PackageName;

/// A package to install, at a version if one is wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PackageVersion {
    /// The package.
    pub name: PackageName,
    /// Its version.
    pub version: Option<String>,
}

impl std::fmt::Display for PackageVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}={version}", self.name),
            None => self.name.fmt(f),
        }
    }
}

/// What apt is asked for in one run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct AptRun {
    /// Install, or change the version of.
    pub install: Vec<PackageVersion>,
    /// Remove, keeping the configuration.
    pub remove: Vec<PackageName>,
}

/// One package that a run changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Step {
    /// The package; of a foreign architecture as `name:arch`.
    pub name: String,
    /// The version that is there now.
    pub from: Option<String>,
    /// The version that will be; `None`: it is removed.
    pub to: Option<String>,
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AptSight {
    /// What was asked for and no source has, as it was asked for.
    pub lacking: BTreeSet<String>,
    /// What was asked for and cannot be installed beside the rest, and what apt says about it.
    pub impossible: Vec<(String, String)>,
    /// What would be done for the rest.
    pub steps: Vec<Step>,
    /// Which of them are older than what is there.
    pub downgraded: BTreeSet<String>,
    /// Running services that the packages' own scripts restart, and for which package.
    pub restarts: Vec<(String, String)>,
    /// Seconds since otr had the lists fetched; `None`: never.
    pub fetched: Option<u64>,
    /// The packages because of which they were.
    pub asked: BTreeSet<String>,
    /// What was wrong when the lists were fetched.
    pub complaint: Option<String>,
}

/// Where it is kept when otr had the lists fetched, and what was wrong then.
pub const FETCHED: &str = "/var/lib/otr/apt-lists";

/// apt-get, as otr always calls it: it asks nothing, keeps edited files, waits for another run, and
/// restarts no service behind anybody's back; what goes is what was said, not what the host's settings add.
pub const APT: &str = "DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C apt-get -q -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 -o APT::Get::AutomaticRemove=false -o APT::Get::Always-Include-Phased-Updates=true";

/// `install` with the flags of both runs, the simulated and the real one.
pub const INSTALL: &str = "install -y --no-install-recommends --allow-downgrades --allow-change-held-packages";

/// Of a simulation, one line for each package that changes: `+ name version` or `- name`.
pub const STEPS: &str =
    r"sed -n -e 's/^Inst \([^ ]*\) [^(]*(\([^ ]*\) .*/+ \1 \2/p' -e 's/^Remv \([^ ]*\).*/- \1/p' -e 's/^Purg \([^ ]*\).*/- \1/p' | sort -u";

impl Step {
    /// As [`STEPS`] prints it.
    pub fn line(&self) -> String {
        match &self.to {
            Some(version) => format!("+ {} {version}", self.name),
            None => format!("- {}", self.name),
        }
    }
}

impl AptRun {
    /// Nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.install.is_empty() && self.remove.is_empty()
    }

    /// In a few words.
    pub fn title(&self) -> String {
        let list = |word: &str, names: Vec<String>| (!names.is_empty()).then(|| format!("{word} {}", names.join(" ")));
        let install = list("install", self.install.iter().map(ToString::to_string).collect());
        let remove = list("remove", self.remove.iter().map(ToString::to_string).collect());
        [install, remove].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The arguments, for apt-get.
    pub fn arguments(&self) -> String {
        let install = self.install.iter().map(ToString::to_string);
        let words: Vec<String> = install.chain(self.remove.iter().map(|name| format!("{name}-"))).map(|word| super::quote(&word)).collect();
        words.join(" ")
    }
}

/// What no source has is left out; of what cannot be installed together, halves are tried until it is known
/// which stands in the way.
const TRY: &str = r#"set -f
end=$(($(date +%s) + 80)) good= out=
try() {
  [ $# -gt 0 ] || return 0
  if o=$(simulate $good "$@" $gone 2>&1); then good="$good $*" out=$o; return 0; fi
  if [ $# -eq 1 ] || [ "$(date +%s)" -ge "$end" ]; then
    why=$(printf '%s\n' "$o" | sed -n -e 's/^E: //p' -e 's/^ *\([^ ]* : .*\)/\1/p' -e 's/^  *\(\(Pre\)\{0,1\}Depends: .*\)/\1/p' | tr '\n' ';')
    for w; do printf 'impossible %s %s\n' "$w" "$why"; done
    return 0
  fi
  local half=$(($# / 2)) first= n=0
  while [ $n -lt $half ]; do first="$first $1"; n=$((n + 1)); shift; done
  try $first
  try "$@"
}
try $have
[ -n "$out" ] || [ -z "$gone" ] || out=$(simulate $gone 2>&1) || { printf '%s\n' "$out" >&2; exit 1; }
printf 'simulated\n%s\n' "$out"
units() { systemctl list-units --plain --no-legend --state=active --type=service "$@" 2>/dev/null | cut -d' ' -f1; }
for p in $(printf '%s\n' "$out" | sed -n 's/^Inst \([^ ]*\) \[.*/\1/p'); do
  case $p in postgresql-[1-9]*) for u in $(units "postgresql@${p#postgresql-}-*.service"); do echo "restarts $p $u"; done;; esac
  f=$(dpkg-query --control-path "$p" postinst 2>/dev/null) && grep -qs -e invoke-rc.d -e deb-systemd-invoke "$f" || continue
  for u in $(dpkg -L "$p" | sed -n 's#^\(/usr\)\{0,1\}/lib/systemd/system/\([^/]*\)\.service$#\2#p' | sort -u); do
    case $u in *@) u="$u*";; esac
    for u in $(units "$u.service"); do echo "restarts $p $u"; done
  done
done
"#;

/// Which of the asked-for versions some source has, of `apt-cache policy`: what is installed is no source.
const HAVE: &str = r#"
!policy && $0 == "--" { policy = 1; next }
!policy { wanted[n++] = $0; next }
/^[^ ]/ { package = $0; sub(/:$/, "", package); next }
/^  Candidate: / { if ($2 != "(none)") there[package] = 1; next }
/^        / { if ($2 !~ /dpkg\/status$/) there[package "=" version] = 1; next }
/^ \*\*\* / { version = $2; next }
/^     [^ ]/ { version = $1 }
END { for (i = 0; i < n; i++) print ((wanted[i] in there) ? "have " : "lacking ") wanted[i] }
"#;

pub(super) fn script(run: &AptRun) -> String {
    let wanted: String = run.install.iter().map(|package| format!("{package}\n")).collect();
    let names: Vec<String> = run.install.iter().map(|package| super::quote(package.name.as_str())).collect();
    let gone: Vec<String> = run.remove.iter().map(|name| format!("{name}-")).collect();
    format!(
        "[ ! -e {FETCHED} ] || {{ echo \"fetched $(($(date +%s) - $(stat -c %Y {FETCHED})))\"; sed -e '/^for /!s/^/complaint /' -e 's/^for /asked /' {FETCHED}; }}\n\
         simulate() {{ {APT} -s {INSTALL} \"$@\"; }}\ngone={gone}\n\
         told=$({{ printf '%s--\\n' {wanted}; {policy}; }} | awk {HAVE})\n\
         printf '%s\\n' \"$told\" | grep '^lacking' || :\nhave=$(printf '%s\\n' \"$told\" | sed -n 's/^have //p')\n{TRY}",
        gone = super::quote(&gone.join(" ")),
        wanted = super::quote(&wanted),
        policy = if names.is_empty() { ":".to_owned() } else { format!("apt-cache policy {}", names.join(" ")) },
        HAVE = super::quote(HAVE),
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<AptSight, SightError> {
    let mut sight = AptSight::default();
    let mut downgraded = false;
    for line in reply.text(limit)?.lines() {
        if let (true, Some(names)) = (downgraded, line.strip_prefix("  ")) {
            sight.downgraded.extend(names.split_whitespace().map(str::to_owned));
            continue;
        }
        downgraded = line == "The following packages will be DOWNGRADED:";
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "lacking" => drop(sight.lacking.insert(rest.to_owned())),
            "impossible" => {
                let (what, why) = rest.split_once(' ').unwrap_or((rest, ""));
                sight.impossible.push((what.to_owned(), why.trim_end_matches(';').replace(';', "; ")));
            }
            "fetched" => sight.fetched = rest.parse().ok(),
            "asked" => drop(sight.asked.insert(rest.to_owned())),
            "complaint" => sight.complaint = Some(rest.to_owned()),
            "restarts" => sight.restarts.extend(rest.split_once(' ').map(|(package, unit)| (unit.to_owned(), package.to_owned()))),
            "Inst" => sight.steps.push(installed(rest).ok_or_else(|| SightError::Unreadable(format!("line {line:?}")))?),
            "Remv" | "Purg" => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                sight.steps.push(Step { name: name.to_owned(), from: bracketed(rest), to: None });
            }
            _ => {}
        }
    }
    sight.steps.sort();
    sight.steps.dedup();
    Ok(sight)
}

/// `name [old] (new Origin:1/suite [arch]) [more]`.
fn installed(rest: &str) -> Option<Step> {
    let (name, rest) = rest.split_once(' ')?;
    let (before, after) = rest.split_once('(')?;
    Some(Step { name: name.to_owned(), from: bracketed(before), to: Some(after.split([' ', ')']).next()?.to_owned()) })
}

fn bracketed(text: &str) -> Option<String> {
    text.trim_start().strip_prefix('[')?.split(']').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulation_says_what_comes_goes_and_changes() {
        let stdout = "fetched 12\ncomplaint E: Failed to fetch\nlacking nonsense\nlacking curl=1\nimpossible a=1 Held;b : Depends: a (>= 2);\nsimulated\nThe following packages will be DOWNGRADED:\n  acme-lib libc6\n  more\n1 to remove.\nRemv acme-app [1.0]\nInst acme-lib [2.0] (1.0 localhost [all])\nInst libc6:i386 (2.31-13 Debian:11/stable [i386])\nConf acme-lib (1.0 localhost [all])\nrestarts acme-lib acme.service\n";
        let sight = read(&Reply { stdout: stdout.into(), ..Reply::default() }, 1).unwrap();
        let lines: Vec<String> = sight.steps.iter().map(Step::line).collect();
        assert_eq!(lines, ["- acme-app", "+ acme-lib 1.0", "+ libc6:i386 2.31-13"]);
        assert_eq!(sight.steps[0].from.as_deref(), Some("1.0"));
        assert_eq!(sight.downgraded, ["acme-lib", "libc6", "more"].map(str::to_owned).into());
        assert_eq!(sight.lacking, ["curl=1", "nonsense"].map(str::to_owned).into());
        assert_eq!(sight.impossible, [("a=1".to_owned(), "Held; b : Depends: a (>= 2)".to_owned())]);
        assert_eq!((sight.fetched, sight.restarts.len()), (Some(12), 1));
        assert_eq!(sight.complaint.as_deref(), Some("E: Failed to fetch"));
        // What the real run compares is what was read.
        let output = std::process::Command::new("sh").args(["-c", &format!("printf '%s' \"$0\" | {STEPS}"), stdout]).output().unwrap();
        let mut sorted = lines.clone();
        sorted.sort();
        let mut printed: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        printed.sort();
        assert_eq!(printed, sorted);
    }
}
