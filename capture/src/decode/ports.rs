//! Which ports are the lab's, and a quick look at the ports of a frame.
//!
//! Half of a capture may be other programs' traffic. `peek` tells TCP and UDP of other ports from a few octets;
//! everything unusual (fragments, extension headers, cut short) it leaves to the full decoding, which finds the same.

use super::Filtered;

/// A set of ports, or all of them.
#[derive(Clone, Debug)]
pub struct PortFilter {
    /// One bit for each port; nothing when every port is in the set.
    bits: Option<Box<[u64; 1_024]>>,
}

impl PortFilter {
    /// Every port.
    pub fn all() -> Self {
        PortFilter { bits: None }
    }

    /// These ports and no others.
    pub fn only(ports: &[u16]) -> Self {
        let mut bits = Box::new([0; 1_024]);
        for port in ports {
            bits[usize::from(port / 64)] |= 1 << (port % 64);
        }
        PortFilter { bits: Some(bits) }
    }

    /// Whether every port is in it.
    pub fn is_all(&self) -> bool {
        self.bits.is_none()
    }

    /// Whether this port is in it.
    #[inline]
    pub fn contains(&self, port: u16) -> bool {
        match &self.bits {
            Some(bits) => bits[usize::from(port / 64)] & 1 << (port % 64) != 0,
            None => true,
        }
    }

    /// Whether a conversation between these ports is the lab's: one of them is enough, the client's is any.
    #[inline]
    pub fn wants(&self, one: u16, other: u16) -> bool {
        self.contains(one) || self.contains(other)
    }
}

/// Says at once when these octets, which begin with an IP header, are TCP or UDP of other ports.
#[inline]
pub(super) fn peek(filter: &PortFilter, ip: &[u8]) -> Option<Filtered> {
    let (protocol, ports_at) = match ip.first()? >> 4 {
        4 => {
            let header = ip.first_chunk::<20>()?;
            let header_len = usize::from(header[0] & 0xf) * 4;
            let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
            // A fragment: more follow, or it is not the first (RFC 791 §3.1).
            let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
            // Where IP ends before the ports, padding would be taken for them.
            if header_len < 20 || fragment || (total_len != 0 && total_len < header_len + 4) {
                return None;
            }
            (header[9], header_len)
        }
        6 => {
            let header = ip.first_chunk::<40>()?;
            let payload_len = u16::from_be_bytes([header[4], header[5]]);
            if payload_len != 0 && payload_len < 4 {
                return None;
            }
            (header[6], 40)
        }
        _ => return None,
    };
    let filtered = match protocol {
        6 => Filtered::TcpOtherPorts,
        17 => Filtered::UdpOtherPorts,
        _ => return None,
    };
    let [s1, s0, d1, d0] = *ip.get(ports_at..)?.first_chunk::<4>()?;
    let (src, dst) = (u16::from_be_bytes([s1, s0]), u16::from_be_bytes([d1, d0]));
    (!filter.wants(src, dst)).then_some(filtered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_knows_its_ports_and_no_others() {
        let filter = PortFilter::only(&[0, 63, 64, 20_001, 65_535]);
        let inside: Vec<u16> = (0..=u16::MAX).filter(|p| filter.contains(*p)).collect();
        assert_eq!(inside, [0, 63, 64, 20_001, 65_535]);
        assert!((0..=u16::MAX).all(|port| PortFilter::all().contains(port)));
        assert!(!PortFilter::only(&[]).wants(1, 2));
    }

    #[test]
    fn one_port_of_the_lab_is_enough() {
        let filter = PortFilter::only(&[20_001]);
        assert!(filter.wants(20_001, 5));
        assert!(filter.wants(5, 20_001));
        assert!(!filter.wants(5, 6));
    }
}
