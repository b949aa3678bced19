//! How far a large file has been read, for somebody who waits at a terminal for output that goes elsewhere.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};

/// A smaller file is read before anybody would look.
const LARGE: u64 = 50_000_000;

/// The file, with a bar on standard error if there is reason for one. The bar goes away with the file.
///
/// Where the output is for the same terminal, that is progress enough, and a bar would only be in its way.
pub(super) fn watched(file: File) -> Box<dyn Read + Send> {
    let len = match file.metadata() {
        Ok(about) if about.is_file() => about.len(),
        _ => 0,
    };
    if len < LARGE || io::stdout().is_terminal() || !io::stderr().is_terminal() {
        return Box::new(file);
    }
    let bar = ProgressBar::new(len).with_finish(ProgressFinish::AndClear);
    let style = "{elapsed:>4} [{bar:24}] {decimal_bytes} of {decimal_total_bytes} read";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style.progress_chars("=> "));
    }
    Box::new(bar.wrap_read(file))
}
