//! The client: connect, ask one thing, close in good order.
//!
//! TCP resends by itself, so unlike the UDP client this one never repeats
//! itself; it only refuses to wait for ever.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::line::{self, TooLong};
use crate::message::MAX_ANSWER_LEN;
use crate::printable::Printable;

/// How much is read at once.
const READ_LEN: usize = 8_192;

/// Octets of an unfinished answer that are shown in an error.
const MAX_SHOWN_LEN: usize = 200;

/// Why one address could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The computer answered our SYN with a RST.
    #[error("nobody listens on {0}: is the server running?")]
    Refused(SocketAddr),
    /// Nothing answered our SYN.
    #[error(
        "no answer from {address} in {limit:?}: the computer may be off, \
         or a firewall drops the segments"
    )]
    Silent {
        /// Who was called.
        address: SocketAddr,
        /// How long.
        limit: Duration,
    },
    /// The system could not connect.
    #[error("cannot reach {address}: {error}")]
    Unreachable {
        /// Who was called.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// Why a connected server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// A FIN came instead of an answer.
    #[error("the server closed the connection before it answered")]
    Closed,
    /// Octets came, but no end of line.
    #[error("the server sent \"{0}\" but no end of line in {1:?}")]
    Unfinished(String, Duration),
    /// Nothing came.
    #[error("the server accepted the connection but did not answer in {0:?}")]
    Silent(Duration),
    /// The answer has no end.
    #[error("the answer is too long: {0}")]
    TooLong(#[from] TooLong),
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(#[from] io::Error),
}

/// Why a connection did not end in good order.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// A RST came instead of a FIN.
    #[error("the server reset the connection instead of closing it: {0}")]
    Reset(#[from] io::Error),
    /// No FIN came.
    #[error("the server did not close its side in {0:?}")]
    StillOpen(Duration),
}

/// An open connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    arrived: BytesMut,
    limit: Duration,
}

impl Connection {
    /// Connects; `limit` bounds this and each later wait.
    ///
    /// # Errors
    /// There is no connection; see [`ConnectError`].
    pub async fn open(address: SocketAddr, limit: Duration) -> Result<Self, ConnectError> {
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => Ok(Self {
                stream,
                arrived: BytesMut::new(),
                limit,
            }),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Err(ConnectError::Refused(address))
            }
            Ok(Err(error)) => Err(ConnectError::Unreachable { address, error }),
            Err(_) => Err(ConnectError::Silent { address, limit }),
        }
    }

    /// Sends a line, given without its newline, and returns the answer
    /// without its own. A server that closes right after an answer may leave
    /// out the newline.
    ///
    /// # Errors
    /// No whole answer came; see [`AskError`].
    pub async fn ask(&mut self, message: &str) -> Result<BytesMut, AskError> {
        let limit = self.limit;
        match timeout(limit, self.exchange(message)).await {
            Ok(answer) => answer,
            Err(_) if self.arrived.is_empty() => Err(AskError::Silent(limit)),
            Err(_) => {
                let sent = Printable::up_to(MAX_SHOWN_LEN, &self.arrived).to_string();
                Err(AskError::Unfinished(sent, limit))
            }
        }
    }

    async fn exchange(&mut self, message: &str) -> Result<BytesMut, AskError> {
        // One write, or the newline could travel in a segment of its own.
        let line = format!("{message}\n");
        self.stream.write_all(line.as_bytes()).await?;
        loop {
            if let Some(answer) = line::cut(&mut self.arrived, MAX_ANSWER_LEN)? {
                return Ok(answer);
            }
            self.arrived.reserve(READ_LEN);
            if self.stream.read_buf(&mut self.arrived).await? == 0 {
                return line::last(&mut self.arrived, MAX_ANSWER_LEN)?.ok_or(AskError::Closed);
            }
        }
    }

    /// Closes in good order: says that nothing more will be sent (FIN), then
    /// reads to the end, until the server's FIN. Closing with octets unread
    /// would send a RST instead (RFC 9293 §3.6.1, RFC 1122 §4.2.2.13).
    ///
    /// # Errors
    /// The server did not close its side, or broke the connection.
    pub async fn close(mut self) -> Result<(), CloseError> {
        let limit = self.limit;
        let close = async {
            self.stream.shutdown().await?;
            loop {
                self.arrived.clear();
                self.arrived.reserve(READ_LEN);
                if self.stream.read_buf(&mut self.arrived).await? == 0 {
                    return Ok(());
                }
            }
        };
        timeout(limit, close)
            .await
            .unwrap_or(Err(CloseError::StillOpen(limit)))
    }
}
