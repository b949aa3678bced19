//! How fast `capture` is, and how much memory it takes, beside the tools that can do some of the same.
//!
//! ```text
//! cargo bench -p capture                                  the table, in four or five minutes
//! cargo bench -p capture -- --full                        tshark in every round, and 2 GB of input: a quarter of an hour
//! cargo bench -p capture -- --scale 0.1 --rounds 3        a smaller file, fewer rounds
//! cargo bench -p capture -- live                          a flood of datagrams on loopback; may need root
//! cargo bench -p capture -- generate lab.pcap --scale 2   only the file; its ground truth is printed
//! cargo bench -p capture -- difficult FOLDER              the small captures with everything that goes wrong
//! ```
//!
//! Every program reads the same file from the page cache and writes to /dev/null, one after the other, several times;
//! the median counts. Ratios hold better than seconds: the machine is shared with whatever else runs on it. What
//! `capture` found is compared with what was put into the file. No figure fails anything here: goals are printed
//! beside what was reached.

mod bare;
mod live;
mod measure;
mod offline;
mod truth;

#[path = "../made/mod.rs"]
mod made;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use made::container::Format;
use made::difficult;
use made::generate::{Plan, Truth, generate};
use std::ffi::OsString;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    offline: Offline,
}

/// What to compare.
#[derive(Debug, Args)]
struct Offline {
    /// Size of the file: 1 is 1.6 million frames, 223 MB
    #[arg(long, default_value_t = 1.0)]
    scale: f64,

    /// Which of all such files
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How often each program is run
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Also tshark on the whole file, and 2 GB of input
    #[arg(long)]
    full: bool,

    /// Keep the files in this folder
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A flood on loopback while `capture live` runs
    Live {
        /// How many datagrams of 64 octets
        #[arg(long, default_value_t = 500_000)]
        datagrams: u32,
    },
    /// Only writes the file (pcapng where its name ends so) and prints its ground truth
    Generate {
        file: PathBuf,
        #[arg(long, default_value_t = 1.0)]
        scale: f64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Writes the difficult captures
    Difficult { folder: PathBuf },
    /// Runs a program and says how long it took and how much memory
    #[command(hide = true)]
    Measure {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
    /// The limit: reads a file and decodes its frames, and nothing else
    #[command(hide = true)]
    Bare { file: PathBuf },
}

fn main() -> anyhow::Result<()> {
    // `cargo bench` says so behind all other arguments; a measured program may have an argument of that name.
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let benches = arguments.last().is_some_and(|last| last == "--bench");
    if benches {
        arguments.pop();
    }
    // `cargo test --benches` only wants to know that it starts.
    if !benches && arguments.len() == 1 {
        println!("run it with `cargo bench -p capture`");
        return Ok(());
    }
    let arguments = Arguments::parse_from(arguments);
    match arguments.command {
        None => offline::compare(&arguments.offline),
        Some(Command::Live { datagrams }) => live::measure(datagrams),
        Some(Command::Generate { file, scale, seed }) => {
            let truth = write_lab(&file, seed, scale)?;
            println!("{}", serde_json::to_string(&truth)?);
            Ok(())
        }
        Some(Command::Difficult { folder }) => write_difficult(&folder),
        Some(Command::Measure { program }) => measure::run_and_print(&program),
        Some(Command::Bare { file }) => bare::read(&file),
    }
}

fn write_lab(path: &Path, seed: u64, scale: f64) -> anyhow::Result<Truth> {
    let format = if path.extension().is_some_and(|end| end == "pcapng") {
        Format::PcapNg
    } else {
        Format::Pcap
    };
    let plan = Plan {
        seed,
        scale,
        format,
    };
    let written =
        File::create(path).and_then(|file| generate(plan, BufWriter::with_capacity(1 << 20, file)));
    written.with_context(|| format!("{} cannot be written", path.display()))
}

fn write_difficult(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    for difficult in difficult::all() {
        let path = folder.join(difficult.file_name());
        std::fs::write(&path, &difficult.file)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}
