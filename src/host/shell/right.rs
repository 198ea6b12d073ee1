//! A login without the right to become root, told in words that help.

/// What to do if this is sudo refusing; nothing if it is not.
pub(super) fn missing(machine: &str, said: &str) -> Option<String> {
    let has = |words: &str| said.contains(words);
    let grant = "as root there, run `visudo -f /etc/sudoers.d/otr` and write: LOGIN ALL=(root) NOPASSWD: ALL";
    let why = if has("a password is required") || has("terminal is required") {
        format!("sudo asks for a password: {grant}")
    } else if has("not in the sudoers") || has("may not run sudo") || has("not allowed to") {
        format!("the login may not use sudo: {grant}")
    } else if has("must have a tty") {
        "sudo wants a terminal: write `Defaults:LOGIN !requiretty` into /etc/sudoers.d/otr".into()
    } else if has("sudo") && has("not found") {
        "sudo is not installed there: install it, or log in as root without `become`".into()
    } else {
        return None;
    };
    Some(format!("{machine}: {why} (LOGIN is the SSH login; it said: {})", said.lines().last().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sudo_says_becomes_what_to_do() {
        for said in [
            "sudo: a password is required",
            "odoo is not in the sudoers file.",
            "Sorry, user odoo is not allowed to execute '/usr/bin/sh' as root on erp2.",
            "sudo: a terminal is required to read the password; either use the -S option",
        ] {
            let why = missing("ssh odoo@erp2", said).unwrap();
            assert!(why.contains("NOPASSWD") && why.contains(said) && why.starts_with("ssh odoo@erp2"), "{why}");
        }
        assert!(missing("x", "sh: 1: sudo: not found").unwrap().contains("not installed"));
        assert_eq!(missing("x", "Connection reset"), None);
    }
}
