//! A line is added to a record.

use std::path::Path;

use crate::look::{quote, quote_path};
use crate::record::{KEPT, LARGE};

/// A line that a power cut ended stays a line of its own. Nothing but a file is written to.
pub fn append(path: &Path, line: &str, rotates: bool) -> String {
    let (path, directory) = (quote_path(path), quote_path(path.parent().unwrap_or(path)));
    // Cut off anywhere, the record is either the old one or the new, and the old one is kept.
    let rotate = format!(
        "if ! [ -L \"$f\" ] && [ -f \"$f\" ] && [ \"$(stat -c %s -- \"$f\")\" -gt {LARGE} ]; then\n\
         n=$(mktemp -- \"$f.XXXXXXXXXX\")\ntail -c {KEPT} -- \"$f\" | sed 1d >\"$n\"\nchmod --reference=\"$f\" -- \"$n\"\nsync \"$n\"\n\
         ln -f -- \"$f\" \"$f.1\"\nmv -T -- \"$n\" \"$f\"\nfi\n"
    );
    format!(
        "[ -d {directory} ] || mkdir -p -m 0700 -- {directory}\nf={path}\n\
         if [ -e \"$f\" ] || [ -L \"$f\" ]; then [ -f \"$f\" ] || {{ echo \"$f is no file\" >&2; exit 1; }}\n\
         [ ! -s \"$f\" ] || [ \"$(tail -c 1 -- \"$f\" | wc -l)\" = 1 ] || echo >>\"$f\"; fi\n\
         {}printf '%s\\n' {} >>\"$f\"\nsync \"$f\" {directory}",
        if rotates { rotate.as_str() } else { "" },
        quote(line)
    )
}
