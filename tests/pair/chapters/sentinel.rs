//! 21: three sentinels, one of them on a machine that holds no data. The primary of Redis dies while
//! a client keeps asking; who decides is what the spec says, and the other keeps quiet.

use anyhow::{Context, Result, ensure};

use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "sentinel.yaml";
const WITNESS: &str = "  erp3: {address: 10.77.0.13, user: root, role: witness}\n";
const SENTINEL: &str =
    "redis:\n  sentinel: {decides: sentinel, down_after: 3s, failover_timeout: 10s, notification_script: /usr/local/bin/tell}\n";
const TELL: &str = "files:\n  - {path: /usr/local/bin/tell, hosts: [erp1, erp2, erp3], content: \"#!/bin/sh\\necho \\\"$1\\\" >>/var/log/redis/told\\n\", mode: \"0755\"}\n";

/// A client as any library has one: asks a sentinel, writes where it says, remembers what was taken.
const CLIENT: &str = r#"export REDISCLI_AUTH=keys-to-the-shop
n=0; : >/run/taken; : >/run/failed
while [ ! -e /run/enough ]; do
  n=$((n + 1))
  at=$(timeout 1 redis-cli -p 26379 sentinel get-master-addr-by-name acme 2>/dev/null | head -1)
  if [ "$(timeout 1 redis-cli -h "$at" --no-auth-warning set "client:$n" "$n" 2>/dev/null)" = OK ]; then
    echo "$n $(date +%s%N)" >>/run/taken
  else echo "$n" >>/run/failed; fi
  sleep 0.1
done"#;

pub fn chapter() -> Chapter {
    Chapter::new("sentinel", Scene::Standby)
        .step("three_sentinels_watch_one_redis_and_one_host_is_only_a_witness", |pair| {
            three(pair)?;
            pair.otr.vary("pair.yaml", SPEC, |text| spec(&text))?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            let status = pair.otr.run(SPEC, "status")?.said();
            ensure!(status.matches("primary erp1, 1 replicas, 3 sentinels, quorum").count() == 3, "status: {status}");
            ensure!(pair.lab.holds("erp3", "! command -v redis-server && ! command -v psql")?, "the witness got more than its sentinel");
            Ok(())
        })
        .step("what_somebody_told_a_sentinel_is_seen_and_what_it_wrote_itself_stays", |pair| {
            let before = pair.lab.sh("erp2", "grep -E 'myid|known|epoch' /etc/redis/sentinel.conf | sort")?;
            pair.lab.sh("erp2", "redis-cli -p 26379 sentinel set acme down-after-milliseconds 60000 quorum 3 >/dev/null")?;
            pair.lab.sh("erp3", "systemctl stop redis-sentinel; sed -i 's/^bind .*/bind 127.0.0.1/' /etc/redis/sentinel.conf; systemctl start redis-sentinel")?;
            let drift = pair.otr.run(SPEC, "plan --json")?.json()?.drift();
            ensure!(drift.iter().filter(|line| line.contains("sentinel acme")).count() == 2, "plan sees {drift:?}");
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            let after = pair.lab.sh("erp2", "grep -E 'myid|known|epoch' /etc/redis/sentinel.conf | sort")?;
            ensure!(before == after, "it lost what Sentinel wrote:\n{before}\n{after}");
            Ok(())
        })
        .step("the_primary_loses_its_power_while_a_client_keeps_asking", power_cut)
        .step("it_comes_back_as_a_replica_and_plan_takes_the_new_role_for_right", |pair| {
            pair.lab.call(&["boot", "erp1"])?;
            pair.lab.wait("erp1's Redis to follow", 60, |lab| Ok(lab.redis("erp1", "info replication")?.contains("master_link_status:up")))?;
            pair.lab.wait("streaming to erp2", 60, |lab| {
                Ok(lab.sql("erp1", "postgres", "select count(*) from pg_stat_replication where state = 'streaming'")? == "1")
            })?;
            pair.nothing_differs(SPEC)?;
            let status = pair.otr.run(SPEC, "status")?;
            status.ended(0)?;
            ensure!(status.said().contains("primary erp2"), "status: {}", status.said());
            Ok(())
        })
        .step("switchovers_bring_redis_along_by_asking_sentinel", |pair| {
            pair.otr.run(SPEC, "switchover erp2 --yes --write-spec --json")?.ended(0)?;
            primary(pair, "10.77.0.12")?;
            pair.otr.run(SPEC, "switchover erp1 --yes --write-spec --json")?.ended(0)?;
            primary(pair, "10.77.0.11")?;
            pair.nothing_differs(SPEC)
        })
        .step("where_otr_decides_the_sentinels_only_tell", |pair| {
            pair.otr.vary(SPEC, SPEC, |text| text.replace("decides: sentinel", "decides: otr"))?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            pair.lab.call(&["kill", "erp1"])?;
            // Three times `down_after`: Sentinel would have moved it long ago.
            std::thread::sleep(std::time::Duration::from_secs(9));
            primary(pair, "10.77.0.11")?;
            pair.otr.run(SPEC, "promote erp2 --yes --production-is-down erp1 --json")?.ended(0)?;
            primary(pair, "10.77.0.12")?;
            let at = pair.lab.sh("erp3", "redis-cli -p 26379 sentinel get-master-addr-by-name acme | head -1")?;
            ensure!(at.trim() == "10.77.0.12", "the witness still says {at}");
            Ok(())
        })
}

/// The same with a browser, and camptocamp's module. Its folder is named by `OTR_PAIR_SESSION_REDIS`: it is not on PyPI.
pub fn cookie() -> Chapter {
    Chapter::new("sentinel_cookie", Scene::Standby)
        .step("session_redis_asks_the_sentinel_of_its_own_host", |pair| {
            three(pair)?;
            let folder = std::path::PathBuf::from(std::env::var_os("OTR_PAIR_SESSION_REDIS").context("OTR_PAIR_SESSION_REDIS")?);
            for host in ["erp1", "erp2"] {
                for entry in std::fs::read_dir(&folder)? {
                    let entry = entry?;
                    let at = format!("/usr/lib/python3/dist-packages/odoo/addons/session_redis/{}", entry.file_name().display());
                    pair.lab.put(host, &at, "0644", &std::fs::read(entry.path())?)?;
                }
            }
            pair.otr.vary("pair.yaml", SPEC, |text| {
                spec(&text) + "sessions: {store: redis, module: session_redis, prefix: acme, expiration: 1h}\n"
            })?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            odoo::log_in(&pair.lab, "erp1", &folder_of(pair)?)?;
            ensure!(pair.lab.redis("erp1", "--raw keys session::acme:*")?.lines().count() > 0, "the session is not in Redis");
            Ok(())
        })
        .step("redis_dies_on_erp1_and_odoo_there_goes_on_with_erp2s", |pair| {
            pair.lab.sh("erp1", "systemctl stop redis-server")?;
            let begun = std::time::Instant::now();
            pair.lab.wait("Sentinel's failover", 30, |lab| Ok(at(lab, "erp1")? == "10.77.0.12"))?;
            odoo::still_logged_in(&pair.lab, "erp1", &folder_of(pair)?)?;
            println!("(the cookie is good again after {:.1} s) ", begun.elapsed().as_secs_f64());
            pair.lab.sh("erp1", "systemctl start redis-server")?;
            pair.lab
                .wait("erp1's Redis to follow", 60, |lab| Ok(lab.redis("erp1", "info replication")?.contains("master_link_status:up")))?;
            pair.otr.run(SPEC, "sync --json")?.ended(0)?;
            pair.nothing_differs(SPEC)
        })
        .step("a_switchover_keeps_the_cookie", |pair| {
            pair.otr.run(SPEC, "switchover erp2 --yes --write-spec --json")?.ended(0)?;
            odoo::still_logged_in(&pair.lab, "erp2", &folder_of(pair)?)?;
            pair.otr.run(SPEC, "switchover erp1 --yes --write-spec --json")?.ended(0)?;
            primary(pair, "10.77.0.11")?;
            odoo::still_logged_in(&pair.lab, "erp1", &folder_of(pair)?)
        })
        .step("erp1_loses_its_power_and_is_followed_by_otr_and_sentinel_together", |pair| {
            pair.lab.call(&["kill", "erp1"])?;
            pair.otr.run(SPEC, "promote erp2 --yes --production-is-down erp1 --json")?.ended(0)?;
            primary(pair, "10.77.0.12")?;
            odoo::still_logged_in(&pair.lab, "erp2", &folder_of(pair)?)
        })
}

fn spec(text: &str) -> String {
    let erp2 = "  erp2: {address: 10.77.0.12, user: root}\n";
    text.replace(erp2, &format!("{erp2}{WITNESS}")).replace("redis:\n", SENTINEL).replace("files:\n", TELL)
}

fn folder_of(pair: &Pair) -> Result<std::path::PathBuf> {
    Ok(pair.otr.spec(SPEC).parent().context("a spec lies somewhere")?.to_owned())
}

/// The third machine.
fn three(pair: &Pair) -> Result<()> {
    pair.lab.call(&["debs", "redis-sentinel"])?;
    pair.lab.call(&["up", "erp3:min"])?;
    pair.lab.wait("the boot of erp3", 60, |lab| Ok(lab.holds("erp3", "systemctl list-jobs | grep -q 'No jobs'").unwrap_or(false)))?;
    pair.otr.meet(&pair.lab)
}

fn at(lab: &crate::lab::Lab, host: &str) -> Result<String> {
    Ok(lab.sh(host, "redis-cli -p 26379 sentinel get-master-addr-by-name acme | head -1")?.trim().to_owned())
}

fn primary(pair: &Pair, address: &str) -> Result<()> {
    let host = if pair.lab.holds("erp2", "true")? { "erp2" } else { "erp1" };
    let is = at(&pair.lab, host)?;
    ensure!(is == address, "the sentinel of {host} says {is}, not {address}");
    Ok(())
}

fn power_cut(pair: &mut Pair) -> Result<()> {
    pair.lab.put("erp3", "/run/client", "0755", CLIENT.as_bytes())?;
    pair.lab.sh("erp3", "rm -f /run/enough; systemd-run -q --unit client bash /run/client; sleep 2")?;
    let begun = std::time::Instant::now();
    pair.lab.call(&["kill", "erp1"])?;
    pair.lab.wait("Sentinel's failover", 40, |lab| Ok(at(lab, "erp3")? == "10.77.0.12"))?;
    let seconds = begun.elapsed().as_secs_f64();
    pair.lab.sh("erp3", "sleep 3; touch /run/enough; sleep 2")?;
    // Replication is asynchronous: what was taken in the last moment may be gone, and no more than that.
    let gap = "awk '{ if (last && $2 - last > most) most = $2 - last; last = $2 } END { printf \"%d %.1f\", NR, most / 1e9 }' /run/taken";
    let said = pair.lab.sh("erp3", gap)?;
    let taken = pair.lab.sh("erp3", "cut -d' ' -f1 /run/taken")?;
    let there = pair.lab.redis("erp2", "--raw keys 'client:*'")?;
    let there: std::collections::BTreeSet<&str> = there.lines().filter_map(|key| key.strip_prefix("client:")).collect();
    let lost = taken.lines().filter(|n| !there.contains(n)).count();
    println!("(failed over after {seconds:.1} s; writes taken and longest silence in s: {said}; lost {lost}) ");
    ensure!(lost <= 1, "{lost} writes that were taken are gone");
    let gap: f64 = said.split(' ').nth(1).context("a number")?.parse()?;
    ensure!(gap < 25.0, "the client was left alone for {gap} s");
    ensure!(pair.lab.holds("erp2", "grep -q odown /var/log/redis/told")?, "the notification script was not called");
    let plan = pair.otr.run(SPEC, "plan --host erp2 --only redis --only sentinel --json")?.json()?;
    ensure!(plan.drift().is_empty(), "plan takes Sentinel's decision for drift: {:?}", plan.drift());
    Ok(())
}
