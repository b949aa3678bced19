//! The tap: everything that crosses the scenario's own wire, from before the first program until after the last. On a wire
//! that others use too, what is from or to the ports on which the server waits.
//!
//! ```text
//! kernel ──frames──▶ [thread: file, decoder, conversations] ──Item──▶ [this thread: whose is it?] ──▶ recorder
//! ```
//!
//! The thread reads without pause, whatever the stage is busy with. Frames come up to 10 ms after their effects; who
//! must know everything that has happened so far asks [`Tap::catch_up`], which sends a beacon through the wire and waits
//! until it comes out of the capture. What was missed, or left out because it was too much, is told as
//! [`EventKind::WatchFailed`]: the judge concludes nothing from such a wire.

use super::recorder::Recorder;
use super::relay::{self, Relay};
use crate::event::{Crossing, CrossingKind, EventKind, Octets};
use crate::fault::Meddling;
use crate::world::cable;
use crate::world::watch::INTERFACE;
use capture::conversation::{
    Conversation, Flags, Limits, Message, Note, Sink, Step, StepKind, Tracker,
};
use capture::decode::{Decoder, Outcome, PortFilter};
use capture::frame::{Frame, LinkType};
use capture::pipeline::FrameSink;
use capture::source::live::beacon::{self, Beacon};
use capture::source::live::{self, LiveCapture, Settings};
use capture::source::write::{InterfaceId, PcapngWriter, Statistics};
use capture::time::Timestamp;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Octets of frames that the evidence keeps.
const MOST_KEPT: u64 = 64 << 20;
/// Crossings that become events.
const MOST_CROSSINGS: usize = 4_000;
/// Octets of payload in all events together.
const MOST_PAYLOAD: usize = 2 << 20;
/// How long a beacon may take to come out of the capture. The kernel holds frames back for 10 ms.
const BEACON_WITHIN: Duration = Duration::from_secs(5);
/// A beacon the kernel had no room for is sent again.
const BEACON_AGAIN: Duration = Duration::from_millis(200);
/// The wall clock may be corrected by so much during a scenario (µs).
const CLOCK_TOLERANCE_US: i64 = 20_000;

/// What the thread has to tell.
enum Item {
    Crossed(Timestamp, Box<Crossing>),
    Meddled(u64, Meddling),
    Beacon(u64),
    Failed(String),
}

/// What sends beacons, as soon as it is open.
#[derive(Debug)]
enum Sender {
    Opening(Option<JoinHandle<Result<Beacon, String>>>),
    Open(Beacon),
    Failed(String),
}

impl Sender {
    /// Sends the next beacon and says its number.
    fn send(&mut self) -> Result<u64, String> {
        if let Sender::Opening(thread) = self {
            *self = match thread.take().map(JoinHandle::join) {
                Some(Ok(Ok(beacon))) => Sender::Open(beacon),
                Some(Ok(Err(why))) => Sender::Failed(why),
                _ => Sender::Failed("the thread that opens beacons has panicked".to_owned()),
            };
        }
        match self {
            Sender::Open(beacon) => beacon.send().map_err(|error| error.to_string()),
            Sender::Failed(why) => Err(why.clone()),
            Sender::Opening(_) => Err("it is not open yet".to_owned()),
        }
    }
}

/// On a network that others use as well, the ports that are looked at: those on which the server waits.
pub(super) type Ports = watch::Receiver<Vec<u16>>;

/// Headings for the frames of the file: from when on, and what.
type Headings = Arc<Mutex<Vec<(Timestamp, String)>>>;

/// Where frames come from.
pub(super) enum Source {
    /// The loopback interface, which is only listened to.
    Loopback,
    /// A cable in the harness's hand.
    Cable(Box<Relay>),
}

/// The same, open.
enum Opened {
    Loopback(Box<LiveCapture>),
    Cable(Box<Relay>),
}

impl Opened {
    fn interface(&self) -> (&str, LinkType) {
        match self {
            Opened::Loopback(capture) => (capture.interface(), capture.link_type()),
            Opened::Cable(_) => (cable::INTERFACE, relay::LINK),
        }
    }
}

/// A wire that is watched.
#[derive(Debug)]
pub(super) struct Tap {
    beacon: Sender,
    seen: watch::Receiver<u64>,
    headings: Headings,
    recorder: Rc<Recorder>,
    /// The wall clock at the beginning of the scenario (µs).
    zero_us: i64,
    /// The thread goes on until this is closed.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Tap {
    /// Begins to watch, and to keep the frames in `file`: all of them, or those of some `ports`. `attribute` says whose
    /// socket has an address.
    pub(super) fn open(
        source: Source,
        ports: Option<Ports>,
        file: Option<PathBuf>,
        recorder: &Rc<Recorder>,
        attribute: impl FnMut(&mut Crossing, u64) + 'static,
    ) -> Result<Self, String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let token = u64::from(std::process::id());
        let opened = match source {
            Source::Loopback => {
                let settings = Settings {
                    interface: Some(INTERFACE.to_owned()),
                    ports: None,
                    ..Settings::default()
                };
                let capture = LiveCapture::open(&settings).map_err(|error| said(&error))?;
                Opened::Loopback(Box::new(capture))
            }
            Source::Cable(relay) => Opened::Cable(relay),
        };
        let interface = match opened {
            Opened::Loopback(_) => INTERFACE,
            Opened::Cable(_) => cable::INTERFACE,
        };
        // Opening takes the kernel some 20 ms; the first beacon is sent later than that.
        let beacon = Sender::Opening(Some(std::thread::spawn(move || {
            Beacon::open(interface, token).map_err(|error| error.to_string())
        })));
        let file = match file {
            Some(path) => Some(
                Kept::create(&path, opened.interface())
                    .map_err(|error| format!("{}: {error}", path.display()))?,
            ),
            None => None,
        };
        let (stopped, stop) = io::pipe().map_err(|error| said(&error))?;
        let (items, received) = mpsc::unbounded_channel();
        let (told, seen) = watch::channel(0);
        let headings = Headings::default();
        let reader = Reader {
            token,
            decoder: Decoder::new(match ports {
                None => PortFilter::all(),
                Some(_) => PortFilter::only(&[]),
            }),
            ports,
            tracker: Tracker::new(&[], Limits::default()),
            outlet: Outlet {
                items,
                crossings: 0,
                payload: 0,
            },
            headings: Arc::clone(&headings),
            file,
            beacon: 0,
            told: 0,
            dropped: 0,
            frames: 0,
        };
        let thread = std::thread::Builder::new()
            .name("tap".to_owned())
            .spawn(move || reader.run(opened, &stopped))
            .map_err(|error| said(&error))?;
        let zero_us = zero_us(recorder);
        tokio::task::spawn_local(tell(
            received,
            Rc::clone(recorder),
            zero_us,
            told,
            attribute,
        ));
        Ok(Tap {
            beacon,
            seen,
            headings,
            recorder: Rc::clone(recorder),
            zero_us,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The frames from now on belong to a step.
    pub(super) fn head(&self, heading: String) {
        let mut headings = self.headings.lock().unwrap_or_else(PoisonError::into_inner);
        headings.push((now(), heading));
    }

    /// Waits until everything that has crossed the wire so far has been recorded.
    pub(super) async fn catch_up(&mut self) {
        let deadline = Instant::now() + BEACON_WITHIN;
        let mut why = "the capture did not catch up".to_owned();
        let mut first = None;
        while Instant::now() < deadline {
            match self.beacon.send() {
                Ok(number) => first = first.or(Some(number)),
                Err(error) => why = error,
            }
            let wanted = first.unwrap_or(u64::MAX);
            let there = self.seen.wait_for(|seen| *seen >= wanted);
            match tokio::time::timeout(BEACON_AGAIN, there).await {
                Ok(Ok(_)) => {
                    if (zero_us(&self.recorder) - self.zero_us).abs() <= CLOCK_TOLERANCE_US {
                        return;
                    }
                    why = "the machine's clock was set during the scenario".to_owned();
                    break;
                }
                Ok(Err(_)) => {
                    why = "the capture has ended".to_owned();
                    break;
                }
                Err(_) => {}
            }
        }
        self.recorder.record(EventKind::WatchFailed { why });
    }

    /// Ends the capture and completes the file.
    pub(super) fn close(mut self) {
        // The thread sees that nobody holds the other end any more.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has left no complete file, which is all that can be said.
            let _ = thread.join();
        }
    }
}

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The wall clock at the beginning of the scenario (µs). The two clocks are read one after the other, and the machine may
/// do something else between the two: the nearest of a few readings counts.
fn zero_us(recorder: &Recorder) -> i64 {
    let signed = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
    let reading = |_| {
        let before = signed(recorder.now_us());
        let wall = signed(now().nanos() / 1_000);
        let after = signed(recorder.now_us());
        (after - before, wall - after)
    };
    let nearest = (0..5).map(reading).min();
    nearest.map_or(0, |(_, zero)| zero)
}

/// Records what the thread tells.
async fn tell(
    mut items: mpsc::UnboundedReceiver<Item>,
    recorder: Rc<Recorder>,
    zero_us: i64,
    told: watch::Sender<u64>,
    mut attribute: impl FnMut(&mut Crossing, u64),
) {
    while let Some(item) = items.recv().await {
        match item {
            Item::Crossed(time, mut crossing) => {
                let wall = i64::try_from(time.nanos() / 1_000).unwrap_or(i64::MAX);
                let at_us = u64::try_from(wall - zero_us).unwrap_or(0);
                attribute(&mut crossing, at_us);
                recorder.record_at(at_us, EventKind::Crossed(*crossing));
            }
            Item::Meddled(frame, what) => recorder.record(EventKind::Meddled {
                frame: Some(frame),
                what,
            }),
            Item::Beacon(number) => {
                told.send_replace(number);
            }
            Item::Failed(why) => recorder.record(EventKind::WatchFailed { why }),
        }
    }
}

/// The thread's half: takes frames from the kernel.
pub(super) struct Reader {
    token: u64,
    decoder: Decoder,
    ports: Option<Ports>,
    tracker: Tracker,
    outlet: Outlet,
    headings: Headings,
    file: Option<Kept>,
    /// The last beacon seen; told when everything before it was.
    beacon: u64,
    told: u64,
    dropped: u64,
    frames: u64,
}

impl Reader {
    fn run(mut self, opened: Opened, stop: &PipeReader) {
        let dropped = match opened {
            Opened::Loopback(mut capture) => {
                let ended = capture.run(&mut self, stop.as_fd(), live::Limits::default());
                ended
                    .map(|ended| ended.dropped)
                    .map_err(|error| error.to_string())
            }
            Opened::Cable(relay) => {
                let ended = relay.run(&mut self, stop);
                ended.map(|()| None).map_err(|error| error.to_string())
            }
        };
        let dropped = dropped.unwrap_or_else(|error| {
            self.outlet.fail(format!("the capture broke off: {error}"));
            None
        });
        if let Some(file) = self.file.take()
            && let Err(error) = file.complete(self.frames, dropped)
        {
            self.outlet
                .fail(format!("the capture's file cannot be completed: {error}"));
        }
    }

    /// Whether a frame is one that the harness has sent to itself.
    pub(super) fn is_beacon(&self, frame: &Frame<'_>) -> bool {
        beacon::number(frame, self.token).is_some()
    }

    /// Whether a frame is nobody's concern here: on a shared network, what is not from or to a port that is looked at.
    fn is_of_others(&mut self, frame: &Frame<'_>) -> bool {
        let Some(ports) = &mut self.ports else {
            return false;
        };
        if ports.has_changed().unwrap_or(false) {
            let ports = ports.borrow_and_update();
            self.decoder.set_filter(PortFilter::only(&ports));
        }
        !matches!(self.decoder.decode(frame), Outcome::Lab(_))
    }

    /// What became of the last frame.
    pub(super) fn meddled(&self, what: Meddling) {
        // When nobody listens any more the scenario is over.
        let _ = self.outlet.items.send(Item::Meddled(self.frames, what));
    }

    /// From here on nothing can be concluded.
    pub(super) fn fail(&self, why: String) {
        self.outlet.fail(why);
    }

    fn heading(&self, time: Timestamp) -> Option<String> {
        let mut headings = self.headings.lock().unwrap_or_else(PoisonError::into_inner);
        let due = headings
            .iter()
            .take_while(|(from, _)| *from <= time)
            .count();
        headings
            .drain(..due)
            .next_back()
            .map(|(_, heading)| heading)
    }

    fn keep(&mut self, frame: &Frame<'_>) {
        let heading = self.heading(frame.time);
        let Some(file) = &mut self.file else { return };
        let room = file.octets + frame.octets.len() as u64 <= MOST_KEPT;
        let frame = Frame {
            number: self.frames,
            comment: heading.as_deref(),
            ..*frame
        };
        let why = match room.then(|| file.write(&frame)) {
            Some(Ok(())) => return,
            Some(Err(error)) => format!("a frame cannot be written: {error}"),
            None => format!(
                "more crossed the wire than the {} MiB that are kept",
                MOST_KEPT >> 20
            ),
        };
        if !std::mem::replace(&mut file.full, true) {
            self.outlet.fail(why);
        }
    }
}

impl FrameSink for Reader {
    fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        if let Some(number) = beacon::number(frame, self.token) {
            self.beacon = number;
            return Ok(());
        }
        if self.is_of_others(frame) {
            return Ok(());
        }
        self.frames += 1;
        if self.file.as_ref().is_none_or(|file| !file.full) {
            self.keep(frame);
        }
        if self.outlet.is_full() {
            return Ok(());
        }
        match self.decoder.decode(frame) {
            Outcome::Lab(packet) => {
                self.tracker
                    .push(self.frames, frame.time, &packet, &mut self.outlet);
            }
            Outcome::Undecoded(why) => self
                .outlet
                .fail(format!("frame {} cannot be decoded: {why}", self.frames)),
            Outcome::Fragment | Outcome::Filtered(_) => {}
        }
        Ok(())
    }

    fn pause(&mut self) -> io::Result<()> {
        // Everything before it has been told, what was dropped included.
        if self.told != self.beacon {
            self.told = self.beacon;
            let _ = self.outlet.items.send(Item::Beacon(self.beacon));
        }
        Ok(())
    }

    fn dropped(&mut self, total: u64) -> io::Result<()> {
        if self.dropped == 0 {
            self.outlet
                .fail("the kernel had no room for some frames".to_owned());
        }
        self.dropped = total;
        Ok(())
    }

    fn lab(&self) -> u64 {
        0
    }
}

/// Makes items of what conversations are found to do.
struct Outlet {
    items: mpsc::UnboundedSender<Item>,
    crossings: usize,
    payload: usize,
}

impl Outlet {
    fn fail(&self, why: String) {
        // When nobody listens any more the scenario is over.
        let _ = self.items.send(Item::Failed(why));
    }

    fn is_full(&self) -> bool {
        self.crossings >= MOST_CROSSINGS || self.payload >= MOST_PAYLOAD
    }
}

impl Sink for Outlet {
    fn step(&mut self, conversation: &Conversation, step: &Step<'_>) {
        let what = match step.kind {
            StepKind::Datagram => CrossingKind::Datagram,
            StepKind::Unreachable(reason) => CrossingKind::Unreachable {
                reason: Note::Unreachable(reason).to_string(),
            },
            StepKind::Segment(facts) => {
                let noted = |wanted: fn(&Note) -> bool| step.notes.iter().any(|note| wanted(&note));
                let handshake = step.notes.iter().find_map(|note| match note {
                    Note::Handshake(number) => Some(number),
                    _ => None,
                });
                let retransmission = noted(|note| matches!(note, Note::Retransmission));
                let speaks = Flags::SYN.and(Flags::FIN).and(Flags::RST);
                if !facts.flags.has_any(speaks) && handshake.is_none() && step.payload_len == 0 {
                    return;
                }
                CrossingKind::Segment {
                    flags: facts.flags.names().map(str::to_owned).collect(),
                    seq: facts.seq,
                    ack: facts.ack,
                    handshake,
                    retransmission,
                    refused: noted(|note| matches!(note, Note::Refused)),
                }
            }
        };
        if self.is_full() {
            return;
        }
        self.crossings += 1;
        let payload = &step.payload[..step.payload.len().min(MOST_PAYLOAD - self.payload)];
        self.payload += payload.len();
        // An ICMP message comes from the kernel, and is about one end of the conversation and for the other.
        let (src, dst) = match what {
            CrossingKind::Unreachable { .. } => {
                let sender = step.direction.sender();
                (conversation.end(sender), conversation.end(sender.peer()))
            }
            _ => (step.src, step.dst),
        };
        let crossing = Crossing {
            frame: step.number,
            conversation: conversation.id,
            from: None,
            to: None,
            src,
            dst,
            what,
            len: step.payload_len,
            payload: Octets(payload.to_vec()),
        };
        let _ = self
            .items
            .send(Item::Crossed(step.time, Box::new(crossing)));
        if self.is_full() {
            self.fail(format!(
                "more crossed the wire than is looked at ({MOST_CROSSINGS} segments and datagrams, {} MiB)",
                MOST_PAYLOAD >> 20
            ));
        }
    }

    fn late_messages(&mut self, _: &Conversation, _: &[Message<'_>]) {}

    fn retired(&mut self, _: &Conversation) {}
}

/// What a file is called until it is complete.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("unfinished")
}

/// The evidence's file. It has another name until it is complete, so that one with its own name can be read.
struct Kept {
    writer: PcapngWriter<File>,
    interface: InterfaceId,
    octets: u64,
    full: bool,
    unfinished: PathBuf,
    path: PathBuf,
}

impl Kept {
    fn create(path: &Path, (name, link): (&str, LinkType)) -> io::Result<Self> {
        let unfinished = unfinished(path);
        let file = File::create(&unfinished)?;
        let comment = "One scenario's wire. The first frame of each step says which.";
        let mut writer = PcapngWriter::new(file, "harness", Some(comment))?;
        let interface = writer.interface(name, link, live::SNAPLEN)?;
        Ok(Kept {
            writer,
            interface,
            octets: 0,
            full: false,
            unfinished,
            path: path.to_owned(),
        })
    }

    fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        self.octets += frame.octets.len() as u64;
        self.writer.frame(self.interface, frame)
    }

    fn complete(mut self, delivered: u64, dropped: Option<u64>) -> io::Result<()> {
        let statistics = Statistics {
            delivered: Some(delivered),
            dropped,
        };
        self.writer.statistics(self.interface, now(), &statistics)?;
        self.writer.into_inner()?;
        std::fs::rename(&self.unfinished, &self.path)
    }
}
