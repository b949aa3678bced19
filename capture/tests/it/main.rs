//! The capture command as its users run it: the real command, real programs, real exit statuses.
//!
//! A test that needs something this machine lacks says `SKIPPED` and what is missing; with `CI=true` it fails
//! instead.

#[cfg(all(feature = "live", target_os = "linux"))]
mod run;
