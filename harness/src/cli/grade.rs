//! `harness grade`.

use super::{Failure, INTERRUPTED, USAGE, fault, library, print, rubric, until_interrupted};
use crate::class::grade::{Order, Told, grade};
use crate::class::roster::{self, Partition};
use crate::class::store::{self, Store};
use crate::class::{Entry, State, digest, summary};
use crate::conduct::Progress;
use crate::report::text::points;
use crate::text::{count, visible};
use crate::world::{Cables, Cgroups, Isolation, Level, Watch};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use miette::miette;
use rand::RngExt as _;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How many scenarios at the same time, by default, for each processor: they mostly wait.
const JOBS_PER_CORE: usize = 8;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  harness grade submissions                        everybody in the folder submissions
  harness grade submissions/ada submissions/bert   two of them
  harness grade submissions --out results --resume go on after an interruption, or with what was changed
  harness grade submissions --partition 2/5 --out results-2
                                                   the second of five parts, to be joined with `harness merge`
  harness grade submissions --rubric rubric.toml   with points of your own (README of harness: a rubric of your own)
  harness report results --format html -o class.html

A folder with a lab.toml is a submission. In any other, each folder is one as soon as one of them has a lab.toml; those
without are recorded as refused, with the reason. Builds write into the submissions' folders; programs do not.

Exit status: 0 everybody passed every required check, 1 somebody failed one, 2 usage, or somebody's lab.toml is missing
or wrong, 3 nobody failed but something is open, 4 harness fault, 130 interrupted. The gravest counts: 4, 2, 1, 3, 0.")]
pub(super) struct Arguments {
    /// Submissions, or folders of submissions.
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Where the results are kept: a new or an empty folder, unless with --resume.
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// At most so many scenarios at the same time (default: 8 per core); fewer while the machine lags.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Only a part of the class: 2/5 is the second of five.
    #[arg(long, value_name = "PART/PARTS")]
    partition: Option<Partition>,
    /// Goes on with the results in --out: grades whom it lacks, and whose files have changed.
    #[arg(long)]
    resume: bool,
    /// Fixes every random choice (with --resume: the one it was begun with).
    #[arg(long)]
    seed: Option<u64>,
    /// Uses the scenario files in a folder instead of the built-in ones.
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
    /// Counts by a rubric of your own: points, what is switched off, what students are not shown (with --resume: the one
    /// it was begun with).
    #[arg(long, value_name = "FILE")]
    rubric: Option<PathBuf>,
    #[command(flatten)]
    again: super::Again,
    /// Runs the programs even where nothing protects this machine and the other submissions from them.
    #[arg(long)]
    trust_code: bool,
    /// Runs nothing unless each program is isolated this well (default: L1, see `harness doctor`).
    #[arg(long, value_name = "LEVEL")]
    require_isolation: Option<Level>,
    /// Isolates programs no better than this, where something does not work in a sandbox (default: as well as possible).
    #[arg(long, value_name = "LEVEL")]
    isolation: Option<Level>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let library = library(arguments.scenarios.as_deref())?;
    let rubric = rubric(arguments.rubric.as_deref(), &library)?;
    let class = roster::find(&arguments.dirs, &arguments.out)?;
    let isolation = Isolation::probe(arguments.isolation);
    isolation.require_for_strangers(arguments.trust_code)?;
    if let Some(required) = arguments.require_isolation {
        isolation.require(required)?;
    }
    if arguments.jobs == Some(0) {
        return Err(miette!(
            help = "leave it out, or write a number from 1",
            "--jobs 0 would grade nothing"
        )
        .into());
    }
    let begun = arguments
        .resume
        .then(|| store::load(&arguments.out).ok())
        .flatten();
    let seed = arguments
        .seed
        .or(begun.as_ref().map(|begun| begun.seed))
        .unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    let rubric = rubric.or(begun.and_then(|begun| begun.rubric));
    let rows: Vec<(String, String)> = class
        .iter()
        .map(|member| {
            (
                member.name.clone(),
                member.given.to_string_lossy().into_owned(),
            )
        })
        .collect();
    let index = store::begin(
        seed,
        digest::of_scenarios(&library.scenarios),
        rubric.clone(),
        arguments.partition,
        &rows,
    );
    let members: Vec<_> = class
        .into_iter()
        .enumerate()
        .filter(|(place, _)| arguments.partition.is_none_or(|part| part.holds(*place)))
        .map(|(_, member)| member)
        .collect();
    let store = Store::open(&arguments.out, index, arguments.resume)?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let order = Order {
        members,
        library,
        rubric,
        watch: Watch::probe(&isolation),
        cgroup: Cgroups::probe().folder,
        cables: Cables::probe(&isolation),
        isolation,
        seed,
        jobs: arguments.jobs.unwrap_or(JOBS_PER_CORE * cores),
        cores,
        reruns: arguments.again.reruns.into(),
        swap: arguments.again.swap(),
        flaky: arguments.again.flaky,
    };
    let say = |text: &str| {
        let _ = writeln!(std::io::stderr(), "{text}");
    };
    say(&format!(
        "{} · seed {seed} · isolation {}: {}; the wire is {}",
        count(order.members.len(), "submission"),
        order.isolation.level,
        order.isolation.shared(),
        if order.watch.granted {
            "watched"
        } else {
            "not watched"
        }
    ));
    if let Some(rubric) = &order.rubric {
        say(&format!(
            "counted by a rubric of {} points",
            points(rubric.total())
        ));
    }
    let (store, interrupted) = grade_visibly(order, store)?;
    let status = store.index().exit_status();
    print(&format!(
        "{}\nresults in {}; `harness report {} --format html -o class.html` shows them\n",
        summary(store.index()),
        arguments.out.display(),
        arguments.out.display()
    ))?;
    if interrupted {
        say(
            "interrupted; every program was stopped, what was done is kept: the same command with --resume goes on",
        );
        return Ok(INTERRUPTED);
    }
    if status == USAGE {
        say("somebody's lab.toml is missing or wrong: the report says whose, and what to write");
    }
    Ok(status)
}

/// Grades with progress. True when it was interrupted.
fn grade_visibly(order: Order, store: Store) -> Result<(Store, bool), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(fault)?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (stop, stopped) = watch::channel(false);
        let (tell, told) = mpsc::unbounded_channel();
        let display = tokio::task::spawn_local(display(told, order.members.len()));
        let (store, interrupted) =
            until_interrupted(grade(order, store, stopped, tell), &stop).await?;
        display.await.map_err(fault)?;
        Ok((store.map_err(Failure::Fault)?, interrupted))
    })
}

/// A line for everybody who is done, and on a terminal below them a line for each that is being played.
async fn display(mut told: mpsc::UnboundedReceiver<Told>, everybody: usize) {
    let shown = std::io::stderr().is_terminal();
    let bars = MultiProgress::new();
    let style = |template: &str| {
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ")
    };
    let all = if shown {
        let bar = bars.add(ProgressBar::new(everybody as u64));
        bar.set_style(style("{elapsed:>4} [{bar:24}] {pos}/{len}  {eta} to go"));
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    } else {
        ProgressBar::hidden()
    };
    let mut open: BTreeMap<String, (ProgressBar, Vec<String>)> = BTreeMap::new();
    let mut done = 0;
    let line = |text: String| {
        if shown {
            // A terminal that is gone is no reason to stop.
            let _ = bars.println(text);
        } else {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    };
    while let Some(what) = told.recv().await {
        match what {
            Told::Opened(name, scenarios) => {
                let bar = if shown {
                    let bar = bars.insert_before(&all, ProgressBar::new(scenarios as u64));
                    bar.set_style(style("  {prefix:20!} [{bar:12}] {pos}/{len} {wide_msg}"));
                    bar.set_prefix(visible(&name));
                    bar
                } else {
                    ProgressBar::hidden()
                };
                open.insert(name, (bar, Vec::new()));
            }
            Told::Again(name, scenarios) => {
                line(format!(
                    "{}: the machine lagged; {} to be played again, alone",
                    visible(&name),
                    count(scenarios, "scenario")
                ));
                if let Some((bar, _)) = open.get(&name) {
                    bar.set_message("waits to be played again alone");
                }
            }
            Told::Progress(name, progress) => {
                let Some((bar, playing)) = open.get_mut(&name) else {
                    continue;
                };
                match progress {
                    Progress::Building(command) => {
                        bar.set_message(format!("building: {}", visible(&command)));
                        continue;
                    }
                    Progress::WaitingForPort { port, holder } => {
                        bar.set_message(format!("waiting for port {port}, held by {holder}"));
                        continue;
                    }
                    Progress::Again(scenarios) => bar.inc_length(scenarios as u64),
                    Progress::Playing(scenario) => playing.push(scenario),
                    Progress::Played(scenario) => {
                        playing.retain(|other| *other != scenario);
                        bar.inc(1);
                    }
                }
                bar.set_message(playing.join(", "));
            }
            Told::Done(entry) | Told::Unchanged(entry) if entry.state == State::Pending => {}
            Told::Done(entry) => {
                done += 1;
                all.inc(1);
                if let Some((bar, _)) = open.remove(&entry.name) {
                    bar.finish_and_clear();
                    bars.remove(&bar);
                }
                line(format!("[{done}/{everybody}] {}", in_words(&entry)));
            }
            Told::Unchanged(entry) => {
                done += 1;
                all.inc(1);
                line(format!(
                    "[{done}/{everybody}] {} (unchanged)",
                    in_words(&entry)
                ));
            }
        }
    }
    all.finish_and_clear();
}

/// What came of a submission, on one line.
fn in_words(entry: &Entry) -> String {
    use crate::judge::Status;
    let who = if entry.student == entry.name {
        visible(&entry.name)
    } else {
        format!("{} ({})", visible(&entry.name), visible(&entry.student))
    };
    match (&entry.error, entry.state) {
        (Some(error), state) => {
            let mut lines = error
                .lines()
                .map(|line| line.trim().trim_start_matches("× "));
            let first = lines.find(|line| !line.is_empty());
            format!(
                "{who}: {}: {}",
                state.word(),
                visible(first.unwrap_or_default())
            )
        }
        (None, state) => format!(
            "{who}: {}, {} of {} points · {} passed, {} failed",
            state.word(),
            points(entry.score),
            points(entry.max_score),
            entry.counting(Status::Pass),
            entry.counting(Status::Fail)
        ),
    }
}
