//! What Odoo and PostgreSQL depend on and no package says: ids of accounts, locales, the time
//! zone, kernel settings and limits. One `name<TAB>value` a line.

use std::collections::BTreeMap;

use super::{Reply, SightError};

/// Kernel settings that a database server or a busy Odoo feels.
const SYSCTL: [&str; 14] = [
    "vm.overcommit_memory",
    "vm.overcommit_ratio",
    "vm.swappiness",
    "vm.nr_hugepages",
    "vm.dirty_background_ratio",
    "vm.dirty_ratio",
    "kernel.sem",
    "kernel.shmmax",
    "kernel.shmall",
    "fs.file-max",
    "fs.aio-max-nr",
    "net.core.somaxconn",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_max_syn_backlog",
];

pub(super) fn script() -> String {
    let settings: String = SYSCTL.iter().map(|name| format!(" {name}")).collect();
    format!(
        "t=$(printf '\\t')\n\
         getent passwd | while IFS=: read -r n p u g rest; do echo \"user $n$t$u\"; done\n\
         getent group | while IFS=: read -r n p g m; do echo \"group $n$t$g\"; [ -z \"$m\" ] || echo \"members of $n$t$m\"; done\n\
         if [ -L /etc/localtime ]; then z=$(readlink /etc/localtime); echo \"time zone$t${{z##*zoneinfo/}}\"; else echo \"time zone${{t}}$(cat /etc/timezone 2>/dev/null)\"; fi\n\
         for f in /etc/default/locale /etc/locale.conf; do [ ! -r $f ] || while IFS= read -r l || [ -n \"$l\" ]; do case $l in LANG=*|LC_*=*|LANGUAGE=*) v=${{l#*=}}; v=${{v%\\\"}}; echo \"locale ${{l%%=*}}$t${{v#\\\"}}\";; esac; done <$f; done\n\
         ! command -v locale >/dev/null || locale -a | while IFS= read -r l; do echo \"locale $l${{t}}there\"; done\n\
         for s in{settings}; do f=/proc/sys/$(printf %s \"$s\" | tr . /); [ ! -r $f ] || echo \"sysctl $s$t$(tr '\\t' ' ' <$f)\"; done\n\
         for f in /etc/security/limits.conf /etc/security/limits.d/*.conf; do [ ! -r \"$f\" ] || while read -r d k i v rest; do case $d in ''|'#'*) ;; *) echo \"limit $d $k $i$t$v\";; esac; done <\"$f\"; done\n\
         for u in odoo postgresql@ redis-server nginx; do for d in /etc/systemd/system/$u.service.d /etc/systemd/system/$u*.service.d; do for f in \"$d\"/*.conf; do [ ! -r \"$f\" ] || while IFS= read -r l || [ -n \"$l\" ]; do case $l in Limit*=*) echo \"limit $u ${{l%%=*}}$t${{l#*=}}\";; esac; done <\"$f\"; done; done; done\n\
         echo end"
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<BTreeMap<String, String>, SightError> {
    let text = reply.text(limit)?.strip_suffix("end\n").ok_or(SightError::Truncated)?;
    let pair = |line: &str| match line.split_once('\t') {
        Some((name, value)) => Ok((name.to_owned(), value.trim().to_owned())),
        None => Err(SightError::Unreadable(format!("line {line:?}"))),
    };
    text.lines().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_its_ids_zone_and_settings() {
        let output = std::process::Command::new("sh").arg("-c").arg(script()).env("LC_ALL", "C").output().unwrap();
        let reply =
            Reply { stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap(), status: output.status.code().unwrap() };
        let seen = read(&reply, 1).unwrap();
        assert_eq!((seen["user root"].as_str(), seen["group root"].as_str()), ("0", "0"));
        assert!(seen.contains_key("time zone") && seen.contains_key("sysctl vm.swappiness"), "{seen:?}");
        let cut = Reply { stdout: b"user root\t0\n".to_vec(), ..Reply::default() };
        assert_eq!(read(&cut, 1), Err(SightError::Truncated));
    }
}
