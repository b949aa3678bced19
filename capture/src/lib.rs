//! To come.

pub mod cli;
pub mod conversation;
pub mod decode;
pub mod expect;
pub mod frame;
pub mod pipeline;
pub mod source;
pub mod text;
pub mod time;
pub mod view;
