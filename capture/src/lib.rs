//! Shows what programs say to each other on the lab's ports: the handshake with its flags, the plaintext of both
//! directions, who closed first. From an interface as it happens, from a pcap or pcapng file, or around a command in a
//! private network that needs no privileges.
//!
//! # Bird's-eye view
//!
//! ```text
//!  source ──Frame──▶ decode ──Packet──▶ conversation ──Step, Message──▶ view ──▶ text, JSON, SVG
//!  file · live        link, IP,          tracker, streams,               talk, segments, ladder,
//!  run (a command)    TCP, UDP, ICMP     handshake, teardown             follow, summary, report
//! ```
//!
//! One straight line, held together by [`pipeline`]. Everything between source and view is a function of octets and the
//! times that the capture gives: no clock, no files, no printing. So a file, an interface and a test go through the same
//! code, and another program (a grading harness) can use the first three quarters of the line as its eye.
//!
//! # Map, in reading order
//!
//! - [`frame`], [`time`](mod@time): what a source delivers.
//! - [`source`]: `file` reads pcap and pcapng, `live` captures, `write` keeps frames as pcapng.
//! - [`decode`]: from a frame to a segment, a datagram or an ICMP message, or *why not*.
//! - [`conversation`]: who talks with whom, in order, without repetition; [`conversation::Sink`] is the hinge that views
//!   hang on.
//! - [`text`](mod@text): octets from strangers, made safe and named.
//! - [`view`]: text for people, JSON lines for programs, a picture.
//! - [`expect`]: self-checks with an exit status.
//! - [`namespace`]: private networks. `run`: a command in one. `sys`: the few system calls without a safe wrapper.
//! - `interfaces`, [`listeners`], [`permission`]: what there is to capture, who waits for traffic, and what to do
//!   where capturing is not allowed.
//! - [`cli`]: arguments and exit statuses.
//!
//! # Invariants
//!
//! - libpcap is called in `source::live` only (feature `live`, on by default). Files need none of it.
//! - Memory does not grow with the capture: conversations are forgotten when they are over or when there are too many,
//!   what waits behind gaps has a cap, and text that waits for its turn has one too.
//! - Every frame is shown, counted with the reason why not, or named with what is wrong with it.
//! - No octets from the wire reach a terminal unescaped (`--raw` aside, which exists for pipes).
//! - No input makes it panic.
//! - It knows TCP, UDP and the lab's port numbers, and nothing of exercises, checks or points. No names are resolved.
//! - Unsafe code is in one private module, `sys`.

pub mod cli;
pub mod conversation;
pub mod decode;
pub mod expect;
pub mod frame;
#[cfg(feature = "live")]
pub mod interfaces;
pub mod listeners;
#[cfg(target_os = "linux")]
pub mod namespace;
pub mod permission;
pub mod pipeline;
#[cfg(all(feature = "live", target_os = "linux"))]
pub mod run;
pub mod source;
#[cfg(target_os = "linux")]
mod sys;
pub mod text;
pub mod time;
pub mod view;
