//! The actors of the tests: the real server, the real client on pipes or on a terminal, and a bare
//! connection that speaks the protocol octet by octet.
//!
//! Every wait is for an event and has a deadline; every process is killed when its actor is dropped.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::{
    pty::{OpenptyResult, Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr},
    },
    unistd::Pid,
};

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

/// A child process that does not outlive its test.
pub(crate) struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the program starts"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("the process is ours");
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
        let mut process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_ex8-server"))
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::piped()),
        );
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

/// `ex8-client` on a terminal of 60 columns.
pub(crate) struct TerminalClient {
    pub(crate) process: Process,
    pub(crate) output: Output,
    keyboard: std::fs::File,
    /// Kept open: its settings are what a shell would find afterwards.
    terminal: OwnedFd,
    before: Termios,
}

impl TerminalClient {
    pub(crate) fn start(term: &str, echo: bool, arguments: &[&str]) -> Self {
        let size = Winsize {
            ws_row: 20,
            ws_col: 60,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let OpenptyResult { master, slave } = openpty(&size, None).expect("a pseudo-terminal");
        let mut before = tcgetattr(&slave).expect("a terminal");
        before.local_flags.set(LocalFlags::ECHO, echo);
        tcsetattr(&slave, SetArg::TCSANOW, &before).expect("a terminal");
        let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_ex8-client"))
                .args(arguments)
                .env("TERM", term)
                .stdin(end())
                .stdout(end())
                .stderr(end()),
        );
        let keyboard = std::fs::File::from(master);
        Self {
            process,
            output: Output::of(keyboard.try_clone().expect("a descriptor")),
            keyboard,
            terminal: slave,
            before,
        }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("the terminal is open");
    }

    #[track_caller]
    pub(crate) fn sees(&self, text: &str) -> String {
        self.output.until(text)
    }

    pub(crate) fn is_raw(&self) -> bool {
        let now = tcgetattr(&self.terminal).expect("a terminal");
        !now.local_flags.contains(LocalFlags::ICANON)
    }

    /// Waits for the end, checks that the terminal is as it was, and returns the exit status.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let status = self.process.wait();
        let after = tcgetattr(&self.terminal).expect("a terminal");
        assert_eq!(after.local_flags, self.before.local_flags);
        assert_eq!(after.input_flags, self.before.input_flags);
        assert_eq!(after.output_flags, self.before.output_flags);
        status.code()
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

    /// Waits for the server to close, and returns everything it ever sent.
    #[track_caller]
    pub(crate) fn gets_the_end(&self) -> String {
        self.output.whole()
    }
}
