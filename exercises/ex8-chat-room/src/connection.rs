//! A client's connection: made, read from and written to. Both modes have one.
//!
//! Lines are bounded, since the server is not trusted. What is to be sent is gathered and written together.

use std::{
    future::pending,
    io,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use anyhow::{Context, anyhow};
use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    select,
    time::timeout,
};

use crate::{
    address::HostPort,
    lines::{LineBuffer, TooLong},
    message::{MAX_REPLY_LEN, Request},
};

/// How long one address may take to answer before the next is tried.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Octets taken from the server before others have their turn.
const READ_LEN: usize = 64 * 1024;

/// Connects to the first address of the server that answers.
///
/// # Errors
/// Names the last address tried and what to do about it.
pub async fn connect(server: &HostPort) -> anyhow::Result<(TcpStream, SocketAddr)> {
    let addresses = server
        .as_pair()
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {server}: is the name right?"))?;
    let mut failure = anyhow!("{server} has no address");
    for address in addresses {
        match connect_to(address).await {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Connects to one address.
///
/// # Errors
/// Names the address and what to do about it.
pub async fn connect_to(address: SocketAddr) -> anyhow::Result<TcpStream> {
    match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(anyhow!(
            "nobody listens on {address}: is the server running?"
        )),
        Ok(Err(error)) => Err(anyhow!(error).context(format!("cannot reach {address}"))),
        Err(_) => Err(anyhow!(
            "no answer from {address} in {} s: is the address right, \
             and does a firewall allow the port?",
            CONNECT_TIME.as_secs()
        )),
    }
}

/// A connection, with what has come from it and what is to go.
#[derive(Debug)]
pub struct Connection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    replies: LineBuffer,
    unsent: BytesMut,
}

/// What comes of waiting for a connection.
#[derive(Debug)]
pub enum News {
    /// There may be lines to take.
    Received,
    /// Something was sent.
    Sent,
    /// Nothing more will come, and why.
    Over(String),
}

impl Connection {
    /// Of a stream that nobody has read from or written to.
    pub fn new(stream: TcpStream) -> Self {
        // What has been typed is written together, so Nagle's algorithm could only delay it.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        Self {
            reader,
            writer,
            replies: LineBuffer::new(MAX_REPLY_LEN),
            unsent: BytesMut::new(),
        }
    }

    /// To be sent when its turn comes.
    pub fn send(&mut self, request: &Request) {
        request.encode(&mut self.unsent);
    }

    /// Octets that are still to be sent.
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// The next line that has come; an error in the place of one that was too long.
    pub fn next_line(&mut self) -> Option<Result<Bytes, TooLong>> {
        self.replies.next_line()
    }

    /// Sends what there is to be sent, and reads, if wanted. Cancel safe.
    pub async fn next(&mut self, receiving: bool) -> News {
        let sending = !self.unsent.is_empty();
        self.replies.input().reserve(READ_LEN);
        let mut input = self.replies.input().limit(READ_LEN);
        select! {
            read = self.reader.read_buf(&mut input), if receiving => match read {
                Ok(0) => News::Over("the server has closed the connection".to_owned()),
                Ok(_) => News::Received,
                Err(error) => News::Over(format!("the connection to the server is lost: {error}")),
            },
            sent = self.writer.write_buf(&mut self.unsent), if sending => {
                if sent.is_err() {
                    // What the server said before it went, if anything, is still to be read, and the
                    // end of it will be found there.
                    self.unsent.clear();
                }
                News::Sent
            }
            else => pending().await,
        }
    }
}
