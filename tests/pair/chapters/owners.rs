//! 28, in both generations: a file that otr edits is read by its owner before it takes its place, and a
//! password is read as its server reads it.

use anyhow::{Result, ensure};

use crate::pair::{Generation, Pair};
use crate::runner::Chapter;

const SPEC: &str = "owners.yaml";
const CONF: &str = "/etc/odoo/odoo.conf";
/// Every key with its value, as Python reads them.
const VIEW: &str = "python3 -c 'import configparser; p = configparser.RawConfigParser(); p.read(\"/etc/odoo/odoo.conf\", encoding=\"latin-1\")\nfor s in p.sections():\n  for k, v in sorted(p.items(s)): print(s, k, repr(v) if k != \"admin_passwd\" else len(v))'";

pub fn chapter(generation: &'static Generation) -> Chapter {
    Chapter::new(generation.named("owners"), generation.standby())
        .step("one_key_of_an_indented_odoo_conf_is_changed_and_no_other", move |pair| {
            pair.lab
                .sh("erp1", &format!("sed -i 's/^\\([a-z_]* = \\)/  \\1/; s/$/\\r/' {CONF}; printf '; r\\303\\244ka\\r\\n' >>{CONF}"))?;
            let before = pair.lab.sh("erp1", VIEW)?;
            pair.otr.vary(generation.spec, SPEC, |text| text.replace("limit_time_cpu: 120", "limit_time_cpu: 121"))?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            let after = pair.lab.sh("erp1", VIEW)?;
            ensure!(after == before.replace("limit_time_cpu '120'", "limit_time_cpu '121'"), "before\n{before}\nafter\n{after}");
            ensure!(
                pair.lab.holds("erp1", &format!("LC_ALL=C grep -aq '; r..ka' {CONF} && ! grep -avq $'\\r$' {CONF}"))?,
                "its bytes changed"
            );
            pair.otr.vary(generation.spec, SPEC, |text| text + "# varied\n")?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            ensure!(pair.lab.sh("erp1", VIEW)? == before, "a second edit is not the first one's reverse");
            pair.nothing_differs(SPEC)
        })
        .step("what_odoo_cannot_read_never_stands_in_its_file", move |pair| {
            pair.otr.vary(generation.spec, SPEC, |text| text.replace("limit_time_cpu: 120", "limit_time_cpu: many"))?;
            refused(pair, CONF, "Odoo refuses")
        })
        .step("what_sudo_cannot_read_never_stands_in_its_folder", move |pair| {
            let bad = "files:\n  - {path: /etc/sudoers.d/acme, content: \"guest ALL=(ALL NOPASSWD ls\\n\", mode: \"0440\"}\n";
            pair.otr.vary(generation.spec, SPEC, |text| match text.contains("files:\n") {
                true => text.replace("files:\n", bad),
                false => text + bad,
            })?;
            refused(pair, "/etc/sudoers.d/acme", "visudo refuses")
        })
        .step("what_postgresql_cannot_read_never_stands_in_its_settings", move |pair| {
            pair.otr.vary(generation.spec, SPEC, |text| text.replace("wal_keep_size: 64MB", "wal_keep_size: lots"))?;
            let path = format!("/etc/postgresql/{}/main/conf.d/50-otr.conf", generation.postgres);
            refused(pair, &path, "PostgreSQL refuses")
        })
        .step("a_password_of_two_words_lets_otr_in_and_nothing_is_restarted", move |pair| {
            pair.lab.sh(
                "erp1",
                "sed -i 's/^requirepass .*/requirepass \"two\\\\x20words\"/' /etc/redis/redis.conf\n\
                 echo 'config set requirepass \"two words\"' | REDISCLI_AUTH=keys-to-the-shop redis-cli >/dev/null",
            )?;
            let pid = pair.lab.sh("erp1", "systemctl show -p MainPID --value redis-server")?;
            pair.otr.run(generation.spec, "apply --yes --restarts --json")?.ended(0)?;
            ensure!(pair.lab.redis("erp1", "ping")? == "PONG", "the spec's password is not the server's");
            ensure!(pair.lab.sh("erp1", "systemctl show -p MainPID --value redis-server")? == pid, "Redis was restarted");
            pair.nothing_differs(generation.spec)
        })
}

/// The apply ends with the owner's words, and what stood there stands there.
fn refused(pair: &mut Pair, path: &str, words: &str) -> Result<()> {
    let sum = format!("sha256sum {path} 2>/dev/null || echo nothing");
    let before = pair.lab.sh("erp1", &sum)?;
    let run = pair.otr.run(SPEC, "apply --yes --restarts --json")?;
    ensure!(run.code == Some(1) && run.said().contains(words), "it does not say \"{words}\": {}", run.said());
    ensure!(pair.lab.sh("erp1", &sum)? == before, "{path} was replaced");
    ensure!(pair.lab.holds("erp1", "systemctl is-active -q odoo redis-server && sudo -n true")?, "a service is down");
    Ok(())
}
