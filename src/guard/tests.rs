//! The guard's table of decisions.

use super::*;

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn epoch(number: u64, production: &str) -> Epoch {
    Epoch { number, production: host_or_none(production) }
}

fn host_or_none(name: &str) -> Option<HostName> {
    (name != "-").then(|| host(name))
}

fn ask(service: Service, role: DiskRole, own: Epoch, peer: Option<(Epoch, DiskRole)>, policy: BootWithoutPeer, ran: bool) -> Verdict {
    let me = host("erp1");
    let peers = [(host("erp2"), peer.map(|(epoch, role)| Answer { epoch, role }))];
    decide(&Question { me: &me, service, own: &own, role, peers: &peers, policy, ran })
}

#[test]
fn the_table_of_decisions() {
    use BootWithoutPeer::{Start, StayDown, Wait};
    use DiskRole::{Primary, Standby};
    use Service::{Data, Odoo};
    let cases = [
        ("a standby asks nobody", Data, Standby, epoch(1, "erp2"), None, StayDown, false, "start"),
        ("Odoo never on a standby", Odoo, Standby, epoch(1, "erp1"), None, Start, true, "refuse"),
        ("never promoted", Data, Primary, epoch(0, "-"), Some((epoch(0, "-"), Standby)), Wait, false, "start"),
        ("the peer was promoted", Data, Primary, epoch(0, "-"), Some((epoch(1, "erp2"), Primary)), Start, true, "refuse"),
        ("the peer is being promoted", Odoo, Primary, epoch(0, "-"), Some((epoch(1, "erp2"), Standby)), Start, true, "refuse"),
        (
            "the peer was told of this host's promotion first",
            Data,
            Primary,
            epoch(1, "erp1"),
            Some((epoch(2, "erp1"), Standby)),
            Start,
            true,
            "start",
        ),
        ("told before its end", Data, Primary, epoch(1, "erp2"), None, Start, true, "refuse"),
        ("both claim it", Data, Primary, epoch(2, "erp1"), Some((epoch(2, "erp2"), Primary)), Start, true, "refuse"),
        ("an older claim", Data, Primary, epoch(2, "erp1"), Some((epoch(1, "erp2"), Primary)), Start, false, "start"),
        ("no answer, start", Data, Primary, epoch(2, "erp1"), None, Start, false, "start"),
        ("no answer, wait", Data, Primary, epoch(2, "erp1"), None, Wait, false, "wait"),
        ("no answer, stay down", Data, Primary, epoch(2, "erp1"), None, StayDown, false, "refuse"),
        ("a restart without the peer", Odoo, Primary, epoch(2, "erp1"), None, StayDown, true, "start"),
    ];
    for (about, service, role, own, peer, policy, ran, wanted) in cases {
        let is = match ask(service, role, own, peer, policy, ran) {
            Verdict::Start(_) => "start",
            Verdict::Refuse(_) => "refuse",
            Verdict::Wait(_) => "wait",
        };
        assert_eq!(is, wanted, "{about}");
    }
}

#[test]
fn an_answer_is_read_as_it_is_sent() {
    for (number, production, role) in [(0, "-", DiskRole::Standby), (12, "erp2", DiskRole::Primary)] {
        let answer = Answer { epoch: epoch(number, production), role };
        assert_eq!(Answer::parse(&answer.line()), Some(answer));
    }
    for broken in ["", "otr-epoch 1", "otr-epoch 1 erp2 primary", "otr-epoch 1 erp2 boss\n", "SSH-2.0-OpenSSH\r\n"] {
        assert_eq!(Answer::parse(broken), None, "{broken:?}");
    }
}

#[test]
fn roles_are_read_from_configuration() {
    assert_eq!(redis_role("port 6379\nreplicaof 10.0.0.1 6379\n"), DiskRole::Standby);
    assert_eq!(redis_role("# replicaof 10.0.0.1 6379\nreplicaof no one\n"), DiskRole::Primary);
    let config = Config {
        host: host("erp1"),
        installation: "acme".into(),
        cluster: "/etc/postgresql/13/main".into(),
        data: "/var/lib/postgresql/13/main".into(),
        odoo: None,
        redis: None,
        peers: Vec::new(),
        port: 1,
        boot_without_peer: BootWithoutPeer::Start,
    };
    assert_eq!(config.data_directory("#data_directory = '/a'\ndata_directory = '/srv/pg'\t# here\n"), std::path::Path::new("/srv/pg"));
    assert_eq!(config.data_directory(""), config.data);
}

/// A third host tells of a promotion that was not its own.
#[test]
fn who_was_promoted_is_named_and_not_who_tells_it() {
    let (me, own) = (host("erp1"), epoch(0, "-"));
    let peers = [(host("erp3"), Some(Answer { epoch: epoch(5, "erp2"), role: DiskRole::Standby }))];
    let policy = BootWithoutPeer::Wait;
    let question = Question { me: &me, service: Service::Data, own: &own, role: DiskRole::Primary, peers: &peers, policy, ran: false };
    let Verdict::Refuse(why) = decide(&question) else { panic!("it may start") };
    assert!(why.contains("erp2 was promoted meanwhile"), "{why}");
}
