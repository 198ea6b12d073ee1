//! Mounts: set up, guarded, made writable by a promotion, and refused where that would hide files.

use otr::host::simulated::Machine;
use otr::look::Look;
use otr::plan::Verdict;

use crate::stage::{Stage, erp1, erp2};

const AT: &str = "/srv/files";

fn stage(mounts: &str) -> Stage {
    let mut stage = Stage::converged();
    let yaml = format!("{{version: 1, name: a, production: a, hosts: {{a: {{address: local}}}}, storage: {{mounts: [{mounts}]}}}}");
    let (wanted, _) = otr::spec::load::parse(&yaml).unwrap();
    stage.spec.storage = wanted.storage;
    stage
}

fn options(machine: &Machine) -> Vec<String> {
    machine.mounts.get(AT.as_ref() as &std::path::Path).map(|mounted| mounted.options.clone()).unwrap_or_default()
}

const DISK: &str = "{at: /srv/files, from: /dev/vdb1, type: ext4, options: [noatime], standby_options: [ro], odoo: true}";

#[test]
fn a_mount_is_set_up_comes_back_after_a_boot_and_becomes_writable() {
    let stage = stage(DISK);
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    let files = stage.world.files(&erp2());
    assert!(files.text("/etc/fstab").contains("/dev/vdb1 /srv/files ext4 noatime,ro,nofail 0 0\n"), "{}", files.text("/etc/fstab"));
    let guard = files.text("/etc/systemd/system/odoo.service.d/otr-storage.conf");
    for line in ["RequiresMountsFor=/srv/files", "BindsTo=srv-files.mount", "AssertPathIsMountPoint=/srv/files"] {
        assert!(guard.lines().any(|other| other == line), "{guard}");
    }
    stage.world.power_cut(&erp2());
    stage.world.boot(&erp2());
    stage.world.pass(10.0);
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    assert!(stage.world.mutate(&erp2(), |m| options(m).contains(&"ro".into())).unwrap());

    stage.world.power_cut(&erp1());
    assert!(stage.promote(true).promoted);
    assert!(stage.world.mutate(&erp2(), |m| options(m).contains(&"rw".into())).unwrap(), "a promotion makes it writable");
    assert!(stage.world.files(&erp2()).text("/etc/fstab").contains("ext4 noatime,nofail"));
}

#[test]
fn a_unit_in_place_of_a_line() {
    let stage = stage(&DISK.replace("odoo: true", "style: unit"));
    stage.world.mutate(&erp2(), |m| {
        let now = m.tick();
        m.files.write("/etc/fstab", "/dev/vdb1 /srv/files ext4 defaults 0 0\n", ("root", "root", 0o644), now);
    });
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    let files = stage.world.files(&erp2());
    assert_eq!(files.text("/etc/fstab"), "", "not both");
    let unit = files.text("/etc/systemd/system/srv-files.mount");
    assert!(unit.contains("What=/dev/vdb1\nWhere=/srv/files\nType=ext4\nOptions=noatime,ro\n"), "{unit}");
}

#[test]
fn each_tampering_is_seen_and_repaired_or_refused() {
    type Case = (&'static str, fn(&mut Machine), &'static [&'static str], Result<(), &'static str>);
    let cases: [Case; 7] = [
        ("unmounted", |m| m.mounts.clear(), &["erp2 mount /srv/files"], Ok(())),
        ("the line was lost", |m| m.files.remove_tree("/etc/fstab".as_ref()), &["erp2 file /etc/fstab"], Ok(())),
        (
            "remounted without noatime",
            |m| m.mounts.values_mut().for_each(|mounted| mounted.options.retain(|option| option != "noatime")),
            &["erp2 mount /srv/files"],
            Ok(()),
        ),
        (
            "another disk stands there",
            |m| m.mounts.values_mut().for_each(|mounted| mounted.source = "/dev/vdc1".into()),
            &["erp2 mount /srv/files"],
            Err("is mounted there instead of /dev/vdb1"),
        ),
        (
            "it hangs",
            |m| m.mounts.values_mut().for_each(|mounted| mounted.trouble = Some("it does not answer within 5 s".into())),
            &["erp2 mount /srv/files"],
            Err("does not answer"),
        ),
        (
            "its program ended",
            |m| {
                m.mounts.values_mut().for_each(|mounted| {
                    (mounted.trouble, mounted.ended) = (Some("Transport endpoint is not connected".into()), true);
                });
            },
            &["erp2 mount /srv/files"],
            Ok(()),
        ),
        (
            "somebody wrote while it was away",
            |m| {
                m.mounts.clear();
                let now = m.tick();
                m.files.write("/srv/files/stray", "x", ("odoo", "odoo", 0o644), now);
            },
            &["erp2 mount /srv/files"],
            Err("mounting would hide that"),
        ),
    ];
    for (about, tamper, named, ends) in cases {
        let stage = stage(DISK);
        stage.apply().unwrap();
        stage.world.mutate(&erp2(), tamper);
        stage.world.pass(1.0);
        let open = stage.open();
        let found: Vec<&str> = open.keys().map(String::as_str).collect();
        assert_eq!(found, named, "{about}");
        let _ = stage.apply();
        match ends {
            Ok(()) => assert!(stage.plan().holds(), "{about}: {:#?}", stage.open()),
            Err(words) => {
                let open = stage.open();
                assert!(format!("{:?}", open[named[0]]).contains(words), "{about}: {open:#?}");
                assert!(matches!(open[named[0]], Verdict::Refused(_)), "{about}: {open:#?}");
            }
        }
    }
}

#[test]
fn odoo_does_not_start_without_its_files() {
    let stage = stage(DISK);
    stage.apply().unwrap();
    stage.world.mutate(&erp1(), |m| {
        m.files.remove_tree("/etc/fstab".as_ref());
    });
    stage.world.power_cut(&erp1());
    stage.world.boot(&erp1());
    assert_eq!(stage.world.mutate(&erp1(), |m| m.is_active("odoo.service")), Some(false));
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    assert_eq!(stage.world.mutate(&erp1(), |m| m.is_active("odoo.service")), Some(true));
}

#[test]
fn a_helper_that_is_missing_is_installed_and_credentials_are_roots_alone() {
    let stage = stage(
        "{at: /srv/s3, from: odoo, type: s3fs, options: [\"url=https://s3.example.net\", passwd_file=/etc/passwd-s3fs], \
         credentials: {/etc/passwd-s3fs: \"key:made-up\"}}",
    );
    stage.world.offer(|archive| drop(archive.packages.insert("s3fs".into(), vec!["1.89-1".into()])));
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    let files = stage.world.files(&erp2());
    assert_eq!(files.get("/etc/passwd-s3fs").map(|entry| (entry.owner.as_str(), entry.mode)), Some(("root", 0o600)));
    assert!(
        files
            .text("/etc/fstab")
            .contains("odoo /srv/s3 fuse.s3fs url=https://s3.example.net,passwd_file=/etc/passwd-s3fs,_netdev,nofail 0 0")
    );
    let guard = files.get("/etc/systemd/system/odoo.service.d/otr-storage.conf");
    assert_eq!(guard, None, "Odoo runs without a mount that holds nothing of it");
}

#[test]
fn a_shared_filestore_is_neither_copied_nor_counted() {
    let mut stage = Stage::converged();
    let mount = "{at: /var/lib/odoo/.local/share/Odoo/filestore, from: \"nas:/odoo\", type: nfs4, shared: true, options: [hard]}";
    let shared = self::stage(mount);
    stage.spec.storage = shared.spec.storage;
    let wanted: Vec<String> = stage.wanted().iter().map(|wanted| wanted.resource.id().to_string()).collect();
    assert!(wanted.iter().any(|id| id.ends_with("filestore")) && !wanted.contains(&"erp2 filestore acme".into()), "{wanted:?}");
    let looks = otr::status::looks(&stage.spec);
    assert!(!looks.iter().any(|(_, look)| matches!(look, Look::Store { .. })));
}

const OBJECTS: &str = "{at: /srv/files, from: \"az:acme\", type: rclone, standby_options: [ro], odoo: true}";

fn with_rclone(mount: &str) -> Stage {
    let stage = stage(mount);
    for package in ["rclone", "fuse3"] {
        stage.world.offer(|archive| drop(archive.packages.insert(package.into(), vec!["1".into()])));
    }
    stage
}

#[test]
fn rclone_gets_its_link_forgets_folders_soon_and_is_mounted_anew_to_be_writable() {
    let stage = with_rclone(OBJECTS);
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    let files = stage.world.files(&erp2());
    assert!(
        files.text("/etc/fstab").contains("az:acme /srv/files rclone ro,dir_cache_time=10s,_netdev,nofail 0 0"),
        "{}",
        files.text("/etc/fstab")
    );
    assert!(files.get("/sbin/mount.rclone").is_some());
    // Lost while it is mounted: the next boot would find no helper.
    stage.world.mutate(&erp2(), |m| m.files.remove_tree("/sbin/mount.rclone".as_ref()));
    assert_eq!(stage.open().keys().collect::<Vec<_>>(), ["erp2 mount /srv/files"]);
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    stage.world.mutate(&erp1(), |m| m.mounts.values_mut().for_each(|mounted| mounted.options = vec!["ro".into()]));
    let open = stage.open();
    let Verdict::Change(change) = &open["erp1 mount /srv/files"] else { panic!("{open:#?}") };
    let titles: Vec<String> = change.actions.iter().map(otr::action::Action::title).collect();
    assert_eq!(titles, ["unmount /srv/files", "mount /srv/files"], "its program keeps ro to itself");
}

#[test]
fn what_the_helper_says_is_told_with_the_next_step_and_odoo_waits() {
    let stage = stage("{at: /srv/files, from: \"nas:/odoo\", type: nfs4, options: [hard], odoo: true}");
    stage.world.offer(|archive| drop(archive.packages.insert("nfs-common".into(), vec!["1".into()])));
    for host in [erp1(), erp2()] {
        stage.world.mutate(&host, |m| drop(m.unmountable.insert("nas:/odoo".into(), "mount.nfs4: No such device".into())));
    }
    let report = format!("{:#?}", stage.apply().unwrap());
    assert!(report.contains("mount.nfs4: No such device; this kernel has no client of that type"), "{report}");
    let open = stage.open();
    assert!(open.contains_key("erp1 mount /srv/files"));
    // Bound to a mount that cannot be made, an Odoo that runs would be stopped by systemd.
    assert!(open.keys().any(|key| key.starts_with("erp1 file") && key.ends_with("otr-storage.conf")), "{open:#?}");
    for host in [erp1(), erp2()] {
        stage.world.mutate(&host, |m| m.unmountable.clear());
    }
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
}

/// Bound to the mount itself, Odoo would be stopped whenever the idle file system goes.
#[test]
fn odoo_depends_on_an_automount_and_not_on_the_mount_it_waits_for() {
    let stage = stage(&DISK.replace("options: [noatime]", "options: [noatime, x-systemd.automount, x-systemd.idle-timeout=60]"));
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    let files = stage.world.files(&erp1());
    let guard = files.text("/etc/systemd/system/odoo.service.d/otr-storage.conf");
    assert!(
        guard.contains(
            "Wants=srv-files.automount\nAfter=srv-files.automount\nPartOf=srv-files.automount\nAssertPathIsMountPoint=/srv/files\n"
        )
    );
    assert!(!guard.contains("BindsTo=") && !guard.contains("RequiresMountsFor="), "{guard}");
    assert!(stage.world.actions().iter().any(|(_, title)| title == "mount /srv/files"));
}
