//! The two programs as a person meets them: real processes, real sockets, real signals.
//!
//! Every wait is for an event (a line, an exit, the end of a stream) and has a deadline; nothing
//! here sleeps or measures time. Deliberately absent: arithmetic and grammar in detail, which are
//! tested beside the code.

#![cfg(unix)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use assert_cmd::assert::OutputAssertExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for a machine whose cores are all busy; only a failing test waits this long.
const DEADLINE: Duration = Duration::from_secs(60);

/// The lines of a stream, as they come.
struct Lines {
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            lines,
            seen: Vec::new(),
        }
    }

    /// The next line; `None` at the end of the stream.
    #[track_caller]
    fn next(&mut self) -> Option<String> {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line in time, after {:#?}", self.seen),
        }
    }

    #[track_caller]
    fn expect(&mut self, expected: &str) {
        assert_eq!(
            self.next().as_deref(),
            Some(expected),
            "after {:#?}",
            self.seen
        );
    }

    /// Skips to the first line with this text in it.
    #[track_caller]
    fn await_text(&mut self, text: &str) -> String {
        loop {
            match self.next() {
                Some(line) if line.contains(text) => return line,
                Some(_) => {}
                None => panic!("the stream ended without {text:?}: {:#?}", self.seen),
            }
        }
    }

    #[track_caller]
    fn rest(mut self) -> Vec<String> {
        while self.next().is_some() {}
        self.seen
    }
}

/// A process that does not outlive its test.
struct Process(Child);

impl Process {
    #[track_caller]
    fn start(program: &str, arguments: &[&str]) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.expect("the program starts"))
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.0.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("the process is there");
    }

    /// To be called when its exit is due: its output has ended, or it was killed.
    fn status(mut self) -> ExitStatus {
        self.0.wait().expect("a child of ours")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has ended, as it should have.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Server {
    process: Process,
    address: SocketAddr,
    screen: Lines,
}

impl Server {
    #[track_caller]
    fn start() -> Self {
        Self::bind("127.0.0.1:0")
    }

    #[track_caller]
    fn bind(address: &str) -> Self {
        let mut process = Process::start(SERVER, &["--bind", address]);
        let mut screen = Lines::of(process.0.stdout.take().expect("piped"));
        let first = screen.next().expect("a first line");
        let address = first
            .strip_prefix("Listening on ")
            .expect("the address comes first");
        Self {
            address: address.parse().expect("IP:PORT"),
            process,
            screen,
        }
    }

    fn connect(&self) -> Peer {
        Peer::new(TcpStream::connect(self.address).expect("the server accepts"))
    }

    fn client(&self, arguments: &[&str]) -> Client {
        Client::start(self.address, arguments)
    }
}

struct Client {
    process: Process,
    stdin: Option<ChildStdin>,
    output: Lines,
    warnings: Lines,
}

impl Client {
    #[track_caller]
    fn start(server: SocketAddr, arguments: &[&str]) -> Self {
        let server = server.to_string();
        let mut process = Process::start(CLIENT, &[&[server.as_str()], arguments].concat());
        Self {
            stdin: process.0.stdin.take(),
            output: Lines::of(process.0.stdout.take().expect("piped")),
            warnings: Lines::of(process.0.stderr.take().expect("piped")),
            process,
        }
    }

    fn types(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("not closed yet");
        stdin
            .write_all(format!("{line}\n").as_bytes())
            .expect("the client reads");
    }

    /// Waits for the end: exit status, all of standard output, all of standard error.
    #[track_caller]
    fn finish(self) -> (Option<i32>, Vec<String>, Vec<String>) {
        let (output, warnings) = (self.output.rest(), self.warnings.rest());
        drop(self.stdin);
        (self.process.status().code(), output, warnings)
    }
}

/// A bare end of a connection, to send what no well-behaved program would.
struct Peer {
    stream: TcpStream,
    lines: Lines,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        let lines = Lines::of(stream.try_clone().expect("a second handle"));
        Self { stream, lines }
    }

    fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream
            .write_all(octets.as_ref())
            .expect("the other side is there");
    }
}

/// A server under the test's control: what arrives is exactly what the client sent.
fn fake_server() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    (listener.local_addr().expect("bound"), listener)
}

fn accept(listener: &TcpListener) -> Peer {
    Peer::new(listener.accept().expect("the client connects").0)
}

const SERVER: &str = env!("CARGO_BIN_EXE_ex6-server");
const CLIENT: &str = env!("CARGO_BIN_EXE_ex6-client");

#[test]
fn two_sessions_are_served_at_once_each_under_its_name() {
    let mut server = Server::start();
    let mut ada = server.client(&["--name", "Ada"]);
    ada.types("12 + 42");
    ada.output.expect("= 54");
    let mut bob = server.client(&[]);
    bob.types("  Bob ");
    bob.types("4.5 / -6");
    bob.output.expect("= -0.75");
    ada.types("3.24 * 45");
    ada.output.expect("= 145.8");

    server.screen.await_text("Session started: Ada (127.0.0.1:");
    server.screen.expect("Ada: 12 + 42 = 54");
    server.screen.await_text("Session started: Bob (127.0.0.1:");
    server.screen.expect("Bob: 4.5 / -6 = -0.75");
    server.screen.expect("Ada: 3.24 * 45 = 145.8");

    ada.types("q");
    assert_eq!(ada.finish().0, Some(0));
    server.screen.expect("Ada: q");
    server.screen.expect("Session ended: Ada (said q)");
    bob.types("1 + 1");
    bob.output.expect("= 2");
}

#[test]
fn in_a_pipe_answers_go_to_standard_output_and_nothing_else_does() {
    let server = Server::start();
    let mut client = server.client(&[]);
    for line in ["Ada", "0.1 + 0.2", "3.24 45", "4 / 0", "1 / 3", "q"] {
        client.types(line);
    }
    let (status, output, warnings) = client.finish();
    assert_eq!(status, Some(0));
    assert_eq!(
        output,
        [
            "= 0.3",
            "error: division by zero",
            "= 0.3333333333333333333333333333 (rounded)"
        ]
    );
    assert_eq!(
        warnings,
        [
            "Not sent: at character 6: expected an operator (+ - * /), found `4`.",
            "  3.24 45",
            "       ^"
        ]
    );
}

#[test]
fn the_last_line_of_a_file_needs_no_line_end() {
    let mut server = Server::start();
    let mut client = server.client(&["--name", "Ada"]);
    client
        .stdin
        .take()
        .expect("piped")
        .write_all(b"12 + 42")
        .expect("the client reads");
    assert_eq!(client.finish(), (Some(0), vec!["= 54".to_owned()], vec![]));
    server.screen.await_text("Session ended: Ada (said q)");
}

#[test]
fn the_name_comes_first_and_malformed_lines_never_leave_the_client() {
    let (address, listener) = fake_server();
    let mut client = Client::start(address, &[]);
    let mut wire = accept(&listener);
    client.types(" Ada ");
    wire.lines.expect("Ada");
    wire.send("hello Ada\n");
    for malformed in [
        "3.24 45",
        "",
        "hello",
        "1 + 2 + 3",
        "1e3 + 1",
        &"1".repeat(5000),
    ] {
        client.types(malformed);
        client.warnings.await_text("Not sent: ");
    }
    client.types("12 +  42");
    wire.lines.expect("12 +  42");
    wire.send("= 54\n");
    client.output.expect("= 54");
    client.types("q");
    wire.lines.expect("q");
    wire.send("goodbye: session ended\n");
    assert_eq!(wire.lines.rest(), ["Ada", "12 +  42", "q"]);
    assert_eq!(client.finish().0, Some(0));
}

/// Whatever ends the client, `q` crosses the wire and the client exits with status 0.
#[track_caller]
fn check_leaves(how: impl FnOnce(&mut Client)) {
    let (address, listener) = fake_server();
    let mut client = Client::start(address, &["--name", "Ada"]);
    let mut wire = accept(&listener);
    wire.lines.expect("Ada");
    wire.send("hello Ada\n");
    client.types("1 + 1");
    wire.lines.expect("1 + 1");
    wire.send("= 2\n");
    client.output.expect("= 2");
    how(&mut client);
    wire.lines.expect("q");
    wire.send("goodbye: session ended\n");
    assert_eq!(client.finish(), (Some(0), vec!["= 2".to_owned()], vec![]));
}

#[test]
fn q_end_of_input_ctrl_c_and_sigterm_all_say_q_to_the_server() {
    check_leaves(|client| client.types("q"));
    check_leaves(|client| client.types(" q "));
    check_leaves(|client| drop(client.stdin.take()));
    check_leaves(|client| client.process.signal(Signal::SIGINT));
    check_leaves(|client| client.process.signal(Signal::SIGTERM));
}

#[test]
fn ctrl_c_leaves_while_an_answer_is_outstanding_and_before_a_name_is_given() {
    let (address, listener) = fake_server();
    let mut client = Client::start(address, &["--name", "Ada"]);
    let mut wire = accept(&listener);
    wire.lines.expect("Ada");
    wire.send("hello Ada\n");
    client.types("1 + 1");
    wire.lines.expect("1 + 1");
    client.process.signal(Signal::SIGINT);
    wire.lines.expect("q");
    wire.send("= 2\ngoodbye: session ended\n");
    assert_eq!(client.finish().0, Some(0));

    let (address, listener) = fake_server();
    let client = Client::start(address, &[]);
    // Its signal handlers are in place before it connects.
    let mut wire = accept(&listener);
    client.process.signal(Signal::SIGINT);
    wire.lines.expect("q");
    wire.send("goodbye: session ended\n");
    assert_eq!(client.finish(), (Some(0), vec![], vec![]));
}

#[test]
fn leaving_does_not_depend_on_the_servers_goodbye() {
    let (address, listener) = fake_server();
    let mut client = Client::start(address, &["--name", "Ada"]);
    let mut wire = accept(&listener);
    wire.send("hello Ada\n");
    client.types("q");
    wire.lines.expect("Ada");
    wire.lines.expect("q");
    let (status, _, warnings) = client.finish();
    assert_eq!(
        (status, warnings),
        (Some(0), vec!["The server did not say goodbye.".to_owned()])
    );
}

#[test]
fn a_server_that_vanishes_is_noticed_while_waiting_for_input() {
    for farewell in [
        "",
        "goodbye: closing time\n",
        "HTTP/1.1 408 \x1b[31mTimeout\n",
    ] {
        let (address, listener) = fake_server();
        let client = Client::start(address, &["--name", "Ada"]);
        let mut wire = accept(&listener);
        wire.lines.expect("Ada");
        wire.send("hello Ada\n");
        wire.send(farewell);
        wire.stream.shutdown(Shutdown::Both).expect("connected");
        let expected = match farewell {
            "" => "ex6-client: the server closed the connection",
            "goodbye: closing time\n" => "ex6-client: the server ended the session: closing time",
            _ => {
                "ex6-client: the server sent `HTTP/1.1 408 \\x1b[31mTimeout`, \
                 which is no reply of a calculator: is it another program?"
            }
        };
        // Its standard input is still open: nobody pressed Enter.
        assert!(client.stdin.is_some());
        assert_eq!(
            client.finish(),
            (Some(1), vec![], vec![expected.to_owned()])
        );
    }
}

#[test]
fn a_killed_server_is_reported_at_once() {
    let server = Server::start();
    let mut client = server.client(&["--name", "Ada"]);
    client.types("1 + 1");
    client.output.expect("= 2");
    server.process.signal(Signal::SIGKILL);
    let (status, _, warnings) = client.finish();
    assert_eq!(status, Some(1));
    assert!(warnings[0].starts_with("ex6-client: the "), "{warnings:?}");
}

#[test]
fn sigint_and_sigterm_end_the_server_with_status_0_after_a_goodbye_to_everyone() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let server = Server::start();
        let mut client = server.client(&["--name", "Ada"]);
        client.types("1 + 1");
        client.output.expect("= 2");
        let mut named = server.connect();
        named.send("Bob\n");
        named.lines.expect("hello Bob");
        let mut half = server.connect();
        half.send("Carol\n12 +");
        half.lines.expect("hello Carol");

        server.process.signal(signal);
        named.lines.expect("goodbye: the server is stopping");
        assert_eq!(named.lines.next(), None);
        half.lines.expect("goodbye: the server is stopping");
        let (status, _, warnings) = client.finish();
        assert_eq!(status, Some(1));
        assert_eq!(
            warnings,
            ["ex6-client: the server ended the session: the server is stopping"]
        );

        let screen = server.screen.rest();
        for name in ["Ada", "Bob", "Carol"] {
            let ended = format!("Session ended: {name} (the server is stopping)");
            assert!(screen.contains(&ended), "{screen:#?}");
        }
        assert_eq!(screen.last().map(String::as_str), Some("Server stopped."));
        assert_eq!(server.process.status().code(), Some(0));
    }
}

#[test]
fn the_server_stops_although_a_client_does_not_read_and_one_lingers_after_q() {
    let mut server = Server::start();
    let mut lingering = server.connect();
    lingering.send("Linger\nq\n");
    lingering.lines.expect("hello Linger");
    lingering.lines.expect("goodbye: session ended");
    let _deaf = deaf_peer(&server);
    server.process.signal(Signal::SIGTERM);
    server.screen.await_text("Server stopped.");
    assert_eq!(server.process.status().code(), Some(0));
}

/// A client that sends until nothing more fits, and never reads.
fn deaf_peer(server: &Server) -> TcpStream {
    let mut deaf = TcpStream::connect(server.address).expect("the server accepts");
    deaf.write_all(b"Deaf\n").expect("connected");
    deaf.set_nonblocking(true).expect("a socket");
    let requests = "1 / 3\n".repeat(1000);
    let mut sent = 0;
    // Full is when the server has stopped reading: it still drains the socket for some time.
    let mut refused_in_a_row = 0;
    while refused_in_a_row < 20 {
        match deaf.write(requests.as_bytes()) {
            Ok(length) => {
                sent += length;
                refused_in_a_row = 0;
            }
            Err(_) => {
                // Another client's round trip: the server has had its turn meanwhile.
                let mut other = server.connect();
                other.send("Other\nq\n");
                other.lines.expect("hello Other");
                other.lines.expect("goodbye: session ended");
                refused_in_a_row += 1;
            }
        }
    }
    assert!(
        sent > requests.len(),
        "the connection took only {sent} octets"
    );
    deaf
}

#[test]
fn a_client_that_does_not_read_delays_nobody() {
    let server = Server::start();
    let _deaf = deaf_peer(&server);
    let mut client = server.client(&["--name", "Ada"]);
    client.types("12 + 42");
    client.output.expect("= 54");
}

#[test]
fn division_by_zero_overflow_and_malformed_lines_are_answers_and_the_session_goes_on() {
    let mut server = Server::start();
    let mut peer = server.connect();
    peer.send("Ada\n4 / 0\n9999999999999999999999999999 * 9\n3.24 45\n\n");
    peer.send(b"\xff\x1b[2J\n12 + 42\r\n");
    peer.lines.expect("hello Ada");
    peer.lines.expect("error: division by zero");
    peer.lines
        .expect("error: overflow: the result is beyond ±79228162514264337593543950335");
    peer.lines
        .expect("error: at character 6: expected an operator (+ - * /), found `4`");
    peer.lines
        .expect("error: at character 1: expected a number, found the end of the line");
    peer.lines
        .expect("error: at character 1: the line is not UTF-8 text");
    peer.lines.expect("= 54");
    server
        .screen
        .await_text("Ada: 4 / 0 (error: division by zero)");
    server.screen.await_text("\\xff\\x1b[2J (error: ");
    server.screen.expect("Ada: 12 + 42 = 54");
}

#[test]
fn a_line_that_is_too_long_is_refused_before_it_ends_and_the_session_goes_on() {
    let mut server = Server::start();
    let mut peer = server.connect();
    peer.send("Ada\n");
    peer.lines.expect("hello Ada");
    peer.send("1".repeat(100_000));
    peer.lines
        .expect("error: the line is longer than 1024 octets");
    peer.send("1".repeat(100_000) + "\n12 + 42\n");
    peer.lines.expect("= 54");
    server
        .screen
        .await_text("Ada:  (error: the line is longer than 1024 octets)");
    server.screen.expect("Ada: 12 + 42 = 54");
}

#[test]
fn lines_are_found_however_the_stream_is_cut() {
    let server = Server::start();
    let mut peer = server.connect();
    peer.stream.set_nodelay(true).expect("a socket");
    for octet in "Ada\r\n6 × 7\n".bytes() {
        peer.send([octet]);
    }
    peer.lines.expect("hello Ada");
    peer.lines.expect("= 42");
    let many: String = (0..2000).map(|n| format!("{n} + 1\n")).collect();
    peer.send(many);
    for n in 0..2000 {
        peer.lines.expect(&format!("= {}", n + 1));
    }
}

#[test]
fn a_name_that_cannot_be_used_is_refused_with_the_reason() {
    let mut server = Server::start();
    for (name, reason) in [
        ("", "a name needs at least one character"),
        ("A\x07", "a name has no control characters"),
        (&"x".repeat(33), "a name has at most 32 characters, not 33"),
    ] {
        let mut peer = server.connect();
        peer.send(format!("{name}\n1 + 1\n"));
        assert_eq!(peer.lines.rest(), [format!("error: {reason}")]);
        server
            .screen
            .await_text(&format!("without a name (name refused: {reason})"));

        let mut client = server.client(&[]);
        client.types(name);
        let (status, _, warnings) = client.finish();
        assert_eq!(status, Some(1));
        assert_eq!(
            warnings,
            [format!("ex6-client: the first line is the name: {reason}")]
        );

        Command::new(CLIENT).args(["--name", name]).assert().code(2);
    }
}

#[test]
fn the_screen_tells_how_each_session_ended() {
    let mut server = Server::start();
    let mut quits = server.connect();
    quits.send("Ada\nq\n");
    server.screen.await_text("Session ended: Ada (said q)");

    let mut closes = server.connect();
    closes.send("Bob\n12 + 4");
    closes.lines.expect("hello Bob");
    closes.stream.shutdown(Shutdown::Write).expect("connected");
    server
        .screen
        .await_text("Session ended: Bob (closed the connection)");
    assert!(
        !server
            .screen
            .seen
            .iter()
            .any(|line| line.contains("12 + 4")),
        "an unfinished line is not a request"
    );

    // With linger 0, closing the socket sends RST instead of FIN.
    let mut resets = TcpStream::connect(server.address).expect("the server accepts");
    resets.write_all(b"Carol\n").expect("connected");
    server.screen.await_text("Session started: Carol");
    let linger = socket2::SockRef::from(&resets).set_linger(Some(Duration::ZERO));
    linger.expect("a socket");
    drop(resets);
    server
        .screen
        .await_text("Session ended: Carol (connection lost: Connection reset by peer");

    let silent = server.connect();
    silent.stream.shutdown(Shutdown::Both).expect("connected");
    server
        .screen
        .await_text("without a name (closed the connection)");

    let mut killed = server.client(&["--name", "Dan"]);
    killed.types("1 + 1");
    killed.output.expect("= 2");
    killed.process.signal(Signal::SIGKILL);
    server.screen.await_text("Session ended: Dan (");
}

#[test]
fn three_hundred_sessions_are_served_at_once() {
    let server = Server::start();
    let mut peers: Vec<_> = (0..300)
        .map(|_| BufReader::new(TcpStream::connect(server.address).expect("accepted")))
        .collect();
    let exchange = |peer: &mut BufReader<TcpStream>, line: &str, expected: &str| {
        peer.get_ref()
            .set_read_timeout(Some(DEADLINE))
            .expect("a socket");
        peer.get_mut()
            .write_all(format!("{line}\n").as_bytes())
            .expect("connected");
        let mut reply = String::new();
        peer.read_line(&mut reply).expect("a reply in time");
        assert_eq!(reply.trim_end(), expected);
    };
    // Every session is open before the first request, and still is after the last.
    for (n, peer) in peers.iter_mut().enumerate() {
        exchange(peer, &format!("Member {n}"), &format!("hello Member {n}"));
    }
    for round in 0..3 {
        for (n, peer) in peers.iter_mut().enumerate() {
            exchange(peer, &format!("{n} * {round}"), &format!("= {}", n * round));
        }
    }
    server.process.signal(Signal::SIGTERM);
    let ended = server.screen.rest();
    let ended = ended
        .iter()
        .filter(|line| line.starts_with("Session ended: Member "));
    assert_eq!(ended.count(), 300);
}

#[test]
fn without_file_descriptors_new_clients_wait_and_the_others_are_served() {
    let command = "ulimit -n 20; exec \"$0\" --bind 127.0.0.1:0";
    let mut process = Process::start("/bin/sh", &["-c", command, SERVER]);
    let mut screen = Lines::of(process.0.stdout.take().expect("piped"));
    let address = screen
        .await_text("Listening on ")
        .replace("Listening on ", "");
    let connect = || Peer::new(TcpStream::connect(&address).expect("the kernel accepts"));
    let mut peers: Vec<_> = (0..30).map(|_| connect()).collect();
    screen.expect("Cannot accept more clients for the moment: Too many open files (os error 24)");

    let mut last = peers.pop().expect("thirty");
    last.send("Last\n");
    peers[0].send("First\n1 + 1\n");
    peers[0].lines.expect("hello First");
    peers[0].lines.expect("= 2");
    for peer in &peers {
        peer.stream.shutdown(Shutdown::Both).expect("connected");
    }
    last.lines.expect("hello Last");
}

#[test]
fn the_goodbye_reaches_a_client_that_sent_more_than_was_read() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address).expect("the server accepts");
    let ignored = "1 + 1\n".repeat(100_000);
    stream
        .write_all(format!("Ada\nq\n{ignored}").as_bytes())
        .expect("the server still reads");
    stream.shutdown(Shutdown::Write).expect("connected");
    let mut replies = String::new();
    stream.read_to_string(&mut replies).expect("FIN, not RST");
    assert_eq!(replies, "hello Ada\ngoodbye: session ended\n");
}

#[test]
fn a_server_whose_screen_is_gone_goes_on_serving() {
    let mut server = Process::start(SERVER, &["--bind", "127.0.0.1:0"]);
    let mut output = BufReader::new(server.0.stdout.take().expect("piped"));
    let mut first = String::new();
    output.read_line(&mut first).expect("a first line");
    drop(output);
    let address = first.trim_end().rsplit(' ').next().expect("an address");
    let mut peer = Peer::new(TcpStream::connect(address).expect("accepted"));
    peer.send("Ada\n1 + 1\n1 + 2\n");
    peer.lines.expect("hello Ada");
    peer.lines.expect("= 2");
    peer.lines.expect("= 3");
    server.signal(Signal::SIGTERM);
    peer.lines.expect("goodbye: the server is stopping");
    assert_eq!(server.status().code(), Some(0));
}

#[test]
fn an_output_that_nobody_reads_ends_the_client_like_q() {
    let mut server = Server::start();
    let mut process = Process::start(CLIENT, &[&server.address.to_string(), "--name", "Ada"]);
    drop(process.0.stdout.take());
    let mut stdin = process.0.stdin.take().expect("piped");
    stdin.write_all(b"1 + 1\n").expect("the client reads");
    server.screen.await_text("Session ended: Ada (said q)");
    assert_eq!(process.status().code(), Some(0));
}

#[test]
fn when_nobody_listens_the_client_says_so_and_fails() {
    let (address, listener) = fake_server();
    drop(listener);
    Command::new(CLIENT).arg(address.to_string()).assert().code(1).stdout("").stderr(format!(
        "ex6-client: nobody listens on {address}: is the server running? Start it with ex6-server\n"
    ));
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let server = Server::start();
    Command::new(SERVER)
        .args(["--bind", &server.address.to_string()])
        .assert()
        .code(1)
        .stdout("")
        .stderr(format!(
            "ex6-server: {} is already in use: another program holds it; \
             stop that one or choose another port with --bind\n",
            server.address
        ));
}

#[test]
fn an_address_of_another_computer_cannot_be_bound() {
    // 192.0.2.0/24 is reserved for documentation (RFC 5737).
    let assert = Command::new(SERVER)
        .args(["--bind", "192.0.2.1:0"])
        .assert()
        .code(1);
    let message = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(
        message.contains("192.0.2.1:0 is not an address of this computer"),
        "{message}"
    );
}

/// On an address of its own, so that no other test can take the port in between.
#[cfg(target_os = "linux")]
#[test]
fn a_server_stopped_with_clients_connected_can_be_started_again_at_once() {
    let mut server = Server::bind("127.6.6.6:0");
    let mut peer = server.connect();
    peer.send("Ada\n");
    peer.lines.expect("hello Ada");
    server.process.signal(Signal::SIGTERM);
    peer.lines.expect("goodbye: the server is stopping");
    server.screen.await_text("Server stopped.");
    let address = server.address.to_string();
    assert_eq!(server.process.status().code(), Some(0));
    let again = Server::bind(&address);
    assert_eq!(again.address.to_string(), address);
}

#[test]
fn ipv6_and_host_names_work() {
    if TcpListener::bind("[::1]:0").is_err() {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(
            !ci,
            "the IPv6 loopback is missing, and CI must not skip this"
        );
        println!("SKIPPED: ipv6_and_host_names_work needs the IPv6 loopback [::1]");
        return;
    }
    let server = Server::bind("[::1]:0");
    assert!(server.address.is_ipv6());
    let mut client = server.client(&["--name", "Ada"]);
    client.types("12 + 42");
    client.output.expect("= 54");

    let named = Server::bind("localhost:0");
    let host = format!("localhost:{}", named.address.port());
    let mut client = Process::start(CLIENT, &[&host, "--name", "Ada"]);
    client
        .0
        .stdin
        .take()
        .expect("piped")
        .write_all(b"1 + 1\n")
        .expect("the client reads");
    Lines::of(client.0.stdout.take().expect("piped")).expect("= 2");
}

#[test]
fn wrong_arguments_are_a_usage_error_and_help_has_examples() {
    for program in [SERVER, CLIENT] {
        let assert = Command::new(program).arg("--help").assert().code(0);
        let help = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
        assert!(help.contains("Examples:"), "{help}");
    }
    Command::new(SERVER)
        .args(["--bind", "localhost:99999"])
        .assert()
        .code(2);
    Command::new(CLIENT).arg(":20001").assert().code(2);
}

/// A client on a pseudo-terminal without echo, and what its screen has shown so far.
struct Terminal {
    process: Process,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    shown: String,
    mark: usize,
}

impl Terminal {
    fn start(arguments: &[&str]) -> Self {
        use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
        let pty = nix::pty::openpty(None, None).expect("a pseudo-terminal");
        let mut modes = tcgetattr(&pty.slave).expect("a terminal");
        modes.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &modes).expect("a terminal");
        let end = || Stdio::from(pty.slave.try_clone().expect("a second handle"));
        let child = Command::new(CLIENT)
            .args(arguments)
            .env("TERM", "dumb")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn();
        let process = Process(child.expect("the client starts"));
        let keyboard = File::from(pty.master);
        let mut screen = keyboard.try_clone().expect("a second handle");
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            // The end of a terminal is an error (EIO), not a read of nothing.
            while let Ok(length @ 1..) = screen.read(&mut chunk) {
                if sender.send(chunk[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            keyboard,
            output,
            shown: String::new(),
            mark: 0,
        }
    }

    /// Waits until the screen, after what was awaited last, shows this text.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(place) = self.shown[self.mark..].find(text) {
                self.mark += place + text.len();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(octets) => self.shown += &String::from_utf8_lossy(&octets),
                Err(_) => panic!("{text:?} is not shown: {:?}", self.shown),
            }
        }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("the terminal is there");
    }

    /// Everything shown until the program ended, and its exit status.
    fn finish(mut self) -> (Option<i32>, String) {
        while let Ok(octets) = self.output.recv_timeout(DEADLINE) {
            self.shown += &String::from_utf8_lossy(&octets);
        }
        (self.process.status().code(), self.shown)
    }
}

const WELCOME: &str = "Hello Ada! Type a number, an operator (+ - * /) and a number, with spaces between; q to leave.";

#[test]
fn on_a_terminal_there_are_prompts_and_a_bad_name_is_asked_for_again() {
    let server = Server::start();
    let mut terminal = Terminal::start(&[&server.address.to_string()]);
    terminal.shows("Your name: ");
    terminal.types("\n");
    terminal.shows("Your name: ");
    terminal.types("Ada\n");
    terminal.shows("\r\n> ");
    terminal.types("12 + 42\n");
    terminal.shows("= 54\r\n> ");
    terminal.types("3.24 45\n");
    terminal.shows("^\r\n> ");
    terminal.types("q\n");
    let (status, shown) = terminal.finish();
    assert_eq!(status, Some(0));
    assert_eq!(
        shown.replace("\r\n", "\n"),
        format!(
            "Your name: Not sent: a name needs at least one character.\n\
             Your name: {WELCOME}\n\
             > = 54\n\
             > Not sent: at character 6: expected an operator (+ - * /), found `4`.\n\
             \x20 3.24 45\n\
             \x20      ^\n\
             > Goodbye.\n"
        )
    );
}

#[test]
fn on_a_terminal_ctrl_d_and_ctrl_c_leave_at_once() {
    let mut server = Server::start();
    for name_given in [false, true] {
        let mut terminal = Terminal::start(&[&server.address.to_string()]);
        terminal.shows("Your name: ");
        if name_given {
            terminal.types("Ada\n");
            terminal.shows("\r\n> ");
        }
        terminal.types("\x04");
        server.screen.await_text("(said q)");
        let (status, shown) = terminal.finish();
        assert_eq!(status, Some(0));
        assert!(shown.ends_with("\r\nGoodbye.\r\n"), "{shown:?}");

        let mut terminal = Terminal::start(&[&server.address.to_string()]);
        terminal.shows("Your name: ");
        if name_given {
            terminal.types("Ada\n");
            terminal.shows("\r\n> ");
        }
        terminal.process.signal(Signal::SIGINT);
        server.screen.await_text("(said q)");
        let (status, shown) = terminal.finish();
        assert_eq!(status, Some(0));
        assert!(shown.ends_with("\r\nGoodbye.\r\n"), "{shown:?}");
    }
}

#[test]
fn on_a_terminal_a_stopping_server_is_reported_on_a_line_of_its_own() {
    let server = Server::start();
    let mut terminal = Terminal::start(&[&server.address.to_string(), "--name", "Ada"]);
    terminal.shows("\r\n> ");
    server.process.signal(Signal::SIGINT);
    let (status, shown) = terminal.finish();
    assert_eq!(status, Some(1));
    assert!(
        shown.ends_with(
            "> \r\nex6-client: the server ended the session: the server is stopping\r\n"
        ),
        "{shown:?}"
    );
}
