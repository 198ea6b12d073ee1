//! 12: both machines serve one GlusterFS volume and mount it: what one writes the other reads, at
//! once, through a reboot and the loss of one. Two replicas alone can split; this tries otr's part.

use anyhow::{Result, ensure};

use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "glusterfs.yaml";
const AT: &str = "/srv/acme-shared";
/// The daemon of the same host must answer before the volume is mounted.
const MOUNTS: &str = "storage:\n  mounts:\n    - {at: /srv/acme-shared, from: \"localhost:/acme\", type: glusterfs, shared: true, \
                      options: [noatime, x-systemd.requires=glusterd.service, x-systemd.after=glusterd.service]}\n";

pub fn chapter() -> Chapter {
    Chapter::new("glusterfs", Scene::Standby)
        .step("a_volume_of_both_machines_is_mounted_on_both", |pair| {
            pair.lab.call(&["debs", "glusterfs-server", "glusterfs-client"])?;
            for host in ["erp1", "erp2"] {
                let install = "apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends glusterfs-server >/dev/null; \
                               systemctl enable -q --now glusterd; mkdir -p /var/lib/brick";
                pair.lab.sh(host, install)?;
            }
            pair.lab.sh("erp1", "gluster --mode=script peer probe 10.77.0.12")?;
            let make = "gluster --mode=script volume create acme replica 2 10.77.0.11:/var/lib/brick/b 10.77.0.12:/var/lib/brick/b force";
            pair.lab.wait("the volume", 30, |lab| lab.holds("erp1", &format!("gluster volume info acme >/dev/null 2>&1 || {make} >/dev/null")))?;
            pair.lab.sh("erp1", "gluster --mode=script volume set acme network.ping-timeout 5; gluster --mode=script volume start acme")?;
            pair.otr.vary("pair.yaml", SPEC, |text| text + MOUNTS)?;
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
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
        .step("one_machine_is_lost_and_the_other_goes_on", |pair| {
            pair.lab.call(&["kill", "erp1"])?;
            pair.lab.wait("the volume without erp1", 30, |lab| lab.holds("erp2", &format!("timeout 5 touch {AT}/third && timeout 5 grep -q erp1 {AT}/first")))
        })
        .step("what_does_not_answer_is_found_in_time", |pair| {
            // Its own brick is killed, and the other is off: every look into it now fails or waits.
            pair.lab.sh("erp2", "kill $(cat /var/run/gluster/vols/acme/*.pid); sleep 1")?;
            let begun = std::time::Instant::now();
            let plan = pair.otr.run(SPEC, "plan --host erp2 --only mount --json")?;
            ensure!(plan.said().contains("is mounted but"), "plan does not see it: {}", plan.said());
            ensure!(begun.elapsed().as_secs() < 60, "it took {:?}", begun.elapsed());
            Ok(())
        })
}

fn crosses(pair: &Pair, from: &str, to: &str, name: &str) -> Result<()> {
    pair.lab.sh(from, &format!("hostname >{AT}/{name}"))?;
    ensure!(pair.lab.sh(to, &format!("cat {AT}/{name}"))?.trim() == from, "{to} does not see what {from} wrote");
    Ok(())
}
