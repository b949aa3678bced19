//! The report as JSON: the contract with other programs.

use super::Report;

/// The report as one JSON document, indented, with a line end.
///
/// # Errors
/// Never for a report made here; the type is serde's.
pub fn render(report: &Report) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}
