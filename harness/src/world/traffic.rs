//! The kernel's own count of what crossed this network: whether anything did at all, without a capture.
//!
//! Only meaningful in a network of the scenario's own, where nobody else's traffic is counted.

use serde::{Deserialize, Serialize};
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
        let read = |file| std::fs::read_to_string(format!("/proc/self/net/{file}"));
        let (snmp, netstat) = (read("snmp")?, read("netstat")?);
        // A machine without IPv6 has no such file.
        let six = read("snmp6").unwrap_or_default();
        Ok(Traffic {
            datagrams: paired(&snmp, "Udp:", "InDatagrams") + single(&six, "Udp6InDatagrams"),
            unreachable: paired(&snmp, "Udp:", "NoPorts") + single(&six, "Udp6NoPorts"),
            connections: paired(&snmp, "Tcp:", "PassiveOpens"),
            refused: paired(&snmp, "Tcp:", "AttemptFails"),
            segments: paired(&netstat, "TcpExt:", "TCPOrigDataSent"),
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

/// A count from pairs of lines, `Udp: InDatagrams NoPorts …` over `Udp: 12 0 …`; 0 where the kernel does not count it.
fn paired(text: &str, group: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return 0;
    };
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let found = pairs.find(|(found, _)| *found == name);
    // Some values are negative ("no limit"); none of those is a count.
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// A count from a line of its own, `Udp6InDatagrams 3`.
fn single(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().map(str::split_whitespace);
    let value =
        lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()).flatten());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_paired() {
        let text = "Tcp: MaxConn PassiveOpens\nTcp: -1 7\nUdp: InDatagrams NoPorts\nUdp: 2 1\nUdpLite: NoPorts\nUdpLite: 5\n";
        assert_eq!(paired(text, "Tcp:", "PassiveOpens"), 7);
        assert_eq!(paired(text, "Udp:", "NoPorts"), 1);
        assert_eq!(paired(text, "Tcp:", "MaxConn"), 0);
        assert_eq!(paired(text, "TcpExt:", "PassiveOpens"), 0);
        let text = "Udp6InDatagrams                 \t3\nUdp6NoPorts  4\n";
        assert_eq!(single(text, "Udp6NoPorts"), 4);
        assert_eq!(single(text, "Udp6InErrors"), 0);
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
