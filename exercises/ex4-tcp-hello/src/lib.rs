//! TCP hello: a client connects and sends a line, the server prints it and
//! answers with a line, both close the connection in good order.
//!
//! # Where to start
//! Read [`line`](mod@line) (where a message ends in a stream of octets), then
//! [`message`] (what is said), then [`server`] (a task per connection) and
//! [`client`] (connect, ask, close).
//!
//! | file | holds |
//! |---|---|
//! | `line.rs` | cuts lines out of the octets that have arrived |
//! | `message.rs` | the greeting and the answer: octets in, octets out |
//! | `server.rs` | listen, one task per connection, goodbye to all at the end |
//! | `client.rs` | connect, ask, close in good order |
//! | `address.rs` | `HOST:PORT` as people type it, and its resolution |
//! | `printable.rs` | octets from strangers made safe for a terminal |
//! | `screen.rs` | lines for standard output, written by a thread of their own |
//! | `stop.rs` | Ctrl-C and SIGTERM as a future |
//! | `bin/*.rs` | arguments in, exit status out |
//!
//! # Invariants
//! - One `read` is never taken for one message: TCP keeps the order of octets
//!   and nothing else (RFC 9293 §2.2).
//! - A line has at most [`line::MAX_LEN`] octets, so a client cannot make the
//!   server keep more than that.
//! - No client waits for another: neither for a silent one nor for one that
//!   does not read its answers.
//! - Neither side closes while octets are unread, so the connection ends with
//!   a FIN from each side, never with a RST (RFC 9293 §3.6.1). Only a client
//!   that goes on sending after a refusal, or reads nothing at the end, is cut
//!   off.
//! - Absent on purpose: sessions, names and commands (see the calculator and
//!   the chat room), encryption, and a limit on how long a client may think.

pub mod address;
pub mod client;
pub mod line;
pub mod message;
pub mod printable;
pub mod screen;
pub mod server;
pub mod stop;

/// TCP port of the lab's hello server.
pub const DEFAULT_PORT: u16 = 20002;
