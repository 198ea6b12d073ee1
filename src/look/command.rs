//! A program of the spec's: what it answers when it is asked.

use serde::{Deserialize, Serialize};

use super::{Reply, SightError, quote};

/// A program with its arguments, by absolute path, and what it is told by its environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandLine {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Names and values; never a secret.
    pub environment: Vec<(String, String)>,
    /// How long it may take.
    pub seconds: u64,
}

/// How it ended and what it printed on standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its exit status.
    pub status: i32,
    /// What it printed.
    pub text: String,
}

impl CommandLine {
    /// As a person would type it.
    pub fn shown(&self) -> String {
        self.argv.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
    }

    /// The call, for a POSIX shell.
    pub fn call(&self) -> String {
        let environment: Vec<String> = self.environment.iter().map(|(name, value)| quote(&format!("{name}={value}"))).collect();
        format!("timeout -k 5 {} env {} {}", self.seconds, environment.join(" "), self.shown())
    }
}

pub(super) fn script(command: &CommandLine) -> String {
    // Its end is an answer too, so the look itself does not fail by it.
    format!("{} </dev/null; echo \"otr:$?\"", command.call())
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Answer, SightError> {
    let unreadable = || SightError::Unreadable("it does not say how it ended".into());
    let (text, status) = reply.text(limit)?.rsplit_once("otr:").ok_or_else(unreadable)?;
    let status = status.trim().parse().map_err(|_| unreadable())?;
    match status {
        124 | 137 => Err(SightError::Timeout(limit)),
        126 | 127 => Err(SightError::Failed(reply.stderr.trim().to_owned())),
        status => Ok(Answer { status, text: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(argv: &[&str]) -> Result<Answer, SightError> {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        let command = CommandLine { argv, environment: vec![("WHO".into(), "it's me".into())], seconds: 5 };
        let output = std::process::Command::new("sh").arg("-c").arg(script(&command)).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        read(&Reply { stdout: output.stdout, stderr, status: output.status.code().unwrap() }, 5)
    }

    #[test]
    fn how_it_ends_and_what_it_prints_is_told() {
        assert_eq!(asked(&["/bin/sh", "-c", "echo \"$WHO\"; exit 3"]), Ok(Answer { status: 3, text: "it's me\n".into() }));
        assert_eq!(asked(&["/bin/echo", "a  b", "$WHO"]), Ok(Answer { status: 0, text: "a  b $WHO\n".into() }));
        assert!(matches!(asked(&["/nonexistent/program"]), Err(SightError::Failed(_))));
    }
}
