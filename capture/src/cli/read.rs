//! `capture read`: a saved file, or standard input.

use super::options::{ViewOptions, stdout_is_terminal};
use super::output::StandardOutput;
use super::{DAMAGED, DONE, progress};
use crate::pipeline::relay;
use crate::source::file::FileSource;
use crate::text;
use crate::view::blocks::Order;
use anyhow::Context as _;
use clap::Args;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::PathBuf;

/// The arguments of `capture read`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A pcap or pcapng file, or - for standard input
    file: PathBuf,

    #[command(flatten)]
    view: ViewOptions,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let name = if arguments.file.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        text::safe(arguments.file.as_os_str().as_encoded_bytes())
    };
    let setup = arguments
        .view
        .setup(Order::ByConversation, stdout_is_terminal())?;
    let source = FileSource::new(open(arguments, &name)?);
    let (finished, damage) = relay::show_file(source, setup, Box::new(StandardOutput::new()))?;
    let met = arguments.view.conclude(&finished)?;
    if let Some(damage) = damage {
        let _ = writeln!(io::stderr(), "capture: {name}: {damage}");
        return Ok(DAMAGED);
    }
    Ok(if met { DONE } else { DAMAGED })
}

fn open(arguments: &Arguments, name: &str) -> anyhow::Result<Box<dyn Read + Send>> {
    if arguments.file.as_os_str() == "-" {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            let _ = writeln!(
                io::stderr(),
                "capture: reads a capture from standard input, which is a terminal; end it with Ctrl-D"
            );
        }
        return Ok(Box::new(stdin));
    }
    let file = File::open(&arguments.file).with_context(|| format!("{name} cannot be opened"))?;
    anyhow::ensure!(
        !file.metadata().is_ok_and(|about| about.is_dir()),
        "{name} is a folder; a pcap or pcapng file is wanted"
    );
    Ok(progress::watched(file))
}
