//! The binary: arguments in, exit code out.
//!
//! Responsible for: the one place where an error becomes a line for a person. Must never: do anything else.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use orchestrator::cli::{Arguments, run};

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Nobody may be there to read it: no reason to panic.
            drop(writeln!(std::io::stderr(), "orchestrator: {error:#}"));
            ExitCode::from(2)
        }
    }
}
