//! Datagrams in fragments.

use super::*;
use etherparse::{IpFragOffset, Ipv4Header};

/// A UDP datagram, to be sent in pieces: 8 octets of header, 32 of payload.
fn udp() -> Vec<u8> {
    let mut octets = Vec::from(CLIENT_PORT.to_be_bytes());
    octets.extend(SERVER_PORT.to_be_bytes());
    octets.extend(40_u16.to_be_bytes());
    octets.extend([0; 2]);
    octets.extend(payload());
    octets
}

fn payload() -> Vec<u8> {
    (b'a'..=b'z').chain(b'0'..=b'5').collect()
}

pub(super) fn fragment4(identification: u16, at: u16, more: bool, octets: &[u8]) -> Vec<u8> {
    let mut header = Ipv4Header::new(octets.len() as u16, 64, IpNumber::UDP, CLIENT4, SERVER4)
        .expect("the fragment is short");
    header.identification = identification;
    header.more_fragments = more;
    header.fragment_offset = IpFragOffset::try_new(at / 8).expect("in range");
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], octets].concat()
}

pub(super) fn fragment6(identification: u32, at: u16, more: bool, octets: &[u8]) -> Vec<u8> {
    fragment6_of(IpNumber::UDP, identification, at, more, octets)
}

fn fragment6_of(
    protocol: IpNumber,
    identification: u32,
    at: u16,
    more: bool,
    octets: &[u8],
) -> Vec<u8> {
    let fragment = Ipv6FragmentHeader {
        next_header: protocol,
        fragment_offset: IpFragOffset::try_new(at / 8).expect("in range"),
        more_fragments: more,
        identification,
    };
    let header = Ipv6Header {
        payload_length: 8 + octets.len() as u16,
        next_header: IpNumber::IPV6_FRAGMENTATION_HEADER,
        hop_limit: 64,
        source: client6(),
        destination: server6(),
        ..Ipv6Header::default()
    };
    [&header.to_bytes()[..], &fragment.to_bytes(), octets].concat()
}

/// The datagram in five pieces.
fn pieces(identification: u16, is_ipv6: bool) -> Vec<Vec<u8>> {
    let udp = udp();
    (0..5)
        .map(|piece| {
            let at = piece * 8;
            let octets = &udp[at..at + 8];
            if is_ipv6 {
                fragment6(u32::from(identification), at as u16, piece < 4, octets)
            } else {
                fragment4(identification, at as u16, piece < 4, octets)
            }
        })
        .collect()
}

#[track_caller]
fn check_waits(decoder: &mut Decoder, octets: &[u8]) {
    let outcome = decoder.decode(&frame(RAW, octets));
    assert!(matches!(outcome, Outcome::Fragment), "{outcome:?}");
}

#[track_caller]
fn check_completes(decoder: &mut Decoder, octets: &[u8], fragments: u16) {
    let packet = packet(decoder, &frame(RAW, octets));
    assert_eq!(packet.payload, payload());
    assert_eq!(packet.payload_len, 32);
    assert_eq!(packet.fragments, fragments);
    assert_eq!(
        (packet.src.port(), packet.dst.port()),
        (CLIENT_PORT, SERVER_PORT)
    );
}

#[test]
fn fragments_are_put_together_in_whatever_order_they_come() {
    for is_ipv6 in [false, true] {
        let pieces = pieces(1, is_ipv6);
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 1, 3]] {
            let mut decoder = lab();
            for place in &order[..4] {
                check_waits(&mut decoder, &pieces[*place]);
            }
            check_completes(&mut decoder, &pieces[order[4]], 5);
            assert_eq!(decoder.finish(), 0);
        }
    }
}

#[test]
fn datagrams_do_not_mix() {
    let (one, other, third) = (pieces(1, false), pieces(2, false), pieces(1, true));
    let mut decoder = lab();
    for place in 0..4 {
        for pieces in [&one, &other, &third] {
            check_waits(&mut decoder, &pieces[place]);
        }
    }
    for pieces in [one, other, third] {
        check_completes(&mut decoder, &pieces[4], 5);
    }
}

#[test]
fn a_fragment_that_comes_twice_does_no_harm() {
    let pieces = pieces(1, false);
    let mut decoder = lab();
    for place in [0, 0, 4, 2, 4, 1, 2] {
        check_waits(&mut decoder, &pieces[place]);
    }
    check_completes(&mut decoder, &pieces[3], 5);
}

#[test]
fn fragments_that_overlap_with_the_same_octets_are_put_together() {
    let udp = udp();
    let mut decoder = lab();
    check_waits(&mut decoder, &fragment4(1, 0, true, &udp[..24]));
    check_completes(&mut decoder, &fragment4(1, 16, false, &udp[16..]), 2);
}

#[test]
fn fragments_that_contradict_each_other_give_the_datagram_up() {
    let udp = udp();
    let mut wrong = udp.clone();
    wrong[20] = b'!';
    for is_ipv6 in [false, true] {
        let fragment = |at: usize, to: usize, octets: &[u8]| match is_ipv6 {
            true => fragment6(1, at as u16, to < 40, &octets[at..to]),
            false => fragment4(1, at as u16, to < 40, &octets[at..to]),
        };
        let mut decoder = lab();
        check_waits(&mut decoder, &fragment(0, 24, &udp));
        let last = fragment(16, 40, &wrong);
        match decoder.decode(&frame(RAW, &last)) {
            Outcome::Undecoded(why) => assert_eq!(why.problem, Problem::FragmentsDiffer(20)),
            other => panic!("put together: {other:?}"),
        }
        assert_eq!(decoder.finish(), 1);
    }
    // The last fragment ends before one that came earlier, and one comes after the end.
    for order in [
        [(24, 32, true), (8, 16, false)],
        [(8, 16, false), (24, 32, true)],
    ] {
        let mut decoder = lab();
        let [first, second] =
            order.map(|(at, to, more)| fragment4(1, at as u16, more, &udp[at..to]));
        check_waits(&mut decoder, &first);
        let outcome = decoder.decode(&frame(RAW, &second));
        assert!(matches!(outcome, Outcome::Undecoded(_)), "{outcome:?}");
        assert_eq!(decoder.finish(), 1);
    }
}

#[test]
fn fragments_that_cannot_be_are_told() {
    check_undecoded(
        &frame(RAW, &fragment4(1, 0, true, b"12345")),
        "IPv4 header at octet 20: \
         the length of a fragment that is not the last is 5, which cannot be",
    );
    // The end would lie beyond the longest datagram.
    check_undecoded(
        &frame(RAW, &fragment4(1, 65_528, false, b"12345678")),
        "IPv4 header at octet 20: the fragment offset is 65528, which cannot be",
    );
    let octets = fragment4(1, 0, true, b"12345678");
    check_undecoded(
        &cut_frame(RAW, &octets[..25], octets.len()),
        "IPv4 header at octet 0: 28 octets are needed, 25 are there (cut by the capture)",
    );
}

#[test]
fn extension_headers_behind_the_fragment_header_are_passed_over() {
    // Destination options come first in what was cut up; later pieces would make no sense as such a header.
    let mut whole = vec![IpNumber::UDP.0, 0, 1, 4, 0, 0, 0, 0];
    whole.extend(udp());
    let options = IpNumber::IPV6_DESTINATION_OPTIONS;
    let mut decoder = lab();
    check_waits(
        &mut decoder,
        &fragment6_of(options, 1, 0, true, &whole[..16]),
    );
    check_waits(
        &mut decoder,
        &fragment6_of(options, 1, 16, true, &whole[16..32]),
    );
    check_completes(
        &mut decoder,
        &fragment6_of(options, 1, 32, false, &whole[32..]),
        3,
    );

    // A fragment header once more would have no end.
    let nested = IpNumber::IPV6_FRAGMENTATION_HEADER;
    let inner = [IpNumber::UDP.0, 0, 0, 1, 0, 0, 0, 9];
    check_waits(&mut decoder, &fragment6_of(nested, 2, 0, true, &inner));
    let last = fragment6_of(nested, 2, 8, false, b"12345678");
    let outcome = decoder.decode(&frame(RAW, &last));
    assert!(matches!(outcome, Outcome::Undecoded(_)), "{outcome:?}");
}

#[test]
fn the_next_header_of_the_first_fragment_counts() {
    let udp = udp();
    let mut decoder = lab();
    check_waits(
        &mut decoder,
        &fragment6_of(IpNumber::TCP, 1, 8, false, &udp[8..]),
    );
    check_completes(&mut decoder, &fragment6(1, 0, true, &udp[..8]), 2);
}

#[test]
fn datagrams_of_other_ports_are_filtered_when_they_are_complete() {
    let mut udp = udp();
    udp[2..4].fill(0);
    let mut decoder = lab();
    check_waits(&mut decoder, &fragment4(1, 0, true, &udp[..8]));
    match decoder.decode(&frame(RAW, &fragment4(1, 8, false, &udp[8..]))) {
        Outcome::Filtered(why) => assert_eq!(why, Filtered::UdpOtherPorts),
        other => panic!("not filtered: {other:?}"),
    }
}

#[test]
fn what_never_becomes_complete_is_counted() {
    let mut decoder = lab();
    for piece in &pieces(1, false)[1..] {
        check_waits(&mut decoder, piece);
    }
    check_waits(&mut decoder, &pieces(2, true)[0]);
    assert_eq!(decoder.finish(), 5);
    assert_eq!(decoder.finish(), 0);
}

#[test]
fn a_datagram_is_given_up_after_thirty_seconds() {
    let pieces = pieces(1, false);
    let second = 1_000_000_000;
    let at = |nanos: u64, octets| Frame {
        time: Timestamp::from_nanos(nanos),
        ..frame(RAW, octets)
    };
    for (seconds, in_time) in [(30, true), (31, false)] {
        let mut decoder = lab();
        let begin = 100 * second;
        assert!(matches!(
            decoder.decode(&at(begin, &pieces[0])),
            Outcome::Fragment
        ));
        for piece in &pieces[1..4] {
            let outcome = decoder.decode(&at(begin + second, piece));
            assert!(matches!(outcome, Outcome::Fragment));
        }
        let last = decoder.decode(&at(begin + seconds * second, &pieces[4]));
        assert_eq!(matches!(last, Outcome::Lab(_)), in_time, "{last:?}");
        assert_eq!(decoder.finish(), if in_time { 0 } else { 5 });
    }
    // Although the old ones are looked for once in a second only, an old one is never completed.
    let mut decoder = lab();
    let other = fragment4(2, 8, true, b"12345678");
    for (tenths, octets) in [(1_006, &pieces[0]), (1_305, &other), (1_310, &pieces[1])] {
        let outcome = decoder.decode(&at(tenths * second / 10, octets));
        assert!(matches!(outcome, Outcome::Fragment));
    }
    for piece in &pieces[2..] {
        let outcome = decoder.decode(&at(131 * second, piece));
        assert!(matches!(outcome, Outcome::Fragment), "{outcome:?}");
    }
    assert_eq!(decoder.finish(), 6);
    // A clock that goes back, from one end to the other, makes nothing old and breaks nothing.
    let mut decoder = lab();
    for (time, piece) in [u64::MAX, 0, u64::MAX / 2, 5].into_iter().zip(&pieces) {
        decoder.decode(&at(time, piece));
    }
}

#[test]
fn hostile_fragments_cannot_make_memory_grow() {
    let mut decoder = lab();
    // Each claims a datagram of 64 KiB with a few octets.
    for identification in 0..5_000 {
        check_waits(
            &mut decoder,
            &fragment4(identification, 65_504, true, b"12345678"),
        );
        assert!(decoder.fragments.memory() <= 4 << 20);
    }
    assert!(
        decoder.fragments.memory() > 1 << 20,
        "the limit was reached"
    );
    assert_eq!(decoder.finish(), 5_000);
    // Each piece leaves a hole before the next.
    for at in (0..8_000_u16).step_by(16) {
        check_waits(&mut decoder, &fragment4(1, at, true, b"12345678"));
        assert!(decoder.fragments.memory() <= 4 << 20);
    }
    assert_eq!(decoder.finish(), 500);
    // Those of the lab still come through when they come in time.
    for identification in 0..1_000 {
        check_waits(
            &mut decoder,
            &fragment4(identification, 8, true, b"12345678"),
        );
    }
    let pieces = pieces(7, true);
    for piece in &pieces[..4] {
        check_waits(&mut decoder, piece);
    }
    check_completes(&mut decoder, &pieces[4], 5);
}
