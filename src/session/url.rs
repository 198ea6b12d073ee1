//! The URL of a Redis server, as redis-py reads it (`redis.connection.parse_url`).

use super::{Wish, joined};
use crate::secret::Text;

/// `rediss://user:password@host:port/0?ssl_ca_certs=…`. Without TLS too, for modules that take a
/// login or a database number in no other way.
pub(super) fn of(wish: &Wish<'_>) -> Text {
    let scheme = if wish.tls.is_some() { "rediss://" } else { "redis://" };
    let user: Text = wish.user.map(encoded).unwrap_or_default().into();
    let (colon, password, at): (Text, Text, Text) = match &wish.password {
        Some(password) => (":".into(), password.map(encoded), "@".into()),
        None => ("".into(), "".into(), if wish.user.is_some() { "@" } else { "" }.into()),
    };
    let index = wish.index.unwrap_or(0);
    // redis-py verifies by default, but against the system's authorities unless one is named.
    let query = wish.tls.map(|file| format!("?ssl_cert_reqs=required&ssl_ca_certs={}", encoded(&file.to_string_lossy())));
    let place = format!("{}:{}/{index}{}", wish.host, wish.port, query.unwrap_or_default());
    joined(&[&scheme.into(), &user, &colon, &password, &at, &place.into()])
}

/// Percent-encoded but for what RFC 3986 calls unreserved.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}
