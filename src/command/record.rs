//! `otr record`: what real hosts reply, as fixtures: one folder per question with the
//! question, the reply's two streams and status, and what otr reads from them.
//!
//! Files that hold secrets are not asked for, and passwords in other replies are left out.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Exit, Session, complain, locked, open_fleet, print};
use crate::cli::Global;
use crate::facts::by_host;
use crate::look::batch::Question;
use crate::look::{Look, Reply};
use crate::secret::REDACTED;
use crate::wanted::all;

pub fn run(global: &Global, directory: &Path) -> Result<Exit> {
    let session = Session::open(global)?;
    let ready = session.ready(session.loaded.spec.clone());
    let fleet = match open_fleet(&session, &ready.spec, None) {
        Ok(fleet) => fleet,
        Err((host, error)) => return locked(global, &host, &error),
    };
    let looks = by_host(all(ready.inputs(&session, false)).iter().flat_map(|wanted| wanted.resource.looks()));
    let mut exit = Exit::Done;
    for (host, looks) in looks {
        let looks: BTreeSet<Look> =
            looks.into_iter().filter(|look| !matches!(look, Look::SecretContent(_) | Look::Folder(_) | Look::Debconf(_))).collect();
        match fleet.record(&host, &looks) {
            Ok(replies) => {
                for (question, reply) in &replies {
                    write(&directory.join(host.as_str()).join(name(question)), question, reply)?;
                }
                print(&format!("{host}: {} replies in {}", replies.len(), directory.join(host.as_str()).display()))?;
            }
            Err(error) => {
                complain(format!("error: {host}: {error}"));
                exit = Exit::Failed;
            }
        }
    }
    print("Passwords are left out. Names of files, packages, databases and attachments are not: read it before you pass it on.")?;
    Ok(exit)
}

/// A folder's name: the kind of look, and which one where there may be several.
fn name(question: &Question) -> String {
    let (kind, which) = match question {
        Question::Paths(_) => ("paths".to_owned(), String::new()),
        Question::Units(_) => ("units".to_owned(), String::new()),
        Question::Contents(_) => ("contents".to_owned(), String::new()),
        Question::One(look) => {
            let debug = format!("{look:?}");
            let kind = debug.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_lowercase();
            (kind, look.to_string())
        }
    };
    let which: String = which.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{kind}-{which}").trim_end_matches('-').to_owned()
}

fn write(directory: &Path, question: &Question, reply: &Reply) -> Result<()> {
    let reply = redacted(question, reply);
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let put =
        |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).with_context(|| directory.join(name).display().to_string());
    put("question.json", (serde_json::to_string_pretty(question)? + "\n").as_bytes())?;
    put("stdout", &reply.stdout)?;
    put("stderr", reply.stderr.as_bytes())?;
    put("status", format!("{}\n", reply.status).as_bytes())?;
    put("seen.json", (serde_json::to_string_pretty(&seen(question, &reply))? + "\n").as_bytes())
}

/// What otr reads from a reply, one entry per look.
fn seen(question: &Question, reply: &Reply) -> serde_json::Value {
    question
        .read(reply)
        .into_iter()
        .map(|(look, sight)| (look.to_string(), serde_json::json!(sight)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn redacted(question: &Question, reply: &Reply) -> Reply {
    let text = String::from_utf8_lossy(&reply.stdout);
    let text = match question {
        // redis-cli prints a setting's name and value on two lines.
        Question::One(Look::Redis { .. }) => {
            let mut hide = false;
            text.split('\n')
                .map(|line| {
                    let shown = if hide && !line.is_empty() { REDACTED } else { line };
                    hide = matches!(line, "requirepass" | "masterauth");
                    shown
                })
                .collect::<Vec<_>>()
                .join("\n")
        }
        Question::One(Look::Server(_)) => match text.find("SCRAM-SHA-256$") {
            Some(_) => hide_verifiers(&text),
            None => return reply.clone(),
        },
        _ => return reply.clone(),
    };
    Reply { stdout: text.into_bytes(), ..reply.clone() }
}

fn hide_verifiers(text: &str) -> String {
    let mut parts = text.split("SCRAM-SHA-256$");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find('"').unwrap_or(part.len());
        out.push_str("SCRAM-SHA-256$");
        out.push_str(REDACTED);
        out.push_str(part.get(end..).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_left_out() {
        let reply = |text: &str| Reply { stdout: text.into(), ..Reply::default() };
        let redis = Question::One(Look::Redis { config: "/etc/redis/redis.conf".into(), port: 6379 });
        let text = String::from_utf8(redacted(&redis, &reply("requirepass\nhunter2\nmasterauth\nhunter2\nsave\n\n")).stdout).unwrap();
        assert_eq!(text, "requirepass\n(sensitive)\nmasterauth\n(sensitive)\nsave\n\n");
        assert_eq!(hide_verifiers(r#"{"a":"SCRAM-SHA-256$4096:x$y:z","b":1}"#), r#"{"a":"SCRAM-SHA-256$(sensitive)","b":1}"#);
    }
}
