//! The harness as its users run it: the real command, real programs, real exit statuses.
//!
//! A test that needs something this machine lacks says `SKIPPED` and what is missing; with `CI=true` it fails
//! instead.

mod advice;
mod class;
mod cli;
mod container;
mod faults;
mod fixtures;
mod formats;
mod hostile;
mod models;
mod papers;
mod repeats;
mod rubric;
mod support;
mod swap;
mod threats;
mod wire;
