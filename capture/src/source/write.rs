//! Writes pcapng (draft-ietf-opsawg-pcapng), as Wireshark opens it and as [`file`](mod@super::file) reads it.
//!
//! A section header, a description of each interface, one enhanced packet block a frame with its time in nanoseconds,
//! and in the end what became of the rest. The blocks are laid out by pcap-parser, which also reads them.
//!
//! Writes to anything that takes octets; nothing here knows where frames come from.

use super::file::MAX_FRAME_LEN;
use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;
use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, InterfaceStatisticsBlock, Linktype, OptionCode,
    PcapNGOption, SectionHeaderBlock, ToVec,
};
use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

/// Times are counted in units of 10⁻⁹ seconds (`if_tsresol`).
const NANOSECONDS: u8 = 9;
/// The length of a section that nobody knows before it ends.
const UNKNOWN_LEN: i64 = -1;
/// Enough for a few hundred small frames, or one whole loopback segment.
const BUFFER_LEN: usize = 128 * 1024;

/// Writes frames as a pcapng file.
///
/// What it has gathered is written by [`flush`](Self::flush), when there is much of it, and when it is dropped; only
/// the first tells whether that went well.
#[derive(Debug)]
pub struct PcapngWriter<W: Write> {
    out: BufWriter<W>,
    links: Vec<LinkType>,
}

/// An interface of the file that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceId(u32);

/// What became of the frames of an interface, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames that were captured and handed over (`isb_usrdeliv`).
    pub delivered: Option<u64>,
    /// Frames that the operating system had no room for (`isb_osdrop`).
    pub dropped: Option<u64>,
}

impl<W: Write> PcapngWriter<W> {
    /// Begins a file that names the program that writes it, with a comment such as its command line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(out: W, program: &str, comment: Option<&str>) -> io::Result<Self> {
        let mut writer = PcapngWriter {
            out: BufWriter::with_capacity(BUFFER_LEN, out),
            links: Vec::new(),
        };
        let mut options = Vec::new();
        if let Some(comment) = comment {
            options.push(text(OptionCode::Comment, comment));
        }
        options.push(text(OptionCode::ShbOs, std::env::consts::OS));
        options.push(text(OptionCode::ShbUserAppl, program));
        writer.block(&mut SectionHeaderBlock {
            block_type: 0,
            block_len1: 0,
            bom: 0,
            major_version: 1,
            minor_version: 0,
            section_len: UNKNOWN_LEN,
            options,
            block_len2: 0,
        })?;
        Ok(writer)
    }

    /// Describes an interface that frames come from. `snaplen` is how many octets of a frame are kept at most.
    ///
    /// # Errors
    /// When it cannot be written, or the link type has no place in the format, which has 16 bits for it.
    pub fn interface(
        &mut self,
        name: &str,
        link: LinkType,
        snaplen: u32,
    ) -> io::Result<InterfaceId> {
        if link.0 > u32::from(u16::MAX) {
            return Err(refused(format!(
                "link type {} does not fit into 16 bits",
                link.0
            )));
        }
        let id = InterfaceId(self.links.len() as u32);
        self.block(&mut InterfaceDescriptionBlock {
            block_type: 0,
            block_len1: 0,
            linktype: Linktype(link.0 as i32),
            reserved: 0,
            snaplen,
            options: vec![text(OptionCode::IfName, name)],
            block_len2: 0,
            if_tsresol: NANOSECONDS,
            if_tsoffset: 0,
        })?;
        self.links.push(link);
        Ok(id)
    }

    /// Writes a frame. Of more than [`MAX_FRAME_LEN`] octets only the first ones are kept, and the file says so.
    ///
    /// # Errors
    /// When it cannot be written, or does not belong to that interface because its link type is another one.
    pub fn frame(&mut self, interface: InterfaceId, frame: &Frame<'_>) -> io::Result<()> {
        self.belongs(interface, Some(frame.link))?;
        let kept = frame.octets.len().min(MAX_FRAME_LEN as usize);
        let (ts_high, ts_low) = halves(frame.time);
        self.block(&mut EnhancedPacketBlock {
            block_type: 0,
            block_len1: 0,
            if_id: interface.0,
            ts_high,
            ts_low,
            caplen: kept as u32,
            origlen: frame
                .wire_len
                .max(u32::try_from(frame.octets.len()).unwrap_or(u32::MAX)),
            data: &frame.octets[..kept],
            options: match frame.comment {
                Some(comment) => vec![text(OptionCode::Comment, comment)],
                None => Vec::new(),
            },
            block_len2: 0,
        })
    }

    /// Writes what became of an interface's frames until `time`.
    ///
    /// # Errors
    /// When it cannot be written, or there is no such interface.
    pub fn statistics(
        &mut self,
        interface: InterfaceId,
        time: Timestamp,
        statistics: &Statistics,
    ) -> io::Result<()> {
        self.belongs(interface, None)?;
        let (ts_high, ts_low) = halves(time);
        let counts = [
            (OptionCode::IsbOsDrop, statistics.dropped),
            (OptionCode::IsbUsrDeliv, statistics.delivered),
        ];
        self.block(&mut InterfaceStatisticsBlock {
            block_type: 0,
            block_len1: 0,
            if_id: interface.0,
            ts_high,
            ts_low,
            options: counts
                .into_iter()
                .filter_map(|(code, count)| Some(number(code, count?)))
                .collect(),
            block_len2: 0,
        })
    }

    /// Writes out what was gathered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends the file and gives back what it was written to.
    ///
    /// # Errors
    /// When the rest cannot be written.
    pub fn into_inner(self) -> io::Result<W> {
        self.out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
    }

    fn belongs(&self, interface: InterfaceId, link: Option<LinkType>) -> io::Result<()> {
        match (self.links.get(interface.0 as usize), link) {
            (None, _) => Err(refused(format!("there is no interface {}", interface.0))),
            (Some(described), Some(link)) if *described != link => Err(refused(format!(
                "a frame of link type {} on interface {}, whose link type is {}",
                link.0, interface.0, described.0
            ))),
            (Some(_), _) => Ok(()),
        }
    }

    fn block(&mut self, block: &mut impl ToVec) -> io::Result<()> {
        // The layout fills in type and lengths. It fails only where memory does, as it writes to memory.
        let octets = block
            .to_vec()
            .map_err(|error| io::Error::other(format!("a block cannot be laid out: {error}")))?;
        self.out.write_all(&octets)
    }
}

/// 64 bits of nanoseconds, the higher half first (§4.3).
fn halves(time: Timestamp) -> (u32, u32) {
    ((time.nanos() >> 32) as u32, time.nanos() as u32)
}

/// An option that is text: as much of it as an option can hold, whole characters only.
fn text(code: OptionCode, text: &str) -> PcapNGOption<'_> {
    let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
    PcapNGOption {
        code,
        len: text.len() as u16,
        value: Cow::Borrowed(text.as_bytes()),
    }
}

/// An option that is a number of 64 bits.
fn number(code: OptionCode, number: u64) -> PcapNGOption<'static> {
    PcapNGOption {
        code,
        len: 8,
        value: Cow::Owned(number.to_le_bytes().to_vec()),
    }
}

fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::super::file::{AboutKind, FileSource};
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    const ETHERNET: LinkType = LinkType(1);
    const RAW: LinkType = LinkType(101);

    /// A frame that owns what it holds.
    #[derive(Clone, Debug, PartialEq)]
    struct Kept {
        nanos: u64,
        link: LinkType,
        wire_len: u32,
        octets: Vec<u8>,
        comment: Option<String>,
    }

    impl Kept {
        fn frame(&self, number: u64) -> Frame<'_> {
            Frame {
                number,
                time: Timestamp::from_nanos(self.nanos),
                link: self.link,
                wire_len: self.wire_len,
                octets: &self.octets,
                comment: self.comment.as_deref(),
            }
        }
    }

    fn write(frames: &[Kept]) -> Vec<u8> {
        let mut writer = PcapngWriter::new(Vec::new(), "capture 1", Some("capture live -w x"))
            .expect("memory takes everything");
        let lo = writer
            .interface("lo", ETHERNET, 262_144)
            .expect("an interface");
        let tun = writer.interface("tun0", RAW, 0).expect("an interface");
        for (frame, number) in frames.iter().zip(1..) {
            let interface = if frame.link == ETHERNET { lo } else { tun };
            writer
                .frame(interface, &frame.frame(number))
                .expect("a frame");
        }
        writer
            .statistics(
                lo,
                Timestamp::from_nanos(7),
                &Statistics {
                    delivered: Some(frames.len() as u64),
                    dropped: Some(3),
                },
            )
            .expect("statistics");
        writer.into_inner().expect("memory takes everything")
    }

    fn read(file: Vec<u8>) -> (Vec<Kept>, FileSource) {
        let mut source = FileSource::new(Box::new(io::Cursor::new(file)));
        let mut frames = Vec::new();
        while let Some(frame) = source.next_frame().expect("no damage") {
            assert_eq!(frame.number, frames.len() as u64 + 1);
            frames.push(Kept {
                nanos: frame.time.nanos(),
                link: frame.link,
                wire_len: frame.wire_len,
                octets: frame.octets.to_vec(),
                comment: frame.comment.map(str::to_owned),
            });
        }
        (frames, source)
    }

    fn kept(link: LinkType, octets: &[u8], wire_len: u32) -> Kept {
        Kept {
            nanos: 1_795_328_400_123_456_789,
            link,
            wire_len,
            octets: octets.to_vec(),
            comment: None,
        }
    }

    #[test]
    fn what_is_written_says_who_wrote_it_and_where_it_was_captured() {
        let (frames, source) = read(write(&[]));
        assert_eq!(frames, []);
        let about: Vec<_> = source
            .about()
            .iter()
            .map(|about| (about.kind, about.text.as_str()))
            .collect();
        assert_eq!(
            about,
            [
                (AboutKind::Comment, "capture live -w x"),
                (AboutKind::System, std::env::consts::OS),
                (AboutKind::Program, "capture 1"),
                (AboutKind::Interface, "lo"),
                (AboutKind::Interface, "tun0"),
            ]
        );
        assert_eq!(
            source.other_blocks().map(|(_, n)| n).collect::<Vec<_>>(),
            [1]
        );
    }

    #[test]
    fn a_frame_longer_than_any_capture_keeps_is_cut_and_said_to_be() {
        let long = vec![0xAB; MAX_FRAME_LEN as usize + 5];
        let (frames, _) = read(write(&[kept(RAW, &long, 0)]));
        assert_eq!(frames[0].octets.len(), MAX_FRAME_LEN as usize);
        assert_eq!(frames[0].wire_len, MAX_FRAME_LEN + 5);
    }

    #[test]
    fn a_comment_is_kept_as_far_as_an_option_can_hold_it() {
        let mut frame = kept(RAW, b"x", 1);
        frame.comment = Some("é".repeat(40_000));
        let (frames, _) = read(write(&[frame]));
        assert_eq!(
            frames[0].comment.as_deref().map(str::len),
            Some(usize::from(u16::MAX) - 1)
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut writer = PcapngWriter::new(Vec::new(), "test", None).expect("memory");
        assert!(writer.interface("x", LinkType(65_536), 0).is_err());
        let lo = writer.interface("lo", ETHERNET, 0).expect("an interface");
        assert!(writer.frame(lo, &kept(RAW, b"", 0).frame(1)).is_err());
        let other = InterfaceId(1);
        assert!(writer.frame(other, &kept(RAW, b"", 0).frame(1)).is_err());
        let nothing = Statistics::default();
        assert!(
            writer
                .statistics(other, Timestamp::default(), &nothing)
                .is_err()
        );
        writer
            .statistics(lo, Timestamp::default(), &nothing)
            .expect("known");
        let (frames, _) = read(writer.into_inner().expect("memory"));
        assert_eq!(frames, [], "what was refused is not in the file");
    }

    /// Text as the reader gives it back: it ends before zero octets, which some programs pad with.
    fn comment() -> impl Strategy<Value = String> {
        "[^\0]{0,40}"
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            frames in vec(
                (any::<u64>(), any::<bool>(), vec(any::<u8>(), 0..300), 0_u32..2000, option::of(comment())),
                0..20,
            )
        ) {
            let frames: Vec<Kept> = frames
                .into_iter()
                .map(|(nanos, ethernet, octets, longer, comment)| Kept {
                    nanos,
                    link: if ethernet { ETHERNET } else { RAW },
                    wire_len: octets.len() as u32 + longer,
                    octets,
                    comment,
                })
                .collect();
            prop_assert_eq!(read(write(&frames)).0, frames);
        }
    }
}
