//! Checksums that are wrong, where checksum offload cannot be the reason (RFC 1071).
//!
//! Systems leave sums to the network card: what is captured on the sending computer then holds 0, or only the sum of
//! the pseudo-header, which the card completes. On a loopback interface nobody ever completes it. So a sum is wrong
//! only if it is none of those, and only where all octets it covers are there.

use etherparse::checksum::Sum16BitWords;
use std::net::IpAddr;

/// Received segments longer than this may have been put together by the card or the system, which keep the sum of
/// the first (large receive offload).
pub(super) const MAX_CHECKED_LEN: usize = 1_500;

/// Whether the sum of an IPv4 header (RFC 791 §3.1), options included, is right or was left to the card.
pub(super) fn ip_header_is_plausible(header: &[u8]) -> bool {
    header[10..12] == [0; 2] || is_right(Sum16BitWords::new(), header)
}

/// Whether the sum at `at` in a segment (RFC 9293 §3.1) or datagram (RFC 768) is right or was left to the card.
///
/// 0 means "none" in a datagram over IPv4, and in everything else that the card fills it in.
pub(super) fn is_plausible(
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    octets: &[u8],
    at: usize,
) -> bool {
    let stored = [octets[at], octets[at + 1]];
    let addresses = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Sum16BitWords::new()
            .add_4bytes(src.octets())
            .add_4bytes(dst.octets()),
        (IpAddr::V6(src), IpAddr::V6(dst)) => Sum16BitWords::new()
            .add_16bytes(src.octets())
            .add_16bytes(dst.octets()),
        // No packet goes from one to the other.
        _ => return true,
    };
    // A segment that is checked is shorter than 2¹⁶ octets, so the length of IPv6, with 32 bits, adds the same.
    let without_len = addresses.add_2bytes([0, protocol]);
    let pseudo_header = without_len
        .clone()
        .add_2bytes((octets.len() as u16).to_be_bytes());
    let only = |sum: &Sum16BitWords| (!sum.ones_complement()).to_ne_bytes() == stored;
    stored == [0; 2]
        || only(&pseudo_header)
        // For segments that the card will cut, Linux leaves the length out as well.
        || only(&without_len)
        || is_right(pseudo_header, octets)
}

/// With the stored sum added, all bits of the sum are set.
fn is_right(before: Sum16BitWords, octets: &[u8]) -> bool {
    before.add_slice(octets).ones_complement() == 0
}
