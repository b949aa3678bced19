//! The harness of the socket-programming lab.
//! Placeholder header.

pub mod cli;
pub mod conduct;
pub mod diagnostic;
pub mod event;
pub mod judge;
pub mod lab;
pub mod manifest;
pub mod report;
pub mod results;
pub mod scenario;
pub mod stage;
mod sys;
pub mod text;
pub mod transcript;
pub mod world;
