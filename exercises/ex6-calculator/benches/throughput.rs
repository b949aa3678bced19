//! Replies per second of this crate's server, beside a "limit" in the same run.
//!
//! ```text
//! cargo bench -p ex6-calculator
//! ```
//!
//! The limit has the same protocol and the same parser, but nothing else: blocking sockets, a
//! thread for each connection, no screen, no shutdown. What the two lose against each other is
//! the price, or the gain, of serving everyone from one thread.
//!
//! Figures depend on the machine, which also runs the clients; the ratio is what to look at.
//! Deliberately absent: statistics. It takes the median of three short rounds and no more.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use ex6_calculator::line::LineBuffer;
use ex6_calculator::server::{self, Screen};
use ex6_calculator::session::{Output, Session};

const SESSIONS: usize = 50;
const ROUND: Duration = Duration::from_millis(800);
const ROUNDS: usize = 3;

fn main() -> io::Result<()> {
    let ours = start_ours()?;
    let limit = start_limit()?;
    println!("Replies per second, {SESSIONS} sessions, median of {ROUNDS} rounds of {ROUND:?}\n");
    println!(
        "{:<24}{:>12}{:>12}{:>8}",
        "", "ex6-server", "limit", "ratio"
    );
    for (label, in_flight) in [("one request at a time", 1), ("16 in flight", 16)] {
        // In turn, so that a disturbance meets both.
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            rates.push((measure(ours, in_flight)?, measure(limit, in_flight)?));
        }
        let ours = median(rates.iter().map(|rate| rate.0));
        let limit = median(rates.iter().map(|rate| rate.1));
        println!("{label:<24}{ours:>12.0}{limit:>12.0}{:>8.2}", ours / limit);
    }
    Ok(())
}

/// The server under test, on a thread of its own; its screen goes nowhere.
fn start_ours() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            server::run(listener, Screen::new(io::sink()), std::future::pending()).await;
            io::Result::Ok(())
        })
    });
    Ok(address)
}

fn start_limit() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve_blocking(stream));
        }
    });
    Ok(address)
}

fn serve_blocking(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut session = Session::new(stream.peer_addr()?);
    let mut lines = LineBuffer::default();
    let mut chunk = [0; 8 * 1024];
    let mut output = Output::default();
    loop {
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            length => lines.push(&chunk[..length]),
        }
        while let Some(line) = lines.next_line() {
            session.on_line(line, &mut output);
        }
        stream.write_all(output.replies.as_bytes())?;
        output.screen.clear();
        output.replies.clear();
    }
}

/// Replies per second over one round, every one of them checked.
fn measure(server: SocketAddr, in_flight: usize) -> io::Result<f64> {
    let start = Barrier::new(SESSIONS);
    let replies: Vec<io::Result<usize>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..SESSIONS)
            .map(|_| scope.spawn(|| ask(server, in_flight, &start)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client never panics"))
            .collect()
    });
    let mut total = 0;
    for replies in replies {
        total += replies?;
    }
    Ok(total as f64 / ROUND.as_secs_f64())
}

/// One client: as many requests as it can in a round, always `in_flight` of them in one write.
fn ask(server: SocketAddr, in_flight: usize, start: &Barrier) -> io::Result<usize> {
    let connected = TcpStream::connect(server).and_then(|mut stream| {
        stream.set_nodelay(true)?;
        stream.write_all(b"Bench\n")?;
        stream.read_exact(&mut [0; "hello Bench\n".len()])?;
        Ok(stream)
    });
    // Before the `?`: the others wait here for this one, connected or not.
    start.wait();
    let mut stream = connected?;

    let requests = "4.5 / -6\n".repeat(in_flight);
    let expected = "= -0.75\n".repeat(in_flight);
    let mut replies = vec![0; expected.len()];
    let mut count = 0;
    let end = Instant::now() + ROUND;
    while Instant::now() < end {
        stream.write_all(requests.as_bytes())?;
        stream.read_exact(&mut replies)?;
        if replies != expected.as_bytes() {
            return Err(io::Error::other("a wrong reply"));
        }
        count += in_flight;
    }
    Ok(count)
}

fn median(rates: impl Iterator<Item = f64>) -> f64 {
    let mut rates: Vec<_> = rates.collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
