//! The client: send, wait, and send again what may have been lost.
//!
//! UDP promises nothing, so every wait here has an end and every loss a
//! consequence. It does not tell an answer to the first copy from one to the
//! second: either will do.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::message::MAX_PAYLOAD_LEN;
use crate::server::RECEIVE_LEN;

/// Longest single wait, however often the time was doubled.
pub const MAX_WAIT: Duration = Duration::from_secs(60);

/// How patient the client is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long to wait for an answer to the first copy.
    pub timeout: Duration,
    /// How many copies to send, at least one.
    pub tries: u32,
}

impl Patience {
    /// How long to wait after each copy: twice as long each time, up to
    /// [`MAX_WAIT`], so that many clients of a busy server do not make it
    /// busier (RFC 8085 §3.1.1).
    pub fn waits(self) -> impl Iterator<Item = Duration> {
        (0..self.tries).map(move |n| {
            let factor = 2u32.saturating_pow(n);
            self.timeout.saturating_mul(factor).min(MAX_WAIT)
        })
    }
}

/// Why one address gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// An ICMP "port unreachable" came back.
    #[error("nobody listens on {0}: is the server running?")]
    Refused(SocketAddr),
    /// Nothing came back.
    #[error(
        "no answer from {address} in {waited:?} (tries: {tries}): the server may be down \
         or busy, or a firewall or the network may have dropped the datagrams"
    )]
    Silent {
        /// Who was asked.
        address: SocketAddr,
        /// How often.
        tries: u32,
        /// How long in all.
        waited: Duration,
    },
    /// The message exceeds a datagram.
    #[error(
        "a message of {len} octets does not fit in one datagram to {address} (at most {MAX_PAYLOAD_LEN} octets)"
    )]
    TooLong {
        /// Who was to be asked.
        address: SocketAddr,
        /// Octets of the message.
        len: usize,
    },
    /// The system could not send or receive.
    #[error("cannot reach {address}: {error}")]
    Unreachable {
        /// Who was asked.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// Asks one server and returns its answer, calling `resending` with the
/// number of each further copy (2, 3, …).
///
/// The socket is *connected*: that sends nothing, but the kernel then hands
/// over only datagrams from this server, and its ICMP errors too (RFC 1122
/// §4.1.3.3), so that a missing server is told from a lost datagram.
///
/// # Errors
/// No answer came; see [`AskError`].
pub async fn ask(
    address: SocketAddr,
    message: &[u8],
    patience: Patience,
    mut resending: impl FnMut(u32),
) -> Result<Vec<u8>, AskError> {
    if message.len() > MAX_PAYLOAD_LEN {
        let len = message.len();
        return Err(AskError::TooLong { address, len });
    }
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::ConnectionRefused => AskError::Refused(address),
        _ => AskError::Unreachable { address, error },
    };
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    socket.connect(address).await.map_err(failed)?;

    let mut buffer = vec![0; RECEIVE_LEN];
    let mut waited = Duration::ZERO;
    for (wait, copy) in patience.waits().zip(1..) {
        if copy > 1 {
            resending(copy);
        }
        socket.send(message).await.map_err(failed)?;
        if let Ok(received) = timeout(wait, socket.recv(&mut buffer)).await {
            buffer.truncate(received.map_err(failed)?);
            return Ok(buffer);
        }
        waited += wait;
    }
    Err(AskError::Silent {
        address,
        tries: patience.tries,
        waited,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(timeout: u64, tries: u32, expected: &[u64]) {
        let timeout = Duration::from_secs(timeout);
        let waits: Vec<u64> = Patience { timeout, tries }
            .waits()
            .map(|wait| wait.as_secs())
            .collect();
        assert_eq!(waits, expected);
    }

    #[test]
    fn each_wait_is_twice_the_last_up_to_a_limit() {
        check(1, 1, &[1]);
        check(1, 4, &[1, 2, 4, 8]);
        check(20, 4, &[20, 40, 60, 60]);
        check(1, 40, &[&[1, 2, 4, 8, 16, 32][..], &[60; 34]].concat());
    }

    #[tokio::test]
    async fn a_message_that_fits_no_datagram_is_refused_before_sending() {
        let address = "127.0.0.1:9".parse().expect("a good address");
        let patience = Patience {
            timeout: Duration::from_secs(1),
            tries: 1,
        };
        let error = ask(address, &[0; MAX_PAYLOAD_LEN + 1], patience, |_| {})
            .await
            .expect_err("it does not fit");
        assert!(matches!(error, AskError::TooLong { len: 65_508, .. }));
    }
}
