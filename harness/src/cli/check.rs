//! `harness check`.

use super::{
    Failure, Format, INTERRUPTED, colours, default_out, fault, library, print, rubric,
    until_interrupted,
};
use crate::conduct::{Plan, Progress, conduct};
use crate::lab::{self, Exercise};
use crate::manifest;
use crate::report::{self, Report};
use crate::results::{self, Run};
use crate::scenario::{Library, Question, Scenario};
use crate::scratch;
use crate::text::visible;
use crate::world::sandbox::view::View;
use crate::world::{Cables, Cgroups, Isolation, Level, Watch};
use indicatif::{ProgressBar, ProgressStyle};
use miette::{Result, miette};
use rand::RngExt as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  harness check                  check the submission in this folder
  harness check ada ex6 ex8      two exercises of the submission in the folder ada
  harness check --explain        with all steps of the hints, and why each thing matters
  harness check ada --seed 42    with the same random choices as another run
  harness check ada --format json > report.json
  harness check ada --rubric rubric.toml   as the instructor counts (README of harness: a rubric of your own)")]
pub(super) struct Arguments {
    /// The submission's folder (default: this one), then exercises or checks (ex6, ex6/arithmetic).
    #[arg(value_name = "DIR | EXERCISE | CHECK")]
    words: Vec<String>,
    /// Fixes every random choice.
    #[arg(long)]
    seed: Option<u64>,
    /// How the report is written on standard output.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Shows every step of the hints, and why what was passed matters.
    #[arg(long)]
    explain: bool,
    /// Where the evidence is kept.
    #[arg(long, value_name = "DIR", default_value_os_t = default_out())]
    out: PathBuf,
    /// Uses the scenario files in a folder instead of the built-in ones.
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
    /// Counts by a rubric of your own: points, what is switched off, what students are not shown.
    #[arg(long, value_name = "FILE")]
    rubric: Option<PathBuf>,
    /// How many scenarios at the same time, where each can have its own network (default: 3 per core).
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    #[command(flatten)]
    again: super::Again,
    /// Runs nothing unless each program is isolated this well (see `harness doctor`).
    #[arg(long, value_name = "LEVEL")]
    require_isolation: Option<Level>,
    /// Isolates programs no better than this, where something does not work in a sandbox (default: as well as possible).
    #[arg(long, value_name = "LEVEL")]
    isolation: Option<Level>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let (dir, selection) = split(&arguments.words)?;
    let library = library(arguments.scenarios.as_deref())?;
    let rubric = rubric(arguments.rubric.as_deref(), &library)?;
    let submission = manifest::read(&dir)?;
    let scenarios = select(&library, &submission, &selection)?;
    let only = checks_of(&library, &selection);
    if let Some(rubric) = &rubric
        && !only.is_empty()
        && only.iter().all(|id| rubric.off.contains(id))
    {
        return Err(miette!(
            help = "select something else, or leave out --rubric",
            "the rubric switches {} off",
            selection.join(", ")
        )
        .into());
    }
    let mut isolation = Isolation::probe(arguments.isolation);
    if let Some(required) = arguments.require_isolation {
        isolation.require(required)?;
    }
    // Made first: a folder that cannot be written is better known before than after.
    let folder = results::make_folder(&arguments.out)?;
    let view =
        View::new(&submission, true, &hidden(&arguments.out, &submission.dir)).map_err(fault)?;
    // Kept until the programs have ended.
    let (sandbox, _scratch) = scratch::surround(&mut isolation, view).map_err(fault)?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let plan = Plan {
        watch: Watch::probe(&isolation),
        cgroup: Cgroups::probe().folder,
        cables: match scenarios.iter().any(Scenario::needs_cables) {
            true => Cables::probe(&isolation),
            false => Cables::default(),
        },
        evidence: Some(folder.clone()),
        unchecked: match selection.is_empty() {
            true => library.unchecked(submission.papers.keys()),
            false => Vec::new(),
        },
        only,
        rubric,
        scenarios,
        sandbox,
        isolation,
        seed: arguments
            .seed
            .unwrap_or_else(|| rand::rng().random_range(0..1_000_000)),
        jobs: arguments.jobs.unwrap_or(3 * cores),
        turns: None,
        reruns: arguments.again.reruns.into(),
        swap: arguments.again.swap(),
        flaky: arguments.again.flaky,
        submission,
    };
    let Some(run) = conduct_visibly(&plan)? else {
        // It holds nothing but frames without events; when it cannot be removed, it stays so.
        let _ = std::fs::remove_dir_all(&folder);
        let _ = writeln!(
            std::io::stderr(),
            "interrupted; every program was stopped, nothing was recorded"
        );
        return Ok(INTERRUPTED);
    };
    let report = Report::new(&run);
    match arguments.format {
        Format::Json => print(&report::json::render(&report).map_err(fault)?)?,
        Format::Text => {
            let look = report::text::Look {
                colours: colours(),
                explain: arguments.explain,
            };
            print(&report::text::render(&report, look))?;
        }
    }
    run.save(&folder, &report).map_err(Failure::Fault)?;
    if arguments.format == Format::Text {
        print(&format!("evidence in {}\n", folder.display()))?;
    }
    Ok(report.outcome().exit_status())
}

/// The evidence folder, when the submission's folder holds it. One that holds more than evidence is not hidden: the
/// programs may need it.
fn hidden(out: &Path, dir: &Path) -> Vec<PathBuf> {
    let (Ok(out), Ok(dir)) = (out.canonicalize(), dir.canonicalize()) else {
        return Vec::new();
    };
    if out.starts_with(&dir) && out != dir {
        vec![out]
    } else {
        Vec::new()
    }
}

/// The folder, and what is selected in it: words that read like ids are ids.
fn split(words: &[String]) -> Result<(PathBuf, Vec<String>)> {
    let is_id = |word: &String| {
        let (exercise, check) = word
            .split_once('/')
            .map_or((word.as_str(), None), |(exercise, check)| {
                (exercise, Some(check))
            });
        Exercise::from_str(exercise).is_ok() && check != Some("")
    };
    let (ids, dirs): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| is_id(word));
    let dir = match dirs[..] {
        [] => PathBuf::from("."),
        [dir] => PathBuf::from(dir),
        [_, second, ..] => {
            return Err(miette!(
                help = "exercises are ex1 to ex8, checks read like ex6/arithmetic",
                "one folder at a time; what is `{second}`?"
            ));
        }
    };
    for id in &ids {
        if id.contains('/') && lab::find_check(id).is_none() {
            let help = lab::nearest(id, lab::CHECKS.iter().map(|(id, _)| *id))
                .map_or("`harness list` shows all checks".to_owned(), |near| {
                    format!("did you mean {near}?")
                });
            return Err(miette!(help = help, "the lab has no check `{id}`"));
        }
    }
    Ok((dir, ids.into_iter().cloned().collect()))
}

/// The scenarios to play: those of the submission's exercises, or of what is selected.
fn select(
    library: &Library,
    submission: &manifest::Submission,
    selection: &[String],
) -> Result<Vec<Scenario>> {
    for id in selection {
        let exercise = id
            .split('/')
            .next()
            .and_then(|id| Exercise::from_str(id).ok());
        let handed_in = exercise.is_some_and(|exercise| {
            submission.programs.contains_key(&exercise) || submission.papers.contains_key(&exercise)
        });
        if !handed_in {
            return Err(miette!(
                help = "add to lab.toml: a line [exN], below it server = \"…\" and client = \"…\"",
                "the submission's lab.toml has no section for {id}"
            ));
        }
        if !library
            .scenarios
            .iter()
            .any(|scenario| concerns(scenario, id))
        {
            return Err(miette!(
                help = "`harness list` shows the checks that can be tried",
                "this harness has no scenario for {id}"
            ));
        }
    }
    let needed = needed(library, selection);
    let wanted = |scenario: &&Scenario| {
        submission.has(scenario)
            && (selection.is_empty() || needed.iter().any(|id| concerns(scenario, id)))
    };
    let scenarios: Vec<Scenario> = library.scenarios.iter().filter(wanted).cloned().collect();
    if scenarios.is_empty() {
        return Err(miette!(
            help = "`harness list` shows the checks that can be tried",
            "nothing in this submission can be checked"
        ));
    }
    Ok(scenarios)
}

/// What is selected and every check that it needs: without those, a failure could not be told from another's.
fn needed(library: &Library, selection: &[String]) -> Vec<String> {
    let mut ids = selection.to_vec();
    let mut done = 0;
    while let Some(id) = ids.get(done).cloned() {
        done += 1;
        let checks = library.scenarios.iter().flat_map(|scenario| {
            let named = scenario.checks.iter();
            named.filter(|check| check.id == id || scenario.exercise.id() == id)
        });
        for need in checks.flat_map(|check| {
            let experiment = match &check.question {
                Some(Question::Answer { experiment, .. }) => experiment.as_ref(),
                _ => None,
            };
            let needs = check.needs.iter().chain(&check.explained_by);
            needs.chain(experiment)
        }) {
            if !ids.contains(need) {
                ids.push(need.clone());
            }
        }
    }
    ids
}

/// Whether a scenario belongs to an exercise or holds a check.
fn concerns(scenario: &Scenario, id: &str) -> bool {
    (scenario.exercise.id() == id && !scenario.is_experiment())
        || scenario.checks.iter().any(|check| check.id == id)
}

/// The ids of the checks to report on; none means all.
fn checks_of(library: &Library, selection: &[String]) -> Vec<String> {
    let checks = library.scenarios.iter().flat_map(|scenario| {
        scenario
            .checks
            .iter()
            .map(move |check| (scenario.exercise.id(), &check.id))
    });
    checks
        .filter(|(exercise, id)| {
            selection
                .iter()
                .any(|selected| selected == exercise || selected == *id)
        })
        .map(|(_, id)| id.clone())
        .collect()
}

/// Carries out the plan with progress on a terminal. None when it was interrupted.
fn conduct_visibly(plan: &Plan) -> Result<Option<Run>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(fault)?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (stop, stopped) = watch::channel(false);
        let (progress, told) = mpsc::unbounded_channel();
        let display = tokio::task::spawn_local(display(told, plan.scenarios.len()));
        let (run, interrupted) = until_interrupted(conduct(plan, stopped, progress), &stop).await?;
        display.await.map_err(fault)?;
        let run = run.map_err(fault)?;
        Ok((!interrupted).then_some(run))
    })
}

async fn display(mut told: mpsc::UnboundedReceiver<Progress>, scenarios: usize) {
    let shown = std::io::stderr().is_terminal();
    let bar = if shown {
        ProgressBar::new(scenarios as u64)
    } else {
        ProgressBar::hidden()
    };
    if let Ok(style) =
        ProgressStyle::with_template("{elapsed:>4} [{bar:24}] {pos}/{len} {wide_msg}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut playing: Vec<String> = Vec::new();
    while let Some(progress) = told.recv().await {
        match progress {
            Progress::Building(command) => {
                bar.set_message(format!("building: {}", visible(&command)))
            }
            Progress::WaitingForPort { port, holder } => {
                bar.set_message(format!("waiting for port {port}, held by {holder}"))
            }
            Progress::Again(number) => bar.inc_length(number as u64),
            Progress::Playing(name) => playing.push(name),
            Progress::Played(name) => {
                playing.retain(|other| *other != name);
                bar.inc(1);
            }
        }
        if !playing.is_empty() {
            bar.set_message(playing.join(", "));
        }
    }
    bar.finish_and_clear();
}
