//! A frame: what was captured of one transmission on a link, before anything is understood.

use crate::time::Timestamp;

/// What kind of link a frame was captured on: a number from the registry of the tcpdump group
/// (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

/// One captured frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its place in the capture, from 1: the number Wireshark shows.
    pub number: u64,
    /// When it was seen.
    pub time: Timestamp,
    /// The kind of link, which says how `octets` begin.
    pub link: LinkType,
    /// How many octets it had on the wire; more than `octets.len()` where the capture cut it short.
    pub wire_len: u32,
    /// The octets that were kept.
    pub octets: &'a [u8],
    /// What somebody noted about it (pcapng `opt_comment`).
    pub comment: Option<&'a str>,
}

impl Frame<'_> {
    /// Whether the capture kept less than was on the wire.
    pub fn is_cut(&self) -> bool {
        self.octets.len() < self.wire_len as usize
    }
}
