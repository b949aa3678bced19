//! The kernel's own count of what crossed this network: whether anything did at all, without a capture.
//!
//! Only meaningful in a network of the scenario's own, where nobody else's traffic is counted.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;

/// Counts since the network was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// UDP datagrams that a program received.
    pub datagrams: u64,
    /// UDP datagrams that came to a port without a socket (answered by ICMP port unreachable).
    pub unreachable: u64,
    /// TCP connections that came to a listening socket and were opened.
    pub connections: u64,
    /// TCP connections that could not be opened.
    pub refused: u64,
    /// TCP segments with data, retransmissions not counted.
    pub segments: u64,
}

impl Traffic {
    /// Reads the counters of this process's network.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read() -> io::Result<Self> {
        let mut counters = BTreeMap::new();
        for file in ["snmp", "netstat"] {
            paired_lines(
                &std::fs::read_to_string(format!("/proc/self/net/{file}"))?,
                &mut counters,
            );
        }
        // A machine without IPv6 has no such file.
        if let Ok(text) = std::fs::read_to_string("/proc/self/net/snmp6") {
            counters.extend(text.lines().filter_map(|line| {
                let (name, value) = line.split_once(char::is_whitespace)?;
                Some((name.to_owned(), value.trim().parse().ok()?))
            }));
        }
        let count = |name: &str| counters.get(name).copied().unwrap_or(0);
        Ok(Traffic {
            datagrams: count("Udp:InDatagrams") + count("Udp6InDatagrams"),
            unreachable: count("Udp:NoPorts") + count("Udp6NoPorts"),
            connections: count("Tcp:PassiveOpens"),
            refused: count("Tcp:AttemptFails"),
            segments: count("TcpExt:TCPOrigDataSent"),
        })
    }

    /// What was counted since an earlier reading.
    pub fn since(self, earlier: Traffic) -> Traffic {
        Traffic {
            datagrams: self.datagrams.saturating_sub(earlier.datagrams),
            unreachable: self.unreachable.saturating_sub(earlier.unreachable),
            connections: self.connections.saturating_sub(earlier.connections),
            refused: self.refused.saturating_sub(earlier.refused),
            segments: self.segments.saturating_sub(earlier.segments),
        }
    }
}

/// Pairs of lines, `Udp: InDatagrams NoPorts …` over `Udp: 12 0 …`.
fn paired_lines(text: &str, counters: &mut BTreeMap<String, u64>) {
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.chunks_exact(2) {
        let mut names = pair[0].split_whitespace();
        let Some(group) = names.next() else { continue };
        let values = pair[1].split_whitespace().skip(1);
        for (name, value) in names.zip(values) {
            // Some values are negative ("no limit"); none of those is a count.
            if let Ok(value) = value.parse() {
                counters.insert(format!("{group}{name}"), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_paired() {
        let mut counters = BTreeMap::new();
        paired_lines(
            "Tcp: MaxConn PassiveOpens\nTcp: -1 7\nUdp: InDatagrams NoPorts\nUdp: 2 1\n",
            &mut counters,
        );
        assert_eq!(counters.get("Tcp:PassiveOpens"), Some(&7));
        assert_eq!(counters.get("Udp:NoPorts"), Some(&1));
        assert_eq!(counters.get("Tcp:MaxConn"), None);
    }

    #[test]
    fn a_datagram_that_was_received_is_counted() {
        let before = Traffic::read().expect("the counters can be read");
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket
            .send_to(b"x", socket.local_addr().expect("an address"))
            .expect("loopback takes it");
        socket.recv(&mut [0; 8]).expect("it arrives");
        let after = Traffic::read().expect("the counters can be read");
        assert!(after.since(before).datagrams >= 1);
    }
}
