//! This very machine: `sh` as a child process.

use std::process::Command;

use super::HostError;
use super::process::Process;
use super::shell::Shell;
use super::wire::{Line, Wire};
use crate::spec::host::HostSpec;

#[derive(Debug)]
struct Local;

impl Line for Local {
    fn name(&self) -> String {
        "this machine".into()
    }

    fn open(&mut self, command: &str) -> Result<Box<dyn Wire>, HostError> {
        let process = Process::start(Command::new("sh").arg("-c").arg(command), false)
            .map_err(|e| HostError::Unreachable { why: format!("sh cannot be started on this machine: {e}") })?;
        Ok(Box::new(process))
    }
}

/// Opens this machine.
pub fn open(spec: &HostSpec) -> Shell {
    let shell = Shell::new(Box::new(Local), spec.becomes);
    // This very program, wherever it lies.
    match std::env::current_exe() {
        Ok(path) => shell.on_this_machine(path.to_string_lossy()),
        Err(_) => shell,
    }
}
