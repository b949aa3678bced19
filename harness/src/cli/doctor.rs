//! `harness doctor`.

use super::{Failure, print};
use crate::world::{Isolation, Level, Watch};
use miette::Result;
use std::fmt::Write as _;

pub(super) fn run() -> Result<u8, Failure> {
    let isolation = Isolation::probe();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "isolation {}: {}",
        isolation.level,
        isolation.shared()
    );
    let _ = writeln!(text, "\ntried, best first");
    for trial in &isolation.trials {
        let outcome = trial
            .error
            .as_ref()
            .map_or("granted".to_owned(), |error| format!("refused: {error}"));
        let _ = writeln!(text, "  {}: {outcome}", trial.what);
    }
    let watch = Watch::probe(&isolation);
    let _ = match &watch.why {
        None => writeln!(
            text,
            "\ncapture: granted, what crosses each scenario's own wire is looked at"
        ),
        Some(why) => writeln!(
            text,
            "\ncapture: refused, checks that need it are not run: {why}"
        ),
    };
    let advice = advice(&isolation);
    if !advice.is_empty() {
        let _ = writeln!(text, "\nto get more");
        for line in advice {
            let _ = writeln!(text, "  {line}");
        }
    }
    let _ = writeln!(text, "\nlanguages found");
    for (program, language) in [
        ("python3", "Python"),
        ("node", "JavaScript"),
        ("java", "Java"),
        ("cc", "C"),
        ("go", "Go"),
        ("ruby", "Ruby"),
    ] {
        let found = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        });
        let _ = writeln!(
            text,
            "  {language:<11} {}",
            if found { program } else { "–" }
        );
    }
    print(&text)?;
    Ok(0)
}

/// Commands that would raise the level on this system, as far as its refusals tell.
fn advice(isolation: &Isolation) -> Vec<String> {
    if isolation.level >= Level::L3n {
        return Vec::new();
    }
    let mut advice = capture::namespace::advice();
    if advice.is_empty() {
        advice.push("run the harness as root: the system refuses namespaces to ordinary users and does not say why".to_owned());
    }
    advice
}
