//! The story, chapter by chapter; the numbers are those of the README's list of proofs.

mod bare;
mod broken;
mod clone;
mod clonings;
mod drill;
mod faults;
mod filestore;
mod glusterfs;
mod init;
mod life;
mod matrix;
mod measure;
mod network_mounts;
mod newer;
mod nineteen;
mod objects;
mod observe;
mod own_controller;
mod own_unit;
mod owners;
mod power_cut;
mod records;
mod rejoin;
mod restarts;
mod sentinel;
mod session_servers;
mod sessions;
mod software;
mod stage;
mod standby;
mod storage;
mod switchover;
mod tamper;
mod tamperings;
mod terminal;
mod three;

use crate::runner::Chapter;

/// Every chapter, in order. Chapters 1-3 are one: they follow one machine's making.
pub fn all() -> Vec<Chapter> {
    let mut chapters = vec![
        stage::chapter(),           // 0
        standby::chapter(),         // 1-3
        tamper::chapter(),          // 4
        power_cut::chapter(),       // 5
        life::signs(),              // 5
        life::ready(),              // 5
        life::unwell(),             // 5
        bare::chapter(),            // 6
        observe::chapter(),         // 7
        own_controller::chapter(),  // 8
        broken::apply(),            // 9
        broken::promote(),          // 9
        sessions::redis(),          // 10
        sessions::tls(),            // 10
        sessions::files(),          // 10
        sessions::database(),       // 10
        storage::chapter(),         // 11
        filestore::chapter(),       // 13
        switchover::chapter(),      // 14
        rejoin::chapter(),          // 15
        faults::kills(),            // 16
        faults::refused(),          // 17
        clone::chapter(),           // 18
        init::debian(),             // 19
        init::odootools(),          // 19
        matrix::chapter(),          // 20
        sentinel::chapter(),        // 21
        session_servers::chapter(), // 22
        drill::chapter(),           // 23
        records::chapter(),         // 25
        own_unit::chapter(),        // 26
        nineteen::chapter(),        // 27
        three::chapter(),           // 28
        restarts::chapter(),        // 29
        software::bullseye(),       // 30
        software::trixie(),         // 30
        terminal::chapter(),        // 31
        measure::kept(),            // 32
        measure::targets(),         // 32
        measure::places(),          // 32
        measure::paused(),          // 32
    ];
    // 28
    chapters.extend(crate::pair::Generation::each(owners::chapter));
    // 12: it downloads a file system's daemons, which takes longer than all that is tried with them.
    if std::env::var_os("OTR_PAIR_GLUSTERFS").is_some() {
        chapters.push(glusterfs::chapter());
    }
    // 23: servers of objects come from npm.
    if std::env::var_os("OTR_PAIR_OBJECTS").is_some() {
        chapters.extend([objects::s3fs(), objects::rclone()]);
    }
    // 24: two packages that nothing else needs, for a kernel that has no client.
    if std::env::var_os("OTR_PAIR_NFS").is_some() {
        chapters.push(network_mounts::chapter());
    }
    if std::env::var_os("OTR_PAIR_SESSION_REDIS").is_some() {
        chapters.push(sentinel::cookie());
    }
    // 23: each downloads a Debian of its own.
    if std::env::var_os("OTR_PAIR_NEWER").is_some() {
        chapters.extend([newer::valkey(), newer::redis(), newer::bookworm()]);
    }
    chapters
}
