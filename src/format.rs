//! The file formats otr edits in place, keeping what it does not own: comments, order, other keys.
//!
//! Pure text in, text out. No crate keeps comments *and* reads these dialects as their own
//! programs do (Python's RawConfigParser, redis.conf), so these are small readers of ours.

pub mod credentials;
pub mod directives;
pub mod ini;
pub mod postgres;
