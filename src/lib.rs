//! otr: a standby you can trust.
//!
//! # The map of the program
//!
//! ```text
//! spec ─▶ wanted ─▶ looks ══▶ facts ─▶ plan ─▶ check ══▶ actions ─▶ report
//!          (pure)        (I/O, one trip)   (pure)      (I/O)      (one type)
//! ```

pub mod action;
pub mod cli;
pub mod command;
pub mod converge;
pub mod facts;
pub mod fleet;
pub mod format;
pub mod host;
pub mod look;
pub mod name;
pub mod plan;
pub mod promote;
pub mod report;
pub mod resource;
pub mod secret;
pub mod spec;
pub mod status;
pub mod template;
pub mod wanted;
