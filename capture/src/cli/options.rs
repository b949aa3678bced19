//! The options that all commands with a view share.

use clap::{Args, ValueEnum};

/// The lab's ports.
pub(crate) const LAB_PORTS: [u16; 2] = [20001, 20002];

/// Which traffic, and how it is shown.
#[derive(Clone, Debug, Args)]
pub(crate) struct ViewOptions {
    /// Only traffic from or to these ports
    #[arg(long, value_name = "PORT,…", value_delimiter = ',', default_values_t = LAB_PORTS)]
    pub(crate) ports: Vec<u16>,

    /// Traffic of all ports
    #[arg(long, conflicts_with = "ports")]
    pub(crate) all: bool,

    /// How to show it
    #[arg(long, value_enum, default_value_t = ViewName::Talk)]
    pub(crate) view: ViewName,
}

/// The views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ViewName {
    /// The handshake told step by step, the text, the end
    Talk,
    /// One line a segment or datagram
    Segments,
    /// Two lifelines with an arrow for each segment
    Ladder,
    /// What each side said in one conversation
    Follow,
    /// One line a conversation
    Summary,
    /// Tables for the hand-in, in Markdown
    Report,
}
