//! The actors of the tests: the real server, the real client on pipes or on a terminal (whose screen a
//! terminal emulator keeps), and a bare connection that speaks the protocol octet by octet.
//!
//! Every wait is for an event and has a deadline; every process is killed when its actor is dropped.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroU16,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    pty::{OpenptyResult, Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, Termios, tcgetattr},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::sys;

/// Long enough for any busy machine; only a failing test waits so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What a program has printed so far, and how much of it a test has looked at.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<(Mutex<Printed>, Condvar)>);

#[derive(Default)]
struct Printed {
    octets: Vec<u8>,
    seen: usize,
    ended: bool,
}

impl Output {
    pub(crate) fn of(mut source: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let sink = output.clone();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            loop {
                // A terminal whose last program ended reports an error instead of the end.
                let len = source.read(&mut chunk).unwrap_or(0);
                let (printed, changed) = &*sink.0;
                let mut printed = printed.lock().expect("no panic while held");
                printed.octets.extend_from_slice(&chunk[..len]);
                printed.ended = len == 0;
                changed.notify_all();
                if len == 0 {
                    break;
                }
            }
        });
        output
    }

    /// Waits for the text in what has not been looked at, and returns what came before it.
    #[track_caller]
    pub(crate) fn until(&self, text: &str) -> String {
        let mut printed = self.wait(&format!("{text:?}"), |printed| {
            find(&printed.octets[printed.seen..], text.as_bytes()).is_some()
        });
        let from = printed.seen;
        let at = find(&printed.octets[from..], text.as_bytes()).expect("waited for");
        printed.seen = from + at + text.len();
        String::from_utf8_lossy(&printed.octets[from..from + at]).into_owned()
    }

    /// Whether the text has been printed, looked at or not.
    pub(crate) fn has(&self, text: &str) -> bool {
        let printed = self.0.0.lock().expect("no panic while held");
        find(&printed.octets, text.as_bytes()).is_some()
    }

    /// Waits for the text or for the end, and says whether the text came.
    #[track_caller]
    pub(crate) fn comes(&self, text: &str) -> bool {
        let has = |printed: &Printed| find(&printed.octets, text.as_bytes()).is_some();
        let what = format!("{text:?} or the end");
        has(&self.wait(&what, |printed| has(printed) || printed.ended))
    }

    /// Waits for the end of the output, and returns all of it.
    #[track_caller]
    pub(crate) fn whole(&self) -> String {
        let printed = self.wait("the end of the output", |printed| printed.ended);
        String::from_utf8_lossy(&printed.octets).into_owned()
    }

    #[track_caller]
    fn wait(
        &self,
        what: &str,
        done: impl Fn(&Printed) -> bool,
    ) -> std::sync::MutexGuard<'_, Printed> {
        let (printed, changed) = &*self.0;
        let (printed, timeout) = changed
            .wait_timeout_while(
                printed.lock().expect("no panic while held"),
                DEADLINE,
                |printed| !done(printed) && !printed.ended,
            )
            .expect("no panic while held");
        let so_far = String::from_utf8_lossy(&printed.octets[printed.seen..]).into_owned();
        assert!(
            !timeout.timed_out() && done(&printed),
            "waited for {what} in vain; output since the last look: {so_far:?}"
        );
        printed
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|part| part == needle)
}

/// Held while a program is started, and while a descriptor is open that none may inherit but the one it
/// is for: a terminal is not closed as long as any program has it.
static INHERITANCE: Mutex<()> = Mutex::new(());

/// A child process that does not outlive its test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let _guard = INHERITANCE.lock().unwrap_or_else(PoisonError::into_inner);
        Self(command.spawn().expect("the program starts"))
    }

    pub(crate) fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).expect("a process id"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.id(), signal).expect("the process is ours");
    }

    #[track_caller]
    pub(crate) fn wait_until_stopped(&self) {
        let start = Instant::now();
        let look = Some(WaitPidFlag::WUNTRACED | WaitPidFlag::WNOHANG);
        while !matches!(waitpid(self.id(), look), Ok(WaitStatus::Stopped(..))) {
            assert!(start.elapsed() < DEADLINE, "the program does not stop");
            // As in `wait`: no deadline can be given.
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("the process is ours").is_some()
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("the process is ours") {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "the program does not end");
            // The standard library cannot wait for a child with a deadline.
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `ex8-server` on a port of its own.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) output: Output,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&["--bind", "127.0.0.1:0"])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_program(Command::new(env!("CARGO_BIN_EXE_ex8-server")).args(arguments))
    }

    /// Starts a command that becomes the server.
    pub(crate) fn start_program(command: &mut Command) -> Self {
        let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        let output = Output::of(process.0.stdout.take().expect("piped"));
        assert_eq!(output.until("Listening on "), "", "the first line");
        let address = output.until("\n").parse().expect("an address");
        Self {
            process,
            output,
            address,
        }
    }
}

/// `ex8-server` whose output nobody reads after the first line.
pub(crate) struct UnreadServer {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    _output: BufReader<ChildStdout>,
}

impl UnreadServer {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_ex8-server"))
                .args(arguments)
                .stdout(Stdio::piped()),
        );
        let mut output = BufReader::new(process.0.stdout.take().expect("piped"));
        let mut first = String::new();
        output.read_line(&mut first).expect("a line");
        let address = first.trim_start_matches("Listening on ").trim_end();
        Self {
            process,
            address: address.parse().expect("an address"),
            _output: output,
        }
    }
}

/// `ex8-client` on pipes.
pub(crate) struct Client {
    pub(crate) process: Process,
    pub(crate) output: Output,
    pub(crate) errors: Output,
    input: Option<ChildStdin>,
}

impl Client {
    pub(crate) fn start<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        let mut process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_ex8-client"))
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        );
        Self {
            output: Output::of(process.0.stdout.take().expect("piped")),
            errors: Output::of(process.0.stderr.take().expect("piped")),
            input: process.0.stdin.take(),
            process,
        }
    }

    /// Logs in and waits until the room has said so.
    #[track_caller]
    pub(crate) fn login(server: &Server, name: &str) -> Self {
        let mut client = Self::start(&[server.address.to_string()]);
        client.types(&format!("{name}\n"));
        client.sees(&format!("* {name} has joined."));
        client.sees("\n");
        client
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.types_octets(text.as_bytes());
    }

    pub(crate) fn types_octets(&mut self, octets: &[u8]) {
        let input = self.input.as_mut().expect("input is still open");
        input.write_all(octets).expect("the client reads");
    }

    pub(crate) fn ends_input(&mut self) {
        self.input = None;
    }

    /// Waits for the text and returns what came before it.
    #[track_caller]
    pub(crate) fn sees(&self, text: &str) -> String {
        self.output.until(text)
    }

    /// Waits for the end; returns exit status, output and errors.
    #[track_caller]
    pub(crate) fn ends(mut self) -> (Option<i32>, String, String) {
        let code = self.process.wait().code();
        (code, self.output.whole(), self.errors.whole())
    }
}

/// `ex8-client` whose output nobody reads.
pub(crate) struct UnreadClient {
    pub(crate) process: Process,
    _input: ChildStdin,
    _output: ChildStdout,
}

impl UnreadClient {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_ex8-client"))
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        );
        Self {
            _input: process.0.stdin.take().expect("piped"),
            _output: process.0.stdout.take().expect("piped"),
            process,
        }
    }
}

/// A program on a terminal, and somebody who types and looks at the screen.
pub(crate) struct Desk {
    pub(crate) process: Process,
    screen: Arc<(Mutex<Seen>, Condvar)>,
    keyboard: std::fs::File,
    /// Kept open: its settings are what a shell would find afterwards.
    terminal: Option<OwnedFd>,
    before: Termios,
}

/// What a terminal emulator makes of what was printed.
struct Seen {
    emulator: vt100::Parser,
    printed: Vec<u8>,
    ended: bool,
    /// The terminal is to be closed with the next thing that is printed.
    closing: bool,
}

impl Desk {
    /// `ex8-client`.
    pub(crate) fn start(rows: u16, columns: u16, arguments: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_ex8-client"));
        Self::start_program(rows, columns, program, arguments, &[("TERM", "xterm")])
    }

    pub(crate) fn start_program(
        rows: u16,
        columns: u16,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let OpenptyResult { master, slave } = open_terminal(rows, columns);
        let before = tcgetattr(&slave).expect("a terminal");
        let end = || slave.try_clone().expect("a descriptor");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(end())
            .stdout(end())
            .stderr(end());
        sys::in_own_session(&mut command, end());
        let process = Process::start(&mut command);
        let keyboard = std::fs::File::from(master);
        let seen = Seen {
            emulator: vt100::Parser::new(cells(rows), cells(columns), 0),
            printed: Vec::new(),
            ended: false,
            closing: false,
        };
        let screen = Arc::new((Mutex::new(seen), Condvar::new()));
        let source = keyboard.try_clone().expect("a descriptor");
        let sink = Arc::clone(&screen);
        thread::spawn(move || watch(source, &sink));
        Self {
            process,
            screen,
            keyboard,
            terminal: Some(slave),
            before,
        }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("the terminal is open");
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let mut seen = self.screen.0.lock().expect("no panic while held");
        seen.emulator.set_size(cells(rows), cells(columns));
        sys::resize(&self.keyboard, size(rows, columns)).expect("a terminal");
    }

    /// Waits until the text is somewhere on the screen.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) {
        self.until(&format!("{text:?}"), |screen| {
            text_of(screen).contains(text)
        });
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, done: impl Fn(&vt100::Screen) -> bool) {
        drop(self.wait(what, |seen| done(seen.emulator.screen())));
    }

    #[track_caller]
    fn wait(&self, what: &str, done: impl Fn(&Seen) -> bool) -> std::sync::MutexGuard<'_, Seen> {
        let (seen, changed) = &*self.screen;
        let (seen, _) = changed
            .wait_timeout_while(
                seen.lock().expect("no panic while held"),
                DEADLINE,
                |seen| !done(seen) && !seen.ended,
            )
            .expect("no panic while held");
        let (row, column) = seen.emulator.screen().cursor_position();
        assert!(
            done(&seen),
            "waited for {what} in vain; the cursor is in row {row}, column {column} of\n{}",
            seen.emulator.screen().contents()
        );
        seen
    }

    pub(crate) fn terminal(&self) -> &OwnedFd {
        self.terminal.as_ref().expect("not closed yet")
    }

    pub(crate) fn is_raw(&self) -> bool {
        let now = tcgetattr(self.terminal()).expect("a terminal");
        !now.local_flags.contains(LocalFlags::ICANON)
    }

    /// Waits for the end of the program, checks that the terminal is as it was, and returns the exit
    /// status.
    #[track_caller]
    pub(crate) fn exits(&mut self) -> Option<i32> {
        let status = self.process.wait();
        let after = tcgetattr(self.terminal()).expect("a terminal");
        assert_eq!(after.local_flags, self.before.local_flags);
        assert_eq!(after.input_flags, self.before.input_flags);
        assert_eq!(after.output_flags, self.before.output_flags);
        assert_eq!(after.control_flags, self.before.control_flags);
        assert_eq!(after.control_chars, self.before.control_chars);
        status.code()
    }

    /// As [`Desk::exits`], and waits for everything that was printed, which must leave the terminal
    /// ready for a shell.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let code = self.exits();
        self.terminal = None;
        let seen = self.wait("the end of the output", |seen| seen.ended);
        let screen = seen.emulator.screen();
        assert!(!screen.alternate_screen(), "still on the alternate screen");
        assert!(!screen.hide_cursor(), "the cursor is hidden");
        assert!(!screen.bracketed_paste(), "pastes are still bracketed");
        assert_eq!(screen.fgcolor(), vt100::Color::Default);
        code
    }

    /// Closes the terminal, in the middle of whatever the program prints next.
    pub(crate) fn closes(self) -> Process {
        let mut seen = self.screen.0.lock().expect("no panic while held");
        seen.closing = true;
        self.process
    }

    /// Everything that was printed, escape codes included.
    pub(crate) fn printed(&self) -> String {
        let seen = self.screen.0.lock().expect("no panic while held");
        String::from_utf8_lossy(&seen.printed).into_owned()
    }

    pub(crate) fn last_screen(&self) -> String {
        let seen = self.screen.0.lock().expect("no panic while held");
        seen.emulator.screen().contents()
    }
}

/// The text on the screen, without the blanks at the ends of its rows.
pub(crate) fn text_of(screen: &vt100::Screen) -> String {
    let contents = screen.contents();
    let rows: Vec<_> = contents.lines().map(str::trim_end).collect();
    rows.join("\n")
}

fn watch(mut source: std::fs::File, screen: &(Mutex<Seen>, Condvar)) {
    let mut chunk = [0; 4096];
    loop {
        // A terminal whose last program ended reports an error instead of the end.
        let len = source.read(&mut chunk).unwrap_or(0);
        let mut seen = screen.0.lock().expect("no panic while held");
        seen.emulator.process(&chunk[..len]);
        seen.printed.extend_from_slice(&chunk[..len]);
        seen.ended = len == 0 || seen.closing;
        screen.1.notify_all();
        if seen.ended {
            break;
        }
    }
}

fn open_terminal(rows: u16, columns: u16) -> OpenptyResult {
    let _guard = INHERITANCE.lock().unwrap_or_else(PoisonError::into_inner);
    let ends = openpty(&size(rows, columns), None).expect("a pseudo-terminal");
    for end in [&ends.master, &ends.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("a descriptor");
    }
    ends
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has at least one")
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// A connection that speaks the protocol itself.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    output: Output,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        Self {
            output: Output::of(stream.try_clone().expect("a descriptor")),
            stream,
        }
    }

    #[track_caller]
    pub(crate) fn login(address: SocketAddr, name: &str) -> Self {
        let mut peer = Self::connect(address);
        peer.sends(format!("LOGIN {name}\n").as_bytes());
        peer.gets(&format!(" {name}\nJOINED "));
        peer.gets(&format!(" {name}\n"));
        peer
    }

    pub(crate) fn sends(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).expect("the server reads");
    }

    /// Waits for the text and returns what came before it.
    #[track_caller]
    pub(crate) fn gets(&self, text: &str) -> String {
        self.output.until(text)
    }

    /// Waits for the text or for the end of the connection, and says whether the text came.
    #[track_caller]
    pub(crate) fn gets_unless_closed(&self, text: &str) -> bool {
        self.output.comes(text)
    }

    /// Waits for the server to close, and returns everything it ever sent.
    #[track_caller]
    pub(crate) fn gets_the_end(&self) -> String {
        self.output.whole()
    }
}
