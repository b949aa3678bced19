//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng).
//!
//! The frame around a block (type, length, contents, length again) is taken apart here, so that a block is handed to
//! pcap-parser only when all of it is there. Then "incomplete" can only mean that its contents contradict its
//! length, and nothing waits for octets that never come. Blocks without packets are passed over without being
//! looked at, however long they are.

use super::about::{self, About, AboutKind, BlockType};
use super::clock::Clock;
use super::window::Window;
use super::{Damage, DamageProblem, Found, MAX_FRAME_LEN, damage, fill, need, too_long};
use crate::frame::LinkType;
use pcap_parser::nom::Offset;
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{
    BOM_MAGIC, EPB_MAGIC, IDB_MAGIC, OptionCode, PcapNGOption, SHB_MAGIC, SPB_MAGIC,
    parse_enhancedpacketblock_be, parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_sectionheaderblock, parse_simplepacketblock_be,
    parse_simplepacketblock_le, parse_unknownblock_be, parse_unknownblock_le,
};
use std::collections::BTreeMap;
use std::ops::Range;

/// The obsolete packet block, which pcap-parser does not know.
const PACKET_BLOCK: u32 = 2;
/// Type, length, length again.
const FRAME_LEN: u32 = 12;
/// The contents of an obsolete packet block before the packet: interface (16 bits), drops (16), time (64), captured
/// and original length (32 each).
const PACKET_BLOCK_HEADER_LEN: usize = 20;

/// A block that has to be looked at may have so many octets: the largest frame and as many octets of options.
const MAX_BLOCK_LEN: u32 = 2 * MAX_FRAME_LEN;
/// A section may describe so many interfaces.
const MAX_INTERFACES: usize = 65_536;
/// So many types of other blocks are counted by themselves.
const MAX_BLOCK_TYPES: usize = 64;

/// What has to be remembered between blocks.
#[derive(Default)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    pub(super) about: Vec<About>,
    others: BTreeMap<BlockType, u64>,
}

/// Which octet of a number comes first in this section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Lower,
    Higher,
}

impl Order {
    fn u16(self, octets: [u8; 2]) -> u16 {
        match self {
            Order::Lower => u16::from_le_bytes(octets),
            Order::Higher => u16::from_be_bytes(octets),
        }
    }

    fn u32(self, octets: [u8; 4]) -> u32 {
        match self {
            Order::Lower => u32::from_le_bytes(octets),
            Order::Higher => u32::from_be_bytes(octets),
        }
    }

    fn i64(self, octets: [u8; 8]) -> i64 {
        match self {
            Order::Lower => i64::from_le_bytes(octets),
            Order::Higher => i64::from_be_bytes(octets),
        }
    }
}

#[derive(Clone, Copy)]
struct Interface {
    link: LinkType,
    snaplen: u32,
    clock: Clock,
}

/// What the two kinds of blocks that name an interface and a time have in common.
struct PacketFields {
    interface: u32,
    count: u64,
    caplen: u32,
    wire_len: u32,
    /// Where the packet begins in the block.
    begin: usize,
    comment: Option<Range<usize>>,
}

impl Pcapng {
    pub(super) fn other_blocks(&self) -> impl Iterator<Item = (BlockType, u64)> + '_ {
        self.others.iter().map(|(kind, count)| (*kind, *count))
    }

    /// The next packet; takes in what stands before it.
    pub(super) fn find(&mut self, window: &mut Window) -> Result<Option<Found>, Damage> {
        loop {
            if window.octets().len() < FRAME_LEN as usize {
                if !fill(window, 1)? {
                    return Ok(None);
                }
                need(window, FRAME_LEN as usize, "a block")?;
            }
            let (kind, len) = self.frame(window)?;
            let piece = match kind {
                SHB_MAGIC => "a section header",
                IDB_MAGIC => "an interface description",
                EPB_MAGIC | SPB_MAGIC | PACKET_BLOCK => "a packet",
                _ => {
                    self.pass_over(window, kind, len)?;
                    continue;
                }
            };
            if len > MAX_BLOCK_LEN {
                return Err(damage(window, too_long(piece, len)));
            }
            need(window, len as usize, piece)?;
            let block = &window.octets()[..len as usize];
            let found = self
                .take_in(kind, block, piece)
                .map_err(|problem| damage(window, problem))?;
            if found.is_some() {
                return Ok(found);
            }
            window.consume(len as usize);
        }
    }

    /// The type and the length of the block; a section header also tells the order of octets from here on.
    fn frame(&mut self, window: &Window) -> Result<(u32, u32), Damage> {
        let Some([k0, k1, k2, k3, l0, l1, l2, l3, magic @ ..]) =
            window.octets().first_chunk::<12>()
        else {
            unreachable!("the frame of the block was read");
        };
        if [*k0, *k1, *k2, *k3] == SHB_MAGIC.to_le_bytes() {
            self.order = match u32::from_le_bytes(*magic) {
                BOM_MAGIC => Order::Lower,
                other if other == BOM_MAGIC.swap_bytes() => Order::Higher,
                other => return Err(damage(window, DamageProblem::ByteOrder(other))),
            };
        }
        let kind = self.order.u32([*k0, *k1, *k2, *k3]);
        let len = self.order.u32([*l0, *l1, *l2, *l3]);
        let why = if len < FRAME_LEN {
            "the shortest block has 12"
        } else if !len.is_multiple_of(4) {
            "it has to be a multiple of 4"
        } else {
            return Ok((kind, len));
        };
        let (piece, len) = ("a block", u64::from(len));
        Err(damage(window, DamageProblem::Length { piece, len, why }))
    }

    fn pass_over(&mut self, window: &mut Window, kind: u32, len: u32) -> Result<(), Damage> {
        let offset = window.offset();
        let before_last = u64::from(len - 4);
        let skipped = window.skip(before_last).map_err(|error| Damage {
            offset: window.offset(),
            problem: DamageProblem::Read(error),
        })?;
        if skipped < before_last || !fill(window, 4)? {
            return Err(Damage {
                offset,
                problem: DamageProblem::CutShort {
                    piece: "a block",
                    needed: u64::from(len),
                    had: skipped + window.octets().len() as u64,
                },
            });
        }
        self.same_len(window.octets(), len)
            .map_err(|problem| Damage { offset, problem })?;
        window.consume(4);
        let kind = BlockType(kind);
        if self.others.len() < MAX_BLOCK_TYPES || self.others.contains_key(&kind) {
            *self.others.entry(kind).or_default() += 1;
        } else {
            *self.others.entry(BlockType(u32::MAX)).or_default() += 1;
        }
        Ok(())
    }

    /// Whether the length before the contents and the one after them, with which `octets` begins, are the same.
    fn same_len(&self, octets: &[u8], before: u32) -> Result<(), DamageProblem> {
        let after = octets
            .first_chunk()
            .map_or(0, |after| self.order.u32(*after));
        if before == after {
            Ok(())
        } else {
            Err(DamageProblem::LengthsDiffer { before, after })
        }
    }

    /// Takes in a whole block.
    fn take_in(
        &mut self,
        kind: u32,
        block: &[u8],
        piece: &'static str,
    ) -> Result<Option<Found>, DamageProblem> {
        self.same_len(&block[block.len() - 4..], block.len() as u32)?;
        match kind {
            SHB_MAGIC => self.section(block).map(|()| None),
            IDB_MAGIC => self.interface(block).map(|()| None),
            EPB_MAGIC => self.enhanced_packet(block).map(Some),
            SPB_MAGIC => self.simple_packet(block).map(Some),
            _ => self.obsolete_packet(block).map(Some),
        }
        .map_err(|problem| problem.unwrap_or(DamageProblem::Contents(piece)))
    }

    fn section(&mut self, block: &[u8]) -> Result<(), Option<DamageProblem>> {
        let (_, header) = parse_sectionheaderblock(block).map_err(|_| None)?;
        if header.major_version != 1 {
            return Err(Some(DamageProblem::Version {
                format: "pcapng",
                major: header.major_version,
                minor: header.minor_version,
            }));
        }
        // What was described belongs to the section before.
        self.interfaces.clear();
        for option in used(&header.options) {
            let kind = match option.code {
                OptionCode::Comment => AboutKind::Comment,
                OptionCode::ShbHardware => AboutKind::Hardware,
                OptionCode::ShbOs => AboutKind::System,
                OptionCode::ShbUserAppl => AboutKind::Program,
                _ => continue,
            };
            about::keep(&mut self.about, kind, option.as_bytes().unwrap_or_default());
        }
        Ok(())
    }

    fn interface(&mut self, block: &[u8]) -> Result<(), Option<DamageProblem>> {
        let parse = match self.order {
            Order::Lower => parse_interfacedescriptionblock_le,
            Order::Higher => parse_interfacedescriptionblock_be,
        };
        let (_, description) = parse(block).map_err(|_| None)?;
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Some(DamageProblem::TooManyInterfaces(MAX_INTERFACES)));
        }
        let (mut resolution, mut offset) = (6, 0);
        for option in used(&description.options) {
            let octets = option.as_bytes().unwrap_or_default();
            let kind = match option.code {
                // pcap-parser reads the offset as if the lower octet always came first.
                OptionCode::IfTsoffset => {
                    offset = octets.first_chunk().map_or(0, |o| self.order.i64(*o));
                    continue;
                }
                OptionCode::IfTsresol => {
                    resolution = octets.first().copied().unwrap_or(6);
                    continue;
                }
                OptionCode::Comment => AboutKind::Comment,
                OptionCode::IfName => AboutKind::Interface,
                OptionCode::IfDescription => AboutKind::Description,
                OptionCode::IfOs => AboutKind::System,
                _ => continue,
            };
            about::keep(&mut self.about, kind, octets);
        }
        self.interfaces.push(Interface {
            link: LinkType(description.linktype.0 as u32),
            snaplen: description.snaplen,
            clock: Clock::new(resolution, offset),
        });
        Ok(())
    }

    fn enhanced_packet(&self, block: &[u8]) -> Result<Found, Option<DamageProblem>> {
        let (_, packet) = match self.order {
            Order::Lower => parse_enhancedpacketblock_le(block),
            Order::Higher => parse_enhancedpacketblock_be(block),
        }
        .map_err(|_| None)?;
        let fields = PacketFields {
            interface: packet.if_id,
            count: u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low),
            caplen: packet.caplen,
            wire_len: packet.origlen,
            begin: block.offset(packet.data),
            comment: comment(block, &packet.options),
        };
        self.packet(block, fields)
    }

    fn obsolete_packet(&self, block: &[u8]) -> Result<Found, Option<DamageProblem>> {
        let (_, unknown) = match self.order {
            Order::Lower => parse_unknownblock_le(block),
            Order::Higher => parse_unknownblock_be(block),
        }
        .map_err(|_| None)?;
        let (header, rest) = unknown
            .data
            .split_first_chunk::<PACKET_BLOCK_HEADER_LEN>()
            .ok_or(None)?;
        let number = |at: usize| {
            self.order
                .u32([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let caplen = number(12);
        if caplen as usize > rest.len() {
            return Err(None);
        }
        self.packet(
            block,
            PacketFields {
                interface: u32::from(self.order.u16([header[0], header[1]])),
                count: u64::from(number(4)) << 32 | u64::from(number(8)),
                caplen,
                wire_len: number(16),
                begin: block.offset(rest),
                comment: None,
            },
        )
    }

    fn packet(&self, block: &[u8], fields: PacketFields) -> Result<Found, Option<DamageProblem>> {
        let interface = self.interface_of(fields.interface)?;
        if fields.caplen > MAX_FRAME_LEN {
            return Err(Some(too_long("a packet", fields.caplen)));
        }
        Ok(Found {
            len: block.len(),
            octets: fields.begin..fields.begin + fields.caplen as usize,
            time: Some(interface.clock.moment(fields.count)),
            link: interface.link,
            wire_len: fields.wire_len.max(fields.caplen),
            comment: fields.comment,
        })
    }

    fn simple_packet(&self, block: &[u8]) -> Result<Found, Option<DamageProblem>> {
        let (_, packet) = match self.order {
            Order::Lower => parse_simplepacketblock_le(block),
            Order::Higher => parse_simplepacketblock_be(block),
        }
        .map_err(|_| None)?;
        let interface = self.interface_of(0)?;
        // The block does not say how much was captured: the limit of the interface does, unless it is 0.
        let limit = match interface.snaplen {
            0 => MAX_FRAME_LEN,
            snaplen => snaplen,
        };
        let captured = packet.packet_data();
        let begin = block.offset(captured);
        let caplen = captured.len().min(limit as usize);
        if caplen > MAX_FRAME_LEN as usize {
            return Err(Some(too_long("a packet", caplen as u32)));
        }
        Ok(Found {
            len: block.len(),
            octets: begin..begin + caplen,
            time: None,
            link: interface.link,
            wire_len: packet.origlen,
            comment: None,
        })
    }

    fn interface_of(&self, number: u32) -> Result<Interface, Option<DamageProblem>> {
        let interface = self.interfaces.get(number as usize);
        interface.copied().ok_or(Some(DamageProblem::Interface {
            interface: number,
            known: self.interfaces.len(),
        }))
    }
}

/// The options before the one that ends them.
fn used<'o, 'b>(options: &'o [PcapNGOption<'b>]) -> impl Iterator<Item = &'o PcapNGOption<'b>> {
    options
        .iter()
        .take_while(|option| option.code != OptionCode::EndOfOpt)
}

/// Where in the block the first comment stands.
fn comment(block: &[u8], options: &[PcapNGOption<'_>]) -> Option<Range<usize>> {
    let option = used(options).find(|option| option.code == OptionCode::Comment)?;
    let text = option.as_bytes().ok()?;
    let begin = block.offset(text);
    Some(begin..begin + text.len())
}
