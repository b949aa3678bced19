//! `harness init`.

use super::{Failure, print};
use crate::manifest::{FILE, guess};
use miette::{Result, miette};
use std::io::Write as _;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  harness init\n  harness init my-lab")]
pub(super) struct Arguments {
    /// The folder with the programs.
    #[arg(default_value = ".")]
    dir: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let (text, found) = guess(&arguments.dir)
        .map_err(|error| miette!("cannot read {}: {error}", arguments.dir.display()))?;
    let path = arguments.dir.join(FILE);
    // Never over a file that somebody may have written by hand.
    let file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(&path);
    let mut file = file.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => miette!(
            help = "edit it, or move it away first",
            "{} exists already",
            path.display()
        ),
        _ => miette!("cannot write {}: {error}", path.display()),
    })?;
    file.write_all(text.as_bytes())
        .map_err(|error| miette!("cannot write {}: {error}", path.display()))?;
    let next = match found {
        0 => "no pair of programs was recognised: fill it in, then run `harness check`".to_owned(),
        found => format!(
            "recognised {}: look it through, then run `harness check {}`",
            crate::text::count(found, "exercise"),
            arguments.dir.display()
        ),
    };
    print(&format!("wrote {}; {next}\n", path.display()))?;
    Ok(0)
}
