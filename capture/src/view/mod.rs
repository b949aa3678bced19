//! Views: what was found, as text or JSON. The only place that writes for people.
//!
//! A view is told about steps and writes octets into a buffer it is given; where they go is not its business. All
//! text from the wire is made safe by [`crate::text`] before it is written.
//!
//! - [`blocks`]: gathers a view's text by conversation, so that conversations that overlap in time are read one
//!   after the other; [`press`]: keeps and writes it as they say; `pieces`: the memory for it.
//! - [`talk`], [`segments`], [`ladder`], [`follow`], [`summary`], [`report`]: the views; [`json`]: JSON lines.
//! - [`svg`]: the ladder as a picture. [`explain`]: the teaching notes. `line`: columns and numbers.

pub mod blocks;
pub mod explain;
pub mod follow;
pub mod json;
pub mod ladder;
mod line;
mod pieces;
pub mod press;
pub mod report;
pub mod segments;
pub mod summary;
pub mod svg;
pub mod talk;
#[cfg(test)]
pub(crate) mod testing;
mod verdict;

use crate::conversation::{Conversation, Message, Role, Step};
use crate::pipeline::Counts;
use crate::text;
use crate::time::Timestamp;
use blocks::Order;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A view writes about one conversation at a time into `out`.
pub trait View {
    /// The very first words, before any conversation.
    fn opening(&mut self, _out: &mut Vec<u8>) {}

    /// The first words about a conversation: called once, before its first step.
    fn begin(&mut self, out: &mut Vec<u8>, conversation: &Conversation);

    /// Whether a step that is not the first has nothing in it for this view, which spares finding its place.
    fn ignores(&self, _conversation: &Conversation, _step: &Step<'_>) -> bool {
        false
    }

    /// A step of the conversation.
    fn step(&mut self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>);

    /// Messages that came to an end without a step.
    fn late_messages(
        &mut self,
        out: &mut Vec<u8>,
        conversation: &Conversation,
        messages: &[Message<'_>],
    );

    /// Whether the last words may come as soon as a connection is over; should a segment be late, they come again.
    fn ends_early(&self) -> bool {
        false
    }

    /// The last words about a conversation: nothing more will be heard of it.
    fn end(&mut self, out: &mut Vec<u8>, conversation: &Conversation);

    /// The heading when a conversation goes on after others were shown in between.
    fn resume(&mut self, out: &mut Vec<u8>, conversation: &Conversation);
}

/// What every view may ask about how to show things.
#[derive(Clone, Debug, Default)]
pub struct Style {
    /// Whether to colour by direction (only ever on a terminal).
    pub colour: bool,
    /// Whether to add the teaching notes.
    pub explain: bool,
    /// Columns of the terminal; 0 when it is not one.
    pub width: usize,
    /// The moment that times are counted from: the first frame of the capture. Set before the first step.
    pub start: Timestamp,
    /// Names given to ends by the user.
    pub names: Names,
}

/// Names for ends: `ada=51234` or `ada=127.0.0.1:51234`.
#[derive(Clone, Debug, Default)]
pub struct Names {
    by_port: BTreeMap<u16, String>,
    by_address: BTreeMap<SocketAddr, String>,
}

/// Why a name for an end was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is no `=` in it.
    #[error("expected NAME=PORT or NAME=ADDRESS:PORT, such as ada=51234")]
    NoEnd,
    /// The part before the `=` is empty or has characters that act on a terminal.
    #[error("expected a name of visible characters before the =")]
    Name,
    /// The part behind the `=` is no port and no address with a port.
    #[error(
        "expected a port or an address with a port behind the =, such as 51234 or 127.0.0.1:51234"
    )]
    End,
}

impl Names {
    /// Adds one, as the user writes it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add(&mut self, written: &str) -> Result<(), NameError> {
        let (name, end) = written.split_once('=').ok_or(NameError::NoEnd)?;
        let name = name.trim();
        if name.is_empty() || name.chars().any(text::acts) {
            return Err(NameError::Name);
        }
        if let Ok(port) = end.parse() {
            self.by_port.insert(port, name.to_owned());
        } else if let Ok(address) = end.parse() {
            self.by_address.insert(address, name.to_owned());
        } else {
            return Err(NameError::End);
        }
        Ok(())
    }

    /// Whether the user gave none.
    pub fn is_empty(&self) -> bool {
        self.by_port.is_empty() && self.by_address.is_empty()
    }

    /// What to call one part of a conversation: the user's name for it, or `client`, `server`.
    pub fn of<'a>(&'a self, conversation: &Conversation, role: Role) -> &'a str {
        if self.is_empty() {
            return role.name();
        }
        let end = conversation.end(role);
        self.by_address
            .get(&end)
            .or_else(|| self.by_port.get(&end.port()))
            .map_or(role.name(), String::as_str)
    }
}

/// The views there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewChoice {
    /// [`talk`].
    Talk,
    /// [`segments`].
    Segments,
    /// [`json`].
    Json,
    /// [`ladder`].
    Ladder,
    /// [`follow`], both sides or one.
    Follow(Option<Role>),
    /// [`follow`], a JSON object for each message.
    FollowJson(Option<Role>),
    /// [`follow`], the octets of one side as they are.
    Raw(Role),
    /// [`summary`].
    Summary,
    /// [`summary`], a JSON object for each conversation.
    SummaryJson,
    /// [`report`].
    Report,
}

impl ViewChoice {
    /// The view, in this style.
    pub fn open(self, style: &Style) -> Box<dyn View> {
        match self {
            ViewChoice::Talk => Box::new(talk::Talk::new(style.clone())),
            ViewChoice::Segments => Box::new(segments::Segments::new(style.clone())),
            ViewChoice::Json => Box::new(json::Json::default()),
            ViewChoice::Ladder => Box::new(ladder::Ladder::new(style.clone())),
            ViewChoice::Summary => Box::new(summary::Summary::new(style.clone())),
            ViewChoice::SummaryJson => Box::new(summary::SummaryJson::new(style.clone())),
            ViewChoice::Follow(role) => Box::new(follow::Follow::new(style.clone(), role)),
            ViewChoice::FollowJson(role) => Box::new(follow::FollowJson::new(role)),
            ViewChoice::Raw(role) => Box::new(follow::Raw::new(role)),
            ViewChoice::Report => Box::new(report::Report::new(style.clone())),
        }
    }

    /// In which order it is written: one line a segment is always told as it happens.
    pub fn order(self, wanted: Order) -> Order {
        match self {
            ViewChoice::Segments | ViewChoice::Json => Order::AsItHappens,
            // Told at the end of a conversation, so there is nothing to interleave.
            ViewChoice::Summary | ViewChoice::SummaryJson | ViewChoice::Report => {
                Order::ByConversation
            }
            _ => wanted,
        }
    }

    /// The last words about everything: what was found, and what was left out and why. Views whose output is for another
    /// program or a document have none.
    pub fn closing(
        self,
        style: &Style,
        totals: &summary::Totals,
        counts: &Counts,
        unshown: Unshown,
    ) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match self {
            ViewChoice::Summary => totals.push_text(&mut out, style, &counts.left_out()),
            ViewChoice::SummaryJson => totals.push_json(&mut out, &counts.left_out()),
            ViewChoice::Talk => push_closing(&mut out, style, counts, unshown),
            ViewChoice::Segments | ViewChoice::Ladder => {
                // The ladder itself says how many acknowledgments it does not draw one by one.
                let silent = 0;
                push_closing(&mut out, style, counts, Unshown { silent, ..unshown });
            }
            _ => return None,
        }
        Some(out)
    }
}

/// Packets of the lab's that a view did not show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unshown {
    /// Segments that carry no text and that there was nothing to say about: they only acknowledge.
    pub silent: u64,
    /// Packets of conversations that were not asked for.
    pub elsewhere: u64,
}

/// `8 of 20 frames shown`, and what the others are.
fn push_closing(out: &mut Vec<u8>, style: &Style, counts: &Counts, unshown: Unshown) {
    let Unshown { silent, elsewhere } = unshown;
    let shown = (counts.lab + counts.fragments).saturating_sub(silent + elsewhere);
    line::push_number(out, shown);
    out.extend_from_slice(b" of ");
    line::push_count(out, counts.frames, "frame");
    out.extend_from_slice(b" shown");
    line::dim(out, style);
    let own = [
        (silent, "only acknowledging (see --view segments)"),
        (elsewhere, "of other conversations"),
    ];
    let own = own.into_iter().filter(|(frames, _)| *frames > 0);
    let own = own.map(|(frames, reason)| (reason.to_owned(), frames));
    for (place, (reason, frames)) in own.chain(counts.left_out()).enumerate() {
        out.extend_from_slice(if place == 0 { b"; left out: " } else { b", " });
        line::push_number(out, frames);
        out.push(b' ');
        text::push_safe(out, reason.as_bytes());
    }
    line::plain(out, style);
    out.push(b'\n');
}
