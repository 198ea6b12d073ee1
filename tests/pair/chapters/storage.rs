//! 11: file systems. Real here: ext4 behind a loop device and bind mounts, through tampering and a
//! reboot, and Odoo's refusal to run without them. The kernel at hand has no client of NFS or CIFS.

use anyhow::{Context, Result, ensure};

use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "storage.yaml";
const MOUNTS: &str = "storage:\n  mounts:\n    \
    - {at: /srv/acme/archive, from: /var/lib/acme.img, type: ext4, options: [loop, noatime], odoo: true}\n    \
    - {at: /srv/acme-export, from: /srv/acme/archive, type: bind, standby_options: [ro], style: unit}\n";

pub fn chapter() -> Chapter {
    Chapter::new("storage", Scene::Standby)
        .step("disks_are_mounted_by_fstab_and_by_a_unit", |pair| {
            for host in ["erp1", "erp2"] {
                pair.lab.sh(host, "truncate -s 16M /var/lib/acme.img && mkfs.ext4 -q -F /var/lib/acme.img")?;
            }
            pair.otr.vary("pair.yaml", SPEC, |text| text + MOUNTS)?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            both_are_there(pair, "erp1")?;
            both_are_there(pair, "erp2")
        })
        .step("they_come_back_after_a_reboot", |pair| {
            pair.lab.call(&["down", "erp2"])?;
            pair.lab.call(&["boot", "erp2"])?;
            both_are_there(pair, "erp2")?;
            pair.settle()?;
            pair.nothing_differs(SPEC)
        })
        .step("nobody_writes_below_an_unmounted_disk", |pair| {
            pair.lab.sh("erp2", "systemctl stop srv-acme\\\\x2dexport.mount; umount /srv/acme/archive")?;
            ensure!(!pair.lab.holds("erp2", "touch /srv/acme/archive/stray")?, "root wrote into the bare directory");
            repaired(pair, "/srv/acme/archive", "mount")?;
            both_are_there(pair, "erp2")
        })
        .step("options_changed_live_are_seen", |pair| {
            pair.lab.sh("erp2", "mount -o remount,ro /srv/acme/archive")?;
            repaired(pair, "access", "rw")?;
            pair.lab.sh("erp2", "touch /srv/acme/archive/x && rm /srv/acme/archive/x").map(drop)
        })
        .step("a_line_lost_from_fstab_is_seen", |pair| {
            pair.lab.sh("erp2", "sed -i '/acme/d' /etc/fstab")?;
            repaired(pair, "/etc/fstab", "acme.img")
        })
        .step("what_a_mount_would_hide_is_refused", |pair| {
            let over = "    - {at: /var/lib/odoo/.local/share/Odoo/filestore, from: /var/lib/acme.img, type: ext4, options: [loop]}\n";
            pair.otr.vary(SPEC, "hiding.yaml", |text| text + over)?;
            let plan = pair.otr.run("hiding.yaml", "plan --json")?;
            ensure!(plan.said().contains("mounting would hide that"), "{}", plan.said());
            Ok(())
        })
        .step("a_full_disk_hangs_nothing", |pair| {
            pair.lab.sh("erp2", "dd if=/dev/zero of=/srv/acme/archive/full bs=1M 2>/dev/null || :")?;
            pair.nothing_differs(SPEC)?;
            pair.lab.sh("erp2", "rm /srv/acme/archive/full").map(drop)
        })
        .step("a_bucket_is_reached_from_both_hosts_or_plan_says_from_where_not", |pair| {
            let buckets = |which: &str| format!("  buckets: [\"http://10.77.0.1:{which}\"]\n");
            let plan = |pair: &mut Pair, which: &str| -> Result<String> {
                pair.otr.vary(SPEC, "bucket.yaml", |text| text + &buckets(which))?;
                Ok(pair.otr.run("bucket.yaml", "plan --only mount --json")?.said())
            };
            let there = plan(pair, "8000/debs/")?;
            ensure!(!there.contains("does not reach") && there.matches("8000/debs/").count() >= 2, "{there}");
            ensure!(plan(pair, "8000/nowhere")?.matches("there is no such bucket").count() == 2, "a bucket that is not there");
            ensure!(plan(pair, "9/acme")?.contains("erp1 does not reach http://10.77.0.1:9/acme"), "a server that is not there");
            Ok(())
        })
        .step("a_store_on_a_disk_of_its_own_is_kept_there_and_nowhere_else", own_disk)
        .step("odoo_stops_and_stays_away_without_its_disk", |pair| {
            pair.lab.sh("erp1", "systemctl stop srv-acme\\\\x2dexport.mount; umount /srv/acme/archive")?;
            pair.lab.wait("the end of Odoo on erp1", 20, |lab| Ok(!lab.holds("erp1", "systemctl is-active -q odoo")?))?;
            let start = "sed -i '/acme.img/d' /etc/fstab; systemctl daemon-reload; systemctl start odoo";
            ensure!(!pair.lab.holds("erp1", start)?, "Odoo started without its disk");
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            crate::odoo::login_page_is_whole(&pair.lab, "erp1")
        })
        .step("an_automount_is_the_mount_waiting", |pair| {
            let device = "[ -e /dev/autofs ] || mknod /dev/autofs c 10 235; truncate -s 16M /var/lib/auto.img && mkfs.ext4 -q -F /var/lib/auto.img; systemctl daemon-reexec";
            for host in ["erp1", "erp2"] {
                pair.lab.sh(host, device)?;
            }
            let mount = "    - {at: /srv/auto, from: /var/lib/auto.img, type: ext4, options: [loop, x-systemd.automount, x-systemd.idle-timeout=2], odoo: true}\n";
            pair.otr.vary(SPEC, "auto.yaml", |text| text + mount)?;
            pair.otr.run("auto.yaml", "apply --yes --restarts --json")?.ended(0)?;
            pair.lab.wait("the end of the idle mount", 30, |lab| lab.holds("erp1", "! systemctl is-active -q srv-auto.mount && systemctl is-active -q srv-auto.automount"))?;
            std::thread::sleep(std::time::Duration::from_secs(3));
            pair.lab.sh("erp1", "systemctl is-active -q odoo")?;
            pair.nothing_differs("auto.yaml")?;
            pair.lab.wait("the end of the idle mount", 30, |lab| lab.holds("erp1", "! systemctl is-active -q srv-auto.mount"))?;
            // Odoo starts while it waits.
            pair.lab.sh("erp1", "systemctl restart odoo; systemctl is-active -q odoo; touch /srv/auto/x")?;
            crate::odoo::login_page_is_whole(&pair.lab, "erp1")
        })
        .step("a_promotion_makes_it_writable", |pair| {
            ensure!(!pair.lab.holds("erp2", "touch /srv/acme-export/x")?, "it is not read-only on the standby");
            pair.lab.call(&["kill", "erp1"])?;
            pair.otr.run(SPEC, "promote erp2 --yes --production-is-down erp1 --json")?.ended(0)?;
            pair.lab.sh("erp2", "touch /srv/acme-export/x").map(drop)
        })
}

/// The filestore moves to a disk of its own. Where that is away, or another lies there, otr touches nothing.
fn own_disk(pair: &mut Pair) -> Result<()> {
    const AT: &str = "/var/lib/odoo/.local/share/Odoo/filestore";
    for host in ["erp1", "erp2"] {
        let moved = format!(
            "systemctl stop odoo || true; truncate -s 200M /var/lib/store.img; mkfs.ext4 -q -F /var/lib/store.img; mount -o loop /var/lib/store.img /mnt; \
             cp -a {AT}/. /mnt/; rmdir /mnt/lost+found; chown odoo:odoo /mnt; umount /mnt; find {AT} -mindepth 1 -delete"
        );
        pair.lab.sh(host, &moved)?;
    }
    let mount = format!("    - {{at: {AT}, from: /var/lib/store.img, type: ext4, options: [loop]}}\n");
    pair.otr.vary(SPEC, SPEC, |text| text + &mount)?;
    pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
    pair.nothing_differs(SPEC)?;
    pair.otr.run(SPEC, "sync filestore --json")?.ended(0)?;
    let refused = |pair: &mut Pair, word: &str| -> Result<()> {
        let run = pair.otr.run(SPEC, "sync filestore --json")?;
        ensure!(run.code == Some(1) && run.said().contains(word), "sync does not say {word:?}: {}", run.said());
        ensure!(pair.lab.sh("erp2", &format!("ls -A {AT}"))?.trim().trim_end_matches("lost+found").is_empty(), "it wrote something");
        Ok(())
    };
    pair.lab.sh("erp2", &format!("umount {AT}"))?;
    refused(pair, "is not mounted: nothing was written and nothing deleted")?;
    pair.lab.sh(
        "erp2",
        &format!("truncate -s 16M /var/lib/other.img; mkfs.ext4 -q -F /var/lib/other.img; mount -o loop /var/lib/other.img {AT}"),
    )?;
    refused(pair, "is not the store that was there before")?;
    pair.lab.sh("erp2", &format!("umount {AT}"))?;
    pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
    pair.otr.run(SPEC, "sync filestore --json")?.ended(0)?;
    pair.nothing_differs(SPEC)
}

fn both_are_there(pair: &Pair, host: &str) -> Result<()> {
    let found = pair.lab.sh(host, "findmnt -n -o FSTYPE /srv/acme/archive; findmnt -n -o FSTYPE /srv/acme-export")?;
    ensure!(found == "ext4\next4\n", "on {host}: {found:?}");
    Ok(())
}

/// The plan says both words, apply repairs it.
fn repaired(pair: &mut Pair, what: &str, word: &str) -> Result<()> {
    let plan = pair.otr.run(SPEC, "plan --json --detailed-exitcode")?;
    let said = plan.said();
    plan.ended(2)?;
    ensure!(said.contains(what) && said.contains(word), "plan does not name {what} and {word}: {said}");
    pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
    pair.nothing_differs(SPEC).context("after the repair")
}
