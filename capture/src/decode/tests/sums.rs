//! Checksums, and what checksum offload leaves of them.

use super::*;

/// Where the sums are in a packet without a link.
const IP_SUM: usize = 10;
const TCP_SUM: usize = 20 + 16;
const UDP_SUM: usize = 20 + 6;

fn segment4() -> Vec<u8> {
    syn_in_ethernet().split_off(14)
}

fn with(mut octets: Vec<u8>, at: usize, sum: u16) -> Vec<u8> {
    octets[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    octets
}

#[track_caller]
fn check_sum(octets: &[u8], expected: Option<ChecksumOf>) {
    let mut decoder = lab();
    let packet = packet(&mut decoder, &frame(RAW, octets));
    assert_eq!(packet.wrong_checksum, expected);
}

/// The sum of the pseudo-header (RFC 9293 §3.1), as the words of it add up, and not complemented.
fn pseudo_header(src: &[u8], dst: &[u8], protocol: u8, len: u16) -> u16 {
    let mut sum = u32::from(protocol) + u32::from(len);
    for pair in src.chunks(2).chain(dst.chunks(2)) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[test]
fn right_sums_are_right() {
    check_sum(&segment4(), None);
    check_sum(&datagram4(), None);
    check_sum(&datagram6(), None);
}

#[test]
fn wrong_sums_are_noted() {
    check_sum(&with(segment4(), TCP_SUM, 0x1234), Some(ChecksumOf::Tcp));
    check_sum(&with(datagram4(), UDP_SUM, 0x1234), Some(ChecksumOf::Udp));
    check_sum(&with(datagram6(), 40 + 6, 0x1234), Some(ChecksumOf::Udp));
    check_sum(&with(segment4(), IP_SUM, 0x1234), Some(ChecksumOf::Ip));
    // One octet was changed on the way.
    let mut octets = datagram4();
    *octets.last_mut().expect("it has octets") ^= 0x20;
    check_sum(&octets, Some(ChecksumOf::Udp));
    // An IP header that is wrong is noted on an ICMP message too.
    let icmp = super::icmp::unreachable4(3, &datagram4());
    check_sum(&with(icmp, IP_SUM, 0x1234), Some(ChecksumOf::Ip));
}

#[test]
fn what_the_card_completes_is_not_wrong() {
    for len in [segment4().len() as u16 - 20, 0] {
        let sum = pseudo_header(&CLIENT4, &SERVER4, 6, len);
        check_sum(&with(segment4(), TCP_SUM, sum), None);
    }
    for len in [13, 0] {
        let sum = pseudo_header(&CLIENT4, &SERVER4, 17, len);
        check_sum(&with(datagram4(), UDP_SUM, sum), None);
        let sum = pseudo_header(&client6(), &server6(), 17, len);
        check_sum(&with(datagram6(), 40 + 6, sum), None);
    }
    check_sum(&with(segment4(), TCP_SUM, 0), None);
    check_sum(&with(datagram4(), UDP_SUM, 0), None);
    check_sum(&with(segment4(), IP_SUM, 0), None);
}

#[test]
fn nothing_is_wrong_on_loopback() {
    let wrong = with(segment4(), TCP_SUM, 0x1234);
    let between = |src: [u8; 4], dst: [u8; 4]| {
        let mut octets = with(wrong.clone(), IP_SUM, 0);
        octets[12..16].copy_from_slice(&src);
        octets[16..20].copy_from_slice(&dst);
        octets
    };
    check_sum(&between([127, 0, 0, 1], [127, 0, 0, 1]), None);
    check_sum(&between([127, 0, 0, 1], CLIENT4), None);
    check_sum(&between(CLIENT4, CLIENT4), None);
    check_sum(&between(CLIENT4, SERVER4), Some(ChecksumOf::Tcp));
    // The link says so itself.
    let mut decoder = lab();
    let octets = [&[2, 0, 0, 0][..], &wrong].concat();
    assert_eq!(
        packet(&mut decoder, &frame(0, &octets)).wrong_checksum,
        None
    );
}

#[test]
fn nothing_is_said_where_not_everything_is_there() {
    let wrong = with(segment4(), TCP_SUM, 0x1234);
    let mut decoder = lab();
    let cut = cut_frame(RAW, &wrong[..wrong.len() - 1], wrong.len());
    assert_eq!(packet(&mut decoder, &cut).wrong_checksum, None);
}

#[test]
fn segments_that_the_card_joined_keep_the_sum_of_the_first() {
    let mut octets = Vec::new();
    PacketBuilder::ipv4(CLIENT4, SERVER4, 64)
        .tcp(CLIENT_PORT, SERVER_PORT, 1, 1)
        .ack(1)
        .write(&mut octets, &[b'x'; 4_000])
        .expect("the segment is short enough");
    check_sum(&with(octets, TCP_SUM, 0x1234), None);
}

#[test]
fn padding_is_not_part_of_the_sum() {
    let mut octets = datagram4();
    octets.extend([0xee; 13]);
    check_sum(&octets, None);
}
