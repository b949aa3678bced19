//! The harness of the socket-programming lab: runs any client and server against scripted scenarios, watches
//! what a person at the terminal would see, and says which sentences of the lab sheet they satisfy.
//!
//! # Bird's-eye view
//!
//! ```text
//!  lab.toml ──▶ manifest ─┐                 ┌─ a process of its own per scenario ─┐
//!                         ├─▶ conduct ─Job─▶│ world (network) · stage · programs  │──▶ events
//!  *.kdl ─────▶ scenario ─┘                 └─────────────────────────────────────┘      │
//!                                                     ┌──────────────┬──────────────────┤
//!                                                   judge        transcript       results (evidence folder)
//!                                                     ▼
//!                                                   report ──▶ text, page, JSON, …
//! ```
//!
//! The [`event`] enum is the hinge. Left of it things happen; right of it everything is a function of recorded
//! events, so a run can be judged and rendered again without running anything.
//!
//! # Map, in reading order
//!
//! - [`lab`]: the eight tasks and the ids of their checks, as tables.
//! - [`scenario`]: stage directions, read from KDL, checked and expanded before anything is started.
//! - [`manifest`]: what a submission says about itself.
//! - [`event`]: everything that can happen.
//! - [`fault`]: bad networks, as functions of counts and octets.
//! - [`judge`]: the ledger (a fold of events), expectations (pure questions to the ledger), verdicts.
//! - [`rubric`]: what an instructor says each check is worth.
//! - [`stage`]: plays one scenario. `program` is the only module that starts programs under test (and
//!   prepares the commands of builds); `rest` tells when everything is quiet, `patience` how long a program is waited for
//!   on a machine that it shares; `tap` watches the wire and `owner` says whose each socket is; `relay` has a cable in its
//!   hand and `sockets` stand in for one; `curtain` ends everything.
//! - [`understudy`]: a client and a server of the harness's own, to find out which of a pair that failed is to be looked at.
//! - [`world`]: isolation, in the namespaces of [`capture::namespace`], the only module that makes any, and the sandbox
//!   around each program ([`world::sandbox`]), whose last step is a program of its own (`harness-inside`); `scratch` is
//!   where temporary files go below L3.
//! - [`conduct`]: builds (`build`), then plays all scenarios, at the same time where each has its own network.
//! - [`paper`]: exercises that are handed in as files: read, then judged like programs from what was recorded.
//! - [`results`], [`transcript`], [`ladder`], [`report`]: what is kept and shown.
//! - [`class`]: many submissions graded together, with [`turns`] shared by all of them.
//! - [`cli`]: arguments and exit statuses.
//!
//! # Invariants
//!
//! - The judge reads events and nothing else: no clock, no files, no processes.
//! - The stage decides nothing: it asks the judge's own [`judge::expect::evaluate`] when to stop waiting, so the two
//!   cannot disagree about what was seen.
//! - No server is ever probed by connecting; no prompt is ever waited for.
//! - Every wait has a deadline and can name what it waited for. Time in which the machine kept a processor from the
//!   programs does not count.
//! - A check may fail a program only for a sentence of the sheet, which it names. What neither screens nor wire decide is
//!   inconclusive; so is whatever rests on a wire that was not seen to the last frame.
//! - Nothing a program printed reaches a terminal unescaped.
//! - Unsafe code is in one private module, `sys`. The harness does not know insta; snapshots are its tests'.

mod build;
pub mod class;
pub mod cli;
pub mod conduct;
pub mod diagnostic;
pub mod event;
pub mod fault;
pub mod judge;
pub mod lab;
pub mod ladder;
pub mod manifest;
pub mod paper;
pub mod report;
pub mod results;
pub mod rubric;
pub mod scenario;
mod scratch;
pub mod stage;
mod sys;
pub mod text;
pub mod transcript;
pub mod turns;
pub mod understudy;
pub mod world;
