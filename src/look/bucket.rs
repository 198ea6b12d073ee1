//! An object store's address, as this host reaches it. No key is sent: that it answers is what is asked.

use serde::Serialize;

use super::{Reply, SightError, quote};

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum BucketSight {
    /// It answered with this status of HTTP.
    Answered(u16),
    /// It did not; in the client's words.
    Silent(String),
}

/// curl where it is installed; Python comes with Odoo.
const PYTHON: &str = r#"import sys, urllib.error, urllib.request
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_): return None
try:
    print("answered", urllib.request.build_opener(Stay).open(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=8).status)
except urllib.error.HTTPError as error: print("answered", error.code)
except Exception as error: print("silent", getattr(error, "reason", error))"#;

pub(super) fn script(url: &str) -> String {
    let url = quote(url);
    format!(
        r#"if command -v curl >/dev/null; then
  code=$(timeout 10 curl -sS -I -o /dev/null -w '%{{http_code}}' --max-time 8 -- {url} 2>&1) && echo "answered $code" || echo "silent $code"
else timeout 10 python3 -c {} {url} || echo "silent no curl and no python3 to ask with"; fi"#,
        quote(PYTHON)
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<BucketSight, SightError> {
    let text = reply.text(limit)?.trim_end();
    match text.split_once(' ') {
        Some(("answered", code)) => code.trim().parse().map(BucketSight::Answered).map_err(|_| SightError::Truncated),
        Some(("silent", why)) => Ok(BucketSight::Silent(why.lines().next().unwrap_or_default().to_owned())),
        _ => Err(SightError::Truncated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_and_silence() {
        let said = |text: &str| read(&Reply { stdout: text.into(), ..Reply::default() }, 1);
        assert_eq!(said("answered 403\n"), Ok(BucketSight::Answered(403)));
        assert_eq!(said("silent [Errno 111] Connection refused\n"), Ok(BucketSight::Silent("[Errno 111] Connection refused".into())));
        assert!(said("answ").is_err() && said("").is_err());
    }

    #[test]
    fn a_closed_port_is_silence_whichever_client_asks() {
        let run = |script: &str| {
            let output = std::process::Command::new("sh").args(["-c", script]).output().unwrap();
            read(&Reply { stdout: output.stdout, ..Reply::default() }, 1)
        };
        let script = script("http://127.0.0.1:1/acme");
        assert!(matches!(run(&script), Ok(BucketSight::Silent(_))), "{:?}", run(&script));
        assert!(matches!(run(&script.replace("command -v curl", "false")), Ok(BucketSight::Silent(_))));
    }
}
