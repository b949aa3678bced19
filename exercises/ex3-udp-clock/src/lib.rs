//! UDP clock: a client asks `SEND_DATE` or `SEND_TIME` every one to two
//! seconds, the server answers with today's date or the time as HH:MM:SS.
//!
//! # Where to start
//! Read [`clock`] (the whole protocol, as functions of values), then
//! [`schedule`] (what the client asks and when), then the two shells around
//! them, [`server`] and [`client`].
//!
//! | file | holds |
//! |---|---|
//! | `clock.rs` | requests, answers, and the text kept for one second |
//! | `schedule.rs` | random requests and gaps, repeatable from a seed |
//! | `server.rs` | bind, then answer until told to stop |
//! | `batch.rs` | many datagrams with one system call |
//! | `client.rs` | one socket per request; lost and late answers |
//! | `address.rs` | `HOST:PORT` as people type it, and its resolution |
//! | `printable.rs` | octets from strangers made safe for a terminal |
//! | `screen.rs` | lines for standard output that never hold up the network |
//! | `stop.rs` | Ctrl-C and SIGTERM as a future |
//! | `bin/*.rs` | arguments in, exit status out |
//!
//! # Invariants
//! - The protocol is stateless: the server remembers no client and no request,
//!   so it can be restarted between two requests and nobody notices.
//! - The server sends only dates and times, and only to who asked for one.
//!   An unknown request is met with silence: what is never answered cannot be
//!   made to answer for ever, nor to flood a forged source address.
//! - Every request leaves from a port of its own, so a late or doubled answer
//!   never meets a later request.
//! - Two requests are never less than one second apart, not even after a loss.
//! - Absent on purpose: request numbers (the sheet's protocol has none),
//!   resending (the next request comes anyway), and setting any clock by the
//!   answer (that is NTP, RFC 5905).

pub mod address;
pub mod batch;
pub mod client;
pub mod clock;
pub mod printable;
pub mod schedule;
pub mod screen;
pub mod server;
pub mod stop;

/// UDP port of the lab's clock server.
pub const DEFAULT_PORT: u16 = 20001;
