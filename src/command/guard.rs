//! `otr guard`: what systemd asks before it starts a service, and what a peer asks.
//!
//! It reads this host's disk and asks the peers over TCP; the decision is [`crate::guard`]'s.

use std::fs::DirBuilder;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Exit, complain, print};
use crate::cli::GuardArgs;
use crate::epoch::Epoch;
use crate::guard::{Answer, CONFIG, Config, DiskRole, PRODUCTION_SINCE_BOOT, Question, Verdict, decide, redis_role};
use crate::name::HostName;

/// How long a peer may take to answer once.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a peer may take to take the call, where its silence forbids nothing: a living machine's
/// kernel does at once, however busy it is. One lost packet must not decide: TCP sends the next after 1 s.
const BRIEF: Duration = Duration::from_millis(1300);
/// How long a silent peer is asked again: at boot the network may come up after the services.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(500);

/// systemd skips the start where this ends with 1; whatever goes wrong here is no permission.
pub fn run(args: &GuardArgs) -> Result<Exit> {
    let config: Config = {
        let path = args.config.clone().unwrap_or_else(|| CONFIG.into());
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| format!("{} is not the guard's", path.display()))?
    };
    let Some(unit) = &args.unit else {
        std::io::stdout().write_all(answer(&config)?.line().as_bytes())?;
        return Ok(Exit::Done);
    };
    let service = config.service(unit).with_context(|| format!("{unit} is no service the guard knows; {CONFIG} names them"))?;
    let role = match config.redis_config(unit) {
        Some(path) => redis_role(&std::fs::read_to_string(path).with_context(|| path.display().to_string())?),
        None => role_on_disk(&config)?,
    };
    let own = epoch(&config)?;
    // /run is empty after a boot, and a person may be told to put the file there. That it cannot be
    // made stops nothing.
    let _ = Path::new(PRODUCTION_SINCE_BOOT).parent().map(|folder| DirBuilder::new().mode(0o700).create(folder));
    let begun = Instant::now();
    let mut said = String::new();
    loop {
        // Looked at anew each time: a person who knows better may put it there.
        let before = Path::new(PRODUCTION_SINCE_BOOT).exists();
        let peers: Vec<(HostName, Option<Answer>)> = match role {
            DiskRole::Standby => Vec::new(),
            DiskRole::Primary => config
                .peers
                .iter()
                .map(|(peer, address)| (peer.clone(), ask(address, config.port, if before { BRIEF } else { ANSWER })))
                .collect(),
        };
        let silent = peers.iter().any(|(_, answer)| answer.is_none());
        let question =
            Question { me: &config.host, service, own: &own, role, peers: &peers, policy: config.boot_without_peer, ran: before };
        let why = match decide(&question) {
            Verdict::Refuse(why) if !silent => return Ok(refused(unit, &why)),
            Verdict::Start(why) if !silent || before || begun.elapsed() > PATIENCE => {
                print(&format!("{unit} may start: {why}"))?;
                if role == DiskRole::Primary {
                    // Only a start without the peer reads it; that it cannot be written stops nothing.
                    let _ = std::fs::write(PRODUCTION_SINCE_BOOT, "");
                }
                return Ok(Exit::Done);
            }
            Verdict::Refuse(why) if begun.elapsed() > PATIENCE || is_known(&own, &config.host, &peers) => return Ok(refused(unit, &why)),
            Verdict::Start(why) | Verdict::Refuse(why) | Verdict::Wait(why) => why,
        };
        if said != why {
            print(&format!("{unit} waits: {why}"))?;
            said = why;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether a refusal stands whatever a silent peer would say.
fn is_known(own: &Epoch, me: &HostName, peers: &[(HostName, Option<Answer>)]) -> bool {
    own.production.as_ref().is_some_and(|production| production != me)
        || peers
            .iter()
            .flat_map(|(_, answer)| answer)
            .any(|Answer { epoch, .. }| epoch.number > own.number && epoch.production.as_ref() != Some(me))
}

fn refused(unit: &str, why: &str) -> Exit {
    complain(format!("{unit} does not start: {why}"));
    Exit::Failed
}

fn epoch(config: &Config) -> Result<Epoch> {
    let path = Epoch::path(&config.installation);
    match std::fs::read_to_string(&path) {
        Ok(text) => Epoch::parse(&text).with_context(|| format!("{} is damaged", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Epoch::default()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// The data directory as PostgreSQL itself reads it, whatever its files include.
fn asked(config: &Config, path: &std::path::Path) -> Option<PathBuf> {
    let version = config.cluster.parent()?.file_name()?.to_str()?;
    let program = format!("/usr/lib/postgresql/{version}/bin/postgres");
    let output = std::process::Command::new(program)
        .args(["-C", "data_directory", "-c"])
        .arg(format!("config_file={}", path.display()))
        .current_dir("/")
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim())).filter(|data| data.is_absolute())
}

fn role_on_disk(config: &Config) -> Result<DiskRole> {
    let path = config.cluster.join("postgresql.conf");
    let data: PathBuf = match std::fs::read_to_string(&path) {
        Ok(text) => asked(config, &path).unwrap_or_else(|| config.data_directory(&text)),
        // No cluster yet: nothing there takes a role.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(DiskRole::Primary),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let signal = data.join("standby.signal");
    match signal.try_exists().with_context(|| signal.display().to_string())? {
        true => Ok(DiskRole::Standby),
        false => Ok(DiskRole::Primary),
    }
}

fn answer(config: &Config) -> Result<Answer> {
    Ok(Answer { epoch: epoch(config)?, role: role_on_disk(config)? })
}

/// What a peer answers; silence, a refused connection and nonsense are all no answer.
fn ask(address: &str, port: u16, patience: Duration) -> Option<Answer> {
    let to = (address, port).to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&to, patience).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    let mut line = String::new();
    // A peer that sends without end is no otr: no line is this long.
    (&mut stream).take(400).read_to_string(&mut line).ok()?;
    Answer::parse(&line)
}
