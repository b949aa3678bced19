//! `capture run`: a command in a private network, with its traffic told on standard error.
//!
//! Exit status: the command's own, 128 + n if signal n ended it; 127 when there is no such command, 126 when it cannot
//! be started. Where the command's own would be 0: 1 when an expectation was not met or the capture is not whole.

use super::options::ViewOptions;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// The arguments of `capture run`.
#[derive(Debug, Args)]
// The private network has no traffic but the command's, so all of it is shown unless asked otherwise.
#[command(mut_arg("ports", |ports| ports
    .default_value(None)
    .help("Only traffic from or to these ports [default: all]")))]
pub(crate) struct Arguments {
    /// Write what is shown into this file instead of standard error
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Keep all frames in this file too, for `capture read` or Wireshark
    #[arg(short, long, value_name = "FILE.pcapng")]
    write: Option<PathBuf>,

    /// Send frames of at most N octets, as a cable does (Ethernet: 1500), instead of up to 64 KiB; IPv6 needs 1280
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(68..=65_536))]
    mtu: Option<u32>,

    #[command(flatten)]
    view: ViewOptions,

    /// The command and its arguments; several programs: sh -c 'server & client'
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[cfg(all(feature = "live", target_os = "linux"))]
pub(crate) use here::run;

#[cfg(not(all(feature = "live", target_os = "linux")))]
pub(crate) fn run(_arguments: &Arguments) -> anyhow::Result<u8> {
    anyhow::bail!(if cfg!(target_os = "linux") {
        "this build cannot capture, as it was made without libpcap (--no-default-features); it reads files"
    } else {
        "private networks are Linux's; elsewhere, `capture live` shows what happens on loopback"
    })
}

#[cfg(all(feature = "live", target_os = "linux"))]
mod here {
    use super::Arguments;
    use crate::cli::kept::{Keeper, Kept};
    use crate::cli::options::Colour;
    use crate::cli::{DAMAGED, NOT_PERMITTED, USAGE};
    use crate::frame::Frame;
    use crate::namespace;
    use crate::pipeline::{FrameSink, Pipeline};
    use crate::run::{CommandEnd, Outcome, Prepared, RunError};
    use crate::source::live::LiveError;
    use crate::text;
    use crate::view::blocks::Order;
    use anstream::{AutoStream, ColorChoice};
    use anyhow::Context as _;
    use nix::errno::Errno;
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io::{self, IsTerminal as _, Write};
    use std::path::Path;

    /// Exit status of a shell when there is no such command.
    const NO_SUCH_COMMAND: u8 = 127;
    /// Exit status of a shell when a command cannot be started.
    const NOT_EXECUTABLE: u8 = 126;

    pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
        let mut view = arguments.view.clone();
        view.all |= view.ports.is_empty();
        let on_terminal = arguments.output.is_none() && io::stderr().is_terminal();
        let mut setup = view.setup(Order::ByConversation, on_terminal)?;
        if view.color == Colour::Auto {
            setup.style.colour =
                on_terminal && AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        }
        // Files are made before anything else, with the rights of whoever called.
        let writer: Box<dyn Write> = match &arguments.output {
            Some(path) => Box::new(create(path)?),
            None => Box::new(io::stderr()),
        };
        let keeper = match &arguments.write {
            Some(path) => Some(Keeper::create(not_stdout(path)?)?),
            None => None,
        };
        let live = setup.view.order(setup.order) == Order::AsItHappens;

        let prepared = match Prepared::new(&arguments.command, arguments.mtu) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(refused(&error)),
        };
        let mut audience = Audience {
            pipeline: Pipeline::new(setup, writer),
            pipeline_failed: None,
            file: match keeper {
                Some(keeper) => Some(keeper.keep(prepared.capture())?),
                None => None,
            },
            file_failed: None,
            waits: on_terminal && !live,
        };
        let outcome = match prepared.start(&mut audience) {
            Ok(outcome) => outcome,
            Err(error) => return Ok(refused(&error)),
        };
        let status = status(&outcome, &arguments.command[0]);
        if matches!(outcome.command, CommandEnd::NotStarted(_)) {
            return Ok(status);
        }
        let whole = audience.finish(arguments, &view, &outcome)?;
        Ok(if status == 0 && !whole {
            DAMAGED
        } else {
            status
        })
    }

    fn not_stdout(path: &Path) -> anyhow::Result<&Path> {
        anyhow::ensure!(
            path.as_os_str() != "-",
            "standard output is the command's; name a file instead of -"
        );
        Ok(path)
    }

    fn create(path: &Path) -> anyhow::Result<File> {
        let name = text::safe(path.as_os_str().as_encoded_bytes());
        File::create(not_stdout(path)?).with_context(|| format!("{name} cannot be written"))
    }

    /// Says why nothing was run, and what helps.
    fn refused(error: &RunError) -> u8 {
        say(&error.to_string());
        let advice = match error {
            RunError::Refused(_) => namespace::advice(),
            RunError::Live(LiveError::NotPermitted { .. }) => Vec::new(),
            RunError::Network(_) => return USAGE,
            _ => return NOT_PERMITTED,
        };
        say("what helps here:");
        let program = std::env::current_exe().unwrap_or_else(|_| "capture".into());
        let program = program.display();
        let mut lines = advice;
        if !nix::unistd::geteuid().is_root() {
            lines.push(format!(
                "sudo {program} run -- sudo -u \"$USER\" COMMAND…    (root may; your command stays yours)"
            ));
        }
        lines.push(format!(
            "{program} live    (beside your programs; says itself what it needs)"
        ));
        for line in lines {
            let _ = writeln!(io::stderr(), "  {line}");
        }
        NOT_PERMITTED
    }

    /// The exit status, and a word where it is not the command's own.
    fn status(outcome: &Outcome, command: &OsStr) -> u8 {
        let name = text::safe(command.as_encoded_bytes());
        match outcome.command {
            CommandEnd::Status(status) => status,
            CommandEnd::Killed => {
                say("the command was killed from outside");
                128 + nix::libc::SIGKILL as u8
            }
            CommandEnd::NotStarted(errno) => {
                let (status, why) = explain(errno, command);
                say(&format!("{name}: {why}"));
                status
            }
        }
    }

    /// Why a command was not started, as a shell tells it.
    fn explain(errno: Errno, command: &OsStr) -> (u8, String) {
        let path = Path::new(command);
        let is_path = command.as_encoded_bytes().contains(&b'/');
        match errno {
            Errno::ENOENT if is_path && path.exists() => (
                NOT_EXECUTABLE,
                "the program that its first line names is not there".to_owned(),
            ),
            Errno::ENOENT if is_path => (NO_SUCH_COMMAND, "there is no such file".to_owned()),
            // A folder of PATH that may not be entered makes it "permission denied".
            Errno::ENOENT | Errno::EACCES if !is_path && !is_on_path(command) => {
                let here = Path::new(".").join(command);
                let hint = match here.is_file() {
                    true => format!("; the one in this folder is ./{}", path.display()),
                    false => String::new(),
                };
                (
                    NO_SUCH_COMMAND,
                    format!("there is no such command on the PATH{hint}"),
                )
            }
            Errno::EACCES if path.is_dir() => {
                (NOT_EXECUTABLE, "that is a folder, not a program".to_owned())
            }
            Errno::EACCES => (
                NOT_EXECUTABLE,
                "it may not be executed; is it a script for an interpreter, or does it lack chmod +x?"
                    .to_owned(),
            ),
            errno => (NOT_EXECUTABLE, errno.desc().to_owned()),
        }
    }

    fn is_on_path(command: &OsStr) -> bool {
        std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join(command).is_file())
        })
    }

    fn say(line: &str) {
        let _ = writeln!(io::stderr(), "capture: {line}");
    }

    /// Shows frames and keeps them. Fails never, as the command is not to suffer; what went wrong is told in the end.
    struct Audience {
        pipeline: Pipeline,
        pipeline_failed: Option<io::Error>,
        file: Option<Kept>,
        file_failed: Option<io::Error>,
        /// The command has the terminal to itself until it ends, as far as memory allows.
        waits: bool,
    }

    impl FrameSink for Audience {
        fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
            if let (Some(file), None) = (&mut self.file, &self.file_failed) {
                self.file_failed = file.frame(frame).err();
            }
            if self.pipeline_failed.is_none() {
                self.pipeline_failed = self.pipeline.frame(frame).err();
            }
            Ok(())
        }

        fn pause(&mut self) -> io::Result<()> {
            if let (Some(file), None) = (&mut self.file, &self.file_failed) {
                self.file_failed = file.flush().err();
            }
            if self.pipeline_failed.is_none() && !self.waits {
                self.pipeline_failed = self.pipeline.pause().err();
            }
            Ok(())
        }

        fn lab(&self) -> u64 {
            self.pipeline.lab()
        }
    }

    impl Audience {
        /// Tells the rest; says whether everything was captured, shown, kept, and as expected.
        fn finish(
            self,
            arguments: &Arguments,
            view: &super::ViewOptions,
            outcome: &Outcome,
        ) -> anyhow::Result<bool> {
            let mut whole = true;
            let mut complain = |line: &str| {
                say(line);
                whole = false;
            };
            if let Some(trouble) = &outcome.trouble {
                complain(&format!("{trouble}; what came later is not shown"));
            }
            let dropped = outcome.capture.and_then(|ended| ended.dropped);
            if let Some(dropped @ 1..) = dropped {
                // Counted when they leave and when they come back, as on any loopback interface.
                let frames = dropped.div_ceil(2);
                complain(&format!(
                    "the kernel had no room for at least {frames} frames"
                ));
            }
            let kept = match (self.file, self.file_failed) {
                (_, Some(error)) => Err(error),
                (Some(file), None) => file.finish(dropped).map(drop),
                (None, None) => Ok(()),
            };
            if let Err(error) = kept {
                complain(&error.to_string());
            }
            let finished = match self.pipeline_failed {
                Some(error) => Err(error),
                None => self.pipeline.finish(),
            };
            match finished {
                Ok(finished) => {
                    if outcome.leftovers {
                        say("what the command had left running was ended with it");
                    }
                    whole &= view.conclude(&finished)?;
                }
                // Who closes standard error does not want to read it.
                Err(error)
                    if arguments.output.is_none() && error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => complain(&format!("not everything could be shown: {error}")),
            }
            Ok(whole)
        }
    }
}
