//! The server's shell: one socket, one loop, nothing remembered but the text
//! of the current second.
//!
//! What to answer is decided in [`clock`](crate::clock). Datagrams come and go
//! by the [`batch`](crate::batch): those that have arrived are answered
//! together, before the loop waits again.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::SystemTime;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::address::{Address, ResolveError, canonical};
use crate::batch::{Inbox, Outbox};
use crate::clock::{Face, Request, Watch};
use crate::printable::Printable;
use crate::screen::Screen;

/// Octets of an unknown request that are printed.
const MAX_SHOWN_LEN: usize = 100;

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The host of the address is unknown.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The system refused the address.
    #[error("cannot listen on {address}: {}", refusal(*.address, .error))]
    Refused {
        /// What should have been bound.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

fn refusal(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "address already in use: another program holds UDP {address}; \
             stop it or choose another with --bind"
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "this computer has no address {}; bind 0.0.0.0 or [::] for all of its addresses",
            address.ip()
        ),
        io::ErrorKind::PermissionDenied => {
            "permission denied: choose a port above 1023 with --bind".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Opens the server's socket on the first address of `address` that can be
/// bound. `[::]` takes IPv4 clients too.
///
/// # Errors
/// The name is unknown, or no address could be bound: the last refusal.
pub async fn bind(address: &Address) -> Result<UdpSocket, BindError> {
    let mut refused = None;
    for address in address.resolve().await? {
        match bind_one(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => refused = Some(BindError::Refused { address, error }),
        }
    }
    Err(refused.expect("resolve gives at least one address"))
}

fn bind_one(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    // No SO_REUSEADDR: with it two UDP servers could hold the same port, and
    // only one of them would get the datagrams, silently.
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // The default differs between systems (RFC 3493 §5.3).
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// What a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams answered.
    pub answered: u64,
}

/// Answers until `stop` completes or nobody can read the screen any more.
/// Each request and its answer is printed unless `quiet`.
///
/// # Errors
/// The socket is broken. What one datagram or one client causes is printed
/// and survived.
pub async fn run(
    socket: UdpSocket,
    screen: &Screen,
    quiet: bool,
    stop: impl Future<Output = ()>,
) -> io::Result<Tally> {
    let mut stop = pin!(stop);
    let mut tally = Tally::default();
    let mut watch = Watch::new(Face::local);
    let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
    loop {
        // Between two batches, so that a flood cannot keep it from stopping.
        let arrived = tokio::select! {
            biased;
            () = &mut stop => return Ok(tally),
            () = screen.closed() => return Ok(tally),
            arrived = inbox.fill(&socket) => arrived,
        };
        match arrived {
            Ok(()) => {}
            Err(error) if concerns_one_client(error.kind()) => {
                screen.line(format!("An answer did not arrive: {error}"));
                continue;
            }
            Err(error) => return Err(error),
        }
        // After all of them have arrived, so it is too early for none.
        let face = watch.face(SystemTime::now());
        let answer = |(octets, peer)| Some((face.answer(Request::parse(octets)?), peer));
        let answers: Vec<_> = inbox.iter().filter_map(answer).collect();
        let mut results = outbox.send(&socket, &answers).await?.into_iter();
        for (octets, peer) in inbox.iter() {
            tally.received += 1;
            let note = match Request::parse(octets) {
                Some(request) => match results.next() {
                    Some(Err(error)) => Some(format!("{request}: cannot answer: {error}")),
                    _ => {
                        tally.answered += 1;
                        (!quiet).then(|| format!("{request} -> {}", face.answer(request)))
                    }
                },
                None => (!quiet).then(|| unknown(octets)),
            };
            if let Some(note) = note {
                screen.line(format!("{}: {note}", canonical(peer)));
            }
        }
    }
}

fn unknown(request: &[u8]) -> String {
    let request = Printable::up_to(MAX_SHOWN_LEN, request);
    format!("\"{request}\" is no request, not answered")
}

/// Some systems report at the next receive that an *earlier* answer met a
/// closed port or an unreachable host (ICMP, RFC 1122 §4.1.3.3). Each such
/// report comes once, so going on cannot spin.
fn concerns_one_client(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::Interrupted
    )
}
