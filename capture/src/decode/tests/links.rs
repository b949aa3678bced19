//! Every kind of link.

use super::*;
use etherparse::{LinuxSllPacketType, VlanId};

const MAC1: [u8; 6] = [2, 0, 0, 0, 0, 1];
const MAC2: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn ethernet(ether_type: u16, rest: &[u8]) -> Vec<u8> {
    [&MAC1[..], &MAC2, &ether_type.to_be_bytes(), rest].concat()
}

fn after(header: &[u8], ip: Vec<u8>) -> Vec<u8> {
    [header, &ip].concat()
}

#[track_caller]
fn check_both(link: u32, ipv4: &[u8], ipv6: &[u8]) {
    check_hello(link, &after(ipv4, datagram4()));
    check_hello(link, &after(ipv6, datagram6()));
}

#[track_caller]
fn check_loopback(link: u32, octets: &[u8], expected: bool) {
    let start = link::find_ip(&frame(link, octets)).expect("there is IP");
    assert_eq!(start.loopback, expected);
}

#[test]
fn ethernet_is_understood() {
    check_both(ETHERNET, &ethernet(0x0800, &[]), &ethernet(0x86dd, &[]));
    check_loopback(ETHERNET, &ethernet(0x0800, &datagram4()), false);
    let lo = [&[0; 12][..], &[8, 0], &datagram4()].concat();
    check_loopback(ETHERNET, &lo, true);
}

#[test]
fn vlans_are_understood_however_deep() {
    let mut octets = Vec::new();
    PacketBuilder::ethernet2(MAC1, MAC2)
        .single_vlan(VlanId::try_new(7).expect("short"))
        .ipv4(CLIENT4, SERVER4, 64)
        .udp(CLIENT_PORT, SERVER_PORT)
        .write(&mut octets, b"hello")
        .expect("the datagram is short");
    check_hello(ETHERNET, &octets);

    let mut octets = Vec::new();
    PacketBuilder::ethernet2(MAC1, MAC2)
        .double_vlan(
            VlanId::try_new(7).expect("short"),
            VlanId::try_new(8).expect("short"),
        )
        .ipv6(client6(), server6(), 64)
        .udp(CLIENT_PORT, SERVER_PORT)
        .write(&mut octets, b"hello")
        .expect("the datagram is short");
    check_hello(ETHERNET, &octets);

    let old = [0, 1, 0x92, 0, 0, 2, 0x88, 0xa8, 0, 3, 0x81, 0, 0, 4, 8, 0];
    check_hello(ETHERNET, &after(&ethernet(0x9100, &old), datagram4()));
    let arp = ethernet(0x8100, &[0, 1, 8, 6, 0, 0]);
    check_filtered(ETHERNET, &arp, Filtered::EtherType(0x0806));
    check_undecoded(
        &cut_frame(ETHERNET, &ethernet(0x8100, &[0, 1, 8]), 60),
        "link header at octet 0: 18 octets are needed, 17 are there (cut by the capture)",
    );
}

#[test]
fn cooked_links_are_understood() {
    let mut octets = Vec::new();
    PacketBuilder::linux_sll(LinuxSllPacketType::OUTGOING, 6, [2, 0, 0, 0, 0, 1, 0, 0])
        .ipv4(CLIENT4, SERVER4, 64)
        .udp(CLIENT_PORT, SERVER_PORT)
        .write(&mut octets, b"hello")
        .expect("the datagram is short");
    check_hello(113, &octets);
    check_loopback(113, &octets, false);
    octets[2..4].copy_from_slice(&772_u16.to_be_bytes());
    check_loopback(113, &octets, true);
    octets[14..16].copy_from_slice(&4_u16.to_be_bytes());
    check_filtered(113, &octets, Filtered::Ieee8023);

    let cooked2 = |protocol: u16, hardware: u16| {
        let mut header = Vec::from(protocol.to_be_bytes());
        header.extend([0, 0, 0, 0, 0, 1]);
        header.extend(hardware.to_be_bytes());
        header.extend([0, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
        header
    };
    check_both(276, &cooked2(0x0800, 1), &cooked2(0x86dd, 1));
    check_loopback(276, &after(&cooked2(0x0800, 1), datagram4()), false);
    check_loopback(276, &after(&cooked2(0x0800, 772), datagram4()), true);
    check_filtered(276, &cooked2(0x0806, 1), Filtered::EtherType(0x0806));
    check_undecoded(
        &frame(276, &cooked2(0x0800, 1)[..19]),
        "link header at octet 0: 20 octets are needed, 19 are there",
    );
}

#[test]
fn loopback_links_of_bsd_are_understood_in_both_orders() {
    for family in [10_u32, 24, 28, 30] {
        check_both(0, &2_u32.to_le_bytes(), &family.to_le_bytes());
        check_both(0, &2_u32.to_be_bytes(), &family.to_be_bytes());
        check_both(108, &2_u32.to_be_bytes(), &family.to_be_bytes());
    }
    check_loopback(0, &after(&[2, 0, 0, 0], datagram4()), true);
    check_undecoded(
        &frame(0, &[7, 0, 0, 0, 1, 2]),
        "link header at octet 0: the address family is 7, which cannot be",
    );
}

#[test]
fn raw_ip_is_understood() {
    for link in [12, 14, 101, 228, 229] {
        check_both(link, &[], &[]);
    }
}

#[test]
fn ppp_is_understood_in_all_its_framings() {
    check_both(9, &[0xff, 3, 0, 0x21], &[0xff, 3, 0, 0x57]);
    check_both(9, &[0, 0x21], &[0, 0x57]);
    check_both(9, &[0x21], &[0x57]);
    check_both(50, &[0xff, 3, 0, 0x21], &[0x0f, 0, 0x86, 0xdd]);
    check_both(104, &[0x0f, 0, 8, 0], &[0x8f, 0, 0x86, 0xdd]);
    check_filtered(9, &[0xff, 3, 0xc0, 0x21], Filtered::PppProtocol(0xc021));
    let session = |protocol| [0x11, 0, 0, 1, 0, 99, 0, protocol];
    check_both(51, &session(0x21), &session(0x57));
    check_both(
        ETHERNET,
        &ethernet(0x8864, &session(0x21)),
        &ethernet(0x8864, &session(0x57)),
    );
    check_filtered(
        ETHERNET,
        &ethernet(0x8863, &[]),
        Filtered::EtherType(0x8863),
    );
}

#[test]
fn frames_with_a_length_are_told_from_those_with_an_ether_type() {
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    check_hello(ETHERNET, &after(&ethernet(41, &snap), datagram4()));
    // A spanning tree frame.
    let stp = ethernet(38, &[0x42, 0x42, 3, 0, 0, 0]);
    check_filtered(ETHERNET, &stp, Filtered::Ieee8023);
    check_filtered(
        ETHERNET,
        &ethernet(0x88cc, &[]),
        Filtered::EtherType(0x88cc),
    );
}

#[test]
fn an_unknown_link_is_named() {
    check_undecoded(
        &frame(127, &[0; 60]),
        "link header at octet 0: link type 127 is not known here",
    );
    assert!(!link::is_known(LinkType(127)));
    for known in [0, 1, 9, 12, 14, 50, 51, 101, 104, 108, 113, 228, 229, 276] {
        assert!(link::is_known(LinkType(known)), "{known}");
    }
}
