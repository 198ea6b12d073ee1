//! Parses the command line, runs one verb, prints what went wrong, exits.

use std::process::ExitCode;

use clap::Parser;
use otr::cli::Cli;
use otr::command::{Exit, complain, run};
use otr::spec::load::LoadError;

fn main() -> ExitCode {
    if let Some(exit) = otr::command::ansible::as_module(std::env::args_os()) {
        return code(exit);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = !error.use_stderr();
            // Help goes to a pager or a pipe that may be gone: nothing to do about that.
            let _ = error.print();
            return code(if asked { Exit::Done } else { Exit::Usage });
        }
    };
    match run(cli) {
        Ok(exit) => code(exit),
        Err(error) => match error.downcast_ref::<LoadError>() {
            Some(wrong) => {
                complain(wrong);
                code(Exit::Spec)
            }
            None => {
                complain(format!("error: {error:#}"));
                code(Exit::Failed)
            }
        },
    }
}

fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit as u8)
}
