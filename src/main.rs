//! The binary: arguments in, exit code out.
//!
//! Responsible for: the one place where an error becomes a line for a person. Must never: do anything else.

use std::process::ExitCode;

use clap::Parser;
use orchestrator::cli::{Arguments, run};

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("orchestrator: {error:#}");
            ExitCode::from(2)
        }
    }
}
