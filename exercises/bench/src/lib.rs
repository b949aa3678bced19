//! Puts the model servers beside their peers. A load generator that **verifies** what it measures, the peers it
//! knows how to start, and the figures made of both.
//!
//! ```text
//! cargo bench -p bench                       everything, some minutes
//! cargo bench -p bench -- calculator         or clock, or chat
//! cargo bench -p bench -- --help
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`peers`] | every server that can be measured: what it is, how it is started, when it is ready, how it ends |
//! | [`load::clock`] | UDP: requests in windows, many datagrams with a system call |
//! | [`load::calculator`] | TCP: requests and replies, one at a time or pipelined; speaks to redis, too |
//! | [`load::chat`] | TCP: some members talk and everybody listens; speaks to redis and nats, too |
//! | [`figures`] | medians, ratios, goals, the table; processor time and memory of a process |
//! | [`process`] | a child that ends with us, whatever ends us; the only unsafe code |
//! | [`stop`] | Ctrl-C as a value that the loads look at |
//!
//! In each load, the part that verifies is a function of values, without a socket: `load::clock::Asked`,
//! [`load::calculator::Replies`], [`load::chat::Ear`].
//!
//! Invariants:
//! - A measurement in which one reply is wrong, missing, doubled or out of order is an error that names it, and
//!   not a figure.
//! - All peers of a table get the same load from the same code in the same process; texts are of equal length
//!   where the protocols differ. The load has one thread, so that on two cores the server has the other.
//! - Each measurement has a fresh server of its own, so that its memory is that of one load.
//! - Nothing is asserted about times: a goal that is missed is a line that says so.
//!
//! Deliberately absent: servers on other machines, TLS, and statistics beyond the median.

pub mod figures;
pub mod load;
pub mod peers;
pub mod process;
pub mod stop;
