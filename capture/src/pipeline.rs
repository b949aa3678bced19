//! The straight line from frames to a view: decode, find the conversation, show it.
//!
//! Whoever has frames (a file, an interface, a command in a private network) feeds them to a [`Pipeline`] and finishes
//! it. Nothing here knows where frames come from.

use crate::frame::Frame;
use std::io;

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
}
