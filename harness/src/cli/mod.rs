//! The command line: arguments in, exit status out.
//!
//! Exit status: 0 every required check passed · 1 at least one failed · 2 usage, manifest or scenario error ·
//! 3 nothing failed but something is open · 4 a fault of the harness · 130 interrupted.

mod check;
mod doctor;
mod grade;
mod init;
mod list;
mod merge;
mod report;

use crate::rubric::Rubric;
use crate::scenario::Library;
use crate::stage;
use crate::understudy;
use crate::world::sandbox::inside;
use crate::world::{cable, isolation, keeper, watch};
use clap::{Parser, Subcommand, ValueEnum};
use miette::{MietteHandlerOpts, Result};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit status for a mistake in arguments, a manifest or a scenario.
const USAGE: u8 = 2;
/// Exit status for a fault of the harness.
const FAULT: u8 = 4;
/// Exit status after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// Runs clients and servers of the socket-programming lab against scripted scenarios and grades them.
#[derive(Debug, Parser)]
#[command(
    name = "harness",
    version,
    after_help = "\
Examples:
  harness init my-lab            write a lab.toml for the programs in my-lab
  harness check my-lab           check everything in it
  harness check my-lab ex6       check the calculator only
  harness check . ex6/arithmetic one check, in this folder
  harness report lab-results/latest --format json
  harness grade submissions      grade everybody in the folder submissions

Exit status: 0 every required check passed, 1 at least one failed, 2 usage, manifest or scenario error,
3 nothing failed but something is inconclusive or could not run, 4 harness fault, 130 interrupted."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks one submission: a folder with a lab.toml.
    Check(check::Arguments),
    /// Shows the exercises and their checks.
    List(list::Arguments),
    /// Shows what this machine allows, and how to get more.
    Doctor(doctor::Arguments),
    /// Writes a lab.toml guessed from the files found.
    Init(init::Arguments),
    /// Grades many submissions, and keeps what came of each.
    Grade(grade::Arguments),
    /// Joins the parts of a class that was graded with --partition.
    Merge(merge::Arguments),
    /// Renders recorded results again, without running anything.
    Report(report::Arguments),
}

/// What is done about programs that do not always do the same.
#[derive(Debug, clap::Args)]
struct Again {
    /// A scenario in which something required failed is played again, in a fresh world, at most so often (0 to 2; 0
    /// includes --no-swap).
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    reruns: u8,
    /// What counts when a scenario ends differently: nothing (open: inconclusive), the best or every run (all), or what
    /// happened more often (majority).
    #[arg(long, value_enum, value_name = "POLICY", default_value = "open")]
    flaky: crate::judge::Flaky,
    /// Does not play a failed scenario with a client and with a server of the harness's own, which tells in which program to
    /// look where the wire does not.
    #[arg(long)]
    no_swap: bool,
}

impl Again {
    /// Whether programs of the harness's own take a part in what has failed.
    fn swap(&self) -> bool {
        !self.no_swap && self.reruns > 0
    }
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // Hidden roles come first: most must be taken on before a second thread exists.
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .filter_map(|word| word.into_string().ok())
        .collect();
    if let [keep, parent, arguments @ ..] = &words[..]
        && keep == keeper::KEEPER_ARGUMENT
    {
        return ExitCode::from(u8::try_from(keeper::main(parent, arguments)).unwrap_or(FAULT));
    }
    if let [understudy, words @ ..] = &words[..]
        && understudy == understudy::UNDERSTUDY_ARGUMENT
    {
        return ExitCode::from(u8::try_from(understudy::main(words)).unwrap_or(FAULT));
    }
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [stage::STAGE_ARGUMENT] => {
            return ExitCode::from(u8::try_from(stage::main()).unwrap_or(FAULT));
        }
        [inside::INSIDE_ARGUMENT, spec] => {
            return ExitCode::from(u8::try_from(inside::main(spec)).unwrap_or(FAULT));
        }
        [isolation::PROBE_ARGUMENT, spec] => {
            return ExitCode::from(u8::try_from(isolation::probe_main(spec)).unwrap_or(FAULT));
        }
        [watch::PROBE_ARGUMENT, spec] => {
            return ExitCode::from(u8::try_from(watch::probe_main(spec)).unwrap_or(FAULT));
        }
        [cable::PROBE_ARGUMENT, spec] => {
            return ExitCode::from(u8::try_from(cable::probe_main(spec)).unwrap_or(FAULT));
        }
        _ => {}
    }
    // Long lines are left to the terminal: names and paths stay whole, so that they can be copied.
    let unwrapped = |_: &_| -> Box<dyn miette::ReportHandler> {
        Box::new(MietteHandlerOpts::new().wrap_lines(false).build())
    };
    // It can only be set once, and this is the only place.
    let _ = miette::set_hook(Box::new(unwrapped));
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let status = if error.use_stderr() { USAGE } else { 0 };
            // A closed pipe is no error for help.
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    let done = match arguments.command {
        Command::Check(arguments) => check::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Grade(arguments) => grade::run(&arguments),
        Command::Merge(arguments) => merge::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
    };
    let (status, error) = match done {
        Ok(status) => (status, None),
        Err(Failure::Usage(report)) => (USAGE, Some(report)),
        Err(Failure::Fault(report)) => (FAULT, Some(report)),
    };
    if let Some(error) = error {
        let _ = writeln!(io::stderr(), "{error:?}");
    }
    ExitCode::from(status)
}

/// Why a command could not do its work.
#[derive(Debug)]
enum Failure {
    /// Something the user can mend.
    Usage(miette::Report),
    /// Something they cannot.
    Fault(miette::Report),
}

impl From<miette::Report> for Failure {
    fn from(report: miette::Report) -> Self {
        Failure::Usage(report)
    }
}

fn fault(error: impl std::fmt::Display) -> Failure {
    Failure::Fault(miette::miette!("the harness cannot go on: {error}"))
}

/// The scenarios to use: built in, or a folder of the user's.
fn library(scenarios: Option<&Path>) -> Result<Library> {
    match scenarios {
        Some(folder) => Library::from_folder(folder),
        None => Library::built_in(),
    }
}

/// The rubric in a file, for the checks of a library.
fn rubric(file: Option<&Path>, library: &Library) -> Result<Option<Rubric>> {
    file.map(|file| Rubric::read(file, library)).transpose()
}

/// Prints to standard output. Somebody who closes the pipe has seen enough.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(fault(error)),
        _ => Ok(()),
    }
}

/// Whether standard output wants colours.
fn colours() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Does work to its end, and says whether it was interrupted: then it is told to stop, once.
async fn until_interrupted<T>(
    work: impl Future<Output = T>,
    stop: &tokio::sync::watch::Sender<bool>,
) -> Result<(T, bool), Failure> {
    tokio::pin!(work);
    let mut interrupted = false;
    loop {
        tokio::select! {
            done = &mut work => return Ok((done, interrupted)),
            asked = interruption(), if !interrupted => {
                asked.map_err(fault)?;
                interrupted = true;
                // Nobody waiting for it means that everything is over already.
                let _ = stop.send(true);
            }
        }
    }
}

/// Ctrl-C, or a request to terminate.
async fn interruption() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    }
}

/// Where results go when nothing else is said.
fn default_out() -> PathBuf {
    PathBuf::from("lab-results")
}
