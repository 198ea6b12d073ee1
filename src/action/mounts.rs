//! Mount points and mounts as POSIX shell.

use std::path::Path;

use crate::look::{quote, quote_path};

/// Where the file system knows no such flag, Odoo's unit alone guards the place.
pub(super) fn make(at: &Path, immutable: bool) -> String {
    let at = quote_path(at);
    let make = format!("[ -d {at} ] || {{ mkdir -p -- {at}; chmod 0755 {at}; }}");
    match immutable {
        true => format!("{make}\nif lsattr -d -- {at} >/dev/null 2>&1; then chattr +i -- {at}; fi"),
        false => make,
    }
}

/// Under a time limit: a remount asks the server.
pub(super) fn remount(at: &Path, options: &[String]) -> String {
    format!("timeout 60 mount -o remount,{} -- {}", quote(&options.join(",")), quote_path(at))
}
