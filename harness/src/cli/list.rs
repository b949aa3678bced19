//! `harness list`.

use super::{Failure, fault, library, print, rubric};
use crate::lab::{CHECKS, Exercise, Kind};
use crate::report::mark;
use crate::report::text::points;
use crate::rubric::Rubric;
use crate::scenario::{CheckBlock, Library, Need, Scenario};
use miette::Result;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  harness list
  harness list --json | python3 -m json.tool
  harness list --rubric rubric.toml    what each check is worth by a rubric, and whether that is right")]
pub(super) struct Arguments {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Lists the scenario files in a folder instead of the built-in ones.
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
    /// Shows the points of a rubric of your own.
    #[arg(long, value_name = "FILE")]
    rubric: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let library = library(arguments.scenarios.as_deref())?;
    let rubric = rubric(arguments.rubric.as_deref(), &library)?;
    let text = if arguments.json {
        as_json(&library, rubric.as_ref())?
    } else {
        as_text(&library, rubric.as_ref())
    };
    print(&text)?;
    Ok(0)
}

/// The scenario and block of a check, if it can be tried.
fn find<'l>(library: &'l Library, id: &str) -> Option<(&'l Scenario, &'l CheckBlock)> {
    library.scenarios.iter().find_map(|scenario| {
        Some((
            scenario,
            scenario.checks.iter().find(|check| check.id == id)?,
        ))
    })
}

/// What a check needs of the machine.
fn of_the_machine(scenario: &Scenario, check: &CheckBlock) -> Vec<Need> {
    let mut needs = scenario.needs.clone();
    if check.wire && !needs.contains(&Need::Capture) {
        needs.push(Need::Capture);
    }
    needs
}

fn checks_of(exercise: Exercise) -> impl Iterator<Item = &'static (&'static str, Kind)> {
    CHECKS
        .iter()
        .filter(move |(id, _)| id.split('/').next() == Some(exercise.id()))
}

/// What a check is worth; none for one that is switched off.
fn worth(check: &CheckBlock, rubric: Option<&Rubric>) -> Option<f64> {
    match rubric {
        Some(rubric) if rubric.off.contains(&check.id) => None,
        Some(rubric) => Some(rubric.worth(check)),
        None => Some(check.points),
    }
}

/// The points of a check, or why there are none.
fn in_words(worth: Option<f64>, kind: Kind) -> String {
    match (worth, kind) {
        (None, _) => "off".to_owned(),
        (Some(worth), _) if worth > 0.0 => format!("{} pt", points(worth)),
        (Some(_), Kind::Required) => "0 pt".to_owned(),
        (Some(_), Kind::Robustness | Kind::Advice | Kind::Experiment) => "advice".to_owned(),
    }
}

fn as_text(library: &Library, rubric: Option<&Rubric>) -> String {
    let blocks = library
        .scenarios
        .iter()
        .flat_map(|scenario| &scenario.checks);
    let width = blocks
        .map(|check| in_words(worth(check, rubric), check.kind).chars().count())
        .fold("advice".len(), usize::max);
    let mut text = String::new();
    for exercise in Exercise::ALL {
        let where_ = exercise
            .endpoint()
            .map_or(String::new(), |(transport, port)| {
                format!(", {transport} {port}")
            });
        let _ = writeln!(text, "{exercise}  {}{where_}", exercise.title());
        for (id, kind) in checks_of(exercise) {
            let Some((scenario, check)) = find(library, id) else {
                let _ = writeln!(text, "  {id:<30}        no scenario yet");
                continue;
            };
            let points = in_words(worth(check, rubric), *kind);
            let hidden = mark(rubric.is_some_and(|rubric| rubric.hidden.contains(&check.id)));
            let machine = of_the_machine(scenario, check);
            let machine = machine.iter().map(ToString::to_string);
            let needs: Vec<String> = check.needs.iter().cloned().chain(machine).collect();
            let needs = if needs.is_empty() {
                String::new()
            } else {
                format!("  (needs {})", needs.join(", "))
            };
            let _ = writeln!(
                text,
                "  {id:<30} {points:>width$}  {}{hidden}{needs}",
                check.title
            );
        }
        text.push('\n');
    }
    text.pop();
    if let Some(rubric) = rubric {
        let _ = writeln!(text, "\n{} points in all", points(rubric.total()));
    }
    text
}

fn as_json(library: &Library, rubric: Option<&Rubric>) -> Result<String, Failure> {
    let exercises: Vec<_> = Exercise::ALL
        .into_iter()
        .map(|exercise| {
            let checks: Vec<_> = checks_of(exercise)
                .filter_map(|(id, kind)| {
                    let (scenario, check) = find(library, id)?;
                    let mut row = json!({
                        "id": id, "kind": kind, "title": check.title, "points": worth(check, rubric), "sheet": check.sheet,
                        "needs": check.needs, "machine": of_the_machine(scenario, check), "scenario": scenario.name,
                        "see": format!("{}:{}", scenario.file, check.place),
                    });
                    if let Some(rubric) = rubric {
                        row["off"] = json!(rubric.off.contains(*id));
                        row["hidden"] = json!(rubric.hidden.contains(*id));
                    }
                    Some(row)
                })
                .collect();
            let endpoint = exercise.endpoint();
            json!({
                "exercise": exercise, "title": exercise.title(),
                "transport": endpoint.map(|(transport, _)| transport), "port": endpoint.map(|(_, port)| port),
                "checks": checks,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&exercises).map_err(fault)? + "\n")
}
