//! The second half of the line: which conversation it belongs to, what it means there, who is told.

use super::{Counts, Finished, Setup};
use crate::conversation::{Conversation, Limits, Message, Sink, Step, Tracker};
use crate::decode::Packet;
use crate::expect::Judge;
use crate::time::Timestamp;
use crate::view::Unshown;
use crate::view::blocks::Blocks;
use crate::view::press::{Press, Printer};
use crate::view::summary::Totals;
use crate::view::svg::Svg;
use std::io;

/// Shows packets.
pub(super) struct Presenter {
    tracker: Tracker,
    setup: Setup,
    press: Option<Box<dyn Press>>,
    audience: Option<Audience>,
}

impl Presenter {
    /// One that has what `setup` asks for printed by `press`.
    pub(super) fn new(setup: Setup, press: Box<dyn Press>) -> Self {
        let ports = setup.ports.as_deref().unwrap_or_default();
        Presenter {
            tracker: Tracker::new(ports, Limits::default()),
            setup,
            press: Some(press),
            audience: None,
        }
    }

    /// Times are counted from the first frame, so views are made when it is there.
    pub(super) fn begin(&mut self, start: Timestamp) {
        if self.audience.is_none() {
            self.setup.style.start = start;
            self.audience = Some(self.open());
        }
    }

    /// The next packet.
    pub(super) fn packet(
        &mut self,
        number: u64,
        time: Timestamp,
        packet: &Packet<'_>,
    ) -> io::Result<()> {
        self.begin(time);
        let Some(audience) = &mut self.audience else {
            return Ok(());
        };
        self.tracker.push(number, time, packet, audience);
        if audience.blocks.has_failed() {
            return audience.blocks.flush();
        }
        Ok(())
    }

    /// Nothing more has come for the moment.
    pub(super) fn pause(&mut self) -> io::Result<()> {
        match &mut self.audience {
            Some(audience) => {
                self.tracker.flush_messages(audience);
                audience.blocks.flush()
            }
            None => Ok(()),
        }
    }

    /// Nothing was read, and why not is told elsewhere: what views say about nothing would be noise.
    pub(super) fn hush(&mut self) {
        self.press = None;
    }

    /// Nothing more will come.
    pub(super) fn finish(mut self, counts: Counts) -> io::Result<Finished> {
        let mut audience = match self.audience.take() {
            Some(audience) => audience,
            None => self.open(),
        };
        self.tracker.finish(&mut audience);
        let view = self.setup.view;
        let unshown = Unshown {
            silent: audience.blocks.silent(),
            elsewhere: audience.elsewhere,
        };
        if let Some(closing) = view.closing(&self.setup.style, &audience.totals, &counts, unshown) {
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
            counts,
        })
    }

    fn open(&mut self) -> Audience {
        let style = &self.setup.style;
        let view = self.setup.view;
        let press = self.press.take();
        let press = press.unwrap_or_else(|| Box::new(Printer::new(Box::new(io::sink()))));
        let expectations = std::mem::take(&mut self.setup.expectations);
        Audience {
            conversation: self.setup.conversation,
            blocks: Blocks::new(view.open(style), view.order(self.setup.order), press),
            totals: Totals::default(),
            judge: (!expectations.is_empty()).then(|| Judge::new(expectations)),
            svg: self.setup.svg.then(|| Svg::new(style.clone())),
            missing: [0; 2],
            elsewhere: 0,
        }
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
    /// Steps of conversations that are not shown.
    elsewhere: u64,
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
        self.elsewhere += u64::from(!self.shows(conversation));
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
