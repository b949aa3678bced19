//! Where IP begins in a frame: one table of link types, by hand.
//!
//! etherparse knows neither `SLL2`, `NULL`, `LOOP` nor PPP, and takes anything for Ethernet without complaint; so the
//! link's header is looked through here, and only what is inside IP is left to it. The numbers and the layouts are
//! those of <https://www.tcpdump.org/linktypes.html>.

use super::names::ether_type as known;
use super::{Filtered, Layer, Problem, Undecoded};
use crate::frame::{Frame, LinkType};

/// Where IP begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpStart {
    /// How many octets into the frame.
    pub offset: usize,
    /// Whether the link itself says that the frame never left this computer.
    pub loopback: bool,
}

/// Why a frame has no IP that could be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotIp {
    /// It holds something else.
    Filtered(Filtered),
    /// Its link header is not understood.
    Undecoded(Undecoded),
}

/// The links whose frames are understood here.
mod link_type {
    pub(super) const NULL: u32 = 0;
    pub(super) const ETHERNET: u32 = 1;
    pub(super) const PPP: u32 = 9;
    /// What BSD systems once wrote for raw IP, before it became 101.
    pub(super) const RAW_BSD: u32 = 12;
    pub(super) const RAW_OPENBSD: u32 = 14;
    pub(super) const PPP_HDLC: u32 = 50;
    pub(super) const PPP_ETHER: u32 = 51;
    pub(super) const RAW: u32 = 101;
    pub(super) const CISCO_HDLC: u32 = 104;
    pub(super) const LOOP: u32 = 108;
    pub(super) const LINUX_SLL: u32 = 113;
    pub(super) const IPV4: u32 = 228;
    pub(super) const IPV6: u32 = 229;
    pub(super) const LINUX_SLL2: u32 = 276;
}

/// The type of the interface in a `SLL` or `SLL2` header that means loopback (`ARPHRD_LOOPBACK`).
const ARPHRD_LOOPBACK: u16 = 772;
/// The largest value of an EtherType field that is a length (IEEE 802.3 §3.2.6).
const MAX_8023_LEN: u16 = 1_500;

/// Finds IP in a frame.
///
/// # Errors
/// When there is none, or the link is not understood.
#[inline]
pub fn find_ip(frame: &Frame<'_>) -> Result<IpStart, NotIp> {
    let octets = Octets {
        octets: frame.octets,
        cut: frame.is_cut(),
    };
    match frame.link.0 {
        link_type::ETHERNET => octets.ethernet(),
        link_type::LINUX_SLL => octets.cooked(),
        link_type::LINUX_SLL2 => octets.cooked2(),
        link_type::NULL | link_type::LOOP => octets.null(),
        link_type::PPP | link_type::PPP_HDLC => octets.ppp(),
        link_type::CISCO_HDLC => octets.ether_type(octets.u16(2)?, 4, false),
        link_type::PPP_ETHER => octets.pppoe(0),
        link_type::RAW_BSD
        | link_type::RAW_OPENBSD
        | link_type::RAW
        | link_type::IPV4
        | link_type::IPV6 => Ok(IpStart {
            offset: 0,
            loopback: false,
        }),
        unknown => Err(undecoded(0, Problem::UnknownLink(unknown))),
    }
}

/// Whether frames of this link are understood at all.
pub fn is_known(link: LinkType) -> bool {
    let frame = Frame {
        number: 0,
        time: Default::default(),
        link,
        wire_len: 0,
        octets: &[],
        comment: None,
    };
    !matches!(
        find_ip(&frame),
        Err(NotIp::Undecoded(Undecoded {
            problem: Problem::UnknownLink(_),
            ..
        }))
    )
}

fn filtered(why: Filtered) -> NotIp {
    NotIp::Filtered(why)
}

fn undecoded(offset: usize, problem: Problem) -> NotIp {
    NotIp::Undecoded(Undecoded {
        layer: Layer::Link,
        offset,
        problem,
    })
}

/// The octets of a frame.
#[derive(Clone, Copy)]
struct Octets<'a> {
    octets: &'a [u8],
    cut: bool,
}

impl Octets<'_> {
    /// The octets of a field.
    fn field<const LEN: usize>(self, at: usize) -> Result<[u8; LEN], NotIp> {
        let field = self.octets.get(at..).and_then(|rest| rest.first_chunk());
        field.copied().ok_or_else(|| {
            undecoded(
                0,
                Problem::TooShort {
                    required: at + LEN,
                    had: self.octets.len(),
                    cut: self.cut,
                },
            )
        })
    }

    fn u16(self, at: usize) -> Result<u16, NotIp> {
        self.field(at).map(u16::from_be_bytes)
    }

    /// Destination, source (six octets each), EtherType.
    #[inline]
    fn ethernet(self) -> Result<IpStart, NotIp> {
        let ether_type = self.u16(12)?;
        // Only Linux's loopback interface has no addresses at all.
        let loopback = self.octets[..12] == [0; 12];
        self.ether_type(ether_type, 14, loopback)
    }

    /// `LINKTYPE_LINUX_SLL`: packet type, `ARPHRD` (two octets each), address length (2), address (8), protocol.
    fn cooked(self) -> Result<IpStart, NotIp> {
        let protocol = self.u16(14)?;
        self.ether_type(protocol, 16, self.u16(2)? == ARPHRD_LOOPBACK)
    }

    /// `LINKTYPE_LINUX_SLL2`: protocol, reserved (2), interface (4), `ARPHRD` (2), packet type, address length (1
    /// each), address (8).
    fn cooked2(self) -> Result<IpStart, NotIp> {
        let _: [u8; 20] = self.field(0)?;
        self.ether_type(self.u16(0)?, 20, self.u16(8)? == ARPHRD_LOOPBACK)
    }

    /// `LINKTYPE_NULL` and `LINKTYPE_LOOP`: the address family, in the order of octets of the computer that captured
    /// or with the highest first. IPv6 has another number on each BSD.
    fn null(self) -> Result<IpStart, NotIp> {
        let family: [u8; 4] = self.field(0)?;
        let family = match family {
            [0, 0, 0, _] => u32::from_be_bytes(family),
            _ => u32::from_le_bytes(family),
        };
        match family {
            2 | 10 | 24 | 28 | 30 => Ok(IpStart {
                offset: 4,
                loopback: true,
            }),
            other => Err(undecoded(
                0,
                Problem::Field {
                    field: "the address family",
                    value: u64::from(other),
                },
            )),
        }
    }

    /// What follows an EtherType, which begins at `next`.
    #[inline]
    fn ether_type(self, ether_type: u16, next: usize, loopback: bool) -> Result<IpStart, NotIp> {
        let (mut ether_type, mut next) = (ether_type, next);
        loop {
            match ether_type {
                known::IPV4 | known::IPV6 => {
                    return Ok(IpStart {
                        offset: next,
                        loopback,
                    });
                }
                // IEEE 802.1Q and 802.1ad: two octets about the VLAN, then the EtherType of what is inside.
                known::VLAN | known::QINQ | known::QINQ_OLD | known::QINQ_OLDER => {
                    ether_type = self.u16(next + 2)?;
                    next += 4;
                }
                known::PPPOE_SESSION => return self.pppoe(next),
                // Cooked headers write 1 for Novell's frames and 4 for IEEE 802.2, which has no EtherType either.
                len if len <= MAX_8023_LEN => match self.octets.get(next..) {
                    // RFC 1042: an 802.2 header for SNAP with the organisation 0, then an EtherType.
                    Some([0xaa, 0xaa, 0x03, 0, 0, 0, t1, t0, ..]) => {
                        ether_type = u16::from_be_bytes([*t1, *t0]);
                        next += 8;
                    }
                    _ => return Err(filtered(Filtered::Ieee8023)),
                },
                other => return Err(filtered(Filtered::EtherType(other))),
            }
        }
    }

    /// RFC 2516 §4: version and type, code, session (2), length (2), then PPP.
    fn pppoe(self, at: usize) -> Result<IpStart, NotIp> {
        self.ppp_protocol(at + 6)
    }

    /// RFC 1662 §3.1: address 0xff and control 0x03, which may be left out, then PPP. Cisco's own framing has another
    /// address and an EtherType.
    fn ppp(self) -> Result<IpStart, NotIp> {
        match self.octets {
            [0xff, 0x03, ..] => self.ppp_protocol(2),
            [0x0f | 0x8f, 0x00, ..] => self.ether_type(self.u16(2)?, 4, false),
            _ => self.ppp_protocol(0),
        }
    }

    /// RFC 1661 §2: the protocol is an odd number, in one octet where its upper half is 0 and was left out.
    fn ppp_protocol(self, at: usize) -> Result<IpStart, NotIp> {
        let [first] = self.field(at)?;
        let (protocol, next) = match first & 1 {
            1 => (u16::from(first), at + 1),
            _ => (self.u16(at)?, at + 2),
        };
        match protocol {
            0x0021 | 0x0057 => Ok(IpStart {
                offset: next,
                loopback: false,
            }),
            other => Err(filtered(Filtered::PppProtocol(other))),
        }
    }
}
