//! The client's part: what the sheet asks of a client, with plain messages and nothing else.

use super::{End, Messages, Part, calculate, is_udp, say};
use crate::lab::Exercise;
use rand::RngExt as _;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What is said where any text will do.
const HELLO: &str = "Hello from the harness's own client";

/// How long an answer to a datagram may take before it counts as lost.
const LOST_AFTER: Duration = Duration::from_millis(900);

/// How long a server may take to say its last after a goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) fn run(part: &Part, host: &str, port: u16, name: Option<&str>) -> io::Result<()> {
    match part.exercise {
        Exercise::Ex3 => ask_for_ever(part, host, port),
        _ if is_udp(part.exercise) => greet(part, host, port),
        Exercise::Ex4 => exchange(part, host, port),
        _ => talk(part, host, port, name),
    }
}

fn datagrams_to(host: &str, port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).or_else(|_| UdpSocket::bind(("::", 0)))?;
    socket.connect((host, port))?;
    Ok(socket)
}

fn receive(socket: &UdpSocket) -> io::Result<String> {
    let mut buffer = vec![0; 65_536];
    let octets = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..octets]).into_owned())
}

fn greet(part: &Part, host: &str, port: u16) -> io::Result<()> {
    let socket = datagrams_to(host, port)?;
    socket.send(part.dialect.client_end.after(HELLO).as_bytes())?;
    say(&receive(&socket)?);
    Ok(())
}

/// One to two seconds from request to request.
fn ask_for_ever(part: &Part, host: &str, port: u16) -> io::Result<()> {
    let socket = datagrams_to(host, port)?;
    socket.set_read_timeout(Some(LOST_AFTER))?;
    let mut rng = rand::rng();
    let mut dates = false;
    loop {
        let asked = Instant::now();
        // Both soon, and then either: a coin may fall alike for a long time.
        dates = if rng.random_bool(0.8) { !dates } else { dates };
        let request = if dates { "SEND_DATE" } else { "SEND_TIME" };
        let sent = socket.send(part.dialect.client_end.after(request).as_bytes());
        match sent.and_then(|_| receive(&socket)) {
            Ok(answer) => say(&format!("{request}: {answer}")),
            Err(error) => say(&format!("no answer: {error}")),
        }
        let gap = Duration::from_millis(rng.random_range(1050..1950));
        thread::sleep(gap.saturating_sub(asked.elapsed()));
    }
}

/// A text each way, then an orderly end.
fn exchange(part: &Part, host: &str, port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect((host, port))?;
    stream.write_all(part.dialect.client_end.after(HELLO).as_bytes())?;
    let mut answers = Messages::new(stream.try_clone()?, part.dialect.server_end);
    match answers.next()? {
        Some(answer) => say(&answer),
        None => return Err(io::Error::other("the server has closed without an answer")),
    }
    stream.shutdown(Shutdown::Write)?;
    // What was not read would cut the connection off.
    let _ = stream.read_to_end(&mut Vec::new());
    Ok(())
}

/// What a talk is made of.
enum News {
    Typed(String),
    NothingMoreIsTyped,
    ServerHasClosed,
}

/// Calculator and chat room: the name, then line by line, while another thread shows whatever comes.
fn talk(part: &Part, host: &str, port: u16, name: Option<&str>) -> io::Result<()> {
    let mut stream = TcpStream::connect((host, port))?;
    let (tell, news) = mpsc::channel();
    let mut ears = Messages::new(stream.try_clone()?, End::Nothing);
    let closed = tell.clone();
    thread::spawn(move || {
        while let Ok(Some(heard)) = ears.next() {
            heard.lines().for_each(say);
        }
        // Nobody left to hear it is nobody to tell.
        let _ = closed.send(News::ServerHasClosed);
    });
    let mut send = |line: &str| stream.write_all(part.dialect.client_end.after(line).as_bytes());
    match name {
        Some(name) => send(name)?,
        None => say("What is your name?"),
    }
    thread::spawn(move || {
        let lines = io::stdin().lines().map_while(Result::ok);
        for line in lines {
            if tell.send(News::Typed(line)).is_err() {
                return;
            }
        }
        let _ = tell.send(News::NothingMoreIsTyped);
    });
    let mut named = name.is_some();
    for happened in &news {
        match happened {
            News::ServerHasClosed => {
                say("The server has closed the connection.");
                return Ok(());
            }
            News::NothingMoreIsTyped => break,
            News::Typed(line) if named && line == part.quit => {
                if part.dialect.says_quit {
                    send(&line)?;
                }
                break;
            }
            News::Typed(line)
                if named && part.exercise == Exercise::Ex6 && calculate(&line).is_none() =>
            {
                say(&format!("Not sent, this is no calculation: {line}"));
            }
            News::Typed(line) => {
                named = true;
                send(&line)?;
            }
        }
    }
    stream.shutdown(Shutdown::Write)?;
    // Until the other side has closed as well, or has had its time.
    let last = Instant::now() + FAREWELL;
    while let Ok(News::Typed(_) | News::NothingMoreIsTyped) =
        news.recv_timeout(last.saturating_duration_since(Instant::now()))
    {}
    Ok(())
}
