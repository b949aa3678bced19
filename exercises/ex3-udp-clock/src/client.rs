//! The client's shell: one request at a time, each on a socket of its own.
//!
//! The protocol has no request numbers, so the client uses the one number a
//! server must send back: the client's port. A fresh socket per request means
//! a fresh port, and an answer can only reach the request it belongs to.
//! It does not resend: the next request comes in a moment anyway.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use crate::clock::Request;
use crate::printable::Printable;
use crate::schedule::Turn;
use crate::screen::Screen;

/// Used sockets kept open, unread, so that their ports are not given out
/// again. With a gap of at least a second this outlasts the two minutes a
/// datagram may live in the network (MSL, RFC 9293 §3.4.2).
const MAX_RETIRED: usize = 121;

/// Octets of a wrong answer that are printed.
const MAX_SHOWN_LEN: usize = 100;

/// How a run of the client went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests sent.
    pub asked: u64,
    /// Requests answered in time.
    pub answered: u64,
    /// Whether the run ended by the wish to stop, or since nobody reads on.
    pub stopped: bool,
}

/// No address of the server could be used, and none had answered before.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct NobodyThere(Vec<String>);

enum Outcome {
    Answer(String),
    Late,
    Failed(io::Error),
    Stopped,
}

/// Asks what `turns` say, prints each answer, and carries on after a loss.
///
/// An answer is awaited until the next request is due. Until a first answer
/// came, each failure moves on to the next of `addresses`.
///
/// # Errors
/// Before the first answer every address failed, for example since nobody
/// listens there. Later failures are printed and survived.
pub async fn run(
    addresses: &[SocketAddr],
    turns: impl Iterator<Item = Turn>,
    screen: &Screen,
    stop: impl Future<Output = ()>,
) -> Result<Tally, NobodyThere> {
    let mut stop = pin!(async {
        tokio::select! {
            () = stop => {}
            () = screen.closed() => {}
        }
    });
    let mut tally = Tally::default();
    let mut server = addresses.iter().copied().cycle();
    let mut address = server.next().ok_or(NobodyThere(Vec::new()))?;
    let mut failures = Vec::new();
    let mut retired = VecDeque::with_capacity(MAX_RETIRED);
    let mut due = Instant::now();

    for Turn { request, gap } in turns {
        tokio::select! {
            biased;
            () = &mut stop => {
                tally.stopped = true;
                break;
            }
            () = sleep_until(due) => {}
        }
        tally.asked += 1;
        let outcome = match send(address, request).await {
            Ok(socket) => {
                // Measured from after the sending, so that on the wire the
                // gap is never shorter than drawn.
                due = Instant::now() + gap;
                let outcome = tokio::select! {
                    biased;
                    () = &mut stop => Outcome::Stopped,
                    answer = receive(&socket, request, screen) => match answer {
                        Ok(answer) => Outcome::Answer(answer),
                        Err(error) => Outcome::Failed(error),
                    },
                    () = sleep_until(due) => Outcome::Late,
                };
                if retired.len() == MAX_RETIRED {
                    retired.pop_front();
                }
                retired.push_back(socket);
                outcome
            }
            Err(error) => {
                due = Instant::now() + gap;
                Outcome::Failed(error)
            }
        };
        match outcome {
            Outcome::Answer(answer) => {
                tally.answered += 1;
                screen.line(format!("{request}: {answer}"));
                continue;
            }
            Outcome::Late => screen.line(format!("{request}: no answer in time from {address}")),
            Outcome::Failed(error) => {
                let failure = describe(address, &error);
                if tally.answered == 0 {
                    failures.push(failure.clone());
                    if failures.len() >= addresses.len() {
                        return Err(NobodyThere(failures));
                    }
                }
                screen.line(format!("{request}: {failure}"));
            }
            Outcome::Stopped => {
                tally.stopped = true;
                break;
            }
        }
        if tally.answered == 0 {
            address = server.next().unwrap_or(address);
        }
    }
    Ok(tally)
}

/// Sends a request from a new socket, connected so that only this server's
/// datagrams, and ICMP errors about ours, come back.
async fn send(address: SocketAddr, request: Request) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    socket.send(request.as_str().as_bytes()).await?;
    Ok(socket)
}

/// Waits for an answer of the right shape; others are shown and ignored.
async fn receive(socket: &UdpSocket, request: Request, screen: &Screen) -> io::Result<String> {
    let mut buffer = vec![0; 65_535];
    loop {
        let len = socket.recv(&mut buffer).await?;
        let answer = &buffer[..len];
        let shown = Printable::up_to(MAX_SHOWN_LEN, answer);
        if request.accepts(answer) {
            return Ok(shown.to_string());
        }
        screen.line(format!(
            "{request}: \"{shown}\" ignored, expected {}",
            request.shape()
        ));
    }
}

fn describe(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("nobody listens on {address}: is the server running?")
        }
        _ => format!("cannot reach {address}: {error}"),
    }
}
