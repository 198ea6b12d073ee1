//! Password hashes: PostgreSQL's SCRAM verifiers and Odoo's pbkdf2 of the master password.
//!
//! A verifier is computed here, so that no password reaches PostgreSQL or its log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

use crate::secret::Secret;

/// PostgreSQL's default (`scram_iterations`, 16 and later).
const ITERATIONS: u32 = 4096;

/// A SCRAM-SHA-256 verifier (RFC 5803). The salt follows from role and password, so that the
/// same password always gives the same verifier and a plan can be repeated; it stays
/// unguessable without the password.
pub fn scram_verifier(role: &str, password: &Secret) -> Secret {
    let seed = Sha256::digest(format!("otr scram salt\0{role}\0{}", password.expose()).as_bytes());
    let salt = seed.get(..16).unwrap_or(&seed);
    Secret::new(verifier(password.expose(), salt, ITERATIONS))
}

/// Whether a verifier of pg_authid belongs to a password.
pub fn scram_matches(stored: &str, password: &Secret) -> bool {
    let parts = || {
        let rest = stored.strip_prefix("SCRAM-SHA-256$")?;
        let (iterations, rest) = rest.split_once(':')?;
        let (salt, _) = rest.split_once('$')?;
        Some((iterations.parse().ok()?, STANDARD.decode(salt).ok()?))
    };
    parts().is_some_and(|(iterations, salt): (u32, Vec<u8>)| verifier(password.expose(), &salt, iterations) == stored)
}

/// PBKDF2 is slow on purpose, and one run decides many times: what was made is kept, under a digest of
/// what it was made from.
static MADE: Mutex<BTreeMap<[u8; 32], Secret>> = Mutex::new(BTreeMap::new());

fn verifier(password: &str, salt: &[u8], iterations: u32) -> String {
    let from = Sha256::new().chain_update(iterations.to_be_bytes()).chain_update(Sha256::digest(salt)).chain_update(password);
    let from: [u8; 32] = from.finalize().into();
    let made = || MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(verifier) = made().get(&from) {
        return verifier.expose().to_owned();
    }
    let verifier = make(password, salt, iterations);
    made().insert(from, Secret::new(verifier.clone()));
    verifier
}

fn make(password: &str, salt: &[u8], iterations: u32) -> String {
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
    let stored = Sha256::digest(keyed(&salted, b"Client Key"));
    let server = keyed(&salted, b"Server Key");
    format!("SCRAM-SHA-256${iterations}:{}${}:{}", STANDARD.encode(salt), STANDARD.encode(stored), STANDARD.encode(server))
}

fn keyed(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    // An HMAC key may have any length, so this cannot fail for 32 bytes.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mac| mac.chain_update(message).finalize().into_bytes().into())
}

/// Keys of odoo.conf whose values are shown nowhere, whoever wrote them.
pub fn is_secret_key(key: &str) -> bool {
    ["passw", "secret", "token", "api_key", "private"].iter().any(|word| key.contains(word))
}

/// A URL with a password: `scheme://user:password@host/…`.
pub fn holds_password(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ', ',']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

/// Whether odoo.conf's `admin_passwd` is this password: the text itself, or passlib's
/// `$pbkdf2-sha512$rounds$salt$checksum` of it (Odoo's tools/config.py), in passlib's base64
/// with `.` for `+` and no padding.
pub fn odoo_password_matches(stored: &str, password: &Secret) -> bool {
    let parts = || {
        let mut parts = stored.strip_prefix("$pbkdf2-sha512$")?.split('$');
        let rounds: u32 = parts.next()?.parse().ok()?;
        let mut bytes = || STANDARD_NO_PAD.decode(parts.next()?.replace('.', "+")).ok();
        Some((rounds, bytes()?, bytes()?))
    };
    match parts() {
        // More rounds than any Odoo uses: a made-up hash must not keep otr busy.
        Some((rounds, salt, checksum)) if rounds <= 5_000_000 && checksum.len() == 64 => {
            let mut computed = [0; 64];
            pbkdf2::pbkdf2_hmac::<Sha512>(password.expose().as_bytes(), &salt, rounds, &mut computed);
            computed.as_slice() == checksum
        }
        _ => stored == password.expose(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_matches_its_password_alone() {
        let (password, other) = (Secret::new("pencil"), Secret::new("Pencil"));
        let made = scram_verifier("otr_repl", &password);
        assert!(scram_matches(made.expose(), &password) && !scram_matches(made.expose(), &other));
        assert!(!made.expose().contains("pencil"));
        assert_eq!(made, scram_verifier("otr_repl", &password));
        assert!(!scram_matches("md5abc", &password) && !scram_matches("", &password));
    }

    #[test]
    fn postgres_own_verifier_is_read() {
        // Example of RFC 7677: user "user", password "pencil", its salt and 4096 iterations.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let stored = verifier("pencil", &salt, 4096);
        assert_eq!(
            stored,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn odoos_hash_of_the_same_password_is_the_same_password() {
        // passlib.hash.pbkdf2_sha512.using(rounds=25, salt=b"saltsalt").hash("admin")
        let mut checksum = [0; 64];
        pbkdf2::pbkdf2_hmac::<Sha512>(b"admin", b"saltsalt", 25, &mut checksum);
        let ab64 = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes).replace('+', ".");
        let stored = format!("$pbkdf2-sha512$25${}${}", ab64(b"saltsalt"), ab64(&checksum));
        assert!(odoo_password_matches(&stored, &Secret::new("admin")));
        assert!(!odoo_password_matches(&stored, &Secret::new("other")));
        assert!(odoo_password_matches("admin", &Secret::new("admin")));
        assert!(!odoo_password_matches("$pbkdf2-sha512$broken", &Secret::new("admin")));
    }
}
