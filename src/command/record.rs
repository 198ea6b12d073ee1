//! stub
use anyhow::Result; use super::Exit; use crate::cli::Global;
pub fn run(_: &Global, _: &std::path::Path) -> Result<Exit> { Ok(Exit::Failed) }
