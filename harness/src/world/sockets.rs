//! The kernel's socket tables: who waits for peers where, found without touching the program.
//!
//! A server must never be probed by connecting: the probe would be its first client.

use crate::lab::Transport;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A line of a socket table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// UDP or TCP.
    pub transport: Transport,
    /// Its own address.
    pub local: SocketAddr,
    /// What it does.
    pub state: State,
    /// Octets received but not read, and sent but not acknowledged.
    pub queued: u64,
    /// Ties it to a process's descriptors.
    pub inode: u64,
}

/// What a socket does, as far as the harness cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// TCP in LISTEN.
    Listening,
    /// UDP without a fixed peer.
    Bound,
    /// TCP in ESTABLISHED or CLOSE-WAIT, or UDP with a fixed peer.
    Connected,
    /// TCP in TIME-WAIT.
    TimeWait,
    /// Anything else.
    Other,
}

impl Socket {
    /// Whether it waits for peers: a listening TCP or a bound UDP socket.
    pub fn awaits_peers(&self) -> bool {
        matches!(self.state, State::Listening | State::Bound)
    }
}

/// Every socket of this process's network.
///
/// # Errors
/// When the tables cannot be read, as on a system without /proc.
pub fn table() -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for (file, transport) in [
        ("tcp", Transport::Tcp),
        ("tcp6", Transport::Tcp),
        ("udp", Transport::Udp),
        ("udp6", Transport::Udp),
    ] {
        match std::fs::read_to_string(format!("/proc/self/net/{file}")) {
            Ok(text) => sockets.extend(
                text.lines()
                    .skip(1)
                    .filter_map(|line| parse(line, transport)),
            ),
            // A machine without IPv6 has no table for it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.ends_with('6') => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
fn parse(line: &str, transport: Transport) -> Option<Socket> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = address(fields.get(1)?)?;
    let remote = address(fields.get(2)?)?;
    let (sent, received) = fields.get(4)?.split_once(':')?;
    let queued = u64::from_str_radix(sent, 16).ok()? + u64::from_str_radix(received, 16).ok()?;
    let inode = fields.get(9)?.parse().ok()?;
    let state = match (transport, *fields.get(3)?) {
        (Transport::Tcp, "0A") => State::Listening,
        (Transport::Tcp, "01" | "08") => State::Connected,
        (Transport::Tcp, "06") => State::TimeWait,
        (Transport::Udp, "07") if remote.port() == 0 => State::Bound,
        (Transport::Udp, "01") => State::Connected,
        _ => State::Other,
    };
    Some(Socket {
        transport,
        local,
        state,
        queued,
        inode,
    })
}

/// `0100007F:4E21`: 32-bit words in the machine's octet order, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        u32::from_str_radix(ip.get(at..at + 8)?, 16)
            .ok()
            .map(u32::to_ne_bytes)
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for i in 0..4 {
                octets[i * 4..i * 4 + 4].copy_from_slice(&word(i * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_the_tables_are_understood() {
        let line = "  0: 0100007F:4E21 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000 0 12345 1 0000 100 0 0 10 0";
        let socket = parse(line, Transport::Tcp).expect("a line of /proc/net/tcp");
        assert_eq!(socket.local, "127.0.0.1:20001".parse().expect("an address"));
        assert_eq!(
            (socket.state, socket.queued, socket.inode),
            (State::Listening, 3, 12345)
        );

        let line = " 12: 00000000000000000000000001000000:4E22 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 77 2 0000 0";
        let socket = parse(line, Transport::Udp).expect("a line of /proc/net/udp6");
        assert_eq!(socket.local, "[::1]:20002".parse().expect("an address"));
        assert!(socket.awaits_peers());
        assert_eq!(parse("sl local_address", Transport::Udp), None);
    }

    #[test]
    fn a_listener_of_this_process_is_in_the_table() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let found = table()
            .expect("the tables can be read")
            .into_iter()
            .find(|socket| socket.local == address);
        assert_eq!(found.map(|socket| socket.state), Some(State::Listening));
    }
}
