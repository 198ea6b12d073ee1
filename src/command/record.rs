//! stub
use super::Exit;
use crate::cli::Global;
use anyhow::Result;
pub fn run(_: &Global, _: &std::path::Path) -> Result<Exit> {
    Ok(Exit::Failed)
}
