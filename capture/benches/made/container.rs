//! Capture files: pcap and pcapng, octet by octet.
//!
//! Classic pcap: <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/>.
//! pcapng: <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/>.

use std::io::{self, Write};

/// Link types, from the tcpdump group's registry.
pub(crate) mod link {
    pub(crate) const NULL: u32 = 0;
    pub(crate) const ETHERNET: u32 = 1;
    pub(crate) const PPP: u32 = 9;
    pub(crate) const RAW: u32 = 101;
    pub(crate) const LOOP: u32 = 108;
    pub(crate) const SLL: u32 = 113;
    pub(crate) const IPV4: u32 = 228;
    pub(crate) const IPV6: u32 = 229;
    pub(crate) const SLL2: u32 = 276;
}

/// More than any frame has: what tcpdump writes too.
const SNAPLEN: u32 = 262_144;

/// How a file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Classic pcap with microseconds, little endian.
    Pcap,
    /// The same with nanoseconds.
    PcapNanos,
    /// Classic pcap with microseconds, as a big-endian machine writes it.
    PcapBigEndian,
    /// The same with nanoseconds.
    PcapNanosBigEndian,
    /// pcapng with nanoseconds.
    PcapNg,
}

/// A file that is being written.
pub(crate) struct Container<W> {
    out: W,
    format: Format,
}

impl<W: Write> Container<W> {
    /// Begins a file with an interface for each link type. Only pcapng can have more than one.
    pub(crate) fn new(out: W, format: Format, links: &[u32]) -> io::Result<Self> {
        let mut container = Container { out, format };
        if format == Format::PcapNg {
            container.section()?;
            for &link in links {
                container.interface(link)?;
            }
        } else {
            assert_eq!(links.len(), 1, "classic pcap has one interface");
            let magic = match format {
                Format::PcapNanos | Format::PcapNanosBigEndian => 0xa1b2_3c4d,
                _ => 0xa1b2_c3d4,
            };
            container.u32(magic)?;
            // Version 2.4 is two numbers of 16 bits, whose order depends on the endianness, too.
            let version = if container.is_big_endian() {
                0x0002_0004
            } else {
                0x0004_0002
            };
            for field in [version, 0, 0, SNAPLEN, links[0]] {
                container.u32(field)?;
            }
        }
        Ok(container)
    }

    /// The next frame; `octets` may be fewer than `wire_len`.
    pub(crate) fn frame(
        &mut self,
        interface: u32,
        nanos: u64,
        octets: &[u8],
        wire_len: u32,
    ) -> io::Result<()> {
        let captured = octets.len() as u32;
        let (seconds, rest) = (
            (nanos / 1_000_000_000) as u32,
            (nanos % 1_000_000_000) as u32,
        );
        match self.format {
            Format::PcapNg => {
                let padding = (4 - octets.len() % 4) % 4;
                // Enhanced Packet Block: eight fields, the frame, and the length again.
                let block = 32 + captured + padding as u32;
                let (high, low) = ((nanos >> 32) as u32, nanos as u32);
                for field in [6, block, interface, high, low, captured, wire_len] {
                    self.u32(field)?;
                }
                self.out.write_all(octets)?;
                self.out.write_all(&[0; 3][..padding])?;
                self.u32(block)
            }
            Format::PcapNanos | Format::PcapNanosBigEndian => {
                self.record([seconds, rest, captured, wire_len], octets)
            }
            Format::Pcap | Format::PcapBigEndian => {
                self.record([seconds, rest / 1_000, captured, wire_len], octets)
            }
        }
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn record(&mut self, fields: [u32; 4], octets: &[u8]) -> io::Result<()> {
        for field in fields {
            self.u32(field)?;
        }
        self.out.write_all(octets)
    }

    fn section(&mut self) -> io::Result<()> {
        // Version 1.0 and a length that is not known: -1.
        for field in [0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28] {
            self.u32(field)?;
        }
        Ok(())
    }

    fn interface(&mut self, link: u32) -> io::Result<()> {
        // The option 9, if_tsresol, of one octet: 10^-9 seconds. Then the end of the options.
        for field in [1, 32, link, SNAPLEN, 0x0001_0009, 9, 0, 32] {
            self.u32(field)?;
        }
        Ok(())
    }

    fn is_big_endian(&self) -> bool {
        matches!(
            self.format,
            Format::PcapBigEndian | Format::PcapNanosBigEndian
        )
    }

    fn u32(&mut self, value: u32) -> io::Result<()> {
        let octets = if self.is_big_endian() {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        };
        self.out.write_all(&octets)
    }
}
