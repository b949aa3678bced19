//! The real programs, talking to each other over pipes, terminals and loopback.

mod actors;
mod fire;
mod history;
mod load;
mod sys;
mod window;

use std::{
    io::Write,
    net::{Ipv6Addr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use actors::{Client, DEADLINE, Peer, Server, UnreadClient, UnreadServer};
use assert_cmd::Command;
use nix::sys::signal::Signal;
use proptest::prelude::*;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_script_on_a_pipe_logs_in_talks_and_leaves() {
    let server = Server::start();
    Command::new(env!("CARGO_BIN_EXE_ex8-client"))
        .arg(server.address.to_string())
        .write_stdin("Ada\nhello\nq\n")
        .timeout(DEADLINE)
        .assert()
        .success()
        .stdout(
            "Welcome, Ada. Type a line to talk, q to leave.\n\
             * Ada has joined. Member count=1\n\
             Goodbye.\n",
        )
        .stderr("");
    assert_eq!(
        server.output.until("has left. Member count=0\n"),
        "* Ada has joined. Member count=1\n* Ada "
    );
}

#[test]
fn the_last_line_of_a_script_needs_no_newline() {
    let server = Server::start();
    let bob = Client::login(&server, "Bob");
    Command::new(env!("CARGO_BIN_EXE_ex8-client"))
        .arg(server.address.to_string())
        .write_stdin("Ada\nhello")
        .timeout(DEADLINE)
        .assert()
        .success();
    assert_eq!(
        bob.sees("* Ada has left. Member count=1\n"),
        "* Ada has joined. Member count=2\nAda: hello\n"
    );
}

#[test]
fn two_people_hear_of_each_other_and_each_other() {
    let server = Server::start();
    let mut ada = Client::login(&server, "Ada");
    let mut bob = Client::login(&server, "Bob");
    assert_eq!(ada.sees("* Bob has joined. Member count=2\n"), "");
    ada.types("hello\n");
    assert_eq!(bob.sees("Ada: hello\n"), "");
    bob.types("hello yourself\n");
    assert_eq!(
        ada.sees("Bob: hello yourself\n"),
        "",
        "no copy of her own line"
    );
    bob.types("q\n");
    assert_eq!(ada.sees("* Bob has left. Member count=1\n"), "");
    assert_eq!(bob.ends().0, Some(0));
    ada.ends_input();
    let (code, output, errors) = ada.ends();
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(output.ends_with("Goodbye.\n"), "{output:?}");
}

#[test]
fn ten_people_get_every_line_once_and_in_order() {
    const PEOPLE: usize = 10;
    const LINES: usize = 20;
    let server = Server::start();
    let mut people: Vec<_> = (0..PEOPLE)
        .map(|who| Client::login(&server, &format!("p{who}")))
        .collect();
    for (who, person) in people.iter_mut().enumerate() {
        let lines: String = (0..LINES).map(|n| format!("line {n} of {who}\n")).collect();
        person.types(&lines);
    }
    for (who, person) in people.iter().enumerate() {
        let mut heard = String::new();
        while heard.matches(&format!("line {} of", LINES - 1)).count() < PEOPLE - 1 {
            heard += &person.sees("\n");
            heard += "\n";
        }
        for other in (0..PEOPLE).filter(|&other| other != who) {
            let start = format!("p{other}: ");
            let lines: Vec<_> = heard
                .lines()
                .filter_map(|l| l.strip_prefix(&start))
                .collect();
            let expected: Vec<_> = (0..LINES).map(|n| format!("line {n} of {other}")).collect();
            assert_eq!(lines, expected, "what p{who} heard of p{other}");
        }
        assert!(
            !heard.contains(&format!("p{who}: ")),
            "no copy of one's own lines"
        );
    }
}

#[test]
fn a_taken_name_is_refused_and_asked_for_again() {
    let server = Server::start();
    let ada = Client::login(&server, "Ada");
    let mut other = Client::start(&[server.address.to_string()]);
    for taken in ["Ada", " aDA ", "Ａｄａ"] {
        other.types(&format!("{taken}\n"));
        other.sees(&format!("Refused: the name {} is taken", taken.trim()));
    }
    other.types("\u{1b}[31m\n");
    other.sees("Refused: a name may not contain the invisible character U+001B");
    other.types(&format!("{}\n", "x".repeat(33)));
    other.sees("Refused: a name has at most 32 characters, this one has 33");
    other.types("Bob\n");
    other.sees("* Bob has joined. Member count=2");
    other.types("hello\n");
    assert_eq!(
        ada.sees("Bob: hello\n"),
        "* Bob has joined. Member count=2\n",
        "nothing of the refused attempts"
    );
}

#[test]
fn a_name_on_the_command_line_is_not_asked_for_unless_refused() {
    let server = Server::start();
    let address = server.address.to_string();
    let ada = Client::start(&["--name", "Ada", &address]);
    ada.sees("Welcome, Ada.");
    let mut other = Client::start(&["--name", "ada", &address]);
    other.sees("Refused: the name ada is taken");
    other.types("Bob\n");
    other.sees("Welcome, Bob.");
}

#[test]
fn a_killed_client_is_announced_and_frees_its_name() {
    let server = Server::start();
    let ada = Client::login(&server, "Ada");
    let bob = Client::login(&server, "Bob");
    bob.process.signal(Signal::SIGKILL);
    ada.sees("* Bob has vanished (connection lost). Member count=1\n");
    Client::login(&server, "BOB");
    ada.sees("* BOB has joined. Member count=2\n");
}

#[test]
fn a_connection_that_ends_without_a_word_is_announced() {
    let server = Server::start();
    let ada = Client::login(&server, "Ada");
    let peer = Peer::login(server.address, "Fin");
    SockRef::from(&peer.stream)
        .shutdown(std::net::Shutdown::Both)
        .expect("connected");
    ada.sees("* Fin has vanished (connection lost). Member count=1\n");
}

#[test]
fn a_connection_that_is_reset_is_announced() {
    let server = Server::start();
    let ada = Client::login(&server, "Ada");
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    stream.write_all(b"LOGIN Rst\n").expect("connected");
    ada.sees("* Rst has joined. Member count=2\n");
    // Closing with a linger time of nothing sends RST instead of FIN.
    SockRef::from(&stream)
        .set_linger(Some(std::time::Duration::ZERO))
        .expect("a socket");
    drop(stream);
    ada.sees("* Rst has vanished (connection lost). Member count=1\n");
}

#[test]
fn half_a_line_of_somebody_who_vanished_is_not_passed_on() {
    let server = Server::start();
    let ada = Client::login(&server, "Ada");
    let mut peer = Peer::login(server.address, "Bob");
    peer.sends(b"SAY whole\nSAY ha");
    SockRef::from(&peer.stream)
        .shutdown(std::net::Shutdown::Write)
        .expect("connected");
    assert_eq!(
        ada.sees("* Bob has vanished"),
        "* Bob has joined. Member count=2\nBob: whole\n"
    );
}

/// The clock stands still while anything happens, and jumps to the next timer when nothing does.
#[tokio::test(start_paused = true)]
async fn who_never_logs_in_is_sent_away_and_who_has_may_be_silent() {
    let bind = "127.0.0.1:0".parse().expect("an address");
    let listener = ex8_chat_room::server::bind(&bind).expect("a port");
    let address = listener.local_addr().expect("bound");
    let room = ex8_chat_room::server::run(
        listener,
        ex8_chat_room::hall::MAX_CONNECTIONS,
        |_| {},
        std::future::pending(),
    );
    let room = tokio::spawn(room);
    let mut member = tokio::net::TcpStream::connect(address).await.expect("open");
    member.write_all(b"LOGIN Ada\n").await.expect("connected");
    let mut welcome = [0; "WELCOME Ada\nJOINED 1 Ada\n".len()];
    member.read_exact(&mut welcome).await.expect("connected");
    let mut guest = tokio::net::TcpStream::connect(address).await.expect("open");
    let mut heard = String::new();
    guest
        .read_to_string(&mut heard)
        .await
        .expect("an orderly end");
    assert_eq!(heard, "BYE you did not log in in time\n");
    // One who keeps sending something that is no login gains no time by it.
    let mut busy = tokio::net::TcpStream::connect(address).await.expect("open");
    let start = tokio::time::Instant::now();
    let mut heard = Vec::new();
    while !heard.ends_with(b"BYE you did not log in in time\n") {
        busy.write_all(b"L").await.expect("connected");
        let second = std::time::Duration::from_secs(1);
        let _ = tokio::time::timeout(second, busy.read_buf(&mut heard)).await;
        assert!(start.elapsed() < ex8_chat_room::server::LOGIN_TIME * 2);
    }
    member.write_all(b"LOGIN Eve\n").await.expect("connected");
    let mut answer = [0; 7];
    member
        .read_exact(&mut answer)
        .await
        .expect("still connected");
    assert_eq!(&answer, b"WARNING");
    room.abort();
}

#[test]
fn silent_connections_keep_nobody_from_logging_in() {
    let server = Server::start();
    let silent: Vec<_> = (0..20).map(|_| Peer::connect(server.address)).collect();
    let mut ada = Client::login(&server, "Ada");
    let bob = Client::login(&server, "Bob");
    ada.types("hello\n");
    bob.sees("Ada: hello\n");
    drop(silent);
}

#[test]
fn a_burst_in_one_write_and_a_line_in_many_arrive_alike() {
    let server = Server::start();
    let ada = Client::login(&server, "Ada");
    let mut peer = Peer::login(server.address, "Bob");
    ada.sees("Bob has joined. Member count=2\n");
    let burst: String = (0..20).map(|n| format!("SAY {n}\n")).collect();
    peer.sends(burst.as_bytes());
    peer.stream.set_nodelay(true).expect("a socket");
    for octet in "SAY héllo 😀\r\n".as_bytes() {
        peer.sends(&[*octet]);
    }
    let expected: String = (0..20).map(|n| format!("Bob: {n}\n")).collect();
    assert_eq!(ada.sees("Bob: héllo 😀\n"), expected);
}

#[test]
fn long_lines_pass_and_longer_ones_are_refused_without_harm() {
    let server = Server::start();
    let mut ada = Client::login(&server, "Ada");
    let bob = Client::login(&server, "Bob");
    for long in ["x".repeat(3000), "é".repeat(3000), "😀".repeat(4000)] {
        ada.types(&format!("{long}\n"));
        assert_eq!(bob.sees("\n"), format!("Ada: {long}"));
    }
    ada.types(&format!("{}\nstill here\n", "x".repeat(100_000)));
    ada.sees("Not sent: the line is longer than 16380 octets\n");
    assert_eq!(bob.sees("\n"), "Ada: still here");

    let mut peer = Peer::login(server.address, "Eve");
    peer.sends(format!("SAY {}\nSAY still here\n", "x".repeat(100_000)).as_bytes());
    peer.gets("WARNING the line is longer than 16384 octets\n");
    bob.sees("Eve: still here\n");
}

#[test]
fn nothing_raw_reaches_another_terminal() {
    let server = Server::start();
    let bob = Client::login(&server, "Bob");
    let raw = Peer::login(server.address, "Raw");
    let mut ada = Client::login(&server, "Ada");
    bob.sees("Ada has joined. Member count=3\n");
    raw.gets("JOINED 3 Ada\n");
    ada.types_octets(b"\x1b[2J\x07 caf\xe9 \xe2\x80\xae!\r\n");
    let expected = "Ada: \\x1b[2J\\x07 caf\\xe9 \\u{202e}!";
    assert_eq!(bob.sees("\n"), expected);
    assert_eq!(
        raw.gets("\n"),
        format!("LINE {expected}"),
        "escaped by the server"
    );
}

#[test]
fn what_is_no_request_is_answered_and_does_no_harm() {
    let server = Server::start();
    let mut peer = Peer::connect(server.address);
    peer.sends(
        b"GET / HTTP/1.1\nSAY hi\nLOGIN \xff\nLOGIN Ada\nLOGIN Eve\nWHO\nhello\nLEAVE\nSAY late\n",
    );
    assert_eq!(
        peer.gets_the_end(),
        "REFUSED not understood: a request is `LOGIN name`, `SAY text`, `WHO` or `LEAVE`\n\
         REFUSED log in first\n\
         REFUSED a name is UTF-8 text, this one is not\n\
         WELCOME Ada\n\
         JOINED 1 Ada\n\
         WARNING you are already logged in as Ada\n\
         PRESENT 1 Ada\n\
         WARNING not understood: a request is `LOGIN name`, `SAY text`, `WHO` or `LEAVE`\n\
         BYE you have left\n"
    );
}

/// Somebody who logs in and never reads.
fn sleeper(server: &Server, name: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    let login = format!("LOGIN {name}\n");
    stream.write_all(login.as_bytes()).expect("connected");
    stream
}

/// Sends so many batches of 100,000 octets, fewer if the room shows somebody out for not reading;
/// never more than one batch ahead of the one who reads. Returns how many it took.
#[track_caller]
fn flood(sender: &mut Peer, reader: &Peer, batches: usize) -> usize {
    let line = "z".repeat(10_000);
    for batch in 0..batches {
        let lines = format!("SAY {line}\n").repeat(10) + &format!("SAY batch {batch} over\n");
        sender.sends(lines.as_bytes());
        let heard = reader.gets(&format!("batch {batch} over\n"));
        assert_eq!(heard.matches(&line).count(), 10, "the others lose nothing");
        if heard.contains("DROPPED ") {
            return batch;
        }
    }
    batches
}

/// More than all buffers of all systems hold.
const TOO_MUCH: usize = 2000;

#[test]
fn who_does_not_read_is_shown_out_and_nobody_waits() {
    let server = Server::start();
    let mut sender = Peer::login(server.address, "Sender");
    let reader = Peer::login(server.address, "Reader");
    let sleeper = sleeper(&server, "Sleeper");
    reader.gets("JOINED 3 Sleeper\n");
    assert!(flood(&mut sender, &reader, TOO_MUCH) < TOO_MUCH);
    server
        .output
        .until("* Sleeper was disconnected (does not read). Member count=2\n");
    Peer::login(server.address, "sleeper");
    reader.gets("JOINED 3 sleeper\n");
    drop(sleeper);
}

#[test]
fn a_signal_ends_the_server_with_a_goodbye_to_everyone() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut server = Server::start();
        let ada = Client::login(&server, "Ada");
        let guest = Peer::connect(server.address);
        // A login of somebody later proves that the guest has been let in.
        Client::login(&server, "Bob");
        server.process.signal(signal);
        assert_eq!(server.process.wait().code(), Some(0));
        assert!(
            server
                .output
                .whole()
                .ends_with("Shutting down: saying goodbye to everyone\n")
        );
        assert_eq!(guest.gets_the_end(), "BYE the server is shutting down\n");
        let (code, _, errors) = ada.ends();
        assert_eq!(code, Some(1));
        assert_eq!(
            errors,
            "ex8-client: the server has ended the connection: the server is shutting down\n"
        );
    }
}

#[test]
fn a_member_who_does_not_read_cannot_keep_the_server_from_ending() {
    let mut server = Server::start();
    let mut sender = Peer::login(server.address, "Sender");
    let reader = Peer::login(server.address, "Reader");
    let first = sleeper(&server, "First");
    reader.gets("JOINED 3 First\n");
    let limit = flood(&mut sender, &reader, TOO_MUCH);
    drop(first);
    // A bit less leaves this one in the room with its outbox half full.
    let second = sleeper(&server, "Second");
    reader.gets("JOINED 3 Second\n");
    let half_full = limit - 5;
    assert_eq!(flood(&mut sender, &reader, half_full), half_full);
    server.process.signal(Signal::SIGTERM);
    assert_eq!(server.process.wait().code(), Some(0));
    drop(second);
}

#[test]
fn a_blocked_output_does_not_stop_the_room() {
    let mut server = UnreadServer::start(&["--bind", "127.0.0.1:0", "--lines"]);
    let address = server.address;
    let mut sender = Peer::login(address, "Sender");
    let reader = Peer::login(address, "Reader");
    for round in 0..60 {
        let batch = format!("SAY {}\n", "x".repeat(100)).repeat(100);
        sender.sends(format!("{batch}SAY round {round} over\n").as_bytes());
        reader.gets(&format!("round {round} over\n"));
    }
    server.process.signal(Signal::SIGTERM);
    assert_eq!(server.process.wait().code(), Some(0));
}

#[test]
fn a_signal_makes_the_client_say_goodbye() {
    let server = Server::start();
    let bob = Client::login(&server, "Bob");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let ada = Client::login(&server, "Ada");
        ada.process.signal(signal);
        let (code, output, _) = ada.ends();
        assert_eq!(code, Some(0));
        assert!(output.ends_with("Goodbye.\n"), "{output:?}");
        bob.sees("* Ada has left. Member count=1\n");
    }
}

#[test]
fn a_signal_ends_a_client_whose_output_is_blocked() {
    let server = Server::start();
    let mut bob = Peer::login(server.address, "Bob");
    let mut ada = UnreadClient::start(&["--name", "Ada", &server.address.to_string()]);
    bob.gets("JOINED 2 Ada\n");
    // A pipe holds 64 KiB; this much fills the client's own buffers too.
    bob.sends(format!("SAY {}\n", "x".repeat(1000)).repeat(500).as_bytes());
    bob.sends(b"nonsense\n");
    bob.gets("WARNING ");
    ada.process.signal(Signal::SIGTERM);
    assert_eq!(ada.process.wait().code(), Some(0));
    bob.gets("LEFT 1 Ada\n");
}

#[test]
fn a_server_that_dies_is_noticed_at_once() {
    let server = Server::start();
    let ada = Client::login(&server, "Ada");
    server.process.signal(Signal::SIGKILL);
    let (code, _, errors) = ada.ends();
    assert_eq!(code, Some(1));
    assert!(
        errors.starts_with("ex8-client: the server has closed the connection")
            || errors.starts_with("ex8-client: the connection to the server is lost"),
        "{errors:?}"
    );
}

#[test]
fn an_output_nobody_reads_any_more_ends_the_client_in_peace() {
    let server = Server::start();
    let mut bob = Client::login(&server, "Bob");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ex8-client"))
        .args(["--name", "Ada", &server.address.to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    bob.sees("* Ada has joined. Member count=2\n");
    drop(child.stdout.take());
    bob.types("can you see this?\n");
    bob.sees("* Ada has left. Member count=1\n");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_client_trusts_no_server() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let ada = Client::start(&["--name", "Ada", &address]);
    let (mut stream, _) = listener.accept().expect("the client connects");
    stream
        .write_all(b"WELCOME A\x1b]0;x\x07da\nJOINED many Eve\nLINE Eve: \x9b31m\xff\n")
        .expect("connected");
    stream
        .write_all(
            &b"LINE Eve: "
                .iter()
                .chain(&[b'x'; 200_000])
                .copied()
                .collect::<Vec<_>>(),
        )
        .expect("connected");
    stream.write_all(b"\nBYE \x1bc\n").expect("connected");
    let (code, output, errors) = ada.ends();
    assert_eq!(code, Some(1));
    assert_eq!(
        output,
        "Welcome, A\\x1b]0;x\\x07da. Type a line to talk, q to leave.\n\
         The server sent a line that is not of the chat protocol: JOINED many Eve\n\
         Eve: \\x9b31m\\xff\n\
         Not shown: the line is longer than 65680 octets\n"
    );
    assert_eq!(
        errors,
        "ex8-client: the server has ended the connection: \\x1bc\n"
    );
}

#[test]
fn nobody_listening_is_said_clearly() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("bound").to_string();
    drop(free);
    let client = Client::start(&[&address]);
    let (code, _, errors) = client.ends();
    assert_eq!(code, Some(1));
    assert_eq!(
        errors,
        format!("ex8-client: nobody listens on {address}: is the server running?\n")
    );
}

#[test]
fn a_port_that_is_taken_is_said_clearly() {
    let server = Server::start();
    let address = server.address.to_string();
    Command::new(env!("CARGO_BIN_EXE_ex8-server"))
        .args(["--bind", &address])
        .timeout(DEADLINE)
        .assert()
        .code(1)
        .stderr(format!(
            "ex8-server: address already in use: another program holds {address}; \
             stop it or choose another with --bind\n"
        ));
}

#[test]
fn a_server_restarts_on_its_port_at_once() {
    let mut server = Server::start();
    let ada = Client::login(&server, "Ada");
    server.process.signal(Signal::SIGTERM);
    assert_eq!(server.process.wait().code(), Some(0));
    assert_eq!(ada.ends().0, Some(1));
    let again = Server::start_with(&["--bind", &server.address.to_string()]);
    Client::login(&again, "Ada");
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    for (program, arguments) in [
        (env!("CARGO_BIN_EXE_ex8-client"), &["host:port"][..]),
        (env!("CARGO_BIN_EXE_ex8-client"), &["--nick", "Ada"]),
        (
            env!("CARGO_BIN_EXE_ex8-server"),
            &["--bind", "127.0.0.1:99999"],
        ),
    ] {
        Command::new(program)
            .args(arguments)
            .timeout(DEADLINE)
            .assert()
            .code(2);
    }
}

#[test]
fn help_shows_examples() {
    for program in [
        env!("CARGO_BIN_EXE_ex8-client"),
        env!("CARGO_BIN_EXE_ex8-server"),
    ] {
        let shown = Command::new(program)
            .arg("--help")
            .timeout(DEADLINE)
            .output();
        let shown = shown.expect("the program starts");
        assert!(String::from_utf8_lossy(&shown.stdout).contains("Examples:"));
    }
}

#[test]
fn ipv6_works_too() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI has to have IPv6"
        );
        println!("SKIPPED: ipv6_works_too needs the IPv6 loopback address");
        return;
    }
    let server = Server::start_with(&["--bind", "[::1]:0"]);
    assert!(server.address.is_ipv6());
    Client::login(&server, "Ada");
    server.output.until("* Ada has joined. Member count=1\n");
}

#[test]
fn a_history_can_show_out_who_stalls_and_displace_who_does_not_log_in() {
    const CONNECT: u8 = 0;
    const LOGIN: u8 = 2;
    const SHOUT: u8 = 9;
    const STALL: u8 = 13;
    const DRAIN: u8 = 14;
    let mut octets = vec![CONNECT, CONNECT, LOGIN, 0, 0, LOGIN, 1, 4, STALL, 1];
    octets.extend([SHOUT, 0].repeat(5));
    octets.extend([DRAIN, 0, CONNECT, CONNECT, CONNECT, CONNECT, CONNECT]);
    let expected = history::Reached {
        dropped: 1,
        displaced: 2,
    };
    assert_eq!(history::play(&octets), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The fuzz target plays many more.
    #[test]
    fn whatever_happens_everybody_gets_what_is_theirs_once_and_in_order(
        octets in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        history::play(&octets);
    }
}

/// In this process: the whole room for a class, without two hundred programs.
#[test]
fn two_hundred_members_hear_every_line() {
    const MEMBERS: usize = 200;
    let (started, address) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let bind = "127.0.0.1:0".parse().expect("an address");
            let listener = ex8_chat_room::server::bind(&bind).expect("a port");
            started
                .send(listener.local_addr().expect("bound"))
                .expect("the test waits");
            let shutdown = async {
                let _ = stopped.await;
            };
            ex8_chat_room::server::run(listener, MEMBERS, |_| {}, shutdown).await;
        });
    });
    let address = address.recv().expect("the server starts");
    let mut members: Vec<_> = (0..MEMBERS)
        .map(|n| Peer::login(address, &format!("m{n}")))
        .collect();
    members[0].sends(b"SAY hello from 0\n");
    for n in 1..MEMBERS {
        members[n].sends(format!("SAY hello from {n}\n").as_bytes());
        // Lines of different senders have no order until somebody has heard the first.
        members[0].gets(&format!("hello from {n}\n"));
    }
    members[0].sends(b"SAY the end\n");
    for member in &members[1..] {
        let heard = member.gets("m0: the end\n");
        let count = heard.matches("hello from").count();
        assert_eq!(count, MEMBERS - 1);
    }
    stop.send(()).expect("the server waits");
    for member in &members {
        assert!(
            member
                .gets_the_end()
                .ends_with("BYE the server is shutting down\n")
        );
    }
    server.join().expect("no panic");
}
