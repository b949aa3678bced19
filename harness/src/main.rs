//! The `harness` command. Everything is in the library; see `harness --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::cli::main()
}
