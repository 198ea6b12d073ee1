//! otr: a standby you can trust.
//!
//! # The map of the program
//!
//! ```text
//! spec ─▶ wanted ─▶ looks ══▶ facts ─▶ plan ─▶ check ══▶ actions ─▶ report
//!          (pure)        (I/O, one trip)   (pure)      (I/O)      (one type)
//! ```

pub mod action;
pub mod facts;
pub mod host;
pub mod look;
pub mod name;
pub mod resource;
pub mod secret;
pub mod spec;
pub mod template;
