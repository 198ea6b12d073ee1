//! 31: PostgreSQL as somebody else set it up: nothing on production is lowered or taken back, a standby
//! does not promote itself, its data stands where its owner put it, and a replay that waits is told apart.

use anyhow::{Result, ensure};

use super::switchover::is_production;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "measure.yaml";
const CONF: &str = "/etc/postgresql/13/main";

fn show(pair: &Pair, host: &str, name: &str) -> Result<String> {
    pair.lab.sql(host, "postgres", &format!("show {name}"))
}

fn started(pair: &Pair, host: &str) -> Result<String> {
    pair.lab.sql(host, "postgres", "select pg_postmaster_start_time()")
}

fn streams(pair: &Pair, from: &str) -> Result<()> {
    pair.lab.wait("streaming", 60, |lab| {
        Ok(lab.sql(from, "postgres", "select count(*) from pg_stat_replication where state = 'streaming'")? == "1")
    })
}

/// otr refuses, says why, and production goes on as it was.
fn refuses(pair: &mut Pair, arguments: &str, why: &[&str]) -> Result<()> {
    let run = pair.otr.run(SPEC, arguments)?;
    ensure!(run.code == Some(1), "{arguments} ended with {:?}: {}", run.code, run.said());
    why.iter().try_for_each(|why| {
        ensure!(run.said().contains(why), "{arguments} does not say {why:?}: {}", run.said());
        Ok(())
    })
}

/// What production has is the measure.
pub fn kept() -> Chapter {
    Chapter::new("measure", Scene::Standby)
        .step("a_production_that_otr_never_saw_keeps_what_it_has", |pair| {
            pair.otr.vary("pair.yaml", SPEC, |text| text.replace("{max_connections: 120, wal_keep_size: 64MB}", "{max_connections: 120}"))?;
            // As an administrator has it: in postgresql.conf, in a file of conf.d and by ALTER SYSTEM.
            pair.lab.sh(
                "erp1",
                &format!(
                    "rm {CONF}/conf.d/50-otr.conf\nsed -i 's/^#*wal_level *=.*/wal_level = logical/; s/^#*max_replication_slots *=.*/max_replication_slots = 12/; s/^max_connections *=.*/max_connections = 120/' {CONF}/postgresql.conf\n\
                     printf \"wal_keep_size '2GB'\\nwal_sender_timeout = 70s\\nwal_log_hints = on\\n\" > {CONF}/conf.d/10-admin.conf\n\
                     systemctl restart postgresql@13-main"
                ),
            )?;
            pair.lab.sql("erp1", "postgres", "alter system set max_wal_senders = 14")?;
            pair.lab.sql("erp1", "postgres", "alter system set listen_addresses = '127.0.0.1, 10.77.0.11'")?;
            pair.lab.sh("erp1", "systemctl restart postgresql@13-main")?;
            pair.lab.sql("erp1", "acme", "select pg_create_logical_replication_slot('stock_feed', 'pgoutput')")?;
            pair.lab.sql("erp1", "postgres", "select pg_create_physical_replication_slot('other' || n) from generate_series(1, 10) n")?;
            let before = started(pair, "erp1")?;
            let plan = pair.otr.run(SPEC, "plan")?;
            ensure!(plan.said().contains("stock_feed"), "plan does not name the logical slot: {}", plan.said());
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            ensure!(started(pair, "erp1")? == before, "production's PostgreSQL was restarted");
            for (name, value) in [
                ("wal_level", "logical"),
                ("max_replication_slots", "12"),
                ("wal_keep_size", "2GB"),
                ("max_wal_senders", "14"),
                ("wal_sender_timeout", "70s"),
                ("listen_addresses", "127.0.0.1, 10.77.0.11"),
                ("max_slot_wal_keep_size", "-1"),
            ] {
                let is = show(pair, "erp1", name)?;
                ensure!(is.replace("70000ms", "70s") == value, "{name} on production is {is}");
            }
            ensure!(pair.lab.holds("erp1", "grep -q max_wal_senders /var/lib/postgresql/13/main/postgresql.auto.conf")?, "ALTER SYSTEM was taken back");
            for (name, value) in [("wal_level", "logical"), ("max_replication_slots", "12"), ("max_wal_senders", "14"), ("wal_keep_size", "2GB")] {
                ensure!(show(pair, "erp2", name)? == value, "{name} on the standby is {}", show(pair, "erp2", name)?);
            }
            streams(pair, "erp1")
        })
        .step("a_word_of_the_spec_does_not_lower_what_is_in_use", |pair| {
            let before = started(pair, "erp1")?;
            pair.otr.vary(SPEC, SPEC, |text| text.replace("{max_connections: 120}", "{max_connections: 120, wal_level: replica}"))?;
            refuses(pair, "apply --yes", &["wal_level", "stock_feed"])?;
            pair.otr.vary(SPEC, SPEC, |text| text.replace("wal_level: replica", "max_replication_slots: 5"))?;
            refuses(pair, "apply --yes", &["max_replication_slots", "12 slots"])?;
            pair.otr.vary(SPEC, SPEC, |text| text.replace("max_replication_slots: 5", "wal_level: logical"))?;
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            ensure!(started(pair, "erp1")? == before, "production's PostgreSQL was restarted");
            Ok(())
        })
        .step("a_promotion_names_the_slots_it_loses", |pair| {
            let run = pair.otr.run(SPEC, "promote erp2 --dry-run")?;
            ensure!(run.said().contains("stock_feed"), "the dry run does not name the slot: {}", run.said());
            let run = pair.otr.run(SPEC, "switchover erp2 --yes --write-spec")?;
            ensure!(run.ended(0)?.said().contains("stock_feed"), "the switchover does not name the slot: {}", run.said());
            is_production(pair, "erp2", "erp1")?;
            for (name, value) in [("wal_level", "logical"), ("max_replication_slots", "12"), ("max_wal_senders", "14"), ("wal_keep_size", "2GB")] {
                ensure!(show(pair, "erp2", name)? == value, "{name} on the new production is {}", show(pair, "erp2", name)?);
            }
            pair.nothing_differs(SPEC)
        })
        .step("what_the_new_production_has_is_the_measure", |pair| {
            pair.lab.sql("erp2", "postgres", "alter system set max_connections = 200")?;
            // Not restarted yet: the standby is raised first, production is its administrator's.
            let before = started(pair, "erp2")?;
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            ensure!(started(pair, "erp2")? == before, "production's PostgreSQL was restarted");
            ensure!(show(pair, "erp1", "max_connections")? == "200", "the standby was not raised");
            pair.lab.sh("erp2", "systemctl restart postgresql@13-main")?;
            let before = started(pair, "erp2")?;
            streams(pair, "erp2")?;
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            ensure!(show(pair, "erp2", "max_connections")? == "200" && started(pair, "erp2")? == before, "production was lowered or restarted");
            ensure!(show(pair, "erp1", "max_connections")? == "200", "the standby was not raised");
            streams(pair, "erp2")
        })
}

const DATA: &str = "/var/lib/postgresql/13/main";
const SIGNS: &str = "select pg_is_in_recovery()";

/// A commit on production arrives on the standby, which stays one.
fn stays_a_standby(pair: &Pair, from: &str, standby: &str, table: &str) -> Result<()> {
    pair.lab.sql(from, "postgres", &format!("create table {table} (n int)"))?;
    pair.lab
        .wait("the commit", 30, |lab| Ok(lab.sql(standby, "postgres", &format!("select to_regclass('{table}') is not null"))? == "t"))?;
    ensure!(pair.lab.sql(standby, "postgres", SIGNS)? == "t", "{standby} promoted itself");
    streams(pair, from)
}

/// What a restore left on production does not travel.
pub fn targets() -> Chapter {
    Chapter::new("targets", Scene::Standby)
        .step("a_copy_of_a_restored_production_stays_a_standby", |pair| {
            std::fs::copy(pair.otr.spec("pair.yaml"), pair.otr.spec(SPEC))?;
            for setting in
                ["recovery_target_time = '2001-01-01 00:00:00+00'", "recovery_target_action = 'promote'", "restore_command = 'false'"]
            {
                pair.lab.sql("erp1", "postgres", &format!("alter system set {setting}"))?;
            }
            pair.lab.sh("erp1", "systemctl restart postgresql@13-main")?;
            let doctor = pair.otr.run(SPEC, "doctor")?.said();
            ensure!(doctor.contains("recovery_target_time"), "doctor does not name it: {doctor}");
            pair.lab.sh("erp2", &format!("systemctl stop postgresql@13-main; rm -rf {DATA}"))?;
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
            ensure!(!pair.lab.holds("erp2", &format!("grep -q recovery_target {DATA}/postgresql.auto.conf"))?, "it travelled");
            ensure!(
                pair.lab.holds("erp1", &format!("grep -q recovery_target_time {DATA}/postgresql.auto.conf"))?,
                "production's was taken back"
            );
            stays_a_standby(pair, "erp1", "erp2", "after_the_copy")?;
            pair.nothing_differs(SPEC)
        })
        .step("somebodys_own_standby_is_freed_of_it", |pair| {
            pair.lab.sql("erp2", "postgres", "alter system set recovery_target_name = 'here'")?;
            pair.lab.sh("erp2", "systemctl restart postgresql@13-main")?;
            streams(pair, "erp1")?;
            pair.lab.sql("erp1", "postgres", "select pg_create_restore_point('here')")?;
            pair.lab
                .wait("the pause at the target", 30, |lab| Ok(lab.sql("erp2", "postgres", "select pg_is_wal_replay_paused()")? == "t"))?;
            refuses(pair, "promote erp2 --dry-run", &["recovery_target_name = here", "ALTER SYSTEM RESET recovery_target_name"])?;
            for verb in ["plan", "status", "doctor"] {
                let said = pair.otr.run(SPEC, verb)?.said();
                ensure!(said.contains("recovery_target_name") && !said.contains("SELECT pg_wal_replay_resume"), "{verb}: {said}");
            }
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
            ensure!(show(pair, "erp2", "recovery_target_name")?.is_empty(), "the target is still set");
            stays_a_standby(pair, "erp1", "erp2", "after_the_target")?;
            pair.nothing_differs(SPEC)
        })
        .step("an_old_production_does_not_wake_it", |pair| {
            pair.otr.run(SPEC, "switchover erp2 --yes --write-spec --json")?.ended(0)?;
            is_production(pair, "erp2", "erp1")?;
            stays_a_standby(pair, "erp2", "erp1", "after_the_switchover")?;
            pair.nothing_differs(SPEC)
        })
        .step("a_rewound_one_does_not_take_it_over", |pair| {
            pair.lab.sql("erp2", "postgres", "alter system set recovery_target_time = '2001-01-01 00:00:00+00'")?;
            pair.lab.call(&["cut", "erp1", "erp2"])?;
            pair.lab.sql("erp2", "postgres", "create table never_sent (n int)")?;
            pair.lab.call(&["kill", "erp2"])?;
            pair.lab.call(&["heal", "erp1", "erp2"])?;
            pair.otr.run(SPEC, "promote erp1 --yes --production-is-down erp2 --write-spec --json")?.ended(0)?;
            pair.lab.sql("erp1", "postgres", "alter system set recovery_target_time = '2002-02-02 00:00:00+00'")?;
            pair.lab.call(&["boot", "erp2"])?;
            pair.lab.wait("the end of erp2's boot", 60, |lab| lab.holds("erp2", "systemctl list-jobs | grep -q 'No jobs'"))?;
            pair.otr.run(SPEC, "rejoin erp2 --yes --json")?.ended(0)?;
            ensure!(!pair.lab.holds("erp2", &format!("grep -q recovery_target {DATA}/postgresql.auto.conf"))?, "it travelled");
            stays_a_standby(pair, "erp1", "erp2", "after_the_rewind")
        })
}

/// Data that stands where its owner put it.
pub fn places() -> Chapter {
    Chapter::new("places", Scene::Standby)
        .step("a_mount_point_with_wal_and_table_spaces_elsewhere", |pair| {
            std::fs::copy(pair.otr.spec("pair.yaml"), pair.otr.spec(SPEC))?;
            for host in ["erp1", "erp2"] {
                pair.lab.sh(host, "install -d -o postgres -g postgres -m 0700 /srv/space")?;
            }
            pair.lab.sql("erp1", "postgres", "create tablespace cold location '/srv/space'")?;
            pair.lab.sql("erp1", "postgres", "create table frozen (n int) tablespace cold; insert into frozen values (7)")?;
            pair.lab.call(&["disk", "erp2", "/srv/pg", "700"])?;
            // PostgreSQL reads it; a line without `=` in a file of conf.d.
            pair.lab.sh(
                "erp2",
                &format!(
                    "systemctl stop postgresql@13-main\nmkdir -p /srv/wal; chown postgres: /srv/wal\ncp -a {DATA}/. /srv/pg/; chown postgres: /srv/pg; chmod 700 /srv/pg\n\
                     mv /srv/pg/pg_wal /srv/wal/13; ln -s /srv/wal/13 /srv/pg/pg_wal\nsed -i '/^data_directory/d' {CONF}/postgresql.conf\n\
                     echo \"data_directory '/srv/pg'\" > {CONF}/conf.d/10-place.conf\nsystemctl start postgresql@13-main"
                ),
            )?;
            streams(pair, "erp1")?;
            pair.nothing_differs(SPEC)?;
            // It falls behind for good.
            pair.lab.sh("erp2", "systemctl stop postgresql@13-main; rm -f /srv/pg/standby.signal")?;
            let stale = pair.lab.sh("erp2", &format!("cksum < {DATA}/global/pg_control"))?;
            let run = pair.otr.run(SPEC, "apply --yes --json")?;
            ensure!(run.code == Some(1) && run.said().contains("was a primary when it stopped") || run.said().contains("discards"), "{}", run.said());
            pair.otr.run(SPEC, "apply --yes --replace-data erp2 --json")?.ended(0)?;
            streams(pair, "erp1")?;
            ensure!(pair.lab.sh("erp2", &format!("cksum < {DATA}/global/pg_control"))? == stale, "the stale directory was written to");
            ensure!(show(pair, "erp2", "data_directory")? == "/srv/pg", "it stands elsewhere");
            ensure!(pair.lab.sql("erp2", "postgres", "select n from frozen")? == "7", "the table space is not there");
            pair.lab.sh("erp2", "test -e /srv/pg/.otr-old.0/PG_VERSION && readlink /srv/pg/pg_wal | grep -qx '/srv/wal/13.otr-wal-1' && test -d /srv/wal/13")?;
            pair.lab.sh("erp2", "! ls -d /srv/pg/.otr-new /srv/pg/.otr-in /srv/pg/.otr-out /srv/pg/.otr-made 2>/dev/null")?;
            stays_a_standby(pair, "erp1", "erp2", "after_the_copy")?;
            pair.nothing_differs(SPEC)
        })
        .step("a_copy_that_is_killed_is_finished_by_the_next", |pair| {
            // As a run leaves it that was cut off between the old and the new.
            pair.lab.sh(
                "erp2",
                "systemctl stop postgresql@13-main\ncd /srv/pg; rm -rf .otr-old.0; mkdir .otr-in; chown postgres: .otr-in; for e in PG_VERSION base global pg_xact; do mv $e .otr-in/; done",
            )?;
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
            stays_a_standby(pair, "erp1", "erp2", "after_the_kill")?;
            pair.nothing_differs(SPEC)
        })
        .step("a_promotion_and_the_way_back", |pair| {
            pair.otr.run(SPEC, "switchover erp2 --yes --write-spec --json")?.ended(0)?;
            is_production(pair, "erp2", "erp1")?;
            ensure!(pair.lab.holds("erp2", "! test -e /srv/pg/standby.signal")?, "it is marked as a standby");
            pair.otr.run(SPEC, "switchover erp1 --yes --write-spec --json")?.ended(0)?;
            is_production(pair, "erp1", "erp2")?;
            ensure!(pair.lab.holds("erp2", "test -e /srv/pg/standby.signal")?, "it is not marked as a standby");
            pair.nothing_differs(SPEC)
        })
        .step("no_room_is_seen_before_anything_stops", |pair| {
            pair.lab.sh("erp2", "systemctl stop postgresql@13-main; rm /srv/pg/standby.signal; head -c 900M /dev/zero > /srv/pg/filler 2>/dev/null || true")?;
            refuses(pair, "plan", &["has no room at /srv/pg"])
        })
        .step("wal_on_a_mount_inside_is_refused", |pair| {
            pair.lab.sh("erp2", "rm /srv/pg/filler; cp -a /srv/wal/13.otr-wal-1 /srv/wal/x; rm /srv/pg/pg_wal; mkdir /srv/pg/pg_wal; chown postgres: /srv/pg/pg_wal; mount --bind /srv/wal/x /srv/pg/pg_wal")?;
            refuses(pair, "plan", &["pg_wal is a mount point"])
        })
}

/// A replay that waits: by hand, by a delay, by a parameter.
pub fn paused() -> Chapter {
    Chapter::new("paused", Scene::Standby)
        .step("by_a_parameter_the_way_on_is_exact", |pair| {
            std::fs::copy(pair.otr.spec("pair.yaml"), pair.otr.spec(SPEC))?;
            pair.lab.sql("erp1", "postgres", "alter system set max_connections = 160")?;
            pair.lab.sh("erp1", "systemctl restart postgresql@13-main")?;
            // Before 14 the standby stops; from 14 on its replay does.
            pair.lab.wait("the standby to stop", 40, |lab| lab.holds("erp2", "! systemctl is-active -q postgresql@13-main"))?;
            let status = pair.otr.run(SPEC, "status")?.said();
            let advice = "say `max_connections = 160` in /etc/postgresql/13/main/conf.d/50-otr.conf, then restart postgresql@13-main.service";
            ensure!(status.contains(advice), "status: {status}");
            refuses(pair, "promote erp2 --yes --production-is-down erp1", &[advice])?;
            pair.lab.sh(
                "erp2",
                "sed -i 's/^max_connections.*/max_connections = 160/' /etc/postgresql/13/main/conf.d/50-otr.conf; systemctl restart postgresql@13-main.service",
            )?;
            stays_a_standby(pair, "erp1", "erp2", "raised")?;
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
            pair.nothing_differs(SPEC)
        })
        .step("by_a_delay_and_by_hand_a_promotion_replays_all", |pair| {
            pair.otr.vary(SPEC, SPEC, |text| text.replace("{max_connections: 120,", "{max_connections: 120, recovery_min_apply_delay: 1h,"))?;
            pair.otr.run(SPEC, "apply --yes --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            let status = pair.otr.run(SPEC, "status")?.said();
            ensure!(status.contains("replays 1h late"), "status: {status}");
            refuses(pair, "switchover erp2 --yes", &["recovery_min_apply_delay is 1h"])?;
            pair.lab.sql("erp1", "postgres", "create table late (n int); insert into late values (1)")?;
            pair.lab.wait("what was sent", 20, |lab| {
                let sent = "select flush_lsn >= pg_current_wal_lsn() from pg_stat_replication";
                Ok(lab.sql("erp1", "postgres", sent)? == "t")
            })?;
            ensure!(pair.lab.sql("erp2", "postgres", "select to_regclass('late') is null")? == "t", "it is not late");
            pair.lab.sql("erp2", "postgres", "select pg_wal_replay_pause()")?;
            let said = pair.otr.run(SPEC, "plan")?.said();
            ensure!(said.contains("it was paused by hand"), "plan: {said}");
            pair.lab.call(&["kill", "erp1"])?;
            let run = pair.otr.run(SPEC, "promote erp2 --yes --production-is-down erp1 --write-spec")?;
            ensure!(run.ended(0)?.said().contains("replay is paused by hand"), "{}", run.said());
            ensure!(run.seconds < 90.0, "it took {} s", run.seconds);
            ensure!(pair.lab.sql("erp2", "postgres", "select n from late")? == "1", "what was received is lost");
            ensure!(!pair.lab.holds("erp2", &format!("grep -q recovery_min_apply_delay {DATA}/postgresql.auto.conf"))?, "the hurry stays");
            Ok(())
        })
        .step("what_a_delayed_standby_does_not_receive_is_said", |pair| {
            pair.lab.call(&["boot", "erp1"])?;
            pair.lab.wait("the end of erp1's boot", 60, |lab| lab.holds("erp1", "systemctl list-jobs | grep -q 'No jobs'"))?;
            pair.otr.run(SPEC, "rejoin erp1 --yes --json")?.ended(0)?;
            pair.lab.sql("erp2", "postgres", "create table waits (n int)")?;
            pair.lab.wait("what was sent", 20, |lab| {
                let sent = "select flush_lsn >= pg_current_wal_lsn() from pg_stat_replication";
                Ok(lab.sql("erp2", "postgres", sent)? == "t")
            })?;
            pair.lab.sh("erp1", "systemctl restart postgresql@13-main")?;
            let status = pair.otr.run(SPEC, "status")?.said();
            ensure!(status.contains("since its start it receives nothing"), "status: {status}");
            Ok(())
        })
}
