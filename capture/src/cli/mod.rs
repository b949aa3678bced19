//! The command line: arguments in, exit status out.
//!
//! Exit status: 0 done · 1 the file is damaged, or an expectation was not met · 2 a mistake in the arguments ·
//! 3 not permitted, with the command that helps.

#[cfg(feature = "live")]
mod interfaces;
#[cfg(feature = "live")]
mod kept;
#[cfg(feature = "live")]
mod live;
mod options;
mod progress;
mod read;
mod run;
#[cfg(feature = "live")]
mod stop;
#[cfg(not(feature = "live"))]
mod without_live;

use clap::{Parser, Subcommand};
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Exit status when all was shown.
const DONE: u8 = 0;
/// Exit status when the file is damaged, or an expectation was not met.
const DAMAGED: u8 = 1;
/// Exit status for a mistake in the arguments.
const USAGE: u8 = 2;
/// Exit status when capturing is not permitted.
#[cfg(feature = "live")]
const NOT_PERMITTED: u8 = 3;

#[cfg(not(feature = "live"))]
use without_live::{self as live, self as interfaces};

/// Shows the lab's traffic: the handshake step by step, the text of both directions, who closed first.
#[derive(Debug, Parser)]
#[command(
    name = "capture",
    version,
    after_help = "\
Examples:
  capture live                                    what happens on loopback, ports 20001 and 20002
  capture run -- sh -c 'server & client'          a private network around a command, without root
  capture read handshake.pcapng                   a saved file, told connection by connection
  capture read handshake.pcapng --view report     tables for the hand-in
  capture read handshake.pcapng --expect handshake --expect 'client says \"Hi\"'

Exit status: 0 done, 1 the file is damaged or an expectation was not met, 2 a mistake in the arguments, 3 not \
permitted, with the command that helps."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the lab's traffic as it happens.
    Live(Box<live::Arguments>),
    /// Shows a saved file: pcap or pcapng.
    Read(Box<read::Arguments>),
    /// Runs a command in a private network and shows all of its traffic; needs no privileges.
    Run(Box<run::Arguments>),
    /// Lists what can be captured here, and says what to do where it cannot.
    Interfaces(interfaces::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let status = if error.use_stderr() { USAGE } else { DONE };
            // A closed pipe is no error for help.
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    let done = match &arguments.command {
        Command::Live(arguments) => live::run(arguments),
        Command::Read(arguments) => read::run(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Interfaces(arguments) => interfaces::run(arguments),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) if is_closed_pipe(&error) => ExitCode::from(DONE),
        Err(error) => {
            let _ = writeln!(io::stderr(), "capture: {error:#}");
            ExitCode::from(USAGE)
        }
    }
}

/// Somebody who closes the pipe has seen enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
