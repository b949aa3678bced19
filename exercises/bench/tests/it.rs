//! The loads against real servers, small: every reply verified, nothing about times or rates. The model servers run in this process,
//! the others as their programs; what is not installed is left out and said.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use bench_peers::{
    load::{Duty, LoadError, calculator, chat, clock},
    peers::{Peer, PeerError, Workshop},
    process::Server,
    stop::Stop,
};

const CLOCK: clock::Scale = clock::Scale {
    clients: 3,
    window: 4,
};
const CHAT: chat::Scale = chat::Scale {
    members: 20,
    talkers: 3,
    late: 2,
};

fn duty(process: u32) -> Duty {
    Duty {
        time: Duration::from_millis(200),
        stop: Stop::default(),
        process,
    }
}

/// For a server in this process.
fn own() -> Duty {
    duty(std::process::id())
}

fn calculations(
    server: SocketAddr,
    dialect: calculator::Dialect,
    duty: &Duty,
) -> Result<(), LoadError> {
    for in_flight in [1, 16] {
        let scale = calculator::Scale {
            sessions: 5,
            in_flight,
        };
        calculator::measure(server, dialect, scale, duty)?;
    }
    Ok(())
}

fn talk(server: SocketAddr, dialect: chat::Dialect, duty: &Duty) -> Result<(), LoadError> {
    chat::measure(server, dialect, CHAT, chat::Pace::InFlight(4), duty)?;
    Ok(())
}

/// Starts a server on a thread of its own, which ends with the test process.
fn serve(start: impl AsyncFnOnce(mpsc::Sender<SocketAddr>) + Send + 'static) -> SocketAddr {
    let (sender, address) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(start(sender));
    });
    address.recv().expect("the server starts")
}

fn clock_server() -> SocketAddr {
    serve(async |started| {
        use ex3_udp_clock::{address::Address, screen, server};
        let address = Address::parse("127.0.0.1:0", 0).expect("an address");
        let socket = server::bind(&address).await.expect("a port");
        let _ = started.send(socket.local_addr().expect("bound"));
        let (screen, _printer) = screen::start(io::sink());
        let _ = server::run(socket, &screen, true, std::future::pending()).await;
    })
}

fn calculator_server() -> SocketAddr {
    serve(async |started| {
        use ex6_calculator::{address::Endpoint, server};
        let endpoint = Endpoint::parse("127.0.0.1:0", 0).expect("an address");
        let listener = server::listen(&endpoint).await.expect("a port");
        let _ = started.send(listener.local_addr().expect("bound"));
        server::run(
            listener,
            server::Screen::new(io::sink()),
            std::future::pending(),
        )
        .await;
    })
}

fn chat_server() -> SocketAddr {
    serve(async |started| {
        use ex8_chat_room::server;
        let bind = "127.0.0.1:0".parse().expect("an address");
        let listener = server::bind(&bind).expect("a port");
        let _ = started.send(listener.local_addr().expect("bound"));
        server::run(listener, 100, |_| {}, std::future::pending()).await;
    })
}

#[test]
fn the_clock_gives_every_answer_right_and_in_order() {
    clock::measure(clock_server(), CLOCK, &own()).expect("right");
}

#[test]
fn the_calculator_gives_every_answer_right_and_in_order() {
    calculations(calculator_server(), calculator::Dialect::Lines, &own()).expect("right");
}

#[test]
fn the_chat_room_gives_everybody_every_line_once_and_in_order() {
    talk(chat_server(), chat::Dialect::Room, &own()).expect("right");
    let paced = chat::Pace::Deliveries(20_000);
    chat::measure(chat_server(), chat::Dialect::Room, CHAT, paced, &own()).expect("right");
}

/// Starts a peer and hands it over, unless it is not installed.
#[track_caller]
fn with(peer: Peer, load: impl FnOnce(&Server) -> Result<(), LoadError>) {
    let own = Path::new(env!("CARGO_BIN_EXE_bench-chat-per-line"));
    let programs = own.parent().expect("it is in a folder").to_owned();
    let workshop = Workshop::new(programs).expect("a temporary folder");
    match workshop.start(peer) {
        Ok(server) => load(&server).expect("right"),
        // Written directly: what `eprintln!` prints in a test that passes is not shown.
        Err(PeerError::Absent(absent)) => {
            let _ = writeln!(io::stderr(), "SKIPPED: {peer:?}: {absent}");
        }
        Err(error) => panic!("{peer:?}: {error}"),
    }
}

#[test]
fn the_other_clocks_can_be_measured() {
    for peer in [
        Peer::Bare("clock_loop"),
        Peer::Bare("clock_batch"),
        Peer::Textbook("clock_textbook.py"),
    ] {
        with(peer, |server| {
            clock::measure(server.address(), CLOCK, &duty(server.id())).map(drop)
        });
    }
}

#[test]
fn the_other_calculators_can_be_measured() {
    use calculator::Dialect;
    for (peer, dialect) in [
        (Peer::Bare("calculator_epoll"), Dialect::Lines),
        (Peer::Textbook("calculator_textbook.py"), Dialect::Lines),
        (Peer::Redis, Dialect::Redis),
    ] {
        with(peer, |server| {
            calculations(server.address(), dialect, &duty(server.id()))
        });
    }
}

#[test]
fn the_other_chat_rooms_can_be_measured() {
    use chat::Dialect;
    for (peer, dialect) in [
        (Peer::Bare("chat_epoll"), Dialect::Room),
        (Peer::Textbook("chat_textbook.py"), Dialect::Room),
        (Peer::Own("bench-chat-per-line"), Dialect::Room),
        (Peer::Redis, Dialect::Redis),
        (Peer::Nats, Dialect::Nats),
    ] {
        with(peer, |server| {
            talk(server.address(), dialect, &duty(server.id()))
        });
    }
}

/// A calculator that greets, and answers the first request with this.
fn wrong_calculator(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody connects");
        let mut lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
        for answer in ["hello s0\n", answer] {
            lines.next().expect("a line").expect("a line");
            stream.write_all(answer.as_bytes()).expect("connected");
        }
        // Until the load has had enough.
        drop(lines.next());
    });
    address
}

#[test]
fn a_calculator_that_says_something_else_is_an_error() {
    let scale = calculator::Scale {
        sessions: 1,
        in_flight: 1,
    };
    let server = wrong_calculator("= 0\n");
    let error = calculator::measure(server, calculator::Dialect::Lines, scale, &own());
    let error = error.expect_err("it is wrong").to_string();
    assert!(
        error.starts_with("session 0: reply 0 of 1: expected"),
        "{error}"
    );
}

#[test]
fn a_server_that_closes_is_an_error() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = server.local_addr().expect("bound");
    thread::spawn(move || drop(server.accept()));
    let scale = calculator::Scale {
        sessions: 1,
        in_flight: 1,
    };
    let error = calculator::measure(address, calculator::Dialect::Lines, scale, &own());
    let error = error.expect_err("nobody answers").to_string();
    assert!(error.contains("session 0"), "{error}");
}

#[test]
fn a_clock_that_says_something_else_is_an_error() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = server.local_addr().expect("bound");
    thread::spawn(move || {
        while let Ok((_, client)) = server.recv_from(&mut [0; 64]) {
            let _ = server.send_to(b"noon", client);
        }
    });
    let error = clock::measure(address, CLOCK, &own())
        .expect_err("it is wrong")
        .to_string();
    assert!(error.contains("got \"noon\""), "{error}");
}

#[test]
fn somebody_who_wants_to_stop_is_heard() {
    let mut duty = own();
    duty.time = Duration::from_secs(1000);
    let stop = duty.stop.clone();
    let server = calculator_server();
    let load = thread::spawn(move || {
        let scale = calculator::Scale {
            sessions: 1,
            in_flight: 1,
        };
        calculator::measure(server, calculator::Dialect::Lines, scale, &duty)
    });
    stop.request();
    let ended = load.join().expect("no panic");
    assert!(matches!(ended, Err(LoadError::Stopped(_))), "{ended:?}");
}
