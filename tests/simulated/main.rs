//! Properties of the whole engine on the simulated pair: each of them is one of the promises
//! the README makes, tried at every step.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod clones;
mod converging;
mod failover;
mod incident;
mod killed;
mod kinds;
mod life;
mod measure;
mod nixos;
mod own_unit;
mod parameters;
mod plans;
mod random;
mod random_failover;
mod records;
mod refusals;
mod restarts;
mod stage;
mod storage;
mod three;
