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
mod output;
mod progress;
mod read;
mod run;
#[cfg(feature = "live")]
mod stop;
#[cfg(not(feature = "live"))]
mod without_live;

use crate::text;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};
use std::io::{self, Write as _};
use std::path::Path;
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
            let words: Vec<String> = std::env::args_os()
                .skip(1)
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            if let Some(meant) = meant(&error, &words) {
                let _ = writeln!(io::stderr(), "\nDid you mean: capture {meant}");
            }
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

/// The arguments as they were meant, for the two mistakes of the first hour: no `--` before the command of `run`, and
/// no `read` before a file.
fn meant(error: &clap::Error, words: &[String]) -> Option<String> {
    let odd = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand]
        .into_iter()
        .find_map(|kind| error.get(kind));
    let Some(ContextValue::String(odd)) = odd else {
        return None;
    };
    let missing = match error.kind() {
        ErrorKind::UnknownArgument if words.first()? == "run" && !odd.starts_with('-') => "--",
        ErrorKind::InvalidSubcommand if Path::new(odd).is_file() => "read",
        _ => return None,
    };
    let at = words.iter().position(|word| word == odd)?;
    let (before, after) = words.split_at(at);
    let words = before.iter().map(String::as_str);
    let words = words.chain([missing]);
    let words = words.chain(after.iter().map(String::as_str));
    Some(text::safe(shell_words::join(words).as_bytes()))
}

/// Somebody who closes the pipe has seen enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expected: Option<&str>) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let parsed = Arguments::try_parse_from(
            ["capture"]
                .into_iter()
                .map(String::from)
                .chain(words.clone()),
        );
        let error = parsed.expect_err("it is a mistake");
        assert_eq!(meant(&error, &words).as_deref(), expected);
    }

    #[test]
    fn the_mistakes_of_the_first_hour_are_understood() {
        check(
            &["run", "--view", "ladder", "python3", "my client.py"],
            Some("run --view ladder -- python3 'my client.py'"),
        );
        check(&["Cargo.toml", "--all"], Some("read Cargo.toml --all"));
        // Nothing to go by.
        check(&["no such file"], None);
        check(&["run", "--vew", "ladder"], None);
        check(&["read"], None);
    }
}
