//! The real programs, over the loopback interface.

mod program;

use std::net::UdpSocket;
use std::process::Output;
use std::thread;

use assert_cmd::Command;
use nix::sys::signal::Signal;

use program::{DEADLINE, Program, has_ipv6, start_and_close_pipe, wait_poking};

const SERVER: &str = env!("CARGO_BIN_EXE_ex1-server");
const CLIENT: &str = env!("CARGO_BIN_EXE_ex1-client");

fn server(bind: &str) -> (Program, String) {
    let mut server = Program::start(SERVER, &["--bind", bind]);
    let address = server.address().to_string();
    (server, address)
}

fn client(arguments: &[&str]) -> Output {
    Command::new(CLIENT)
        .args(arguments)
        .timeout(DEADLINE)
        .output()
        .expect("the client starts")
}

#[track_caller]
fn check(output: &Output, status: i32, stdout: &str, stderr_part: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "{told}");
    assert!(told.contains(stderr_part), "{told}");
    assert_eq!(output.status.code(), Some(status), "{told}");
}

/// A socket the test plays a peer with; no wait on it is without end.
fn peer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
    socket
        .set_read_timeout(Some(DEADLINE))
        .expect("a deadline can be set");
    socket
}

/// An address where nobody listens, as long as the socket lives: it holds the
/// port against other programs, and being connected elsewhere it takes no
/// datagram from the client, so the kernel answers that the port is closed.
fn deserted() -> (UdpSocket, String) {
    let socket = peer();
    socket
        .connect("127.0.0.1:9")
        .expect("connecting sends nothing");
    let address = socket.local_addr().expect("a bound socket").to_string();
    (socket, address)
}

#[test]
fn the_server_prints_the_message_and_the_client_the_answer() {
    let (mut server, address) = server("127.0.0.1:0");
    let output = client(&[&address]);
    check(
        &output,
        0,
        "Hi from server! You said: Hi from client!\n",
        "",
    );
    assert!(output.stderr.is_empty());
    let line = server.line("Hi from client!");
    assert!(line.starts_with("127.0.0.1:"), "{line}");
}

#[test]
fn one_server_serves_many_clients_in_turn_and_at_once() {
    let (server, address) = server("127.0.0.1:0");
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let address = address.clone();
            thread::spawn(move || {
                for turn in 0..3 {
                    let text = format!("client {n} turn {turn}");
                    let output = client(&[&address, "--message", &text, "--tries", "6"]);
                    let answer = format!("Hi from server! You said: {text}\n");
                    check(&output, 0, &answer, "");
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("every answer is right");
    }
    server.signal(Signal::SIGTERM);
    let (status, lines) = server.end();
    assert_eq!(status, Some(0));
    for n in 0..8 {
        for turn in 0..3 {
            let text = format!(": client {n} turn {turn}");
            assert!(lines.iter().any(|line| line.ends_with(&text)), "{text}");
        }
    }
}

#[test]
fn ipv6_works_and_a_dual_server_shows_ipv4_peers_as_ipv4() {
    if !has_ipv6("ipv6_works_and_a_dual_server_shows_ipv4_peers_as_ipv4") {
        return;
    }
    let (mut six, address) = server("[::1]:0");
    check(
        &client(&[&address, "--message", "six"]),
        0,
        "Hi from server! You said: six\n",
        "",
    );
    assert!(six.line("six").starts_with("[::1]:"));

    let (mut both, address) = server("[::]:0");
    let port = address.rsplit(':').next().expect("an address has a port");
    let four = client(&[&format!("127.0.0.1:{port}"), "--message", "four"]);
    check(&four, 0, "Hi from server! You said: four\n", "");
    assert!(both.line("four").starts_with("127.0.0.1:"));
}

#[test]
fn a_host_name_is_resolved_and_each_of_its_addresses_tried() {
    let (_server, address) = server("127.0.0.1:0");
    let port = address.rsplit(':').next().expect("an address has a port");
    // `localhost` is ::1 first on many systems, where nobody listens.
    let output = client(&[&format!("localhost:{port}")]);
    check(
        &output,
        0,
        "Hi from server! You said: Hi from client!\n",
        "",
    );
}

#[test]
fn odd_datagrams_are_printed_safely_and_answered() {
    let (mut server, address) = server("127.0.0.1:0");
    let peer = peer();
    let mut answer = vec![0; 65_535];
    let mut ask = |message: &[u8]| {
        peer.send_to(message, &address).expect("loopback is up");
        let len = peer.recv(&mut answer).expect("an answer comes");
        answer[..len].to_vec()
    };
    assert_eq!(ask(b""), b"Hi from server! You said nothing.");
    server.line(": (an empty datagram)");
    let huge = "Hi from server! You said 60000 octets.";
    assert_eq!(ask(&[b'x'; 60_000]), huge.as_bytes());
    let line = server.line("xxx");
    assert!(line.ends_with("x… (60000 octets)") && line.len() < 1_100);
    assert_eq!(
        ask(&[b'y'; 65_507]),
        b"Hi from server! You said 65507 octets."
    );
    server.line("y… (65507 octets)");
    let odd = b"\xff\x1b[2J\xe2\x80\xae\n";
    assert_eq!(ask(odd), [b"Hi from server! You said: ", &odd[..]].concat());
    server.line(r": \xff\x1b[2J\u{202e}\n");
    assert_eq!(ask(b"still here"), b"Hi from server! You said: still here");
}

#[test]
fn an_answer_is_printed_but_not_answered() {
    let (mut server, address) = server("127.0.0.1:0");
    let peer = peer();
    peer.send_to(b"Hi from server! You said: x", &address)
        .expect("loopback is up");
    peer.send_to(b"real", &address).expect("loopback is up");
    let mut answer = [0; 100];
    let len = peer.recv(&mut answer).expect("an answer comes");
    assert_eq!(&answer[..len], b"Hi from server! You said: real");
    server.line(": Hi from server!");
}

#[test]
fn a_client_that_leaves_before_its_answer_is_survived() {
    let (mut server, address) = server("127.0.0.1:0");
    for _ in 0..20 {
        peer().send_to(b"gone", &address).expect("loopback is up");
    }
    check(
        &client(&[&address, "--message", "next"]),
        0,
        "Hi from server! You said: next\n",
        "",
    );
    server.line("next");
}

#[test]
fn a_lost_datagram_is_sent_again() {
    let peer = peer();
    let address = peer.local_addr().expect("a bound socket").to_string();
    let lossy = thread::spawn(move || {
        let mut buffer = [0; 100];
        let mut copies = Vec::new();
        for _ in 0..3 {
            let (len, client) = peer.recv_from(&mut buffer).expect("a copy comes");
            copies.push((buffer[..len].to_vec(), client));
        }
        peer.send_to(b"third time lucky", copies[2].1)
            .expect("loopback is up");
        copies
    });
    let output = client(&[&address, "--timeout", "0.05", "--tries", "8"]);
    check(&output, 0, "third time lucky\n", "sending again (3 of 8)");
    let copies = lossy.join().expect("three copies came");
    assert!(copies.iter().all(|copy| *copy == copies[0]), "{copies:?}");
    assert_eq!(copies[0].0, b"Hi from client!");
}

#[test]
fn a_silent_server_is_given_up_after_the_tries_asked_for() {
    let peer = peer();
    let address = peer.local_addr().expect("a bound socket").to_string();
    let output = client(&[&address, "--timeout", "0.02", "--tries", "3"]);
    check(&output, 1, "", "in 140ms (tries: 3)");
    peer.set_nonblocking(true).expect("a socket can be set");
    let copies = std::iter::from_fn(|| peer.recv(&mut [0; 100]).ok()).count();
    assert_eq!(copies, 3);
}

#[test]
fn a_port_where_nobody_listens_is_named_at_once() {
    let (_holder, address) = deserted();
    let output = client(&[&address, "--timeout", "60"]);
    let told = format!("nobody listens on {address}: is the server running?");
    check(&output, 1, "", &told);
}

#[test]
fn a_strangers_datagram_is_not_taken_for_the_answer() {
    let (peer, stranger) = (peer(), peer());
    let address = peer.local_addr().expect("a bound socket").to_string();
    let play = thread::spawn(move || {
        let (_, client) = peer.recv_from(&mut [0; 100]).expect("a message comes");
        stranger.send_to(b"forged", client).expect("loopback is up");
        peer.send_to(b"genuine", client).expect("loopback is up");
    });
    check(&client(&[&address]), 0, "genuine\n", "");
    play.join().expect("the message came");
}

#[test]
fn an_answer_full_of_escape_codes_is_printed_safely() {
    let peer = peer();
    let address = peer.local_addr().expect("a bound socket").to_string();
    let play = thread::spawn(move || {
        let (_, client) = peer.recv_from(&mut [0; 100]).expect("a message comes");
        let evil = b"\x1b]0;owned\x07 \xff h\xc3\xa9llo";
        peer.send_to(evil, client).expect("loopback is up");
    });
    let output = client(&[&address]);
    check(&output, 0, "\\x1b]0;owned\\x07 \\xff héllo\n", "");
    play.join().expect("the message came");
}

#[test]
fn ctrl_c_and_sigterm_end_the_server_with_a_line_and_success() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut server, address) = server("127.0.0.1:0");
        check(
            &client(&[&address]),
            0,
            "Hi from server! You said: Hi from client!\n",
            "",
        );
        server.line("Hi from client!");
        server.signal(signal);
        let (status, lines) = server.end();
        assert_eq!(status, Some(0));
        let last = "Stopped. Datagrams received: 1, answered: 1";
        assert_eq!(lines.last().map(String::as_str), Some(last));
    }
}

#[test]
fn a_second_server_on_the_same_port_is_refused_with_advice() {
    let (_first, address) = server("127.0.0.1:0");
    let output = Command::new(SERVER)
        .args(["--bind", &address])
        .timeout(DEADLINE)
        .output()
        .expect("the server starts");
    let told = format!("address already in use: another program holds UDP {address}; stop it");
    check(&output, 1, "", &told);
}

#[test]
fn a_closed_pipe_ends_the_server_successfully() {
    let arguments = ["--bind", "127.0.0.1:0"];
    let (line, mut server) = start_and_close_pipe(SERVER, &arguments);
    let address = line.strip_prefix("Listening on ").expect("the first line");
    let peer = peer();
    // The server notices when it next prints.
    let status = wait_poking(&mut server, || {
        let _ = peer.send_to(b"hello", address);
    });
    assert_eq!(status, Some(0));
}

#[test]
fn a_closed_pipe_is_success_for_the_client() {
    let (_server, address) = server("127.0.0.1:0");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = std::process::Command::new(CLIENT)
        .arg(&address)
        .stdout(writer)
        .status()
        .expect("the client starts");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_wrong_argument_is_a_usage_error() {
    for (arguments, told) in [
        (&["localhost:http"][..], "expected a port from 0 to 65535"),
        (&["--tries", "0"], "1..=100"),
        (&["--timeout", "-1"], "'-1'"),
        (&["--timeout", "nan"], "expected seconds"),
        (&["--timeout=1e300"], "expected seconds"),
    ] {
        check(&client(arguments), 2, "", told);
    }
}

#[test]
fn an_unknown_host_is_named() {
    // RFC 6761 §6.4: names under .invalid never exist.
    let output = client(&["no-such-host.invalid"]);
    check(&output, 1, "", "\"no-such-host.invalid\"");
}

#[test]
fn help_shows_examples() {
    for program in [SERVER, CLIENT] {
        let output = Command::new(program)
            .arg("--help")
            .output()
            .expect("the program starts");
        let help = String::from_utf8_lossy(&output.stdout);
        assert!(help.contains("Examples:"), "{help}");
        assert_eq!(output.status.code(), Some(0));
    }
}
