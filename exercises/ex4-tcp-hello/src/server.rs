//! The server's shell: a listener, a task per connection, an orderly end.
//!
//! Where a line ends is decided in [`line`](mod@crate::line), what to answer in
//! [`message`]. There is no thread per client and no shared
//! state: the tasks have nothing to tell each other.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address::{Address, ResolveError, canonical};
use crate::line::{self, TooLong};
use crate::message::{self, GOODBYE};
use crate::printable::Printable;
use crate::screen::Screen;

/// Octets of a line that are printed.
pub const MAX_SHOWN_LEN: usize = 1_000;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How much is read at once.
const READ_LEN: usize = 8_192;

/// How long a client that was told goodbye may take to close its side.
const GOODBYE_LIMIT: Duration = Duration::from_millis(250);

/// How long a client whose line was too long may take to stop sending.
const REFUSAL_LIMIT: Duration = Duration::from_secs(5);

/// Pause after a failed accept. When the process has no file descriptor left,
/// the next accept would fail at once, and so on in circles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
            "address already in use: another program holds TCP {address}; \
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

/// Listens on the first address of `address` that can be bound. `[::]` takes
/// IPv4 clients too.
///
/// # Errors
/// The name is unknown, or no address could be bound: the last refusal.
pub async fn bind(address: &Address) -> Result<TcpListener, BindError> {
    let mut refused = None;
    for address in address.resolve().await? {
        match bind_one(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = Some(BindError::Refused { address, error }),
        }
    }
    Err(refused.expect("resolve gives at least one address"))
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Without it a restart would be refused for a minute, while connections of
    // the last run rest in TIME-WAIT (RFC 9293 §3.6). A second listener is
    // refused all the same, except on Windows, where it must stay off.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // The default differs between systems (RFC 3493 §5.3).
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves every client that connects until `stop` completes or nobody can
/// read the screen any more, then tells the connected ones goodbye. Returns
/// how many clients there were.
pub async fn run(listener: TcpListener, screen: &Screen, stop: impl Future<Output = ()>) -> u64 {
    let mut stop = pin!(async {
        tokio::select! {
            () = stop => {}
            () = screen.closed() => {}
        }
    });
    let closing = CancellationToken::new();
    let connections = TaskTracker::new();
    let mut clients = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                clients += 1;
                let (screen, closing) = (screen.clone(), closing.clone());
                connections.spawn(serve(stream, canonical(peer), screen, closing));
            }
            Err(error) => tokio::select! {
                () = &mut stop => break,
                () = async {
                    screen.line(format!("Cannot accept a client: {error}")).await;
                    sleep(ACCEPT_PAUSE).await;
                } => {}
            },
        }
    }
    // From here on a new client is refused instead of being left in the queue.
    drop(listener);
    closing.cancel();
    connections.close();
    // Each has a limit of its own; this one holds if the system is too slow.
    let _ = timeout(2 * GOODBYE_LIMIT, connections.wait()).await;
    clients
}

/// How a conversation ended by itself.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error(transparent)]
    Io(#[from] io::Error),
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    screen: Screen,
    arrived: BytesMut,
    /// Kept outside of the future that writes it: when that is cancelled, the
    /// goodbye comes after the rest of an answer, not in the middle.
    leaving: BytesMut,
}

/// One client, from its connection to the end of it.
async fn serve(stream: TcpStream, peer: SocketAddr, screen: Screen, closing: CancellationToken) {
    let mut connection = Connection {
        stream,
        peer,
        screen: screen.clone(),
        arrived: BytesMut::new(),
        leaving: BytesMut::new(),
    };
    let last = closing.run_until_cancelled(connection.converse_and_close());
    let last = match last.await {
        Some(Ok(())) => "closed".to_owned(),
        Some(Err(fault)) => format!("cut off: {fault}"),
        None => {
            let said = connection.refuse(GOODBYE, GOODBYE_LIMIT).await;
            said.map_or_else(
                |fault| format!("cut off: {fault}"),
                |()| "told goodbye".to_owned(),
            )
        }
    };
    let _ = timeout(GOODBYE_LIMIT, screen.line(format!("{peer}: {last}"))).await;
}

impl Connection {
    async fn converse_and_close(&mut self) -> Result<(), Fault> {
        // Answers are written in one piece, so waiting to fill a segment
        // (RFC 9293 §3.7.4) would only delay them.
        self.stream.set_nodelay(true)?;
        // A client whose cable was pulled says nothing; ask now and then.
        SockRef::from(&self.stream).set_keepalive(true)?;
        self.screen.line(format!("{}: connected", self.peer)).await;
        match self.converse().await {
            Ok(()) => {}
            Err(Fault::TooLong(fault)) => {
                self.refuse(&format!("Sorry: {fault}."), REFUSAL_LIMIT)
                    .await?;
                return Err(fault.into());
            }
            Err(fault) => return Err(fault),
        }
        // The client has sent its FIN and everything is read: only now may
        // this side close, or unread octets would turn our FIN into a RST.
        Ok(self.stream.shutdown().await?)
    }

    /// Prints and answers line after line until the client sends no more.
    async fn converse(&mut self) -> Result<(), Fault> {
        loop {
            self.arrived.reserve(READ_LEN);
            let at_end = self.stream.read_buf(&mut self.arrived).await? == 0;
            loop {
                let line = match line::cut(&mut self.arrived, line::MAX_LEN)? {
                    Some(line) => line,
                    None if at_end => match line::last(&mut self.arrived, line::MAX_LEN)? {
                        Some(line) => line,
                        None => break,
                    },
                    None => break,
                };
                let shown = Printable::up_to(MAX_SHOWN_LEN, &line);
                self.screen.line(format!("{}: {shown}", self.peer)).await;
                message::reply(&line, &mut self.leaving);
            }
            // One write for all the lines that had arrived.
            self.stream.write_all_buf(&mut self.leaving).await?;
            if at_end {
                return Ok(());
            }
        }
    }

    /// Says a last line and closes, reading on (and throwing away) until the
    /// client closes too, at most for `limit`.
    async fn refuse(&mut self, text: &str, limit: Duration) -> Result<(), Fault> {
        self.leaving.extend_from_slice(text.as_bytes());
        self.leaving.extend_from_slice(b"\n");
        let close = async {
            self.stream.write_all_buf(&mut self.leaving).await?;
            self.stream.shutdown().await?;
            loop {
                self.arrived.clear();
                self.arrived.reserve(READ_LEN);
                if self.stream.read_buf(&mut self.arrived).await? == 0 {
                    return Ok(());
                }
            }
        };
        // A client that stays is left behind: our FIN is sent, all is read.
        timeout(limit, close).await.unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
