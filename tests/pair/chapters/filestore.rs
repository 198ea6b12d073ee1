//! 13: files follow their rows; damage is found and repaired, and never carried over; a wiped
//! production wipes nothing; an interrupted copy is finished by the next run.
//!
//! `OTR_PAIR_SOAK=50` interrupts 50 copies of 20,000 files instead of one of each kind.

use anyhow::{Context, Result, ensure};

use crate::lab::Lab;
use crate::odoo::{self, FILESTORE};
use crate::otr::Run;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "follow.yaml";
/// The slowest a file may follow the beginning of the transaction that made its row, seconds.
const LATEST: f64 = 10.0;
const MANY: usize = 2000;

pub fn chapter() -> Chapter {
    Chapter::new("filestore", Scene::Standby)
        .step("apply_installs_the_follower", installed)
        .step("files_follow_their_rows", files_follow)
        .step("nothing_new_is_no_traffic", no_traffic)
        .step("a_scrub_repairs_every_damage", |pair| {
            stop(pair)?;
            let files = some_files(&pair.lab, 4)?;
            let [byte, short, owner, gone] = files.as_slice() else { anyhow::bail!("no files") };
            pair.lab.sh("erp2", &format!("cd {FILESTORE}; printf X | dd of={byte} bs=1 seek=100 conv=notrunc status=none; truncate -s 9 {short}; chown root {owner}; rm {gone}"))?;
            let said = pair.otr.run(SPEC, "sync scrub")?.ended(0)?.said();
            ensure!(said.contains(byte) && said.contains(short), "it does not name what it found:\n{said}");
            whole(&pair.lab)
        })
        .step("damage_on_production_is_named_and_stays_there", damaged_production)
        .step("production_s_login_needs_no_right", |pair| {
            let before = crate::snapshot::Snapshot::take(&pair.lab, "erp1")?;
            pair.lab.sh("erp2", &format!("rm -r {FILESTORE}/0? {FILESTORE}/a?"))?;
            pair.otr.run("unprivileged.yaml", "sync filestore")?.ended(0)?;
            before.same_as_now(&pair.lab)?;
            whole(&pair.lab)
        })
        .step("a_wiped_production_wipes_nothing", |pair| {
            pair.lab.sh("erp1", &format!("mv {FILESTORE} /var/lib/odoo/kept"))?;
            refused(pair, "is gone on erp1: this standby keeps all")?;
            pair.lab.sh("erp1", &format!("install -d -o odoo -g odoo {FILESTORE}"))?;
            refused(pair, "are gone from")?;
            pair.lab.sh("erp1", &format!("rmdir {FILESTORE}; mv /var/lib/odoo/kept {FILESTORE}"))?;
            pair.otr.run(SPEC, "sync filestore")?.ended(0).map(drop)
        })
        .step("an_emptied_table_deletes_nothing", |pair| {
            pair.lab.sql("erp1", "acme", "alter table ir_attachment rename to kept; create table ir_attachment (like kept)")?;
            replayed(&pair.lab, "select count(*) from ir_attachment", "0")?;
            refused(pair, "names no file, but")?;
            pair.lab.sql("erp1", "acme", "drop table ir_attachment; alter table kept rename to ir_attachment")?;
            replayed(&pair.lab, "select count(*) > 0 from ir_attachment", "t")
        })
        .step("a_full_or_readonly_disk_is_told_and_costs_nothing", full_disk)
        .step("an_interrupted_copy_is_finished_by_the_next", interrupted)
        .step("the_follower_survives_restarts_and_ends_with_a_promotion", ends)
}

fn installed(pair: &mut Pair) -> Result<()> {
    for (path, fact) in [("/root/.ssh/id_ed25519", "KEY"), ("/root/.ssh/known_hosts", "KNOWN_HOSTS")] {
        pair.lab.put("erp2", path, "0600", &std::fs::read(pair.lab.fact(fact))?)?;
    }
    pair.otr.run(SPEC, "apply --yes --restarts")?.ended(0)?;
    pair.lab.sh("erp2", "systemctl is-active -q otr-follow.service; systemctl is-enabled -q otr-follow.service")?;
    let status = pair.otr.run(SPEC, "status --json")?.json()?.0;
    let compared = |host: &serde_json::Value| host["syncs"].as_array().is_some_and(|all| all.iter().any(|ran| ran["what"] == "follow"));
    ensure!(status["hosts"].as_array().is_some_and(|hosts| hosts.iter().any(compared)), "no comparison is on record: {status}");
    pair.nothing_differs(SPEC)
}

fn stop(pair: &Pair) -> Result<()> {
    pair.lab.sh("erp2", "systemctl stop otr-follow.service").map(drop)
}

/// Each file's time on erp2 against the beginning of the transaction of its row.
fn files_follow(pair: &mut Pair) -> Result<()> {
    odoo::create_many(&pair.lab, "erp1", MANY, "followed")?;
    let sql = "select count(*) from ir_attachment where name like 'followed-%'";
    replayed(&pair.lab, sql, &MANY.to_string())?;
    let rows = "select store_fname || ' ' || extract(epoch from create_date) from ir_attachment where name like 'followed-%'";
    let rows = pair.lab.sql("erp2", "acme", rows)?;
    pair.lab.wait("the files", 15, |lab| {
        lab.holds("erp2", &format!("cd {FILESTORE}; for f in {}; do test -f $f || exit 1; done", names(&rows)))
    })?;
    let times = pair.lab.sh("erp2", &format!("cd {FILESTORE}; find . -mindepth 2 -type f -printf '%P %C@\\n'"))?;
    let mut late: Vec<f64> = rows
        .lines()
        .filter_map(|row| {
            let (name, made) = row.split_once(' ')?;
            let came = times.lines().find_map(|line| line.strip_prefix(name))?;
            Some(came.trim().parse::<f64>().ok()? - made.parse::<f64>().ok()?)
        })
        .collect();
    late.sort_by(f64::total_cmp);
    ensure!(late.len() == MANY, "{} of {MANY} are there", late.len());
    let worst = late.last().copied().unwrap_or_default();
    println!("(follow: median {:.2} s, worst {worst:.2} s after the transaction began) ", late[MANY / 2]);
    ensure!(worst < LATEST, "the slowest file came {worst:.1} s after its transaction began");
    whole(&pair.lab)
}

fn names(rows: &str) -> String {
    rows.lines().filter_map(|row| row.split(' ').next()).collect::<Vec<_>>().join(" ")
}

/// Ten seconds at rest: no connection to production, and little work.
fn no_traffic(pair: &mut Pair) -> Result<()> {
    pair.lab
        .wait("the end of the last connection", 60, |lab| lab.holds("erp2", "! ss -Htn state established '( dport = :22 )' | grep -q ."))?;
    let work = "p=$(systemctl show -p MainPID --value otr-follow.service); cat /proc/$p/stat | cut -d' ' -f14-17";
    let ticks = |lab: &Lab| -> Result<u64> { Ok(lab.sh("erp2", work)?.split_whitespace().filter_map(|n| n.parse::<u64>().ok()).sum()) };
    let before = ticks(&pair.lab)?;
    std::thread::sleep(std::time::Duration::from_secs(10));
    let used = ticks(&pair.lab)? - before;
    ensure!(pair.lab.holds("erp2", "! ss -Htn state established '( dport = :22 )' | grep -q .")?, "it talks to production");
    ensure!(used <= 10, "it used {used} hundredths of a second of 10 s");
    Ok(())
}

fn damaged_production(pair: &mut Pair) -> Result<()> {
    let files = some_files(&pair.lab, 2)?;
    let [torn, lost] = files.as_slice() else { anyhow::bail!("no files") };
    pair.lab.sh("erp1", &format!("cd {FILESTORE}; cp -p {torn} /root/torn; cp -p {lost} /root/lost; printf X | dd of={torn} bs=1 seek=5 conv=notrunc status=none; rm {lost}"))?;
    // The standby's own are whole and stay.
    pair.otr.run(SPEC, "sync filestore")?.ended(0)?;
    pair.lab.sh("erp2", &format!("cd {FILESTORE}; test -f {torn}; test -f {lost}; rm {torn} {lost}"))?;
    let said = pair.otr.run(SPEC, "sync filestore")?.ended(1)?.said();
    ensure!(said.contains(&format!("Damaged on production: {torn}")), "it does not name {torn}:\n{said}");
    ensure!(said.contains("missing on production too") && said.contains(lost), "it does not name {lost}:\n{said}");
    let status = pair.otr.run(SPEC, "status --json")?.json()?.0;
    let store = &status["hosts"].as_array().context("hosts")?.iter().find(|h| h["host"] == "erp2").context("erp2")?["filestores"][0];
    ensure!(store["missing"] == 2 && store["missing_on_production"] == 1, "{store}");
    ensure!(
        store["lost"].as_array().is_some_and(|all| all.iter().any(|f| f["store_name"] == lost.as_str() && f["on_production"] == false)),
        "{store}"
    );
    pair.lab.sh("erp1", &format!("cd {FILESTORE}; cp -p /root/torn {torn}; cp -p /root/lost {lost}"))?;
    pair.otr.run(SPEC, "sync filestore")?.ended(0)?;
    whole(&pair.lab)
}

fn refused(pair: &mut Pair, words: &str) -> Result<Run> {
    let count = format!("find {FILESTORE} -mindepth 2 -type f | wc -l");
    let before = pair.lab.sh("erp2", &count)?;
    let run = pair.otr.run(SPEC, "sync filestore")?;
    ensure!(run.ended(1)?.said().contains(words), "it does not say {words:?}:\n{}", run.said());
    ensure!(pair.lab.sh("erp2", &count)? == before, "files are gone");
    Ok(run)
}

fn full_disk(pair: &mut Pair) -> Result<()> {
    let store = odoo::FILESTORE;
    small_disk(&pair.lab, 4)?;
    let run = pair.otr.run(SPEC, "sync filestore")?;
    ensure!(run.ended(1)?.said().contains("No space left"), "{}", run.said());
    no_leftovers(&pair.lab)?;
    pair.lab.sh("erp2", &format!("mount -o remount,ro {store}"))?;
    let run = pair.otr.run(SPEC, "sync filestore")?;
    ensure!(run.ended(1)?.said().contains("Read-only file system"), "{}", run.said());
    pair.lab.sh("erp2", &format!("umount {store}"))?;
    pair.otr.run(SPEC, "sync filestore")?.ended(0)?;
    whole(&pair.lab)
}

/// What ends a copy in the middle.
const FAULTS: [&str; 7] = ["otr", "sshd", "link", "serve", "read-only", "full", "reboot"];
/// Megabytes after which a disk is full.
const FULL_AT: [usize; 8] = [4, 25, 9, 32, 14, 39, 18, 44];

fn interrupted(pair: &mut Pair) -> Result<()> {
    let soak: Option<usize> = std::env::var("OTR_PAIR_SOAK").ok().and_then(|text| text.parse().ok());
    // Anywhere between the login and the last name.
    let mut span = 1500;
    if soak.is_some() {
        odoo::create_many(&pair.lab, "erp1", 18_000, "soak")?;
        replayed(&pair.lab, "select count(*) from ir_attachment where name like 'soak-%'", "18000")?;
        pair.lab.sh("erp2", &format!("rm -rf {FILESTORE}/[0-9a-f]*"))?;
        span = (pair.otr.run(SPEC, "sync filestore")?.seconds * 1000.0) as u64;
    }
    let (mut broken, mut round) = (0, 0);
    // Two of three come in time, at the least.
    while round < FAULTS.len() || soak.is_some_and(|wanted| broken < wanted && round < wanted * 3 / 2) {
        let fault = FAULTS[round % FAULTS.len()];
        let moment = 200 + round as u64 * 1_618_033 % (span - 200);
        let broke = interrupt(pair, round, fault, moment).with_context(|| format!("round {round}, {fault}"))?;
        broken += usize::from(broke);
        round += 1;
        if soak.is_some() {
            println!("{fault} after {moment} of {span} ms {}", if broke { "broke it off" } else { "came too late" });
        }
        whole(&pair.lab).with_context(|| format!("round {round}, after {fault}: {}", pair.otr.started_said()))?;
        if matches!(fault, "read-only") {
            pair.lab.sh("erp2", &format!("umount {FILESTORE}"))?;
        }
    }
    println!("({broken} copies of {round} broke off) ");
    ensure!(broken >= soak.unwrap_or(1), "too few of {round} copies broke off: {broken}");
    pair.otr.run(SPEC, "sync filestore")?.ended(0)?;
    whole(&pair.lab)
}

/// Interrupts a copy and lets the next run finish it; whether it was interrupted before its end.
fn interrupt(pair: &mut Pair, round: usize, fault: &str, moment: u64) -> Result<bool> {
    match fault {
        "read-only" => small_disk(&pair.lab, 400)?,
        // Full at another moment every time.
        "full" => small_disk(&pair.lab, FULL_AT[round / FAULTS.len() % FULL_AT.len()])?,
        _ => pair.lab.sh("erp2", &format!("rm -rf {FILESTORE}/[0-9a-f]*")).map(drop)?,
    }
    let mut child = pair.otr.start(SPEC, "sync filestore")?;
    std::thread::sleep(std::time::Duration::from_millis(moment));
    match fault {
        "otr" => child.kill()?,
        "sshd" => pair.lab.sh("erp1", "pkill -9 -f 'sshd: admin' || true").map(drop)?,
        "serve" => pair.lab.sh("erp2", "pkill -9 -f 'otr serve keep' || true").map(drop)?,
        "reboot" => {
            pair.lab.call(&["down", "erp1"])?;
            child.kill()?;
            pair.lab.call(&["boot", "erp1"])?;
            pair.settle()?;
        }
        // The kernel refuses while a file is open for writing.
        "read-only" => pair
            .lab
            .sh("erp2", &format!("for n in $(seq 100); do mount -o remount,ro {FILESTORE} 2>/dev/null && break; sleep 0.02; done"))
            .map(drop)?,
        "full" => {}
        _ => {
            pair.lab.call(&["link", "erp1", "down"])?;
            std::thread::sleep(std::time::Duration::from_millis(500));
            child.kill()?;
            pair.lab.call(&["link", "erp1", "up"])?;
        }
    }
    let ended = child.wait()?;
    let torn = misnamed(&pair.lab)?;
    ensure!(torn.is_empty(), "after {fault}: {torn}");
    match fault {
        "read-only" => pair.lab.sh("erp2", &format!("mount -o remount,rw {FILESTORE}")).map(drop)?,
        "full" => {
            ensure!(pair.otr.started_said().contains("No space left"), "{}", pair.otr.started_said());
            no_leftovers(&pair.lab)?;
            pair.lab.sh("erp2", &format!("umount {FILESTORE}; rm -rf {FILESTORE}/[0-9a-f]*")).map(drop)?;
        }
        _ => {}
    }
    pair.otr.finish(SPEC, "sync filestore")?;
    Ok(!ended.success())
}

fn small_disk(lab: &Lab, megabytes: usize) -> Result<()> {
    lab.call(&["disk", "erp2", FILESTORE, &megabytes.to_string()])?;
    lab.sh("erp2", &format!("rm -rf {FILESTORE}/lost+found; chown odoo:odoo {FILESTORE}")).map(drop)
}

fn ends(pair: &mut Pair) -> Result<()> {
    pair.lab.sh("erp2", "systemctl start otr-follow.service")?;
    pair.lab.sh("erp2", "systemctl restart postgresql@13-main.service")?;
    pair.lab.call(&["down", "erp1"])?;
    pair.lab.call(&["boot", "erp1"])?;
    pair.settle()?;
    let made = odoo::create(&pair.lab, "erp1", "after-the-restarts")?;
    pair.lab.wait("its file", 90, |lab| lab.holds("erp2", &format!("test -f {FILESTORE}/{}", made.store_name)))?;
    pair.lab.sql("erp2", "postgres", "select pg_promote()")?;
    pair.lab.wait("the follower's end", 30, |lab| lab.holds("erp2", "! systemctl is-active -q otr-follow.service"))?;
    let result = pair.lab.sh("erp2", "systemctl show -p Result --value otr-follow.service")?;
    ensure!(result.trim() == "success", "the follower ended with {result}");
    Ok(())
}

fn replayed(lab: &Lab, sql: &str, wanted: &str) -> Result<()> {
    lab.wait("the replay", 20, |lab| Ok(lab.sql("erp2", "acme", sql).is_ok_and(|value| value == wanted)))
}

/// Names of the store that the database refers to.
fn some_files(lab: &Lab, count: usize) -> Result<Vec<String>> {
    let sql = format!("select distinct store_fname from ir_attachment where name like 'followed-%' order by 1 limit {count}");
    Ok(lab.sql("erp2", "acme", &sql)?.lines().map(str::to_owned).collect())
}

fn no_leftovers(lab: &Lab) -> Result<()> {
    ensure!(lab.holds("erp2", &format!("test ! -e {FILESTORE}/.otr-new"))?, "temporary files are left");
    Ok(())
}

fn whole(lab: &Lab) -> Result<()> {
    no_leftovers(lab)?;
    filestore_is_whole(lab)
}

/// Files whose SHA-1 is not their name.
fn misnamed(lab: &Lab) -> Result<String> {
    lab.sh("erp2", &format!("cd {FILESTORE}; find [0-9a-f]* -type f -print0 2>/dev/null | xargs -0r sha1sum | awk '{{ n = $2; sub(\".*/\", \"\", n); if (n != $1) print $2 }}'"))
}

/// Every file the database names is there, its name is its SHA-1, and Odoo owns every level.
fn filestore_is_whole(lab: &Lab) -> Result<()> {
    let wrong = misnamed(lab)?;
    ensure!(wrong.is_empty(), "files whose SHA-1 is not their name:\n{wrong}");
    let foreign = lab.sh("erp2", "find /var/lib/odoo ! -user odoo")?;
    ensure!(foreign.is_empty(), "not owned by odoo:\n{foreign}");
    let named = lab.sql("erp2", "acme", "select distinct store_fname from ir_attachment where store_fname <> '' order by 1")?;
    let have = lab.sh("erp2", &format!("cd {FILESTORE}; find [0-9a-f]* -type f"))?;
    let have: std::collections::BTreeSet<&str> = have.lines().collect();
    let missing: Vec<&str> = named.lines().filter(|name| !have.contains(name)).collect();
    ensure!(missing.is_empty(), "{} missing, such as {:?}", missing.len(), missing.first());
    Ok(())
}
