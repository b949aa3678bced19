//! ICMP messages about the lab's datagrams and segments, and other ones.

use super::*;
use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::{Icmpv4Type, Icmpv6Type};

/// A message of 10.0.0.9 to the client with this code.
pub(super) fn unreachable4(code: u8, quoted: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 9], CLIENT4, 64)
        .icmpv4_raw(3, code, [0; 4])
        .write(&mut octets, quoted)
        .expect("the message is short");
    octets
}

pub(super) fn unreachable6(code: u8, quoted: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    PacketBuilder::ipv6(server6(), client6(), 64)
        .icmpv6_raw(1, code, [0; 4])
        .write(&mut octets, quoted)
        .expect("the message is short");
    octets
}

#[track_caller]
fn check_reason(octets: &[u8], expected: UnreachableReason) {
    let mut decoder = lab();
    let packet = packet(&mut decoder, &frame(RAW, octets));
    assert_eq!((packet.payload, packet.payload_len), (&b""[..], 0));
    assert_eq!((packet.src.port(), packet.dst.port()), (0, 0));
    match packet.content {
        Content::Unreachable(unreachable) => {
            assert_eq!(unreachable.reason, expected);
            assert_eq!(unreachable.transport, Transport::Udp);
            assert_eq!(unreachable.sender.port(), CLIENT_PORT);
            assert_eq!(unreachable.target.port(), SERVER_PORT);
            assert_eq!(unreachable.quoted, b"hello");
        }
        other => panic!("another content: {other:?}"),
    }
}

#[test]
fn a_message_about_the_lab_says_why_and_what() {
    use UnreachableReason::{Host, Network, Other, Port, Prohibited};
    for (code, reason) in [
        (0, Network),
        (1, Host),
        (2, Other(2)),
        (3, Port),
        (4, Other(4)),
        (6, Network),
        (7, Host),
        (9, Prohibited),
        (10, Prohibited),
        (13, Prohibited),
        (99, Other(99)),
    ] {
        check_reason(&unreachable4(code, &datagram4()), reason);
    }
    for (code, reason) in [
        (0, Network),
        (1, Prohibited),
        (2, Other(2)),
        (3, Host),
        (4, Port),
        (5, Prohibited),
        (6, Prohibited),
    ] {
        check_reason(&unreachable6(code, &datagram6()), reason);
    }
}

#[test]
fn the_addresses_are_those_of_the_message_and_of_what_it_quotes() {
    let octets = unreachable4(3, &datagram4());
    let mut decoder = lab();
    let packet = packet(&mut decoder, &frame(RAW, &octets));
    assert_eq!(packet.src.ip(), IpAddr::from([10, 0, 0, 9]));
    assert_eq!(packet.dst.ip(), IpAddr::from(CLIENT4));
    let Content::Unreachable(unreachable) = packet.content else {
        panic!("another content: {packet:?}");
    };
    assert_eq!(unreachable.sender.ip(), IpAddr::from(CLIENT4));
    assert_eq!(unreachable.target.ip(), IpAddr::from(SERVER4));
}

#[test]
fn eight_octets_of_a_segment_are_enough() {
    let segment = syn_in_ethernet().split_off(14);
    let octets = unreachable4(3, &segment[..28]);
    let mut decoder = lab();
    let short = packet(&mut decoder, &frame(RAW, &octets));
    let Content::Unreachable(unreachable) = short.content else {
        panic!("another content: {short:?}");
    };
    assert_eq!(unreachable.transport, Transport::Tcp);
    assert_eq!(unreachable.target.port(), SERVER_PORT);
    assert_eq!(unreachable.quoted, b"");
    // With all of it, what comes after the options.
    let octets = unreachable4(3, &segment);
    let whole = packet(&mut decoder, &frame(RAW, &octets));
    let Content::Unreachable(unreachable) = whole.content else {
        panic!("another content: {whole:?}");
    };
    assert_eq!(unreachable.quoted, b"hi");
}

#[test]
fn other_messages_are_filtered() {
    let other = datagram_between(53, 54, b"hello");
    check_filtered(RAW, &unreachable4(3, &other), Filtered::Icmp);
    // No ports are quoted, or nothing that has any.
    for quoted in [&datagram4()[..22], &datagram4()[..10], b""] {
        check_filtered(RAW, &unreachable4(3, quoted), Filtered::Icmp);
    }
    check_filtered(
        RAW,
        &unreachable4(3, &unreachable4(3, &datagram4())),
        Filtered::Icmp,
    );
    let later = pieces::fragment4(1, 8, false, &datagram4()[20..]);
    check_filtered(RAW, &unreachable4(3, &later), Filtered::Icmp);

    let mut echo = Vec::new();
    PacketBuilder::ipv4(CLIENT4, SERVER4, 64)
        .icmpv4_echo_request(1, 1)
        .write(&mut echo, b"ping")
        .expect("the message is short");
    check_filtered(RAW, &echo, Filtered::Icmp);
    let mut echo = Vec::new();
    PacketBuilder::ipv6(client6(), server6(), 64)
        .icmpv6(Icmpv6Type::EchoRequest(etherparse::IcmpEchoHeader {
            id: 1,
            seq: 1,
        }))
        .write(&mut echo, b"ping")
        .expect("the message is short");
    check_filtered(RAW, &echo, Filtered::Icmp);
}

#[test]
fn a_message_that_was_cut_is_told() {
    let octets = unreachable4(3, &datagram4());
    for len in 20..octets.len() {
        let outcome = format!(
            "{:?}",
            lab().decode(&cut_frame(RAW, &octets[..len], octets.len()))
        );
        let expected = match len {
            // Type and code are not there, or say what it is but not about what.
            20..28 => "TooShort",
            28..52 => "Filtered(Icmp)",
            _ => "Unreachable",
        };
        assert!(outcome.contains(expected), "cut at {len}: {outcome}");
    }
    let mut built = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 9], CLIENT4, 64)
        .icmpv4(Icmpv4Type::DestinationUnreachable(
            DestUnreachableHeader::Port,
        ))
        .write(&mut built, &datagram4())
        .expect("the message is short");
    check_reason(&built, UnreachableReason::Port);
}
