//! Reads a file on one core and shows it on another.
//!
//! What is handed over are batches of decoded packets, not frames: most frames of a capture are nobody's concern and
//! stay behind. Batches have a size, there are only so many of them, and each goes back to be filled again, so memory
//! does not grow with the file.

use super::intake::Intake;
use super::presenter::Presenter;
use super::{Counts, Finished, Setup};
use crate::decode::{ChecksumOf, Content, Packet, Segment, Unreachable};
use crate::source::file::{Damage, FileSource};
use crate::time::Timestamp;
use std::io::{self, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

/// Packets in a batch at most.
const PACKETS: usize = 1024;
/// Octets after which a batch is handed over.
const OCTETS: usize = 256 << 10;
/// Batches on their way at most.
const BATCHES: usize = 4;

/// Some packets with the octets they carry.
#[derive(Default)]
struct Batch {
    /// The time of the capture's first frame.
    start: Timestamp,
    octets: Vec<u8>,
    packets: Vec<Kept>,
}

/// A packet whose octets are in its batch. Small, since every one is carried from one core to another.
struct Kept {
    number: u64,
    time: Timestamp,
    ends: Ends,
    content: KeptContent,
    payload: Place,
    payload_len: u32,
    fragments: u16,
    wrong_checksum: Option<ChecksumOf>,
}

enum KeptContent {
    Segment(Segment),
    Datagram,
    /// Rare and large.
    Unreachable(Box<Unreachable<'static>>, Place),
}

/// Where it came from and where it went.
enum Ends {
    V4(SocketAddrV4, SocketAddrV4),
    /// Rarer, and much larger.
    Other(Box<(SocketAddr, SocketAddr)>),
}

impl Ends {
    fn new(src: SocketAddr, dst: SocketAddr) -> Self {
        match (src, dst) {
            (SocketAddr::V4(src), SocketAddr::V4(dst)) => Ends::V4(src, dst),
            other => Ends::Other(Box::new(other)),
        }
    }

    fn get(&self) -> (SocketAddr, SocketAddr) {
        match self {
            Ends::V4(src, dst) => ((*src).into(), (*dst).into()),
            Ends::Other(both) => **both,
        }
    }
}

/// Where octets are in a batch.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    len: u32,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.packets.len() >= PACKETS || self.octets.len() >= OCTETS
    }

    fn keep(&mut self, octets: &[u8]) -> Place {
        // A batch is handed over long before it has so many octets.
        let start = self.octets.len() as u32;
        self.octets.extend_from_slice(octets);
        Place {
            start,
            len: octets.len() as u32,
        }
    }

    fn at(&self, place: Place) -> &[u8] {
        &self.octets[place.start as usize..][..place.len as usize]
    }

    fn push(&mut self, number: u64, time: Timestamp, packet: &Packet<'_>) {
        let payload = self.keep(packet.payload);
        let content = match packet.content {
            Content::Segment(segment) => KeptContent::Segment(segment),
            Content::Datagram => KeptContent::Datagram,
            Content::Unreachable(about) => {
                let quoted = self.keep(about.quoted);
                let about = Unreachable {
                    quoted: &[],
                    ..about
                };
                KeptContent::Unreachable(Box::new(about), quoted)
            }
        };
        self.packets.push(Kept {
            number,
            time,
            ends: Ends::new(packet.src, packet.dst),
            content,
            payload,
            payload_len: packet.payload_len,
            fragments: packet.fragments,
            wrong_checksum: packet.wrong_checksum,
        });
    }

    fn show(&self, presenter: &mut Presenter) -> io::Result<()> {
        presenter.begin(self.start);
        for kept in &self.packets {
            let content = match &kept.content {
                KeptContent::Segment(segment) => Content::Segment(*segment),
                KeptContent::Datagram => Content::Datagram,
                KeptContent::Unreachable(about, quoted) => Content::Unreachable(Unreachable {
                    quoted: self.at(*quoted),
                    ..**about
                }),
            };
            let (src, dst) = kept.ends.get();
            let packet = Packet {
                src,
                dst,
                content,
                payload: self.at(kept.payload),
                payload_len: kept.payload_len,
                fragments: kept.fragments,
                wrong_checksum: kept.wrong_checksum,
            };
            presenter.packet(kept.number, kept.time, &packet)?;
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.octets.clear();
        self.packets.clear();
    }
}

/// Reads a file to its end or its damage and shows what is in it.
///
/// # Errors
/// When the output cannot be written; reading stops then.
pub fn show_file(
    source: FileSource,
    setup: Setup,
    writer: Box<dyn Write>,
) -> io::Result<(Finished, Option<Damage>)> {
    let intake = Intake::new(setup.ports.as_deref());
    let mut presenter = Presenter::new(setup, writer);
    let (full, filled) = mpsc::sync_channel(BATCHES);
    let (empty, emptied) = mpsc::sync_channel(BATCHES + 2);
    thread::scope(|scope| {
        let reader = scope.spawn(move || read(source, intake, &full, &emptied));
        let shown: io::Result<()> = filled.iter().try_for_each(|mut batch: Batch| {
            batch.show(&mut presenter)?;
            batch.clear();
            // At the end nobody takes it back.
            let _ = empty.try_send(batch);
            Ok(())
        });
        // The reader notices, and stops.
        drop(filled);
        let (counts, damage) = match reader.join() {
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        shown?;
        Ok((presenter.finish(counts)?, damage))
    })
}

/// Fills batches until the file ends or nobody wants more.
fn read(
    mut source: FileSource,
    mut intake: Intake,
    full: &SyncSender<Batch>,
    emptied: &Receiver<Batch>,
) -> (Counts, Option<Damage>) {
    let mut batch = Batch::default();
    let mut start = None;
    let damage = loop {
        let frame = match source.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break None,
            Err(damage) => break Some(damage),
        };
        batch.start = *start.get_or_insert(frame.time);
        if let Some(packet) = intake.take(&frame) {
            batch.push(frame.number, frame.time, &packet);
        }
        if batch.is_full() {
            if full.send(batch).is_err() {
                return (intake.finish(), None);
            }
            batch = emptied.try_recv().unwrap_or_default();
        }
    };
    // Nobody may want it any more.
    let _ = full.send(batch);
    (intake.finish(), damage)
}
