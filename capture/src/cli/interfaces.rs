//! `capture interfaces`: what can be captured here, and what to do where it cannot.

use super::options::Format;
use super::output::StandardOutput;
use super::{DONE, live};
use crate::interfaces::{json, table, try_all};
use crate::source::live::LiveError;
use clap::Args;
use std::io::Write as _;

/// The arguments of `capture interfaces`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A table for people, or JSON, one object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let all = try_all()?;
    let mut out = String::new();
    match arguments.format {
        Format::Json => {
            for tried in &all {
                out += &json(tried);
                out.push('\n');
            }
        }
        Format::Text => {
            out = table(&all);
            if all.iter().any(|tried| tried.is_default) {
                out += "\n* captured by `capture live` unless -i chooses another\n";
            }
            let not_permitted =
                |problem: &&LiveError| matches!(problem, LiveError::NotPermitted { .. });
            if all
                .iter()
                .filter_map(|tried| tried.problem.as_ref())
                .any(|problem| not_permitted(&problem))
            {
                out += &format!("\n{}\n", live::advice(&["live".to_owned()]));
            }
        }
    }
    StandardOutput::new().write_all(out.as_bytes())?;
    Ok(DONE)
}
