//! Deliveries per second with 100 members, this server against the textbook's: a thread per client
//! that writes every line to every socket itself.
//!
//! ```text
//! cargo bench -p ex8-chat-room
//! ```
//!
//! Ten of the members talk, each with at most 64 lines under way. Every line that arrives is checked:
//! each member gets each sender's lines once and in order. Load and server share the machine, so the
//! ratio says more than the figures.

use std::{
    cell::{Cell, RefCell},
    fmt::Write as _,
    io::{BufRead, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    select,
    sync::Notify,
    task::{JoinSet, LocalSet},
    time::sleep,
};

const MEMBERS: usize = 100;
const SENDERS: usize = 10;
/// Lines of one sender that not everybody has got yet.
const IN_FLIGHT: usize = 64;
const ROUNDS: usize = 3;

/// How a server wants to be talked to. What arrives ends in `SENDER NUMBER` with both.
#[derive(Clone, Copy)]
struct Dialect {
    login: &'static str,
    say: &'static str,
}

fn main() {
    // `cargo test --all-targets` runs this too, and wants to know only whether it works.
    let time = if std::env::args().any(|argument| argument == "--bench") {
        Duration::from_secs(2)
    } else {
        Duration::from_millis(50)
    };
    let ours = start_ours();
    let textbook = start_textbook();
    let mut rates = [Vec::new(), Vec::new()];
    for round in 1..=ROUNDS {
        let one = measure(
            ours,
            Dialect {
                login: "LOGIN ",
                say: "SAY ",
            },
            round,
            time,
        );
        let other = measure(textbook, Dialect { login: "", say: "" }, round, time);
        println!("round {round}: ex8-server {one:>12.0}/s   textbook {other:>12.0}/s");
        rates[0].push(one);
        rates[1].push(other);
    }
    let [one, other] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!(
        "{MEMBERS} members, {SENDERS} senders, {IN_FLIGHT} lines in flight each, median of {ROUNDS}: \
         ex8-server {one:.0} deliveries/s, textbook {other:.0}, ratio {:.1}",
        one / other
    );
}

fn start_ours() -> SocketAddr {
    let (started, address) = mpsc::channel();
    thread::spawn(move || {
        runtime().block_on(async {
            let bind = "127.0.0.1:0".parse().expect("an address");
            let listener = ex8_chat_room::server::bind(&bind).expect("a port");
            let _ = started.send(listener.local_addr().expect("bound"));
            ex8_chat_room::server::run(listener, |_| {}, std::future::pending()).await;
        });
    });
    address.recv().expect("the server starts")
}

fn start_textbook() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let members = Arc::new(Mutex::new(Vec::<(String, TcpStream)>::new()));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let members = Arc::clone(&members);
            thread::spawn(move || serve_as_in_the_textbook(stream, &members));
        }
    });
    address
}

fn serve_as_in_the_textbook(stream: TcpStream, members: &Mutex<Vec<(String, TcpStream)>>) {
    let Ok(reader) = stream.try_clone() else {
        return;
    };
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    let Some(name) = lines.next() else { return };
    let mut own = stream;
    {
        // The welcome promises that nothing is missed from here on.
        let mut members = members.lock().expect("no panic while held");
        let _ = own.write_all(b"Welcome\n");
        members.push((name.clone(), own));
    }
    for line in lines {
        for (other, stream) in members.lock().expect("no panic while held").iter_mut() {
            if *other != name {
                let _ = stream.write_all(format!("{name}: {line}\n").as_bytes());
            }
        }
    }
    members
        .lock()
        .expect("no panic while held")
        .retain(|(other, _)| *other != name);
}

/// What the members of one measurement share.
struct Load {
    dialect: Dialect,
    deliveries: Cell<u64>,
    /// Deliveries of each sender's lines.
    delivered: RefCell<[usize; SENDERS]>,
    progress: [Notify; SENDERS],
}

/// Deliveries per second over the given time.
fn measure(server: SocketAddr, dialect: Dialect, round: usize, time: Duration) -> f64 {
    let load = Rc::new(Load {
        dialect,
        deliveries: Cell::new(0),
        delivered: RefCell::default(),
        progress: std::array::from_fn(|_| Notify::new()),
    });
    runtime().block_on(LocalSet::new().run_until(async move {
        let mut members = Vec::new();
        for id in 0..MEMBERS {
            let stream = tokio::net::TcpStream::connect(server).await;
            let mut stream = stream.expect("the server listens");
            stream.set_nodelay(true).expect("a socket");
            // Not the names of the last round, which may still be on their way out.
            let login = format!("{}m{id} of round {round}\n", dialect.login);
            stream.write_all(login.as_bytes()).await.expect("connected");
            let mut answer = [0; "WELCOME".len()];
            stream.read_exact(&mut answer).await.expect("an answer");
            assert!(answer.eq_ignore_ascii_case(b"WELCOME"), "logged in");
            members.push(stream);
        }
        let mut tasks = JoinSet::new();
        for (id, stream) in members.into_iter().enumerate() {
            let (reader, writer) = stream.into_split();
            tasks.spawn_local(listen(reader, Rc::clone(&load)));
            if id < SENDERS {
                tasks.spawn_local(talk(writer, id, Rc::clone(&load)));
            } else {
                // Dropping it would close this half.
                writer.forget();
            }
        }
        let measured = async {
            sleep(time / 8).await;
            let (start, before) = (Instant::now(), load.deliveries.get());
            while load.deliveries.get() == before || start.elapsed() < time {
                sleep(time).await;
            }
            (load.deliveries.get() - before) as f64 / start.elapsed().as_secs_f64()
        };
        select! {
            rate = measured => rate,
            Some(ended) = tasks.join_next() => {
                ended.expect("no line lost, doubled or out of order");
                panic!("the server ended a connection");
            }
        }
    }))
}

/// Keeps [`IN_FLIGHT`] lines under way.
async fn talk(mut writer: tokio::net::tcp::OwnedWriteHalf, sender: usize, load: Rc<Load>) {
    let mut sent = 0;
    loop {
        let arrived = load.delivered.borrow()[sender] / (MEMBERS - 1);
        let mut lines = String::new();
        while sent < arrived + IN_FLIGHT {
            writeln!(lines, "{}{sender} {sent}", load.dialect.say).expect("a String");
            sent += 1;
        }
        writer.write_all(lines.as_bytes()).await.expect("connected");
        load.progress[sender].notified().await;
    }
}

/// Counts what arrives, and checks that it arrives once and in order.
async fn listen(mut reader: tokio::net::tcp::OwnedReadHalf, load: Rc<Load>) {
    let mut octets = BytesMut::with_capacity(64 * 1024);
    let mut next = [0; SENDERS];
    while reader.read_buf(&mut octets).await.is_ok_and(|len| len > 0) {
        let mut lines = 0;
        while let Some(end) = octets.iter().position(|&octet| octet == b'\n') {
            let line = octets.split_to(end + 1);
            let Some((sender, number)) = sender_and_number(&line) else {
                continue;
            };
            assert_eq!(number, next[sender], "lost, doubled or out of order");
            next[sender] += 1;
            lines += 1;
            let mut delivered = load.delivered.borrow_mut();
            delivered[sender] += 1;
            if delivered[sender].is_multiple_of(MEMBERS - 1) {
                load.progress[sender].notify_one();
            }
        }
        load.deliveries.set(load.deliveries.get() + lines);
    }
}

/// The two numbers at the end of a line of the chat; `None` for a welcome or a notice.
fn sender_and_number(line: &[u8]) -> Option<(usize, usize)> {
    let text = std::str::from_utf8(line).ok()?.trim_end();
    let (_, numbers) = text.split_once(": ")?;
    let (sender, number) = numbers.split_once(' ')?;
    Some((sender.parse().ok()?, number.parse().ok()?))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
