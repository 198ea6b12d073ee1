//! Odoo as its users see it: the login page, attachments, contacts (through `rpc.py`).

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::lab::Lab;

/// An attachment that was made.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Its name; a contact of the same name was made with it.
    pub name: String,
    /// SHA-1 of its bytes.
    pub sha1: String,
    /// Its file, below the database's filestore.
    pub store_name: String,
}

/// Where Odoo keeps the attachments of the lab's database.
pub const FILESTORE: &str = "/var/lib/odoo/.local/share/Odoo/filestore/acme";

fn rpc(lab: &Lab, host: &str, arguments: &[&str]) -> Result<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pair/rpc.py");
    let url = format!("http://{}:8069", lab.address(host));
    let output = lab.driver("python3").args([script, &url, "acme"]).args(arguments).output()?;
    ensure!(output.status.success(), "Odoo on {host}: {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("rpc.py's answer")
}

fn text(value: &Value, key: &str) -> Result<String> {
    Ok(value[key].as_str().with_context(|| format!("no {key} in {value}"))?.to_owned())
}

/// Makes an attachment and a contact.
pub fn create(lab: &Lab, host: &str, name: &str) -> Result<Attachment> {
    let made = rpc(lab, host, &["create", name])?;
    Ok(Attachment { name: name.to_owned(), sha1: text(&made, "sha1")?, store_name: text(&made, "store_fname")? })
}

/// Makes many small attachments, a few to a transaction.
///
/// Odoo writes the files of a call before its first row, and a collection of garbage that runs in
/// between deletes them: its daily one is off from here on.
pub fn create_many(lab: &Lab, host: &str, count: usize, name: &str) -> Result<()> {
    lab.sql(host, "acme", "update ir_cron set active = false where cron_name like '%Auto-vacuum%'")?;
    rpc(lab, host, &["many", &count.to_string(), name]).map(drop)
}

/// The attachment comes back whole, over RPC and over the web.
pub fn still_has(lab: &Lab, host: &str, attachment: &Attachment) -> Result<()> {
    let read = rpc(lab, host, &["read", &attachment.name])?;
    for by in ["sha1", "web_sha1"] {
        ensure!(text(&read, by)? == attachment.sha1, "{} on {host} is not what was stored: {read}", attachment.name);
    }
    Ok(())
}

/// The login page answers 200, and so does everything it needs.
pub fn login_page_is_whole(lab: &Lab, host: &str) -> Result<()> {
    let page = rpc(lab, host, &["login"])?;
    ensure!(page["status"] == 200, "the login page of {host}: {page}");
    let assets = page["assets"].as_object().context("no assets")?;
    ensure!(assets.len() >= 5, "the login page of {host} names only {assets:?}");
    for (url, status) in assets {
        ensure!(status == 200, "{url} on {host}: {status}");
    }
    Ok(())
}

/// Where a browser keeps its cookies.
const JAR: &str = "cookies.txt";

fn browser(lab: &Lab, host: &str, verb: &str, folder: &std::path::Path) -> Result<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pair/web.py");
    let url = format!("http://{}:8069", lab.address(host));
    let output = lab.driver("python3").args([script, &url, "acme", verb]).arg(folder.join(JAR)).output()?;
    ensure!(output.status.success(), "the browser at {host}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("web.py's answer")
}

/// Logs in with a browser that keeps its cookies in `folder`.
pub fn log_in(lab: &Lab, host: &str, folder: &std::path::Path) -> Result<()> {
    let told = browser(lab, host, "login", folder)?;
    ensure!(told["uid"] == 2, "the login at {host}: {told}");
    Ok(())
}

/// Logs out; the browser's cookies stay in `folder` as they were.
pub fn log_out(lab: &Lab, host: &str, folder: &std::path::Path) -> Result<()> {
    browser(lab, host, "logout", folder).map(drop)
}

/// Nobody is known by the cookies in `folder`.
pub fn no_longer_logged_in(lab: &Lab, host: &str, folder: &std::path::Path) -> Result<()> {
    let told = browser(lab, host, "who", folder)?;
    ensure!(told["uid"].is_null() || told["uid"] == false, "a session that ended is known at {host}: {told}");
    Ok(())
}

/// The same browser, with the same cookies, is still logged in.
pub fn still_logged_in(lab: &Lab, host: &str, folder: &std::path::Path) -> Result<()> {
    let told = browser(lab, host, "who", folder)?;
    ensure!(told["uid"] == 2, "the cookie is not known at {host}: {told}");
    Ok(())
}
