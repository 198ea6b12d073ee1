//! Mount points and mounts as POSIX shell.

use std::path::Path;

use super::script::guarded::{GUARD, split};
use crate::look::mounts::{answers, ended};
use crate::look::{quote, quote_path};
use crate::name::UnitName;

/// Where the file system knows no such flag, Odoo's unit alone guards the place.
pub(super) fn make(at: &Path, immutable: bool) -> String {
    let (folder, name) = split(at);
    let make = format!("{GUARD}into {folder}\n[ -d ./{name} ] || mkdir -m 0755 -- ./{name}");
    match immutable {
        true => format!("{make}\nif lsattr -d -- ./{name} >/dev/null 2>&1; then step {name}; chattr +i -- .; fi"),
        false => make,
    }
}

/// Under a time limit: a remount asks the server. A program behind FUSE knows no remount: the kernel
/// changes what it can by itself.
pub(super) fn remount(at: &Path, options: &[String]) -> String {
    let (options, at) = (quote(&options.join(",")), quote_path(at));
    format!(
        "case $(findmnt -n -r -M {at} -o FSTYPE | tail -n 1) in fuse*) own=-i;; *) own=;; esac\n\
         timeout 60 mount $own -o remount,{options} -- {at}"
    )
}

/// Starts the unit and sees that what it mounted answers: a helper may end well, leave a mount in the
/// table, and find only then that its server is gone. What does not answer is taken away again, so
/// that the next try begins anew. Nothing is ever mounted over files.
pub(super) fn mount(at: &Path, unit: &UnitName) -> String {
    let (at, unit, answers) = (quote_path(at), quote(unit.as_str()), answers(&quote_path(at), PATIENCE));
    format!(
        r#"left() {{ for of in $(grep -lzxF -- {at} /proc/[0-9]*/cmdline 2>/dev/null); do
  of=${{of%/cmdline}}; if ls -l "$of/fd" 2>/dev/null | grep -q '/dev/fuse$'; then echo "${{of#/proc/}}"; fi
done; }}
if ! findmnt -n -M {at} >/dev/null; then
  for n in $(left); do kill -TERM "$n" 2>/dev/null || :; sleep 2; kill -KILL "$n" 2>/dev/null || :; done
  found=$(ls -A -- {at} | head -n 3 | tr '\n' ' '); [ -z "$found" ] || {{ echo "nothing is mounted there, and it holds $found" >&2; exit 1; }}
fi
since=$(date '+%Y-%m-%d %H:%M:%S')
told() {{ journalctl -q --no-pager -o cat --since "$since" _SYSTEMD_UNIT={unit} 2>/dev/null | tail -n 2 | tr '\n' ' '; }}
said=$(systemctl start -- {unit} 2>&1) || {{ sleep 0.3; told=$(told); echo "${{told:-$said}}" >&2; exit 1; }}
{answers}
findmnt -n -M {at} >/dev/null || trouble="it was gone again${{trouble:+: $trouble}}"
[ -n "$trouble" ] || exit 0
sleep 0.3; echo "mounted, but $trouble; $(told)" >&2
systemctl stop --no-block -- {unit} 2>/dev/null || :
for n in $(left); do kill -KILL "$n" 2>/dev/null || :; done
timeout 10 umount -l -- {at} 2>/dev/null || :
exit 1"#
    )
}

/// Takes away a mount whose program is no more. Its files are out of everybody's reach, and nothing can
/// still be written through it, so nothing is lost; any other mount is left alone.
pub(super) fn detach(at: &Path) -> String {
    let (at, answers, ended) = (quote_path(at), answers(&quote_path(at), 5), ended(&quote_path(at)));
    format!(
        r#"case $(findmnt -n -r -M {at} -o FSTYPE | tail -n 1) in fuse*) ;; *) echo "no file system of a program is mounted there" >&2; exit 1;; esac
{answers}
{ended}
[ -n "$ended" ] || {{ echo "its program lives: nothing was unmounted" >&2; exit 1; }}
timeout 20 umount -l -- {at}"#
    )
}

/// In order, and only if nobody uses it.
pub(super) fn unmount(at: &Path) -> String {
    format!("! findmnt -n -M {at} >/dev/null || timeout 60 umount -- {at}", at = quote_path(at))
}

/// Seconds. s3fs asks a server that refuses it six times, with growing pauses.
const PATIENCE: u32 = 30;
