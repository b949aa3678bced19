//! The server's shell: one socket, one loop, nothing remembered.
//!
//! What to answer is decided in [`message`]. There is no task
//! per client, since there is nothing to wait for between a message and its
//! answer.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::pin;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::address::{Address, ResolveError, canonical};
use crate::message;
use crate::printable::Printable;
use crate::screen::Screen;

/// Room for the largest datagram. With less, the rest of a longer one would
/// be thrown away without a word (`recvfrom(2)`, `MSG_TRUNC`).
pub const RECEIVE_LEN: usize = 65_535;

/// Octets of a message that are printed.
pub const MAX_SHOWN_LEN: usize = 1_000;

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

/// Receives, prints and answers until `stop` completes or nobody can read the
/// screen any more.
///
/// # Errors
/// The socket is broken. What one datagram or one client causes is printed
/// and survived.
pub async fn run(
    socket: UdpSocket,
    screen: &Screen,
    stop: impl Future<Output = ()>,
) -> io::Result<Tally> {
    let mut stop = pin!(stop);
    let mut tally = Tally::default();
    let mut buffer = vec![0; RECEIVE_LEN];
    loop {
        let received = tokio::select! {
            biased;
            () = &mut stop => return Ok(tally),
            () = screen.closed() => return Ok(tally),
            received = socket.recv_from(&mut buffer) => received,
        };
        let (len, peer) = match received {
            Ok(received) => received,
            Err(error) if concerns_one_client(error.kind()) => {
                screen.line(format!("An answer did not arrive: {error}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        let text = &buffer[..len];
        tally.received += 1;
        screen.line(shown(canonical(peer), text));
        let Some(reply) = message::reply(text) else {
            continue;
        };
        match socket.send_to(&reply, peer).await {
            Ok(_) => tally.answered += 1,
            Err(error) => screen.line(format!("{}: cannot answer: {error}", canonical(peer))),
        }
    }
}

fn shown(peer: SocketAddr, text: &[u8]) -> String {
    if text.is_empty() {
        format!("{peer}: (an empty datagram)")
    } else {
        format!("{peer}: {}", Printable::up_to(MAX_SHOWN_LEN, text))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen;
    use std::io::{BufRead, BufReader};

    #[track_caller]
    fn check_shown(text: &[u8], expected: &str) {
        let peer = "192.0.2.1:5".parse().expect("a good address");
        assert_eq!(shown(peer, text), expected);
    }

    #[test]
    fn a_message_is_shown_with_its_sender() {
        check_shown(b"Hi!", "192.0.2.1:5: Hi!");
        check_shown(b"", "192.0.2.1:5: (an empty datagram)");
        check_shown(b"\x1b[2J\xff", r"192.0.2.1:5: \x1b[2J\xff");
        let huge = vec![b'x'; 60_000];
        let cut = format!("192.0.2.1:5: {}… (60000 octets)", "x".repeat(1_000));
        check_shown(&huge, &cut);
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let check = |kind: io::ErrorKind, part: &str| {
            let address = "192.0.2.1:5".parse().expect("a good address");
            let error = io::Error::from(kind);
            let told = BindError::Refused { address, error }.to_string();
            assert!(told.contains("192.0.2.1"), "{told}");
            assert!(told.contains(part), "{told}");
        };
        check(io::ErrorKind::AddrInUse, "already in use");
        check(io::ErrorKind::AddrNotAvailable, "bind 0.0.0.0");
        check(io::ErrorKind::PermissionDenied, "above 1023");
    }

    /// Linux hides ICMP errors from unconnected sockets unless asked
    /// (`IP_RECVERR`); asked, it behaves as other systems always do.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_client_that_is_gone_when_the_answer_comes_is_survived() {
        use nix::sys::socket::{setsockopt, sockopt::Ipv4RecvErr};

        let any = Address::parse("127.0.0.1:0", 0).expect("a good address");
        let socket = bind(&any).await.expect("loopback can be bound");
        setsockopt(&socket, Ipv4RecvErr, &true).expect("Linux knows IP_RECVERR");
        let server = socket.local_addr().expect("a bound socket");

        let gone = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
        gone.send_to(b"first", server).expect("loopback is up");
        drop(gone);

        let (reader, writer) = io::pipe().expect("a pipe");
        let (screen, printer) = screen::start(writer);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let client = async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            socket.send_to(b"second", server).await?;
            let mut buffer = [0; 100];
            let (len, _) = socket.recv_from(&mut buffer).await?;
            drop(end);
            io::Result::Ok(buffer[..len].to_vec())
        };
        let stop = async {
            let _ = ended.await;
        };
        let (tally, answer) = tokio::join!(run(socket, &screen, stop), client);
        assert_eq!(
            answer.expect("the second client is served"),
            b"Hi from server! You said: second"
        );
        assert_eq!(tally.expect("the socket works").received, 2);
        printer
            .finish(screen, "end".to_owned())
            .await
            .expect("a pipe can be written");
        let lines: Vec<String> = BufReader::new(reader)
            .lines()
            .collect::<io::Result<_>>()
            .expect("text was written");
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("An answer did not arrive")),
            "the error was really met: {lines:?}"
        );
    }
}
