//! What the decoder makes of frames. The packets are etherparse's; only what it cannot write is put together here.

mod icmp;
mod links;
mod pieces;
mod sums;

use super::*;
use crate::frame::LinkType;
use crate::time::Timestamp;
use etherparse::{
    IpAuthHeader, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, Ipv6RoutingExtensions, PacketBuilder,
    TcpOptionElement,
};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv6Addr};

const SERVER_PORT: u16 = 20_001;
const CLIENT_PORT: u16 = 51_234;
const CLIENT4: [u8; 4] = [10, 0, 0, 1];
const SERVER4: [u8; 4] = [10, 0, 0, 2];
const ETHERNET: u32 = 1;
const RAW: u32 = 101;

fn client6() -> [u8; 16] {
    "fd00::1".parse::<Ipv6Addr>().expect("an address").octets()
}

fn server6() -> [u8; 16] {
    "fd00::2".parse::<Ipv6Addr>().expect("an address").octets()
}

fn lab() -> Decoder {
    Decoder::new(PortFilter::only(&[SERVER_PORT]))
}

fn frame(link: u32, octets: &[u8]) -> Frame<'_> {
    cut_frame(link, octets, octets.len())
}

fn cut_frame(link: u32, octets: &[u8], wire_len: usize) -> Frame<'_> {
    Frame {
        number: 1,
        time: Timestamp::default(),
        link: LinkType(link),
        wire_len: wire_len as u32,
        octets,
        comment: None,
    }
}

/// A datagram with "hello" over IPv4, without a link.
fn datagram4() -> Vec<u8> {
    datagram_between(CLIENT_PORT, SERVER_PORT, b"hello")
}

fn datagram_between(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    PacketBuilder::ipv4(CLIENT4, SERVER4, 64)
        .udp(src_port, dst_port)
        .write(&mut octets, payload)
        .expect("the datagram is short");
    octets
}

fn datagram6() -> Vec<u8> {
    let mut octets = Vec::new();
    PacketBuilder::ipv6(client6(), server6(), 64)
        .udp(CLIENT_PORT, SERVER_PORT)
        .write(&mut octets, b"hello")
        .expect("the datagram is short");
    octets
}

/// A SYN with options, over Ethernet; it carries "hi", as TCP allows (RFC 9293 §3.10.7.2).
fn syn_in_ethernet() -> Vec<u8> {
    let mut octets = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(CLIENT4, SERVER4, 64)
        .tcp(CLIENT_PORT, SERVER_PORT, 1_000, 512)
        .syn()
        .options(&[
            TcpOptionElement::MaximumSegmentSize(1_460),
            TcpOptionElement::SelectiveAcknowledgementPermitted,
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(7),
        ])
        .expect("the options fit")
        .write(&mut octets, b"hi")
        .expect("the segment is short");
    octets
}

#[track_caller]
fn packet<'a>(decoder: &'a mut Decoder, frame: &Frame<'a>) -> Packet<'a> {
    match decoder.decode(frame) {
        Outcome::Lab(packet) => packet,
        other => panic!("not the lab's: {other:?}"),
    }
}

#[track_caller]
fn check_hello(link: u32, octets: &[u8]) {
    let mut decoder = lab();
    let packet = packet(&mut decoder, &frame(link, octets));
    assert!(matches!(packet.content, Content::Datagram), "{packet:?}");
    assert_eq!(packet.payload, b"hello");
    assert_eq!(packet.payload_len, 5);
    assert_eq!(packet.src.port(), CLIENT_PORT);
    assert_eq!(packet.dst.port(), SERVER_PORT);
    assert_eq!(packet.wrong_checksum, None);
}

#[track_caller]
fn check_filtered(link: u32, octets: &[u8], expected: Filtered) {
    match lab().decode(&frame(link, octets)) {
        Outcome::Filtered(why) => assert_eq!(why, expected),
        other => panic!("not filtered: {other:?}"),
    }
}

#[track_caller]
fn check_undecoded(frame: &Frame<'_>, said: &str) {
    match lab().decode(frame) {
        Outcome::Undecoded(why) => assert_eq!(why.to_string(), said),
        other => panic!("decoded: {other:?}"),
    }
}

fn segment(packet: &Packet<'_>) -> Segment {
    match packet.content {
        Content::Segment(segment) => segment,
        other => panic!("no segment: {other:?}"),
    }
}

#[test]
fn a_segment_is_taken_apart() {
    let octets = syn_in_ethernet();
    let mut decoder = lab();
    let packet = packet(&mut decoder, &frame(ETHERNET, &octets));
    assert_eq!(packet.src, "10.0.0.1:51234".parse().expect("an address"));
    assert_eq!(packet.dst, "10.0.0.2:20001".parse().expect("an address"));
    assert_eq!((packet.payload, packet.payload_len), (&b"hi"[..], 2));
    assert_eq!(
        segment(&packet),
        Segment {
            flags: Flags::SYN,
            seq: SeqNumber(1_000),
            ack: SeqNumber(0),
            window: 512,
            window_scale: Some(7),
            mss: Some(1_460),
        }
    );
}

#[test]
fn options_are_read_past_those_nobody_knows() {
    // Fast open (kind 34), then the window scale; and lists that end early or say nonsense.
    for (options, expected) in [
        (&[34, 4, 9, 9, 3, 3, 9, 0][..], Some(9)),
        (&[34, 2, 3, 3, 2, 0, 0, 0], Some(2)),
        (&[0, 3, 3, 9], None),
        (&[34, 0, 3, 3, 9, 0, 0, 0], None),
        (&[34, 200, 3, 3, 9, 0, 0, 0], None),
        (&[3, 4, 9, 9], None),
        (&[1, 1, 1, 34], None),
        (&[1, 1, 3, 3], None),
    ] {
        let mut octets = Vec::new();
        PacketBuilder::ipv4(CLIENT4, SERVER4, 64)
            .tcp(CLIENT_PORT, SERVER_PORT, 1, 1)
            .syn()
            .options_raw(options)
            .expect("the options fit")
            .write(&mut octets, b"")
            .expect("the segment is short");
        let mut decoder = lab();
        let packet = packet(&mut decoder, &frame(RAW, &octets));
        assert_eq!(segment(&packet).window_scale, expected, "{options:?}");
        assert_eq!(packet.payload_len, 0);
    }
}

#[test]
fn padding_of_the_link_is_no_payload() {
    let mut octets = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(CLIENT4, SERVER4, 64)
        .tcp(CLIENT_PORT, SERVER_PORT, 1, 1)
        .ack(1)
        .write(&mut octets, b"")
        .expect("the segment is short");
    octets.resize(60, 0xee);
    let mut decoder = lab();
    let packet = packet(&mut decoder, &frame(ETHERNET, &octets));
    assert_eq!((packet.payload, packet.payload_len), (&b""[..], 0));
}

#[test]
fn a_total_length_of_zero_reaches_to_the_end_of_the_frame() {
    let mut octets = datagram4();
    octets[2..4].fill(0);
    let mut decoder = lab();
    let whole = packet(&mut decoder, &frame(RAW, &octets));
    assert_eq!((whole.payload, whole.payload_len), (&b"hello"[..], 5));

    let mut octets = datagram6();
    octets[4..6].fill(0);
    check_hello(RAW, &octets);

    // And where the capture cut it, to where the frame ended on the wire.
    let mut octets = syn_in_ethernet();
    octets[16..18].fill(0);
    let wire_len = octets.len() + 3_000;
    let cut = packet(&mut decoder, &cut_frame(ETHERNET, &octets, wire_len));
    assert_eq!((cut.payload, cut.payload_len), (&b"hi"[..], 3_002));
}

#[test]
fn options_and_extension_headers_are_passed_over() {
    let mut ipv4 = Ipv4Header::new(0, 64, IpNumber::UDP, CLIENT4, SERVER4).expect("short");
    ipv4.options = [0x94, 4, 0, 0].into();
    let auth = IpAuthHeader::new(IpNumber::UDP, 1, 2, &[0; 12]).expect("aligned");
    let raw = |len| Ipv6RawExtHeader::new_raw(IpNumber::UDP, &vec![0; len]).expect("aligned");
    let ipv6 = Ipv6Header {
        hop_limit: 64,
        source: client6(),
        destination: server6(),
        ..Ipv6Header::default()
    };
    let unfragmented = Ipv6FragmentHeader {
        next_header: IpNumber::UDP,
        fragment_offset: etherparse::IpFragOffset::ZERO,
        more_fragments: false,
        identification: 1,
    };
    let extensions = |extensions| IpHeaders::Ipv6(ipv6.clone(), extensions);
    for headers in [
        IpHeaders::Ipv4(ipv4.clone(), Ipv4Extensions::default()),
        IpHeaders::Ipv4(
            ipv4,
            Ipv4Extensions {
                auth: Some(auth.clone()),
            },
        ),
        extensions(Ipv6Extensions {
            hop_by_hop_options: Some(raw(6)),
            ..Ipv6Extensions::default()
        }),
        // An atomic fragment (RFC 6946) is a whole datagram.
        extensions(Ipv6Extensions {
            fragment: Some(unfragmented.clone()),
            ..Ipv6Extensions::default()
        }),
        extensions(Ipv6Extensions {
            hop_by_hop_options: Some(raw(14)),
            destination_options: Some(raw(6)),
            routing: Some(Ipv6RoutingExtensions {
                routing: raw(22),
                final_destination_options: Some(raw(6)),
            }),
            fragment: Some(unfragmented),
            auth: Some(auth),
        }),
    ] {
        let mut octets = Vec::new();
        PacketBuilder::ip(headers)
            .udp(CLIENT_PORT, SERVER_PORT)
            .write(&mut octets, b"hello")
            .expect("the datagram is short");
        check_hello(RAW, &octets);
    }
}

#[test]
fn other_protocols_are_named() {
    for (protocol, expected) in [
        (IpNumber::SCTP, Filtered::IpProtocol(132)),
        (IpNumber::GRE, Filtered::IpProtocol(47)),
        (IpNumber::IPV4, Filtered::IpProtocol(4)),
        (IpNumber::IPV6, Filtered::IpProtocol(41)),
        // ICMPv6 means nothing inside IPv4.
        (IpNumber::IPV6_ICMP, Filtered::IpProtocol(58)),
    ] {
        let mut octets = Vec::new();
        PacketBuilder::ipv4(CLIENT4, SERVER4, 64)
            .write(&mut octets, protocol, &[0; 20])
            .expect("the packet is short");
        check_filtered(RAW, &octets, expected);
    }
    let mut octets = Vec::new();
    PacketBuilder::ipv6(client6(), server6(), 64)
        .write(&mut octets, IpNumber::IPV6_NO_NEXT_HEADER, b"")
        .expect("the packet is short");
    check_filtered(RAW, &octets, Filtered::IpProtocol(59));
}

#[test]
fn other_ports_are_filtered_and_one_port_of_the_lab_is_enough() {
    let other = datagram_between(53, CLIENT_PORT, b"hello");
    check_filtered(RAW, &other, Filtered::UdpOtherPorts);
    let mut everything = Decoder::new(PortFilter::all());
    assert_eq!(packet(&mut everything, &frame(RAW, &other)).src.port(), 53);
    let answer = datagram_between(SERVER_PORT, CLIENT_PORT, b"hello");
    assert_eq!(packet(&mut lab(), &frame(RAW, &answer)).payload, b"hello");
}

#[test]
fn headers_that_cannot_be_are_told() {
    let changed = |at: usize, to: u8| {
        let mut octets = syn_in_ethernet();
        octets[at] = to;
        octets
    };
    let check = |octets: &[u8], said| check_undecoded(&frame(ETHERNET, octets), said);
    check(
        &changed(14, 0x75),
        "IPv4 header at octet 14: the version of IP is 7, which cannot be",
    );
    check(
        &changed(14, 0x43),
        "IPv4 header at octet 14: the header length is 3, which cannot be",
    );
    check(
        &changed(17, 9),
        "IPv4 header at octet 14: the total length is 9, which cannot be",
    );
    check(
        &changed(46, 0x40),
        "TCP header at octet 34: the data offset is 4, which cannot be",
    );
    // IP says that it carries ten octets, whatever else is in the frame.
    check(
        &changed(17, 30),
        "TCP header at octet 34: 20 octets are needed, 10 are there",
    );
    // The options would reach beyond what IP carries.
    check(
        &changed(46, 0xf0),
        "TCP header at octet 34: 60 octets are needed, 34 are there",
    );
    let mut short = datagram4();
    short[25] = 7;
    check_undecoded(
        &frame(RAW, &short),
        "UDP header at octet 20: the length is 7, which cannot be",
    );
    short[25] = 200;
    check_undecoded(
        &frame(RAW, &short),
        "UDP header at octet 20: the length is 200, which cannot be",
    );
}

#[test]
fn a_cut_frame_is_decoded_as_far_as_it_goes() {
    let octets = syn_in_ethernet();
    let header = 14 + 20 + 20;
    for len in 0..=octets.len() {
        let frame = cut_frame(ETHERNET, &octets[..len], octets.len());
        let mut decoder = lab();
        match decoder.decode(&frame) {
            Outcome::Lab(packet) => {
                assert!(len >= header, "cut at {len}");
                assert_eq!(segment(&packet).seq, SeqNumber(1_000));
                // What the capture does not have is still known to have been there.
                assert_eq!(packet.payload_len, 2, "cut at {len}");
                let there = len.saturating_sub(octets.len() - 2);
                assert_eq!(packet.payload, &b"hi"[..there], "cut at {len}");
                // An option counts once all of it is there.
                assert_eq!(segment(&packet).mss.is_some(), len >= header + 4);
                assert_eq!(packet.wrong_checksum, None);
            }
            Outcome::Undecoded(Undecoded {
                layer,
                offset,
                problem: Problem::TooShort { required, had, cut },
            }) => {
                assert!(len < header, "cut at {len}");
                assert!(cut && had < required, "cut at {len}");
                assert_eq!(offset + had, len, "cut at {len}");
                let (expected, at) = match len {
                    0..14 => (Layer::Link, 0),
                    14..34 => (Layer::Ipv4, 14),
                    _ => (Layer::Tcp, 34),
                };
                assert_eq!((layer, offset), (expected, at), "cut at {len}");
            }
            other => panic!("cut at {len}: {other:?}"),
        }
    }
    check_undecoded(
        &cut_frame(ETHERNET, &octets[..50], octets.len()),
        "TCP header at octet 34: 20 octets are needed, 16 are there (cut by the capture)",
    );
}

#[test]
fn the_quick_look_agrees_with_the_full_decoding() {
    let noise = datagram_between(53, 54, b"hello");
    for len in 0..noise.len() {
        let frame = cut_frame(RAW, &noise[..len], noise.len());
        match lab().decode(&frame) {
            Outcome::Filtered(why) => {
                assert_eq!(why, Filtered::UdpOtherPorts);
                assert!(len >= 24, "cut at {len}");
            }
            Outcome::Undecoded(_) => assert!(len < 24, "cut at {len}"),
            other => panic!("cut at {len}: {other:?}"),
        }
    }
}

#[test]
fn padding_is_not_taken_for_ports() {
    // IP carries two octets; what looks like a second port is padding.
    let mut octets = datagram_between(53, 54, b"hello");
    octets[3] = 22;
    check_undecoded(
        &frame(RAW, &octets),
        "UDP header at octet 20: 8 octets are needed, 2 are there",
    );
    let mut octets = datagram6();
    octets[40..44].fill(0);
    octets[5] = 2;
    check_undecoded(
        &frame(RAW, &octets),
        "UDP header at octet 40: 8 octets are needed, 2 are there",
    );
}

/// What the frame is without the quick look at its ports.
fn without_peek<'a>(filter: &PortFilter, frame: &Frame<'a>) -> Option<Outcome<'a>> {
    let start = link::find_ip(frame).ok()?;
    match ip::parse(frame, start) {
        Ok(Ip::Whole(inside)) => Some(transport::decode(filter, &inside)),
        _ => None,
    }
}

/// Octets that begin like a packet, so that chance gets beyond the first check.
fn nearly_a_packet() -> impl Strategy<Value = Vec<u8>> {
    let packets = vec![
        datagram4(),
        datagram6(),
        datagram_between(53, 54, b"hello"),
        syn_in_ethernet()[14..].to_vec(),
        icmp::unreachable4(3, &datagram4()),
        icmp::unreachable6(4, &datagram6()),
        pieces::fragment4(1, 0, true, b"12345678"),
        pieces::fragment6(1, 8, true, b"12345678"),
    ];
    let wrong = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let rest = prop::collection::vec(any::<u8>(), 0..40);
    (prop::sample::select(packets), wrong, rest).prop_map(|(mut octets, wrong, rest)| {
        octets.extend(rest);
        for (at, octet) in wrong {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        octets
    })
}

/// Link headers that are followed by IP, and some that are not known.
fn any_link() -> impl Strategy<Value = (u32, Vec<u8>)> {
    let ethernet = [&[2; 12][..], &[8, 0]].concat();
    let qinq = [&[2; 12][..], &[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 0x86, 0xdd]].concat();
    prop::sample::select(vec![
        (ETHERNET, ethernet),
        (ETHERNET, qinq),
        (0, vec![2, 0, 0, 0]),
        (108, vec![0, 0, 0, 30]),
        (9, vec![0xff, 3, 0, 0x21]),
        (50, vec![0x0f, 0, 8, 0]),
        (51, vec![0x11, 0, 0, 1, 0, 9, 0, 0x57]),
        (104, vec![0x0f, 0, 8, 0]),
        (113, [&[0; 14][..], &[8, 0]].concat()),
        (276, [&[8, 0][..], &[0; 18]].concat()),
        (RAW, vec![]),
        (12, vec![]),
        (14, vec![]),
        (228, vec![]),
        (229, vec![]),
        (147, vec![]),
    ])
}

proptest! {
    #[test]
    fn any_octets_on_any_link_are_decoded_without_a_panic(
        (link, header) in any_link(),
        octets in prop::collection::vec(any::<u8>(), 0..120),
        beyond in 0..3_usize,
        all in any::<bool>(),
    ) {
        let filter = if all { PortFilter::all() } else { PortFilter::only(&[SERVER_PORT]) };
        let mut decoder = Decoder::new(filter);
        decoder.decode(&cut_frame(link, &octets, octets.len() + beyond));
        let octets = [header, octets].concat();
        decoder.decode(&cut_frame(link, &octets, octets.len() + beyond));
    }

    #[test]
    fn packets_with_wrong_octets_are_decoded_without_a_panic_and_as_the_full_decoding_does(
        (link, header) in any_link(),
        packets in prop::collection::vec(nearly_a_packet(), 1..4),
        keep in any::<prop::sample::Index>(),
    ) {
        let filter = PortFilter::only(&[SERVER_PORT]);
        let (mut lab, mut all) = (lab(), Decoder::new(PortFilter::all()));
        for packet in packets {
            let octets = [header.clone(), packet].concat();
            let kept = keep.index(octets.len() + 1);
            let frame = cut_frame(link, &octets[..kept], octets.len());
            if let Outcome::Lab(packet) = all.decode(&frame) {
                prop_assert!(packet.payload.len() <= packet.payload_len as usize);
            }
            let full = without_peek(&filter, &frame).map(|outcome| format!("{outcome:?}"));
            let quick = format!("{:?}", lab.decode(&frame));
            if let Some(full) = full {
                prop_assert_eq!(full, quick);
            }
        }
        lab.finish();
        prop_assert_eq!(lab.finish(), 0);
    }
}
