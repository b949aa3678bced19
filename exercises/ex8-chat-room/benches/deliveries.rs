//! Deliveries per second with 100 members, on the way from the textbook's server to this one. Each step is
//! a server of its own, and all but the last are in this file:
//!
//! | step | server |
//! |---|---|
//! | textbook | a thread per client, which writes every line to every socket itself |
//! | queues | a second thread per client, which writes what comes out of the client's own queue, line by line |
//! | batches | the same, but it writes all that has gathered in its queue at once |
//! | ex8-server | one thread, the room as a state machine, batches |
//!
//! Those with threads leave Nagle's algorithm on, as the textbook does: it gathers what they do not.
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
    sync::{Arc, Mutex, PoisonError, mpsc},
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

/// The dialect of the servers in this file.
const BARE: Dialect = Dialect { login: "", say: "" };

fn main() {
    // `cargo test --all-targets` runs this too, and wants to know only whether it works.
    let time = if std::env::args().any(|argument| argument == "--bench") {
        Duration::from_secs(2)
    } else {
        Duration::from_millis(50)
    };
    let ours = Dialect {
        login: "LOGIN ",
        say: "SAY ",
    };
    let servers = [
        ("textbook", start_threads(Outlet::socket), BARE),
        ("queues", start_threads(Outlet::queue::<1>), BARE),
        (
            "batches",
            start_threads(Outlet::queue::<{ usize::MAX }>),
            BARE,
        ),
        ("ex8-server", start_ours(), ours),
    ];
    println!(
        "deliveries/s: {MEMBERS} members, {SENDERS} senders, {IN_FLIGHT} lines in flight each"
    );
    let mut rates = vec![Vec::new(); servers.len()];
    for round in 1..=ROUNDS {
        for ((name, address, dialect), rates) in servers.iter().zip(&mut rates) {
            let rate = measure(*address, *dialect, round, time);
            println!("round {round}: {name:<10} {rate:>12.0}");
            rates.push(rate);
        }
    }
    let medians: Vec<_> = rates
        .into_iter()
        .map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        })
        .collect();
    for ((name, ..), median) in servers.iter().zip(&medians) {
        let ratio = median / medians[0];
        println!("median of {ROUNDS}: {name:<10} {median:>12.0}   {ratio:>5.1} × textbook");
    }
}

fn start_ours() -> SocketAddr {
    let (started, address) = mpsc::channel();
    thread::spawn(move || {
        runtime().block_on(async {
            let bind = "127.0.0.1:0".parse().expect("an address");
            let listener = ex8_chat_room::server::bind(&bind).expect("a port");
            let _ = started.send(listener.local_addr().expect("bound"));
            ex8_chat_room::server::run(listener, MEMBERS * 2, |_| {}, std::future::pending()).await;
        });
    });
    address.recv().expect("the server starts")
}

/// Where a thread puts a line for a member of a server with threads.
enum Outlet {
    Socket(TcpStream),
    Queue(mpsc::Sender<Arc<str>>),
}

impl Outlet {
    fn socket(stream: TcpStream) -> Self {
        Self::Socket(stream)
    }

    /// Starts the member's second thread, which writes at most so many lines at once.
    fn queue<const MOST: usize>(mut stream: TcpStream) -> Self {
        let (sender, lines) = mpsc::channel::<Arc<str>>();
        thread::spawn(move || {
            let mut batch = Vec::new();
            while let Ok(first) = lines.recv() {
                batch.clear();
                for line in std::iter::once(first).chain(lines.try_iter()).take(MOST) {
                    batch.extend_from_slice(line.as_bytes());
                }
                if stream.write_all(&batch).is_err() {
                    break;
                }
            }
        });
        Self::Queue(sender)
    }

    fn put(&mut self, line: &Arc<str>) {
        // Whose connection is over is found out by the thread that reads from it.
        match self {
            Self::Socket(stream) => drop(stream.write_all(line.as_bytes())),
            Self::Queue(sender) => drop(sender.send(Arc::clone(line))),
        }
    }
}

type Members = Mutex<Vec<(String, Outlet)>>;

fn start_threads(outlet: fn(TcpStream) -> Outlet) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let members = Arc::<Members>::default();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let members = Arc::clone(&members);
            thread::spawn(move || serve(stream, &members, outlet));
        }
    });
    address
}

fn serve(stream: TcpStream, members: &Members, outlet: fn(TcpStream) -> Outlet) {
    let Ok(reader) = stream.try_clone() else {
        return;
    };
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    let Some(name) = lines.next() else { return };
    let lock = || members.lock().unwrap_or_else(PoisonError::into_inner);
    let mut own = outlet(stream);
    {
        // The welcome promises that nothing is missed from here on.
        let mut members = lock();
        own.put(&"Welcome\n".into());
        members.push((name.clone(), own));
    }
    for line in lines {
        let line = Arc::from(format!("{name}: {line}\n"));
        for (_, outlet) in lock().iter_mut().filter(|(other, _)| *other != name) {
            outlet.put(&line);
        }
    }
    lock().retain(|(other, _)| *other != name);
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
