//! The simulated pair as a whole: streaming, promotion, faults, rights.

use std::collections::BTreeSet;

use super::*;
use crate::action::{Attributes, RedisServer, UnitVerb};
use crate::look::apt::{AptRun, PackageVersion};
use crate::look::{ClusterName, LoginPage, Receiver, RedisSight, Server, ServerSight, SightError, Visit};
use crate::name::Mode;

const STANDBY_CONF: &str = "primary_conninfo = 'host=10.77.0.11 port=5432 user=otr_repl application_name=otr_erp2 sslmode=require passfile=/var/lib/postgresql/.otr.pgpass connect_timeout=5'\nprimary_slot_name = 'otr_erp2'\n";

fn erp1() -> HostName {
    "erp1".parse().unwrap()
}
fn erp2() -> HostName {
    "erp2".parse().unwrap()
}
fn cluster() -> ClusterName {
    ClusterName { version: 13, name: "main".parse().unwrap(), port: 5432 }
}
fn see(world: &World, host: &HostName, look: Look) -> Result<Sight, SightError> {
    let mut seen = world.connect(host).unwrap().look(&BTreeSet::from([look.clone()])).unwrap();
    seen.remove(&look).unwrap()
}
fn server(world: &World, host: &HostName) -> Server {
    match see(world, host, Look::Server(cluster())) {
        Ok(Sight::Server(ServerSight::Up(server))) => *server,
        other => panic!("{other:?}"),
    }
}
fn login(world: &World, host: &HostName) -> LoginPage {
    match see(
        world,
        host,
        Look::LoginPage(Visit { unit: None, config: "/etc/odoo/odoo.conf".into(), port: 8069, database: Some("acme".parse().unwrap()) }),
    ) {
        Ok(Sight::LoginPage(page)) => page,
        other => panic!("{other:?}"),
    }
}
fn act(world: &World, host: &HostName, action: &Action) -> Result<(), HostError> {
    world.connect(host).unwrap().act(action)
}
fn unit(name: &str, verb: UnitVerb) -> Action {
    Action::Unit { unit: name.parse().unwrap(), verb }
}
fn write(path: &str, text: &str, owner: &str) -> Action {
    let owner: crate::name::Word = owner.parse().unwrap();
    Action::WriteFile {
        path: path.into(),
        content: text.into(),
        attributes: Attributes { owner: owner.clone(), group: owner, mode: Mode(0o640) },
        reader: None,
    }
}
/// What apt said it would do goes with it.
fn install(world: &World, host: &HostName, names: &[&str]) -> Action {
    let install = names.iter().map(|name| PackageVersion { name: name.parse().unwrap(), version: None }).collect();
    let run = AptRun { install, remove: Vec::new() };
    let Ok(Sight::Apt(sight)) = see(world, host, Look::Apt(run.clone())) else { panic!() };
    Action::ChangePackages { run, steps: sight.steps, restarts: Vec::new() }
}
fn backup() -> Action {
    let conninfo = "host=10.77.0.11 port=5432 user=otr_repl sslmode=require passfile=/var/lib/postgresql/.otr.pgpass".into();
    Action::BaseBackup {
        cluster: cluster(),
        data_directory: "/var/lib/postgresql/13/main".into(),
        conninfo,
        slot: Some("otr_erp2".into()),
        spaces: Vec::new(),
        keep_old: false,
    }
}

/// The pair with erp2 streaming from erp1, made by actions alone.
fn streaming() -> World {
    let world = World::pair();
    build(&world).unwrap();
    world
}

/// Can be run again from the top wherever it broke off, as otr can.
fn build(world: &World) -> Result<(), HostError> {
    let line = "hostssl replication otr_repl 10.77.0.12/32 scram-sha-256\n";
    let hba = world.files(&erp1()).text("/etc/postgresql/13/main/pg_hba.conf").replace(line, "") + line;
    let pgpass = "/var/lib/postgresql/.otr.pgpass";
    for action in [
        unit("odoo.service", UnitVerb::Mask),
        install(world, &erp2(), &["odoo-14", "postgresql-13", "redis-server"]),
        Action::MakeUpPassword { path: pgpass.into(), role: "otr_repl".parse().unwrap() },
    ] {
        act(world, &erp2(), &action)?;
    }
    let password = world.files(&erp2()).text(pgpass).trim().rsplit(':').next().unwrap().to_owned();
    for action in [
        write("/etc/postgresql/13/main/conf.d/50-otr.conf", "listen_addresses = '*'\n", "postgres"),
        write("/etc/postgresql/13/main/pg_hba.conf", &hba, "postgres"),
        unit("postgresql@13-main.service", UnitVerb::Restart),
        Action::SetReplicationRole {
            cluster: cluster(),
            role: "otr_repl".parse().unwrap(),
            verifier: scram::tests::verifier(&password).into(),
        },
        Action::CreateSlot { cluster: cluster(), slot: "otr_erp2".into() },
    ] {
        act(world, &erp1(), &action)?;
    }
    act(world, &erp2(), &write("/etc/postgresql/13/main/conf.d/50-otr.conf", STANDBY_CONF, "postgres"))?;
    act(world, &erp2(), &backup())
}

#[test]
fn cut_off_at_any_action_it_can_be_run_again() {
    for fault in Fault::ALL {
        for n in 1..=10 {
            let world = World::pair();
            world.fail_action(n, fault);
            assert!(matches!(build(&world), Err(HostError::Unreachable { .. })), "{fault:?} at {n}");
            build(&world).unwrap();
            assert!(server(&world, &erp2()).receiver.is_some(), "{fault:?} at {n}");
            assert_eq!(world.starts(&erp2(), "odoo.service"), 0);
        }
    }
}

#[test]
fn the_pair_is_a_running_production_and_a_bare_machine() {
    let world = World::pair();
    let page = login(&world, &erp1());
    assert_eq!((page.status, page.assets.len()), (200, 3));
    assert!(page.assets.iter().all(|asset| asset.status == 200));
    let Ok(Sight::Attachments(attachments)) = see(&world, &erp1(), Look::Attachments(cluster(), "acme".parse().unwrap())) else { panic!() };
    let store = Look::Store { directory: "/var/lib/odoo/.local/share/Odoo/filestore/acme".into(), stamp: "/none".into(), hashed: None };
    let Ok(Sight::Store(Some(files))) = see(&world, &erp1(), store) else { panic!() };
    assert!(attachments.len() == 39 && attachments.values().filter(|row| row.regenerable).count() == 3);
    for (name, row) in &attachments {
        assert_eq!((files[name].size, files[name].sha1.as_deref(), files[name].owner.as_str()), (row.size, Some(&name[3..]), "odoo:odoo"));
    }
    let Ok(Sight::Packages(packages)) = see(&world, &erp1(), Look::Packages) else { panic!() };
    assert!(["odoo-14", "curl", "vim"].iter().all(|name| packages[*name].manual));
    assert_eq!(see(&world, &erp2(), Look::Server(cluster())), Ok(Sight::Server(ServerSight::Down)));
    assert_eq!(see(&world, &erp2(), Look::Cluster(cluster())), Ok(Sight::Cluster(None)));
    assert_eq!(login(&world, &erp2()).status, 0);
    assert!(world.actions().is_empty());
}

#[test]
fn a_standby_streams_and_a_power_cut_ends_it() {
    let world = streaming();
    let (primary, standby) = (server(&world, &erp1()), server(&world, &erp2()));
    assert!(standby.in_recovery && standby.system_identifier == primary.system_identifier);
    assert!(matches!(standby.receiver, Some(Receiver { status, slot: Some(_), .. }) if status == "streaming"));
    assert!(primary.slots["otr_erp2"].active && primary.senders["otr_erp2"] == "streaming");
    world.create_attachment(&erp1(), "new.pdf", b"new").unwrap();
    let lsn = server(&world, &erp1()).lsn;
    assert_eq!(server(&world, &erp2()).replay_lsn, lsn);
    assert_eq!(world.starts(&erp2(), "odoo.service"), 0);

    world.power_cut(&erp1());
    assert!(matches!(world.connect(&erp1()), Err(HostError::Unreachable { .. })));
    assert_eq!(server(&world, &erp2()).receiver, None);
    act(&world, &erp2(), &Action::Promote { cluster: cluster() }).unwrap();
    let promoted = server(&world, &erp2());
    let on_disk = || world.mutate(&erp2(), |m| m.clusters[&(13, "main".to_owned())].data.as_ref().map(|d| d.checkpoint_timeline));
    assert!(!promoted.in_recovery && promoted.timeline == 2);
    assert_eq!(on_disk(), Some(Some(1)), "the checkpoint is still to come");
    for action in [
        Action::Checkpoint { cluster: cluster() },
        Action::ProveWrite { cluster: cluster() },
        unit("odoo.service", UnitVerb::Unmask),
        unit("odoo.service", UnitVerb::Start),
    ] {
        act(&world, &erp2(), &action).unwrap();
    }
    assert_eq!(on_disk(), Some(Some(2)));
    assert!(world.files(&erp2()).get("/var/lib/postgresql/13/main/standby.signal").is_none());
    let page = login(&world, &erp2());
    assert!(page.status == 200 && page.assets.iter().all(|asset| asset.status == 404), "the files were never copied");

    world.boot(&erp1());
    assert!(!server(&world, &erp1()).in_recovery, "the old primary comes back as one: fence it");
    assert_eq!(login(&world, &erp1()).status, 200);
}

#[test]
fn what_is_missing_stops_streaming_but_nothing_else() {
    for (host, change) in [
        (erp1(), (|m| m.link = false) as fn(&mut Machine)),
        (erp1(), |m| {
            m.clusters.values_mut().for_each(|c| c.data.as_mut().unwrap().slots.clear());
        }),
        (erp1(), |m| {
            m.clusters.values_mut().for_each(|c| c.data.as_mut().unwrap().slots.values_mut().for_each(|lost| *lost = true));
        }),
        (erp1(), |m| {
            m.clusters.values_mut().for_each(|c| c.server.as_mut().unwrap().hba.clear());
        }),
        (erp2(), |m| {
            m.files.get_mut("/var/lib/postgresql/.otr.pgpass").unwrap().mode = 0o644;
        }),
        (erp2(), |m| {
            let now = m.now;
            m.files.write("/var/lib/postgresql/.otr.pgpass", "*:*:*:otr_repl:wrong\n", ("postgres", "postgres", 0o600), now);
        }),
    ] {
        let world = streaming();
        world.mutate(&host, change);
        let standby = server(&world, &erp2());
        assert!(standby.receiver.is_none() && standby.in_recovery);
    }
}

#[test]
fn a_standby_below_its_primary_dies_as_version_13_does() {
    let world = streaming();
    let conf = "/etc/postgresql/13/main/conf.d/60-more.conf";
    act(&world, &erp1(), &write(conf, "max_connections = 200\n", "postgres")).unwrap();
    act(&world, &erp1(), &Action::ReloadPostgres { cluster: cluster() }).unwrap();
    let setting = server(&world, &erp1()).settings["max_connections"].clone();
    assert_eq!((setting.value.as_str(), setting.pending_restart), ("100", true));
    act(&world, &erp1(), &unit("postgresql@13-main.service", UnitVerb::Restart)).unwrap();
    assert_eq!(server(&world, &erp1()).settings["max_connections"].value, "200");
    assert_eq!(see(&world, &erp2(), Look::Server(cluster())), Ok(Sight::Server(ServerSight::Down)));
    assert!(act(&world, &erp2(), &unit("postgresql@13-main.service", UnitVerb::Start)).is_err());
    act(&world, &erp2(), &write(conf, "max_connections = 200\n", "postgres")).unwrap();
    act(&world, &erp2(), &unit("postgresql@13-main.service", UnitVerb::Start)).unwrap();
    assert!(server(&world, &erp2()).receiver.is_some());
}

#[test]
fn a_diverged_old_primary_does_not_stream() {
    let world = streaming();
    world.cut_link(&erp2());
    world.create_attachment(&erp1(), "lost.pdf", b"lost").unwrap();
    world.restore_link(&erp2());
    world.cut_link(&erp1());
    act(&world, &erp2(), &Action::Promote { cluster: cluster() }).unwrap();
    act(&world, &erp2(), &Action::ProveWrite { cluster: cluster() }).unwrap();
    assert!(act(&world, &erp2(), &Action::Promote { cluster: cluster() }).is_ok(), "twice is once");
    world.restore_link(&erp1());
    act(&world, &erp1(), &unit("postgresql@13-main.service", UnitVerb::Stop)).unwrap();
    act(&world, &erp1(), &Action::FollowPrimary { cluster: cluster(), data_directory: "/var/lib/postgresql/13/main".into() }).unwrap();
    assert!(server(&world, &erp1()).receiver.is_none());
    assert!(
        matches!(act(&world, &erp1(), &Action::ProveWrite { cluster: cluster() }), Err(HostError::Failed { said, .. }) if said.contains("read-only"))
    );
}

#[test]
fn redis_follows_with_the_right_password_only() {
    let world = streaming();
    let server = RedisServer { config: redis::CONFIG.into(), port: 6379 };
    world.mutate(&erp1(), |m| {
        let now = m.now;
        m.files.write(redis::CONFIG, "bind 10.77.0.11 127.0.0.1\nrequirepass s\n", ("redis", "redis", 0o640), now);
    });
    act(&world, &erp1(), &unit("redis-server.service", UnitVerb::Restart)).unwrap();
    act(&world, &erp2(), &Action::ReplicateRedis { server: server.clone(), primary: Some(("10.77.0.11".into(), 6379)) }).unwrap();
    let look = Look::Redis { config: redis::CONFIG.into(), port: 6379 };
    let link = |world: &World| match see(world, &erp2(), look.clone()) {
        Ok(Sight::Redis(RedisSight::Up { info, .. })) => (info["master_link_status"].clone(), info.contains_key("db0")),
        other => panic!("{other:?}"),
    };
    assert_eq!(link(&world), ("down".into(), false));
    act(&world, &erp2(), &Action::SetRedis { server, name: "masterauth".into(), value: "s".into() }).unwrap();
    assert_eq!(link(&world), ("up".into(), true));
    world.power_cut(&erp1());
    assert_eq!(link(&world), ("down".into(), true), "it keeps what it had");
}

#[test]
fn an_action_fails_before_or_after_its_effect() {
    for fault in Fault::ALL {
        let world = World::pair();
        let (mut one, mut other) = (world.connect(&erp2()).unwrap(), world.connect(&erp1()).unwrap());
        one.lock("first, pid 1").unwrap();
        assert!(matches!(world.connect(&erp2()).unwrap().lock("second"), Err(HostError::Locked { holder }) if holder.contains("first")));
        world.fail_action(2, fault);
        one.act(&write("/etc/a", "a", "root")).unwrap();
        assert!(matches!(one.act(&write("/etc/b", "b", "root")), Err(HostError::Unreachable { .. })));
        assert_eq!(world.files(&erp2()).get("/etc/b").is_some(), !fault.is_before(), "{fault:?}");
        assert!(one.act(&write("/etc/c", "c", "root")).is_err() && one.look(&BTreeSet::new()).is_err(), "a broken connection stays broken");
        assert_eq!(other.look(&BTreeSet::new()).is_err(), fault.is_crash());
        let mut again = world.connect(&erp2()).unwrap();
        again.lock("second").unwrap();
        again.act(&write("/etc/b", "b", "root")).unwrap();
        assert_eq!(world.actions().len(), if fault.is_before() { 2 } else { 3 });
    }
}

#[test]
fn rights_and_room_are_refused_in_words() {
    let world = World::pair();
    world.mutate(&erp1(), |machine| machine.login = "odoo".into());
    assert!(matches!(act(&world, &erp1(), &Action::DaemonReload), Err(HostError::Denied { .. })));
    assert!(matches!(see(&world, &erp1(), Look::Cluster(cluster())), Err(SightError::Denied(_))));
    assert!(matches!(see(&world, &erp1(), Look::SecretContent(redis::CONFIG.into())), Err(SightError::Denied(_))));
    assert!(matches!(see(&world, &erp1(), Look::SecretContent(odoo::CONFIG.into())), Ok(Sight::SecretContent(Some(_)))));
    assert!(!server(&world, &erp1()).sees_verifiers);
    world.disk_full(&erp2());
    for action in [
        write("/etc/x", "x", "root"),
        install(&world, &erp2(), &["tree"]),
        Action::AppendJournal { path: "/var/lib/otr/j".into(), line: "x".into(), rotates: false },
    ] {
        assert!(matches!(act(&world, &erp2(), &action), Err(HostError::Failed { .. })));
    }
    world.disk_free(&erp2());
    assert!(
        matches!(act(&world, &erp2(), &write("/etc/x", "x", "nobody_here")), Err(HostError::Failed { said, .. }) if said.contains("invalid user"))
    );
    act(&world, &erp2(), &write("/new/deep/x", "x", "root")).unwrap();
}

#[test]
fn a_lost_bundle_stays_lost_until_its_row_is_gone() {
    let world = World::pair();
    let Ok(Sight::Attachments(rows)) = see(&world, &erp1(), Look::Attachments(cluster(), "acme".parse().unwrap())) else { panic!() };
    let (name, _) = rows.iter().find(|(_, row)| row.regenerable).unwrap();
    world.mutate(&erp1(), |m| m.files.remove_tree(&m.odoo_data().join("filestore/acme").join(name)));
    let bad = |world: &World| login(world, &erp1()).assets.iter().filter(|asset| asset.status != 200).count();
    assert_eq!((bad(&world), bad(&world)), (1, 1));
    act(&world, &erp1(), &Action::ForgetBundles { cluster: cluster(), database: "acme".parse().unwrap(), names: vec![name.clone()] })
        .unwrap();
    assert_eq!(bad(&world), 0);
}
