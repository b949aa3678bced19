//! One system call for each datagram, as every system has it.

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

use super::Arrived;

/// Nothing is kept from one call to the next.
#[derive(Default)]
pub(super) struct Calls;

impl Calls {
    /// Takes one datagram.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none.
    pub(super) fn receive<'a>(
        &mut self,
        socket: &UdpSocket,
        mut places: impl Iterator<Item = &'a mut [u8]>,
        arrived: &mut Vec<Arrived>,
    ) -> io::Result<()> {
        if let Some(place) = places.next() {
            let (len, sender) = socket.try_recv_from(place)?;
            arrived.push((len, Some(sender)));
        }
        Ok(())
    }

    /// Sends the first of these texts, and says that it was one.
    ///
    /// # Errors
    /// Why it could not be. [`io::ErrorKind::WouldBlock`]: there is no room at
    /// the moment.
    pub(super) fn send(
        &mut self,
        socket: &UdpSocket,
        texts: &[(&str, SocketAddr)],
    ) -> io::Result<usize> {
        let Some(&(text, peer)) = texts.first() else {
            return Ok(0);
        };
        socket.try_send_to(text.as_bytes(), peer)?;
        Ok(1)
    }
}
