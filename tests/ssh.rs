//! Hosts over SSH, against an sshd of our own on a high port of this machine.
//!
//! Without sshd (package openssh-server) this is left out, and says so; with CI=true that is
//! a failure.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use otr::action::keep::Needed;
use otr::action::{Action, Gift, Keep, Transfer};
use otr::host::connect::Connector;
use otr::host::{Connect, Host, HostError};
use otr::look::{CommandLine, Look, Seen, Sight};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

/// An sshd, its keys, and a key it lets in.
struct Server {
    dir: tempfile::TempDir,
    port: u16,
    daemon: Child,
}

impl Server {
    fn start() -> Option<Self> {
        let sshd = Path::new("/usr/sbin/sshd");
        if !sshd.exists() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no sshd: install openssh-server");
            println!("LEFT OUT: no sshd on this machine (package openssh-server)");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, kind) in [("host_ed25519", "ed25519"), ("host_ecdsa", "ecdsa"), ("login", "ed25519"), ("other", "ed25519")] {
            let done = Command::new("ssh-keygen").args(["-q", "-N", "", "-t", kind, "-f"]).arg(at(name)).status().unwrap();
            assert!(done.success());
        }
        std::fs::copy(at("login.pub"), at("authorized_keys")).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nListenAddress 127.0.0.2\nHostKey {0}/host_ed25519\nHostKey {0}/host_ecdsa\nPidFile none\n\
             AuthorizedKeysFile {0}/authorized_keys\nStrictModes no\nUsePAM no\nLogLevel VERBOSE\nMaxStartups 100\n\
             ClientAliveInterval 3\nClientAliveCountMax 2\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\n",
            dir.path().display()
        );
        std::fs::write(at("sshd_config"), config).unwrap();
        let _ = std::fs::create_dir_all("/run/sshd");
        let daemon =
            Command::new(sshd).arg("-D").arg("-f").arg(at("sshd_config")).arg("-E").arg(at("log")).stdin(Stdio::null()).spawn().unwrap();
        let server = Self { dir, port, daemon };
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "sshd does not start: {}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let key = std::fs::read_to_string(server.at("host_ed25519.pub")).unwrap();
        std::fs::write(server.at("known"), format!("[127.0.0.1]:{port},[127.0.0.2]:{port} {key}")).unwrap();
        Some(server)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.at("log")).unwrap_or_default()
    }

    /// The spec of the host, with some keys on top.
    fn spec(&self, more: Value) -> Value {
        let mut spec = json!({
            "address": "127.0.0.1", "port": self.port, "user": user(),
            "ssh": {"identity": self.at("login"), "known_hosts": self.at("known"), "config": "/dev/null"}
        });
        for (name, value) in more.as_object().unwrap() {
            match (name.as_str(), value) {
                ("ssh", Value::Object(ssh)) => ssh.iter().for_each(|(name, value)| spec["ssh"][name] = value.clone()),
                _ => spec[name] = value.clone(),
            }
        }
        spec
    }

    fn open(&self, more: Value) -> Result<Box<dyn Host>, HostError> {
        connect(self.spec(more), false)
    }

    /// Processes of sshd that serve connections.
    fn children(&self) -> Vec<i32> {
        let parent = self.daemon.id().to_string();
        let of = |entry: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let ppid = stat.rsplit_once(") ")?.1.split(' ').nth(1)?;
            (ppid == parent).then(|| entry.file_name().to_str()?.parse().ok()).flatten()
        };
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(of).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn user() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
}

fn connect(spec: Value, accept_new: bool) -> Result<Box<dyn Host>, HostError> {
    let name = "erp1".parse().unwrap();
    let hosts = [(name, serde_json::from_value(spec).unwrap())].into_iter().collect();
    Connector { hosts, accept_new, here: None }.connect(&"erp1".parse().unwrap())
}

fn set(looks: &[Look]) -> BTreeSet<Look> {
    looks.iter().cloned().collect()
}

fn why(result: Result<Box<dyn Host>, HostError>) -> String {
    match result {
        Err(error) => error.to_string(),
        Ok(mut host) => host.look(&set(&[Look::Machine])).unwrap_err().to_string(),
    }
}

fn machine(seen: &Seen) -> (String, String) {
    match &seen[&Look::Machine] {
        Ok(Sight::Machine(machine)) => {
            let Value::Object(mut all) = serde_json::to_value(machine).unwrap() else { panic!() };
            // Time goes by.
            all.retain(|name, _| !["now", "uptime", "memory_available", "load"].contains(&name.as_str()));
            (format!("{all:?}"), format!("{machine:?}"))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_clients_see_the_same_machine() {
    let Some(server) = Server::start() else { return };
    let looks = set(&[Look::Machine, Look::Content(server.at("known")), Look::Path("/gone".into())]);
    let mut seen = Vec::new();
    for client in ["libssh2", "openssh"] {
        let mut host = server.open(json!({"ssh": {"client": client}})).unwrap();
        seen.push(host.look(&looks).unwrap());
    }
    seen.push(connect(json!({"address": "local"}), false).unwrap().look(&looks).unwrap());
    for other in &seen {
        assert_eq!(machine(other).0, machine(&seen[0]).0);
        assert_eq!(other[&Look::Content(server.at("known"))], seen[0][&Look::Content(server.at("known"))]);
        assert_eq!(other[&Look::Path("/gone".into())], Ok(Sight::Path(None)));
    }
}

#[test]
fn two_hundred_looks_are_one_trip_on_one_connection() {
    let Some(server) = Server::start() else { return };
    let looks: BTreeSet<Look> = (0..100)
        .map(|n| {
            std::fs::write(server.at(&format!("f{n}")), format!("{n}")).unwrap();
            Look::Content(server.at(&format!("f{n}")))
        })
        .chain((0..100).map(|n| Look::Path(server.at(&format!("f{n}")))))
        .collect();
    let begin = Instant::now();
    connect(json!({"address": "local"}), false).unwrap().look(&looks).unwrap();
    println!("local: one trip of {} looks {:?}", looks.len(), begin.elapsed());
    for client in ["libssh2", "openssh"] {
        let begin = Instant::now();
        let mut host = server.open(json!({"ssh": {"client": client}})).unwrap();
        let connected = begin.elapsed();
        let seen = host.look(&looks).unwrap();
        println!("{client}: connect {connected:?}, with one trip of {} looks {:?}", looks.len(), begin.elapsed());
        assert!(seen.len() == 200 && seen.values().all(Result::is_ok));
        host.act(&Action::AppendJournal { path: server.at(client), line: "x".into(), rotates: false }).unwrap();
        let begin = Instant::now();
        host.look(&looks).unwrap();
        println!("{client}: a second trip {:?}", begin.elapsed());
    }
    let log = server.log();
    assert_eq!(log.matches("Accepted publickey").count(), 2, "{log}");
    assert_eq!(log.matches("Starting session").count(), 2, "{log}");
}

#[test]
fn an_unknown_key_is_refused_and_learned_only_when_told() {
    let Some(server) = Server::start() else { return };
    for client in ["libssh2", "openssh"] {
        let known = server.at(&format!("learned_{client}"));
        let spec = server.spec(json!({"ssh": {"client": client, "known_hosts": known}}));
        let refused = why(connect(spec.clone(), false));
        assert!(refused.contains("--accept-new"), "{refused}");
        assert!(std::fs::read_to_string(&known).unwrap_or_default().is_empty());
        connect(spec.clone(), true).unwrap().look(&set(&[Look::Machine])).unwrap();
        let learned = std::fs::read_to_string(&known).unwrap();
        assert!(client == "openssh" || std::fs::metadata(&known).unwrap().permissions().mode() & 0o777 == 0o600);
        connect(spec.clone(), true).unwrap().look(&set(&[Look::Machine])).unwrap();
        connect(spec, false).unwrap().look(&set(&[Look::Machine])).unwrap();
        assert_eq!(std::fs::read_to_string(&known).unwrap(), learned);
        assert_eq!(learned.lines().filter(|line| line.contains("ed25519")).count(), 1, "{learned}");
    }
}

#[test]
fn a_changed_key_is_refused_with_both_fingerprints() {
    let Some(server) = Server::start() else { return };
    let print = |name: &str| {
        let output = Command::new("ssh-keygen").arg("-lf").arg(server.at(name)).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
    };
    let other = std::fs::read_to_string(server.at("other.pub")).unwrap();
    std::fs::write(server.at("changed"), format!("[127.0.0.1]:{} {other}", server.port)).unwrap();
    let spec = server.spec(json!({"ssh": {"known_hosts": server.at("changed")}}));
    for accept_new in [false, true] {
        let refused = why(connect(spec.clone(), accept_new));
        assert!(refused.contains(&print("other.pub")) && refused.contains(&print("host_ed25519.pub")), "{refused}");
    }
    let spec = server.spec(json!({"ssh": {"known_hosts": server.at("changed"), "client": "openssh"}}));
    assert!(why(connect(spec, false)).contains("not the known one"));
}

#[test]
fn a_host_known_by_its_second_key_has_not_changed() {
    let Some(server) = Server::start() else { return };
    let key = std::fs::read_to_string(server.at("host_ecdsa.pub")).unwrap();
    std::fs::write(server.at("known"), format!("[127.0.0.1]:{} {key}", server.port)).unwrap();
    server.open(json!({})).unwrap().look(&set(&[Look::Machine])).unwrap();
}

#[test]
fn a_refused_login_says_what_was_tried() {
    let Some(server) = Server::start() else { return };
    for client in ["libssh2", "openssh"] {
        let refused = why(server.open(json!({"ssh": {"client": client, "identity": server.at("other")}})));
        assert!(refused.contains("refused") && refused.contains("ssh-add"), "{refused}");
    }
    let begin = Instant::now();
    let refused = why(server.open(json!({"port": 1})));
    assert!(refused.contains("127.0.0.1:1 refuses the connection") && begin.elapsed() < Duration::from_secs(2), "{refused}");
}

/// A listener whose queue is full: the kernel drops whoever knocks, as a firewall does.
fn full() -> (std::os::fd::OwnedFd, u16, Vec<std::net::TcpStream>) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    listen(&socket, 0).unwrap();
    let address: std::net::SocketAddr = getsockname(&socket).unwrap().try_into().unwrap();
    let short = Duration::from_millis(100);
    let queue = std::iter::from_fn(|| std::net::TcpStream::connect_timeout(&address, short).ok()).take(8).collect();
    (socket, address.port(), queue)
}

#[test]
fn an_address_that_drops_packets_costs_a_second() {
    let (_listener, port, _queue) = full();
    let begun = Instant::now();
    let why = why(connect(json!({ "address": "127.0.0.1", "port": port, "user": "x" }), false));
    assert!(why.contains("does not answer within 1.2 s: down, or behind a firewall"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

/// The first packet is lost, as on a busy machine or a poor line: it is asked again before the kernel would.
#[test]
fn a_machine_that_misses_the_first_packet_is_reached() {
    let (listener, port, queue) = full();
    let listener = std::net::TcpListener::from(listener);
    let server = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(400));
        drop(queue);
        for stream in listener.incoming() {
            use std::io::Write;
            let _ = stream.unwrap().write_all(b"Exceeded MaxStartups\r\n");
        }
    });
    let begun = Instant::now();
    let why = why(connect(json!({ "address": "127.0.0.1", "port": port, "user": "x" }), false));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(why.contains("turns this machine away for now"), "{why}");
    drop(server);
}

/// sshd under PerSourcePenalties or MaxStartups.
#[test]
fn a_server_that_lets_nobody_in_now_is_alive() {
    use std::io::Write;
    for (words, alive) in [("Not allowed at this time\r\n", true), ("", false), ("HTTP/1.1 400 Bad Request\r\n", true)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let _ = stream.write_all(words.as_bytes());
        });
        let why = why(connect(json!({ "address": "127.0.0.1", "port": port, "user": "x" }), false));
        server.join().unwrap();
        assert_eq!(why.contains("turns this machine away for now") && why.contains(words.trim()), alive, "{words:?}: {why}");
    }
}

#[test]
fn a_live_agent_lets_in() {
    let Some(server) = Server::start() else { return };
    let agent = |arguments: &[&str], socket: &Path| {
        let mut command = Command::new(arguments[0]);
        command.args(&arguments[1..]).env("SSH_AUTH_SOCK", socket).output().unwrap()
    };
    let socket = server.at("agent");
    let mut daemon = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while !socket.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(agent(&["ssh-add", server.at("login").to_str().unwrap()], &socket).status.success());
    let ssh = format!("{{known_hosts: {}, config: /dev/null}}", server.at("known").display());
    let host = format!("{{address: 127.0.0.1, port: {}, user: {}, access: observe, ssh: {ssh}}}", server.port, user());
    let spec = server.at("otr.yaml");
    std::fs::write(
        &spec,
        format!("version: 1\nname: agent\nproduction: erp1\nhosts:\n  erp1: {host}\nfiles:\n  - {{path: /nowhere, content: x}}\n"),
    )
    .unwrap();
    let plan = |socket: &Path| {
        let mut otr = Command::new(env!("CARGO_BIN_EXE_otr"));
        // No key of this machine's own: the agent is the only way in.
        let run = otr.arg("-s").arg(&spec).arg("plan").env("HOME", server.dir.path()).env("SSH_AUTH_SOCK", socket).output().unwrap();
        (run.status.code(), String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr))
    };
    let (code, said) = plan(&socket);
    assert!(code == Some(0) && said.contains("/nowhere"), "{said}");
    let (code, said) = plan(&server.at("no-agent"));
    assert!(code == Some(1) && said.contains("refused"), "{said}");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn the_configuration_and_a_jump_host_lead_there() {
    let Some(server) = Server::start() else { return };
    let config = format!(
        "Host plain behind command\n  HostName 127.0.0.1\n  Port {0}\n  User {1}\n  IdentityFile {2}/login\n  UserKnownHostsFile {2}/known\n\
         Host behind\n  ProxyJump {1}@127.0.0.2:{0}\nHost command\n  ProxyCommand ssh -F {2}/config -W %h:%p plain\n\
         Host *\n  IdentityFile {2}/login\n  UserKnownHostsFile {2}/known\n",
        server.port,
        user(),
        server.dir.path().display()
    );
    std::fs::write(server.at("config"), config).unwrap();
    for address in ["plain", "behind", "command"] {
        for client in ["libssh2", "openssh"] {
            let spec = json!({"address": address, "ssh": {"client": client, "config": server.at("config")}});
            let mut host = connect(spec, false).unwrap_or_else(|e| panic!("{address} {client}: {e}"));
            host.look(&set(&[Look::Machine])).unwrap_or_else(|e| panic!("{address} {client}: {e}"));
        }
    }
    assert_eq!(server.log().matches("Accepted publickey").count(), 2 + 4 + 4);
}

#[test]
fn a_cut_connection_is_noticed_at_once_and_what_ran_goes_on() {
    let Some(server) = Server::start() else { return };
    for client in ["libssh2", "openssh"] {
        let mut host = server.open(json!({"ssh": {"client": client}})).unwrap();
        host.look(&set(&[Look::Machine])).unwrap();
        let fifo = server.at(client);
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let children = server.children();
        let argv = ["sh", "-c", "echo it went on > \"$0\"", fifo.to_str().unwrap()].map(str::to_owned).to_vec();
        let command = CommandLine { argv, environment: Default::default(), seconds: 60 };
        let cut = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            for child in children {
                assert!(Command::new("kill").args(["-9", &child.to_string()]).status().unwrap().success());
            }
            Instant::now()
        });
        let result = host.act(&Action::Run { command });
        assert!(cut.join().unwrap().elapsed() < Duration::from_secs(3));
        match result {
            Err(HostError::Unreachable { why }) => assert!(why.contains("is not known"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read_to_string(fifo).unwrap(), "it went on\n");
    }
}

#[test]
fn an_idle_connection_lives_on_with_its_lock_and_its_shell() {
    let Some(server) = Server::start() else { return };
    let mut host = server.open(json!({})).unwrap();
    host.look(&set(&[Look::Machine])).unwrap();
    // The server hangs up after 6 s without an answer.
    std::thread::sleep(Duration::from_secs(10));
    host.look(&set(&[Look::Machine])).unwrap();
}

/// Each client waits for 75 s or so, so both do at the same time.
#[test]
fn a_frozen_peer_is_given_up() {
    std::thread::scope(|scope| ["libssh2", "openssh"].map(|client| scope.spawn(move || gives_up(client))).map(|it| it.join().unwrap()));
}

fn gives_up(client: &str) {
    let Some(server) = Server::start() else { return };
    let mut host = server.open(json!({"ssh": {"client": client}})).unwrap();
    host.look(&set(&[Look::Machine])).unwrap();
    let signal = |name: &str| {
        for child in server.children() {
            assert!(Command::new("kill").args([name, &child.to_string()]).status().unwrap().success());
        }
    };
    signal("-STOP");
    let begin = Instant::now();
    let result = host.act(&Action::AppendJournal { path: server.at("journal"), line: "x".into(), rotates: false });
    println!("{client}: {:?} after {:?}", result, begin.elapsed());
    assert!(matches!(result, Err(HostError::Unreachable { .. })) && begin.elapsed() < Duration::from_secs(95));
    signal("-KILL");
}

#[test]
fn twenty_megabytes_of_files_travel_both_ways() {
    let Some(server) = Server::start() else { return };
    let mut names = Vec::new();
    for n in 0..2000_u32 {
        let bytes: Vec<u8> = (0..10_240_u32).map(|i| (i.wrapping_mul(n + 7) >> 3).to_le_bytes()[0]).chain(n.to_le_bytes()).collect();
        let hash: String = Sha1::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}/{hash}", &hash[..2]);
        std::fs::create_dir_all(server.at("a").join(&hash[..2])).unwrap();
        std::fs::write(server.at("a").join(&name), bytes).unwrap();
        names.push(name);
    }
    let transfer = |from: &str, to: &str| {
        std::fs::create_dir_all(server.at(to)).unwrap();
        Transfer { source: server.at(from), directory: server.at(to), mount: None, owner: user().parse().ok(), names: names.clone() }
    };
    let mut local = connect(json!({"address": "local"}), false).unwrap();
    for client in ["local", "libssh2", "openssh"] {
        let mut remote = match client {
            "local" => connect(json!({"address": "local"}), false).unwrap(),
            client => server.open(json!({"ssh": {"client": client}})).unwrap(),
        };
        remote.look(&set(&[Look::Machine])).unwrap();
        let begin = Instant::now();
        let there = transfer("a", &format!("{client}-there"));
        let mut stream = local.give(&there.gift()).unwrap();
        assert_eq!(remote.take(&there, &mut stream).unwrap().files, 2000);
        println!("{client}: 20 MB there {:?}", begin.elapsed());
        let begin = Instant::now();
        let back = transfer(&format!("{client}-there"), &format!("{client}-back"));
        let mut stream = remote.give(&back.gift()).unwrap();
        assert_eq!(local.take(&back, &mut stream).unwrap().files, 2000);
        println!("{client}: 20 MB back {:?}", begin.elapsed());
        drop(stream);
        // A giver that fails, and one that is dropped half read, leave the connection whole.
        let gone = transfer("gone", "nothing");
        let mut stream = remote.give(&gone.gift()).unwrap();
        assert!(matches!(local.take(&gone, &mut stream), Err(HostError::Failed { .. })));
        assert_eq!(std::fs::read_dir(server.at("nothing")).unwrap().count(), 0);
        drop(stream);
        let mut stream = remote.give(&back.gift()).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        drop(stream);
        remote.look(&set(&[Look::Machine])).unwrap();
    }
    let log = server.log();
    // One connection of libssh2: its shell and, one after the other, four copies.
    assert_eq!(log.split("Accepted publickey").nth(1).unwrap().matches("Starting session").count(), 5, "{log}");
}

/// The real program keeps a store; production's files come over each kind of connection.
#[test]
fn a_store_is_kept_by_the_program_itself() {
    let Some(server) = Server::start() else { return };
    let mut names = Vec::new();
    for n in 0..300_u32 {
        let bytes = n.to_le_bytes().repeat(1 + n as usize * 7);
        let hash: String = Sha1::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}/{hash}", &hash[..2]);
        std::fs::create_dir_all(server.at("a").join(&hash[..2])).unwrap();
        std::fs::write(server.at("a").join(&name), bytes).unwrap();
        names.push(name);
    }
    std::fs::write(server.at("a").join(&names[7]), "torn").unwrap();
    for client in ["local", "libssh2", "openssh"] {
        let mut production = match client {
            "local" => connect(json!({"address": "local"}), false).unwrap(),
            client => server.open(json!({"ssh": {"client": client}})).unwrap(),
        };
        let local: otr::spec::host::HostSpec = serde_json::from_value(json!({"address": "local"})).unwrap();
        // Once by this process itself.
        let here = otr::host::local::open(&local);
        let mut standby = if client == "local" { here } else { here.with_program(env!("CARGO_BIN_EXE_otr")) };
        let directory = server.at(&format!("{client}-store"));
        std::fs::create_dir(&directory).unwrap();
        let job = Keep {
            database: "acme".parse().unwrap(),
            needed: Needed::Listing,
            directory: directory.clone(),
            mount: None,
            owner: user().parse().unwrap(),
            state: server.at(&format!("{client}-state")),
            suspects: Vec::new(),
            deletes: None,
            scrub: None,
            stamp: None,
            verified: None,
        };
        let mut give = |gift: &Gift| production.give(&Gift { source: server.at("a"), ..gift.clone() });
        let kept = standby.keep(&job, &mut give, &|_| {}).unwrap();
        assert_eq!((kept.needed, kept.files, kept.damaged.as_slice()), (300, 299, [names[7].clone()].as_slice()), "{client}: {kept:?}");
        assert_eq!(kept.problems, Vec::<String>::new());
        assert_eq!(std::fs::read_dir(&directory).unwrap().filter(|e| e.as_ref().unwrap().file_name().len() != 2).count(), 0);
        // A production that breaks off is told as such.
        std::fs::remove_dir_all(directory.join(&names[9][..2])).unwrap();
        let mut calls = 0;
        let mut give = |gift: &Gift| {
            calls += 1;
            production.give(&Gift { source: if calls == 1 { server.at("a") } else { server.at("gone") }, ..gift.clone() })
        };
        let kept = standby.keep(&job, &mut give, &|_| {}).unwrap();
        assert!(kept.complaint().is_some_and(|why| why.contains("gone")), "{kept:?}");
    }
    let local: otr::spec::host::HostSpec = serde_json::from_value(json!({"address": "local"})).unwrap();
    let mut none = otr::host::local::open(&local).with_program("/nonexistent/otr");
    let job = Keep {
        database: "acme".parse().unwrap(),
        needed: Needed::Listing,
        directory: server.at("x"),
        mount: None,
        owner: user().parse().unwrap(),
        state: server.at("x"),
        suspects: Vec::new(),
        deletes: None,
        scrub: None,
        stamp: None,
        verified: None,
    };
    let error = none.keep(&job, &mut |_| panic!("nobody is asked"), &|_| {}).unwrap_err();
    assert!(error.to_string().contains("run otr apply"), "{error}");
}

#[test]
fn sudo_gives_the_rights_for_looks_actions_and_copies() {
    let Some(server) = Server::start() else { return };
    if !Command::new("sudo").args(["-n", "true"]).status().is_ok_and(|status| status.success()) {
        println!("LEFT OUT: no sudo without a password on this machine");
        return;
    }
    let mut host = server.open(json!({"become": "sudo"})).unwrap();
    host.act(&Action::AppendJournal { path: server.at("journal"), line: "x".into(), rotates: false }).unwrap();
    std::fs::create_dir(server.at("to")).unwrap();
    let transfer = Transfer {
        source: server.dir.path().into(),
        directory: server.at("to"),
        mount: None,
        owner: user().parse().ok(),
        names: vec!["journal".into()],
    };
    let mut stream = host.give(&transfer.gift()).unwrap();
    assert_eq!(connect(json!({"address": "local"}), false).unwrap().take(&transfer, &mut stream).unwrap().files, 1);
}
