//! `harness list`.

use super::{Failure, fault, library, print};
use crate::lab::{CHECKS, Exercise, Kind};
use crate::scenario::{CheckBlock, Library, Need, Scenario};
use miette::Result;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  harness list\n  harness list --json | python3 -m json.tool")]
pub(super) struct Arguments {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Lists the scenario files in a folder instead of the built-in ones.
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let library = library(arguments.scenarios.as_deref())?;
    let text = if arguments.json {
        as_json(&library)?
    } else {
        as_text(&library)
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

fn as_text(library: &Library) -> String {
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
            let points = match kind {
                Kind::Required => format!("{} pt", check.points),
                Kind::Robustness | Kind::Advice | Kind::Experiment => "advice".to_owned(),
            };
            let machine = of_the_machine(scenario, check);
            let machine = machine.iter().map(ToString::to_string);
            let needs: Vec<String> = check.needs.iter().cloned().chain(machine).collect();
            let needs = if needs.is_empty() {
                String::new()
            } else {
                format!("  (needs {})", needs.join(", "))
            };
            let _ = writeln!(text, "  {id:<30} {points:>6}  {}{needs}", check.title);
        }
        text.push('\n');
    }
    text.pop();
    text
}

fn as_json(library: &Library) -> Result<String, Failure> {
    let exercises: Vec<_> = Exercise::ALL
        .into_iter()
        .map(|exercise| {
            let checks: Vec<_> = checks_of(exercise)
                .filter_map(|(id, kind)| {
                    let (scenario, check) = find(library, id)?;
                    Some(json!({
                        "id": id, "kind": kind, "title": check.title, "points": check.points, "sheet": check.sheet,
                        "needs": check.needs, "machine": of_the_machine(scenario, check), "scenario": scenario.name,
                        "see": format!("{}:{}", scenario.file, check.place),
                    }))
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
