//! Any sequence of events, played to the whole hall: connections come, log in, talk, stall, drain, vanish.
//!
//! What has to hold is said in `tests/it/history.rs`. How to run it: see the README beside this folder.

#![no_main]

#[path = "../../tests/it/history.rs"]
mod history;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    history::play(octets);
});
