//! The `capture` command. Everything is in the library; see `capture --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    capture::cli::main()
}
