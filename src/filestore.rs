//! The filestore: a standby's copy of the files its replayed database refers to.
//!
//! Needed is what the replica says, have is what lies in the directory, and the difference is
//! asked for in one stream. A file's name is the SHA-1 of its content, so every file proves
//! itself, whoever sent it.

pub mod delete;
pub mod follow;
pub mod giver;
pub mod have;
pub mod keep;
pub mod names;
pub mod place;
pub mod production;
pub mod quarantine;
pub mod receiver;
pub mod replica;
mod spare;
pub mod state;
pub mod stream;
pub mod talk;
pub mod tar;
mod writer;
