//! A chat room over TCP: log in with a unique name, and every line you type reaches everybody else.
//!
//! # Bird's-eye view
//!
//! ```text
//!  keyboard → Session → Request ─ one line ─→ Hall ─→ Room    who is in, who hears what
//!  screen   ← Session ← Reply   ←─ one line ─ Hall ←─ Room    (pure: event in, deliveries out)
//! ```
//!
//! Both ends have the same shape: a pure state machine that decides ([`room`] on the server,
//! [`session`] on the client) inside a thin shell that reads, calls and writes ([`server`],
//! [`client`], [`window`]). In between travels one line of UTF-8 text per message ([`message`], cut out of the
//! octet stream by [`lines`]).
//!
//! # Map
//!
//! | file | noun |
//! |---|---|
//! | [`name`] | a login name, and when two names are the same |
//! | [`message`] | the protocol: requests and replies as lines of text |
//! | [`lines`] | octets in, complete lines out, however the octets were split |
//! | [`printable`] | text that cannot do anything to a terminal but appear on it |
//! | [`room`] | the rules: event in → deliveries out |
//! | [`tape`] | what everybody is told, kept once for all of them |
//! | [`outbox`] | what one connection still has to get: how far it is on the tape, and what is for it alone |
//! | [`hall`] | the room, the tape and everybody's outbox; the only user of the room |
//! | [`server`] | listener, connections, orderly end |
//! | [`descriptors`] | room for so many connections |
//! | [`journal`] | the server's own output, which never makes the room wait |
//! | [`session`] | the client's rules: input in → actions out |
//! | [`connection`] | a client's connection: lines in, requests out |
//! | [`client`] | connection and session put together, for pipes and `--plain` |
//! | [`screen`] | plain lines in and out |
//! | [`window`] | connection and session put together, for a terminal; it has a map of its own |
//! | [`address`] | `HOST`, `HOST:PORT`, `[::1]:PORT` with a default port |
//!
//! # Invariants
//!
//! - [`room`], [`session`] and [`window::state`] know no sockets, no clock, no randomness and no hash
//!   order: the same events give the same messages in the same order.
//! - Nobody waits for a member who does not read: who falls too far behind the others leaves.
//! - No `write` per line: who has something to say is heard first, and then all that has gathered for a
//!   member leaves in one. Nor is anybody heard only when all have been written to: the round to all members
//!   stops to listen every few of them.
//! - Octets from the network reach a terminal or a log only through [`printable::printable`].
//! - Deliberately absent: history (who joins sees nothing from before), private messages, flood
//!   control, authentication and encryption.

pub mod address;
pub mod client;
pub mod connection;
pub mod descriptors;
pub mod hall;
pub mod journal;
pub mod lines;
pub mod message;
pub mod name;
pub mod outbox;
pub mod printable;
pub mod room;
pub mod screen;
pub mod server;
pub mod session;
pub mod tape;
pub mod window;

/// Port of the server unless told otherwise.
pub const DEFAULT_PORT: u16 = 20001;

/// Longest line of the protocol in octets, its end not counted. 4,000 characters of any script fit.
pub const MAX_LINE_LEN: usize = 16 * 1024;
