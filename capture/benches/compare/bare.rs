//! The limit: what reading a file and decoding its frames takes when nothing is done with them.
//!
//! pcap-parser's stream reader and etherparse's slices, on one core, in 64 KiB pieces: what anybody would write first.

use anyhow::{Context as _, anyhow, bail};
use etherparse::SlicedPacket;
use pcap_parser::traits::PcapReaderIterator as _;
use pcap_parser::{LegacyPcapReader, PcapBlockOwned, PcapError};
use std::fs::File;
use std::hint::black_box;
use std::path::Path;

pub(crate) fn read(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let mut reader = LegacyPcapReader::new(65_536, file)
        .map_err(|error| anyhow!("{}: {error:?}", path.display()))?;
    loop {
        match reader.next() {
            Ok((len, block)) => {
                if let PcapBlockOwned::Legacy(record) = block {
                    // Looking at less would let the compiler leave out what nobody looks at.
                    let _ = black_box(SlicedPacket::from_ethernet(record.data));
                }
                reader.consume(len);
            }
            Err(PcapError::Eof) => return Ok(()),
            Err(PcapError::Incomplete(_)) => {
                // Its error borrows the reader, which is still needed.
                let refilled = reader.refill();
                refilled.map_err(|error| anyhow!("{}: {error:?}", path.display()))?;
            }
            Err(error) => bail!("{}: {error:?}", path.display()),
        }
    }
}
