//! 23: file systems of objects: s3fs and rclone (Azure Blob), over TLS, against servers that `lab.sh objects` runs
//! on the driver. Stock s3fs of bullseye by fstab; rclone 1.60 by a unit. Played with `OTR_PAIR_OBJECTS=1`.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

/// One type, and its server.
#[derive(Clone, Copy)]
struct Store {
    /// The server, in `lab.sh objects`' word.
    server: &'static str,
    spec: &'static str,
    at: &'static str,
    mounts: &'static str,
    /// Its process on the hosts.
    program: &'static str,
}

const S3: Store = Store {
    server: "s3",
    spec: "s3fs.yaml",
    at: "/srv/acme-s3",
    mounts: "storage:\n  mounts:\n    - {at: /srv/acme-s3, from: acme, type: s3fs, shared: true, odoo: true, standby_options: [ro], \
             options: [\"url=https://10.77.0.1:9000\", use_path_request_style, allow_other, passwd_file=/etc/passwd-s3fs, noatime], \
             credentials: {/etc/passwd-s3fs: {secret: \"env:ACME_S3_KEY\"}}}\n",
    program: "s3fs",
};

const AZURE: Store = Store {
    server: "azure",
    spec: "rclone.yaml",
    at: "/srv/acme-az",
    mounts: "storage:\n  mounts:\n    - {at: /srv/acme-az, from: \"az:acme\", type: rclone, shared: true, odoo: true, standby_options: [ro], style: unit, \
             options: [allow_other, config=/etc/rclone.conf, dir_cache_time=2s, low_level_retries=1, contimeout=3s, timeout=10s], \
             credentials: {/etc/rclone.conf: {secret: \"env:ACME_RCLONE_CONF\"}}}\n",
    program: "rclone",
};

pub fn s3fs() -> Chapter {
    walk("s3fs", S3)
        .step("production_boots_without_its_server_and_odoo_stays_away", |pair| {
            pair.lab.call(&["objects", "stop", "s3"])?;
            pair.lab.call(&["down", "erp1"])?;
            pair.lab.call(&["boot", "erp1"])?;
            // s3fs mounts first and finds out later.
            pair.lab.wait("the end of the mount", 60, |lab| lab.holds("erp1", "! pgrep -x s3fs && ! findmnt /srv/acme-s3"))?;
            ensure!(!pair.lab.holds("erp1", "systemctl start odoo")?, "Odoo started without its files");
            ensure!(pair.lab.sh("erp1", "ls -A /srv/acme-s3")?.is_empty(), "something was written into the bare directory");
            pair.lab.call(&["objects", "start", "s3"])?;
            pair.otr.run("s3fs.yaml", "apply --yes --restarts --json")?.ended(0)?;
            pair.settle()?;
            pair.nothing_differs("s3fs.yaml")
        })
        .step("a_promotion_makes_it_writable", |pair| promoted(pair, S3))
}

pub fn rclone() -> Chapter {
    walk("rclone", AZURE).step("a_promotion_makes_it_writable", |pair| promoted(pair, AZURE))
}

fn walk(name: &'static str, store: Store) -> Chapter {
    Chapter::new(name, Scene::Standby)
        .step("it_is_mounted_on_both_and_one_reads_what_the_other_wrote", move |pair| {
            match store.server {
                "s3" => pair.lab.call(&["debs", "s3fs"])?,
                _ => pair.lab.call(&["debs", "fuse3"]).and_then(|_| pair.lab.call(&["rclone"]))?,
            };
            pair.lab.call(&["objects", "start"])?;
            let trusted = std::fs::read(std::path::Path::new(pair.lab.fact("OBJECTS")).join("ca.pem"))?;
            for host in ["erp1", "erp2"] {
                pair.lab.put(host, "/usr/local/share/ca-certificates/lab.crt", "0644", &trusted)?;
                pair.lab.sh(host, "update-ca-certificates >/dev/null 2>&1; echo 10.77.0.1 acme.blob.lab >>/etc/hosts")?;
            }
            pair.otr.vary("pair.yaml", store.spec, |text| text + store.mounts)?;
            pair.otr.run(store.spec, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(store.spec)?;
            pair.lab.sh("erp1", &format!("echo of erp1 >{}/first", store.at))?;
            reads(pair, store, "first", 30)?;
            ensure!(!pair.lab.holds("erp2", &format!("touch {}/x", store.at))?, "it is not read-only on the standby");
            Ok(())
        })
        .step("it_comes_back_after_a_reboot", move |pair| {
            pair.lab.call(&["down", "erp2"])?;
            pair.lab.call(&["boot", "erp2"])?;
            pair.settle()?;
            pair.nothing_differs(store.spec)?;
            reads(pair, store, "first", 10)
        })
        .step("a_server_that_is_gone_is_seen_in_time_and_one_that_is_back_needs_nothing", move |pair| {
            pair.lab.call(&["objects", "stop", store.server])?;
            std::thread::sleep(std::time::Duration::from_secs(3));
            for host in ["erp1", "erp2"] {
                let begun = Instant::now();
                let plan = pair.otr.run(store.spec, &format!("plan --host {host} --only mount --json"))?.said();
                ensure!(plan.contains("is mounted but"), "plan does not see it on {host}: {plan}");
                ensure!(begun.elapsed().as_secs() < 30, "it took {:?}", begun.elapsed());
            }
            pair.lab.call(&["objects", "start", store.server])?;
            reads(pair, store, "first", 90)?;
            pair.lab.wait("production's own mount", 90, |lab| lab.holds("erp1", &format!("timeout 5 ls {}", store.at)))?;
            pair.nothing_differs(store.spec)
        })
        .step("what_is_unmounted_cannot_be_written_and_a_dead_server_mounts_nothing", move |pair| {
            pair.lab.sh("erp2", &format!("umount {}", store.at))?;
            ensure!(!pair.lab.holds("erp2", &format!("touch {}/stray", store.at))?, "root wrote into the bare directory");
            pair.lab.call(&["objects", "stop", store.server])?;
            let apply = pair.otr.run(store.spec, "apply --yes --restarts --host erp2 --json")?;
            apply.ended(1)?;
            ensure!(apply.said().contains("is its server there"), "apply does not say it: {}", apply.said());
            let bare = format!("! findmnt {at} && [ -z \"$(ls -A {at})\" ] && ! touch {at}/stray", at = store.at);
            ensure!(pair.lab.holds("erp2", &bare)?, "it is mounted, or the bare directory was written");
            pair.lab.call(&["objects", "start", store.server])?;
            pair.otr.run(store.spec, "apply --yes --restarts --host erp2 --json")?.ended(0)?;
            pair.nothing_differs(store.spec)?;
            reads(pair, store, "first", 10)
        })
        .step("a_program_that_died_is_replaced_and_odoo_started_again", move |pair| {
            pair.lab.sh("erp1", &format!("kill -9 $(pidof {})", store.program))?;
            let plan = pair.otr.run(store.spec, "plan --json")?;
            ensure!(plan.said().contains("its program ended"), "plan does not see it: {}", plan.said());
            pair.otr.run(store.spec, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(store.spec)?;
            crate::odoo::login_page_is_whole(&pair.lab, "erp1")
        })
        .step("a_full_store_refuses_the_write_and_hangs_nothing", move |pair| {
            pair.lab.call(&["objects", "fill"])?;
            let write = format!("timeout 90 dd if=/dev/urandom of={}/big bs=1M count=4 2>&1", store.at);
            ensure!(!pair.lab.holds("erp1", &write)?, "4 MB fit into a full store");
            let begun = Instant::now();
            pair.otr.run(store.spec, "plan --json")?;
            ensure!(begun.elapsed().as_secs() < 60, "plan took {:?}", begun.elapsed());
            pair.lab.call(&["objects", "empty"])?;
            // The server itself may have died of it.
            pair.lab.call(&["objects", "start", store.server])?;
            pair.lab
                .wait("a write that fits", 120, |lab| lab.holds("erp1", &format!("timeout 20 sh -c 'echo fits >{}/small'", store.at)))?;
            reads(pair, store, "small", 60)?;
            pair.nothing_differs(store.spec)
        })
}

/// The standby sees a file: at once, or when what it remembers of the folder is old.
fn reads(pair: &Pair, store: Store, name: &str, seconds: u64) -> Result<()> {
    pair.lab.wait(&format!("{name} on erp2"), seconds, |lab| lab.holds("erp2", &format!("timeout 5 grep -q . {}/{name}", store.at)))
}

fn promoted(pair: &mut Pair, store: Store) -> Result<()> {
    pair.lab.call(&["kill", "erp1"])?;
    pair.otr.run(store.spec, "promote erp2 --yes --production-is-down erp1 --json")?.ended(0)?;
    pair.lab.sh("erp2", &format!("echo of erp2 >{at}/second && grep -q erp2 {at}/second", at = store.at)).map(drop)
}
