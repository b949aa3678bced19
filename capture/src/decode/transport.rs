//! What is inside IP: a segment, a datagram, an ICMP message about one, or something else.
//!
//! The headers of TCP and UDP are read here and not by etherparse: its slices refuse a header whose options were cut
//! by the capture, and its iterator over options ends at the first it does not know.

use super::ip::{Inside, Sums};
use super::ports::PortFilter;
use super::{
    ChecksumOf, Content, Filtered, Layer, Outcome, Packet, Problem, Segment, Transport, Undecoded,
    Unreachable, UnreachableReason, checksum,
};
use crate::conversation::{Flags, SeqNumber};
use crate::text::TextKind;
use etherparse::{LaxIpSlice, ip_number};
use std::net::{IpAddr, SocketAddr};

const ICMP: u8 = ip_number::ICMP.0;
const TCP: u8 = ip_number::TCP.0;
const UDP: u8 = ip_number::UDP.0;
const ICMPV6: u8 = ip_number::IPV6_ICMP.0;

const TCP_HEADER_LEN: usize = 20;
const UDP_HEADER_LEN: usize = 8;
/// Type, code, checksum, and four octets that depend on the type (RFC 792, RFC 4443 §2.1).
const ICMP_HEADER_LEN: usize = 8;

/// Decodes what IP carries.
#[inline]
pub(super) fn decode<'a>(filter: &PortFilter, inside: &Inside<'a>) -> Outcome<'a> {
    match (inside.protocol, inside.src) {
        (TCP, _) => tcp(filter, inside),
        (UDP, _) => udp(filter, inside),
        (ICMP, IpAddr::V4(_)) | (ICMPV6, IpAddr::V6(_)) => icmp(filter, inside),
        (other, _) => Outcome::Filtered(Filtered::IpProtocol(other)),
    }
}

/// RFC 9293 §3.1.
#[inline]
fn tcp<'a>(filter: &PortFilter, inside: &Inside<'a>) -> Outcome<'a> {
    let Some((src_port, dst_port)) = ports(inside) else {
        return too_short(inside, Layer::Tcp, TCP_HEADER_LEN);
    };
    if !filter.wants(src_port, dst_port) {
        return Outcome::Filtered(Filtered::TcpOtherPorts);
    }
    let Some(header) = inside.octets.first_chunk::<TCP_HEADER_LEN>() else {
        return too_short(inside, Layer::Tcp, TCP_HEADER_LEN);
    };
    let number = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let data_offset = header[12] >> 4;
    let header_len = usize::from(data_offset) * 4;
    if header_len < TCP_HEADER_LEN {
        let data_offset = u64::from(data_offset);
        return field(inside, Layer::Tcp, "the data offset", data_offset);
    }
    if header_len > inside.len {
        return too_short(inside, Layer::Tcp, header_len);
    }
    let flags = Flags(header[13]);
    let there = inside.octets.len().min(header_len);
    let mut segment = Segment {
        flags,
        seq: SeqNumber(number(4)),
        ack: SeqNumber(number(8)),
        window: u16::from_be_bytes([header[14], header[15]]),
        window_scale: None,
        mss: None,
    };
    // Both options mean something in a SYN alone (RFC 7323 §2.2, RFC 9293 §3.7.1).
    if flags.has(Flags::SYN) {
        read_options(&mut segment, &inside.octets[TCP_HEADER_LEN..there]);
    }
    packet(
        inside,
        (src_port, dst_port),
        Content::Segment(segment),
        &inside.octets[there..],
        inside.len - header_len,
        wrong_sum(inside, ChecksumOf::Tcp, inside.len, 16),
    )
}

/// Options: a kind, and but for the first two kinds a length that counts both (RFC 9293 §3.1).
fn read_options(segment: &mut Segment, options: &[u8]) {
    let mut rest = options;
    loop {
        rest = match rest {
            [] | [0, ..] => return,
            [1, rest @ ..] => rest,
            [2, 4, m1, m0, rest @ ..] => {
                segment.mss = Some(u16::from_be_bytes([*m1, *m0]));
                rest
            }
            [3, 3, shift, rest @ ..] => {
                segment.window_scale = Some(*shift);
                rest
            }
            [_, len, ..] if *len >= 2 => rest.get(usize::from(*len)..).unwrap_or_default(),
            _ => return,
        };
    }
}

/// RFC 768.
fn udp<'a>(filter: &PortFilter, inside: &Inside<'a>) -> Outcome<'a> {
    let Some((src_port, dst_port)) = ports(inside) else {
        return too_short(inside, Layer::Udp, UDP_HEADER_LEN);
    };
    if !filter.wants(src_port, dst_port) {
        return Outcome::Filtered(Filtered::UdpOtherPorts);
    }
    let Some(header) = inside.octets.first_chunk::<UDP_HEADER_LEN>() else {
        return too_short(inside, Layer::Udp, UDP_HEADER_LEN);
    };
    let len = match usize::from(u16::from_be_bytes([header[4], header[5]])) {
        // In a jumbogram (RFC 2675 §4), or left to the card.
        0 => inside.len,
        len if len < UDP_HEADER_LEN || len > inside.len => {
            return field(inside, Layer::Udp, "the length", len as u64);
        }
        len => len,
    };
    let end = inside.octets.len().min(len);
    packet(
        inside,
        (src_port, dst_port),
        Content::Datagram,
        &inside.octets[UDP_HEADER_LEN..end],
        len - UDP_HEADER_LEN,
        wrong_sum(inside, ChecksumOf::Udp, len, 6),
    )
}

/// "Destination unreachable" of RFC 792 and RFC 4443 §3.1.
fn icmp<'a>(filter: &PortFilter, inside: &Inside<'a>) -> Outcome<'a> {
    let about_other_things = Outcome::Filtered(Filtered::Icmp);
    let (Some(&kind), Some(&code)) = (inside.octets.first(), inside.octets.get(1)) else {
        return too_short(inside, Layer::Icmp, ICMP_HEADER_LEN);
    };
    let reason = match (inside.protocol, kind) {
        (ICMP, 3) => match code {
            0 | 6 => UnreachableReason::Network,
            1 | 7 => UnreachableReason::Host,
            3 => UnreachableReason::Port,
            // RFC 1812 §5.2.7.1.
            9 | 10 | 13 => UnreachableReason::Prohibited,
            other => UnreachableReason::Other(other),
        },
        (ICMPV6, 1) => match code {
            0 => UnreachableReason::Network,
            1 | 5 | 6 => UnreachableReason::Prohibited,
            3 => UnreachableReason::Host,
            4 => UnreachableReason::Port,
            other => UnreachableReason::Other(other),
        },
        _ => return about_other_things,
    };
    let Some(quote) = inside.octets.get(ICMP_HEADER_LEN..) else {
        return too_short(inside, Layer::Icmp, ICMP_HEADER_LEN);
    };
    // As much of what could not be delivered as the sender of the message wanted to quote: at least its IP header
    // and eight octets (RFC 792), which hold both ports.
    let Ok((ip, _)) = LaxIpSlice::from_slice(quote) else {
        return about_other_things;
    };
    let payload = ip.payload();
    let (transport, header_len) = match payload.ip_number {
        ip_number::TCP => (Transport::Tcp, tcp_header_len(payload.payload)),
        ip_number::UDP => (Transport::Udp, UDP_HEADER_LEN),
        _ => return about_other_things,
    };
    let is_later_fragment = match &ip {
        LaxIpSlice::Ipv4(ipv4) => ipv4.header().fragments_offset().value() != 0,
        // Only its first fragment is worth a look, and Linux answers that one alone.
        LaxIpSlice::Ipv6(ipv6) => ipv6.is_payload_fragmented(),
    };
    let Some([s1, s0, d1, d0]) = payload.payload.first_chunk() else {
        return about_other_things;
    };
    let (src_port, dst_port) = (
        u16::from_be_bytes([*s1, *s0]),
        u16::from_be_bytes([*d1, *d0]),
    );
    if is_later_fragment || !filter.wants(src_port, dst_port) {
        return about_other_things;
    }
    let unreachable = Unreachable {
        transport,
        sender: SocketAddr::new(ip.source_addr(), src_port),
        target: SocketAddr::new(ip.destination_addr(), dst_port),
        reason,
        quoted: payload.payload.get(header_len..).unwrap_or_default(),
    };
    let wrong_ip = (inside.sums == Sums::IpWrong).then_some(ChecksumOf::Ip);
    // What it carries is a quote, which belongs to nobody's octets.
    let content = Content::Unreachable(unreachable);
    packet(inside, (0, 0), content, &[], 0, wrong_ip)
}

/// The length of a quoted TCP header; its fixed part when the quote ends before it says more.
fn tcp_header_len(quoted: &[u8]) -> usize {
    quoted
        .get(12)
        .map_or(TCP_HEADER_LEN, |octet| usize::from(octet >> 4) * 4)
        .max(TCP_HEADER_LEN)
}

#[inline]
fn packet<'a>(
    inside: &Inside<'a>,
    (src_port, dst_port): (u16, u16),
    content: Content<'a>,
    payload: &'a [u8],
    payload_len: usize,
    wrong_checksum: Option<ChecksumOf>,
) -> Outcome<'a> {
    Outcome::Lab(Packet {
        src: SocketAddr::new(inside.src, src_port),
        dst: SocketAddr::new(inside.dst, dst_port),
        content,
        payload,
        payload_len: u32::try_from(payload_len).unwrap_or(u32::MAX),
        payload_kind: TextKind::of(payload),
        fragments: inside.fragments,
        wrong_checksum,
    })
}

/// The two ports, with which both headers begin.
fn ports(inside: &Inside<'_>) -> Option<(u16, u16)> {
    let [s1, s0, d1, d0] = *inside.octets.first_chunk()?;
    Some((u16::from_be_bytes([s1, s0]), u16::from_be_bytes([d1, d0])))
}

#[cold]
fn too_short<'a>(inside: &Inside<'_>, layer: Layer, required: usize) -> Outcome<'a> {
    let had = inside.octets.len();
    Outcome::Undecoded(Undecoded {
        layer,
        offset: inside.offset,
        problem: Problem::TooShort {
            required,
            had: had.min(inside.len),
            // Where IP carried less than the header needs, the capture has nothing to do with it.
            cut: had < inside.len && required <= inside.len,
        },
    })
}

#[cold]
fn field<'a>(inside: &Inside<'_>, layer: Layer, field: &'static str, value: u64) -> Outcome<'a> {
    Outcome::Undecoded(Undecoded {
        layer,
        offset: inside.offset,
        problem: Problem::Field { field, value },
    })
}

/// Which sum is wrong, of IP or at `at` in the first `len` octets.
fn wrong_sum(inside: &Inside<'_>, of: ChecksumOf, len: usize, at: usize) -> Option<ChecksumOf> {
    match inside.sums {
        Sums::Unknown => None,
        Sums::IpWrong => Some(ChecksumOf::Ip),
        Sums::Telling => {
            let octets = inside.octets.get(..len)?;
            let plausible =
                checksum::is_plausible(inside.src, inside.dst, inside.protocol, octets, at);
            (!plausible).then_some(of)
        }
    }
}
