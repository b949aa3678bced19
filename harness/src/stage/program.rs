//! Programs under test: started, typed to, listened to and ended. The only place where they are started.
//!
//! Servers write to a terminal, because most languages keep output back on a pipe; clients have a terminal
//! for everything, with echo and output processing off, so that what is read is what the program wrote.
//! Programs of the Node family echo when their output is a terminal and never keep output back on a pipe, so
//! theirs are pipes; their input is a terminal all the same, because Node waits for the end of a piped one.

use super::recorder::Recorder;
use crate::event::{Actor, Ending, EventKind};
use crate::sys;
use crate::world::processes;
use crate::world::sandbox::{Confinement, Purpose, Sandbox};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, killpg};
use nix::sys::termios::{self, LocalFlags, OutputFlags, SetArg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How much a program may print, in octets.
const OUTPUT_LIMIT: usize = 1 << 20;

/// After its process has ended, for how long output is awaited that a grandchild may hold back.
const DRAIN: Duration = Duration::from_millis(300);

/// How long a terminal that is full may take to accept the end of input.
const END_INPUT_WITHIN: Duration = Duration::from_millis(200);

/// Environment variables that programs inherit; everything else stays with the harness.
const INHERITED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "JAVA_HOME",
    "GOPATH",
    "GOCACHE",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "VIRTUAL_ENV",
];

/// Variables set for every program.
const SET: [(&str, &str); 5] = [
    ("PYTHONUNBUFFERED", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("TERM", "dumb"),
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
];

/// A program that was started.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) actor: Actor,
    pub(super) pid: u32,
    /// Whether the process with this id is what surrounds the program, and not the program.
    surrounded: bool,
    pub(super) paused: bool,
    input: Option<Input>,
    terminal: Rc<AsyncFd<OwnedFd>>,
    listener: JoinHandle<()>,
}

#[derive(Debug)]
enum Input {
    Terminal(Rc<AsyncFd<OwnedFd>>),
    Pipe(ChildStdin),
}

/// What a program's standard streams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attachment {
    /// Output on a terminal, an input that never ends and says nothing.
    OutputTerminal,
    /// A terminal for everything.
    Terminal,
    /// A terminal to type on, pipes for the output.
    InputTerminal,
}

/// A command in the environment every program under test and every build gets, and in the sandbox there is.
///
/// # Errors
/// When a sandbox cannot be set up around it, or there is no such program to be put in one.
pub(crate) fn command(
    words: &[String],
    dir: &Path,
    sandbox: &Sandbox,
    purpose: Purpose,
) -> io::Result<Command> {
    let inherited = INHERITED
        .iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    let real = match purpose {
        Purpose::Program => sandbox.interpreters.behind(&words[0], dir),
        Purpose::Build => None,
    };
    let words: Vec<String> = std::iter::once(real.unwrap_or(&words[0]).to_owned())
        .chain(words[1..].iter().cloned())
        .collect();
    let set = SET.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let environment: Vec<(OsString, OsString)> = inherited.chain(set).collect();
    if sandbox.confinement != Confinement::None {
        return sandbox.command(&words, dir, &environment, purpose);
    }
    let program = &words[0];
    // A relative path means the submission's folder, not the harness's.
    let mut command = if program.contains('/') {
        Command::new(dir.join(program))
    } else {
        Command::new(program)
    };
    command.args(&words[1..]).current_dir(dir).env_clear();
    command.envs(environment);
    Ok(command)
}

impl Program {
    /// Starts a program, in another network than this process's if one is given, and begins to listen to it.
    pub(super) fn start(
        actor: &str,
        is_server: bool,
        words: &[String],
        dir: &Path,
        sandbox: &Sandbox,
        network: Option<OwnedFd>,
        recorder: &Rc<Recorder>,
    ) -> io::Result<Self> {
        let attachment = match (writes_through_pipes(&words[0]), is_server) {
            (true, false) => Attachment::InputTerminal,
            (_, true) => Attachment::OutputTerminal,
            (false, false) => Attachment::Terminal,
        };
        let mut command = command(words, dir, sandbox, Purpose::Program)?;
        let (ours, theirs) = open_terminal()?;
        let terminal = Rc::new(sys::watch(ours)?);
        match attachment {
            Attachment::Terminal => command
                .stdin(theirs.try_clone()?)
                .stdout(theirs.try_clone()?)
                .stderr(theirs.try_clone()?),
            Attachment::OutputTerminal => command
                .stdin(Stdio::piped())
                .stdout(theirs.try_clone()?)
                .stderr(theirs.try_clone()?),
            Attachment::InputTerminal => command
                .stdin(theirs.try_clone()?)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        };
        // In a sandbox the program itself leads a session with this terminal, not what surrounds it.
        let confined = sandbox.confinement != Confinement::None;
        sys::in_own_session(&mut command, (!confined).then_some(theirs));
        if let Some(network) = network {
            sys::in_network(&mut command, network);
        }
        let mut child = tokio::process::Command::from(command).spawn()?;
        let pid = child
            .id()
            .ok_or_else(|| io::Error::other("the process has no id"))?;
        recorder.record(EventKind::Started {
            actor: actor.to_owned(),
            command: words.to_vec(),
            pid,
        });

        let input = match child.stdin.take() {
            // A server's input: open, so that it never sees its end, and silent.
            Some(pipe) => Input::Pipe(pipe),
            None => Input::Terminal(Rc::clone(&terminal)),
        };
        let ear = Ear {
            actor: actor.to_owned(),
            pid,
            recorder: Rc::clone(recorder),
            heard: 0,
            partial: Vec::new(),
            surrounded: sandbox.confinement == Confinement::Bubble,
        };
        let listener = match (child.stdout.take(), child.stderr.take()) {
            (Some(out), Some(err)) => tokio::task::spawn_local(ear.listen(
                child,
                BothPipes {
                    out: Some(out),
                    err: Some(err),
                },
            )),
            _ => {
                let output = TerminalOutput(Rc::clone(&terminal));
                tokio::task::spawn_local(ear.listen(child, output))
            }
        };
        let input = Some(input);
        Ok(Program {
            actor: actor.to_owned(),
            pid,
            surrounded: sandbox.confinement == Confinement::Bubble,
            paused: false,
            input,
            terminal,
            listener,
        })
    }

    /// Types text at the keyboard.
    pub(super) async fn type_text(&mut self, text: &str) -> io::Result<()> {
        match &mut self.input {
            Some(Input::Terminal(terminal)) => {
                write_all(terminal, text.as_bytes()).await?;
                sys::let_arrive(terminal.get_ref());
                Ok(())
            }
            Some(Input::Pipe(pipe)) => {
                pipe.write_all(text.as_bytes()).await?;
                pipe.flush().await
            }
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Ends the input, as Ctrl-D does. A program that has left too much unread for that does not get it.
    pub(super) async fn end_input(&mut self) {
        match &self.input {
            // At the beginning of a line, the terminal's end-of-file character means end of input.
            Some(Input::Terminal(terminal)) => {
                let _ = tokio::time::timeout(END_INPUT_WITHIN, write_all(terminal, b"\x04")).await;
            }
            Some(Input::Pipe(_)) => self.input = None,
            None => {}
        }
    }

    /// Whether it has written something to its terminal that has not been heard yet. The kernel takes its time to carry
    /// such text from one end to the other; asked, it does so at once.
    pub(super) fn has_said_more(&self) -> bool {
        let mut ends = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
        let readable = |end: &PollFd<'_>| {
            let events = end.revents();
            events.is_some_and(|events| events.contains(PollFlags::POLLIN))
        };
        // Who has said too much is not listened to any longer.
        !self.listener.is_finished()
            && poll(&mut ends, PollTimeout::ZERO).is_ok()
            && ends.iter().any(readable)
    }

    /// Sends a signal to the program's process group. A group that has ended gets none.
    pub(super) fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::SIGSTOP => self.paused = true,
            Signal::SIGCONT => self.paused = false,
            _ => {}
        }
        // What surrounds a program would take a signal for its own. Without a program there is nobody else.
        let group = if self.surrounded {
            processes::Processes::read()
                .surrounded_by(self.pid)
                .unwrap_or(self.pid)
        } else {
            self.pid
        };
        if let Ok(group) = i32::try_from(group) {
            // It fails only when nobody is left to get it.
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }

    /// Ends the program and what surrounds it at once, with everything in there.
    pub(super) fn destroy(&self) {
        if let Ok(pid) = i32::try_from(self.pid) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn writes_through_pipes(program: &str) -> bool {
    let name = Path::new(program)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(program);
    [
        "node", "nodejs", "deno", "bun", "npm", "npx", "tsx", "ts-node",
    ]
    .contains(&name)
}

/// A terminal as programs under test get it: our end (non-blocking) and theirs.
fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    // Wide, so that programs which fold lines to the width do not.
    let size = Winsize {
        ws_row: 50,
        ws_col: 500,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let ends = openpty(&size, None)?;
    let mut modes = termios::tcgetattr(&ends.slave)?;
    modes
        .local_flags
        .remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ISIG);
    modes.local_flags.insert(LocalFlags::ICANON);
    modes.output_flags.remove(OutputFlags::OPOST);
    termios::tcsetattr(&ends.slave, SetArg::TCSANOW, &modes)?;
    for end in [&ends.master, &ends.slave] {
        nix::fcntl::fcntl(
            end,
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
        )?;
    }
    nix::fcntl::fcntl(
        &ends.master,
        nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
    )?;
    Ok((ends.master, ends.slave))
}

async fn write_all(terminal: &AsyncFd<OwnedFd>, mut octets: &[u8]) -> io::Result<()> {
    while !octets.is_empty() {
        let mut ready = terminal.writable().await?;
        // A terminal that nobody has open any more is for ever "ready" and full: nobody will read from it.
        let abandoned = ready.ready().is_write_closed();
        match ready
            .try_io(|inner| nix::unistd::write(inner.as_fd(), octets).map_err(io::Error::from))
        {
            Ok(Ok(written)) => octets = &octets[written..],
            Ok(Err(error)) => return Err(error),
            Err(_would_block) if abandoned => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(_would_block) => {}
        }
    }
    Ok(())
}

/// Something that yields what a program prints; 0 is the end.
trait Output {
    async fn read(&mut self, buffer: &mut [u8]) -> usize;
}

struct TerminalOutput(Rc<AsyncFd<OwnedFd>>);

impl Output for TerminalOutput {
    async fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            let Ok(mut ready) = self.0.readable().await else {
                return 0;
            };
            match ready
                .try_io(|inner| nix::unistd::read(inner.as_fd(), buffer).map_err(io::Error::from))
            {
                Ok(Ok(octets)) => return octets,
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                // EIO: every copy of the other end is closed.
                Ok(Err(_)) => return 0,
                Err(_would_block) => {}
            }
        }
    }
}

struct BothPipes {
    out: Option<tokio::process::ChildStdout>,
    err: Option<tokio::process::ChildStderr>,
}

impl Output for BothPipes {
    async fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut second = vec![0; buffer.len()];
        while self.out.is_some() || self.err.is_some() {
            tokio::select! {
                octets = read_some(self.out.as_mut(), buffer), if self.out.is_some() => match octets {
                    0 => self.out = None,
                    octets => return octets,
                },
                octets = read_some(self.err.as_mut(), &mut second), if self.err.is_some() => match octets {
                    0 => self.err = None,
                    octets => {
                        buffer[..octets].copy_from_slice(&second[..octets]);
                        return octets;
                    }
                },
            }
        }
        0
    }
}

async fn read_some(source: Option<&mut (impl AsyncRead + Unpin)>, buffer: &mut [u8]) -> usize {
    match source {
        Some(source) => source.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}

/// Listens to one program until it has ended and said its last.
struct Ear {
    actor: Actor,
    pid: u32,
    recorder: Rc<Recorder>,
    heard: usize,
    /// The beginning of a character whose rest has not come yet.
    partial: Vec<u8>,
    /// Whether the process that ends is what surrounds the program, and tells its ending.
    surrounded: bool,
}

impl Ear {
    async fn listen(mut self, mut child: Child, mut output: impl Output) {
        let mut buffer = vec![0; 16 * 1024];
        let mut ended: Option<Ending> = None;
        let mut drained_by: Option<Instant> = None;
        loop {
            let drain = async {
                match drained_by {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                octets = output.read(&mut buffer) => match octets {
                    0 => break,
                    octets => {
                        self.hear(&buffer[..octets]);
                        // It was killed for that; somebody it started may go on printing.
                        if self.heard > OUTPUT_LIMIT {
                            break;
                        }
                    }
                },
                status = child.wait(), if ended.is_none() => {
                    ended = Some(status.map_or(Ending::Status(-1), |status| self.ending(status)));
                    drained_by = Some(Instant::now() + DRAIN);
                }
                () = drain => {
                    drained_by = None;
                    if let Some(ending) = ended {
                        self.recorder.record(EventKind::Exited { actor: self.actor.clone(), ending });
                    }
                }
            }
        }
        self.flush_partial();
        let already_told = ended.is_some() && drained_by.is_none();
        let ending = match ended {
            Some(ending) => ending,
            None => child
                .wait()
                .await
                .map_or(Ending::Status(-1), |status| self.ending(status)),
        };
        if !already_told {
            self.recorder.record(EventKind::Exited {
                actor: self.actor.clone(),
                ending,
            });
        }
    }

    fn ending(&self, status: ExitStatus) -> Ending {
        match ending(status) {
            // What surrounds a program ends with this status when the program is killed by a signal.
            Ending::Status(status) if self.surrounded && (129..=192).contains(&status) => {
                Ending::Signal(status - 128)
            }
            ending => ending,
        }
    }

    fn hear(&mut self, octets: &[u8]) {
        self.heard += octets.len();
        self.partial.extend_from_slice(octets);
        let complete = match std::str::from_utf8(&self.partial) {
            // Only an unfinished character at the very end is kept back.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.partial.len(),
        };
        let rest = self.partial.split_off(complete);
        self.tell();
        self.partial = rest;
        if self.heard > OUTPUT_LIMIT {
            self.recorder.record(EventKind::OutputLimit {
                actor: self.actor.clone(),
                octets: self.heard,
            });
            if let Ok(pid) = i32::try_from(self.pid) {
                let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    fn flush_partial(&mut self) {
        if !self.partial.is_empty() {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let text = String::from_utf8_lossy(&self.partial).into_owned();
        self.partial.clear();
        if !text.is_empty() {
            self.recorder.record(EventKind::Output {
                actor: self.actor.clone(),
                text,
            });
        }
    }
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Status(code),
        (None, Some(signal)) => Ending::Signal(signal),
        (None, None) => Ending::Status(-1),
    }
}
