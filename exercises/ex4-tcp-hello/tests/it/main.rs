//! The real programs, over the loopback interface.

mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::thread;

use assert_cmd::Command;
use nix::sys::signal::Signal;
use socket2::{Domain, SockRef, Socket, Type};

use program::{DEADLINE, Program, has_ipv6, start_and_close_pipe, wait_poking};

const SERVER: &str = env!("CARGO_BIN_EXE_ex4-server");
const CLIENT: &str = env!("CARGO_BIN_EXE_ex4-client");

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

/// A connection of the test's own; no wait on it is without end.
fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a deadline can be set");
    stream
        .set_write_timeout(Some(DEADLINE))
        .expect("a deadline can be set");
    stream
}

fn ask(stream: &TcpStream, line: &str) -> String {
    let mut writer = stream;
    writeln!(writer, "{line}").expect("the server reads");
    // A reader of its own is fine: one line is sent, one comes back.
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .expect("the server answers");
    answer
}

/// Everything up to the server's FIN. A RST instead fails the test.
#[track_caller]
fn rest(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .expect("the connection ends with a FIN");
    String::from_utf8_lossy(&rest).into_owned()
}

/// Plays a server for one client.
fn play(part: impl FnOnce(TcpStream) + Send + 'static) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
    let address = listener.local_addr().expect("a bound socket").to_string();
    let player = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the client connects");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a deadline can be set");
        part(stream);
    });
    (address, player)
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
    assert!(output.stderr.is_empty(), "the close was orderly");
    let line = server.line(": connected");
    let peer = line.strip_suffix(": connected").expect("just found");
    peer.parse::<SocketAddr>().expect("the peer's address");
    assert_eq!(server.line(""), format!("{peer}: Hi from client!"));
    assert_eq!(server.line(""), format!("{peer}: closed"));
}

#[test]
fn clients_are_served_at_once_and_a_silent_one_holds_up_nobody() {
    let (mut server, address) = server("127.0.0.1:0");
    let silent = connect(&address);
    let open: Vec<TcpStream> = (0..20).map(|_| connect(&address)).collect();
    for (n, stream) in open.iter().enumerate().rev() {
        let answer = ask(stream, &format!("client {n}"));
        assert_eq!(answer, format!("Hi from server! You said: client {n}\n"));
        server.line(&format!(": client {n}"));
    }
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let address = address.clone();
            thread::spawn(move || {
                let text = format!("program {n}");
                let answer = format!("Hi from server! You said: {text}\n");
                check(&client(&[&address, "--message", &text]), 0, &answer, "");
            })
        })
        .collect();
    for client in clients {
        client.join().expect("every answer is right");
    }
    assert_eq!(ask(&silent, ""), "Hi from server! You said nothing.\n");
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let (_server, address) = server("127.0.0.1:0");
    let mut deaf = connect(&address);
    deaf.set_nonblocking(true).expect("a socket can be set");
    // Until both directions are full; each further line would have to wait.
    let line = [b"x".repeat(1_000), b"\n".to_vec()].concat();
    while deaf.write(&line).is_ok() {}
    check(
        &client(&[&address]),
        0,
        "Hi from server! You said: Hi from client!\n",
        "",
    );
}

#[test]
fn lines_are_told_apart_however_their_octets_arrive() {
    let (mut server, address) = server("127.0.0.1:0");
    let mut stream = connect(&address);
    stream.set_nodelay(true).expect("a socket can be set");
    for octet in "slow\r\n".bytes() {
        stream.write_all(&[octet]).expect("the server reads");
    }
    stream
        .write_all(b"three\nat\nonce\nand a last without its end")
        .expect("the server reads");
    stream.shutdown(Shutdown::Write).expect("connected");
    let said = ["slow", "three", "at", "once", "and a last without its end"];
    let expected: String = said
        .iter()
        .map(|line| format!("Hi from server! You said: {line}\n"))
        .collect();
    assert_eq!(rest(&mut stream), expected);
    server.line(": connected");
    for line in said {
        let shown = server.line("");
        assert!(shown.ends_with(&format!(": {line}")), "{shown}");
    }
}

#[test]
fn odd_lines_are_printed_safely_and_answered() {
    let (mut server, address) = server("127.0.0.1:0");
    let mut stream = connect(&address);
    let odd = b"\xff\x1b[2J\xe2\x80\xae\n";
    stream.write_all(odd).expect("the server reads");
    let mut answer = Vec::new();
    BufReader::new(&stream)
        .read_until(b'\n', &mut answer)
        .expect("the server answers");
    assert_eq!(answer, [b"Hi from server! You said: ", &odd[..]].concat());
    server.line(r": \xff\x1b[2J\u{202e}");
}

#[test]
fn the_longest_line_is_answered_and_printed_cut() {
    let (mut server, address) = server("127.0.0.1:0");
    let longest = "x".repeat(8_192);
    let answer = format!("Hi from server! You said: {longest}\n");
    check(&client(&[&address, "--message", &longest]), 0, &answer, "");
    let line = server.line("xxx");
    assert!(line.ends_with("x… (8192 octets)") && line.len() < 1_100);
}

#[test]
fn a_line_without_end_is_refused_in_good_order() {
    let (mut server, address) = server("127.0.0.1:0");
    let mut stream = connect(&address);
    stream
        .write_all(&[b"fine\n".to_vec(), b"x".repeat(200_000)].concat())
        .expect("the server reads on");
    stream.shutdown(Shutdown::Write).expect("connected");
    let answer = rest(&mut stream);
    assert_eq!(
        answer,
        "Hi from server! You said: fine\nSorry: expected an end of line within 8192 octets.\n"
    );
    server.line(": cut off: expected an end of line within 8192 octets");
    assert_eq!(
        ask(&connect(&address), "next"),
        "Hi from server! You said: next\n"
    );
}

#[test]
fn a_client_that_vanishes_is_noted_and_the_next_one_served() {
    let (mut server, address) = server("127.0.0.1:0");
    let stream = connect(&address);
    server.line(": connected");
    // Closing with no patience for unsent octets sends a RST (RFC 9293 §3.6).
    SockRef::from(&stream)
        .set_linger(Some(std::time::Duration::ZERO))
        .expect("a socket can be set");
    drop(stream);
    server.line(": cut off: ");
    assert_eq!(
        ask(&connect(&address), "next"),
        "Hi from server! You said: next\n"
    );
}

#[test]
fn ipv6_and_host_names_work_and_a_dual_server_shows_ipv4_peers_as_ipv4() {
    if !has_ipv6("ipv6_and_host_names_work_and_a_dual_server_shows_ipv4_peers_as_ipv4") {
        return;
    }
    let (mut server, address) = server("[::]:0");
    let port = address.rsplit(':').next().expect("an address has a port");
    for (host, peer) in [
        ("[::1]", "[::1]:"),
        ("127.0.0.1", "127.0.0.1:"),
        ("localhost", ""),
    ] {
        let output = client(&[&format!("{host}:{port}"), "--message", host]);
        check(
            &output,
            0,
            &format!("Hi from server! You said: {host}\n"),
            "",
        );
        let line = server.line(&format!(": {host}"));
        assert!(line.starts_with(peer), "{line}");
    }
}

#[test]
fn each_address_of_a_name_is_tried() {
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
fn at_the_end_connected_clients_are_told_goodbye() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut server, address) = server("127.0.0.1:0");
        let mut talked = connect(&address);
        ask(&talked, "hello");
        let mut silent = connect(&address);
        // Two have been served, the third says nothing and never closes.
        let _stays = connect(&address);
        for _ in 0..3 {
            server.line(": connected");
        }
        server.signal(signal);
        for stream in [&mut talked, &mut silent] {
            assert_eq!(rest(stream), "Goodbye: the server is stopping.\n");
        }
        drop((talked, silent));
        let (status, lines) = server.end();
        assert_eq!(status, Some(0));
        let last = "Stopped. Clients served: 3";
        assert_eq!(lines.last().map(String::as_str), Some(last));
    }
}

#[test]
fn a_client_with_unread_answers_still_gets_its_goodbye_last() {
    let (mut server, address) = server("127.0.0.1:0");
    let mut stream = connect(&address);
    for n in 0..1_000 {
        writeln!(stream, "line {n}").expect("the server reads");
    }
    server.line(": line 999");
    server.signal(Signal::SIGTERM);
    let said = rest(&mut stream);
    drop(stream);
    let lines: Vec<&str> = said.lines().collect();
    let (goodbye, answers) = lines.split_last().expect("something was said");
    assert_eq!(*goodbye, "Goodbye: the server is stopping.");
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, format!("Hi from server! You said: line {n}"));
    }
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn a_server_can_be_restarted_at_once_on_the_same_port() {
    let (mut first, address) = server("127.0.0.1:0");
    let mut stream = connect(&address);
    first.line(": connected");
    first.signal(Signal::SIGTERM);
    // The server closes first, so its side stays in TIME-WAIT.
    rest(&mut stream);
    drop(stream);
    assert_eq!(first.end().0, Some(0));
    let (_second, again) = server(&address);
    assert_eq!(again, address);
    check(
        &client(&[&address]),
        0,
        "Hi from server! You said: Hi from client!\n",
        "",
    );
}

#[test]
fn a_second_server_on_the_same_port_is_refused_with_advice() {
    let (_first, address) = server("127.0.0.1:0");
    let output = Command::new(SERVER)
        .args(["--bind", &address])
        .timeout(DEADLINE)
        .output()
        .expect("the server starts");
    let told = format!("address already in use: another program holds TCP {address}; stop it");
    check(&output, 1, "", &told);
}

#[test]
fn a_port_where_nobody_listens_is_named() {
    // Bound but not listening: the port stays ours, and is refused.
    let holder = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("a good address");
    holder.bind(&any.into()).expect("loopback can be bound");
    let address = holder.local_addr().expect("a bound socket").as_socket();
    let address = address.expect("an IP address").to_string();
    let told = format!("nobody listens on {address}: is the server running?");
    check(&client(&[&address]), 1, "", &told);
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let (address, player) = play(|mut stream| {
        rest(&mut stream);
    });
    let output = client(&[&address, "--timeout", "0.1"]);
    check(&output, 1, "", "did not answer in 100ms");
    player.join().expect("the client closed");
}

#[test]
fn a_server_that_closes_without_an_answer_is_told() {
    let (address, player) = play(|mut stream| {
        let mut line = String::new();
        BufReader::new(&stream)
            .read_line(&mut line)
            .expect("the client speaks");
        assert_eq!(line, "Hi from client!\n");
        stream.shutdown(Shutdown::Write).expect("connected");
        rest(&mut stream);
    });
    let told = "closed the connection before it answered";
    check(&client(&[&address]), 1, "", told);
    player.join().expect("the client spoke");
}

#[test]
fn an_answer_without_newline_is_enough_when_the_server_closes() {
    let (address, player) = play(|mut stream| {
        stream.write_all(b"\x1b[31mhi").expect("connected");
        stream.shutdown(Shutdown::Write).expect("connected");
        assert_eq!(rest(&mut stream), "Hi from client!\n");
    });
    check(&client(&[&address]), 0, "\\x1b[31mhi\n", "");
    player.join().expect("the client closed in good order");
}

#[test]
fn a_missing_newline_is_named_when_the_server_stays() {
    let (address, player) = play(|mut stream| {
        stream.write_all(b"half an ans").expect("connected");
        rest(&mut stream);
    });
    let output = client(&[&address, "--timeout", "0.2"]);
    check(&output, 1, "", "sent \"half an ans\" but no end of line");
    player.join().expect("the client closed");
}

#[test]
fn an_endless_answer_is_given_up() {
    let (address, player) = play(|mut stream| while stream.write(&[b'x'; 4_096]).is_ok() {});
    check(&client(&[&address]), 1, "", "the answer is too long");
    player.join().expect("the client is gone");
}

#[test]
fn a_server_that_does_not_hang_up_is_told_after_the_answer() {
    let (address, player) = play(|mut stream| {
        stream.write_all(b"hi\n").expect("connected");
        // The client's FIN comes first; then it waits for ours in vain.
        assert_eq!(rest(&mut stream), "Hi from client!\n");
        let mut gone = [0];
        while stream.write(b"more").is_ok() && stream.read(&mut gone).is_ok() {
            thread::yield_now();
        }
    });
    let output = client(&[&address, "--timeout", "0.2"]);
    check(&output, 0, "hi\n", "did not close its side in 200ms");
    player.join().expect("the client is gone");
}

#[test]
fn a_closed_pipe_is_success_for_both_programs() {
    let (line, mut first) = start_and_close_pipe(SERVER, &["--bind", "127.0.0.1:0"]);
    let address = line.strip_prefix("Listening on ").expect("the first line");
    // The server notices when it next prints.
    let status = wait_poking(&mut first, || {
        let _ = TcpStream::connect(address);
    });
    assert_eq!(status, Some(0));

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
    let too_long = "x".repeat(8_193);
    for (arguments, told) in [
        (&["localhost:http"][..], "expected a port from 0 to 65535"),
        (&["--message", "two\nlines"], "expected one line"),
        (&["--message", &too_long], "expected at most 8192 octets"),
        (&["--timeout", "0"], "expected seconds"),
    ] {
        check(&client(arguments), 2, "", told);
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
