//! Where frames come from: a file or standard input, or an interface as it happens; and where they are kept.
//!
//! - [`file`](mod@file): reads pcap and pcapng. Knows nothing of libpcap.
//! - `live`: captures from an interface; the only module that touches libpcap (feature `live`).
//! - [`write`](mod@write): writes pcapng.

pub mod file;
#[cfg(feature = "live")]
pub mod live;
pub mod write;
