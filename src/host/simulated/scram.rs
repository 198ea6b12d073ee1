//! Whether a password fits a SCRAM-SHA-256 verifier, as PostgreSQL checks it (RFC 5802, 5803).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Whether the verifier was made from the password.
pub fn fits(verifier: &str, password: &str) -> bool {
    stored_key(verifier, password).is_some_and(|(wanted, made)| wanted == made)
}

/// A number by which a pair of verifier and password is known again without keeping either.
pub fn fingerprint(verifier: &str, password: &str) -> Vec<u8> {
    Sha256::digest(format!("{}:{verifier}{password}", verifier.len())).to_vec()
}

/// The verifier's stored key, and the one the password gives.
fn stored_key(verifier: &str, password: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (head, keys) = verifier.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    let (stored, _) = keys.split_once(':')?;
    let salt = STANDARD.decode(salt).ok()?;
    let mut salted = [0_u8; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, iterations.parse().ok()?, &mut salted);
    let mut client = Hmac::<Sha256>::new_from_slice(&salted).ok()?;
    client.update(b"Client Key");
    let made = Sha256::digest(client.finalize().into_bytes()).to_vec();
    Some((STANDARD.decode(stored).ok()?, made))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A verifier of any password, with few rounds: a test makes many.
    pub fn verifier(password: &str) -> String {
        let template = format!("SCRAM-SHA-256$64:{}$AAAA:AAAA", STANDARD.encode("salt"));
        let (_, made) = stored_key(&template, password).unwrap();
        template.replace("$AAAA:", &format!("${}:", STANDARD.encode(made)))
    }

    /// Made by PostgreSQL for the password `pencil` (RFC 7677's example, salt and 4096 rounds).
    pub const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn only_its_password_fits() {
        assert!(fits(PENCIL, "pencil"));
        assert!(!fits(PENCIL, "pen") && !fits("md5abc", "pencil") && !fits("", ""));
    }
}
