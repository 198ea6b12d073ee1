//! A line is added to a record.

use std::path::Path;

use super::guarded::{self, GUARD};
use crate::look::quote;
use crate::record::{KEPT, LARGE};

/// A line that a power cut ended stays a line of its own. Nothing but a file is written to, and none
/// through a link of another's: a link of root's is as good as the file.
pub fn append(path: &Path, line: &str, rotates: bool) -> String {
    let (folder, name) = guarded::split(path);
    // Cut off anywhere, the record is either the old one or the new, and the old one is kept.
    let rotate = format!(
        "if ! [ -L \"$f\" ] && [ \"$(stat -c %s -- \"$f\")\" -gt {LARGE} ]; then\n\
         ( fresh {name}; trap leave EXIT; tail -c {KEPT} -- \"../{name}\" | sed 1d >new; chmod --reference=../{name} new; sync new\n\
         ln -f -- ../{name} ../{name}.1; mv -T -- new ../{name} )\nfi\n"
    );
    format!(
        "{GUARD}into {folder} 0700\nf=./{name}\n\
         [ -e \"$f\" ] || [ -L \"$f\" ] || ( set -C; : >\"$f\" )\n\
         [ -f \"$f\" ] || {{ echo \"$PWD/\"{name}\" is no file\" >&2; exit 1; }}\n\
         {}exec 7>>\"$f\"\n\
         [ \"$(stat -L -c %d:%i /proc/self/fd/7)\" = \"$(stat -c %d:%i -- \"$f\")\" ] || case $(stat -c %u -- \"$f\") in 0|\"$me\") ;; *) alien \"$f\";; esac\n\
         [ ! -s \"$f\" ] || [ \"$(tail -c 1 -- \"$f\" | wc -l)\" = 1 ] || echo >&7\n\
         printf '%s\\n' {} >&7\nsync \"$f\" .\nexec 7>&-",
        if rotates { rotate.as_str() } else { "" },
        quote(line)
    )
}
