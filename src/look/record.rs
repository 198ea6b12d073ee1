//! The end of a record.

use std::path::Path;

use super::content::is_absent;
use super::{Reply, SightError, quote_path};
use crate::record::{Record, TAIL};

/// Its size, and its last bytes. What is no file is neither read nor absent.
pub(super) fn script(path: &Path) -> String {
    let path = quote_path(path);
    format!(
        "if [ -e {path} ] || [ -L {path} ]; then [ -f {path} ] || {{ echo {path} 'is no file' >&2; exit 1; }}\n\
         s=$(stat -L -c %s -- {path}) && echo \"$s\" && tail -c {TAIL} -- {path}; else stat -L -- {path} >/dev/null; fi"
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Option<Record>, SightError> {
    if is_absent(reply) {
        return Ok(None);
    }
    reply.ok(limit)?;
    let end = super::batch::find(&reply.stdout, b"\n").ok_or(SightError::Truncated)?;
    let (size, bytes) = (reply.stdout.get(..end).unwrap_or_default(), reply.stdout.get(end + 1..).unwrap_or_default());
    let size = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok());
    let size: u64 = size.ok_or_else(|| SightError::Unreadable("no size before it".into()))?;
    // It may have grown meanwhile: less than asked for is all of it.
    let size = if bytes.len() < TAIL { bytes.len() as u64 } else { size.max(bytes.len() as u64) };
    Ok(Some(Record::of(bytes, size)))
}
