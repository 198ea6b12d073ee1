//! `lab.sh` as functions: the two machines, their power and their cables.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The real one: Debian's psql is a Perl script that looks for it, at ten times its price.
pub const PSQL: &str = "$(echo /usr/lib/postgresql/*/bin/psql)";

/// The machines.
pub struct Lab {
    script: PathBuf,
    facts: BTreeMap<String, String>,
}

impl Lab {
    /// Finds the lab, and builds its layers if they are missing. `reuse` leaves what stands there.
    pub fn new(reuse: bool) -> Result<Self> {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pair/lab.sh");
        ensure!(rustix::process::geteuid().is_root(), "it boots machines, which needs root");
        let mut lab = Self { script, facts: BTreeMap::new() };
        lab.call(&["deps"])?;
        lab.call(&["base"])?;
        if !reuse {
            lab.call(&["destroy"])?;
        }
        let facts = lab.call(&["env"])?;
        lab.facts = facts.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Ok(lab)
    }

    /// One of the lab's paths or addresses (`lab.sh env`).
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }

    /// A host's address.
    pub fn address(&self, host: &str) -> &str {
        self.fact(&host.to_uppercase())
    }

    /// One verb of lab.sh; its standard output.
    pub fn call(&self, arguments: &[&str]) -> Result<String> {
        // Machines started by the script keep its standard error open: it goes to a file.
        let errors = tempfile::NamedTempFile::new()?;
        let output = Command::new(&self.script).args(arguments).stdin(Stdio::null()).stderr(errors.reopen()?).output()?;
        let said = std::fs::read_to_string(errors.path()).unwrap_or_default();
        finished(&format!("lab.sh {}", arguments.join(" ")), &output, &said)
    }

    /// A command that runs as the driver, on the lab's network.
    pub fn driver(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.fact("NETNS"), program]);
        command
    }

    /// A shell script on a host, as root, stopped at its first error; its standard output.
    pub fn sh(&self, host: &str, script: &str) -> Result<String> {
        let output = self.ssh(host, &format!("set -e\ncd /\n{script}"))?;
        finished(&format!("on {host}: {script}"), &output, &String::from_utf8_lossy(&output.stderr))
    }

    /// Whether a shell script succeeds on a host.
    pub fn holds(&self, host: &str, script: &str) -> Result<bool> {
        Ok(self.ssh(host, script)?.status.success())
    }

    fn ssh(&self, host: &str, script: &str) -> Result<Output> {
        let mut command = self.driver("ssh");
        command.args(["-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR", "-i", self.fact("KEY"), "-o"]);
        command.arg(format!("UserKnownHostsFile={}", self.fact("KNOWN_HOSTS"))).arg(format!("root@{}", self.address(host)));
        command.arg("bash -s");
        feed(command, script.as_bytes())
    }

    /// Puts a file on a host.
    pub fn put(&self, host: &str, path: &str, mode: &str, content: &[u8]) -> Result<()> {
        let mut command = self.driver("ssh");
        command.args(["-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-i", self.fact("KEY"), "-o"]);
        command.arg(format!("UserKnownHostsFile={}", self.fact("KNOWN_HOSTS"))).arg(format!("root@{}", self.address(host)));
        command.arg(format!("install -D -m {mode} /dev/stdin {path}"));
        let output = feed(command, content)?;
        ensure!(output.status.success(), "{path} on {host}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// SQL on a host's cluster, as its superuser; the rows, bare.
    pub fn sql(&self, host: &str, database: &str, sql: &str) -> Result<String> {
        Ok(self
            .sh(host, &format!("runuser -u postgres -- {PSQL} -XqAt -v ON_ERROR_STOP=1 {database} <<'SQL'\n{sql}\nSQL"))?
            .trim()
            .to_owned())
    }

    /// A Redis command on a host.
    pub fn redis(&self, host: &str, command: &str) -> Result<String> {
        Ok(self.sh(host, &format!("REDISCLI_AUTH={} redis-cli --no-auth-warning {command}", crate::otr::REDIS_PASSWORD))?.trim().to_owned())
    }

    /// Repeats a check until it holds, or says what it waited for.
    pub fn wait(&self, what: &str, seconds: u64, mut check: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
        loop {
            let last = check(self);
            if matches!(last, Ok(true)) {
                return Ok(());
            }
            if std::time::Instant::now() > end {
                last?;
                bail!("{what} did not happen in {seconds} s");
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }

    /// The end of every machine's journal without its logins, for a step that failed.
    pub fn journals(&self) -> String {
        let mut text = String::new();
        for host in ["erp1", "erp2"] {
            let recent = "journalctl --no-pager -q -n 400 -o short-precise | grep -v -e sshd -e logind -e 'user@' -e 'user-runtime' -e ' Session ' -e session- -e 'run-user' -e 'user-.*slice' -e 'User ' -e pam_ -e 'CRON' -e 'systemd.[0-9][0-9]' | tail -25";
            let tail = self.call(&["in", host, "sh", "-c", recent]);
            text += &format!("-- the journal of {host}\n{}\n", tail.unwrap_or_else(|_| "(it is off)".into()));
        }
        text
    }
}

fn feed(mut command: Command, input: &[u8]) -> Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let input = input.to_vec();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
    let output = child.wait_with_output()?;
    let _ = writer.join();
    Ok(output)
}

fn finished(what: &str, output: &Output, said: &str) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{what}\nended with {}\n{text}{said}", output.status);
    Ok(text)
}
