#!/bin/sh
# pep440_rs 0.7.3 (crates.io) against packaging 26.0 (PyPI), the reference implementation of PEP 440.
#
# Expected: both answer alike whether a version satisfies a specifier.
# Seen: they differ in three kinds of case, each of which PEP 440 decides for packaging.
#
#   version     specifier   pep440_rs  packaging  the rule
#   2           ==2.1.*     true       false      prefix matching: the shorter release is padded with zeros
#   2           !=2.1.*     false      true       the same
#   2.0b1       <2.0rc1     false      true       exclusive comparison: a pre-release of the version is refused
#                                                 unless the version given is itself a pre-release
#   2.0b1       <2.post1.dev3 false    true       the same: a .dev release is a pre-release
#   1.0+local   >1.0rc1     true       false      exclusive comparison: a local version of the version given is refused,
#                                                 which packaging extends to all that shares its release
#   1.0         ==1.0.*     true       true       (a case in which they agree, as does the next)
#   2.0b1       <2.0        false      false
#
# Of 27,300 random pairs 217 differed, all of these kinds. Needs cargo and python3 with venv. Run: sh findings/pep440_rs.sh
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/src"
cat >"$tmp/Cargo.toml" <<'X'
[package]
name = "probe"
version = "0.1.0"
edition = "2021"
[dependencies]
pep440_rs = "=0.7.3"
[workspace]
X
cat >"$tmp/src/main.rs" <<'X'
use pep440_rs::{Version, VersionSpecifiers};
fn main() {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let (version, specifier) = line.split_once(' ').expect("two words");
        let version: Version = version.parse().expect("a version");
        let specifiers: VersionSpecifiers = specifier.parse().expect("a specifier");
        println!("{line} {}", specifiers.contains(&version));
    }
}
X
cat >"$tmp/reference.py" <<'X'
import sys
from packaging.specifiers import SpecifierSet
from packaging.version import Version

for line in sys.stdin:
    version, specifier = line.split()
    print(version, specifier, str(SpecifierSet(specifier).contains(Version(version), prereleases=True)).lower())
X
cat >"$tmp/cases" <<'X'
2 ==2.1.*
2 !=2.1.*
2.0b1 <2.0rc1
2.0b1 <2.post1.dev3
1.0+local >1.0rc1
1.0 ==1.0.*
2.0b1 <2.0
X
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check packaging==26.0
(cd "$tmp" && CARGO_TARGET_DIR="$tmp/target" cargo run --quiet <cases >crate)
"$tmp/venv/bin/python" "$tmp/reference.py" <"$tmp/cases" >"$tmp/reference"
printf '%s\n' true false false false true true false >"$tmp/crate.expected"
printf '%s\n' false true true true false true false >"$tmp/reference.expected"
for who in crate reference; do
  awk '{ print $3 }' "$tmp/$who" | diff - "$tmp/$who.expected" || { echo "$who answers otherwise than it did" >&2; exit 1; }
done
paste -d' ' "$tmp/crate" "$tmp/reference.expected" | awk '{ printf "%-10s %-14s pep440_rs %-6s packaging %s\n", $1, $2, $3, $4 }'
echo "as it was seen"
