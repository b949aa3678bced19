//! `harness report`.

use super::{Failure, Format, colours, fault, print};
use crate::report::{Report, json, text};
use crate::results::Run;
use miette::Result;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  harness report lab-results/latest\n  harness report lab-results/latest --format json"
)]
pub(super) struct Arguments {
    /// A folder that `harness check` has written.
    results: PathBuf,
    /// How the report is written.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let report = Report::new(&Run::load(&arguments.results)?);
    match arguments.format {
        Format::Json => print(&json::render(&report).map_err(fault)?)?,
        Format::Text => print(&text::render(&report, colours()))?,
    }
    Ok(report.outcome().exit_status())
}
