//! The program from outside, as a person or a script calls it.

#[cfg(feature = "live")]
mod live;
