//! The thin shell around [`Session`]: listen, accept, and for each connection
//! read, ask the session, print, write.
//!
//! One thread serves everybody. A session that waits costs nothing, the work for one line is about
//! a microsecond, and a thread per client would mostly switch between threads.
//!
//! Deliberately absent: decisions about the protocol, and limits on how long a client may think.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address::Endpoint;
use crate::connection::Connection;
use crate::message::Reply;
use crate::session::{Ending, Output, Session};

/// Connections the kernel completes and keeps for us until we accept them: a whole class may
/// connect in the same second.
const BACKLOG: u32 = 1024;

/// How long a client may be silent before the kernel asks it for a sign of life, and how often it
/// asks. A computer that was unplugged never says FIN; after three unanswered probes its session
/// ends. A person who thinks is not affected: the probes are answered by the client's kernel.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(10), 3);

/// How long a client has for its own FIN once the session is over.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// The same when the server stops, and for taking the goodbye. All clients have it together.
const STOPPING_TIME: Duration = Duration::from_millis(300);

/// How long to wait before accepting again when the machine is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the server shows what happens. All sessions share it.
///
/// Each call prints whole lines and flushes them, so they are seen at once in a pipe, too. When
/// nobody reads any more (a closed pipe), sessions go on unseen.
#[derive(Clone)]
pub struct Screen(Arc<Mutex<Option<Box<dyn Write + Send>>>>);

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The host of the address is unknown.
    #[error("cannot find {endpoint}")]
    Unknown {
        /// As given.
        endpoint: Endpoint,
        /// From the resolver.
        source: io::Error,
    },
    /// Another program has the port.
    #[error(
        "{address} is already in use: another program holds it; stop that one or choose another port with --bind"
    )]
    InUse {
        /// The address tried last.
        address: SocketAddr,
    },
    /// The address is not one of this computer.
    #[error(
        "{address} is not an address of this computer; use 0.0.0.0 or [::] for all of its addresses, or 127.0.0.1 for this computer alone"
    )]
    NotOurs {
        /// The address tried last.
        address: SocketAddr,
    },
    /// Anything else, such as a port below 1024 without permission.
    #[error("cannot listen on {address}")]
    Other {
        /// The address tried last.
        address: SocketAddr,
        /// From the system.
        source: io::Error,
    },
}

impl Screen {
    /// Shows things on `output`.
    pub fn new(output: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(output)))))
    }

    /// Prints whole lines, each with its LF.
    pub fn print(&self, lines: &str) {
        let mut screen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(output) = &mut *screen else { return };
        let shown = output
            .write_all(lines.as_bytes())
            .and_then(|()| output.flush());
        // A screen that is gone is not a reason to leave the clients alone, and does not come back.
        if shown.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            *screen = None;
        }
    }
}

/// Listens on the first address of `endpoint` that works. Port 0 lets the system choose.
///
/// # Errors
/// Why the last address did not work.
pub async fn listen(endpoint: &Endpoint) -> Result<TcpListener, ListenError> {
    let addresses = endpoint
        .resolve()
        .await
        .map_err(|source| ListenError::Unknown {
            endpoint: endpoint.clone(),
            source,
        })?;
    let mut addresses = VecDeque::from(addresses);
    loop {
        let address = addresses
            .pop_front()
            .expect("resolve gives one address at least");
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(_) if !addresses.is_empty() => {}
            Err(source) => {
                return Err(match source.kind() {
                    io::ErrorKind::AddrInUse => ListenError::InUse { address },
                    io::ErrorKind::AddrNotAvailable => ListenError::NotOurs { address },
                    _ => ListenError::Other { address, source },
                });
            }
        }
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The side that closes first keeps the connection in TIME-WAIT for a minute. A server that
    // stops with clients connected is that side, and without this could not be started again until
    // the minute is over. It does not let two servers share the port: the second listen fails.
    // (On Windows the option means just that sharing, so there it stays off.)
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves every client that connects, until `shutdown` resolves; then says goodbye to all of them.
pub async fn run(listener: TcpListener, screen: Screen, shutdown: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let sessions = TaskTracker::new();

    tokio::select! {
        () = shutdown => {}
        () = accept(&listener, &screen, &stop, &sessions) => {}
    }

    // Nobody new, then tell everybody, then wait for them.
    drop(listener);
    stop.cancel();
    sessions.close();
    sessions.wait().await;
    screen.print("Server stopped.\n");
}

async fn accept(
    listener: &TcpListener,
    screen: &Screen,
    stop: &CancellationToken,
    sessions: &TaskTracker,
) {
    // Whether the trouble was mentioned: it is tried again ten times a second, and said once.
    let mut complained = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                complained = false;
                sessions.spawn(serve(stream, peer, screen.clone(), stop.clone()));
            }
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut complained, true) {
                    screen.print(&format!(
                        "Cannot accept more clients for the moment: {error}\n"
                    ));
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether a client that left before it was accepted is the reason, not the state of this server.
fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

async fn serve(stream: TcpStream, peer: SocketAddr, screen: Screen, stop: CancellationToken) {
    let mut session = Session::new(peer);
    let (time, interval, retries) = KEEPALIVE;
    let keepalive = TcpKeepalive::new()
        .with_time(time)
        .with_interval(interval)
        .with_retries(retries);
    let connection = SockRef::from(&stream)
        .set_tcp_keepalive(&keepalive)
        .and_then(|()| Connection::new(stream));
    let mut connection = match connection {
        Ok(connection) => connection,
        Err(error) => return screen.print(&session.end(&lost(error))),
    };

    let ending = converse(&mut connection, &mut session, &screen, &stop).await;
    match ending {
        None => {
            stop.run_until_cancelled(connection.close(CLOSING_TIME))
                .await;
        }
        Some(Ending::Stopped) => {
            screen.print(&session.end(&Ending::Stopped));
            let goodbye = format!("{}\n", Reply::Goodbye("the server is stopping".to_owned()));
            let farewell = async {
                if connection.send(goodbye.as_bytes()).await.is_ok() {
                    connection.close(STOPPING_TIME).await;
                }
            };
            // A client that has stopped reading has no room for a goodbye.
            let _ = tokio::time::timeout(STOPPING_TIME, farewell).await;
        }
        Some(ending) => screen.print(&session.end(&ending)),
    }
}

/// Answers the client until the session is over (`None`) or something else ends it.
async fn converse(
    connection: &mut Connection,
    session: &mut Session,
    screen: &Screen,
    stop: &CancellationToken,
) -> Option<Ending> {
    let mut stopped = pin!(stop.cancelled());
    let mut output = Output::default();
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return Some(Ending::Stopped),
            read = connection.read() => match read {
                Ok(true) => {}
                Ok(false) => return Some(Ending::Closed),
                Err(error) => return Some(lost(error)),
            },
        }

        // Every complete line of this read, then one print and one write: with many requests in
        // flight a write for each would take ten times as long. The number of lines in one read is
        // limited, and so is what gathers here.
        output.screen.clear();
        output.replies.clear();
        while !session.is_over()
            && let Some(line) = connection.next_line()
        {
            session.on_line(line, &mut output);
        }
        if output.replies.is_empty() {
            continue;
        }
        screen.print(&output.screen);

        // Whoever has asked something by now is read before anybody is answered: so the answers to
        // many clients leave close together, and their computer is woken once for several.
        yield_now().await;

        // While this waits for a client that does not read, nothing more is read from it either,
        // and its own requests fill its own buffers: nobody else notices.
        tokio::select! {
            biased;
            sent = connection.send(output.replies.as_bytes()) => if let Err(error) = sent {
                return (!session.is_over()).then(|| lost(error));
            },
            () = &mut stopped => {
                screen.print(&session.end(&Ending::Stopped));
                return None;
            }
        }
        if session.is_over() {
            return None;
        }
    }
}

fn lost(error: io::Error) -> Ending {
    Ending::Lost(error.to_string())
}
