#!/bin/sh
# ssh2-config 0.9.0 (crates.io) against `ssh -G` of OpenSSH, which reads the same ssh_config file.
#
# Expected: both find the same port and user, as ssh_config(5) says: the first value obtained counts, arguments may
# stand in double quotes, times may carry units.
# Seen:
#   file                                          ssh2-config      ssh -G
#   Port twice within one Host block, 2201, 2202  2202 (the last)  2201 (the first)
#   User before any Host, another in the block    the first        the first
#   Host "erp1" erp2                              no port          2201
#   ServerAliveInterval 1m                        the whole file is refused ("expected unsigned value")   60
#   ConnectTimeout 1m30s                          the whole file is refused                               90
#   a block after `Host !erp1 erp*`               agree
# So a file that OpenSSH takes may send a program that uses the crate to another port, or nowhere.
# Within one block the crate's answer is the opposite of what it answers between two blocks.
#
# Needs cargo and an OpenSSH client (9.2 when this was written; the version is printed). Run: sh findings/ssh2_config.sh
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
ssh2-config = "=0.9.0"
[workspace]
X
cat >"$tmp/src/main.rs" <<'X'
use ssh2_config::{ParseRule, SshConfig};
fn main() {
    let path = std::env::args().nth(1).expect("a file");
    let mut file = std::io::BufReader::new(std::fs::File::open(path).expect("the file opens"));
    match SshConfig::default().parse(&mut file, ParseRule::ALLOW_UNKNOWN_FIELDS) {
        Err(_) => println!("refused"),
        Ok(config) => {
            let found = config.query("erp1");
            println!("port {} user {}", found.port.unwrap_or(22), found.user.unwrap_or("-".into()));
        }
    }
}
X
(cd "$tmp" && CARGO_TARGET_DIR="$tmp/target" cargo build --quiet)
probe=$(find "$tmp/target" -type f -name probe -perm -u+x | head -n 1)
ssh -V 2>&1
bad=0
# FILE, what ssh2-config says, what ssh -G says (a user that is not in the file is this login's own: "-")
compare() {
  printf '%b' "$1" >"$tmp/config"
  crate=$("$probe" "$tmp/config")
  openssh=$(ssh -T -G -F "$tmp/config" erp1 | awk -v me="$(id -un)" '$1 == "port" { p = $2 } $1 == "user" { u = $2 } END { print "port", p, "user", (u == me ? "-" : u) }')
  printf '%-48s ssh2-config: %-20s ssh -G: %s\n' "$(printf '%b' "$1" | tr '\n' ';')" "$crate" "$openssh"
  [ "$crate" = "$2" ] && [ "$openssh" = "$3" ] || { bad=1; echo "  expected: $2 / $3" >&2; }
}
compare 'Host erp1\n Port 2201\n Port 2202\n' 'port 2202 user -' 'port 2201 user -'
compare 'User kim\nHost erp1\n User lee\n' 'port 22 user kim' 'port 22 user kim'
compare 'Host "erp1" erp2\n Port 2201\n' 'port 22 user -' 'port 2201 user -'
compare 'Host erp1\n Port 2201\n ServerAliveInterval 1m\n' 'refused' 'port 2201 user -'
compare 'Host erp1\n Port 2201\n ConnectTimeout 1m30s\n' 'refused' 'port 2201 user -'
compare 'Host !erp1 erp*\n Port 2201\nHost *\n Port 2202\n' 'port 2202 user -' 'port 2202 user -'
[ $bad = 0 ] && echo "as it was seen"
