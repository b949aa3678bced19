//! Reads a file on one thread, finds out what it says on another, and writes that on a third.
//!
//! ```text
//!  reader ──Batch──▶ presenter ──Sheet──▶ press
//! ```
//!
//! What the reader hands over are batches of decoded packets, not frames: most frames of a capture are nobody's concern
//! and stay behind. The press has the writer, so a slow one is waited for by nobody else until the belts are full. Two
//! cores are enough for most of the gain, since the presenter has as much to do as the other two together.

use super::belt::{Load, Sender, Stopped, belt};
use super::intake::Intake;
use super::presenter::Presenter;
use super::{Counts, Finished, Setup};
use crate::decode::{ChecksumOf, Content, Packet, Segment, Unreachable};
use crate::source::file::{Damage, FileSource};
use crate::text::TextKind;
use crate::time::Timestamp;
use crate::view::press::{Press, Printer, Sheet};
use std::io::{self, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::thread::{self, ScopedJoinHandle};

/// Packets in a batch at most. Waking the next stage takes as long as a dozen of them, so it is done seldom.
const PACKETS: usize = 2048;
/// Octets after which a batch is handed over.
const OCTETS: usize = 1 << 20;

/// Some packets with what they carry.
#[derive(Default)]
struct Batch {
    /// The time of the capture's first frame.
    start: Timestamp,
    packets: Vec<Kept>,
    octets: Vec<u8>,
    /// What is rare, and large.
    addresses: Vec<(SocketAddr, SocketAddr)>,
    unreachable: Vec<Unreachable<'static>>,
}

/// A packet whose octets are in its batch. Small, since every one is carried from one core to another; and made so that
/// nothing has to be done to forget it.
#[derive(Clone, Copy)]
struct Kept {
    number: u64,
    time: Timestamp,
    ends: Ends,
    content: KeptContent,
    payload: Place,
    payload_len: u32,
    payload_kind: TextKind,
    fragments: u16,
    wrong_checksum: Option<ChecksumOf>,
}

#[derive(Clone, Copy)]
enum KeptContent {
    Segment(Segment),
    Datagram,
    /// By its place in the batch.
    Unreachable(u32, Place),
}

/// Where it came from and where it went.
#[derive(Clone, Copy)]
enum Ends {
    V4(SocketAddrV4, SocketAddrV4),
    /// By their place in the batch.
    Other(u32),
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
                self.unreachable.push(Unreachable {
                    quoted: &[],
                    ..about
                });
                // Not more than there are packets.
                KeptContent::Unreachable((self.unreachable.len() - 1) as u32, quoted)
            }
        };
        let ends = match (packet.src, packet.dst) {
            (SocketAddr::V4(src), SocketAddr::V4(dst)) => Ends::V4(src, dst),
            others => {
                self.addresses.push(others);
                Ends::Other((self.addresses.len() - 1) as u32)
            }
        };
        self.packets.push(Kept {
            number,
            time,
            ends,
            content,
            payload,
            payload_len: packet.payload_len,
            payload_kind: packet.payload_kind,
            fragments: packet.fragments,
            wrong_checksum: packet.wrong_checksum,
        });
    }

    fn show(&self, presenter: &mut Presenter) -> io::Result<()> {
        presenter.begin(self.start);
        for kept in &self.packets {
            let content = match kept.content {
                KeptContent::Segment(segment) => Content::Segment(segment),
                KeptContent::Datagram => Content::Datagram,
                KeptContent::Unreachable(about, quoted) => Content::Unreachable(Unreachable {
                    quoted: self.at(quoted),
                    ..self.unreachable[about as usize]
                }),
            };
            let (src, dst) = match kept.ends {
                Ends::V4(src, dst) => (src.into(), dst.into()),
                Ends::Other(both) => self.addresses[both as usize],
            };
            let packet = Packet {
                src,
                dst,
                content,
                payload: self.at(kept.payload),
                payload_len: kept.payload_len,
                payload_kind: kept.payload_kind,
                fragments: kept.fragments,
                wrong_checksum: kept.wrong_checksum,
            };
            presenter.packet(kept.number, kept.time, &packet)?;
        }
        Ok(())
    }
}

impl Load for Batch {
    fn clear(&mut self) {
        self.packets.clear();
        self.octets.clear();
        self.addresses.clear();
        self.unreachable.clear();
    }
}

impl Load for Sheet {
    fn clear(&mut self) {
        Sheet::clear(self);
    }
}

/// The way to the press, as long as that is at work.
impl Press for Sender<Sheet> {
    fn print(&mut self, sheet: &mut Sheet) -> io::Result<()> {
        self.send(sheet)
            .map_err(|Stopped| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
    let (to_presenter, batches) = belt();
    let (to_press, sheets) = belt();
    thread::scope(|scope| {
        let intake = Intake::new(setup.ports.as_deref());
        let reader = scope.spawn(move || read(source, intake, &to_presenter));
        let presenter = scope.spawn(move || {
            let mut presenter = Presenter::new(setup, Box::new(to_press));
            batches.each(|batch: &mut Batch| batch.show(&mut presenter))?;
            // The reader has come to its end, or it would still be sending.
            let (counts, damage) = joined(reader);
            if damage.is_some() && counts.frames == 0 {
                presenter.hush();
            }
            Ok((presenter.finish(counts)?, damage))
        });
        let mut printer = Printer::new(writer);
        let printed = sheets.each(|sheet| printer.print(sheet));
        let shown = joined(presenter);
        // When nothing can be printed, that is why the others have stopped.
        printed.and_then(|()| printer.flush())?;
        shown
    })
}

/// What came of a stage that is at its end.
fn joined<T>(stage: ScopedJoinHandle<'_, T>) -> T {
    stage
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Fills batches until the file ends or nobody wants more.
fn read(
    mut source: FileSource,
    mut intake: Intake,
    to_presenter: &Sender<Batch>,
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
        if batch.is_full() && to_presenter.send(&mut batch).is_err() {
            return (intake.finish(), None);
        }
    };
    if !batch.packets.is_empty() {
        // Nobody may want it any more.
        let _ = to_presenter.send(&mut batch);
    }
    (intake.finish(), damage)
}
