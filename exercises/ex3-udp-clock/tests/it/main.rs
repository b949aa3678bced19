//! The real programs, over the loopback interface.

mod program;

use std::net::UdpSocket;
use std::process::Output;
use std::thread;

use assert_cmd::Command;
use chrono::{Local, NaiveDateTime, Timelike};
use ex3_udp_clock::clock::{Request, reply};
use ex3_udp_clock::schedule::Schedule;
use nix::sys::signal::Signal;

use program::{DEADLINE, Program, has_ipv6, start_and_close_pipe, wait, wait_poking};

const SERVER: &str = env!("CARGO_BIN_EXE_ex3-server");
const CLIENT: &str = env!("CARGO_BIN_EXE_ex3-client");

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

fn stdout(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// A socket the test plays a peer with; no wait on it is without end.
fn peer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
    socket
        .set_read_timeout(Some(DEADLINE))
        .expect("a deadline can be set");
    socket
}

fn address(peer: &UdpSocket) -> String {
    peer.local_addr().expect("a bound socket").to_string()
}

fn ask(peer: &UdpSocket, server: &str, request: &[u8]) -> String {
    peer.send_to(request, server).expect("loopback is up");
    let mut buffer = [0; 100];
    let len = peer.recv(&mut buffer).expect("an answer comes");
    String::from_utf8_lossy(&buffer[..len]).into_owned()
}

/// The first seed whose schedule begins with these requests.
fn seed_for(requests: &[Request]) -> String {
    (0..)
        .find(|seed| {
            Schedule::new(*seed)
                .map(|turn| turn.request)
                .take(requests.len())
                .eq(requests.iter().copied())
        })
        .expect("some seed does")
        .to_string()
}

/// A moment cut to the second, as the answers are.
fn second(moment: NaiveDateTime) -> NaiveDateTime {
    moment.with_nanosecond(0).expect("every second has a start")
}

#[test]
fn date_and_time_are_those_of_this_computer_now() {
    let (mut server, address) = server("127.0.0.1:0");
    let peer = peer();
    for request in [Request::Time, Request::Date, Request::Time] {
        let before = second(Local::now().naive_local());
        let answer = ask(&peer, &address, request.as_str().as_bytes());
        let after = second(Local::now().naive_local());
        let possible: Vec<String> = std::iter::successors(Some(before), |moment| {
            Some(*moment + chrono::Duration::seconds(1)).filter(|next| *next <= after)
        })
        .filter_map(|moment| reply(request.as_str().as_bytes(), moment))
        .collect();
        assert!(possible.contains(&answer), "{answer} not in {possible:?}");
        server.line(&format!("{request} -> {answer}"));
    }
}

#[test]
fn the_time_is_never_one_that_was_kept_too_long() {
    let (_server, address) = server("127.0.0.1:0");
    let peer = peer();
    let first = ask(&peer, &address, b"SEND_TIME");
    // Waits for an event, the change of the answer; with a stale clock it
    // would never come.
    let end = std::time::Instant::now() + DEADLINE;
    while ask(&peer, &address, b"SEND_TIME") == first {
        assert!(std::time::Instant::now() < end, "the clock stands still");
    }
}

#[test]
fn what_is_no_request_is_met_with_silence_and_the_next_is_answered() {
    let (mut server, address) = server("127.0.0.1:0");
    let peer = peer();
    let huge = vec![b' '; 60_000];
    for odd in [&b""[..], b"SEND_MONEY", b"\xff\x1b[2J", &huge] {
        peer.send_to(odd, &address).expect("loopback is up");
        // The first thing to come back is the answer to this one.
        assert!(Request::Time.accepts(ask(&peer, &address, b"SEND_TIME").as_bytes()));
    }
    server.line("\"SEND_MONEY\" is no request, not answered");
    server.line(r#""\xff\x1b[2J" is no request"#);
    server.line("… (60000 octets)\" is no request");
    server.signal(Signal::SIGTERM);
    let (status, lines) = server.end();
    assert_eq!(status, Some(0));
    let last = "Stopped. Datagrams received: 8, answered: 4";
    assert_eq!(lines.last().map(String::as_str), Some(last));
}

#[test]
fn a_burst_from_many_clients_is_answered_to_the_last() {
    let (_server, address) = server("127.0.0.1:0");
    let peers: Vec<UdpSocket> = (0..20).map(|_| peer()).collect();
    for _ in 0..5 {
        for peer in &peers {
            peer.send_to(b"SEND_TIME", &address)
                .expect("loopback is up");
        }
    }
    for peer in &peers {
        for _ in 0..5 {
            let mut buffer = [0; 100];
            let len = peer.recv(&mut buffer).expect("every request is answered");
            assert!(Request::Time.accepts(&buffer[..len]));
        }
    }
}

#[test]
fn a_quiet_server_prints_only_the_summary() {
    let mut server = Program::start(SERVER, &["--bind", "127.0.0.1:0", "--quiet"]);
    let address = server.address().to_string();
    ask(&peer(), &address, b"SEND_TIME");
    server.signal(Signal::SIGINT);
    let (status, lines) = server.end();
    assert_eq!(status, Some(0));
    assert_eq!(lines[1..], ["Stopped. Datagrams received: 1, answered: 1"]);
}

#[test]
fn the_client_prints_every_answer_and_its_seed_fixes_the_requests() {
    let (_server, address) = server("127.0.0.1:0");
    let wanted = [Request::Time, Request::Date, Request::Time];
    let output = client(&[&address, "--count", "3", "--seed", &seed_for(&wanted)]);
    let lines = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{lines:?}");
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (line, request) in lines.iter().zip(wanted) {
        let answer = line.strip_prefix(&format!("{request}: "));
        let answer = answer.unwrap_or_else(|| panic!("{line:?} is no answer to {request}"));
        assert!(request.accepts(answer.as_bytes()), "{line}");
    }
    assert_eq!(lines[3], "Stopped. Requests sent: 3, answered: 3");
}

#[test]
fn ipv6_and_host_names_work() {
    if !has_ipv6("ipv6_and_host_names_work") {
        return;
    }
    let (_server, address) = server("[::]:0");
    let port = address.rsplit(':').next().expect("an address has a port");
    for host in ["[::1]", "127.0.0.1", "localhost"] {
        let output = client(&[&format!("{host}:{port}"), "--count", "1"]);
        assert_eq!(output.status.code(), Some(0), "{host}");
        assert!(stdout(&output)[0].starts_with("SEND_"), "{host}");
    }
}

/// Three requests of the same kind: the first answer is lost for now, then
/// arrives late; the second answer arrives twice. Only a client that keeps
/// its requests apart prints the right ones.
#[test]
fn a_late_or_doubled_answer_is_never_taken_for_the_next_ones() {
    let peer = peer();
    let address = address(&peer);
    let play = thread::spawn(move || {
        let mut buffer = [0; 100];
        let mut next = || peer.recv_from(&mut buffer).expect("a request comes").1;
        let first = next();
        let second = next();
        let say = |text: &str, client| {
            // Sent towards a port the client no longer reads; it may be closed.
            let _ = peer.send_to(text.as_bytes(), client);
        };
        say("01:01:01", first);
        say("02:02:02", second);
        say("02:02:02", second);
        let third = next();
        say("01:01:02", first);
        say("02:02:03", second);
        say("03:03:03", third);
        [first, second, third]
    });
    let seed = seed_for(&[Request::Time; 3]);
    let output = client(&[&address, "--count", "3", "--seed", &seed]);
    let ports = play.join().expect("three requests came");
    assert!(
        ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2],
        "{ports:?}"
    );
    assert_eq!(
        stdout(&output),
        [
            format!("SEND_TIME: no answer in time from {address}"),
            "SEND_TIME: 02:02:02".to_owned(),
            "SEND_TIME: 03:03:03".to_owned(),
            "Stopped. Requests sent: 3, answered: 2".to_owned(),
        ]
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_answer_of_another_shape_is_shown_safely_and_ignored() {
    let peer = peer();
    let address = address(&peer);
    let play = thread::spawn(move || {
        let (_, client) = peer.recv_from(&mut [0; 100]).expect("a request comes");
        for answer in [&b"2026-11-22"[..], b"\x1b[2J", b"", b"12:00:00"] {
            peer.send_to(answer, client).expect("loopback is up");
        }
    });
    let seed = seed_for(&[Request::Time]);
    let output = client(&[&address, "--count", "1", "--seed", &seed]);
    play.join().expect("the request came");
    assert_eq!(
        stdout(&output),
        [
            "SEND_TIME: \"2026-11-22\" ignored, expected HH:MM:SS",
            r#"SEND_TIME: "\x1b[2J" ignored, expected HH:MM:SS"#,
            "SEND_TIME: \"\" ignored, expected HH:MM:SS",
            "SEND_TIME: 12:00:00",
            "Stopped. Requests sent: 1, answered: 1",
        ]
    );
}

#[test]
fn a_server_that_goes_away_does_not_end_the_client_but_ctrl_c_does() {
    let peer = peer();
    let address = address(&peer);
    let seed = seed_for(&[Request::Date]);
    let mut client = Program::start(CLIENT, &[&address, "--seed", &seed]);
    let (_, from) = peer.recv_from(&mut [0; 100]).expect("a request comes");
    peer.send_to(b"2026-11-22", from).expect("loopback is up");
    assert_eq!(client.line(""), "SEND_DATE: 2026-11-22");
    // The port stays taken, but takes nothing from the client any more.
    peer.connect("127.0.0.1:9")
        .expect("connecting sends nothing");
    client.line(&format!("nobody listens on {address}"));
    client.line(&format!("nobody listens on {address}"));
    client.signal(Signal::SIGINT);
    let (status, lines) = client.end();
    assert_eq!(status, Some(0));
    let last = lines.last().expect("a summary");
    assert!(
        last.starts_with("Stopped. ") && last.ends_with(" answered: 1"),
        "{last}"
    );
}

#[test]
fn a_port_where_nobody_listens_is_named_at_once() {
    let holder = peer();
    holder
        .connect("127.0.0.1:9")
        .expect("connecting sends nothing");
    let address = address(&holder);
    let output = client(&[&address]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("nobody listens on {address}: is the server running?");
    assert!(told.contains(&expected), "{told}");
}

#[test]
fn a_server_that_never_answers_is_a_failure_once_the_count_is_reached() {
    let peer = peer();
    let address = address(&peer);
    let output = client(&[&address, "--count", "2"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("no answer from"), "{told}");
    assert_eq!(stdout(&output)[2], "Stopped. Requests sent: 2, answered: 0");
}

#[test]
fn a_second_server_on_the_same_port_is_refused_with_advice() {
    let (_first, address) = server("127.0.0.1:0");
    let output = Command::new(SERVER)
        .args(["--bind", &address])
        .timeout(DEADLINE)
        .output()
        .expect("the server starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("address already in use"), "{told}");
}

#[test]
fn a_closed_pipe_ends_both_programs_successfully() {
    let (line, mut server) = start_and_close_pipe(SERVER, &["--bind", "127.0.0.1:0"]);
    let address = line.strip_prefix("Listening on ").expect("the first line");
    // The server notices when it next prints.
    let peer = peer();
    let status = wait_poking(&mut server, || {
        let _ = peer.send_to(b"SEND_TIME", address);
    });
    assert_eq!(status, Some(0));

    let (_server, address) = self::server("127.0.0.1:0");
    let (line, mut client) = start_and_close_pipe(CLIENT, &[&address]);
    assert!(line.starts_with("SEND_"), "{line}");
    assert_eq!(wait(&mut client), Some(0));
}

#[test]
fn a_wrong_argument_is_a_usage_error() {
    for arguments in [&["localhost:http"][..], &["--count", "0"], &["--seed", "x"]] {
        let output = client(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
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
