//! The expected transcripts of the lab, and the one function that compares with them.
//!
//! `snapshots/<group>/<name>.snap` is what a scenario, a report or a message is expected to look like. When
//! one changes on purpose, run `cargo snapshots` (every test, collecting what differs) and then
//! `cargo snapshots-review` to look at each difference before accepting it.
//!
//! Invariants: this crate is the only user of insta; it knows nothing of what it compares. Ports, times
//! and process ids are made stable by whoever renders the text, never by filters here, so that a report and
//! a snapshot show the same words. Snapshot settings belong to a thread: compare after the asynchronous part
//! of a test has finished.

use std::panic::Location;
use std::path::Path;

/// Compares `transcript` with `snapshots/<group>/<name>.snap`.
///
/// # Panics
/// When they differ or the snapshot does not exist yet: a `.snap.new` beside it then waits for review.
#[track_caller]
pub fn check(group: &str, name: &str, transcript: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join(group));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(Location::caller().file());
    settings.bind(|| insta::assert_snapshot!(name, transcript));
}
