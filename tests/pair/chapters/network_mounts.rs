//! 24: NFS and CIFS, up to the limits of the kernel at hand. Real: the packages, Debian's own mount.nfs4 and
//! mount.cifs, called by systemd for otr's line of fstab and otr's unit, and what they say. The kernel has
//! no client of either, so nothing is ever mounted. Played with `OTR_PAIR_NFS=1`.

use anyhow::ensure;

use crate::pair::Scene;
use crate::runner::Chapter;

const SPEC: &str = "network.yaml";
/// Without both words in its file, mount.cifs asks for a password until systemd gives up after 90 s.
const MOUNTS: &str = "storage:\n  mounts:\n    \
    - {at: /srv/acme-nfs, from: \"10.77.0.1:/odoo\", type: nfs4, options: [hard, nfsvers=4.2, sec=krb5p], shared: true, odoo: true}\n    \
    - {at: /srv/acme-cifs, from: //10.77.0.1/odoo, type: cifs, options: [credentials=/etc/acme-cifs, seal], style: unit, \
       credentials: {/etc/acme-cifs: \"username=odoo\\npassword=made-up\"}}\n";

pub fn chapter() -> Chapter {
    Chapter::new("network_mounts", Scene::Standby)
        .step("the_real_helpers_are_called_and_apply_says_what_they_say_for_want_of_a_kernel_client", |pair| {
            pair.lab.call(&["debs", "nfs-common", "cifs-utils"])?;
            ensure!(pair.lab.holds("erp1", "! grep -qw -e nfs4 -e cifs /proc/filesystems")?, "this kernel has a client: write a real walk");
            pair.otr.vary("pair.yaml", SPEC, |text| text + MOUNTS)?;
            let apply = pair.otr.run(SPEC, "apply --yes --restarts --json")?;
            apply.ended(1)?;
            for words in
                ["mount /srv/acme-nfs failed", "mount.nfs4: No such device", "mount /srv/acme-cifs failed", "this kernel has no client"]
            {
                ensure!(apply.said().contains(words), "apply does not say {words:?}: {}", apply.said());
            }
            Ok(())
        })
        .step("plan_stays_honest_and_nobody_writes_into_the_bare_directory", |pair| {
            let plan = pair.otr.run(SPEC, "plan --json --detailed-exitcode")?;
            plan.ended(2)?;
            let drift = plan.json()?.drift();
            for host in ["erp1", "erp2"] {
                for at in ["/srv/acme-nfs", "/srv/acme-cifs"] {
                    let line = format!("{host} mount {at}");
                    ensure!(drift.iter().any(|found| found.starts_with(&line)), "plan does not name {line}: {drift:?}");
                    ensure!(!pair.lab.holds(host, &format!("touch {at}/stray"))?, "root wrote into {at} on {host}");
                }
            }
            Ok(())
        })
        .step("odoo_that_runs_is_left_alone_and_one_that_is_stopped_is_not_started", |pair| {
            ensure!(pair.lab.holds("erp1", "systemctl is-active -q odoo")?, "apply stopped production's Odoo");
            pair.lab.sh("erp1", "systemctl stop odoo")?;
            let apply = pair.otr.run(SPEC, "apply --yes --restarts --json")?;
            apply.ended(1)?;
            ensure!(!pair.lab.holds("erp1", "systemctl is-active -q odoo")?, "otr started Odoo without its files");
            pair.lab.sh("erp1", "chattr -i /srv/acme-nfs /srv/acme-cifs").map(drop)
        })
}
