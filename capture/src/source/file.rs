//! Reads capture files: pcap and pcapng, from anything that can be read, as a stream.
//!
//! ```text
//! capture read handshake.pcapng
//! tcpdump -i lo -w - port 20002 | capture read -
//! ```
//!
//! - `window`: the part of the file that is in memory: 1 MiB, whatever the file.
//! - `pcapng`: sections, interfaces and the blocks with packets.
//! - `clock`: how an interface counts time.
//! - [`damage`](Damage): what can be wrong, and where.
//!
//! Knows nothing of libpcap, and nothing of what is in a frame. Memory does not grow with the file: a frame is lent
//! until the next one is asked for.

mod about;
mod clock;
mod damage;
mod pcapng;
mod window;

pub use about::{About, AboutKind, BlockType};
pub use damage::{Damage, DamageProblem, LooksLike};

use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;
use pcap_parser::PcapHeader;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use window::Window;

/// No frame is longer than this: the largest that libpcap and Wireshark keep of one. A longer one is damage, not a
/// reason to ask for memory.
pub const MAX_FRAME_LEN: u32 = 262_144;

/// The global header of a pcap file.
const PCAP_HEADER_LEN: usize = 24;

/// Reads the frames of a capture file, in order.
pub struct FileSource {
    window: Window,
    format: Format,
    /// The octets that the frame that was lent last still holds.
    lent: usize,
    number: u64,
    time: Timestamp,
}

/// What the file turned out to be.
enum Format {
    /// Nothing was read yet.
    Unread,
    Pcap(Pcap),
    Pcapng(pcapng::Pcapng),
    /// Everything was read, or something is damaged.
    Over(pcapng::Pcapng),
}

/// What the header of a pcap file says about its records.
#[derive(Clone, Copy)]
struct Pcap {
    order: PcapOrder,
    nanos_per_fraction: u64,
    link: LinkType,
}

/// How the records of a pcap file are written.
#[derive(Clone, Copy)]
enum PcapOrder {
    /// The lower octet of each number first.
    Lower,
    /// The higher one first.
    Higher,
    /// The lower one first, with a longer header, as a modified libpcap once wrote it.
    Modified,
}

/// The header of a pcap record.
struct Record {
    time: Timestamp,
    caplen: u32,
    wire_len: u32,
}

/// Where in the window a frame was found.
struct Found {
    /// All the octets of its record or block.
    len: usize,
    octets: Range<usize>,
    time: Option<Timestamp>,
    link: LinkType,
    wire_len: u32,
    comment: Option<Range<usize>>,
}

impl FileSource {
    /// Opens a file. Whether it is a capture turns out with the first frame.
    ///
    /// # Errors
    /// What the system says when it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> std::io::Result<Self> {
        Ok(Self::new(Box::new(File::open(path)?)))
    }

    /// Reads a file that is open already, such as standard input. No buffer is needed around it.
    pub fn new(reader: Box<dyn Read + Send>) -> Self {
        FileSource {
            window: Window::new(reader),
            format: Format::Unread,
            lent: 0,
            number: 0,
            time: Timestamp::default(),
        }
    }

    /// The next frame; `None` at the end of the file, and after damage.
    ///
    /// A frame of a simple packet block, which has no time, gets the time of the frame before it.
    ///
    /// # Errors
    /// When the file is damaged. Everything before the damage was delivered, nothing after it is read.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Damage> {
        let found = match self.find() {
            Ok(Some(found)) => found,
            over_or_damaged => {
                self.end();
                return over_or_damaged.map(|_| None);
            }
        };
        self.lent = found.len;
        self.number += 1;
        self.time = found.time.unwrap_or(self.time);
        let octets = self.window.octets();
        Ok(Some(Frame {
            number: self.number,
            time: self.time,
            link: found.link,
            wire_len: found.wire_len,
            octets: &octets[found.octets],
            comment: found.comment.map(|place| readable(&octets[place])),
        }))
    }

    /// What the file says about itself, as far as it was read: at most a few dozen things.
    pub fn about(&self) -> &[About] {
        self.pcapng().map_or(&[], |pcapng| &pcapng.about)
    }

    /// Blocks without packets that were passed over, by their type, with how many there were.
    pub fn other_blocks(&self) -> impl Iterator<Item = (BlockType, u64)> + '_ {
        self.pcapng()
            .into_iter()
            .flat_map(|pcapng| pcapng.other_blocks())
    }

    fn pcapng(&self) -> Option<&pcapng::Pcapng> {
        match &self.format {
            Format::Pcapng(pcapng) | Format::Over(pcapng) => Some(pcapng),
            Format::Unread | Format::Pcap(_) => None,
        }
    }

    /// Nothing is read any more.
    fn end(&mut self) {
        let pcapng = match std::mem::replace(&mut self.format, Format::Unread) {
            Format::Pcapng(pcapng) | Format::Over(pcapng) => pcapng,
            Format::Unread | Format::Pcap(_) => pcapng::Pcapng::default(),
        };
        self.format = Format::Over(pcapng);
    }

    #[inline]
    fn find(&mut self) -> Result<Option<Found>, Damage> {
        self.window.consume(std::mem::take(&mut self.lent));
        if let Format::Unread = self.format {
            self.format = recognise(&mut self.window)?;
        }
        match &mut self.format {
            Format::Pcap(pcap) => pcap.find(&mut self.window),
            Format::Pcapng(pcapng) => pcapng.find(&mut self.window),
            Format::Unread | Format::Over(_) => Ok(None),
        }
    }
}

impl std::fmt::Debug for FileSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSource")
            .field("offset", &self.window.offset())
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// The text as far as it is UTF-8, which the format asks for.
fn readable(octets: &[u8]) -> &str {
    let text = match std::str::from_utf8(octets) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&octets[..error.valid_up_to()]).unwrap_or_default(),
    };
    text.trim_end_matches('\0')
}

/// Tells the format by the first octets of the file.
fn recognise(window: &mut Window) -> Result<Format, Damage> {
    // Files may be shorter than what is looked at, so what is there counts, not whether it was enough.
    fill(window, 4)?;
    if window
        .octets()
        .starts_with(&pcap_parser::SHB_MAGIC.to_le_bytes())
    {
        return Ok(Format::Pcapng(pcapng::Pcapng::default()));
    }
    let magic = window
        .octets()
        .first_chunk()
        .map(|magic| u32::from_le_bytes(*magic));
    let is_pcap = matches!(
        magic,
        Some(0xa1b2_c3d4 | 0xa1b2_3c4d | 0xa1b2_cd34 | 0xd4c3_b2a1 | 0x4d3c_b2a1)
    );
    if !is_pcap {
        fill(window, damage::TELLING_LEN)?;
        let head = window.octets();
        let head = &head[..head.len().min(damage::TELLING_LEN)];
        return Err(damage(
            window,
            DamageProblem::NotACapture(damage::looks_like(head)),
        ));
    }
    need(window, PCAP_HEADER_LEN, "the file's header")?;
    let Ok((_, header)) = pcap_parser::parse_pcap_header(window.octets()) else {
        return Err(damage(window, DamageProblem::Contents("the file's header")));
    };
    let pcap = Pcap::new(&header).map_err(|problem| damage(window, problem))?;
    window.consume(PCAP_HEADER_LEN);
    Ok(Format::Pcap(pcap))
}

impl Pcap {
    fn new(header: &PcapHeader) -> Result<Self, DamageProblem> {
        if header.version_major != 2 {
            return Err(DamageProblem::Version {
                format: "pcap",
                major: header.version_major,
                minor: header.version_minor,
            });
        }
        let order = match (header.is_modified_format(), header.is_bigendian()) {
            (true, _) => PcapOrder::Modified,
            (false, true) => PcapOrder::Higher,
            (false, false) => PcapOrder::Lower,
        };
        Ok(Pcap {
            order,
            nanos_per_fraction: if header.is_nanosecond_precision() {
                1
            } else {
                1_000
            },
            // The six highest bits tell whether frames end with a frame check sequence.
            link: LinkType(header.network.0 as u32 & 0x03ff_ffff),
        })
    }

    fn header_len(self) -> usize {
        match self.order {
            PcapOrder::Lower | PcapOrder::Higher => 16,
            PcapOrder::Modified => 24,
        }
    }

    /// The header of the record that begins here: by hand, since it is read for every frame, and four numbers are all
    /// there is to it.
    fn record(self, octets: &[u8]) -> Option<Record> {
        let (numbers, _) = octets.get(..self.header_len())?.as_chunks();
        let &[seconds, fraction, caplen, wire_len, ..] = numbers else {
            return None;
        };
        let number = |octets| match self.order {
            PcapOrder::Lower | PcapOrder::Modified => u32::from_le_bytes(octets),
            PcapOrder::Higher => u32::from_be_bytes(octets),
        };
        // At most 2³² seconds and 2³² fractions: together less than 2⁶³ nanoseconds.
        let nanos = u64::from(number(seconds)) * 1_000_000_000
            + u64::from(number(fraction)) * self.nanos_per_fraction;
        let caplen = number(caplen);
        Some(Record {
            time: Timestamp::from_nanos(nanos),
            caplen,
            // Some programs have written the lengths the wrong way round.
            wire_len: number(wire_len).max(caplen),
        })
    }

    #[inline]
    fn find(self, window: &mut Window) -> Result<Option<Found>, Damage> {
        let begin = self.header_len();
        loop {
            let octets = window.octets();
            if let Some(record) = self.record(octets)
                && record.caplen <= MAX_FRAME_LEN
                && begin + record.caplen as usize <= octets.len()
            {
                let end = begin + record.caplen as usize;
                return Ok(Some(Found {
                    len: end,
                    octets: begin..end,
                    time: Some(record.time),
                    link: self.link,
                    wire_len: record.wire_len,
                    comment: None,
                }));
            }
            if !self.fill_record(window)? {
                return Ok(None);
            }
        }
    }

    /// Reads on until the next record is there; says whether there is one.
    #[cold]
    fn fill_record(self, window: &mut Window) -> Result<bool, Damage> {
        if !fill(window, 1)? {
            return Ok(false);
        }
        let header_len = self.header_len();
        need(window, header_len, "the header of a packet")?;
        let record = self.record(window.octets());
        let caplen = record.map_or(0, |record| record.caplen);
        if caplen > MAX_FRAME_LEN {
            return Err(damage(window, too_long("a packet", caplen)));
        }
        need(window, header_len + caplen as usize, "a packet")?;
        Ok(true)
    }
}

fn too_long(piece: &'static str, len: u32) -> DamageProblem {
    DamageProblem::Length {
        piece,
        len: u64::from(len),
        why: "no capture keeps more than 262144 octets of a packet",
    }
}

/// Damage to what begins where the window stands.
fn damage(window: &Window, problem: DamageProblem) -> Damage {
    Damage {
        offset: window.offset(),
        problem,
    }
}

fn fill(window: &mut Window, wanted: usize) -> Result<bool, Damage> {
    window.fill(wanted).map_err(|error| Damage {
        offset: window.offset() + window.octets().len() as u64,
        problem: DamageProblem::Read(error),
    })
}

/// Reads so many octets, which have to be there.
fn need(window: &mut Window, needed: usize, piece: &'static str) -> Result<(), Damage> {
    if fill(window, needed)? {
        return Ok(());
    }
    Err(damage(
        window,
        DamageProblem::CutShort {
            piece,
            needed: needed as u64,
            had: window.octets().len() as u64,
        },
    ))
}

#[cfg(test)]
mod tests;
