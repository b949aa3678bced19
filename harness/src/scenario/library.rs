//! The scenarios of the lab: built into the program, or a folder of the instructor's instead.

use super::{Scenario, parse};
use crate::diagnostic::Source;
use crate::lab::Exercise;
use miette::{IntoDiagnostic as _, Result, miette};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

macro_rules! built_in {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../scenarios/", $path)))),*]
    };
}

/// Every file under `scenarios/`, by its path there.
const BUILT_IN: &[(&str, &str)] = built_in![
    "ex1/hello.kdl",
    "ex1/odd-datagrams.kdl",
    "ex2/across-hosts.kdl",
    "ex3/clock.kdl",
    "ex3/lost-reply.kdl",
    "ex3/unknown-request.kdl",
    "ex3/wire.kdl",
    "ex3/restart.kdl",
    "ex4/hello.kdl",
    "ex5/found.kdl",
    "ex6/session.kdl",
    "ex6/malformed.kdl",
    "ex6/quit.kdl",
    "ex6/restart.kdl",
    "ex6/stream.kdl",
    "ex7/protocols.kdl",
    "ex8/room.kdl",
    "ex8/unique-names.kdl",
    "ex8/many-clients.kdl",
    "ex8/robustness.kdl",
    "ex8/abrupt-leave.kdl",
    "ex8/stream.kdl",
    "ex8/slow-reader.kdl",
    "ex8/silent-login.kdl",
];

/// All scenarios that can be played.
#[derive(Clone, Debug)]
pub struct Library {
    /// In the order of the exercises, then of the files.
    pub scenarios: Vec<Scenario>,
}

impl Library {
    /// The scenarios of the lab.
    ///
    /// # Errors
    /// When one of them is broken, which the project's tests rule out.
    pub fn built_in() -> Result<Self> {
        let sources = BUILT_IN.iter().map(|(path, text)| Source {
            name: format!("scenarios/{path}"),
            text: (*text).to_owned(),
        });
        Self::read(sources.collect())
    }

    /// Every `.kdl` file in a folder and its subfolders.
    ///
    /// # Errors
    /// When the folder cannot be read or holds none, or a file is broken (with its place).
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(folder, &mut files)?;
        files.sort();
        if files.is_empty() {
            return Err(miette!(
                help = "scenario files end in .kdl",
                "no scenario files in {}",
                folder.display()
            ));
        }
        let sources: std::io::Result<Vec<Source>> =
            files.iter().map(|file| Source::read(file)).collect();
        Self::read(sources.into_diagnostic()?)
    }

    fn read(sources: Vec<Source>) -> Result<Self> {
        let mut scenarios: Vec<Scenario> = Vec::new();
        for source in &sources {
            let read = parse::parse(source).map_err(|mistake| miette::Report::new(*mistake))?;
            scenarios.extend(read);
        }
        let mut homes: BTreeMap<&str, &Scenario> = BTreeMap::new();
        let mut names: BTreeMap<&str, &Scenario> = BTreeMap::new();
        for scenario in &scenarios {
            if let Some(other) = names.insert(&scenario.name, scenario) {
                return Err(miette!(
                    "two scenarios are called `{}`: in {} and in {}",
                    scenario.name,
                    other.file,
                    scenario.file
                ));
            }
            for check in &scenario.checks {
                if let Some(other) = homes.insert(&check.id, scenario) {
                    return Err(miette!(
                        "the check `{}` stands in two scenarios: {} and {}",
                        check.id,
                        other.name,
                        scenario.name
                    ));
                }
            }
        }
        for scenario in &scenarios {
            for check in &scenario.checks {
                if let Some(need) = check
                    .needs
                    .iter()
                    .chain(&check.explained_by)
                    .find(|need| !homes.contains_key(need.as_str()))
                {
                    return Err(miette!(
                        "{}:{}: `{}` needs `{need}`, which is in no scenario",
                        scenario.file,
                        check.place,
                        check.id
                    ));
                }
            }
        }
        scenarios.sort_by_key(|scenario| scenario.exercise);
        Ok(Library { scenarios })
    }

    /// Those exercises that have no scenario here.
    pub fn unchecked<'e>(&self, exercises: impl Iterator<Item = &'e Exercise>) -> Vec<Exercise> {
        let unchecked = |exercise: &&Exercise| self.of(**exercise).next().is_none();
        exercises.filter(unchecked).copied().collect()
    }

    /// The scenarios of an exercise.
    pub fn of(&self, exercise: Exercise) -> impl Iterator<Item = &Scenario> {
        self.scenarios
            .iter()
            .filter(move |scenario| scenario.exercise == exercise)
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        miette!(
            "cannot read the scenario folder {}: {error}",
            folder.display()
        )
    })?;
    for entry in entries {
        let entry = entry.into_diagnostic()?;
        let path = entry.path();
        // Links are not followed, so a loop of links cannot be entered.
        if entry.file_type().into_diagnostic()?.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "kdl") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_file_is_built_in_and_right() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let from_folder = Library::from_folder(&folder).expect("the files can be read");
        let built_in = Library::built_in().expect("the built-in ones can be read");
        let names = |library: &Library| -> Vec<String> {
            library.scenarios.iter().map(|s| s.name.clone()).collect()
        };
        let (mut files, mut built) = (names(&from_folder), names(&built_in));
        files.sort();
        built.sort();
        assert_eq!(files, built);
    }

    #[test]
    fn required_points_are_whole_quarters() {
        let library = Library::built_in().expect("they can be read");
        for check in library
            .scenarios
            .iter()
            .flat_map(|scenario| &scenario.checks)
        {
            assert_eq!((check.points * 4.0).fract(), 0.0, "{}", check.id);
            assert_eq!(
                check.kind == crate::lab::Kind::Required,
                check.points > 0.0,
                "{}",
                check.id
            );
        }
    }
}
