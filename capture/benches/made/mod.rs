//! Captures that are made: for the tests, the benchmark and the seeds of the fuzz target.
//!
//! - [`container`]: pcap and pcapng, written by hand, so that no test has to believe the reader or writer it tests.
//! - [`craft`]: IP packets, by etherparse.
//! - [`generate`]: captures of any size that look like the lab's, with their ground truth.
//! - [`difficult`]: small captures with everything that goes wrong on a wire, with what was really said.
//!
//! Shared through `#[path]` by the benchmark and the tests; no part of the library.

pub(crate) mod container;
pub(crate) mod craft;
pub(crate) mod difficult;
pub(crate) mod generate;
