//! Odoo as a browser sees it: the login page and every asset it names, asked for on the host.

use serde::{Deserialize, Serialize};

use super::{Reply, SightError, quote};
use crate::name::DatabaseName;

/// What the login page and its assets answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginPage {
    /// HTTP status of `/web/login`; 0 if nothing answered.
    pub status: u16,
    /// Why nothing answered.
    #[serde(default)]
    pub error: Option<String>,
    /// Each asset the page names, with its HTTP status.
    #[serde(default)]
    pub assets: Vec<Probe>,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The path asked for.
    pub path: String,
    /// HTTP status; 0 if nothing answered.
    pub status: u16,
}

/// Odoo is Python, so Python is there; curl may not be.
pub(super) fn script(port: u16, database: Option<&DatabaseName>) -> String {
    let database = database.map_or(String::new(), |name| format!("?db={name}"));
    format!(
        "command -v python3 >/dev/null || {{ echo '{{\"status\": 0, \"error\": \"no python3\"}}'; exit 0; }}; python3 -c {} {port} {}",
        quote(PROGRAM),
        quote(&database)
    )
}

const PROGRAM: &str = r#"
import json, re, sys, urllib.request, urllib.error
base = "http://127.0.0.1:" + sys.argv[1]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
def get(path):
    try:
        with opener.open(base + path, timeout=20) as answer:
            return answer.status, answer.read(), None
    except urllib.error.HTTPError as error:
        return error.code, b"", None
    except Exception as error:
        return 0, b"", str(error)
status, page, error = get("/web/login" + (sys.argv[2] if len(sys.argv) > 2 else ""))
paths = sorted(set(re.findall(r'["\'](/web/(?:assets|content)/[^"\'<> ]+)', page.decode("utf-8", "replace"))))
print(json.dumps({"status": status, "error": error, "assets": [{"path": p, "status": get(p.replace("&amp;", "&"))[0]} for p in paths]}))
"#;

pub(super) fn read(reply: &Reply, limit: u64) -> Result<LoginPage, SightError> {
    serde_json::from_str(reply.text(limit)?).map_err(|e| SightError::Unreadable(e.to_string()))
}
