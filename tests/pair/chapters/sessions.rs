//! 10: a browser logs in on erp1, erp1 dies, and the same cookie is still logged in on erp2: with
//! sessions in Redis (restarted, cut off, full, behind TLS), in files, and in PostgreSQL.

use anyhow::{Context, Result, ensure};

use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "sessions.yaml";
/// The module and what it needs, for Python 3.9.
const WHEELS: [&str; 10] = [
    "mangono-addon-redis-session-store==2.4.1",
    "environ-odoo-config==0.6.7",
    "importlib-metadata==8.7.1",
    "python-dotenv==1.2.1",
    "typing-extensions==4.16.0",
    "redis==5.2.1",
    "wrapt==1.17.3",
    "zipp==3.23.1",
    "get-annotations==0.1.2",
    "async-timeout==5.0.1",
];
/// Redis 6.0 of bullseye does not know what the module asks at its start; its answer is known.
const PATCH: &str = "cd /usr/local/lib/python3.9/dist-packages/odoo/addons/redis_session_store\n\
                     sed -i 's/b\"expire\" in self.redis.command_list()/True/' redis_session.py\n! grep -q command_list redis_session.py";
/// Odoo 14 brings the part of werkzeug that the module imports from where it no longer is.
const VENDORED: &str = "cd /usr/local/lib/python3.9/dist-packages/odoo/addons/session_db\n\
                        sed -i 's/^import werkzeug.contrib.sessions/from odoo.tools._vendor import sessions/; s/werkzeug.contrib.sessions/sessions/' pg_session_store.py";

const MODULE: &str =
    "sessions: {store: redis, module: mangono-addon-redis-session-store, version: 2.4.1, prefix: acme, expiration: 1h, patched: true}\n";

/// What its admin did before: the module of that version, mended.
fn module(pair: &Pair) -> Result<()> {
    pair.lab.call(&[&["wheels"], &WHEELS[..]].concat())?;
    ["erp1", "erp2"]
        .iter()
        .try_for_each(|host| pair.lab.sh(host, &format!("pip3 install -q mangono-addon-redis-session-store==2.4.1\n{PATCH}")).map(drop))
}

pub fn redis() -> Chapter {
    Chapter::new("sessions_redis", Scene::Standby)
        .step("a_module_that_this_redis_cannot_serve_is_refused_with_the_reason", |pair| {
            pair.lab.call(&[&["wheels"], &WHEELS[..]].concat())?;
            vary(pair, "sessions: {store: redis, module: mangono-addon-redis-session-store, version: 2.4.1, prefix: acme}\n")?;
            let plan = pair.otr.run(SPEC, "plan --json")?;
            ensure!(plan.said().contains("COMMAND LIST"), "plan does not say why: {}", plan.said());
            Ok(())
        })
        .step("the_module_is_installed_and_told_where_redis_is", |pair| {
            for host in ["erp1", "erp2"] {
                // What its admin did before: the module of that version, mended.
                pair.lab.sh(host, &format!("pip3 install -q mangono-addon-redis-session-store==2.4.1\n{PATCH}"))?;
            }
            vary(pair, "sessions: {store: redis, module: mangono-addon-redis-session-store, version: 2.4.1, prefix: acme, expiration: 1h, patched: true}\n")?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            ensure!(pair.lab.holds("erp1", "test $(stat -c %a:%U /etc/otr/odoo-sessions.env) = 600:root")?, "others may read the password");
            ensure!(pair.lab.holds("erp1", "! runuser -u admin -- systemctl show odoo -p Environment | grep -q keys-to")?, "systemd tells it");
            Ok(())
        })
        .step("a_browser_logs_in_and_its_session_is_on_both_sides", |pair| {
            log_in(pair)?;
            pair.lab.wait("the session on erp2", 10, |lab| {
                Ok(lab.redis("erp2", "--raw keys session::acme:*")?.lines().count() > 0)
            })?;
            on_both_sides(pair)?;
            let said = pair.otr.run(SPEC, "sessions --json")?.said();
            ensure!(said.contains("\"acme\": 1"), "it is not counted by database: {said}");
            Ok(())
        })
        .step("redis_is_restarted", |pair| {
            pair.lab.sh("erp1", "systemctl restart redis-server")?;
            still(pair, "erp1")
        })
        .step("somebody_gave_redis_another_password", |pair| {
            pair.lab.sh("erp1", "REDISCLI_AUTH=keys-to-the-shop redis-cli config set requirepass guess >/dev/null")?;
            let status = pair.otr.run(SPEC, "status --json")?;
            ensure!(status.said().contains("\"refused\""), "status: {}", status.said());
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            still(pair, "erp1")
        })
        .step("redis_is_full_and_refuses_or_forgets_as_its_policy_says", full)
        .step("its_file_is_deleted_and_comes_back", |pair| {
            pair.lab.sh("erp1", "rm /etc/redis/redis.conf")?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            ensure!(pair.lab.holds("erp1", "grep -q '^requirepass' /etc/redis/redis.conf && test $(stat -c %a /etc/redis/redis.conf) = 640")?, "it is not whole");
            still(pair, "erp1")
        })
        .step("the_power_is_cut_and_comes_back", |pair| {
            // `appendfsync everysec`: the session is older than a second.
            pair.lab.sh("erp1", "sleep 1.5")?;
            pair.lab.call(&["kill", "erp1"])?;
            pair.lab.call(&["boot", "erp1"])?;
            still(pair, "erp1")
        })
        .step("a_switchover_and_one_back_keep_the_cookie", |pair| {
            pair.settle()?;
            pair.otr.run(SPEC, "switchover erp2 --yes --write-spec --json")?.ended(0)?;
            still(pair, "erp2")?;
            pair.otr.run(SPEC, "switchover erp1 --yes --write-spec --json")?.ended(0)?;
            still(pair, "erp1")
        })
        .step("erp2_is_promoted_and_the_cookie_is_still_logged_in", |pair| {
            pair.settle()?;
            promoted(pair)
        })
        .step("the_new_primary_of_redis_is_restarted_and_stays_one", |pair| {
            pair.lab.sh("erp2", "systemctl restart redis-server")?;
            pair.lab.wait("Redis", 20, |lab| Ok(lab.redis("erp2", "ping")? == "PONG"))?;
            ensure!(pair.lab.redis("erp2", "info replication")?.contains("role:master"), "it fell back");
            ensure!(pair.lab.holds("erp2", "! grep -Eiq '^(replicaof|slaveof)' /etc/redis/redis.conf")?, "its file still follows erp1");
            still(pair, "erp2")
        })
}

pub fn tls() -> Chapter {
    Chapter::new("sessions_tls", Scene::Standby)
        .step("tls_users_and_a_share_of_the_memory", secure)
        .step("erp2_is_promoted_and_the_cookie_is_still_logged_in", promoted)
}

pub fn files() -> Chapter {
    Chapter::new("sessions_files", Scene::Standby)
        .step("a_browser_logs_in_and_sync_copies_the_session", |pair| {
            vary(pair, "sessions: {store: filesystem}\n")?;
            log_in(pair)?;
            pair.otr.run(SPEC, "sync sessions --json")?.ended(0)?;
            on_both_sides(pair)
        })
        .step("a_session_that_rotted_is_seen_by_its_content", |pair| {
            // One byte, and the time it had.
            pair.lab.sh(
                "erp2",
                "cd /var/lib/odoo/.local/share/Odoo/sessions; f=$(find . -type f | head -n 1); touch -r $f /root/time; \
                 printf X | dd of=$f conv=notrunc status=none; touch -r /root/time $f",
            )?;
            let list = |pair: &Pair, host: &str| {
                pair.lab.sh(host, "cd /var/lib/odoo/.local/share/Odoo/sessions; find . -type f -exec sha1sum {} + | sort")
            };
            pair.otr.run(SPEC, "sync sessions --json")?.ended(0)?;
            ensure!(list(pair, "erp1")? != list(pair, "erp2")?, "nothing rotted");
            pair.otr.run(SPEC, "sync sessions --checksum --json")?.ended(0)?;
            ensure!(list(pair, "erp1")? == list(pair, "erp2")?, "it was not seen");
            Ok(())
        })
        .step("a_session_that_ended_on_production_ends_on_the_standby", ended)
        .step("erp2_is_promoted_and_the_cookie_is_still_logged_in", |pair| {
            promoted(pair)?;
            odoo::no_longer_logged_in(&pair.lab, "erp2", &second(pair)?)
        })
}

/// Where another browser keeps its cookies.
fn second(pair: &Pair) -> Result<std::path::PathBuf> {
    let jar = folder(pair)?.join("second");
    std::fs::create_dir_all(&jar)?;
    Ok(jar)
}

/// One logs out; a production that lost its sessions is not followed.
fn ended(pair: &mut Pair) -> Result<()> {
    const STORE: &str = "cd /var/lib/odoo/.local/share/Odoo; ";
    let count = |pair: &Pair| pair.lab.sh("erp2", &format!("{STORE}find sessions -type f | wc -l"));
    odoo::log_in(&pair.lab, "erp1", &second(pair)?)?;
    pair.otr.run(SPEC, "sync sessions --json")?.ended(0)?;
    let before = count(pair)?;
    pair.lab.sh("erp1", &format!("{STORE}mv sessions lost; install -d -o odoo -g odoo -m 0700 sessions"))?;
    let said = pair.otr.run(SPEC, "sync sessions --json")?.said();
    ensure!(said.contains("production has no session at all"), "{said}");
    ensure!(count(pair)? == before, "a production that lost its sessions was followed");
    pair.lab.sh("erp1", &format!("{STORE}rm -r sessions; mv lost sessions"))?;
    odoo::log_out(&pair.lab, "erp1", &second(pair)?)?;
    pair.otr.run(SPEC, "sync sessions --json")?.ended(0)?;
    let list = |pair: &Pair, host: &str| pair.lab.sh(host, &format!("{STORE}find sessions -type f | sort"));
    ensure!(list(pair, "erp1")? == list(pair, "erp2")?, "not the same sessions");
    Ok(())
}

pub fn database() -> Chapter {
    Chapter::new("sessions_database", Scene::Standby)
        .step("session_db_is_installed", |pair| {
            pair.lab.call(&["wheels", "odoo14-addon-session-db==14.0.1.0.2"])?;
            vary(pair, "sessions: {store: database, module: session_db}\n")?;
            let plan = pair.otr.run(SPEC, "plan --json")?;
            ensure!(plan.said().contains("werkzeug.contrib"), "plan does not say that this werkzeug is too new: {}", plan.said());
            for host in ["erp1", "erp2"] {
                pair.lab.sh(host, &format!("pip3 install -q odoo14-addon-session-db\n{VENDORED}"))?;
            }
            vary(pair, "sessions: {store: database, module: session_db, patched: true}\n")?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)
        })
        .step("a_browser_logs_in_and_its_session_replicates", |pair| {
            log_in(pair)?;
            pair.lab.wait("the session on erp2", 10, |lab| {
                Ok(lab.sql("erp2", "acme", "select count(*) > 0 from http_sessions where payload like '%admin%'")? == "t")
            })?;
            on_both_sides(pair)
        })
        .step("erp2_is_promoted_and_the_cookie_is_still_logged_in", promoted)
}

fn vary(pair: &Pair, more: &str) -> Result<()> {
    pair.otr.vary("pair.yaml", SPEC, |text| text + more)
}

fn folder(pair: &Pair) -> Result<std::path::PathBuf> {
    Ok(pair.otr.spec(SPEC).parent().context("a spec lies somewhere")?.to_owned())
}

fn log_in(pair: &Pair) -> Result<()> {
    odoo::log_in(&pair.lab, "erp1", &folder(pair)?)
}

fn still(pair: &Pair, host: &str) -> Result<()> {
    odoo::still_logged_in(&pair.lab, host, &folder(pair)?)
}

fn on_both_sides(pair: &mut Pair) -> Result<()> {
    let run = pair.otr.run(SPEC, "sessions --cookie file:cookies.txt --json")?;
    let said = run.said();
    run.ended(0)?;
    ensure!(said.matches("\"has_cookie\": true").count() == 2, "the session is not on both sides: {said}");
    Ok(())
}

fn promoted(pair: &mut Pair) -> Result<()> {
    pair.lab.call(&["kill", "erp1"])?;
    pair.otr.run(SPEC, "promote erp2 --yes --production-is-down erp1 --json")?.ended(0)?;
    still(pair, "erp2")
}

fn full(pair: &mut Pair) -> Result<()> {
    let set = |pair: &Pair, policy: &str| {
        let cli = "REDISCLI_AUTH=keys-to-the-shop redis-cli";
        pair.lab
            .sh("erp1", &format!("{cli} config set maxmemory-policy {policy} >/dev/null; {cli} config set maxmemory 3mb >/dev/null"))?;
        // Other installations' sessions, which end too: large ones, then small ones for what is left.
        let fill = |name: &str, size: u32| {
            format!(
                "for n in $(seq 600); do printf 'SET session::other:{name}%s %s EX 5000\\n' $n $(head -c {size} /dev/zero | tr '\\0' x); done"
            )
        };
        pair.lab.sh("erp1", &format!("({}; {}) | {cli} >/dev/null 2>&1 || :", fill("l", 6000), fill("s", 64))).map(drop)
    };
    set(pair, "noeviction")?;
    let status = pair.otr.run(SPEC, "status")?.said();
    ensure!(status.contains("full:") && status.contains("nobody can log in"), "status does not name it: {status}");
    let refused = pair.lab.redis("erp1", "set session::acme:somebody-new $(head -c 400 /dev/zero | tr '\\0' x) ex 60 2>&1")?;
    ensure!(refused.contains("OOM"), "a login is not refused: {refused}");
    let jar = folder(pair)?.join("second");
    std::fs::create_dir_all(&jar)?;
    set(pair, "volatile-lru")?;
    odoo::log_in(&pair.lab, "erp1", &jar).context("at the limit with volatile-lru")?;
    let status = pair.otr.run(SPEC, "status")?.said();
    ensure!(status.contains("keys evicted") && status.contains("of 3072 KiB used (peak"), "status does not count: {status}");
    pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
    pair.lab
        .sh("erp1", "export REDISCLI_AUTH=keys-to-the-shop; redis-cli --raw keys 'session::other:*' | xargs -r redis-cli del >/dev/null")?;
    // The least recently used went: ours may be among them.
    log_in(pair)
}

/// An authority, and one certificate for both hosts.
const AUTHORITY: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -keyout ca.key -out ca.crt -subj /CN=otr-lab 2>/dev/null\n\
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout redis.key -out redis.csr -subj /CN=redis 2>/dev/null\n\
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:10.77.0.11,IP:10.77.0.12\\n' >san\n\
    openssl x509 -req -in redis.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile san -out redis.crt 2>/dev/null";

fn secure(pair: &mut Pair) -> Result<()> {
    let folder = folder(pair)?;
    let made = std::process::Command::new("sh").args(["-ec", AUTHORITY]).current_dir(&folder).status()?;
    ensure!(made.success(), "no certificates");
    let tls = "redis:\n  tls: {certificate: {secret: \"file:redis.crt\"}, key: {secret: \"file:redis.key\"}, authority: {secret: \"file:ca.crt\"}}\n  \
               users: {odoo: {password: {secret: \"env:ACME_REPLICATION_PASSWORD\"}, keys: [\"session:*\"], commands: [\"+@all\", \"-@admin\"]}}\n";
    module(pair)?;
    pair.otr.vary("pair.yaml", SPEC, |text| {
        text.replace("redis:\n", tls).replace("maxmemory: 64mb", "maxmemory: 2%") + MODULE.replace("}", ", user: odoo}").as_str()
    })?;
    pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
    pair.nothing_differs(SPEC)?;
    ensure!(!pair.lab.holds("erp1", "timeout 5 redis-cli ping")?, "it still answers without TLS");
    let total: u64 = pair.lab.sh("erp1", "awk '$1 == \"MemTotal:\" {print $2}' /proc/meminfo")?.trim().parse()?;
    let limit = (total * 1024 / 50) >> 20 << 20;
    ensure!(pair.lab.holds("erp1", &format!("grep -qx 'maxmemory {limit}' /etc/redis/redis.conf"))?, "2 % of {total} KiB is not {limit}");
    log_in(pair)?;
    on_both_sides(pair)
}
