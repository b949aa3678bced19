//! The report as JSON: the contract with other programs.

use super::Report;
use super::collection::Collection;
use serde_json::json;

/// The report as one JSON document, indented, with a line end.
///
/// # Errors
/// Never for a report made here; the type is serde's.
pub fn render(report: &Report) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

/// A class as one JSON document: its index, and the report on each submission that was graded, by name.
///
/// # Errors
/// As [`render`].
pub fn render_class(collection: &Collection) -> serde_json::Result<String> {
    let reports: serde_json::Map<_, _> = collection
        .graded
        .iter()
        .map(|graded| {
            let report = serde_json::to_value(&graded.report)?;
            Ok((graded.entry.name.clone(), report))
        })
        .collect::<serde_json::Result<_>>()?;
    let document = json!({
        "schema": "socket-lab/class-report/v1",
        "index": collection.index,
        "reports": reports,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
