//! What another machine's ports answer, asked from this one: it lies on the way that the standby's data
//! takes, and may reach what the machine that otr runs on does not.

use serde::{Deserialize, Serialize};

use super::{Reply, SightError, quote};

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ask {
    /// Address or name of the other machine.
    pub address: String,
    /// Its TCP ports.
    pub ports: Vec<u16>,
}

/// What they answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Answers {
    /// Its addresses, as this machine knows them; none where the name is not known here.
    pub addresses: Vec<String>,
    /// One entry for each address and port.
    pub ports: Vec<PortAnswer>,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortAnswer {
    /// At which address.
    pub address: String,
    /// Which.
    pub port: u16,
    /// What it did.
    pub state: PortState,
    /// The first line that it said by itself.
    pub said: Option<String>,
}

/// What a port does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortState {
    /// It takes a connection.
    Open,
    /// Somebody refuses it: that machine without a program there, or a firewall on the way.
    Refused,
    /// Nobody answers.
    Silent,
}

/// Debian, Ubuntu and NixOS all have bash, which needs no client of any protocol.
pub(super) fn script(ask: &Ask) -> String {
    let ports: Vec<String> = ask.ports.iter().map(u16::to_string).collect();
    format!(
        "command -v bash >/dev/null || {{ echo 'bash is not installed, so no port can be asked' >&2; exit 1; }}\n\
         for a in $(getent ahosts {} | awk '$2 == \"STREAM\" {{print $1}}' | sort -u); do echo \"address $a\"\n\
         for p in {}; do timeout -k 1 3 bash -c {} \"$a\" \"$p\" & done; done; wait; echo end",
        quote(&ask.address),
        ports.join(" "),
        quote(ONE)
    )
}

/// One connection. Those who speak first (ssh, the guard) are listened to for a moment.
const ONE: &str = r#"why=$(timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1" || exit 1
line=; IFS= read -r -t 0.3 -n 200 line <&3; printf "\nopen %s %s %s\n" "$0" "$1" "${line//[^[:print:]]/}"' "$0" "$1" 2>&1)
case $why in
*"open $0 $1"*) printf '%s\n' "${why##*$'\n'}";;
*refused*) printf 'refused %s %s\n' "$0" "$1";;
*) printf 'silent %s %s\n' "$0" "$1";;
esac"#;

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Answers, SightError> {
    let text = reply.text(limit)?.strip_suffix("end\n").ok_or(SightError::Truncated)?;
    let mut answers = Answers::default();
    for line in text.lines() {
        let wrong = || SightError::Unreadable(format!("line {line:?}"));
        let mut words = line.splitn(4, ' ');
        let (word, address) = (words.next().unwrap_or_default(), words.next().ok_or_else(wrong)?.to_owned());
        let state = match word {
            "address" => {
                answers.addresses.push(address);
                continue;
            }
            "open" => PortState::Open,
            "refused" => PortState::Refused,
            "silent" => PortState::Silent,
            _ => return Err(wrong()),
        };
        let port = words.next().and_then(|port| port.parse().ok()).ok_or_else(wrong)?;
        let said = words.next().map(str::trim).filter(|said| !said.is_empty()).map(str::to_owned);
        answers.ports.push(PortAnswer { address, port, state, said });
    }
    answers.ports.sort_by_key(|answer| answer.port);
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    fn ask(address: &str, ports: Vec<u16>) -> Answers {
        let output = std::process::Command::new("sh").arg("-c").arg(script(&Ask { address: address.into(), ports })).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        read(&Reply { stdout: output.stdout, stderr, status: output.status.code().unwrap() }, 5).unwrap()
    }

    #[test]
    fn ports_are_open_refused_or_silent_and_what_they_say_is_heard() {
        let (quiet, speaks) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let [one, two] = [&quiet, &speaks].map(|listener| listener.local_addr().unwrap().port());
        std::thread::spawn(move || speaks.accept().unwrap().0.write_all(b"Not allowed at this time\r\n"));
        let answers = ask("127.0.0.1", vec![one, two, closed]);
        let of = |port: u16| answers.ports.iter().find(|answer| answer.port == port).map(|answer| (answer.state, answer.said.clone()));
        assert_eq!(answers.addresses, ["127.0.0.1"]);
        assert_eq!(of(one), Some((PortState::Open, None)));
        assert_eq!(of(two), Some((PortState::Open, Some("Not allowed at this time".into()))));
        assert_eq!(of(closed), Some((PortState::Refused, None)));
        // TEST-NET-1: nobody is there.
        assert!(ask("192.0.2.1", vec![5432]).ports.iter().all(|answer| answer.state != PortState::Open));
        assert_eq!(ask("no-such-host.invalid", vec![5432]), Answers::default());
    }
}
