//! The straight line from frames to a view: decode, find the conversation, show it.
//!
//! Whoever has frames (a file, an interface, a command in a private network) feeds them to a [`Pipeline`] and finishes
//! it. Nothing here knows where frames come from, and nothing here reads a clock.

use crate::conversation::{Conversation, Limits, Message, Sink, Step, Tracker};
use crate::decode::{Decoder, Outcome, PortFilter};
use crate::expect::{Expectation, Judge};
use crate::frame::Frame;
use crate::view::blocks::{Blocks, Order};
use crate::view::summary::Totals;
use crate::view::svg::Svg;
use crate::view::{Style, ViewChoice};
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

/// Different reasons that are told apart; more are counted together.
const MOST_REASONS: usize = 64;

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
    decoder: Decoder,
    tracker: Tracker,
    setup: Setup,
    writer: Option<Box<dyn Write>>,
    audience: Option<Audience>,
    filtered: BTreeMap<crate::decode::Filtered, u64>,
    counts: Counts,
}

impl Pipeline {
    /// A pipeline that shows what `setup` asks for on `writer`.
    pub fn new(setup: Setup, writer: Box<dyn Write>) -> Self {
        let ports = setup.ports.clone().unwrap_or_default();
        let filter = match &setup.ports {
            Some(ports) => PortFilter::only(ports),
            None => PortFilter::all(),
        };
        Pipeline {
            decoder: Decoder::new(filter),
            tracker: Tracker::new(&ports, Limits::default()),
            setup,
            writer: Some(writer),
            audience: None,
            filtered: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// All frames are in: shows the rest.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn finish(mut self) -> io::Result<Finished> {
        let mut audience = match self.audience.take() {
            Some(audience) => audience,
            None => self.open(),
        };
        self.tracker.finish(&mut audience);
        let unfinished = self.decoder.finish();
        if unfinished > 0 {
            let reason = "fragments whose datagram never became complete".to_owned();
            self.counts.undecoded.insert(reason, (unfinished, 0));
        }
        for (reason, count) in &self.filtered {
            self.counts.filtered.insert(reason.to_string(), *count);
        }
        if let Some(closing) =
            self.setup
                .view
                .closing(&self.setup.style, &audience.totals, &self.counts)
        {
            audience.blocks.say(&closing);
        }
        audience.blocks.flush()?;
        Ok(Finished {
            verdicts: audience
                .judge
                .map(|judge| judge.verdicts())
                .unwrap_or_default(),
            svg: audience.svg.map(Svg::into_svg),
            conversations: audience.totals.conversations,
            missing: audience.missing,
            counts: self.counts,
        })
    }

    /// The views are made when the first frame is there, since times are counted from it.
    fn open(&mut self) -> Audience {
        let style = &self.setup.style;
        let writer = self.writer.take().unwrap_or_else(|| Box::new(io::sink()));
        let expectations = std::mem::take(&mut self.setup.expectations);
        Audience {
            conversation: self.setup.conversation,
            blocks: Blocks::new(
                self.setup.view.open(style),
                self.setup.view.order(self.setup.order),
                writer,
            ),
            totals: Totals::default(),
            judge: (!expectations.is_empty()).then(|| Judge::new(expectations)),
            svg: self.setup.svg.then(|| Svg::new(style.clone())),
            missing: [0; 2],
        }
    }

    fn undecoded(&mut self, number: u64, reason: String) {
        let reason = if self.counts.undecoded.len() < MOST_REASONS
            || self.counts.undecoded.contains_key(&reason)
        {
            reason
        } else {
            "other reasons".to_owned()
        };
        self.counts.undecoded.entry(reason).or_insert((0, number)).0 += 1;
    }
}

impl FrameSink for Pipeline {
    fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        if self.audience.is_none() {
            self.setup.style.start = frame.time;
            self.audience = Some(self.open());
        }
        self.counts.frames += 1;
        let Some(audience) = &mut self.audience else {
            return Ok(());
        };
        match self.decoder.decode(frame) {
            Outcome::Lab(packet) => {
                self.counts.lab += 1;
                self.tracker
                    .push(frame.number, frame.time, &packet, audience);
                if audience.blocks.has_failed() {
                    return audience.blocks.flush();
                }
            }
            Outcome::Fragment => self.counts.fragments += 1,
            Outcome::Filtered(reason) => *self.filtered.entry(reason).or_insert(0) += 1,
            Outcome::Undecoded(why) => {
                let reason = why.to_string();
                self.undecoded(frame.number, reason);
            }
        }
        Ok(())
    }

    fn pause(&mut self) -> io::Result<()> {
        match &mut self.audience {
            Some(audience) => {
                self.tracker.flush_messages(audience);
                audience.blocks.flush()
            }
            None => Ok(()),
        }
    }

    fn lab(&self) -> u64 {
        self.counts.lab
    }
}

/// Everybody who is told what was found.
struct Audience {
    conversation: Option<u32>,
    blocks: Blocks,
    totals: Totals,
    judge: Option<Judge>,
    svg: Option<Svg>,
    missing: [u64; 2],
}

impl Audience {
    fn shows(&self, conversation: &Conversation) -> bool {
        self.conversation.is_none_or(|id| id == conversation.id)
    }

    fn each(&mut self, conversation: &Conversation, mut tell: impl FnMut(&mut dyn Sink)) {
        tell(&mut self.totals);
        if let Some(judge) = &mut self.judge {
            tell(judge);
        }
        if self.shows(conversation) {
            tell(&mut self.blocks);
            if let Some(svg) = &mut self.svg {
                tell(svg);
            }
        }
    }
}

impl Sink for Audience {
    fn step(&mut self, conversation: &Conversation, step: &Step<'_>) {
        self.each(conversation, |sink| sink.step(conversation, step));
    }

    fn late_messages(&mut self, conversation: &Conversation, messages: &[Message<'_>]) {
        self.each(conversation, |sink| {
            sink.late_messages(conversation, messages)
        });
    }

    fn retired(&mut self, conversation: &Conversation) {
        if self.shows(conversation) {
            for (missing, sent) in self.missing.iter_mut().zip(&conversation.sent) {
                *missing += sent.missing;
            }
        }
        self.each(conversation, |sink| sink.retired(conversation));
    }
}
