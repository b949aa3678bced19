//! The kernel's socket tables: who waits for peers where, found without touching the program.
//!
//! A server must never be probed by connecting: the probe would be its first client.
//!
//! Linux only, since it reads `/proc`; elsewhere [`table`] fails and nothing is said about listeners.

use crate::decode::Transport;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

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

/// What a socket does, as far as anybody here cares.
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

/// `tcp 127.0.0.1:20001`, or `tcp 20001` where it waits on every address.
impl std::fmt::Display for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let transport = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        if self.local.ip().is_unspecified() {
            write!(f, "{transport} {}", self.local.port())
        } else {
            write!(f, "{transport} {}", self.local)
        }
    }
}

/// Every socket of this process's network.
///
/// # Errors
/// When the tables cannot be read, as on a system without /proc.
pub fn table() -> io::Result<Vec<Socket>> {
    table_in(Path::new("/proc/self/net"))
}

/// Every socket of the network whose tables are in a folder: what `/proc/net` is to a process in it.
///
/// # Errors
/// When the tables cannot be read.
pub fn table_in(folder: &Path) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    let [tcp, tcp6, udp, udp6] = hold_any(folder);
    for (file, transport, holds_any) in [
        ("tcp", Transport::Tcp, tcp),
        ("tcp6", Transport::Tcp, tcp6),
        ("udp", Transport::Udp, udp),
        ("udp6", Transport::Udp, udp6),
    ] {
        if !holds_any {
            continue;
        }
        match std::fs::read_to_string(folder.join(file)) {
            Ok(text) => sockets.extend(parse(&text, transport)),
            // A machine without IPv6 has no table for it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.ends_with('6') => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

/// Which of the tables `tcp`, `tcp6`, `udp` and `udp6` can hold a socket, as the kernel counts them in `sockstat`. To
/// count is cheap; to read a table the kernel walks through what it has for the sockets of every network.
fn hold_any(folder: &Path) -> [bool; 4] {
    let read = |file| std::fs::read_to_string(folder.join(file)).ok();
    let (Some(four), Some(six)) = (read("sockstat"), read("sockstat6")) else {
        return [true; 4];
    };
    let any = |text: &str, protocol: &str, count: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(protocol));
        let mut words = line.unwrap_or_default().split_whitespace();
        let number = words.find(|word| *word == count).and_then(|_| words.next());
        // What is not told may be there.
        number.is_none_or(|number| number != "0")
    };
    // Connections in TIME-WAIT are counted together.
    let waits = any(&four, "TCP:", "tw");
    [
        waits || any(&four, "TCP:", "inuse"),
        waits || any(&six, "TCP6:", "inuse"),
        any(&four, "UDP:", "inuse"),
        any(&six, "UDP6:", "inuse"),
    ]
}

/// The sockets of one table, such as `/proc/net/tcp`. A line that is none is passed over.
pub fn parse(text: &str, transport: Transport) -> impl Iterator<Item = Socket> + '_ {
    // The first line names the columns.
    let lines = text.lines().skip(1);
    lines.filter_map(move |line| socket(line, transport))
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
fn socket(line: &str, transport: Transport) -> Option<Socket> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = address(fields.get(1)?)?;
    let remote = address(fields.get(2)?)?;
    let (sent, received) = fields.get(4)?.split_once(':')?;
    let octets = |text| u64::from_str_radix(text, 16).ok();
    // The peer's FIN counts as one until it is read (RFC 9293, 3.4: it occupies a sequence number), and is no octet.
    let fin = u64::from((transport, *fields.get(3)?) == (Transport::Tcp, "08"));
    let received = octets(received)?.saturating_sub(fin);
    let queued = octets(sent)?.checked_add(received)?;
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

/// Ports below are for the system's services; no program of the lab may use one without privileges.
const FIRST_USER_PORT: u16 = 1_024;
/// From here on systems choose ports for UDP clients, which wait for nobody but their server.
const FIRST_CHOSEN_PORT: u16 = 32_768;
/// More listeners are not named one by one.
const MOST_NAMED: usize = 3;

/// Why nothing of these ports may have been seen on an interface: what waits for peers, and what was probably meant.
pub fn hint(ports: &[u16], on_loopback: bool, sockets: &[Socket]) -> String {
    let mut waiting: Vec<&Socket> = sockets
        .iter()
        .filter(|socket| socket.awaits_peers())
        .collect();
    waiting.sort_by_key(|socket| (socket.local.port(), socket.transport, socket.local));
    waiting.dedup_by_key(|socket| (socket.local.port(), socket.transport, socket.local));
    let here: Vec<&Socket> = waiting
        .iter()
        .copied()
        .filter(|socket| ports.contains(&socket.local.port()))
        .collect();
    if !here.is_empty() {
        let mut said = format!("{} {}", listen(here.len()), named(&here));
        said += if !on_loopback && here.iter().all(|socket| socket.local.ip().is_loopback()) {
            ", which is reached over loopback only: did you mean another interface, -i lo?"
        } else if here.len() == 1 {
            ": is the client running?"
        } else {
            ": are the clients running?"
        };
        return said;
    }
    let ports_named = or(&ports.iter().map(u16::to_string).collect::<Vec<_>>());
    let mut said = format!("nothing listens on {ports_named}");
    let mut others: Vec<&Socket> = waiting
        .into_iter()
        .filter(|socket| {
            let port = socket.local.port();
            port >= FIRST_USER_PORT
                && (socket.transport == Transport::Tcp || port < FIRST_CHOSEN_PORT)
        })
        .collect();
    // The lab's own server on a wrong port has probably one close by.
    others.sort_by_key(|socket| distance(ports, socket.local.port()));
    if let Some(nearest) = others.first() {
        let more = others.len().saturating_sub(MOST_NAMED);
        let shown = &others[..others.len().min(MOST_NAMED)];
        let _ = write!(said, "; {} {}", listen(others.len()), named(shown));
        if more > 0 {
            let _ = write!(said, " and {more} more");
        }
        let _ = write!(said, ": did you mean --ports {}?", nearest.local.port());
    } else {
        said += ": is the server running?";
    }
    said
}

fn listen(count: usize) -> &'static str {
    match count {
        1 => "a program listens on",
        _ => "programs listen on",
    }
}

fn named(sockets: &[&Socket]) -> String {
    let names: Vec<String> = sockets.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn or(words: &[String]) -> String {
    match words {
        [] => "any port".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn distance(ports: &[u16], port: u16) -> u16 {
    let distances = ports.iter().map(|wanted| wanted.abs_diff(port));
    distances.min().unwrap_or(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_the_tables_are_understood() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4E21 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000 0 12345 1 0000 100 0 0 10 0
   1: 0100007F:4E21 0100007F:C350 01 00000001:00000003 00:00000000 00000000  1000 0 12346 1 0000 100 0 0 10 0
   2: 0100007F:4E21 0100007F:C351 06 00000000:00000000 00:00000000 00000000  0 0 0 3 0000
   3: 0100007F:4E21 0100007F:C352 08 00000000:00000003 00:00000000 00000000  1000 0 12347 1 0000 20 4 30 10 -1
   4: 0100007F:4E21 0100007F:C353 08 00000000:00000000 00:00000000 00000000  1000 0 12348 1 0000 20 4 30 10 -1";
        let sockets: Vec<Socket> = parse(tcp, Transport::Tcp).collect();
        assert_eq!(
            sockets[0].local,
            "127.0.0.1:20001".parse().expect("an address")
        );
        let facts: Vec<_> = sockets
            .iter()
            .map(|socket| (socket.state, socket.queued, socket.inode))
            .collect();
        assert_eq!(
            facts,
            [
                (State::Listening, 3, 12345),
                (State::Connected, 4, 12346),
                (State::TimeWait, 0, 0),
                // Two octets and the FIN behind them; and everything read.
                (State::Connected, 2, 12347),
                (State::Connected, 0, 12348),
            ]
        );
        let udp = "\n 12: 00000000000000000000000001000000:4E22 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 77 2 0000 0";
        let sockets: Vec<Socket> = parse(udp, Transport::Udp).collect();
        assert_eq!(sockets[0].local, "[::1]:20002".parse().expect("an address"));
        assert!(sockets[0].awaits_peers());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn sockets_of_every_kind_are_found_among_those_the_kernel_counts() {
        use std::net::{TcpListener, UdpSocket};
        let here = |table: &[Socket], transport, local| {
            let mut found = table.iter();
            found.any(|socket| socket.transport == transport && socket.local == local)
        };
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let (Ok(tcp), Ok(udp)) = (TcpListener::bind(any), UdpSocket::bind(any)) else {
                assert!(any.contains("::1"), "there is IPv4");
                continue;
            };
            let local =
                [tcp.local_addr(), udp.local_addr()].map(|local| local.expect("it has one"));
            let table = table().expect("there are tables");
            assert!(here(&table, Transport::Tcp, local[0]), "{any}: {table:?}");
            assert!(here(&table, Transport::Udp, local[1]), "{any}: {table:?}");
        }
    }

    #[test]
    fn what_is_not_counted_may_be_there() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let write = |file: &str, text: &str| {
            std::fs::write(folder.path().join(file), text).expect("it can be written");
        };
        let checked = |expected| assert_eq!(hold_any(folder.path()), expected);
        checked([true; 4]);
        write(
            "sockstat",
            "TCP: inuse 0 orphan 0 tw 0 alloc 1\nUDP: inuse 2 mem 0\n",
        );
        checked([true; 4]);
        write("sockstat6", "TCP6: inuse 0\nUDP6: inuse 0\n");
        checked([false, false, true, false]);
        write(
            "sockstat",
            "TCP: inuse 0 orphan 0 tw 1 alloc 1\nUDP: mem 0\n",
        );
        checked([true, true, true, false]);
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        #[track_caller]
        fn check(line: &str) {
            assert_eq!(socket(line, Transport::Udp), None, "{line}");
        }
        check("");
        check("sl local_address");
        check("0: 0100007F:4E21 00000000:0000 0A 0:0 00:0 0 1000 0 inode");
        check("0: 01é007F:4E21 00000000:0000 0A 0:0 00:0 0 1000 0 1");
        check("0: 0100007F:4E21 00000000:0000 0A FFFFFFFFFFFFFFFF:1 00:0 0 1000 0 1");
    }

    #[test]
    fn a_listener_of_this_process_is_in_the_table() {
        let Ok(_) = std::fs::metadata("/proc/self/net/tcp") else {
            return;
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let found = table()
            .expect("the tables can be read")
            .into_iter()
            .find(|socket| socket.local == address);
        assert_eq!(found.map(|socket| socket.state), Some(State::Listening));
    }

    #[test]
    fn a_hint_says_what_was_probably_meant() {
        #[track_caller]
        fn check(on_loopback: bool, sockets: &[(Transport, &str, State)], expected: &str) {
            let sockets: Vec<Socket> = sockets
                .iter()
                .map(|(transport, local, state)| Socket {
                    transport: *transport,
                    local: local.parse().expect("an address"),
                    state: *state,
                    queued: 0,
                    inode: 1,
                })
                .collect();
            assert_eq!(hint(&[20001, 20002], on_loopback, &sockets), expected);
        }
        use State::{Bound, Connected, Listening};
        use Transport::{Tcp, Udp};
        check(
            true,
            &[
                (Tcp, "0.0.0.0:22", Listening),
                (Udp, "0.0.0.0:50000", Bound),
            ],
            "nothing listens on 20001 or 20002: is the server running?",
        );
        check(
            true,
            &[
                (Tcp, "0.0.0.0:20010", Listening),
                (Tcp, "127.0.0.1:20001", Connected),
            ],
            "nothing listens on 20001 or 20002; a program listens on tcp 20010: did you mean --ports 20010?",
        );
        check(
            true,
            &[
                (Tcp, "0.0.0.0:3000", Listening),
                (Udp, "[::1]:5353", Bound),
                (Tcp, "127.0.0.1:2002", Listening),
                (Tcp, "127.0.0.1:20003", Listening),
            ],
            "nothing listens on 20001 or 20002; programs listen on tcp 127.0.0.1:20003, udp [::1]:5353, \
             tcp 3000 and 1 more: did you mean --ports 20003?",
        );
        check(
            true,
            &[
                (Tcp, "127.0.0.1:20001", Listening),
                (Tcp, "127.0.0.1:20001", Listening),
            ],
            "a program listens on tcp 127.0.0.1:20001: is the client running?",
        );
        check(
            true,
            &[
                (Tcp, "127.0.0.1:20001", Listening),
                (Udp, "[::]:20002", Bound),
            ],
            "programs listen on tcp 127.0.0.1:20001, udp 20002: are the clients running?",
        );
        check(
            false,
            &[(Tcp, "127.0.0.1:20001", Listening)],
            "a program listens on tcp 127.0.0.1:20001, which is reached over loopback only: did you mean \
             another interface, -i lo?",
        );
    }
}
