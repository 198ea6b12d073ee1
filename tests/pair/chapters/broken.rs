//! 9: cables pulled and otr killed in the middle of its work. Running it again finishes.
//! (At every action boundary: the simulated pair. At random moments: here.)

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::standby::{filestore_is_whole, it_streams, redis_follows};
use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "pair.yaml";
const APPLY: &str = "apply --yes --restarts --json";
const PROMOTE: &str = "promote erp2 --yes --production-is-down erp1 --json";

pub fn apply() -> Chapter {
    Chapter::new("broken_apply", Scene::Fresh)
        .step("a_second_run_is_refused_and_the_cable_is_pulled", |pair| {
            let mut otr = pair.otr.start(SPEC, APPLY)?;
            let busy = |lab: &crate::lab::Lab| lab.call(&["in", "erp2", "pgrep", "-x", "dpkg"]).map(|_| true).or(Ok(false));
            pair.lab.wait("dpkg at work on erp2", 60, busy)?;
            let second = pair.otr.run(SPEC, "apply --yes --restarts")?.ended(75)?.said();
            ensure!(second.contains("another otr works on it") && second.contains("since"), "it does not say who is at work:\n{second}");
            pair.lab.call(&["link", "erp2", "down"])?;
            let begun = Instant::now();
            let ended = otr.wait()?;
            let said = pair.otr.started_said();
            pair.lab.call(&["link", "erp2", "up"])?;
            ensure!(ended.code() == Some(1), "otr ended with {ended}:\n{said}");
            ensure!(begun.elapsed() < Duration::from_secs(180), "it took {:.0} s to see it", begun.elapsed().as_secs_f64());
            ensure!(said.contains("erp2"), "it does not name the host:\n{said}");
            Ok(())
        })
        .step("five_kills", |pair| {
            let mut chance = Chance::new();
            for _ in 0..5 {
                let mut otr = pair.otr.start(SPEC, APPLY)?;
                let alive = chance.between(0.2, 15.0);
                std::thread::sleep(Duration::from_secs_f64(alive));
                otr.kill()?;
                let ended = otr.wait()?;
                eprintln!("      killed after {alive:.1} s: {ended}");
            }
            Ok(())
        })
        .step("running_it_again_finishes", |pair| {
            pair.otr.finish(SPEC, APPLY)?;
            it_streams(&pair.lab)?;
            redis_follows(&pair.lab)?;
            filestore_is_whole(&pair.lab)?;
            pair.odoo_never_ran_on_erp2()?;
            odoo::login_page_is_whole(&pair.lab, "erp1")?;
            pair.nothing_differs(SPEC)
        })
}

pub fn promote() -> Chapter {
    let chapter = Chapter::new("broken_promote", Scene::Standby).independent();
    (1..=5).fold(chapter, |chapter, round| chapter.step(format!("killed_{round}"), killed_once))
}

/// Each round has its own power cut, its own moment, and the same end.
fn killed_once(pair: &mut Pair) -> Result<()> {
    pair.left(None); // the last round promoted erp2
    pair.enter(Scene::Standby)?;
    let made = odoo::create(&pair.lab, "erp1", "kept.txt")?;
    pair.lab.wait("its row on erp2", 10, |lab| {
        Ok(lab.sql("erp2", "acme", "select count(*) from ir_attachment where name = 'kept.txt'")? == "1")
    })?;
    pair.otr.run(SPEC, "sync filestore --json")?.ended(0)?;
    pair.lab.call(&["kill", "erp1"])?;
    let mut otr = pair.otr.start(SPEC, PROMOTE)?;
    let alive = Chance::new().between(0.05, 4.0);
    std::thread::sleep(Duration::from_secs_f64(alive));
    otr.kill()?;
    let ended = otr.wait()?;
    eprintln!("      killed after {alive:.1} s: {ended}");
    // It may have come to its end by itself.
    if ended.code() != Some(0) {
        pair.otr.finish(SPEC, PROMOTE)?;
    }
    odoo::login_page_is_whole(&pair.lab, "erp2")?;
    odoo::still_has(&pair.lab, "erp2", &made)?;
    odoo::create(&pair.lab, "erp2", "written.txt").map(drop)
}

/// Random moments; `OTR_PAIR_SEED` repeats a run's.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let clock = || std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64);
        let seed = std::env::var("OTR_PAIR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(clock);
        eprintln!("      OTR_PAIR_SEED={seed}");
        Self(seed)
    }

    /// Seconds between two bounds.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        low + (high - low) * ((x >> 11) as f64 / (1_u64 << 53) as f64)
    }
}
