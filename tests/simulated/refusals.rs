//! What otr will not do on its own: it says why, changes nothing, and leaves it to a person.

use std::collections::BTreeSet;

use otr::host::simulated::World;
use otr::plan::Verdict;
use otr::report::{Outcome, State};

use crate::failover::failed;
use crate::stage::{Stage, erp1, erp2, main_cluster, troubles};

/// erp2 becomes a second primary behind otr's back, and takes a write.
pub fn second_primary(stage: &Stage) {
    stage.world.mutate(&erp2(), |m| {
        let now = m.now;
        m.files.remove_tree("/var/lib/postgresql/13/main/standby.signal".as_ref());
        let cluster = m.clusters.get_mut(&main_cluster()).unwrap();
        cluster.server.as_mut().unwrap().in_recovery = false;
        let data = cluster.data.as_mut().unwrap();
        data.timeline = 2;
        data.checkpoint_timeline = 2;
        data.forks.push((1, data.lsn));
        data.commit(now, 128, |content| content.proofs += 1);
    });
}

/// erp2 is a production of its own: another cluster with a database of that name.
pub fn own_production(stage: &Stage) {
    let foreign = stage.world.fork().mutate(&erp1(), |m| m.clone()).unwrap();
    stage.world.mutate(&erp2(), |m| {
        let (name, addresses) = (m.name.clone(), m.addresses.clone());
        *m = foreign;
        (m.name, m.addresses) = (name, addresses);
        m.clusters.get_mut(&main_cluster()).unwrap().data.as_mut().unwrap().system_identifier = "7299999999999999999".into();
    });
}

fn split_brain() -> Stage {
    let stage = Stage::converged();
    second_primary(&stage);
    stage
}

#[test]
fn two_primaries_are_split_brain_and_stay_untouched() {
    let stage = split_brain();
    let data = (stage.data(&erp1()), stage.data(&erp2()));
    let open = stage.open();
    let Verdict::Change(change) = &open["erp2 standby 13/main"] else { panic!("{open:#?}") };
    assert!(change.discards.as_ref().unwrap().contains("split brain"), "{change:#?}");
    stage.world.clear_actions();
    let refused = stage.apply().unwrap_err().to_string();
    assert!(refused.contains("split brain: erp1") && refused.contains("name the survivor"), "{refused}");
    assert_eq!(stage.world.actions(), [], "nothing at all is changed");
    assert_eq!((stage.data(&erp1()), stage.data(&erp2())), data);
    assert_eq!((stage.writes(&erp1()), stage.writes(&erp2())), (Some(true), Some(true)));
}

#[test]
fn with_consent_the_second_primary_is_copied_anew_and_its_data_kept() {
    let stage = split_brain();
    let reports = stage.apply_agreeing(&BTreeSet::from([erp2()])).unwrap();
    assert!(stage.plan().holds(), "{:#?}", troubles(&reports));
    assert_eq!(stage.writes(&erp2()), Some(false));
    let kept = stage.world.mutate(&erp2(), |m| m.clusters[&main_cluster()].kept.len()).unwrap();
    assert_eq!(kept, 1, "the data that was replaced is kept beside the copy");
}

#[test]
fn production_in_recovery_is_refused() {
    let stage = Stage::converged().after_promotion();
    let data = (stage.data(&erp1()), stage.data(&erp2()));
    let open = stage.open();
    let Verdict::Refused(why) = &open["erp2 replication primary"] else { panic!("{open:#?}") };
    assert!(why.contains("otr promote erp2") && why.contains("correct `production:`"), "{why}");
    let _ = stage.apply();
    assert_eq!((stage.data(&erp1()), stage.data(&erp2())), data);
    assert_eq!((stage.writes(&erp1()), stage.writes(&erp2())), (Some(true), Some(false)));
}

/// The spec still says erp1 after erp2 was promoted: what runs on erp2 is the true production.
fn promoted_and_not_written_down() -> Stage {
    let stage = Stage::converged();
    stage.world.power_cut(&erp1());
    assert!(stage.promote(true).promoted);
    assert_eq!(stage.odoo_starts_on_standby(), 1);
    stage
}

#[test]
fn a_spec_that_does_not_know_of_a_promotion_changes_nothing() {
    for old_is_back in [false, true] {
        let stage = promoted_and_not_written_down();
        if old_is_back {
            stage.world.boot(&erp1());
        }
        stage.world.clear_actions();
        let refused = stage.apply().unwrap_err().to_string();
        assert!(refused.contains("the newest promotion is that of erp2") && refused.contains("Write `production: erp2`"), "{refused}");
        assert!(stage.sync().unwrap_err().to_string().contains("Write `production: erp2`"));
        assert_eq!(stage.world.actions(), []);
        assert!(stage.world.mutate(&erp2(), |m| m.is_active("odoo.service")).unwrap(), "users work there");
        let rejoin = failed(&stage.rejoin());
        assert!(rejoin[0].contains("Write `production: erp2`"), "{rejoin:?}");
        assert_eq!(stage.writes(&erp2()), Some(true));
    }
}

/// A copy of the spec that nobody writes anew: production's own.
#[test]
fn productions_own_copy_of_the_spec_is_put_right() {
    let stage = Stage::converged();
    assert!(stage.switchover().promoted);
    let stage = stage.with_production(&erp2());
    let text = |production: &str| {
        format!("version: 1\nname: acme # ours\nproduction: {production}\nhosts: {{erp1: {{address: a}}, erp2: {{address: b}}}}\n")
    };
    stage.world.mutate(&erp2(), |m| {
        let now = m.tick();
        m.files.write("/etc/otr/spec.yaml", text("erp1"), ("root", "root", 0o640), now);
    });
    stage.apply().unwrap();
    assert_eq!(stage.world.files(&erp2()).text("/etc/otr/spec.yaml"), text("erp2"));
}

#[test]
fn with_the_line_changed_the_old_production_is_stopped_and_copied_with_consent() {
    let stage = promoted_and_not_written_down().after_promotion();
    // While the new production cannot be asked, a guard that was told `start` lets the old one start.
    stage.world.mutate(&erp1(), |m| {
        let now = m.tick();
        let text = m.files.text("/etc/otr/guard.json").replace("\"wait\"", "\"start\"");
        m.files.write("/etc/otr/guard.json", text, ("root", "root", 0o644), now);
    });
    stage.world.cut_link(&erp2());
    stage.world.boot(&erp1());
    stage.world.restore_link(&erp2());
    assert!(stage.world.mutate(&erp1(), |m| m.is_active("odoo.service")).unwrap(), "it comes back and takes orders");
    assert!(stage.apply().unwrap_err().to_string().contains("split brain"));
    stage.apply_agreeing(&BTreeSet::from([erp1()])).unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    assert_eq!((stage.writes(&erp1()), stage.writes(&erp2())), (Some(false), Some(true)));
    assert!(stage.world.mutate(&erp2(), |m| m.is_active("odoo.service")).unwrap());
}

#[test]
fn another_clusters_databases_need_consent() {
    let stage = Stage::new(World::pair());
    own_production(&stage);
    let before = stage.data(&erp2());
    let reports = stage.apply().unwrap();
    let standby = reports.iter().find(|r| r.id().to_string() == "erp2 standby 13/main").unwrap();
    assert!(standby.discards.as_ref().unwrap().contains("database acme"), "{standby:#?}");
    assert_eq!(standby.outcome, Some(Outcome::NotReached));
    assert_eq!(stage.data(&erp2()), before);
    assert!(stage.world.mutate(&erp2(), |m| m.is_active("odoo.service")).unwrap(), "nothing was done without consent");
    stage.apply_agreeing(&BTreeSet::from([erp2()])).unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
}

#[test]
fn sessions_of_a_redis_that_stopped_following_need_consent() {
    let stage = Stage::converged();
    stage.world.mutate(&erp2(), |m| m.redis.primary = None);
    let reports = stage.apply().unwrap();
    let redis = reports.iter().find(|r| r.id().to_string() == "erp2 redis port 6379").unwrap();
    assert!(redis.discards.as_ref().unwrap().contains("7 keys"), "{redis:#?}");
    assert_eq!(stage.world.mutate(&erp2(), |m| (m.redis.primary.clone(), m.redis.keys)), Some((None, 7)));
    stage.apply_agreeing(&BTreeSet::from([erp2()])).unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
}

#[test]
fn a_host_that_cannot_be_reached_changes_nothing_elsewhere_that_needs_it() {
    let stage = Stage::converged();
    stage.world.cut_link(&erp1());
    stage.world.clear_actions();
    let reports = stage.apply().unwrap();
    assert_eq!(stage.world.actions(), [], "what cannot be compared is not changed");
    assert!(reports.iter().any(|r| r.state == State::Unseen));
    stage.world.restore_link(&erp1());
    stage.apply().unwrap();
    assert!(stage.plan().holds());
}

#[test]
fn a_file_that_production_lost_too_is_no_drift_and_nothing_is_deleted() {
    let stage = Stage::converged();
    let name = stage.world.create_attachment(&erp1(), "gone.pdf", b"gone").unwrap();
    stage.world.mutate(&erp1(), |m| m.files.remove_tree(&std::path::Path::new(crate::stage::STORE).join(&name)));
    let before = stage.sound_files(&erp2());
    stage.sync().unwrap();
    assert_eq!(stage.sound_files(&erp2()), before);
    stage.world.mutate(&erp1(), |m| m.files.remove_tree(crate::stage::STORE.as_ref()));
    stage.sync().unwrap();
    assert_eq!(stage.sound_files(&erp2()), before, "production's store vanished; the standby's must not follow");
}
