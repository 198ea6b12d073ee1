//! 12: three machines serve one GlusterFS volume, a replica each, and the pair mounts it: what one writes the other
//! reads, at once, through a reboot, the loss of one machine and a full disk. Played with `OTR_PAIR_GLUSTERFS=1`.

use anyhow::{Result, ensure};

use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "glusterfs.yaml";
const AT: &str = "/srv/acme-shared";
/// The daemon of the same host must answer before the volume is mounted.
const MOUNTS: &str = "storage:\n  mounts:\n    - {at: /srv/acme-shared, from: \"localhost:/acme\", type: glusterfs, shared: true, style: unit, \
                      options: [noatime, x-systemd.requires=glusterd.service]}\n";
const HOSTS: [&str; 3] = ["erp1", "erp2", "erp3"];

pub fn chapter() -> Chapter {
    Chapter::new("glusterfs", Scene::Standby)
        .step("a_volume_of_three_machines_is_mounted_on_the_pair", |pair| {
            pair.lab.call(&["debs", "glusterfs-server", "glusterfs-client"])?;
            pair.lab.call(&["up", "erp3:min"])?;
            pair.otr.meet(&pair.lab)?;
            for host in HOSTS {
                let install = "apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends glusterfs-server >/dev/null; \
                               systemctl enable -q --now glusterd; mkdir -p /var/lib/brick";
                pair.lab.sh(host, install)?;
            }
            // The third's disk is small.
            pair.lab.call(&["disk", "erp3", "/var/lib/brick", "24"])?;
            pair.lab.sh("erp1", "gluster --mode=script peer probe 10.77.0.12; gluster --mode=script peer probe 10.77.0.13")?;
            let make = "gluster --mode=script volume create acme replica 3 10.77.0.11:/var/lib/brick/b 10.77.0.12:/var/lib/brick/b 10.77.0.13:/var/lib/brick/b force";
            pair.lab.wait("the volume", 30, |lab| lab.holds("erp1", &format!("gluster volume info acme >/dev/null 2>&1 || {make} >/dev/null")))?;
            let set = "gluster --mode=script volume set acme network.ping-timeout 5; gluster --mode=script volume start acme";
            pair.lab.sh("erp1", set)?;
            pair.otr.vary("pair.yaml", SPEC, |text| text + MOUNTS)?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            crosses(pair, "erp1", "erp2", "first")
        })
        .step("it_comes_back_after_a_reboot", |pair| {
            pair.lab.call(&["down", "erp2"])?;
            pair.lab.call(&["boot", "erp2"])?;
            pair.settle()?;
            pair.nothing_differs(SPEC)?;
            crosses(pair, "erp2", "erp1", "second")
        })
        .step("a_full_brick_stops_nobody_and_heals_when_there_is_room", |pair| {
            pair.lab.sh("erp3", "head -c 64M /dev/zero >/var/lib/brick/fill 2>/dev/null || :")?;
            pair.lab.sh("erp1", &format!("timeout 60 dd if=/dev/urandom of={AT}/big bs=1M count=4 2>/dev/null"))?;
            ensure!(pair.lab.sh("erp2", &format!("stat -c %s {AT}/big"))?.trim() == "4194304", "erp2 sees another size");
            pair.nothing_differs(SPEC)?;
            pair.lab.sh("erp3", "rm /var/lib/brick/fill")?;
            healed(pair)
        })
        .step("one_machine_is_lost_the_other_goes_on_and_it_heals", |pair| {
            pair.lab.call(&["kill", "erp1"])?;
            let goes_on = format!("timeout 5 sh -c 'echo of erp2 >{AT}/third' && timeout 5 grep -q erp1 {AT}/first");
            pair.lab.wait("the volume without erp1", 30, |lab| lab.holds("erp2", &goes_on))?;
            pair.lab.call(&["boot", "erp1"])?;
            pair.settle()?;
            healed(pair)?;
            ensure!(pair.lab.holds("erp1", "grep -q erp2 /var/lib/brick/b/third")?, "erp1's brick has not what it missed");
            pair.nothing_differs(SPEC)
        })
        .step("servers_that_are_gone_are_found_in_time_and_no_living_client_is_unmounted", |pair| {
            for host in HOSTS {
                pair.lab.sh(host, "kill $(cat /var/run/gluster/vols/acme/*.pid); sleep 1")?;
            }
            let begun = std::time::Instant::now();
            let plan = pair.otr.run(SPEC, "plan --host erp2 --only mount --json")?.said();
            ensure!(plan.contains("is mounted but") && !plan.contains("its program ended"), "plan does not see it: {plan}");
            ensure!(begun.elapsed().as_secs() < 60, "it took {:?}", begun.elapsed());
            pair.lab.sh("erp1", "gluster --mode=script volume start acme force")?;
            pair.lab.wait("the volume", 60, |lab| lab.holds("erp2", &format!("timeout 5 grep -q erp1 {AT}/first")))?;
            pair.nothing_differs(SPEC)
        })
        .step("a_client_that_died_is_replaced", |pair| {
            pair.lab.sh("erp2", &format!("kill -9 $(pgrep -f -- '--process-name fuse.*{AT}')"))?;
            let plan = pair.otr.run(SPEC, "plan --json")?;
            ensure!(plan.said().contains("its program ended"), "plan does not see it: {}", plan.said());
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)
        })
}

fn crosses(pair: &Pair, from: &str, to: &str, name: &str) -> Result<()> {
    pair.lab.sh(from, &format!("hostname >{AT}/{name}"))?;
    ensure!(pair.lab.sh(to, &format!("cat {AT}/{name}"))?.trim() == from, "{to} does not see what {from} wrote");
    Ok(())
}

fn healed(pair: &Pair) -> Result<()> {
    pair.lab.sh("erp2", "gluster volume heal acme >/dev/null || :")?;
    let info = "gluster volume heal acme info | awk '/^Number of entries/ { n++; if ($NF != 0) bad = 1 } END { exit n != 3 || bad }'";
    pair.lab.wait("the heal", 90, |lab| lab.holds("erp2", info))
}
