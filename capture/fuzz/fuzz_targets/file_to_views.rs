//! Any octets at all, read as a capture file and shown by every view: nothing may panic, and nothing may act on the
//! terminal.
//!
//! How to run it: see the README beside this folder.

#![no_main]

use capture::conversation::Role;
use capture::pipeline::{FrameSink as _, Pipeline, Setup};
use capture::source::file::FileSource;
use capture::view::blocks::Order;
use capture::view::{Style, ViewChoice};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::io::{self, Cursor, Write};
use std::rc::Rc;

fuzz_target!(|file: &[u8]| {
    // Where a view says anything at all, it may be narrow, as wide as it likes, or coloured and with explanations.
    for (view, width) in [
        (ViewChoice::Talk, 0),
        (ViewChoice::Talk, 1),
        (ViewChoice::Segments, 20),
        (ViewChoice::Json, 0),
        (ViewChoice::Ladder, 0),
        (ViewChoice::Ladder, 7),
        (ViewChoice::Ladder, 80),
        (ViewChoice::Follow(None), 3),
        (ViewChoice::FollowJson(None), 0),
        (ViewChoice::Raw(Role::Client), 0),
        (ViewChoice::Summary, 0),
        (ViewChoice::Summary, 30),
        (ViewChoice::SummaryJson, 0),
        (ViewChoice::Report, 0),
    ] {
        let shown = show(file, view, width);
        if matches!(view, ViewChoice::Raw(_)) {
            continue;
        }
        let text = std::str::from_utf8(&shown).expect("a view writes UTF-8");
        for line in text.lines() {
            // A tab is shown as one where text stands in lines of its own.
            let is_tab = |c| c == '\t' && matches!(view, ViewChoice::Follow(_));
            let acts = line.chars().find(|&c| c.is_control() && !is_tab(c));
            assert!(acts.is_none(), "{view:?} lets {acts:?} through: {line:?}");
        }
    }
});

/// What the view writes about this file.
fn show(file: &[u8], view: ViewChoice, width: usize) -> Vec<u8> {
    let shown = Rc::new(RefCell::new(Vec::new()));
    let setup = Setup {
        // Half of the files that are made have other ports.
        ports: (width != 0).then(|| vec![20001, 20002]),
        view,
        style: Style {
            explain: width == 1,
            width,
            ..Style::default()
        },
        order: if width % 2 == 0 {
            Order::ByConversation
        } else {
            Order::AsItHappens
        },
        conversation: None,
        svg: width == 80,
        expectations: Vec::new(),
    };
    let mut pipeline = Pipeline::new(setup, Box::new(Shared(Rc::clone(&shown))));
    let mut source = FileSource::new(Box::new(Cursor::new(file.to_vec())));
    while let Ok(Some(frame)) = source.next_frame() {
        pipeline
            .frame(&frame)
            .expect("memory takes all that is written");
        // As in a live capture, where there are moments with nothing to do.
        if width % 2 == 1 && frame.number % 4 == 0 {
            pipeline.pause().expect("memory takes all that is written");
        }
    }
    pipeline.finish().expect("memory takes all that is written");
    shown.take()
}

/// A writer that the pipeline may keep.
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
