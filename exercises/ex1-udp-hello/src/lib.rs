//! UDP hello: a client sends one text in one datagram, the server prints it
//! and answers with one datagram, the client prints the answer.
//!
//! # Where to start
//! Read [`message`] (what is said), then [`server`] (one socket for everybody)
//! and [`client`] (send, wait, send again). The rest is shared by every
//! network program and holds no part of the lesson:
//!
//! | file | holds |
//! |---|---|
//! | `message.rs` | the greeting and the answer: octets in, octets out |
//! | `server.rs` | bind, then receive, print and answer until told to stop |
//! | `client.rs` | ask one address after the other, resending what may be lost |
//! | `address.rs` | `HOST:PORT` as people type it, and its resolution |
//! | `printable.rs` | octets from strangers made safe for a terminal |
//! | `screen.rs` | lines for standard output that never hold up the server |
//! | `stop.rs` | Ctrl-C and SIGTERM as a future |
//! | `bin/*.rs` | arguments in, exit status out |
//!
//! # Invariants
//! - The server keeps nothing about a client: no table, no session, no task.
//!   That is what UDP gives (RFC 768), and why a class of 300 costs no more
//!   than one client.
//! - No datagram ends the server: not an empty one, not one of 65,507 octets,
//!   not one that is no text, not one whose sender is gone when the answer
//!   comes.
//! - The server never answers an answer, so two servers cannot be tricked
//!   into talking to each other for ever.
//! - Nothing from the network reaches a terminal unescaped.
//! - Absent on purpose: `SO_REUSEADDR` (see [`server::bind`]), numbering of
//!   messages, encryption, and any promise that a message arrives once.

pub mod address;
pub mod client;
pub mod message;
pub mod printable;
pub mod screen;
pub mod server;
pub mod stop;

/// UDP port of the lab's hello server.
pub const DEFAULT_PORT: u16 = 20001;
