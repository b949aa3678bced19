//! Small captures with everything that goes wrong on a wire, and what was really said.
//!
//! Each is made in memory. What both sides said is known here, because it is written down before it is cut into
//! segments, lost, repeated and shuffled.

use super::container::{Container, Format, link};
use super::craft::{self, ACK, CWR, ECE, FIN, PSH, RST, SYN, URG};
use etherparse::{
    EtherType, IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, LinuxSllHeader,
    LinuxSllPacketType, SingleVlanHeader, TcpHeader, VlanId, VlanPcp,
};
use std::net::SocketAddr;

const MILLISECOND: u64 = 1_000_000;
/// After that long without an acknowledgment, Linux sends again (its RTO_MIN).
const TIMEOUT: u64 = 250 * MILLISECOND;

/// 2026-11-22T06:20:00.123456Z: when the first frame is seen.
const START: u64 = 1_795_328_400_123_456_000;

/// A capture, and what is to be found in it.
pub(crate) struct Difficult {
    /// What is difficult about it: its file name without the extension.
    pub(crate) name: &'static str,
    pub(crate) file: Vec<u8>,
    /// What was said, conversation by conversation.
    pub(crate) said: Vec<Said>,
    /// What has to be remarked about some frames: the frame's number and the remark.
    pub(crate) notes: Vec<(u64, &'static str)>,
    /// Whether tshark puts other streams together.
    pub(crate) differs: Option<Differs>,
}

/// What one conversation consists of. Octets that are not in the capture are not in here either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) client: Vec<u8>,
    pub(crate) server: Vec<u8>,
}

/// Why tshark puts other streams together, where we show something else on purpose. The frames are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Differs(pub(crate) &'static str);

/// All of them.
pub(crate) fn all() -> Vec<Difficult> {
    let mut all = connections();
    all.extend(numbers());
    all.extend(endings());
    all.extend(datagrams());
    all.extend(fragments());
    all.extend(headers());
    all.extend(links());
    all.extend(containers());
    all
}

/// Segments that are lost, late, repeated or overlap.
fn connections() -> Vec<Difficult> {
    let mut all = Vec::new();

    all.push(
        hello()
            .capture("plain")
            .said(HELLO.0, HELLO.1)
            .note(1, "handshake 1/3")
            .note(2, "handshake 2/3")
            .note(3, "handshake 3/3"),
    );

    let mut tcp = Tcp::open();
    tcp.client(PSH | ACK, 1, 1, b"one ");
    tcp.client(PSH | ACK, 9, 1, b"three ");
    tcp.server(ACK, 1, 5, b"");
    tcp.client(PSH | ACK, 15, 1, b"four ");
    tcp.server(ACK, 1, 5, b"");
    tcp.wait(TIMEOUT);
    tcp.client(PSH | ACK, 5, 1, b"two ");
    tcp.server(ACK, 1, 20, b"");
    tcp.close(20, 1);
    all.push(
        tcp.capture("loss")
            .said("one two three four ", "")
            .note(5, "gap of 4 octets before")
            .note(8, "duplicate ACK 1")
            .note(9, "retransmission, fills a gap"),
    );

    let mut tcp = Tcp::open();
    tcp.client(PSH | ACK, 1, 1, b"one ");
    tcp.client(PSH | ACK, 9, 1, b"three ");
    tcp.server(ACK, 1, 15, b"");
    tcp.server(PSH | ACK, 1, 15, b"yes");
    tcp.client(ACK, 15, 4, b"");
    tcp.close(15, 4);
    all.push(
        tcp.capture("never-captured")
            .said("one three ", "yes")
            .note(5, "gap of 4 octets before")
            .differs(Differs(
                "tshark writes the words \"[4 bytes missing in capture file]\" into the stream",
            )),
    );

    let mut tcp = Tcp::open();
    tcp.client(PSH | ACK, 6, 1, b"world");
    tcp.wait(20_000);
    tcp.client(ACK, 1, 1, b"hello");
    tcp.server(PSH | ACK, 4, 11, b"all");
    tcp.wait(20_000);
    tcp.server(ACK, 1, 11, b"to ");
    tcp.client(ACK, 11, 7, b"");
    tcp.close(11, 7);
    all.push(
        tcp.capture("reorder")
            .said("helloworld", "to all")
            .note(4, "gap of 5 octets before")
            .note(5, "out of order, fills a gap"),
    );

    let mut tcp = Tcp::open();
    tcp.client(PSH | ACK, 1, 1, b"0123456789");
    // Half of it is new, then nothing, then it lies across a gap on both sides.
    tcp.client(PSH | ACK, 6, 1, b"56789abcde");
    tcp.client(PSH | ACK, 3, 1, b"234");
    tcp.client(PSH | ACK, 20, 1, b"jkl");
    tcp.client(PSH | ACK, 14, 1, b"defghijklmn");
    tcp.server(ACK, 1, 25, b"");
    tcp.close(25, 1);
    all.push(
        tcp.capture("overlap")
            .said("0123456789abcdefghijklmn", "")
            .note(6, "retransmission"),
    );

    let mut tcp = Tcp::open();
    tcp.client(PSH | ACK, 1, 1, b"first");
    // The same numbers with other octets: what came first counts, as with the receiver.
    tcp.client(PSH | ACK, 1, 1, b"FIRST and more");
    tcp.server(ACK, 1, 15, b"");
    tcp.close(15, 1);
    all.push(tcp.capture("overlap-differs").said("first and more", ""));

    let mut tcp = Tcp::open();
    tcp.client(PSH | ACK, 1, 1, b"once");
    tcp.repeat();
    tcp.server(ACK, 1, 5, b"");
    tcp.wait(TIMEOUT);
    tcp.client(PSH | ACK, 1, 1, b"once");
    tcp.server(ACK, 1, 5, b"");
    tcp.server(PSH | ACK, 1, 5, b"twice");
    tcp.client(ACK, 5, 6, b"");
    tcp.close(5, 6);
    all.push(
        tcp.capture("duplicate")
            .said("once", "twice")
            .note(5, "retransmission")
            .note(7, "retransmission"),
    );

    all.push(storm());

    let mut tcp = Tcp::open();
    tcp.server(PSH | ACK, 1, 1, b"all you can take");
    tcp.window = 0;
    tcp.client(ACK, 1, 17, b"");
    tcp.wait(TIMEOUT);
    tcp.window = 502;
    // RFC 9293 §3.8.6.1: one octet, to hear whether the window is still closed.
    tcp.server(ACK, 17, 1, b"x");
    tcp.window = 0;
    tcp.client(ACK, 1, 17, b"");
    tcp.wait(TIMEOUT);
    tcp.window = 502;
    tcp.client(ACK, 1, 17, b"");
    tcp.server(PSH | ACK, 17, 1, b"xyz");
    tcp.client(ACK, 1, 20, b"");
    tcp.close(1, 20);
    all.push(
        tcp.capture("zero-window")
            .said("", "all you can takexyz")
            .note(5, "zero window")
            .note(8, "window open again"),
    );

    let mut tcp = Tcp::open();
    tcp.client(PSH | ACK, 1, 1, b"hello");
    tcp.server(ACK, 1, 6, b"");
    for _ in 0..2 {
        tcp.wait(45_000 * MILLISECOND);
        // RFC 9293 §3.8.4: the last octet's number, with or without an octet that nobody reads.
        tcp.client(ACK, 5, 1, b"");
        tcp.server(ACK, 1, 6, b"");
    }
    tcp.client(ACK, 5, 1, b"\0");
    tcp.server(ACK, 1, 6, b"");
    tcp.close(6, 1);
    all.push(
        tcp.capture("keep-alive")
            .said("hello", "")
            .note(6, "keep-alive"),
    );
    all
}

/// A hundred segments, many of them twice, in any order within a window; nothing is lost in the end.
fn storm() -> Difficult {
    let text: Vec<u8> = (0..2_000_u32)
        .map(|at| b'a' + (at * 7 % 26) as u8)
        .collect();
    let mut tcp = Tcp::open();
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    let mut turn = 1_u32;
    for at in (0..text.len()).step_by(20) {
        turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        pieces.push((at, 20));
        // Some again, longer and earlier than before.
        if turn >> 30 == 0 {
            pieces.push((at.saturating_sub(10), 35.min(text.len() - at)));
        }
    }
    for place in 0..pieces.len() {
        turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let other = (place + (turn >> 24) as usize % 8).min(pieces.len() - 1);
        pieces.swap(place, other);
    }
    for (at, len) in pieces {
        tcp.client(PSH | ACK, at as u32 + 1, 1, &text[at..at + len]);
    }
    tcp.server(ACK, 1, text.len() as u32 + 1, b"");
    tcp.close(text.len() as u32 + 1, 1);
    let mut difficult = tcp.capture("storm");
    difficult.said.push(Said {
        client: text,
        server: Vec::new(),
    });
    difficult
}

/// Sequence numbers, windows and beginnings.
fn numbers() -> Vec<Difficult> {
    let mut all = Vec::new();

    for (name, isn) in [
        ("wrap-in-the-text", [0xffff_fff8, 0xffff_fffd]),
        ("wrap-after-syn", [u32::MAX, u32::MAX]),
        ("wrap-at-half", [0x7fff_fffa, 0x7fff_fffe]),
    ] {
        let mut tcp = Tcp::new(ends(50_001));
        tcp.isn = isn;
        tcp.handshake();
        tcp.client(PSH | ACK, 1, 1, b"across");
        tcp.client(PSH | ACK, 12, 1, b"end");
        tcp.client(PSH | ACK, 7, 1, b" the ");
        tcp.server(PSH | ACK, 1, 15, b"of all numbers");
        tcp.client(ACK, 15, 15, b"");
        tcp.close(15, 15);
        all.push(
            tcp.capture(name)
                .said("across the end", "of all numbers")
                .note(5, "gap of 5 octets before")
                .note(6, "out of order, fills a gap"),
        );
    }

    let mut tcp = Tcp::open();
    tcp.client(PSH | ACK, 1, 1, b"one");
    tcp.server(ACK, 1, 4, b"");
    tcp.close(4, 1);
    tcp.wait(1_000 * MILLISECOND);
    tcp.isn = [70_000, 4_000_000_000];
    tcp.handshake();
    tcp.client(PSH | ACK, 1, 1, b"two");
    tcp.server(PSH | ACK, 1, 4, b"2");
    tcp.client(ACK, 4, 2, b"");
    tcp.close(4, 2);
    all.push(
        tcp.capture("port-reuse")
            .said("one", "")
            .said("two", "2")
            .note(9, "a new connection between the same ports"),
    );

    let mut tcp = Tcp::new(ends(50_001));
    tcp.client(PSH | ACK, 500, 700, b"in the middle");
    tcp.server(PSH | ACK, 700, 513, b"of it");
    tcp.client(ACK, 513, 705, b"");
    tcp.close(513, 705);
    all.push(
        tcp.capture("joined-late")
            .said("in the middle", "of it")
            .note(1, "joined late: the beginning was not captured"),
    );

    // RFC 7323 §2.2: the windows of a SYN are never scaled, and none is unless both sides offer it.
    let mut tcp = Tcp::new(ends(50_001));
    tcp.scales = [Some(0), Some(14)];
    tcp.handshake();
    tcp.window = 4;
    tcp.server(PSH | ACK, 1, 1, b"a window of 65,536 octets");
    tcp.client(ACK, 1, 26, b"");
    tcp.close(1, 26);
    all.push(
        tcp.capture("window-scale")
            .said("", "a window of 65,536 octets"),
    );
    let mut tcp = Tcp::new(ends(50_001));
    tcp.scales = [Some(7), None];
    tcp.handshake();
    tcp.client(PSH | ACK, 1, 1, b"not scaled");
    tcp.server(ACK, 1, 11, b"");
    tcp.close(11, 1);
    all.push(tcp.capture("window-scale-refused").said("not scaled", ""));

    // RFC 7413: text in the SYN, acknowledged with it.
    let mut tcp = Tcp::new(ends(50_001));
    tcp.client(SYN, 0, 0, b"early");
    tcp.server(SYN | ACK, 0, 6, b"");
    tcp.client(ACK, 6, 1, b"");
    tcp.client(PSH | ACK, 6, 1, b" and later");
    tcp.server(PSH | ACK, 1, 16, b"both");
    tcp.client(ACK, 16, 5, b"");
    tcp.close(16, 5);
    all.push(tcp.capture("fast-open").said("early and later", "both"));

    // RFC 9293 §3.5, figure 8: both call at the same time.
    let mut tcp = Tcp::new((address("192.0.2.10:20002"), address("192.0.2.1:20002")));
    tcp.client(SYN, 0, 0, b"");
    tcp.server(SYN, 0, 0, b"");
    tcp.client(SYN | ACK, 0, 1, b"");
    tcp.server(SYN | ACK, 0, 1, b"");
    tcp.client(PSH | ACK, 1, 1, b"you too?");
    tcp.server(PSH | ACK, 1, 9, b"yes");
    tcp.client(ACK, 9, 4, b"");
    tcp.close(9, 4);
    all.push(tcp.capture("simultaneous-open").said("you too?", "yes"));

    // Explicit congestion notification (RFC 3168 §6.1.1), and something urgent.
    let mut tcp = Tcp::new(ends(50_001));
    tcp.client(SYN | ECE | CWR, 0, 0, b"");
    tcp.server(SYN | ACK | ECE, 0, 1, b"");
    tcp.client(ACK, 1, 1, b"");
    tcp.client(PSH | ACK | URG | CWR, 1, 1, b"!now");
    tcp.server(ACK | ECE, 1, 5, b"");
    tcp.close(5, 1);
    all.push(tcp.capture("all-flags").said("!now", ""));
    all
}

/// How connections end, or never begin.
fn endings() -> Vec<Difficult> {
    let mut all = Vec::new();

    let mut tcp = Tcp::open();
    tcp.client(PSH | ACK, 1, 1, b"that is all");
    tcp.client(FIN | ACK, 12, 1, b"");
    tcp.server(ACK, 1, 13, b"");
    tcp.server(PSH | ACK, 1, 13, b"not for me");
    tcp.client(ACK, 13, 11, b"");
    tcp.server(FIN | ACK, 11, 13, b"");
    tcp.client(ACK, 13, 12, b"");
    all.push(
        tcp.capture("half-close")
            .said("that is all", "not for me")
            .note(5, "FIN 1/2")
            .note(9, "FIN 2/2"),
    );

    let mut tcp = Tcp::open();
    tcp.client(FIN | ACK, 1, 1, b"");
    tcp.server(FIN | ACK, 1, 1, b"");
    tcp.client(ACK, 2, 2, b"");
    tcp.server(ACK, 2, 2, b"");
    all.push(
        tcp.capture("simultaneous-close")
            .said("", "")
            .note(4, "FIN 1/2")
            .note(5, "FIN 2/2"),
    );

    let mut tcp = Tcp::open();
    tcp.client(FIN | PSH | ACK, 1, 1, b"hello and goodbye");
    tcp.server(FIN | PSH | ACK, 1, 19, b"goodbye");
    tcp.client(ACK, 19, 9, b"");
    tcp.wait(TIMEOUT);
    tcp.server(FIN | PSH | ACK, 1, 19, b"goodbye");
    tcp.client(ACK, 19, 9, b"");
    all.push(
        tcp.capture("text-with-fin")
            .said("hello and goodbye", "goodbye")
            .note(7, "retransmission"),
    );

    let mut tcp = Tcp::open();
    tcp.client(PSH | ACK, 1, 1, b"hello?");
    tcp.server(RST | ACK, 1, 7, b"");
    all.push(tcp.capture("reset").said("hello?", "").note(5, "reset"));

    // The FIN overtakes the text before it.
    let mut tcp = Tcp::open();
    tcp.client(FIN | ACK, 6, 1, b"");
    tcp.wait(20_000);
    tcp.client(PSH | ACK, 1, 1, b"first");
    tcp.server(FIN | ACK, 1, 7, b"");
    tcp.client(ACK, 7, 2, b"");
    all.push(tcp.capture("early-fin").said("first", ""));

    let mut tcp = Tcp::new(ends(50_001));
    tcp.client(SYN, 0, 0, b"");
    tcp.refuse();
    all.push(tcp.capture("refused").said("", "").note(2, "refused"));

    let mut tcp = Tcp::new(ends(50_001));
    for wait in [1_000, 2_000, 0] {
        tcp.client(SYN, 0, 0, b"");
        tcp.wait(wait * MILLISECOND);
    }
    all.push(
        tcp.capture("unanswered")
            .said("", "")
            .note(1, "handshake 1/3"),
    );

    let mut tcp = Tcp::new(ends(50_001));
    tcp.client(SYN, 0, 0, b"");
    let quoted = tcp.packets[0].1[..28].to_vec();
    let mut message = Vec::new();
    let (client, server) = tcp.ends;
    craft::port_unreachable(&mut message, server.ip(), client.ip(), &quoted);
    tcp.packets.push((MILLISECOND, message));
    all.push(
        tcp.capture("unreachable")
            .said("", "")
            .note(2, "port unreachable"),
    );
    all
}

/// UDP.
fn datagrams() -> Vec<Difficult> {
    let (client, server) = ends(50_001);
    let (there, back) = ((client, server), (server, client));
    let mut udp = Packets::default();
    udp.datagram(there, b"SEND_TIME");
    udp.datagram(back, b"06:20:00");
    udp.datagram(there, b"SEND_DATE");
    udp.datagram(there, b"SEND_DATE");
    udp.datagram(back, b"22-11-2026");
    udp.datagram(there, b"");
    let asked = udp
        .capture("datagrams")
        .said("SEND_TIMESEND_DATESEND_DATE", "06:20:0022-11-2026");

    let mut udp = Packets::default();
    udp.datagram(there, b"anybody?");
    let mut message = Vec::new();
    craft::port_unreachable(&mut message, server.ip(), client.ip(), &udp.0[0].1);
    udp.0.push((MILLISECOND, message));
    let unreachable = udp
        .capture("datagram-unreachable")
        .said("anybody?", "")
        .note(2, "port unreachable");

    let mut udp = Packets::default();
    let everything: Vec<u8> = (0..=255).collect();
    udp.datagram(there, &everything);
    udp.datagram(back, "h\u{e9}llo \u{1f600} \u{202e}\x1b[31m".as_bytes());
    let mut odd = udp.capture("odd-octets");
    odd.said.push(Said {
        client: everything,
        server: "h\u{e9}llo \u{1f600} \u{202e}\x1b[31m".into(),
    });
    vec![asked, unreachable, odd]
}

/// Datagrams and segments in pieces (RFC 791 §3.2, RFC 8200 §4.5).
fn fragments() -> Vec<Difficult> {
    let mut all = Vec::new();
    let long: Vec<u8> = (0..4_000).map(|at| b'a' + (at % 26) as u8).collect();
    for (name, (client, server)) in [
        ("fragments-v4", ends(50_001)),
        ("fragments-v6", ends_v6(50_001)),
    ] {
        // In order, backwards, one twice; and between others.
        let mut packets = Packets::default();
        for (turn, order) in [&[0, 1, 2][..], &[2, 1, 0], &[1, 0, 1, 2]]
            .into_iter()
            .enumerate()
        {
            let mut whole = Vec::new();
            craft::datagram(&mut whole, (client, server), &long);
            let pieces = fragment(&whole, 1_480, turn as u16 + 1);
            for &piece in order {
                packets.push(pieces[piece].clone());
            }
            packets.datagram((server, client), b"got it");
        }
        let mut difficult = packets
            .capture(name)
            .note(3, "reassembled from 3 fragments");
        difficult.said.push(Said {
            client: long.repeat(3),
            server: b"got it".repeat(3),
        });
        all.push(difficult);
    }

    let mut tcp = Tcp::open();
    let mut whole = Vec::new();
    let header = craft::header(PSH | ACK, tcp.isn[0] + 1, tcp.isn[1] + 1, 502);
    craft::segment(&mut whole, tcp.ends, header, &long[..1_000]);
    // So small that the ports and the rest of the header come apart.
    for piece in fragment(&whole, 8, 9) {
        tcp.packets.push((100_000, piece));
    }
    tcp.server(ACK, 1, 1_001, b"");
    tcp.close(1_001, 1);
    let mut difficult = tcp.capture("fragments-tiny");
    difficult.said.push(Said {
        client: long[..1_000].to_vec(),
        server: Vec::new(),
    });
    all.push(difficult);

    let (client, server) = ends(50_001);
    let mut packets = Packets::default();
    let mut whole = Vec::new();
    craft::datagram(&mut whole, (client, server), &long);
    let pieces = fragment(&whole, 1_480, 1);
    packets.push(pieces[0].clone());
    packets.push(pieces[2].clone());
    packets.datagram((client, server), b"once more");
    packets.datagram((server, client), b"better");
    all.push(packets.capture("fragment-lost").said("once more", "better"));
    all
}

/// IP headers with more in them than usual.
fn headers() -> Vec<Difficult> {
    let mut all = Vec::new();

    let mut tcp = Tcp::new(ends_v6(50_001));
    tcp.handshake();
    tcp.greet();
    all.push(tcp.capture("ipv6").said(HELLO.0, HELLO.1));

    // Hop-by-hop and destination options of eight octets each, all padding (RFC 8200 §4.3, §4.6).
    let mut tcp = Tcp::new(ends_v6(50_001));
    tcp.handshake();
    tcp.greet();
    for (_, packet) in &mut tcp.packets {
        let (mut header, rest) = ipv6(packet);
        let next = header.next_header.0;
        header.next_header = IpNumber(0);
        header.payload_length += 16;
        let options = [[60, 0, 1, 4, 0, 0, 0, 0], [next, 0, 1, 4, 0, 0, 0, 0]].concat();
        *packet = [&header.to_bytes()[..], &options, rest].concat();
    }
    all.push(tcp.capture("ipv6-extensions").said(HELLO.0, HELLO.1));

    // Router alert and three times nothing (RFC 2113).
    let mut tcp = hello();
    for (_, packet) in &mut tcp.packets {
        let (mut header, rest) = ipv4(packet);
        let rest = rest.to_vec();
        header.options = [148, 4, 0, 0, 1, 1, 1, 0].into();
        header.total_len += 8;
        header.header_checksum = header.calc_header_checksum();
        *packet = [&header.to_bytes()[..], &rest].concat();
    }
    all.push(tcp.capture("ipv4-options").said(HELLO.0, HELLO.1));

    // Frames of a network card that cuts by itself have a total length of 0 where the sender captures them.
    let mut tcp = hello();
    for (_, packet) in &mut tcp.packets {
        let (mut header, rest) = ipv4(packet);
        let rest = rest.to_vec();
        header.total_len = 0;
        header.header_checksum = header.calc_header_checksum();
        *packet = [&header.to_bytes()[..], &rest].concat();
    }
    all.push(tcp.capture("no-total-length").said(HELLO.0, HELLO.1));

    let mut tcp = hello();
    for (_, packet) in &mut tcp.packets {
        packet[36] ^= 0x55;
    }
    all.push(
        tcp.capture("wrong-checksums")
            .said(HELLO.0, HELLO.1)
            .note(4, "wrong TCP checksum"),
    );

    let mut tcp = Tcp::new((address("127.0.0.1:50001"), address("127.0.0.1:20002")));
    tcp.handshake();
    let long = vec![b'x'; 65_483];
    tcp.client(PSH | ACK, 1, 1, &long);
    tcp.server(ACK, 1, 65_484, b"");
    tcp.close(65_484, 1);
    let mut difficult = tcp.capture("loopback-64-kib");
    difficult.said.push(Said {
        client: long,
        server: Vec::new(),
    });
    all.push(difficult);
    all
}

/// The same conversation on every kind of link.
fn links() -> Vec<Difficult> {
    let ethernet = |name, frame: fn(Vec<u8>) -> Vec<u8>| {
        hello()
            .packets()
            .on(name, Format::Pcap, link::ETHERNET, frame)
    };
    let mut all = vec![
        ethernet("vlan", |ip| vlan(&[0x8100], ip)),
        ethernet("vlan-priority-only", |ip| {
            let mut frame = vlan(&[0x8100], ip);
            frame[14..16].fill(0);
            frame
        }),
        ethernet("qinq", |ip| vlan(&[0x88a8, 0x8100], ip)),
        ethernet("qinq-old", |ip| vlan(&[0x9100, 0x8100], ip)),
        ethernet("padded", |ip| {
            let mut frame = self::ethernet(ip);
            let padded = frame.len().max(60) + 4;
            frame.resize(padded, 0x55);
            frame
        }),
    ];
    let other = |name, link, frame: fn(Vec<u8>) -> Vec<u8>| {
        hello().packets().on(name, Format::Pcap, link, frame)
    };
    all.extend([
        other("sll", link::SLL, |ip| {
            let header = LinuxSllHeader {
                packet_type: LinuxSllPacketType::HOST,
                arp_hrd_type: etherparse::ArpHardwareId::LOOPBACK,
                sender_address_valid_length: 6,
                sender_address: [0; 8],
                protocol_type: etherparse::LinuxSllProtocolType::EtherType(EtherType::IPV4),
            };
            [&header.to_bytes()[..], &ip].concat()
        }),
        other("sll2", link::SLL2, |ip| {
            // Protocol, nothing, interface 1, ARPHRD_LOOPBACK, to this host, six octets of address.
            let header = [8, 0, 0, 0, 0, 0, 0, 1, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0];
            [&header[..], &ip].concat()
        }),
        other("null", link::NULL, |ip| [&[2, 0, 0, 0][..], &ip].concat()),
        other("null-big-endian", link::NULL, |ip| {
            [&[0, 0, 0, 2][..], &ip].concat()
        }),
        other("loop", link::LOOP, |ip| [&[0, 0, 0, 2][..], &ip].concat()),
        other("raw", link::RAW, |ip| ip),
        other("raw-ipv4", link::IPV4, |ip| ip),
        other("ppp", link::PPP, |ip| {
            [&[0xff, 3, 0, 0x21][..], &ip].concat()
        }),
        other("ppp-compressed", link::PPP, |ip| {
            [&[0x21][..], &ip].concat()
        }),
    ]);
    for difficult in &mut all {
        difficult.said = vec![Said::new(HELLO.0, HELLO.1)];
    }

    let v6 = |name, link, frame: fn(Vec<u8>) -> Vec<u8>| {
        let mut tcp = Tcp::new(ends_v6(50_001));
        tcp.handshake();
        tcp.greet();
        tcp.packets()
            .on(name, Format::Pcap, link, frame)
            .said(HELLO.0, HELLO.1)
    };
    // AF_INET6 has another number in every system: FreeBSD, macOS, NetBSD.
    all.extend([
        v6("null-ipv6-freebsd", link::NULL, |ip| {
            [&[28, 0, 0, 0][..], &ip].concat()
        }),
        v6("null-ipv6-macos", link::NULL, |ip| {
            [&[30, 0, 0, 0][..], &ip].concat()
        }),
        v6("loop-ipv6-openbsd", link::LOOP, |ip| {
            [&[0, 0, 0, 24][..], &ip].concat()
        }),
        v6("raw-ipv6", link::IPV6, |ip| ip),
    ]);
    all
}

/// The same conversation in every kind of file.
fn containers() -> Vec<Difficult> {
    let mut all: Vec<Difficult> = [
        ("pcap-nanos", Format::PcapNanos),
        ("pcap-big-endian", Format::PcapBigEndian),
        ("pcap-nanos-big-endian", Format::PcapNanosBigEndian),
        ("pcapng", Format::PcapNg),
    ]
    .map(|(name, format)| {
        hello()
            .packets()
            .on(name, format, link::ETHERNET, ethernet)
            .said(HELLO.0, HELLO.1)
    })
    .into();

    // Two interfaces of different kinds in one file, a conversation on each.
    let mut first = hello().packets();
    let mut second = Tcp::new(ends_v6(50_002));
    second.handshake();
    second.greet();
    let second = second.packets();
    let mut file = Container::new(Vec::new(), Format::PcapNg, &[link::ETHERNET, link::RAW])
        .expect("memory takes all that is written");
    let mut now = START;
    for ((wait, one), (_, other)) in first.0.drain(..).zip(second.0) {
        now += wait;
        for (interface, frame) in [(0, ethernet(one)), (1, other)] {
            file.frame(interface, now, &frame, frame.len() as u32)
                .expect("memory takes all that is written");
        }
    }
    all.push(
        Difficult::new("two-interfaces", file)
            .said(HELLO.0, HELLO.1)
            .said(HELLO.0, HELLO.1),
    );

    // Only the first 60 octets of each frame were kept: six of the text.
    let mut file = Container::new(Vec::new(), Format::Pcap, &[link::ETHERNET])
        .expect("memory takes all that is written");
    let mut now = START;
    for (wait, packet) in hello().packets {
        now += wait;
        let frame = ethernet(packet);
        file.frame(0, now, &frame[..frame.len().min(60)], frame.len() as u32)
            .expect("memory takes all that is written");
    }
    all.push(
        Difficult::new("snapped", file)
            .said("Hi fro", "Hi fro")
            .note(4, "cut by the capture (6 of 16 octets)")
            .differs(Differs(
                "tshark fills in what the capture cut off with words of its own",
            )),
    );
    all
}

const HELLO: (&str, &str) = ("Hi from client!\n", "Hi from server!\n");

fn hello() -> Tcp {
    let mut tcp = Tcp::open();
    tcp.greet();
    tcp
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

/// Addresses for documentation (RFC 5737).
fn ends(port: u16) -> (SocketAddr, SocketAddr) {
    let mut client = address("192.0.2.10:0");
    client.set_port(port);
    (client, address("192.0.2.1:20002"))
}

/// Addresses for documentation (RFC 3849).
fn ends_v6(port: u16) -> (SocketAddr, SocketAddr) {
    let mut client = address("[2001:db8::10]:0");
    client.set_port(port);
    (client, address("[2001:db8::1]:20002"))
}

/// IP packets, each with the nanoseconds since the one before.
#[derive(Default)]
struct Packets(Vec<(u64, Vec<u8>)>);

impl Packets {
    fn push(&mut self, packet: Vec<u8>) {
        self.0.push((MILLISECOND, packet));
    }

    fn datagram(&mut self, ends: (SocketAddr, SocketAddr), text: &[u8]) {
        let mut packet = Vec::new();
        craft::datagram(&mut packet, ends, text);
        self.push(packet);
    }

    fn capture(self, name: &'static str) -> Difficult {
        self.on(name, Format::Pcap, link::ETHERNET, ethernet)
    }

    /// As captured on a link whose header `frame` puts in front.
    fn on(
        self,
        name: &'static str,
        format: Format,
        link: u32,
        frame: fn(Vec<u8>) -> Vec<u8>,
    ) -> Difficult {
        let mut file =
            Container::new(Vec::new(), format, &[link]).expect("memory takes all that is written");
        let mut now = START;
        for (wait, packet) in self.0 {
            now += wait;
            let frame = frame(packet);
            file.frame(0, now, &frame, frame.len() as u32)
                .expect("memory takes all that is written");
        }
        Difficult::new(name, file)
    }
}

/// One connection, written segment by segment with relative numbers.
struct Tcp {
    ends: (SocketAddr, SocketAddr),
    isn: [u32; 2],
    window: u16,
    /// The shift counts that are offered with the SYNs.
    scales: [Option<u8>; 2],
    packets: Vec<(u64, Vec<u8>)>,
    wait: u64,
}

impl Tcp {
    fn new(ends: (SocketAddr, SocketAddr)) -> Self {
        Tcp {
            ends,
            isn: [1_000, 3_000_000_000],
            window: 502,
            scales: [Some(7), Some(7)],
            packets: Vec::new(),
            wait: 0,
        }
    }

    fn open() -> Self {
        let mut tcp = Tcp::new(ends(50_001));
        tcp.handshake();
        tcp
    }

    fn handshake(&mut self) {
        self.client(SYN, 0, 0, b"");
        self.server(SYN | ACK, 0, 1, b"");
        self.client(ACK, 1, 1, b"");
    }

    /// The lab's first exchange, and the end.
    fn greet(&mut self) {
        self.client(PSH | ACK, 1, 1, HELLO.0.as_bytes());
        self.server(ACK, 1, 17, b"");
        self.server(PSH | ACK, 1, 17, HELLO.1.as_bytes());
        self.client(ACK, 17, 17, b"");
        self.close(17, 17);
    }

    /// The client closes, then the server; these are the numbers that come next.
    fn close(&mut self, client: u32, server: u32) {
        self.client(FIN | ACK, client, server, b"");
        self.server(FIN | ACK, server, client + 1, b"");
        self.client(ACK, client + 1, server + 1, b"");
    }

    fn refuse(&mut self) {
        let (client, server) = self.ends;
        let header = craft::header(RST | ACK, 0, self.isn[0].wrapping_add(1), 0);
        self.put((server, client), header, b"");
    }

    fn client(&mut self, flags: u8, seq: u32, ack: u32, text: &[u8]) {
        self.segment(0, self.ends, flags, seq, ack, text);
    }

    fn server(&mut self, flags: u8, seq: u32, ack: u32, text: &[u8]) {
        let (client, server) = self.ends;
        self.segment(1, (server, client), flags, seq, ack, text);
    }

    fn segment(
        &mut self,
        side: usize,
        ends: (SocketAddr, SocketAddr),
        flags: u8,
        seq: u32,
        ack: u32,
        text: &[u8],
    ) {
        let seq = self.isn[side].wrapping_add(seq);
        // Without ACK the field means nothing, and is 0.
        let ack = if flags & ACK == 0 {
            0
        } else {
            self.isn[1 - side].wrapping_add(ack)
        };
        let mut header = craft::header(flags, seq, ack, self.window);
        header.urgent_pointer = u16::from(flags & URG != 0);
        if flags & SYN != 0 {
            header.window_size = 64_240;
            let mss = [2, 4, 5, 180];
            let options = match self.scales[side] {
                Some(shift) => [&mss[..], &[1, 3, 3, shift]].concat(),
                None => mss.to_vec(),
            };
            header
                .set_options_raw(&options)
                .expect("eight octets of options are allowed");
        }
        self.put(ends, header, text);
    }

    fn put(&mut self, ends: (SocketAddr, SocketAddr), header: TcpHeader, text: &[u8]) {
        let mut packet = Vec::new();
        craft::segment(&mut packet, ends, header, text);
        let wait = if self.wait == 0 {
            MILLISECOND
        } else {
            self.wait
        };
        self.wait = 0;
        self.packets.push((wait, packet));
    }

    /// The last one once more, octet by octet.
    fn repeat(&mut self) {
        let last = self.packets.last().expect("there is one to repeat");
        self.packets.push((10_000, last.1.clone()));
    }

    /// So many nanoseconds until the next one.
    fn wait(&mut self, nanos: u64) {
        self.wait = nanos;
    }

    fn packets(self) -> Packets {
        Packets(self.packets)
    }

    fn capture(self, name: &'static str) -> Difficult {
        self.packets().capture(name)
    }
}

impl Difficult {
    fn new(name: &'static str, file: Container<Vec<u8>>) -> Self {
        Difficult {
            name,
            file: file.finish().expect("memory takes all that is written"),
            said: Vec::new(),
            notes: Vec::new(),
            differs: None,
        }
    }

    /// The file's name: Wireshark takes any, people don't.
    pub(crate) fn file_name(&self) -> String {
        let is_pcapng = self.file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]);
        let extension = if is_pcapng { "pcapng" } else { "pcap" };
        format!("{}.{extension}", self.name)
    }

    fn said(mut self, client: &str, server: &str) -> Self {
        self.said.push(Said::new(client, server));
        self
    }

    fn note(mut self, number: u64, note: &'static str) -> Self {
        self.notes.push((number, note));
        self
    }

    fn differs(mut self, differs: Differs) -> Self {
        self.differs = Some(differs);
        self
    }
}

impl Said {
    fn new(client: &str, server: &str) -> Self {
        Said {
            client: client.into(),
            server: server.into(),
        }
    }
}

fn is_ipv6(ip: &[u8]) -> bool {
    ip[0] >> 4 == 6
}

fn ethernet(ip: Vec<u8>) -> Vec<u8> {
    let kind: u16 = if is_ipv6(&ip) { 0x86dd } else { 0x0800 };
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(kind.to_be_bytes());
    frame.extend(ip);
    frame
}

/// With a tag for each of these types, the outer one first (IEEE 802.1Q, 802.1ad).
fn vlan(types: &[u16], ip: Vec<u8>) -> Vec<u8> {
    let mut frame = ethernet(ip);
    for (number, kind) in types.iter().enumerate().rev() {
        let tag = SingleVlanHeader {
            pcp: VlanPcp::ZERO,
            drop_eligible_indicator: false,
            vlan_id: VlanId::try_new(100 + number as u16).expect("below 4,096"),
            ether_type: EtherType(u16::from_be_bytes([frame[12], frame[13]])),
        };
        frame.splice(12..14, kind.to_be_bytes().into_iter().chain(tag.to_bytes()));
    }
    frame
}

fn ipv4(packet: &[u8]) -> (Ipv4Header, &[u8]) {
    Ipv4Header::from_slice(packet).expect("it was made a moment ago")
}

fn ipv6(packet: &[u8]) -> (Ipv6Header, &[u8]) {
    Ipv6Header::from_slice(packet).expect("it was made a moment ago")
}

/// The packet in pieces of that many octets, a multiple of eight.
fn fragment(packet: &[u8], octets: usize, identification: u16) -> Vec<Vec<u8>> {
    let len = packet.len() - if is_ipv6(packet) { 40 } else { 20 };
    let payload = &packet[packet.len() - len..];
    let pieces = payload.chunks(octets).enumerate();
    pieces
        .map(|(number, piece)| {
            let offset = IpFragOffset::try_new((number * octets / 8) as u16)
                .expect("no packet is longer than 65,535 octets");
            let more_fragments = (number + 1) * octets < len;
            if is_ipv6(packet) {
                let (mut header, _) = ipv6(packet);
                let part = Ipv6FragmentHeader {
                    next_header: header.next_header,
                    fragment_offset: offset,
                    more_fragments,
                    identification: identification.into(),
                };
                header.next_header = IpNumber::IPV6_FRAGMENTATION_HEADER;
                header.payload_length = 8 + piece.len() as u16;
                [&header.to_bytes()[..], &part.to_bytes(), piece].concat()
            } else {
                let (mut header, _) = ipv4(packet);
                header.identification = identification;
                header.dont_fragment = false;
                header.more_fragments = more_fragments;
                header.fragment_offset = offset;
                header.total_len = 20 + piece.len() as u16;
                header.header_checksum = header.calc_header_checksum();
                [&header.to_bytes()[..], piece].concat()
            }
        })
        .collect()
}
