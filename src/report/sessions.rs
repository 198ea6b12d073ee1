//! `otr sessions` as people read it. Pure.

use std::fmt::Write;
use std::time::Duration;

use super::text::{Style, paint};
use crate::sessions::{HostSessions, SessionsReport};

/// Text of a report; one line for each host.
pub fn render(report: &SessionsReport, style: Style) -> String {
    let mut out = String::new();
    for host in &report.hosts {
        let words = match &host.error {
            Some(error) => format!("{} {error}", paint(style, "31", "not seen:")),
            None => words(host, style),
        };
        let _ = writeln!(out, "{}  {}  {words}", paint(style, "1", &host.host), host.role);
    }
    out
}

fn words(host: &HostSessions, style: Style) -> String {
    let mut words = format!("{} sessions", host.sessions.unwrap_or(0));
    if !host.databases.is_empty() {
        let one = |(name, count): (&String, &usize)| format!("{count} of {}", if name.is_empty() { "no database" } else { name });
        words += &format!(": {}", host.databases.iter().map(one).collect::<Vec<_>>().join(", "));
    }
    let span = |seconds: u64| {
        humantime::format_duration(Duration::from_secs(if seconds < 3600 { seconds } else { seconds / 60 * 60 })).to_string()
    };
    if let Some((youngest, oldest)) = host.age {
        words += &format!("; written {} to {} ago", span(youngest), span(oldest));
    }
    if let Some((first, last)) = host.left {
        words += &format!("; end in {} to {}", span(first), span(last));
    }
    match host.has_cookie {
        Some(true) => words + "; " + &paint(style, "32", "the cookie's is among them"),
        Some(false) => words + "; " + &paint(style, "31", "the cookie's is not among them"),
        None => words,
    }
}
