//! The framed stream: lines over a TCP connection.
//!
//! Reading and writing are apart from each other and from taking lines, so that a server can take
//! every line that one read brought and answer them all in one write.
//!
//! Deliberately absent: any knowledge of what the lines mean.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::line::{LineBuffer, LineTooLong};

/// The most octets taken by one read.
const READ_LEN: usize = 8 * 1024;

/// A TCP connection and the octets read from it that are not yet taken as lines.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: LineBuffer,
    chunk: Box<[u8; READ_LEN]>,
}

impl Connection {
    /// Wraps a connected stream.
    ///
    /// Nagle's algorithm is switched off: it holds a small segment back until the last one is
    /// acknowledged, which the other side may delay by 40 ms. It exists to spare the network
    /// programs that write line by line; here several lines already share one write.
    ///
    /// # Errors
    /// The connection is broken already.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: LineBuffer::default(),
            chunk: Box::new([0; READ_LEN]),
        })
    }

    /// Reads once; false at the end of the stream (FIN). Cancel safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn read(&mut self) -> io::Result<bool> {
        let length = self.stream.read(&mut self.chunk[..]).await?;
        self.received.push(&self.chunk[..length]);
        Ok(length > 0)
    }

    /// Takes the next complete line of what was read; `None` when another read is due.
    ///
    /// # Errors
    /// The line was too long. The connection is still usable.
    pub fn next_line(&mut self) -> Option<Result<&[u8], LineTooLong>> {
        self.received.next_line()
    }

    /// Reads until there is a line; `None` at the end of the stream. Cancel safe.
    ///
    /// # Errors
    /// The connection broke, or the line was too long ([`io::ErrorKind::InvalidData`]).
    pub async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.received.next_line() {
                let line =
                    line.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                return Ok(Some(line.to_vec()));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Writes lines, terminators included, in as few segments as possible.
    ///
    /// Not cancel safe: nothing may be sent after a call that was dropped halfway.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        self.stream.write_all(lines).await
    }

    /// Ends the connection so that the other side gets everything that was sent.
    ///
    /// Closing a socket with unread octets in it sends a RST, which may overtake the last lines
    /// and destroy them. So: FIN, then read what still comes until the other side's FIN, but no
    /// longer than `patience` (RFC 1122 §4.2.2.13).
    pub async fn close(mut self, patience: Duration) {
        let wait_for_fin = async {
            self.stream.shutdown().await?;
            while self.stream.read(&mut self.chunk[..]).await? > 0 {}
            io::Result::Ok(())
        };
        // Too late to matter to anybody: an error here, or no FIN in time, ends the connection too.
        let _ = tokio::time::timeout(patience, wait_for_fin).await;
    }
}
