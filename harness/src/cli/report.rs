//! `harness report`.

use super::{Failure, colours, fault, library, print, rubric};
use crate::class::rejudge::{Count, Rejudged, rejudge};
use crate::class::{digest, store};
use crate::report::classroom50::Identity;
use crate::report::collection::{Collection, Graded};
use crate::report::{classroom50, csv, github, gradescope, html, json, junit, overview, tap, text};
use clap::ValueEnum;
use miette::{Result, miette};
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  harness report lab-results/latest                        one submission, as `harness check` shows it
  harness report results                                   a class, a line each
  harness report results --format html -o class.html       a page to look through, and to print
  harness report results --format csv -o points.csv        a table
  harness report results/ada --format gradescope -o /autograder/results/results.json
  harness report results --format github                   in a workflow: annotations
  harness report results/ada --for-students                without what the rubric hides
  harness report results --rejudge --rubric rubric.toml    what everybody would have by that rubric, and who changes
  harness report results --rejudge --rubric rubric.toml --save
                                                           the same, and from now on

--rejudge judges the recorded evidence anew, as this harness does and by the rubric, and runs nothing; who changed is said on
standard error. Whoever's evidence cannot be judged keeps what was recorded.

gradescope and classroom50 are about one submission. classroom50 takes CLASSROOM, ASSIGNMENT, SUBMISSION_TAG, COMMIT_URL,
RELEASE_URL and REVIEW_URL from the environment, as its runner sets them. Links in html lead from the page to the
evidence: write it with -o where it is to stay.

Exit status: that of the recorded check or grading, or of what was judged anew; 2 usage, no results there, or somebody's
evidence could not be judged anew.")]
pub(super) struct Arguments {
    /// A folder that `harness check`, `harness grade` or `harness merge` has written.
    results: PathBuf,
    /// How the report is written.
    #[arg(long, value_enum, default_value = "text")]
    format: RecordedFormat,
    /// In the text of one submission, shows every step of the hints, and why what was passed matters.
    #[arg(long)]
    explain: bool,
    /// Writes into a file instead of to standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Leaves out the checks that the rubric hides (gradescope, classroom50 and github do so by themselves).
    #[arg(long)]
    for_students: bool,
    /// Judges the recorded evidence anew, without running anything.
    #[arg(long)]
    rejudge: bool,
    /// Counts by this rubric (otherwise by the recorded one).
    #[arg(long, value_name = "FILE", requires = "rejudge")]
    rubric: Option<PathBuf>,
    /// Counts by the points of the scenarios.
    #[arg(long, requires = "rejudge", conflicts_with = "rubric")]
    no_rubric: bool,
    /// The scenario files that --rubric is about, where they are not the built-in ones.
    #[arg(long, value_name = "DIR", requires = "rubric")]
    scenarios: Option<PathBuf>,
    /// Puts what was judged anew in the place of what was recorded.
    #[arg(long, requires = "rejudge")]
    save: bool,
}

/// How recorded results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RecordedFormat {
    /// For people at a terminal.
    Text,
    /// One page for a browser.
    Html,
    /// For programs.
    Json,
    /// JUnit's XML, for build servers.
    Junit,
    /// Gradescope's results.json.
    Gradescope,
    /// Classroom 50's result.json.
    Classroom50,
    /// Workflow commands of GitHub Actions.
    Github,
    /// The Test Anything Protocol, version 14.
    Tap,
    /// A table for spreadsheets.
    Csv,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    if arguments.rejudge {
        let rejudged = judge_anew(arguments)?;
        let status = rejudged.exit_status();
        let rendered = render(arguments, &rejudged.collection)?;
        let changes = rejudged.changes();
        write(arguments, &rendered)?;
        if arguments.save {
            rejudged.save().map_err(Failure::Fault)?;
        }
        say(&changes);
        return Ok(status);
    }
    let collection = Collection::load(&arguments.results)?;
    write(arguments, &render(arguments, &collection)?)?;
    Ok(collection.index.exit_status())
}

fn judge_anew(arguments: &Arguments) -> Result<Rejudged> {
    let library = library(arguments.scenarios.as_deref())?;
    let count = match rubric(arguments.rubric.as_deref(), &library)? {
        Some(rubric) => Count::By(rubric),
        None if arguments.no_rubric => Count::ByScenarios,
        None => Count::AsRecorded,
    };
    let rejudged = rejudge(&arguments.results, &count, arguments.save)?;
    let played = &rejudged.collection.index.scenarios;
    if let Count::By(_) = count
        && rejudged.collection.class
        && *played != digest::of_scenarios(&library.scenarios)
    {
        say(
            "these results were graded with other scenarios than the rubric was read for; --scenarios names theirs\n",
        );
    }
    Ok(rejudged)
}

fn write(arguments: &Arguments, rendered: &str) -> Result<(), Failure> {
    match &arguments.output {
        Some(file) => Ok(store::replace(file, rendered)?),
        None => print(rendered),
    }
}

fn say(text: &str) {
    // Nobody listening is no reason to stop.
    let _ = write!(std::io::stderr(), "{text}");
}

fn render(arguments: &Arguments, collection: &Collection) -> Result<String, Failure> {
    // These know by themselves what students see of them.
    let knows = matches!(
        arguments.format,
        RecordedFormat::Gradescope | RecordedFormat::Classroom50 | RecordedFormat::Github
    );
    let shown = (arguments.for_students && !knows).then(|| collection.for_students());
    let collection = shown.as_ref().unwrap_or(collection);
    let plain = arguments.output.is_some();
    Ok(match arguments.format {
        RecordedFormat::Text => match only(collection) {
            Some(graded) => {
                let look = text::Look {
                    colours: !plain && colours(),
                    explain: arguments.explain,
                };
                text::render(&graded.report, look)
            }
            None => overview::render(collection),
        },
        RecordedFormat::Html => {
            let base = way(arguments.output.as_deref(), &arguments.results)?;
            let read = |path: &Path| {
                let path = arguments.results.join(path);
                // A link in results from elsewhere may lead anywhere.
                let plain = path.symlink_metadata().ok()?.is_file();
                plain.then(|| std::fs::read_to_string(path).ok()).flatten()
            };
            html::render(collection, &base, &read).map_err(fault)?
        }
        RecordedFormat::Json => match only(collection) {
            Some(graded) => json::render(&graded.report),
            None => json::render_class(collection),
        }
        .map_err(fault)?,
        RecordedFormat::Junit => junit::render(collection).map_err(fault)?,
        RecordedFormat::Gradescope => {
            gradescope::render(one(collection, arguments)?).map_err(fault)?
        }
        RecordedFormat::Classroom50 => {
            let graded = one(collection, arguments)?;
            let identity = Identity::new(|name| std::env::var(name).ok()).map_err(|missing| {
                miette!(
                    help = "Classroom 50's runner sets them; elsewhere, set them by hand",
                    "classroom50 needs {} in the environment",
                    missing.join(", ")
                )
            })?;
            classroom50::render(graded, &identity).map_err(fault)?
        }
        RecordedFormat::Github => github::render(collection),
        RecordedFormat::Tap => tap::render(collection),
        RecordedFormat::Csv => csv::render(&collection.index).map_err(fault)?,
    })
}

/// The submission, when this is not about a class.
fn only(collection: &Collection) -> Option<&Graded> {
    collection.graded.first().filter(|_| !collection.class)
}

fn one<'a>(collection: &'a Collection, arguments: &Arguments) -> Result<&'a Graded> {
    only(collection).ok_or_else(|| {
        let example = collection.graded.first();
        let name = example.map_or("NAME", |graded| graded.entry.name.as_str());
        miette!(
            help = format!(
                "name one of them, such as {}",
                arguments.results.join(name).display()
            ),
            "this format is about one submission, and {} holds a class",
            arguments.results.display()
        )
    })
}

/// The way from where the page will be to the results.
fn way(page: Option<&Path>, results: &Path) -> Result<PathBuf> {
    let whole = |path: &Path| {
        path.canonicalize()
            .map_err(|error| miette!("cannot open {}: {error}", path.display()))
    };
    let from = match page.and_then(Path::parent) {
        Some(folder) if !folder.as_os_str().is_empty() => whole(folder)?,
        _ => whole(Path::new("."))?,
    };
    Ok(between(&from, &whole(results)?))
}

/// The relative way between two folders, both without links and dots.
fn between(from: &Path, to: &Path) -> PathBuf {
    let common = from
        .components()
        .zip(to.components())
        .take_while(|(one, other)| one == other)
        .count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_leads_up_and_down() {
        #[track_caller]
        fn check(from: &str, to: &str, expected: &str) {
            assert_eq!(
                between(Path::new(from), Path::new(to)),
                PathBuf::from(expected)
            );
        }
        check("/a", "/a/results", "results");
        check("/a/results", "/a/results", "");
        check("/a/b", "/a/results", "../results");
        check("/x/y", "/a", "../../a");
    }
}
