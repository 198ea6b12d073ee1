//! Two real machines, from nothing to a promoted standby: the story otr exists for, told as
//! named steps. `lab.sh` makes the machines; `tests/run` builds what is needed and calls this.
//!
//! ```text
//! cargo test --test pair                    all of it (as root, a few minutes)
//! cargo test --test pair -- tamper          one chapter (it brings the machines where it begins)
//! cargo test --test pair -- --keep tamper   the same, and leave the machines running
//! cargo test --test pair -- --reuse tamper  the same, beginning with the standby kept before
//! cargo test --test pair -- --list
//! ```
//! Two processes, each with an `OTR_LAB` of its own, share the chapters if both have the same empty folder as
//! `OTR_PAIR_CLAIMS`; one goes `--backwards` (tests/run).
//! `OTR_BIN` names the binary to prove; without it, the one cargo just built. Chapter
//! `own_controller` needs a static one, because it runs on the machines themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod chapters;
mod lab;
mod odoo;
mod otr;
mod pair;
mod runner;
mod snapshot;
mod writer;

use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main(chapters::all())
}
