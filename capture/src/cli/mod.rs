//! The command line: arguments in, exit status out.
//!
//! Exit status: 0 done · 1 the file is damaged, or an expectation was not met · 2 a mistake in the arguments ·
//! 3 not permitted, with the command that helps.

mod options;

use clap::Parser;
use std::process::ExitCode;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    view: options::ViewOptions,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let _ = Arguments::parse();
    ExitCode::SUCCESS
}
