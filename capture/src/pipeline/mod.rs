//! The straight line from frames to a view: decode, find the conversation, show it.
//!
//! Whoever has frames (a file, an interface, a command in a private network) feeds them to a [`Pipeline`] and finishes
//! it. Nothing here knows where frames come from, and nothing here reads a clock.
//!
//! The line has three stages: `intake` decodes and counts, `presenter` finds conversations and has a view speak about
//! them, and a [press](crate::view::press) keeps and writes what that says. A pipeline does all of it in turn, as traffic
//! that is just happening needs it; [`relay`] has each stage on a thread of its own, with a `belt` in between, which reads
//! files nearly twice as fast.

mod belt;
mod intake;
mod presenter;
pub mod relay;

use crate::expect::Expectation;
use crate::frame::Frame;
use crate::view::blocks::Order;
use crate::view::press::Printer;
use crate::view::{Style, ViewChoice};
use intake::Intake;
use presenter::Presenter;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Takes frames one by one.
pub trait FrameSink {
    /// The next frame.
    ///
    /// # Errors
    /// When the output cannot be written. A closed pipe is such an error too; the program ends quietly on it.
    fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()>;

    /// Nothing more has come for the moment: what was gathered is shown now.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn pause(&mut self) -> io::Result<()>;

    /// The kernel had no room for so many frames since the capture began. Told before a pause, and only of a live
    /// capture.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn dropped(&mut self, _total: u64) -> io::Result<()> {
        Ok(())
    }

    /// How many segments, datagrams and messages of the lab there were so far.
    fn lab(&self) -> u64;
}

/// What is wanted of a pipeline.
#[derive(Debug)]
pub struct Setup {
    /// The ports of the lab; `None` for all traffic.
    pub ports: Option<Vec<u16>>,
    /// Which view.
    pub view: ViewChoice,
    /// How it looks.
    pub style: Style,
    /// In which order.
    pub order: Order,
    /// Only this conversation is shown.
    pub conversation: Option<u32>,
    /// Whether to draw a picture too.
    pub svg: bool,
    /// What is expected of the traffic.
    pub expectations: Vec<Expectation>,
}

/// What became of all frames, in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames of the capture.
    pub frames: u64,
    /// Segments, datagrams and ICMP messages of the lab.
    pub lab: u64,
    /// Frames that were fragments of something larger.
    pub fragments: u64,
    /// Frames that are none of the lab's, by what they are.
    pub filtered: BTreeMap<String, u64>,
    /// Frames that could not be decoded, by why not; the first of each with its number.
    pub undecoded: BTreeMap<String, (u64, u64)>,
}

impl Counts {
    /// The frames that belong to no conversation: why, and how many; the most first.
    pub fn left_out(&self) -> Vec<(String, u64)> {
        let filtered = self
            .filtered
            .iter()
            .map(|(reason, count)| (reason.clone(), *count));
        let undecoded = self
            .undecoded
            .iter()
            .map(|(reason, (count, number))| match number {
                0 => (reason.clone(), *count),
                number => (format!("{reason} (first: frame {number})"), *count),
            });
        let mut all: Vec<_> = filtered.chain(undecoded).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all
    }
}

/// What is left to say when all frames are in.
#[derive(Debug)]
pub struct Finished {
    /// What became of all frames.
    pub counts: Counts,
    /// Each expectation, whether it was met, and because of what.
    pub verdicts: Vec<(String, bool, String)>,
    /// The picture.
    pub svg: Option<String>,
    /// How many conversations there were.
    pub conversations: u64,
    /// Octets of what was shown that the capture does not have, by [`Direction::index`](crate::conversation::Direction::index).
    pub missing: [u64; 2],
}

/// From frames to a view.
pub struct Pipeline {
    intake: Intake,
    presenter: Presenter,
}

impl Pipeline {
    /// A pipeline that shows what `setup` asks for on `writer`.
    pub fn new(setup: Setup, writer: Box<dyn Write>) -> Self {
        Pipeline {
            intake: Intake::new(setup.ports.as_deref()),
            presenter: Presenter::new(setup, Box::new(Printer::new(writer))),
        }
    }

    /// All frames are in: shows the rest.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn finish(self) -> io::Result<Finished> {
        self.presenter.finish(self.intake.finish())
    }
}

impl FrameSink for Pipeline {
    fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        self.presenter.begin(frame.time);
        match self.intake.take(frame) {
            Some(packet) => self.presenter.packet(frame.number, frame.time, &packet),
            None => Ok(()),
        }
    }

    fn pause(&mut self) -> io::Result<()> {
        self.presenter.pause()
    }

    fn lab(&self) -> u64 {
        self.intake.lab()
    }
}
