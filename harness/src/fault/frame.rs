//! Frames that carry IPv4: read, cut into pieces, joined, and written again with right checksums.
//!
//! Ethernet without tags, as on the harness's own cables. What is something else (IPv6, fragments, ICMP, damage) is
//! [`Content::Other`] and stays as it is.

use etherparse::{
    IpNumber, Ipv4Header, Ipv4HeaderSlice, TcpHeader, TcpHeaderSlice, UdpHeaderSlice,
};
use std::net::{SocketAddr, SocketAddrV4};
use std::ops::Range;

/// Two addresses and an EtherType.
const ETHERNET_LEN: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
/// Octets of payload that a joined segment may have: the IPv4 packet stays below 65,536.
const MOST_JOINED: usize = 60_000;

/// What a frame carries.
#[derive(Debug)]
pub enum Content {
    /// A whole TCP segment (RFC 9293 §3.1).
    Segment(Box<Segment>),
    /// A whole UDP datagram (RFC 768), from one address to another.
    Datagram(SocketAddr, SocketAddr),
    /// Anything else.
    Other,
}

/// A TCP segment with everything around it.
#[derive(Clone, Debug)]
pub struct Segment {
    ethernet: [u8; ETHERNET_LEN],
    ip: Ipv4Header,
    tcp: TcpHeader,
    payload: Vec<u8>,
}

/// What a frame carries.
pub fn read(frame: &[u8]) -> Content {
    segment_or_datagram(frame).unwrap_or(Content::Other)
}

fn segment_or_datagram(frame: &[u8]) -> Option<Content> {
    let (ethernet, rest) = frame.split_first_chunk::<ETHERNET_LEN>()?;
    if !ethernet.ends_with(&IPV4) {
        return None;
    }
    let ip = Ipv4HeaderSlice::from_slice(rest).ok()?.to_header();
    if ip.more_fragments || ip.fragment_offset.value() != 0 {
        return None;
    }
    // Ethernet pads short frames; the length in the header counts.
    let payload = rest.get(ip.header_len()..usize::from(ip.total_len))?;
    let address = |octets: [u8; 4], port| SocketAddr::V4(SocketAddrV4::new(octets.into(), port));
    match ip.protocol {
        IpNumber::TCP => {
            let header = TcpHeaderSlice::from_slice(payload).ok()?;
            let tcp = header.to_header();
            let payload = payload.get(tcp.header_len()..)?.to_vec();
            let ethernet = *ethernet;
            Some(Content::Segment(Box::new(Segment {
                ethernet,
                ip,
                tcp,
                payload,
            })))
        }
        IpNumber::UDP => {
            let header = UdpHeaderSlice::from_slice(payload).ok()?;
            let src = address(ip.source, header.source_port());
            let dst = address(ip.destination, header.destination_port());
            Some(Content::Datagram(src, dst))
        }
        _ => None,
    }
}

impl Segment {
    /// From which address to which.
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        let end = |ip: [u8; 4], port| SocketAddr::V4(SocketAddrV4::new(ip.into(), port));
        (
            end(self.ip.source, self.tcp.source_port),
            end(self.ip.destination, self.tcp.destination_port),
        )
    }

    /// Octets of payload.
    pub fn len(&self) -> usize {
        self.payload.len()
    }

    /// Whether it carries none.
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// Whether it belongs to the flow of octets, and not to the beginning or a violent end.
    pub fn is_in_stream(&self) -> bool {
        !self.tcp.syn && !self.tcp.rst
    }

    /// Whether it opens a connection.
    pub fn opens(&self) -> bool {
        self.tcp.syn && !self.tcp.ack
    }

    /// Whether it says that no more comes (FIN).
    pub fn is_last(&self) -> bool {
        self.tcp.fin
    }

    /// A frame with a part of the payload. What stands at the end of the segment (PSH, FIN) stands at the end of the
    /// last part.
    pub fn part(&self, range: Range<usize>) -> Vec<u8> {
        let is_last = range.end >= self.payload.len();
        let mut tcp = self.tcp.clone();
        tcp.sequence_number = advance(tcp.sequence_number, range.start);
        tcp.fin &= is_last;
        tcp.psh &= is_last;
        let payload = self.payload.get(range).unwrap_or_default();
        write(&self.ethernet, &self.ip, tcp, payload)
    }

    /// The whole as a frame.
    pub fn whole(&self) -> Vec<u8> {
        self.part(0..self.payload.len())
    }

    /// Takes the segment that follows this one in its stream into this one. False when another one does.
    pub fn join(&mut self, next: &Segment) -> bool {
        let follows = next.tcp.sequence_number
            == advance(self.tcp.sequence_number, self.payload.len())
            && !self.tcp.fin;
        if !follows || self.payload.len() + next.payload.len() > MOST_JOINED {
            return false;
        }
        let sequence_number = self.tcp.sequence_number;
        self.tcp = next.tcp.clone();
        self.tcp.sequence_number = sequence_number;
        self.payload.extend_from_slice(&next.payload);
        true
    }

    /// Whether everything in it is in another one of the same stream too.
    pub fn is_within(&self, other: &Segment) -> bool {
        let from = self
            .tcp
            .sequence_number
            .wrapping_sub(other.tcp.sequence_number) as usize;
        from.saturating_add(self.payload.len()) <= other.payload.len()
    }

    /// Two frames that cut the connection off (RST, RFC 9293 §3.10.7.4) after `kept` octets of this segment: to its
    /// receiver, and to its sender. Each has exactly the sequence number that its end expects next, since nothing else
    /// is believed (RFC 5961 §3.2).
    pub fn cut(&self, kept: usize) -> (Vec<u8>, Vec<u8>) {
        let next = advance(self.tcp.sequence_number, kept);
        let mut onward = TcpHeader::new(self.tcp.source_port, self.tcp.destination_port, next, 0);
        onward.rst = true;
        onward.ack = true;
        onward.acknowledgment_number = self.tcp.acknowledgment_number;
        let mut back = TcpHeader::new(
            self.tcp.destination_port,
            self.tcp.source_port,
            self.tcp.acknowledgment_number,
            0,
        );
        back.rst = true;
        back.ack = true;
        back.acknowledgment_number = advance(self.tcp.sequence_number, self.payload.len());
        let mut turned = self.ip.clone();
        std::mem::swap(&mut turned.source, &mut turned.destination);
        (
            write(&self.ethernet, &self.ip, onward, &[]),
            write(&self.ethernet, &turned, back, &[]),
        )
    }
}

/// A sequence number so many octets later; they wrap (RFC 9293 §3.4).
fn advance(sequence_number: u32, octets: usize) -> u32 {
    sequence_number.wrapping_add(octets as u32)
}

fn write(
    ethernet: &[u8; ETHERNET_LEN],
    ip: &Ipv4Header,
    mut tcp: TcpHeader,
    payload: &[u8],
) -> Vec<u8> {
    let mut ip = ip.clone();
    let len = tcp.header_len() + payload.len();
    ip.total_len = u16::try_from(ip.header_len() + len).unwrap_or(u16::MAX);
    ip.header_checksum = ip.calc_header_checksum();
    // Only a payload of more than 4 GiB has no checksum.
    tcp.checksum = tcp.calc_checksum_ipv4(&ip, payload).unwrap_or(0);
    let mut frame = Vec::with_capacity(ETHERNET_LEN + usize::from(ip.total_len));
    frame.extend_from_slice(ethernet);
    frame.extend_from_slice(&ip.to_bytes());
    frame.extend_from_slice(&tcp.to_bytes());
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use etherparse::{PacketBuilder, SlicedPacket};

    pub(crate) const CLIENT: u16 = 50_000;
    pub(crate) const SERVER: u16 = 20_001;

    /// A segment with data from one port to another.
    pub(crate) fn segment(from: u16, to: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64)
            .tcp(from, to, seq, 512)
            .ack(900)
            .psh();
        let mut frame = Vec::new();
        builder
            .write(&mut frame, payload)
            .expect("it can be written");
        frame
    }

    pub(crate) fn datagram(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64)
            .udp(from, to);
        let mut frame = Vec::new();
        builder
            .write(&mut frame, payload)
            .expect("it can be written");
        frame
    }

    /// Sequence number, payload and flags, after both checksums were found right.
    #[track_caller]
    pub(crate) fn look(frame: &[u8]) -> (u32, Vec<u8>, String) {
        let packet = SlicedPacket::from_ethernet(frame).expect("it can be read");
        let Some(etherparse::NetSlice::Ipv4(ip)) = &packet.net else {
            panic!("no IPv4")
        };
        let ip = ip.header().to_header();
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        let Some(etherparse::TransportSlice::Tcp(tcp)) = &packet.transport else {
            panic!("no TCP")
        };
        let header = tcp.to_header();
        let sum = header
            .calc_checksum_ipv4(&ip, tcp.payload())
            .expect("it is short");
        assert_eq!(header.checksum, sum);
        let flags = [
            (header.syn, 'S'),
            (header.fin, 'F'),
            (header.rst, 'R'),
            (header.psh, 'P'),
            (header.ack, 'A'),
        ];
        let flags = flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, letter)| letter);
        (
            header.sequence_number,
            tcp.payload().to_vec(),
            flags.collect(),
        )
    }

    pub(crate) fn read_segment(frame: &[u8]) -> Segment {
        match read(frame) {
            Content::Segment(segment) => *segment,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parts_have_their_own_numbers_and_the_last_one_the_end() {
        let whole = read_segment(&segment(CLIENT, SERVER, u32::MAX, b"abc"));
        assert_eq!(
            look(&whole.part(0..1)),
            (u32::MAX, b"a".to_vec(), "A".into())
        );
        assert_eq!(look(&whole.part(2..3)), (1, b"c".to_vec(), "PA".into()));
        assert_eq!(look(&whole.whole()).1, b"abc");
    }

    #[test]
    fn only_what_follows_is_joined() {
        let mut first = read_segment(&segment(CLIENT, SERVER, 10, b"12 +"));
        let again = read_segment(&segment(CLIENT, SERVER, 10, b"12"));
        assert!(again.is_within(&first));
        let gap = read_segment(&segment(CLIENT, SERVER, 15, b"42"));
        assert!(!first.join(&gap));
        let next = read_segment(&segment(CLIENT, SERVER, 14, b" 42"));
        assert!(!next.is_within(&first));
        assert!(first.join(&next));
        assert_eq!(look(&first.whole()), (10, b"12 + 42".to_vec(), "PA".into()));
    }

    #[test]
    fn a_cut_is_believed_by_both_ends() {
        let (onward, back) = read_segment(&segment(CLIENT, SERVER, 10, b"hello")).cut(2);
        assert_eq!(look(&onward), (12, Vec::new(), "RA".into()));
        assert_eq!(look(&back), (900, Vec::new(), "RA".into()));
        let (from, to) = read_segment(&back).ends();
        assert_eq!((from.port(), to.port()), (SERVER, CLIENT));
    }

    #[test]
    fn padding_is_no_payload() {
        let mut frame = segment(CLIENT, SERVER, 1, b"x");
        frame.resize(80, 0);
        assert_eq!(read_segment(&frame).len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_frame_makes_the_reader_panic(mut octets in proptest::collection::vec(proptest::num::u8::ANY, 0..120), ipv4 in proptest::bool::ANY) {
            if ipv4 && octets.len() > 14 {
                octets[12..14].copy_from_slice(&IPV4);
                octets[14] = 0x45;
            }
            if let Content::Segment(segment) = read(&octets) {
                let _ = (segment.whole(), segment.cut(0));
            }
        }
    }
}
