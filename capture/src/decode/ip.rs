//! The header of IP, extension headers included: who to whom, and what is inside.

use super::checksum;
use super::fragments::{DatagramId, Fragment};
use super::link::IpStart;
use super::{Layer, Problem, Undecoded};
use crate::frame::Frame;
use etherparse::err::ip::{HeaderError, LaxHeaderSliceError};
use etherparse::err::{LenError, ipv6_exts};
use etherparse::{
    IpNumber, Ipv4ExtensionsSlice, Ipv6ExtensionSlice, Ipv6ExtensionsSlice, LaxIpSlice,
    LaxIpv4Slice, LaxIpv6Slice, LenSource,
};
use std::net::IpAddr;

const IPV6_HEADER_LEN: usize = 40;

/// What IP carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inside<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: u8,
    /// The octets, as far as they were captured.
    pub(super) octets: &'a [u8],
    /// How many there were on the wire.
    pub(super) len: usize,
    /// Where they begin in the frame.
    pub(super) offset: usize,
    /// From how many fragments they were put together.
    pub(super) fragments: u16,
    /// Whether the sums say something here.
    pub(super) sums: Sums,
}

/// What can be said about checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    /// Nothing: nobody computes them on this way, or not all is there.
    Unknown,
    /// That of the IP header is wrong.
    IpWrong,
    /// The one inside can be checked.
    Telling,
}

/// What was found behind an IP header.
#[derive(Debug)]
pub(super) enum Ip<'a> {
    Whole(Inside<'a>),
    Fragment {
        fragment: Fragment<'a>,
        /// Where its octets begin in the frame.
        offset: usize,
    },
}

/// Looks through the IP header in a frame.
#[inline]
pub(super) fn parse<'a>(frame: &Frame<'a>, start: IpStart) -> Result<Ip<'a>, Undecoded> {
    let octets = frame.octets.get(start.offset..).unwrap_or_default();
    let place = Place {
        offset: start.offset,
        cut: frame.is_cut(),
        loopback: start.loopback,
        wire_len: (frame.wire_len as usize).saturating_sub(start.offset),
    };
    match LaxIpSlice::from_slice(octets) {
        Ok((LaxIpSlice::Ipv4(ipv4), stopped)) => place.ipv4(octets, &ipv4, stopped),
        Ok((LaxIpSlice::Ipv6(ipv6), stopped)) => place.ipv6(octets, &ipv6, stopped),
        Err(LaxHeaderSliceError::Len(error)) => {
            let layer = match octets.first() {
                Some(first) if first >> 4 == 6 => Layer::Ipv6,
                _ => Layer::Ipv4,
            };
            Err(place.too_short(layer, &error))
        }
        Err(LaxHeaderSliceError::Content(error)) => {
            let (field, value) = match error {
                HeaderError::UnsupportedIpVersion { version_number } => {
                    ("the version of IP", version_number)
                }
                HeaderError::Ipv4HeaderLengthSmallerThanHeader { ihl } => {
                    ("the header length", ihl)
                }
            };
            Err(place.field(Layer::Ipv4, field, u64::from(value)))
        }
    }
}

/// What comes after the fragment header of a datagram that was put together: its protocol, and where that begins.
///
/// Extension headers may stand between (RFC 8200 §4.5); they were no use before all of them were there.
pub(super) fn skip_extensions(
    is_ipv6: bool,
    protocol: u8,
    octets: &[u8],
) -> Result<(u8, usize), Problem> {
    let (inside, rest, stopped) = if is_ipv6 {
        let (extensions, inside, rest, stopped) =
            Ipv6ExtensionsSlice::from_slice_lax(IpNumber(protocol), octets);
        if extensions.is_fragmenting_payload() {
            return Err(Problem::Field {
                field: "the next header of a fragment",
                value: u64::from(IpNumber::IPV6_FRAGMENTATION_HEADER.0),
            });
        }
        (inside, rest, stopped.is_some())
    } else {
        let (_, inside, rest, stopped) =
            Ipv4ExtensionsSlice::from_slice_lax(IpNumber(protocol), octets);
        (inside, rest, stopped.is_some())
    };
    if stopped {
        return Err(Problem::Field {
            field: "the length of an extension header",
            value: rest.get(1).copied().map_or(0, u64::from),
        });
    }
    Ok((inside.0, octets.len() - rest.len()))
}

/// Where in the frame the IP header stands, and how the frame was captured.
#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    cut: bool,
    loopback: bool,
    /// From the IP header to the end of the frame, on the wire.
    wire_len: usize,
}

/// Why etherparse did not look at all extension headers.
type Stopped = Option<(ipv6_exts::HeaderSliceError, etherparse::err::Layer)>;

impl Place {
    #[inline]
    fn ipv4<'a>(
        self,
        octets: &'a [u8],
        ipv4: &LaxIpv4Slice<'a>,
        stopped: Stopped,
    ) -> Result<Ip<'a>, Undecoded> {
        let header = ipv4.header();
        let header_len = header.slice().len();
        let (src, dst) = (
            header.source_addr().into(),
            header.destination_addr().into(),
        );
        let total_len = match usize::from(header.total_len()) {
            // The card fills it in for each of the packets it makes of this one (segmentation offload).
            0 => self.wire_len.max(octets.len()),
            short if short < header_len => {
                return Err(self.field(Layer::Ipv4, "the total length", short as u64));
            }
            total_len => total_len,
        };
        if header.is_fragmenting_payload() {
            let octets = octets
                .get(header_len..total_len)
                .ok_or_else(|| self.cut_fragment(Layer::Ipv4, total_len, octets.len()))?;
            return Ok(Ip::Fragment {
                fragment: Fragment {
                    id: DatagramId {
                        src,
                        dst,
                        identification: u32::from(header.identification()),
                        protocol: header.protocol().0,
                    },
                    protocol: header.protocol().0,
                    offset: header.fragments_offset(),
                    more: header.more_fragments(),
                    octets,
                },
                offset: self.offset + header_len,
            });
        }
        self.stopped(Layer::Ipv4, stopped)?;
        let auth_len = ipv4.extensions().auth.map_or(0, |auth| auth.slice().len());
        let payload = ipv4.payload();
        let sums = if self.is_loopback(src, dst) {
            Sums::Unknown
        } else if !checksum::ip_header_is_plausible(header.slice()) {
            Sums::IpWrong
        } else if header_len > 20 || total_len > checksum::MAX_CHECKED_LEN {
            // With a source route, the sum is that of another destination (RFC 791 §3.1).
            Sums::Unknown
        } else {
            Sums::Telling
        };
        Ok(Ip::Whole(Inside {
            src,
            dst,
            protocol: payload.ip_number.0,
            octets: payload.payload,
            // At least as many as are there: they end where the header, or else the frame, says.
            len: total_len
                .saturating_sub(header_len + auth_len)
                .max(payload.payload.len()),
            offset: self.offset + header_len + auth_len,
            fragments: 0,
            sums,
        }))
    }

    fn ipv6<'a>(
        self,
        octets: &'a [u8],
        ipv6: &LaxIpv6Slice<'a>,
        stopped: Stopped,
    ) -> Result<Ip<'a>, Undecoded> {
        let header = ipv6.header();
        let (src, dst) = (
            header.source_addr().into(),
            header.destination_addr().into(),
        );
        let total_len = match usize::from(header.payload_length()) {
            // A jumbogram (RFC 2675 §3), or left to the card: in both cases it reaches to the end of the frame.
            0 => self.wire_len.max(octets.len()),
            payload_len => IPV6_HEADER_LEN + payload_len,
        };
        let extensions = ipv6.extensions();
        if extensions.is_fragmenting_payload() {
            // What etherparse took for extension headers after this one is somewhere inside the datagram.
            let mut begin = IPV6_HEADER_LEN;
            for extension in extensions.clone() {
                begin += extension_len(&extension);
                if let Ipv6ExtensionSlice::Fragment(fragment) = &extension
                    && fragment.is_fragmenting_payload()
                {
                    let octets = octets
                        .get(begin..total_len)
                        .ok_or_else(|| self.cut_fragment(Layer::Ipv6, total_len, octets.len()))?;
                    return Ok(Ip::Fragment {
                        fragment: Fragment {
                            id: DatagramId {
                                src,
                                dst,
                                identification: fragment.identification(),
                                protocol: 0,
                            },
                            protocol: fragment.next_header().0,
                            offset: fragment.fragment_offset(),
                            more: fragment.more_fragments(),
                            octets,
                        },
                        offset: self.offset + begin,
                    });
                }
            }
        }
        self.stopped(Layer::Ipv6, stopped)?;
        let payload = ipv6.payload();
        let extensions_len = extensions.slice().len();
        // With a routing header, the sum is that of another destination (RFC 8200 §8.1).
        let sums = if self.is_loopback(src, dst)
            || extensions_len > 0
            || total_len > checksum::MAX_CHECKED_LEN
        {
            Sums::Unknown
        } else {
            Sums::Telling
        };
        Ok(Ip::Whole(Inside {
            src,
            dst,
            protocol: payload.ip_number.0,
            octets: payload.payload,
            len: total_len
                .saturating_sub(IPV6_HEADER_LEN + extensions_len)
                .max(payload.payload.len()),
            offset: self.offset + IPV6_HEADER_LEN + extensions_len,
            fragments: 0,
            sums,
        }))
    }

    fn is_loopback(self, src: IpAddr, dst: IpAddr) -> bool {
        self.loopback || src.is_loopback() || dst.is_loopback() || src == dst
    }

    fn stopped(self, layer: Layer, stopped: Stopped) -> Result<(), Undecoded> {
        use ipv6_exts::{HeaderError, HeaderSliceError};
        match stopped {
            None => Ok(()),
            Some((HeaderSliceError::Len(error), _)) => Err(self.too_short(layer, &error)),
            Some((HeaderSliceError::Content(error), _)) => {
                let field = match error {
                    HeaderError::HopByHopNotAtStart => "the next header",
                    HeaderError::IpAuth(_) => "the length of the authentication header",
                };
                Err(self.field(layer, field, 0))
            }
        }
    }

    fn too_short(self, layer: Layer, error: &LenError) -> Undecoded {
        Undecoded {
            layer,
            offset: self.offset + error.layer_start_offset,
            problem: Problem::TooShort {
                required: error.required_len,
                had: error.len,
                cut: self.cut && error.len_source == LenSource::Slice,
            },
        }
    }

    fn cut_fragment(self, layer: Layer, required: usize, had: usize) -> Undecoded {
        Undecoded {
            layer,
            offset: self.offset,
            problem: Problem::TooShort {
                required,
                had,
                cut: self.cut,
            },
        }
    }

    fn field(self, layer: Layer, field: &'static str, value: u64) -> Undecoded {
        Undecoded {
            layer,
            offset: self.offset,
            problem: Problem::Field { field, value },
        }
    }
}

fn extension_len(extension: &Ipv6ExtensionSlice<'_>) -> usize {
    match extension {
        Ipv6ExtensionSlice::HopByHop(header)
        | Ipv6ExtensionSlice::Routing(header)
        | Ipv6ExtensionSlice::DestinationOptions(header) => header.slice().len(),
        Ipv6ExtensionSlice::Fragment(header) => header.slice().len(),
        Ipv6ExtensionSlice::Authentication(header) => header.slice().len(),
    }
}
