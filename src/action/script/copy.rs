//! A copy of production's cluster takes the place of a standby's, wherever that stands.

use std::path::Path;

use super::backup;
use crate::look::{ClusterName, quote, quote_path};

/// What of another life must not be there when a server starts as a standby: a recovery target promotes it, or
/// stops its replay, and ALTER SYSTEM wins over every file.
const LEFT_BEHIND: &str = "recovery_target[a-z_]*|recovery_end_command|restore_command|archive_cleanup_command|promote_trigger_file|recovery_min_apply_delay|primary_conninfo|primary_slot_name|hot_standby";
/// The same of another host's.
const OF_ANOTHER_HOST: &str = "listen_addresses|synchronous_standby_names";

/// Takes such lines out of a data directory's postgresql.auto.conf, which is kept once; `data` is quoted or a
/// variable of the script.
pub(super) fn forget_targets(data: &str, kept_as: &Path, copied: bool) -> String {
    let names = if copied { format!("{LEFT_BEHIND}|{OF_ANOTHER_HOST}") } else { LEFT_BEHIND.to_owned() };
    let lines = format!("^[[:space:]]*({names})([[:space:]=]|$)");
    let keep = if copied {
        String::new()
    } else {
        {
            let path = kept_as.join("postgresql.auto.conf");
            backup(&path, &quote_path(&path))
        }
    };
    format!(
        "if grep -qiE '{lines}' {data}/postgresql.auto.conf 2>/dev/null; then\n{keep}runuser -u postgres -- sed -i -E '/{lines}/Id' {data}/postgresql.auto.conf\nsync {data}/postgresql.auto.conf\nfi"
    )
}

/// What a base backup is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy<'a> {
    pub cluster: &'a ClusterName,
    pub data: &'a Path,
    pub conninfo: &'a str,
    pub slot: Option<&'a str>,
    pub spaces: &'a [String],
    pub keep_old: bool,
}

/// The old data stands, and its server runs, until the copy is whole: a copy that fails leaves all as it was. A
/// plain folder (or the one a link leads to) is swapped by its name; a mount point cannot be renamed, so the copy
/// is made in it and what it holds is swapped. `otr-in` says that the old is out: a run that finds it goes on
/// there. WAL and table spaces that lie elsewhere get a new folder beside the old one, on the same disk.
pub(super) fn base_backup(copy: &Copy<'_>) -> String {
    let version = copy.cluster.version;
    let service = quote(&super::service(copy.cluster));
    let slot = copy.slot.map_or(String::new(), |slot| format!(" --slot={}", quote(slot)));
    let spaces: Vec<String> = copy.spaces.iter().map(|space| format!("space {}", quote(space))).collect();
    format!(
        r#"data={data} keep={keep}
real=$(readlink -f -- "$data") && [ -n "$real" ] || real=$data
mounted=; beside=$real.otr-
! mountpoint -q -- "$real" 2>/dev/null || {{ mounted=1; beside=$real/.otr-; }}
new=${{beside}}new old=${{beside}}old in=${{beside}}in out=${{beside}}out made=${{beside}}made
# What a link of the cluster's user leads to is removed as that user.
own() {{ runuser -u postgres -- "$@"; }}
folder() {{ install -d -o postgres -g postgres -m 0700 -- "$1"; }}
# A cluster with what its links lead to.
discard() {{
  [ ! -L "$1/pg_wal" ] || {{ t=$(readlink -f -- "$1/pg_wal"); own rm -rf -- "$t"/*; rmdir -- "$t" 2>/dev/null || :; }}
  for l in "$1"/pg_tblspc/*; do [ ! -L "$l" ] || {{ t=$(readlink -f -- "$l"); own rm -rf -- "$t"/PG_{version}_*; rmdir -- "$t" 2>/dev/null || :; }}; done
  rm -rf -- "$1"
}}
# The first free name beside a folder, on its disk.
free() {{
  if mountpoint -q -- "$1" 2>/dev/null; then b=$1/; else b=${{1%.otr-"$2"-*}}; fi
  n=1; while [ -e "$b.otr-$2-$n" ]; do n=$((n + 1)); done; echo "$b.otr-$2-$n"
}}
map=
space() {{
  to=$1
  [ ! -d "$1" ] || [ -z "$(ls -A -- "$1")" ] || to=$(free "$1" space)
  echo "$to" >>"$made"; folder "$to"
  [ "$to" = "$1" ] || map="$map --tablespace-mapping=$1=$to"
}}
each() {{ for e in "$1"/* "$1"/.[!.]*; do case ${{e##*/}} in .otr-*|lost+found|global) ;; *) [ ! -e "$e" ] && [ ! -L "$e" ] || mv -T -- "$e" "$2/${{e##*/}}";; esac; done
  [ ! -e "$1/global" ] || mv -T -- "$1/global" "$2/global"; }}
[ ! -d "$in" ] || [ -n "$(ls -A -- "$in")" ] || rmdir -- "$in"
if [ ! -d "$in" ]; then
  [ ! -e "$out" ] || keep=1
  [ ! -e "$new" ] || discard "$new"
  [ ! -e "$made" ] || {{ while read -r d; do case $d in *.otr-wal-*) own rm -rf -- "$d"/*;; *) own rm -rf -- "$d"/PG_{version}_*;; esac; done <"$made"; rm -f -- "$made"; }}
  {spaces}
  wal=
  for w in "$real/pg_wal" "$out/pg_wal" $([ -e "$real" ] || echo "$old/pg_wal" "$old".[0-9]*/pg_wal); do [ ! -L "$w" ] || {{ wal=$(free "$(readlink -f -- "$w")" wal); echo "$wal" >>"$made"; folder "$wal"; break; }}; done
  folder "$new"
  runuser -u postgres -- /usr/lib/postgresql/{version}/bin/pg_basebackup --pgdata="$new" --dbname={conninfo} --no-password --wal-method=stream --checkpoint=fast{slot}$map ${{wal:+"--waldir=$wal"}}
  rm -rf -- "$new"/.otr-* "$new/lost+found"
  {forget}
  runuser -u postgres -- touch "$new/standby.signal"
  sync -f "$new"
  rm -f -- "$made"
  systemctl stop {service}
  if [ -n "$mounted" ]; then
    mkdir -p -m 0700 -- "$out"; chown postgres:postgres -- "$out"
    [ "$keep" != 1 ] || own touch -- "$out/.otr-keep"
    each "$real" "$out"
    mv -T -- "$new" "$in"
  elif [ "$keep" = 1 ]; then
    n=0; while [ -e "$old.$n" ]; do n=$((n + 1)); done
    [ ! -e "$real" ] || mv -T -- "$real" "$old.$n"
  else
    [ ! -e "$old" ] || discard "$old"
    [ ! -e "$real" ] || mv -T -- "$real" "$old"
  fi
fi
if [ -n "$mounted" ]; then
  [ ! -e "$out/.otr-keep" ] || keep=1
  systemctl stop {service}
  [ "$(stat -c %U -- "$real")" = postgres ] || chown postgres:postgres -- "$real"
  chmod 0700 -- "$real"
  each "$in" "$real"
  rmdir -- "$in"
  if [ "$keep" = 1 ] && [ -n "$(ls -A -- "$out")" ]; then n=0; while [ -e "$old.$n" ]; do n=$((n + 1)); done; mv -T -- "$out" "$old.$n"; fi
else
  mv -T -- "$new" "$real"
fi
sync -f "$real"
systemctl start {service}
[ "$keep" = 1 ] || for d in "$old" "$out"; do [ ! -e "$d" ] || discard "$d"; done"#,
        data = quote_path(copy.data),
        keep = u8::from(copy.keep_old),
        spaces = spaces.join("\n  "),
        conninfo = quote(copy.conninfo),
        forget = forget_targets("\"$new\"", copy.data, true),
    )
}
