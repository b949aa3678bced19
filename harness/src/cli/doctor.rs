//! `harness doctor`.

use super::{Failure, print};
use crate::world::isolation::LANGUAGES;
use crate::world::{Cables, Cgroups, Isolation, Level, Watch};
use miette::Result;
use std::fmt::Write as _;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Tries nothing better than this.
    #[arg(long, value_name = "LEVEL")]
    isolation: Option<Level>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let mut isolation = Isolation::probe(arguments.isolation);
    if let Ok(here) = std::env::current_dir() {
        isolation.try_layer(&here);
    }
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
        None if isolation.seclusion.network => writeln!(
            text,
            "\ncapture: granted, what crosses each scenario's own wire is looked at"
        ),
        None => writeln!(
            text,
            "\ncapture: granted, of what crosses this machine's loopback the server's ports are looked at"
        ),
        Some(why) => writeln!(
            text,
            "\ncapture: refused, checks that need it are not run: {why}"
        ),
    };
    let cables = Cables::probe(&isolation);
    let _ = match &cables.why {
        None => writeln!(
            text,
            "cables: granted, there can be two computers, and bad networks for every program"
        ),
        Some(why) => writeln!(
            text,
            "cables: refused, checks with two computers are not run, and those with bad networks only with clients \
             that are told {{host}} and {{port}}: {why}"
        ),
    };
    let cgroups = Cgroups::probe();
    let limits = match &cgroups.controllers[..] {
        [] => "without limits".to_owned(),
        controllers => format!("with limits by {}", controllers.join(" and ")),
    };
    let why = cgroups.why.map(|why| format!(": {why}"));
    let why = why.unwrap_or_default();
    let _ = match cgroups.folder {
        Some(_) => writeln!(
            text,
            "control groups: granted, each scenario's programs end together ({limits}{why})"
        ),
        None => writeln!(text, "control groups: refused, nothing needs them{why}"),
    };
    let advice = isolation.advice();
    if !advice.is_empty() {
        let _ = writeln!(text, "\nto get more");
        for line in advice {
            let _ = writeln!(text, "  {line}");
        }
    }
    let _ = writeln!(text, "\nlanguages found");
    for (program, language) in LANGUAGES {
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
