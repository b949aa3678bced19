//! A command in a private network, with everything it says there captured.
//!
//! ```text
//! capture run -- sh -c 'server & client'
//! ```
//!
//! # Who waits for whom
//!
//! ```text
//!  the shell
//!    └─ capture            in the new network, but not in the new process namespace: captures, forwards, ends the rest
//!         └─ first process  process 1 of the namespace: starts the command, reaps whatever ends
//!              └─ command    what the user asked for
//!                   └─ …      what that starts; what it leaves behind becomes the first process's child
//! ```
//!
//! 1. [`Prepared::new`] enters the network and forks the first process, which waits for a word on a pipe. So the command
//!    cannot begin before the capture has.
//! 2. [`Prepared::start`] says the word. The first process starts the command and waits for its children.
//! 3. When the command ends, the first process tells its status on another pipe, and whether anything is left. If
//!    nothing is, it ends. If something is, what was sent is still on its way to somebody who may answer: the capture
//!    goes on until the network is settled: nothing unread, nothing half closed, and for a moment nothing sent.
//! 4. Then the capture is over, and the first process is killed. The kernel kills everything in a process namespace
//!    together with its first process, so nothing is left, whatever group or session it moved to; and since the capture
//!    is over before, nobody is shown a connection that is closed by that.
//!
//! The kernel kills the first process when `capture` ends for any other reason, SIGKILL included (parent-death signal).
//!
//! # Signals and the terminal
//!
//! The command stays in `capture`'s process group, as its standard streams are `capture`'s: Ctrl-C, Ctrl-\, Ctrl-Z and a
//! terminal that goes away concern it like any other program. `capture` itself takes no notice of those that end a
//! program, so that it can still tell what it saw; it stops and goes on together with the command. When not the terminal
//! but another process sends one of them, or SIGTERM, to `capture` alone (`kill -INT`), the first process hands it to
//! the command, which so ends as it would by Ctrl-C. Whether it was sent to `capture` alone is known from the first
//! process: it is in the same group, so what was sent to the group has reached it too, and needs no handing on. SIGTERM is
//! handed on in any case: no terminal sends it, but `kill -TERM $(pidof capture)` does, to `capture` and to the first
//! process, which has the same name; and a command that is asked twice to end is better than one that is not asked.
//!
//! # What it does not do
//!
//! It secludes network and process ids, no more: files, users and the terminal are those outside. Setuid programs have
//! no effect inside a user namespace. As no process that has left its process namespace can have a second thread, there
//! is none here.

use crate::namespace;
use crate::pipeline::FrameSink;
use crate::source::live::{DEFAULT_BUFFER, Ended, Limits, LiveCapture, LiveError, Settings};
use crate::sys::{self, Side};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, pipe2};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// Nothing was sent for so long: the network may be settled.
const QUIET: Duration = Duration::from_millis(100);
/// The word with which the command begins. Every later order is the number of a signal for it.
const START: u8 = b'!';
/// For so long what is left running may answer at most.
const LONGEST_SETTLING: Duration = Duration::from_secs(1);

/// Why a command could not be run in a private network.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system refuses private networks.
    #[error("a private network is not permitted ({0})")]
    Refused(io::Error),
    /// The network is there, but cannot be set up as asked for.
    #[error("the private network cannot be set up ({0})")]
    Network(io::Error),
    /// It cannot be captured.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// Something that should always work did not.
    #[error("the command cannot be looked after ({0})")]
    System(#[from] io::Error),
}

/// What the first process tells about the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// It ended with this status, and something it started still runs.
    Ended { status: u8, leftovers: bool },
    /// It could not be started.
    NotStarted { errno: i32 },
}

impl News {
    const LEN: usize = 6;

    fn to_octets(self) -> [u8; Self::LEN] {
        let (kind, leftovers, number) = match self {
            News::Ended { status, leftovers } => (b'E', leftovers, i32::from(status)),
            News::NotStarted { errno } => (b'N', false, errno),
        };
        let [a, b, c, d] = number.to_ne_bytes();
        [kind, u8::from(leftovers), a, b, c, d]
    }

    fn from_octets([kind, leftovers, a, b, c, d]: [u8; Self::LEN]) -> Self {
        let number = i32::from_ne_bytes([a, b, c, d]);
        match kind {
            b'E' => News::Ended {
                status: u8::try_from(number).unwrap_or(u8::MAX),
                leftovers: leftovers != 0,
            },
            _ => News::NotStarted { errno: number },
        }
    }
}

/// How it went.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended.
    pub command: CommandEnd,
    /// Whether something it had started did not end by itself and was ended.
    pub leftovers: bool,
    /// How many frames there were.
    pub capture: Option<Ended>,
    /// Why not everything was captured.
    pub trouble: Option<LiveError>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// With this exit status: 128 + n if signal n ended it.
    Status(u8),
    /// It was never started, because of this error.
    NotStarted(Errno),
    /// Its namespace was ended from outside.
    Killed,
}

/// The first process: ended, and everything in its namespace with it, when this is dropped.
#[derive(Debug)]
struct FirstProcess(Pid);

impl Drop for FirstProcess {
    fn drop(&mut self) {
        // It is a child that nobody else waits for, so its id is its own until then. Waiting ends when everything in
        // the namespace has.
        let _ = kill(self.0, Signal::SIGKILL);
        while waitpid(self.0, None) == Err(Errno::EINTR) {}
    }
}

/// A private network that is captured, and a command that waits to be started in it.
#[derive(Debug)]
pub struct Prepared {
    capture: LiveCapture,
    first: FirstProcess,
    /// A word on it starts the command.
    orders: File,
    news: File,
}

impl Prepared {
    /// Moves this process into a network of its own, captures there, and has `command` wait. With `mtu`, frames have at
    /// most so many octets.
    ///
    /// Whatever this process opens before is not inherited by the command unless it is meant to be; everything else
    /// (working directory, user, environment, standard streams) is.
    ///
    /// # Errors
    /// When the system refuses, or this process has several threads.
    pub fn new(command: &[OsString], mtu: Option<u32>) -> Result<Self, RunError> {
        sys::heed_children()?;
        namespace::enter_network().map_err(RunError::Refused)?;
        if let Some(octets) = mtu {
            namespace::limit_loopback(octets).map_err(RunError::Network)?;
        }
        let (obey, orders) = pipe(false)?;
        let (news, tell) = pipe(true)?;
        let first = match sys::fork_single_threaded().map_err(RunError::Refused)? {
            Side::Parent(child) => FirstProcess(child),
            Side::Child => {
                // This side's copies, so that the ends of the other side mean something.
                drop(orders);
                drop(news);
                std::process::exit(first_process(command, obey, tell).map_or(1, |()| 0));
            }
        };
        drop((obey, tell));
        let capture = LiveCapture::open(&Settings {
            interface: Some("lo".to_owned()),
            // Nobody else is in this network.
            ports: None,
            buffer: DEFAULT_BUFFER,
        })?;
        Ok(Prepared {
            capture,
            first,
            orders: File::from(orders),
            news: File::from(news),
        })
    }

    /// What is captured.
    pub fn capture(&self) -> &LiveCapture {
        &self.capture
    }

    /// Runs the command to its end, hands its frames to `sink`, and ends what it leaves running.
    ///
    /// A sink that fails ends the capture, not the command. This process gives up its standard input and output, so
    /// that they are the command's alone.
    ///
    /// # Errors
    /// When the command cannot be looked after; it is ended then.
    pub fn start(self, sink: &mut dyn FrameSink) -> Result<Outcome, RunError> {
        let outside = Outside::new(&self.news)?;
        let mut running = Running {
            capture: self.capture,
            _first: self.first,
            orders: self.orders,
            news: self.news,
            outside,
            ended: None,
            trouble: None,
        };
        running.order(START);
        // Whoever writes to the command, or reads from it, is to notice that it does not read, or write, any more.
        let nothing = File::options().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&nothing).map_err(io::Error::from)?;
        dup2_stdout(&nothing).map_err(io::Error::from)?;

        let news = running.capture_until_news(sink)?;
        let (command, leftovers) = match news {
            Some(News::Ended { status, leftovers }) => (CommandEnd::Status(status), leftovers),
            Some(News::NotStarted { errno }) => {
                (CommandEnd::NotStarted(Errno::from_raw(errno)), false)
            }
            None => (CommandEnd::Killed, false),
        };
        let leftovers = leftovers && running.settle(sink);
        Ok(Outcome {
            command,
            leftovers,
            capture: running.ended,
            trouble: running.trouble.take(),
        })
    }
}

/// A command that runs.
struct Running {
    capture: LiveCapture,
    /// Ends the rest when it is dropped, which is before signals have their effect again.
    _first: FirstProcess,
    orders: File,
    news: File,
    outside: Outside,
    ended: Option<Ended>,
    trouble: Option<LiveError>,
}

impl Running {
    /// Has the first process start the command, or hand a signal to it.
    fn order(&mut self, order: u8) {
        // It is in the pipe, or who would read it is dead, which is news.
        let _ = self.orders.write_all(&[order]);
    }

    /// Captures until the command has ended; `None` when its namespace has, without a word.
    fn capture_until_news(&mut self, sink: &mut dyn FrameSink) -> io::Result<Option<News>> {
        loop {
            self.capture(sink, Limits::default());
            if self.trouble.is_some() {
                self.outside.wait()?;
            }
            for signal in self.outside.take_signals()? {
                if !signal.from_kernel {
                    self.order(signal.number);
                }
            }
            let mut octets = [0; News::LEN];
            match self.news.read(&mut octets) {
                // A pipe takes or gives few octets together or not at all.
                Ok(News::LEN) => return Ok(Some(News::from_octets(octets))),
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Captures until something happens outside of the network.
    fn capture(&mut self, sink: &mut dyn FrameSink, limits: Limits<'_>) {
        if self.trouble.is_some() {
            return;
        }
        match self
            .capture
            .run(sink, self.outside.events.0.as_fd(), limits)
        {
            Ok(ended) => self.ended = Some(ended),
            Err(error) => self.trouble = Some(error),
        }
    }

    /// Captures until whoever is left has read what was sent to it and answered, as far as the kernel's tables tell:
    /// nothing is unread, no connection is half open or half closed, and nothing was sent for a moment. Not for
    /// longer than a second: some never answer. Says whether anybody is left in the end.
    fn settle(&mut self, sink: &mut dyn FrameSink) -> bool {
        let end = Instant::now() + LONGEST_SETTLING;
        loop {
            let before = self.ended.map(|ended| ended.frames);
            self.capture(
                sink,
                Limits {
                    duration: Some(QUIET),
                    ..Limits::default()
                },
            );
            let is_quiet = self.ended.map(|ended| ended.frames) == before;
            // The first process ends when nobody is left.
            let is_over = matches!(self.news.read(&mut [0]), Ok(0));
            // Somebody who presses Ctrl-C now does not want to wait.
            let is_hurried = !self
                .outside
                .take_signals()
                .is_ok_and(|none| none.is_empty());
            if is_over {
                return false;
            }
            if is_hurried
                || self.trouble.is_some()
                || (is_quiet && !is_unsettled())
                || Instant::now() >= end
            {
                return true;
            }
        }
    }
}

/// A signal that was held back.
struct Arrived {
    number: u8,
    /// The terminal's, and so the command's as well.
    from_kernel: bool,
}

/// What reaches this process from outside of the network: signals, and news of the command.
struct Outside {
    /// Can be read from when something has happened.
    events: Epoll,
    /// The signals that would end a program, held back.
    signals: SignalFd,
    /// The signals that were held back before.
    before: SigSet,
}

impl Outside {
    fn new(news: &File) -> io::Result<Self> {
        let signals = ending();
        let mut held_back = signals;
        // Held back, it lets a process of the background write to the terminal: the command may have made its own
        // group the foreground.
        held_back.add(Signal::SIGTTOU);
        let before = held_back.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let signals =
            SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let events = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        events.add(news, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        events.add(&signals, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        Ok(Outside {
            events,
            signals,
            before,
        })
    }

    /// Waits until something has happened.
    fn wait(&self) -> io::Result<()> {
        let mut event = [EpollEvent::empty()];
        match self.events.wait(&mut event, EpollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The signals that have arrived.
    fn take_signals(&self) -> io::Result<Vec<Arrived>> {
        let mut taken = Vec::new();
        while let Some(signal) = self.signals.read_signal()? {
            taken.push(Arrived {
                // There are 64.
                number: signal.ssi_signo as u8,
                from_kernel: is_from_kernel(&signal),
            });
        }
        Ok(taken)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // What came while the command was running was for the command.
        let _ = self.take_signals();
        let _ = self.before.thread_set_mask();
    }
}

/// The signals that would end a program and that somebody may send to end this one.
fn ending() -> SigSet {
    [
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGHUP,
        Signal::SIGTERM,
    ]
    .into_iter()
    .collect()
}

/// Whether the kernel itself has sent it; what a process sends has a code of 0 or less (sigaction(2)).
fn is_from_kernel(signal: &siginfo) -> bool {
    signal.ssi_code > 0
}

/// Both ends are closed in programs that are started. Reading never blocks with `is_polled`.
fn pipe(is_polled: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    if is_polled {
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    Ok((reader, writer))
}

/// Process 1 of the namespace: waits for the word, starts the command, hands signals to it, tells how it ends, and ends
/// when nobody is left.
fn first_process(command: &[OsString], obey: OwnedFd, tell: OwnedFd) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // Where it is refused, the old /proc is good enough.
    let _ = namespace::see_own_processes();
    let mut signals = ending();
    signals.add(Signal::SIGCHLD);
    let before = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let arrived = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;

    // No word, but an end: the parent was gone before its death could be a signal.
    let mut orders = File::from(obey);
    if orders.read(&mut [0])? == 0 {
        return Ok(());
    }
    let mut tell = File::from(tell);
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut prepared = Command::new(program);
    prepared.args(arguments);
    sys::with_signal_mask(&mut prepared, before);
    let main = match prepared.spawn() {
        Ok(child) => Pid::from_raw(child.id().cast_signed()),
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(nix::libc::EINVAL);
            return tell.write_all(&News::NotStarted { errno }.to_octets());
        }
    };
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)?;

    let mut main_runs = true;
    // What somebody has sent to the whole group, as it seems.
    let mut reached = SigSet::empty();
    loop {
        let sources = [arrived.as_fd(), orders.as_fd()];
        let mut events = sources.map(|source| PollFd::new(source, PollFlags::POLLIN));
        match poll(&mut events, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let has_order = events[1].any().unwrap_or_default();
        while let Some(signal) = arrived.read_signal()? {
            if !is_from_kernel(&signal) {
                reached.extend(Signal::try_from(signal.ssi_signo.cast_signed()));
            }
        }
        if has_order {
            let mut order = [0];
            if orders.read(&mut order)? == 0 {
                return Ok(());
            }
            if let Ok(signal) = Signal::try_from(i32::from(order[0])) {
                if main_runs && (signal == Signal::SIGTERM || !reached.contains(signal)) {
                    let _ = kill(main, signal);
                }
                reached.remove(signal);
            }
        }
        // One SIGCHLD may stand for several children.
        let mut status = None;
        let leftovers = loop {
            match sys::reap() {
                Ok(Some((pid, end))) if pid == main => status = Some(status_of(end)),
                Ok(Some(_)) => {}
                Ok(None) => break true,
                Err(error) if error.raw_os_error() == Some(Errno::ECHILD as i32) => break false,
                Err(error) => return Err(error),
            }
        };
        if let Some(status) = status {
            main_runs = false;
            tell.write_all(&News::Ended { status, leftovers }.to_octets())?;
        }
        if !leftovers {
            return Ok(());
        }
    }
}

/// As a shell counts it.
fn status_of(end: ExitStatus) -> u8 {
    let number = match end.signal() {
        Some(signal) => 128 + signal,
        None => end.code().unwrap_or_default(),
    };
    number as u8
}

/// Whether somebody in this network is still expected to do something.
fn is_unsettled() -> bool {
    ["tcp", "tcp6", "udp", "udp6"].iter().any(|table| {
        std::fs::read_to_string(format!("/proc/self/net/{table}"))
            .is_ok_and(|table| table.lines().skip(1).any(awaits_something))
    })
}

/// Whether a line of the kernel's table of sockets has something unread or unsent, or is a connection on its way from
/// one state to another. Connections that nobody has accepted are unread too.
fn awaits_something(line: &str) -> bool {
    /// SYN-SENT, SYN-RECEIVED, FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT, LAST-ACK, CLOSING: include/net/tcp_states.h.
    const PASSING: [&str; 7] = ["02", "03", "04", "05", "08", "09", "0B"];
    let mut fields = line.split_ascii_whitespace().skip(3);
    let (Some(state), Some(queues)) = (fields.next(), fields.next()) else {
        return false;
    };
    PASSING.contains(&state) || queues != "00000000:00000000"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_arrive_as_they_were_told() {
        for news in [
            News::Ended {
                status: 0,
                leftovers: false,
            },
            News::Ended {
                status: 255,
                leftovers: true,
            },
            News::NotStarted {
                errno: Errno::ENOENT as i32,
            },
        ] {
            assert_eq!(News::from_octets(news.to_octets()), news);
        }
    }

    #[test]
    fn a_status_is_what_a_shell_says() {
        #[track_caller]
        fn check(raw: i32, expected: u8) {
            assert_eq!(status_of(ExitStatus::from_raw(raw)), expected);
        }
        check(0, 0);
        check(255 << 8, 255);
        check(Signal::SIGKILL as i32, 137);
        // With a core dump; and a signal that has no name.
        check(Signal::SIGSEGV as i32 | 0x80, 139);
        check(64, 192);
    }

    #[test]
    fn who_is_expected_to_do_something_is_found_in_the_kernels_tables() {
        #[track_caller]
        fn check(state: &str, queues: &str, expected: bool) {
            let line = format!(
                "   0: 0100007F:4E21 0100007F:C822 {state} {queues} 00:00000000 00000000  0 0 1 1"
            );
            assert_eq!(awaits_something(&line), expected, "{line}");
        }
        let nothing = "00000000:00000000";
        check("0A", nothing, false); // listening
        check("0A", "00000000:00000001", true); // somebody to accept
        check("01", nothing, false);
        check("01", "00000000:0000000a", true); // unread
        check("01", "00000A00:00000000", true); // unsent
        check("08", nothing, true); // the peer has closed
        check("05", nothing, true); // the peer has not
        check("06", nothing, false); // over
        check("07", nothing, false); // a UDP socket
        check("07", "00000000:00000300", true);
        assert!(!awaits_something(""));
    }
}
