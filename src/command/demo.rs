//! stub
use anyhow::Result; use super::Exit; use crate::cli::Global;
pub fn run(_: &Global) -> Result<Exit> { Ok(Exit::Failed) }
