//! What brings an old production back as a standby. PostgreSQL is stopped in all of these.

use std::path::Path;

use super::copy::forget_targets;
use crate::guard::PRODUCTION_SINCE_BOOT;
use crate::look::{ClusterName, quote, quote_path};

/// `standby.signal`, and nothing that would end its life as a standby.
pub(super) fn mark(data: &Path) -> String {
    marked(data, false)
}

fn marked(path: &Path, copied: bool) -> String {
    let (data, forget) = (quote_path(path), forget_targets(&quote_path(path), path, copied));
    format!(
        "rm -f {PRODUCTION_SINCE_BOOT}\n{forget}\nrunuser -u postgres -- touch {data}/standby.signal\nsync {data}/standby.signal {data}"
    )
}

/// Single-user mode recovers and stops in order without a socket for anybody. It refuses a
/// standby, so the mark is set again afterwards; the epoch keeps the service down meanwhile.
pub(super) fn recover(cluster: &ClusterName, path: &Path) -> String {
    let data = quote_path(path);
    let (version, name) = (cluster.version, quote(cluster.name.as_str()));
    // Debian's place for it is made by pg_ctlcluster and gone after a boot; from 15 on there is none.
    let statistics = if version < 15 { " -c stats_temp_directory=pg_stat_tmp" } else { "" };
    format!(
        "rm -f {data}/standby.signal\n\
         runuser -u postgres -- /usr/lib/postgresql/{version}/bin/postgres --single -D {data} \
         -c config_file=/etc/postgresql/{version}/{name}/postgresql.conf{statistics} template1 </dev/null >/dev/null\n{}",
        mark(path)
    )
}

/// The copy has its name only when it is whole: with the WAL and the table spaces that links lead to, and with
/// room for all of it. In a mount point it lies beside what it is a copy of.
pub(super) fn keep(data: &Path, to: &Path) -> String {
    let new = quote(&format!("{}.new", to.display()));
    let parent = quote_path(to.parent().unwrap_or(to));
    let (data, to) = (quote_path(data), quote_path(to));
    format!(
        "[ ! -e {to} ] || exit 0\n\
         own() {{ case $(stat -c %U -- {parent}) in postgres) runuser -u postgres -- \"$@\";; *) \"$@\";; esac; }}\n\
         own rm -rf -- {new}\nneed=$(du -skLc --exclude='.otr-*' -- {data} | tail -n 1 | cut -f1)\n\
         room=$(df -Pk -- {parent} | awk 'NR == 2 {{print $4}}')\n\
         [ \"${{room:-0}}\" -gt \"$need\" ] || {{ echo \"a copy of {data} takes $need kB, and {parent} has room for $room kB\" >&2; exit 1; }}\n\
         own mkdir -m 0700 -- {new}\n[ \"$(stat -c %U -- {new})\" = postgres ] || chown -h postgres:postgres -- {new}\n\
         runuser -u postgres -- sh -e <<'OTR-KEEP'\n\
         for e in {data}/* {data}/.[!.]*; do case ${{e##*/}} in .otr-*|lost+found) ;; *) [ ! -e \"$e\" ] || cp -a --reflink=auto -- \"$e\" {new}/;; esac; done\n\
         for l in {new}/pg_wal {new}/pg_tblspc/*; do [ ! -L \"$l\" ] || {{ t=$(readlink -f -- \"$l\"); rm -- \"$l\"; mkdir -m 0700 -- \"$l\"\n\
         for e in \"$t\"/*; do case ${{e##*/}} in lost+found) ;; *) [ ! -e \"$e\" ] || cp -a --reflink=auto -- \"$e\" \"$l\"/;; esac; done; }}; done\n\
         OTR-KEEP\n\
         sync -f {new}\nown mv -T -- {new} {to}\nsync {parent}"
    )
}

/// The functions pg_rewind calls on its source (PostgreSQL's documentation of pg_rewind).
pub(super) fn grants(role: &str) -> String {
    [
        "pg_ls_dir(text, boolean, boolean)",
        "pg_stat_file(text, boolean)",
        "pg_read_binary_file(text)",
        "pg_read_binary_file(text, bigint, bigint, boolean)",
    ]
    .map(|function| format!("GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO \"{role}\";"))
    .join("\n")
}

/// Cut off midway the data is neither the old nor the new: a mark outside of it says so.
pub(super) fn rewind(cluster: &ClusterName, data: &Path, conninfo: &str) -> String {
    let (path, data) = (data, quote_path(data));
    format!(
        "mark=$(readlink -f -- {data}).otr-rewinding\n\
         case $(stat -c %U -- \"${{mark%/*}}\") in postgres) runuser -u postgres -- touch -- \"$mark\";; *) touch -- \"$mark\";; esac\nsync \"$mark\"\n\
         runuser -u postgres -- /usr/lib/postgresql/{}/bin/pg_rewind --target-pgdata={data} --source-server={}\n{}\nrm -f -- \"$mark\"",
        cluster.version,
        quote(conninfo),
        marked(path, true)
    )
}
