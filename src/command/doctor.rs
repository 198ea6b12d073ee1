//! stub
use super::Exit;
use crate::cli::Global;
use anyhow::Result;
pub fn run(_: &Global) -> Result<Exit> {
    Ok(Exit::Failed)
}
