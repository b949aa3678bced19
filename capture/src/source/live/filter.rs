//! What the kernel is asked to let through: the text of a BPF filter, from the lab's ports.
//!
//! It lets through whatever *may* belong to the lab; what does is decided by decoding, as for files. A plain
//! `port 20001` would hide the later fragments of a datagram (they have no ports) and the ICMP message that says that
//! nobody listens (its ports are those it quotes).
//!
//! BPF looks at fixed places, so this stays hidden where only some ports are asked for:
//! - IPv6 extension headers other than hop-by-hop, routing, fragment and destination options (RFC 8200 §4), such as
//!   IPsec's. Of those four everything is let through, whatever follows.
//! - more than two VLAN tags; any tag on links other than Ethernet.
//! - everything inside tunnels, PPPoE and MPLS.
//!
//! With all ports nothing is filtered, and nothing hidden.

use crate::frame::LinkType;

/// The only link on which BPF knows where a VLAN tag is.
const ETHERNET: LinkType = LinkType(1);

/// Datagrams and messages without ports that may belong to the lab: later fragments of IPv4 (RFC 791 §3.1), IPv6 with
/// an extension header, and ICMP and ICMPv6 "destination unreachable" (RFC 792, RFC 4443 §3.1).
///
/// By numbers instead of names, since older compilers of filters know fewer names.
const WITHOUT_PORTS: &str = "ip[6:2] & 0x1fff != 0 \
     or ip6[6] == 0 or ip6[6] == 43 or ip6[6] == 44 or ip6[6] == 60 \
     or icmp[0] == 3 or (ip6[6] == 58 and ip6[40] == 1)";

/// So many ports or ranges are asked for one by one: compiling a filter for a hundred takes seconds.
const MOST_RUNS: usize = 16;

/// The filter for these ports on this kind of link; `None` where everything is wanted.
pub fn text(ports: Option<&[u16]>, link: LinkType) -> Option<String> {
    let untagged = match runs(ports?).as_slice() {
        [] => WITHOUT_PORTS.to_owned(),
        runs => {
            let ports: Vec<String> = runs.iter().map(|run| wanted(*run)).collect();
            format!("{} or {WITHOUT_PORTS}", ports.join(" or "))
        }
    };
    Some(if link == ETHERNET {
        // `vlan` moves the places that everything after it looks at, even after an `or`: so it comes last.
        format!("({untagged}) or (vlan and (({untagged}) or (vlan and ({untagged}))))")
    } else {
        untagged
    })
}

fn wanted((first, last): (u16, u16)) -> String {
    if first == last {
        format!("tcp port {first} or udp port {first}")
    } else {
        format!("tcp portrange {first}-{last} or udp portrange {first}-{last}")
    }
}

/// The ports in ascending order, neighbours together; those between too when it would be too many.
fn runs(ports: &[u16]) -> Vec<(u16, u16)> {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    ports.dedup();
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
            _ => runs.push((port, port)),
        }
    }
    match (runs.first(), runs.last()) {
        (Some((first, _)), Some((_, last))) if runs.len() > MOST_RUNS => vec![(*first, *last)],
        _ => runs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{
        Icmpv4Header, Icmpv4Type, IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader,
        Ipv6Header, Ipv6RawExtHeader, PacketBuilder, PacketBuilderStep, UdpHeader, VlanId,
        ip_number,
    };
    use pcap::{BpfProgram, Capture, Linktype};

    const LAB: [u16; 2] = [20001, 20002];

    fn compile(ports: &[u16], link: i32) -> BpfProgram {
        let text = text(Some(ports), LinkType(link as u32)).expect("some ports need a filter");
        Capture::dead(Linktype(link))
            .and_then(|dead| dead.compile(&text, true))
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[track_caller]
    fn check(what: &str, octets: &[u8], let_through: bool) {
        assert_eq!(compile(&LAB, 1).filter(octets), let_through, "{what}");
    }

    #[track_caller]
    fn check_both(what: &str, frame: impl Fn(u16) -> Vec<u8>) {
        check(&format!("{what} of the lab"), &frame(20002), true);
        check(&format!("{what} of others"), &frame(443), false);
    }

    fn ethernet() -> PacketBuilderStep<etherparse::Ethernet2Header> {
        PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
    }

    fn vlan(id: u16) -> VlanId {
        VlanId::try_new(id).expect("a VLAN's number has 12 bits")
    }

    macro_rules! finish {
        ($builder:expr, $payload:expr) => {{
            let mut octets = Vec::new();
            $builder
                .write(&mut octets, $payload)
                .expect("memory takes everything");
            octets
        }};
    }

    /// An Ethernet frame around an IP datagram.
    fn framed(ether_type: u16, parts: &[&[u8]]) -> Vec<u8> {
        let mut octets = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        octets.extend(ether_type.to_be_bytes());
        for part in parts {
            octets.extend_from_slice(part);
        }
        octets
    }

    fn ipv6_with(next: IpNumber, rest: &[u8]) -> Vec<u8> {
        let header = Ipv6Header {
            payload_length: rest.len() as u16,
            next_header: next,
            hop_limit: 64,
            source: [1; 16],
            destination: [2; 16],
            ..Ipv6Header::default()
        };
        framed(0x86dd, &[&header.to_bytes(), rest])
    }

    #[test]
    fn segments_and_datagrams_of_the_lab_come_through_in_either_direction() {
        let v4 = || ethernet().ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
        let v6 = || ethernet().ipv6([1; 16], [2; 16], 64);
        check_both("TCP to a server", |port| {
            finish!(v4().tcp(51_000, port, 1, 100), b"x")
        });
        check_both("TCP to a client", |port| {
            finish!(v4().tcp(port, 51_000, 1, 100), b"x")
        });
        check_both("UDP", |port| finish!(v4().udp(port, 51_000), b"x"));
        check_both("TCP over IPv6", |port| {
            finish!(v6().tcp(51_000, port, 1, 100), b"")
        });
        check_both("UDP over IPv6", |port| finish!(v6().udp(51_000, port), b""));
    }

    #[test]
    fn tags_hide_nothing_up_to_two() {
        check_both("a tag", |port| {
            let builder = ethernet().single_vlan(vlan(7));
            finish!(builder.ipv4([1; 4], [2; 4], 9).tcp(5, port, 1, 1), b"x")
        });
        check_both("a tag, IPv6", |port| {
            let builder = ethernet().single_vlan(vlan(7));
            finish!(builder.ipv6([1; 16], [2; 16], 9).udp(5, port), b"x")
        });
        check_both("two tags", |port| {
            let builder = ethernet().double_vlan(vlan(7), vlan(8));
            finish!(builder.ipv4([1; 4], [2; 4], 9).udp(5, port), b"x")
        });
    }

    #[test]
    fn what_has_no_ports_comes_through_when_it_may_be_the_labs() {
        let later = Ipv4Header {
            fragment_offset: IpFragOffset::try_new(185).expect("13 bits"),
            ..Ipv4Header::new(8, 64, ip_number::UDP, [1; 4], [2; 4]).expect("short")
        };
        check(
            "a later fragment",
            &framed(0x0800, &[&later.to_bytes(), b"fragment"]),
            true,
        );
        let fragment = Ipv6FragmentHeader::new(
            ip_number::UDP,
            IpFragOffset::try_new(185).expect("13 bits"),
            false,
            7,
        );
        check(
            "a later fragment over IPv6",
            &ipv6_with(
                ip_number::IPV6_FRAG,
                &[&fragment.to_bytes()[..], b"fragment"].concat(),
            ),
            true,
        );
        let options = Ipv6RawExtHeader::new_raw(ip_number::TCP, &[1, 4, 0, 0, 0, 0]).expect("6");
        for header in [
            ip_number::IPV6_HEADER_HOP_BY_HOP,
            ip_number::IPV6_ROUTE_HEADER,
            ip_number::IPV6_DEST_OPTIONS,
        ] {
            check(
                "an extension header",
                &ipv6_with(header, &options.to_bytes()),
                true,
            );
        }
    }

    #[test]
    fn that_nobody_listens_comes_through() {
        let quote = UdpHeader::without_ipv4_checksum(5, 20001, 4).expect("short");
        let icmp = |kind: Icmpv4Type| {
            let header = Icmpv4Header {
                icmp_type: kind,
                checksum: 0,
            };
            let ip = Ipv4Header::new(36, 64, ip_number::ICMP, [1; 4], [2; 4]).expect("short");
            framed(
                0x0800,
                &[
                    &ip.to_bytes(),
                    &header.to_bytes(),
                    &[0; 20],
                    &quote.to_bytes(),
                ],
            )
        };
        let unreachable =
            Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Port);
        check("port unreachable", &icmp(unreachable), true);
        let ping = Icmpv4Type::EchoRequest(etherparse::IcmpEchoHeader { id: 1, seq: 1 });
        check("ping", &icmp(ping), false);
        check(
            "port unreachable, ICMPv6",
            &ipv6_with(ip_number::IPV6_ICMP, &[1, 4, 0, 0, 0, 0, 0, 0]),
            true,
        );
        check(
            "a router's advertisement",
            &ipv6_with(ip_number::IPV6_ICMP, &[134, 0, 0, 0, 0, 0, 0, 0]),
            false,
        );
    }

    #[test]
    fn what_is_said_to_stay_hidden_does() {
        let authentication = [6, 4, 0, 0, 0, 0, 0, 1];
        check(
            "IPsec's header",
            &ipv6_with(ip_number::AUTH, &authentication),
            false,
        );
        let mpls = framed(0x8847, &[&[0, 1, 1, 64]]);
        check("MPLS", &mpls, false);
        check("ARP", &framed(0x0806, &[&[0; 28]]), false);
    }

    #[test]
    fn neighbours_are_asked_for_together() {
        #[track_caller]
        fn check(ports: &[u16], expected: &[(u16, u16)]) {
            assert_eq!(runs(ports), expected);
        }
        check(&[], &[]);
        check(&[20002, 20001, 20001], &[(20001, 20002)]);
        check(&[5, 7, 6, 9], &[(5, 7), (9, 9)]);
        check(&[65_535, 0, 65_534], &[(0, 0), (65_534, 65_535)]);
        let every_other: Vec<u16> = (0..40).map(|n| 20_000 + n * 2).collect();
        check(&every_other, &[(20_000, 20_078)]);
    }

    #[test]
    fn every_filter_compiles_on_every_link() {
        let scattered: Vec<u16> = (0..16).map(|n| 20_000 + n * 7).collect();
        let all: Vec<u16> = (0..=u16::MAX).collect();
        // Ethernet, BSD loopback, raw IP, cooked version 1 and 2, PPP, OpenBSD loopback.
        for link in [1, 0, 12, 113, 276, 9, 108] {
            for ports in [&LAB[..], &[1], &[0, 65_535], &[], &all, &scattered] {
                compile(ports, link);
            }
        }
        assert_eq!(text(None, ETHERNET), None);
    }

    #[test]
    fn a_filter_works_on_links_without_ethernet_headers() {
        let datagram = |port| {
            let mut octets = Vec::new();
            PacketBuilder::ipv4([1; 4], [2; 4], 64)
                .udp(51_000, port)
                .write(&mut octets, b"x")
                .expect("memory takes everything");
            octets
        };
        let raw = compile(&LAB, 12);
        assert!(raw.filter(&datagram(20001)));
        assert!(!raw.filter(&datagram(20003)));
        let null = compile(&LAB, 0);
        let family = 2_u32.to_ne_bytes();
        assert!(null.filter(&[&family[..], &datagram(20001)].concat()));
        assert!(!null.filter(&[&family[..], &datagram(20003)].concat()));
    }
}
