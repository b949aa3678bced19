//! Capturing on the loopback interface while two ends of the test's own talk there.
//!
//! Every exchange begins when the program says that it is ready, and it is told to stop as soon as the exchange is
//! over: what these tests are about is that neither costs a frame. Nothing here waits for a time to pass but for
//! something to happen, with a deadline.

use crate::support::skip;
use ::capture::listeners::table;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Nothing here takes so long unless something is wrong.
const DEADLINE: Duration = Duration::from_secs(30);
/// A user without any rights.
const NOBODY: u32 = 65_534;

/// Whether this user may capture; otherwise says so where nobody can miss it.
fn may_capture() -> bool {
    let output = capture(&["live", "--all", "--for", "0s"])
        .output()
        .expect("capture can be started");
    match output.status.code() {
        Some(0) => true,
        Some(3) => skip("needs the right to capture on loopback (CAP_NET_RAW)"),
        _ => panic!("{output:?}"),
    }
}

fn capture(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capture"));
    command.args(arguments);
    command
}

/// A running `capture live`, ended with the test.
struct Live {
    child: Child,
    stdout: Option<ChildStdout>,
    words: Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

/// How it ended, and what it said.
struct Said {
    status: Option<i32>,
    stdout: String,
    /// What was on standard error since it was ready.
    stderr: String,
}

impl Live {
    /// Starts it and returns as soon as it says that it is ready.
    fn start(arguments: &[&str]) -> Self {
        Self::spawn(capture(&["live"]).args(arguments))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("capture can be started");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, words) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            // The test may be over already.
            let _ = stderr
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line));
        });
        let mut live = Live {
            stdout: child.stdout.take(),
            child,
            words,
            reader: Some(reader),
        };
        let first = live.next_words();
        assert!(first.starts_with("ready: capturing on "), "{first}");
        live
    }

    fn next_words(&mut self) -> String {
        self.words
            .recv_timeout(DEADLINE)
            .expect("something is said on standard error")
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32);
        kill(pid, signal).expect("a child can be signalled");
    }

    /// Waits for the end.
    fn wait(mut self) -> Said {
        let mut stdout = String::new();
        if let Some(mut pipe) = self.stdout.take() {
            pipe.read_to_string(&mut stdout).expect("text");
        }
        let status = self.child.wait().expect("it ends").code();
        let reader = self.reader.take().expect("it is joined once");
        reader.join().expect("reading does not panic");
        let stderr: Vec<String> = self.words.try_iter().collect();
        Said {
            status,
            stdout,
            stderr: stderr.join("\n"),
        }
    }

    /// Ctrl-C, then the end.
    fn stop(self) -> Said {
        self.signal(Signal::SIGINT);
        self.wait()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Only what a failing test left behind; otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server of the test's own, on a port that nobody else has.
fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// "Hi from client!", "Hi from server!", and both close, the server first.
fn exchange(listener: &TcpListener) {
    let address = listener.local_addr().expect("an address");
    let mut client = TcpStream::connect(address).expect("it listens");
    let (mut server, _) = listener.accept().expect("a client");
    let mut text = [0; 15];
    client.write_all(b"Hi from client!").expect("it is open");
    server.read_exact(&mut text).expect("the client's text");
    server.write_all(b"Hi from server!").expect("it is open");
    client.read_exact(&mut text).expect("the server's text");
    drop(server);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("the server closes");
    let here = client.local_addr().expect("an address");
    drop(client);
    // Its socket is there until the last ACK has come.
    gone(here);
}

/// Waits until nobody has a socket with this address any more.
///
/// To drop it is not enough: a program that another test is just starting has a copy until it runs.
fn gone(address: SocketAddr) {
    let begin = Instant::now();
    while table()
        .expect("the socket tables")
        .iter()
        .any(|socket| socket.local == address)
    {
        assert!(begin.elapsed() < DEADLINE, "{address} is still in use");
        std::thread::yield_now();
    }
}

fn json(lines: &str) -> Vec<Value> {
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("one object a line"))
        .collect()
}

fn flags(line: &Value) -> Vec<&str> {
    let flags = line["flags"].as_array().expect("a segment has flags");
    flags
        .iter()
        .map(|flag| flag.as_str().expect("a name"))
        .collect()
}

#[test]
fn neither_the_first_nor_the_last_segment_is_lost() {
    if !may_capture() {
        return;
    }
    let (listener, port) = listener();
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("kept.pcapng");
    let file = file.to_str().expect("a plain name");
    let ports = port.to_string();
    let live = Live::start(&["--ports", &ports, "--format", "json", "-w", file]);
    exchange(&listener);
    let said = live.stop();

    assert_eq!(said.status, Some(0), "{}", said.stderr);
    let lines = json(&said.stdout);
    assert_eq!(flags(&lines[0]), ["SYN"]);
    let texts: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["payload"].as_str().filter(|text| !text.is_empty()))
        .collect();
    assert_eq!(texts, ["Hi from client!", "Hi from server!"]);
    let fins = lines.iter().filter(|line| flags(line).contains(&"FIN"));
    assert_eq!(fins.count(), 2, "{}", said.stdout);
    let last = lines.last().expect("some");
    assert_eq!(flags(last), ["ACK"], "the last FIN is acknowledged");
    assert!(
        said.stderr.contains(&format!("{} kept in", lines.len()))
            && said.stderr.contains("the kernel dropped none"),
        "{}",
        said.stderr
    );

    let read = capture(&["read", file, "--ports", &ports, "--format", "json"])
        .output()
        .expect("capture can be started");
    assert_eq!(String::from_utf8_lossy(&read.stdout), said.stdout);
    assert_eq!(read.status.code(), Some(0));
}

#[test]
fn datagrams_are_shown_and_that_nobody_listens() {
    if !may_capture() {
        return;
    }
    let server = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("an address");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    client.connect(address).expect("an address");
    let ports = address.port().to_string();
    let live = Live::start(&["--ports", &ports]);
    client.send(b"Hi").expect("it is sent");
    let mut text = [0; 2];
    server.recv_from(&mut text).expect("it comes");
    drop(server);
    gone(address);
    client.send(b"Still there?").expect("it is sent");
    client.set_read_timeout(Some(DEADLINE)).expect("not zero");
    let refused = client.recv(&mut text).expect_err("nobody answers");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let said = live.stop();
    assert_eq!(said.status, Some(0));
    assert!(said.stdout.contains("\"Hi\""), "{}", said.stdout);
    assert!(said.stdout.contains("nobody listens"), "{}", said.stdout);
}

#[test]
fn it_ends_by_itself_after_so_many() {
    if !may_capture() {
        return;
    }
    let (listener, port) = listener();
    let ports = port.to_string();
    let live = Live::start(&["--ports", &ports, "--format", "json", "--count", "3"]);
    exchange(&listener);
    let said = live.wait();
    assert_eq!(said.status, Some(0));
    let handshake: Vec<Value> = json(&said.stdout);
    let handshake: Vec<Vec<&str>> = handshake.iter().map(flags).collect();
    assert_eq!(handshake, [vec!["SYN"], vec!["SYN", "ACK"], vec!["ACK"]]);
}

#[test]
fn it_ends_by_itself_after_a_time() {
    if !may_capture() {
        return;
    }
    let (listener, port) = listener();
    let ports = port.to_string();
    let begin = Instant::now();
    let live = Live::start(&["--ports", &ports, "--view", "segments", "--for", "700ms"]);
    exchange(&listener);
    let said = live.wait();
    assert_eq!(said.status, Some(0));
    assert!(begin.elapsed() >= Duration::from_millis(700));
    assert!(said.stdout.contains("SYN"), "{}", said.stdout);
}

#[test]
fn any_request_to_end_keeps_what_was_captured() {
    if !may_capture() {
        return;
    }
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let (listener, port) = listener();
        // Whoever runs the tests with nohup has SIGHUP ignored, and that is inherited, and obeyed.
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_capture")]);
        let live = Live::spawn(command.args(["live", "--ports", &port.to_string()]));
        exchange(&listener);
        live.signal(signal);
        let said = live.wait();
        assert_eq!(said.status, Some(0), "{signal}");
        assert!(said.stdout.contains("Hi from server!"), "{}", said.stdout);
    }
}

#[test]
fn the_second_request_ends_it_at_once() {
    if !may_capture() {
        return;
    }
    let server = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("an address");
    let live = Live::start(&["--ports", &address.port().to_string(), "--format", "json"]);
    // More than a pipe holds: as nobody reads, it cannot come to an end.
    for _ in 0..2_000 {
        server.send_to(&[b'x'; 100], address).expect("it is sent");
    }
    live.signal(Signal::SIGINT);
    let status = format!("/proc/{}/status", live.child.id());
    let begin = Instant::now();
    let pending = |line: &str| {
        let mask = line.strip_prefix("ShdPnd:")?.trim().to_owned();
        Some(u64::from_str_radix(&mask, 16).expect("a mask") & 1 << (Signal::SIGINT as i32 - 1))
    };
    // Two signals that nobody has taken yet would be one.
    while fs::read_to_string(&status)
        .expect("it still runs")
        .lines()
        .find_map(pending)
        != Some(0)
    {
        assert!(begin.elapsed() < DEADLINE, "the first signal is not taken");
        std::thread::yield_now();
    }
    live.signal(Signal::SIGINT);
    let mut live = live;
    // Not read, so only the signal can end it.
    let status = live.child.wait().expect("it ends").code();
    assert_eq!(status, Some(130));
}

#[test]
fn it_ends_quietly_when_nobody_reads_any_more() {
    if !may_capture() {
        return;
    }
    let (listener, port) = listener();
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("kept.pcapng");
    let file = file.to_str().expect("a plain name");
    let ports = port.to_string();
    let mut live = Live::start(&["--ports", &ports, "--view", "segments", "-w", file]);
    exchange(&listener);
    let mut pipe = BufReader::new(live.stdout.take().expect("a pipe"));
    let mut line = String::new();
    pipe.read_line(&mut line).expect("text");
    drop(pipe);
    // A process that another test is just starting may hold a copy of the pipe until its exec, so one write may succeed.
    while live.child.try_wait().expect("it can be asked").is_none() {
        exchange(&listener);
    }
    let said = live.wait();
    assert_eq!((said.status, said.stderr.as_str()), (Some(0), ""));
    let read = capture(&["read", file, "--ports", &ports, "--expect", "handshake"])
        .output()
        .expect("capture can be started");
    assert_eq!(read.status.code(), Some(0), "the file is whole: {read:?}");
}

#[test]
fn who_listens_elsewhere_is_named_when_nothing_comes() {
    if !may_capture() {
        return;
    }
    let (_elsewhere, port) = listener();
    // Nobody may listen on the first port: it is taken by a client that is connected.
    let (peer, peer_port) = listener();
    let client = TcpStream::connect(("127.0.0.1", peer_port)).expect("it listens");
    drop(peer);
    let free = client.local_addr().expect("an address").port();
    let mut live = Live::start(&["--ports", &free.to_string()]);
    let words = live.next_words();
    assert!(
        words.starts_with(&format!(
            "capture: nothing seen for 5 s: nothing listens on {free}; "
        )),
        "{words}"
    );
    assert!(words.contains(": did you mean --ports "), "{words}");
    assert_eq!(live.stop().status, Some(0));

    let mut live = Live::start(&["--ports", &port.to_string()]);
    let words = live.next_words();
    let expected = format!("a program listens on tcp 127.0.0.1:{port}: is the client running?");
    assert!(words.ends_with(&expected), "{words}");
    assert_eq!(live.stop().status, Some(0));
}

#[test]
fn without_the_right_to_capture_it_says_what_helps() {
    let folder = TempDir::new().expect("a temporary folder");
    // Where nobody else can reach the program, an ordinary user could not even start it.
    let program = folder.path().join("capture");
    fs::copy(env!("CARGO_BIN_EXE_capture"), &program).expect("a copy");
    for path in [folder.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own file");
    }
    let as_ordinary_user = |arguments: &[&str]| -> Output {
        let mut command = Command::new(&program);
        command.args(arguments).current_dir("/");
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().expect("the copy can be started")
    };
    let path = program.to_str().expect("a plain name");

    let output = as_ordinary_user(&["live", "--ports", "20001"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(
        stderr.contains("capturing on lo is not permitted"),
        "{stderr}"
    );
    assert!(
        stderr.contains(&format!("sudo setcap cap_net_raw=eip {path}")),
        "{stderr}"
    );
    assert!(
        stderr.contains(&format!("sudo {path} live --ports 20001")),
        "{stderr}"
    );
    assert!(
        stderr.contains(&format!("{path} run -- COMMAND")),
        "{stderr}"
    );
    assert_eq!(output.stdout, b"");

    let output = as_ordinary_user(&["interfaces"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    assert!(
        stdout.contains("not permitted") && stdout.contains("sudo setcap"),
        "{stdout}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_takes_nothing_is_named() {
    if !may_capture() {
        return;
    }
    let server = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("an address");
    let port = address.port().to_string();
    for arguments in [
        &["live", "--ports", &port, "--count", "1"][..],
        &["interfaces"],
    ] {
        let full = fs::File::create("/dev/full").expect("Linux has /dev/full");
        let mut child = capture(arguments)
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .expect("capture can be started");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut said = String::new();
        while let Some(Ok(line)) = lines.next() {
            if line.starts_with("ready: ") {
                server.send_to(b"x", address).expect("it is sent");
            }
            said += &line;
        }
        assert_eq!(child.wait().expect("it ends").code(), Some(2), "{said}");
        assert!(said.contains("standard output cannot be written"), "{said}");
    }
}

#[test]
fn the_interfaces_are_listed_with_the_one_that_is_taken() {
    let output = capture(&["interfaces", "--format", "json"])
        .output()
        .expect("capture can be started");
    assert_eq!(output.status.code(), Some(0));
    let interfaces = json(&String::from_utf8_lossy(&output.stdout));
    let taken: Vec<&Value> = interfaces
        .iter()
        .filter(|one| one["default"] == true)
        .collect();
    assert_eq!(taken.len(), 1, "{interfaces:?}");
    assert_eq!(taken[0]["loopback"], true);
    assert_eq!(taken[0]["addresses"][0], "127.0.0.1");
}

#[test]
fn mistakes_in_the_arguments_are_told_with_exit_status_2() {
    #[track_caller]
    fn check(arguments: &[&str], says: &str) {
        let output = capture(arguments).output().expect("capture can be started");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
    check(&["live", "-w", "-"], "`capture read`");
    check(&["live", "--count", "0"], "--count");
    check(&["live", "--for", "soon"], "--for");
    check(&["live", "--buffer", "0"], "--buffer");
    check(&["live", "--all", "--ports", "1"], "--ports");
    if may_capture() {
        check(
            &["live", "-i", "lab-none"],
            "there is no interface lab-none; there are ",
        );
        check(
            &["live", "-w", "/nowhere/x"],
            "/nowhere/x cannot be written",
        );
    }
}
