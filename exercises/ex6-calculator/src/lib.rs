//! A calculator over TCP: a client logs in with a name, sends one operation a line and gets one
//! line back, until it says `q`.
//!
//! # The map
//!
//! ```text
//!   a person                                                             the server's screen
//!      │  12 + 42                                                            ▲ Ada: 12 + 42 = 54
//!      ▼                                                                     │
//!   client.rs ── connection.rs ══ TCP ══ connection.rs ── server.rs ── session.rs
//!      └────────────── line.rs, message.rs, expression.rs, text.rs ──────────┘
//! ```
//!
//! | file | noun | touches the network |
//! |---|---|---|
//! | [`expression`] | `12 + 42`: parse, say where a line goes wrong, evaluate | no |
//! | [`message`] | what the two sides say to each other: [`message::Request`], [`message::Reply`] | no |
//! | [`mod@line`] | bytes in, lines out, with a maximum | no |
//! | [`session`] | one client's conversation as a state machine: line in, reply and screen text out | no |
//! | [`text`] | making received octets safe to print | no |
//! | [`address`] | `HOST:PORT` and its short forms | only to look a name up |
//! | [`connection`] | the framed stream: lines over a TCP connection | yes |
//! | [`server`] | listen, accept, and for every connection: read, ask the session, write | yes |
//! | [`client`] | the loop between a person and a connection | yes |
//! | [`shutdown`] | Ctrl-C and SIGTERM as a future | no |
//!
//! # Invariants
//!
//! - Everything with a decision in it is a function of values; the files that touch sockets only
//!   read, call and write.
//! - No `f64` anywhere: numbers are decimal from the first digit to the last, and an answer that
//!   had to be rounded says so.
//! - No session waits for another, and none can make the server hold more than one read and one
//!   line for it: a client that does not read its answers stops being read.
//! - Nothing received is printed raw.
//! - Deliberately absent: parentheses, precedence, variables, unique names, a log file, and any
//!   timeout on a person who is thinking.

pub mod address;
pub mod client;
pub mod connection;
pub mod expression;
pub mod line;
pub mod message;
pub mod server;
pub mod session;
pub mod shutdown;
pub mod text;

/// The TCP port the server listens on, and the client calls, unless told otherwise.
pub const DEFAULT_PORT: u16 = 20001;
