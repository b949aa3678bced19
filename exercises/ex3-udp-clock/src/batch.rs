//! Datagrams by the batch: what has arrived is taken, and what is to leave is
//! sent, with as few system calls as the system allows. On Linux one call
//! carries up to [`MOST`] datagrams (recvmmsg, sendmmsg), elsewhere one.
//!
//! Deliberately absent: what is in them.

#[cfg(target_os = "linux")]
mod many;
#[cfg(any(not(target_os = "linux"), test))]
mod single;

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

#[cfg(target_os = "linux")]
use many::Calls;
#[cfg(not(target_os = "linux"))]
use single::Calls;

/// Datagrams in one batch. More would wait for each other.
pub const MOST: usize = 64;

/// Room for the largest datagram, so that no long one is cut.
const LEN: usize = 65_535;

/// What has arrived. Memory that no datagram has needed yet is not really
/// taken from the system.
pub struct Inbox {
    octets: Vec<u8>,
    /// Of each datagram in its part of the octets.
    arrived: Vec<Arrived>,
    calls: Calls,
}

/// The way out.
#[derive(Default)]
pub struct Outbox {
    calls: Calls,
}

/// A datagram's length, and its sender if that is an address of the Internet.
type Arrived = (usize, Option<SocketAddr>);

impl Default for Inbox {
    fn default() -> Self {
        Self {
            octets: vec![0; MOST * LEN],
            arrived: Vec::with_capacity(MOST),
            calls: Calls::default(),
        }
    }
}

impl Inbox {
    /// Waits until something is there, then takes what is, [`MOST`] at most.
    /// Cancel safe.
    ///
    /// # Errors
    /// What the system reports of the socket, or of an earlier datagram.
    pub async fn fill(&mut self, socket: &UdpSocket) -> io::Result<()> {
        loop {
            socket.readable().await?;
            self.arrived.clear();
            let places = self.octets.chunks_mut(LEN);
            match self.calls.receive(socket, places, &mut self.arrived) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => return taken,
            }
        }
    }

    /// Each datagram, with its sender, in the order of their arrival.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        let places = self.octets.chunks(LEN);
        let arrived = self.arrived.iter().zip(places);
        arrived.filter_map(|(&(len, sender), place)| Some((&place[..len], sender?)))
    }
}

impl Outbox {
    /// Sends each of these texts, and says of each whether the system took it.
    ///
    /// # Errors
    /// The socket is broken: none of the others can be sent.
    pub async fn send(
        &mut self,
        socket: &UdpSocket,
        texts: &[(&str, SocketAddr)],
    ) -> io::Result<Vec<io::Result<()>>> {
        let mut results = Vec::with_capacity(texts.len());
        while let rest = &texts[results.len()..]
            && !rest.is_empty()
        {
            match self.calls.send(socket, rest) {
                Ok(sent) => results.extend((0..sent).map(|_| Ok(()))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    socket.writable().await?;
                }
                // Only the first of them: the others have not been tried.
                Err(error) => results.push(Err(error)),
            }
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    async fn bound(address: impl Into<std::net::IpAddr>) -> UdpSocket {
        let socket = UdpSocket::bind((address.into(), 0)).await;
        socket.expect("a free port")
    }

    async fn sent(from: &UdpSocket, to: &UdpSocket, texts: impl Iterator<Item = String>) {
        let to = to.local_addr().expect("bound");
        for text in texts {
            from.send_to(text.as_bytes(), to).await.expect("sent");
        }
    }

    fn texts(inbox: &Inbox) -> Vec<(String, SocketAddr)> {
        let text = |octets| String::from_utf8_lossy(octets).into_owned();
        inbox
            .iter()
            .map(|(octets, from)| (text(octets), from))
            .collect()
    }

    #[tokio::test]
    async fn all_that_has_arrived_is_taken_in_order_and_with_its_sender() {
        for address in [
            Ipv4Addr::LOCALHOST.into(),
            std::net::IpAddr::from(Ipv6Addr::LOCALHOST),
        ] {
            let (server, client) = (bound(address).await, bound(address).await);
            let from = client.local_addr().expect("bound");
            let expected: Vec<_> = (0..MOST + 3)
                .map(|number| (format!("request {number}"), from))
                .collect();
            sent(
                &client,
                &server,
                expected.iter().map(|(text, _)| text.clone()),
            )
            .await;
            let (mut inbox, mut got) = (Inbox::default(), Vec::new());
            while got.len() < expected.len() {
                inbox.fill(&server).await.expect("there is more");
                let batch = texts(&inbox);
                assert!((1..=MOST).contains(&batch.len()));
                got.extend(batch);
            }
            assert_eq!(got, expected);
        }
    }

    #[tokio::test]
    async fn an_empty_and_a_large_datagram_are_whole() {
        let (server, client) = (
            bound(Ipv4Addr::LOCALHOST).await,
            bound(Ipv4Addr::LOCALHOST).await,
        );
        let large = "x".repeat(60_000);
        sent(
            &client,
            &server,
            [String::new(), large.clone(), String::new()].into_iter(),
        )
        .await;
        let (mut inbox, mut got) = (Inbox::default(), Vec::new());
        while got.len() < 3 {
            inbox.fill(&server).await.expect("there is more");
            got.extend(texts(&inbox).into_iter().map(|(text, _)| text));
        }
        assert_eq!(got, ["", &large, ""]);
    }

    #[tokio::test]
    async fn one_that_cannot_be_sent_holds_up_none_of_the_others() {
        let (server, client) = (
            bound(Ipv4Addr::LOCALHOST).await,
            bound(Ipv4Addr::LOCALHOST).await,
        );
        let to = client.local_addr().expect("bound");
        // No IPv4 socket reaches an IPv6 address.
        let wrong = SocketAddr::from((Ipv6Addr::LOCALHOST, to.port()));
        let mut answers: Vec<_> = (0..2 * MOST).map(|_| ("right", to)).collect();
        answers[0].1 = wrong;
        answers[5].1 = wrong;
        answers[2 * MOST - 1].1 = wrong;
        let results = Outbox::default()
            .send(&server, &answers)
            .await
            .expect("the socket is sound");
        for (result, (_, peer)) in results.iter().zip(&answers) {
            assert_eq!(result.is_ok(), *peer == to, "{result:?}");
        }
        assert_eq!(results.len(), answers.len());
        let (mut inbox, mut arrived) = (Inbox::default(), 0);
        while arrived < 2 * MOST - 3 {
            inbox.fill(&client).await.expect("there is more");
            arrived += inbox
                .iter()
                .filter(|&(octets, _)| octets == b"right")
                .count();
        }
    }

    /// What systems without such calls do.
    #[tokio::test]
    async fn with_a_call_for_each_it_is_the_same() {
        let (server, client) = (
            bound(Ipv4Addr::LOCALHOST).await,
            bound(Ipv4Addr::LOCALHOST).await,
        );
        let (to, from) = (
            client.local_addr().expect("bound"),
            server.local_addr().expect("bound"),
        );
        let mut calls = single::Calls;
        let answers = [("one", to), ("two", to)];
        server.writable().await.expect("a sound socket");
        assert_eq!(calls.send(&server, &answers).ok(), Some(1));
        client.readable().await.expect("a sound socket");
        let (mut octets, mut arrived) = ([0; 10], Vec::new());
        let taken = calls.receive(&client, octets.chunks_mut(5), &mut arrived);
        assert!(taken.is_ok() && octets.starts_with(b"one\0"));
        assert_eq!(arrived, [(3, Some(from))]);
        let taken = calls.receive(&client, octets.chunks_mut(5), &mut arrived);
        assert!(taken.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
    }
}
