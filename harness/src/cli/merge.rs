//! `harness merge`.

use super::{Failure, print};
use crate::class::merge;
use crate::text::count;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  harness merge results-1 results-2 results-3 --out all
  harness report all --format html -o class.html

Exit status: 0 joined, 2 a part or a submission is missing or there twice, or they were graded in different ways
(each is named, and nothing is written).")]
pub(super) struct Arguments {
    /// Results of `harness grade --partition 1/N` … `N/N`.
    #[arg(value_name = "RESULTS", required = true)]
    results: Vec<PathBuf>,
    /// Where the results of the whole class are put: a folder that is not there yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let index = merge::merge(&arguments.results, &arguments.out)?;
    print(&format!(
        "joined {} of {} in {}\n",
        count(index.submissions.len(), "submission"),
        count(arguments.results.len(), "part"),
        arguments.out.display()
    ))?;
    Ok(0)
}
