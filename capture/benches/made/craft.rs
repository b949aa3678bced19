//! IP packets from the IP header on; the link's header is the caller's.

use etherparse::{IpHeaders, Ipv4Header, Ipv6Header, PacketBuilder, TcpHeader, icmpv4, icmpv6};
use std::net::{IpAddr, SocketAddr};

/// The control bits, as they stand in the header (RFC 9293 §3.1).
pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const URG: u8 = 0x20;
pub(crate) const ECE: u8 = 0x40;
pub(crate) const CWR: u8 = 0x80;

const MEMORY: &str = "memory takes all that is written, and lengths are small";

/// A TCP header without ports and options.
pub(crate) fn header(flags: u8, seq: u32, ack: u32, window: u16) -> TcpHeader {
    let mut header = TcpHeader::new(0, 0, seq, window);
    header.acknowledgment_number = ack;
    header.fin = flags & FIN != 0;
    header.syn = flags & SYN != 0;
    header.rst = flags & RST != 0;
    header.psh = flags & PSH != 0;
    header.ack = flags & ACK != 0;
    header.urg = flags & URG != 0;
    header.ece = flags & ECE != 0;
    header.cwr = flags & CWR != 0;
    header
}

/// Appends a segment.
pub(crate) fn segment(
    out: &mut Vec<u8>,
    (from, to): (SocketAddr, SocketAddr),
    mut header: TcpHeader,
    payload: &[u8],
) {
    header.source_port = from.port();
    header.destination_port = to.port();
    PacketBuilder::ip(ip(from.ip(), to.ip()))
        .tcp_header(header)
        .write_to_vec(out, payload)
        .expect(MEMORY);
}

/// Appends a datagram.
pub(crate) fn datagram(out: &mut Vec<u8>, (from, to): (SocketAddr, SocketAddr), payload: &[u8]) {
    PacketBuilder::ip(ip(from.ip(), to.ip()))
        .udp(from.port(), to.port())
        .write_to_vec(out, payload)
        .expect(MEMORY);
}

/// Appends the ICMP message by which `from` tells `to` that nobody has the port open for which the packet was that is
/// quoted (RFC 792, RFC 4443 §3.1).
pub(crate) fn port_unreachable(out: &mut Vec<u8>, from: IpAddr, to: IpAddr, quoted: &[u8]) {
    let builder = PacketBuilder::ip(ip(from, to));
    let written = if from.is_ipv4() {
        builder
            .icmpv4_raw(
                icmpv4::TYPE_DEST_UNREACH,
                icmpv4::CODE_DST_UNREACH_PORT,
                [0; 4],
            )
            .write_to_vec(out, quoted)
    } else {
        builder
            .icmpv6_raw(
                icmpv6::TYPE_DST_UNREACH,
                icmpv6::CODE_DST_UNREACH_PORT,
                [0; 4],
            )
            .write_to_vec(out, quoted)
    };
    written.expect(MEMORY);
}

/// Appends an echo request (a ping).
pub(crate) fn echo(out: &mut Vec<u8>, from: IpAddr, to: IpAddr, payload: &[u8]) {
    let builder = PacketBuilder::ip(ip(from, to));
    let written = if from.is_ipv4() {
        builder.icmpv4_echo_request(1, 1).write_to_vec(out, payload)
    } else {
        builder.icmpv6_echo_request(1, 1).write_to_vec(out, payload)
    };
    written.expect(MEMORY);
}

fn ip(from: IpAddr, to: IpAddr) -> IpHeaders {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => IpHeaders::Ipv4(
            Ipv4Header {
                time_to_live: 64,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv4Header::default()
            },
            Default::default(),
        ),
        (IpAddr::V6(from), IpAddr::V6(to)) => IpHeaders::Ipv6(
            Ipv6Header {
                hop_limit: 64,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            },
            Default::default(),
        ),
        _ => unreachable!("both ends are of one family"),
    }
}
