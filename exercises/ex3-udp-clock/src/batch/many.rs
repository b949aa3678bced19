//! One system call for many datagrams: recvmmsg(2) and sendmmsg(2).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::{Arrived, MOST};

/// What the system is handed with each call: where texts and addresses are.
pub(super) struct Calls(MultiHeaders<SockaddrStorage>);

impl Default for Calls {
    fn default() -> Self {
        Self(MultiHeaders::preallocate(MOST, None))
    }
}

impl Calls {
    /// Takes what has arrived, as far as there are places.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if that is nothing.
    pub(super) fn receive<'a>(
        &mut self,
        socket: &UdpSocket,
        places: impl Iterator<Item = &'a mut [u8]>,
        arrived: &mut Vec<Arrived>,
    ) -> io::Result<()> {
        let mut places: Vec<_> = places.map(|place| [IoSliceMut::new(place)]).collect();
        socket.try_io(Interest::READABLE, || {
            let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            let taken = recvmmsg(fd, &mut self.0, &mut places, flags, None)?;
            arrived.extend(taken.map(|one| (one.bytes, one.address.and_then(internet))));
            Ok(())
        })
    }

    /// Sends the first of these texts, and says how many that were.
    ///
    /// # Errors
    /// Why not even one was. [`io::ErrorKind::WouldBlock`]: there is no room
    /// at the moment.
    pub(super) fn send(
        &mut self,
        socket: &UdpSocket,
        texts: &[(&str, SocketAddr)],
    ) -> io::Result<usize> {
        let peers: Vec<_> = texts.iter().map(|&(_, peer)| Some(peer.into())).collect();
        let texts = texts
            .iter()
            .map(|(text, _)| [IoSlice::new(text.as_bytes())]);
        let texts: Vec<_> = texts.collect();
        socket.try_io(Interest::WRITABLE, || {
            let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            let sent = sendmmsg(fd, &mut self.0, &texts, peers, [], flags)?;
            Ok(sent.count())
        })
    }
}

fn internet(address: SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || address.as_sockaddr_in().map(|&v4| v4.into());
    let v6 = || address.as_sockaddr_in6().map(|&v6| v6.into());
    v4().or_else(v6)
}
