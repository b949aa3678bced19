//! What others call the numbers that are met in captures.

use super::Filtered;
use std::fmt;

/// EtherTypes (IEEE 802 numbers, <https://www.iana.org/assignments/ieee-802-numbers>).
pub(super) mod ether_type {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const QINQ: u16 = 0x88a8;
    /// Before IEEE 802.1ad said otherwise.
    pub(crate) const QINQ_OLD: u16 = 0x9100;
    pub(crate) const QINQ_OLDER: u16 = 0x9200;
    pub(crate) const PPPOE_SESSION: u16 = 0x8864;
}

fn ether_type_name(number: u16) -> Option<&'static str> {
    Some(match number {
        0x0806 => "ARP",
        0x0842 => "Wake-on-LAN",
        0x22f3 => "TRILL",
        0x6003 => "DECnet",
        0x8035 => "RARP",
        0x809b => "AppleTalk",
        0x80f3 => "AppleTalk ARP",
        0x8137 => "IPX",
        0x8808 => "Ethernet flow control",
        0x8809 => "LACP",
        0x8847 | 0x8848 => "MPLS",
        0x8863 => "PPPoE discovery",
        0x8864 => "PPPoE",
        0x886c => "Broadcom",
        0x888e => "EAPOL",
        0x8892 => "PROFINET",
        0x88a2 => "ATA over Ethernet",
        0x88a4 => "EtherCAT",
        0x88cc => "LLDP",
        0x88e1 | 0x8912 => "HomePlug",
        0x88e5 => "MACsec",
        0x88e7 => "Provider Backbone Bridges",
        0x88f7 => "PTP",
        0x8902 => "CFM",
        0x8906 => "FCoE",
        0x890d => "IEEE 802.11 over Ethernet",
        0x893a => "IEEE 1905",
        0x9000 => "loopback test",
        0x9003 => "Broadcom",
        _ => return None,
    })
}

/// <https://www.iana.org/assignments/protocol-numbers>
fn ip_protocol_name(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "hop-by-hop options",
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPv4 inside IP",
        6 => "TCP",
        8 => "EGP",
        17 => "UDP",
        27 => "RDP",
        33 => "DCCP",
        41 => "IPv6 inside IP",
        46 => "RSVP",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        55 => "minimal encapsulation",
        58 => "ICMPv6",
        59 => "no next header",
        88 => "EIGRP",
        89 => "OSPF",
        94 => "IPIP",
        97 => "EtherIP",
        103 => "PIM",
        108 => "IPComp",
        112 => "VRRP",
        115 => "L2TP",
        124 => "IS-IS",
        132 => "SCTP",
        135 => "mobility header",
        136 => "UDP-Lite",
        137 => "MPLS inside IP",
        139 => "HIP",
        140 => "Shim6",
        _ => return None,
    })
}

/// <https://www.iana.org/assignments/ppp-numbers>
fn ppp_protocol_name(number: u16) -> Option<&'static str> {
    Some(match number {
        0x002d => "compressed TCP",
        0x002f => "uncompressed TCP",
        0x003d => "multilink",
        0x00fd => "compressed",
        0x8021 => "IPCP",
        0x8057 => "IPV6CP",
        0x80fd => "CCP",
        0xc021 => "LCP",
        0xc023 => "PAP",
        0xc025 => "LQR",
        0xc223 => "CHAP",
        0xc227 => "EAP",
        _ => return None,
    })
}

/// What it is, as a table of what was left out names it: `ARP`, `TCP on other ports`, `SCTP (IP protocol 132)`.
impl fmt::Display for Filtered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Filtered::TcpOtherPorts => f.write_str("TCP on other ports"),
            Filtered::UdpOtherPorts => f.write_str("UDP on other ports"),
            Filtered::Icmp => f.write_str("ICMP about other things"),
            Filtered::IpProtocol(number) => match ip_protocol_name(number) {
                Some(name) => write!(f, "{name} (IP protocol {number})"),
                None => write!(f, "IP protocol {number}"),
            },
            // Everybody knows it by its name alone.
            Filtered::EtherType(0x0806) => f.write_str("ARP"),
            Filtered::EtherType(number) => match ether_type_name(number) {
                Some(name) => write!(f, "{name} (EtherType {number:#06x})"),
                None => write!(f, "EtherType {number:#06x}"),
            },
            Filtered::PppProtocol(number) => match ppp_protocol_name(number) {
                Some(name) => write!(f, "{name} (PPP protocol {number:#06x})"),
                None => write!(f, "PPP protocol {number:#06x}"),
            },
            Filtered::Ieee8023 => f.write_str("IEEE 802.3 without an EtherType"),
            Filtered::Fragment => f.write_str("fragments whose datagram never became complete"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filtered: Filtered, expected: &str) {
        assert_eq!(filtered.to_string(), expected);
    }

    #[test]
    fn what_is_left_out_has_a_name() {
        check(Filtered::EtherType(0x0806), "ARP");
        check(Filtered::EtherType(0x88cc), "LLDP (EtherType 0x88cc)");
        check(Filtered::EtherType(0x1234), "EtherType 0x1234");
        check(Filtered::IpProtocol(132), "SCTP (IP protocol 132)");
        check(Filtered::IpProtocol(200), "IP protocol 200");
        check(Filtered::PppProtocol(0xc021), "LCP (PPP protocol 0xc021)");
        check(Filtered::TcpOtherPorts, "TCP on other ports");
    }
}
