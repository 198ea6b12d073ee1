//! The otr binary under test, run as the driver: its own HOME with the lab's key and
//! known_hosts, nothing else of this machine's environment.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::lab::Lab;

/// What the seeded production has in its odoo.conf.
pub const ADMIN_PASSWD: &str = "correct-horse";
/// What the seeded production has in its redis.conf.
pub const REDIS_PASSWORD: &str = "keys-to-the-shop";
/// What chapters 7 and 8 agree on with production's admin.
pub const REPLICATION_PASSWORD: &str = "follow-the-leader";
/// The servers of objects, as s3fs and rclone are told of them.
const S3_KEY: &str = "S3RVER:S3RVER";
const AZURE_KEY: &str = "a2V5cy10by10aGUtc2hvcAo=";
const RCLONE_CONF: &str = "[az]\ntype = azureblob\naccount = acme\nkey = a2V5cy10by10aGUtc2hvcAo=\nendpoint = blob.lab:10000\n";

/// One run of otr.
#[derive(Debug, Clone)]
pub struct Run {
    arguments: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    status: std::process::ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
    /// How long it took.
    pub seconds: f64,
}

impl Run {
    /// It ended with this code.
    pub fn ended(&self, code: i32) -> Result<&Self> {
        ensure!(self.code == Some(code), "otr {} ended with {}, not {code}", self.arguments, self.status);
        Ok(self)
    }

    /// Its standard output as JSON.
    pub fn json(&self) -> Result<Report> {
        let value = serde_json::from_str(&self.stdout).with_context(|| format!("otr {} did not print one JSON value", self.arguments))?;
        Ok(Report(value))
    }

    /// Everything it said, for searching.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A report in JSON.
#[derive(Debug, Clone)]
pub struct Report(pub Value);

impl Report {
    /// The resources, all of them.
    pub fn resources(&self) -> impl Iterator<Item = &Value> {
        self.0["resources"].as_array().map(Vec::as_slice).unwrap_or_default().iter()
    }

    /// `host kind name: state` of every resource that does not hold.
    pub fn drift(&self) -> Vec<String> {
        self.resources().filter(|r| r["state"] != "holds").map(line).collect()
    }

    /// `host kind name: outcome` of every resource that something was done to.
    pub fn touched(&self) -> Vec<String> {
        self.resources().filter(|r| r["outcome"].is_string()).map(line).collect()
    }

    /// A number of the summary.
    pub fn count(&self, what: &str) -> Result<u64> {
        self.0["summary"][what].as_u64().with_context(|| format!("no {what} in the summary {}", self.0["summary"]))
    }
}

/// A resource in one line.
pub fn line(resource: &Value) -> String {
    let word = |key: &str| resource[key].as_str().unwrap_or("?").to_owned();
    let outcome = resource["outcome"].as_str().map(|o| format!(" ({o})")).unwrap_or_default();
    format!("{} {} {}: {}{outcome}", word("host"), word("kind"), word("name"), word("state"))
}

/// The program and what it was told lately.
pub struct Otr {
    program: PathBuf,
    home: tempfile::TempDir,
    netns: String,
    lately: Vec<Run>,
}

impl Otr {
    /// Takes `OTR_BIN`, or the binary cargo built for this test.
    pub fn new(lab: &Lab) -> Result<Self> {
        let program = std::env::var_os("OTR_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_otr")), PathBuf::from);
        let program = program.canonicalize().with_context(|| format!("no binary {}", program.display()))?;
        let home = tempfile::Builder::new().prefix("otr-pair-").tempdir()?;
        std::fs::create_dir(home.path().join(".ssh"))?;
        let otr = Self { program, home, netns: lab.fact("NETNS").to_owned(), lately: Vec::new() };
        otr.fresh_specs()?;
        Ok(otr)
    }

    /// Copies the specs anew: `promote --write-spec` changes them.
    pub fn fresh_specs(&self) -> Result<()> {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pair/specs");
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            std::fs::copy(entry.path(), self.home.path().join(entry.file_name()))?;
        }
        Ok(())
    }

    /// Takes the lab's present key and host keys.
    pub fn meet(&self, lab: &Lab) -> Result<()> {
        let ssh = self.home.path().join(".ssh");
        std::fs::copy(lab.fact("KNOWN_HOSTS"), ssh.join("known_hosts"))?;
        std::fs::copy(lab.fact("KEY"), ssh.join("id_ed25519"))?;
        Ok(())
    }

    /// The binary itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Where a spec of `specs/` was copied to.
    pub fn spec(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a spec that differs from another, and gives nothing a chance to miss: the change must change it.
    pub fn vary(&self, from: &str, to: &str, change: impl FnOnce(String) -> String) -> Result<()> {
        let before = std::fs::read_to_string(self.spec(from))?;
        let after = change(before.clone());
        ensure!(before != after, "{to} would be {from}");
        std::fs::write(self.spec(to), after).context("a spec")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.netns]).arg(&self.program).args(arguments);
        command
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("ACME_ADMIN_PASSWD", ADMIN_PASSWD).env("ACME_REDIS_PASSWORD", REDIS_PASSWORD);
        command.env("ACME_REPLICATION_PASSWORD", REPLICATION_PASSWORD);
        command.env("ACME_S3_KEY", S3_KEY).env("ACME_RCLONE_CONF", RCLONE_CONF);
        command.stdin(Stdio::null());
        command
    }

    /// Runs it to its end: `run("pair.yaml", "plan --json")`.
    pub fn run(&mut self, spec: &str, arguments: &str) -> Result<Run> {
        let words: Vec<&str> = ["-s", spec].into_iter().chain(arguments.split_whitespace()).collect();
        let begun = Instant::now();
        let output = self.command(&words).output().context("otr cannot be started")?;
        let run = Run {
            arguments: words.join(" "),
            code: output.status.code(),
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            seconds: begun.elapsed().as_secs_f64(),
        };
        self.remember(run.clone());
        for secret in [ADMIN_PASSWD, REDIS_PASSWORD, REPLICATION_PASSWORD, S3_KEY, AZURE_KEY] {
            ensure!(!run.said().contains(secret), "otr {} printed a secret", run.arguments);
        }
        Ok(run)
    }

    /// Starts it and lets go; what it prints goes to a file that [`Otr::told`] shows.
    pub fn start(&mut self, spec: &str, arguments: &str) -> Result<Child> {
        let words: Vec<&str> = ["-s", spec].into_iter().chain(arguments.split_whitespace()).collect();
        let log = std::fs::File::create(self.home.path().join("started.log"))?;
        // `ip netns exec` becomes the program itself, so a kill reaches otr and nothing else.
        Ok(self.command(&words).stdout(log.try_clone()?).stderr(log).spawn()?)
    }

    /// Runs it to its end. What one that was killed left running on a host may hold its lock a while,
    /// and so may a connection that was cut.
    pub fn finish(&mut self, spec: &str, arguments: &str) -> Result<Run> {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let run = self.run(spec, arguments)?;
            if run.code == Some(75) && Instant::now() < end {
                std::thread::sleep(Duration::from_secs(1));
                continue;
            }
            run.ended(0)?;
            return Ok(run);
        }
    }

    /// What the program started last has printed so far.
    pub fn started_said(&self) -> String {
        std::fs::read_to_string(self.home.path().join("started.log")).unwrap_or_default()
    }

    /// Takes note of a run made elsewhere, so that a failing step shows it.
    pub fn remember(&mut self, run: Run) {
        self.lately.push(run);
    }

    /// A new step begins.
    pub fn forget(&mut self) {
        self.lately.clear();
    }

    /// What was run in this step, for one that failed.
    pub fn told(&self) -> String {
        let mut text = String::new();
        for run in self.lately.iter().rev().take(3).rev() {
            let _ = writeln!(text, "-- otr {} ({:.1} s) ended with {}", run.arguments, run.seconds, run.status);
            text.push_str(&readable(&run.stdout));
            text.push_str(&tail(&run.stderr, 40));
        }
        text
    }
}

/// A report shortened to what does not hold; other output shortened to its end.
fn readable(stdout: &str) -> String {
    let Ok(report) = serde_json::from_str::<Value>(stdout) else { return tail(stdout, 60) };
    if !report["resources"].is_array() {
        return format!("{report:#}\n");
    }
    let report = Report(report);
    let mut text = String::new();
    for resource in report.resources().filter(|r| r["state"] != "holds" || r["outcome"].is_string()) {
        let _ = writeln!(text, "{}", line(resource));
        // What was changed and holds now needs no explanation.
        for key in ["differences", "on", "error"].iter().filter(|key| resource["state"] != "holds" && !resource[**key].is_null()) {
            let told: String = resource[*key].to_string().chars().take(600).collect();
            let _ = writeln!(text, "    {key}: {told}");
        }
    }
    let _ = writeln!(text, "hosts: {}\nsummary: {}", report.0["hosts"], report.0["summary"]);
    text
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let mut short = all[all.len().saturating_sub(lines)..].join("\n");
    short.push('\n');
    short
}
