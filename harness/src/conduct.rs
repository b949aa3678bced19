//! Conducts a whole check of one submission: builds it, plays its scenarios, keeps the evidence.
//!
//! Scenarios that each have a network of their own are played at the same time; on a shared network one after
//! the other, under a lock on the port. What happens is told as [`Progress`]; what came of it is a [`Run`].

use crate::event::{Actor, Event};
use crate::judge::Obstacle;
use crate::lab::Exercise;
use crate::manifest::{CommandTemplate, NameStyle, Programs, Submission};
use crate::results::{Run, Scene};
use crate::scenario::{Action, Need, Scenario};
use crate::stage::{self, Job};
use crate::text;
use crate::world::{Isolation, Level, ports};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// A build may take this long.
const BUILD_WITHIN: Duration = Duration::from_secs(15 * 60);

/// How much of a build's output is kept: the end of it.
const BUILD_OUTPUT: usize = 64 << 10;

/// For how long a port in TIME-WAIT is waited for: the kernel's minute and a bit.
const PORT_WITHIN: Duration = Duration::from_secs(65);

/// What to play.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose programs.
    pub submission: Submission,
    /// Scenarios with their placeholders.
    pub scenarios: Vec<Scenario>,
    /// Exercises handed in as files, to be mentioned in the report.
    pub papers: Vec<Exercise>,
    /// The checks to report on; none means all.
    pub only: Vec<String>,
    /// Where.
    pub isolation: Isolation,
    /// The seed of every random choice.
    pub seed: u64,
    /// How many scenarios at the same time, where each has its own network.
    pub jobs: usize,
}

/// What is happening.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A build has begun.
    Building(String),
    /// A scenario has begun.
    Playing(String),
    /// A scenario waits for a port that somebody holds.
    WaitingForPort {
        /// Which.
        port: u16,
        /// Who.
        holder: String,
    },
    /// A scenario is over.
    Played(String),
}

/// Carries out a plan. When `stop` becomes true everything is ended and the run is incomplete.
///
/// # Errors
/// When the harness itself cannot go on: a stage cannot be started, or the socket tables cannot be read.
pub async fn conduct(
    plan: &Plan,
    stop: watch::Receiver<bool>,
    progress: mpsc::UnboundedSender<Progress>,
) -> std::io::Result<Run> {
    let failed_builds = build_all(plan, &stop, &progress).await;
    let mut waiting: Vec<(usize, Job)> = Vec::new();
    let mut scenes: Vec<Option<Scene>> = Vec::new();
    for (index, scenario) in plan.scenarios.iter().enumerate() {
        let Some(programs) = plan.submission.programs.get(&scenario.exercise) else {
            scenes.push(None);
            continue;
        };
        let names = names_for(scenario, programs);
        let filled = scenario.fill(&names, plan.seed);
        let obstacle = failed_builds
            .get(&scenario.exercise)
            .cloned()
            .or_else(|| obstacle(&filled, programs, &plan.isolation));
        let playable = obstacle.is_none();
        scenes.push(Some(Scene {
            scenario: filled.clone(),
            obstacle,
            events: Vec::new(),
        }));
        if playable {
            let port = port_for(scenario, programs, &plan.isolation)?;
            let job = Job {
                scenario: filled,
                programs: programs.clone(),
                names,
                seed: plan.seed,
                seclusion: plan.isolation.seclusion,
                port,
            };
            waiting.push((index, job));
        }
    }
    // The longest last in the list, so that it is the first to be taken.
    waiting.sort_by_key(|(_, job)| job.scenario.expected_length());
    let at_once = if plan.isolation.level == Level::L0 {
        1
    } else {
        plan.jobs.max(1)
    };
    let mut playing = JoinSet::new();
    loop {
        while playing.len() < at_once
            && !*stop.borrow()
            && let Some((index, job)) = waiting.pop()
        {
            let (stop, progress) = (stop.clone(), progress.clone());
            playing.spawn_local(async move { (index, play_one(job, stop, &progress).await) });
        }
        match playing.join_next().await {
            None => break,
            Some(Err(error)) => return Err(std::io::Error::other(error)),
            Some(Ok((index, outcome))) => {
                if let Some(Some(scene)) = scenes.get_mut(index) {
                    match outcome? {
                        Played::Events(events) => scene.events = events,
                        Played::Obstacle(obstacle) => scene.obstacle = Some(obstacle),
                    }
                }
            }
        }
    }
    Ok(Run::new(plan, scenes.into_iter().flatten().collect()))
}

enum Played {
    Events(Vec<Event>),
    Obstacle(Obstacle),
}

async fn play_one(
    job: Job,
    stop: watch::Receiver<bool>,
    progress: &mpsc::UnboundedSender<Progress>,
) -> std::io::Result<Played> {
    let name = job.scenario.name.clone();
    let _lock = if job.seclusion.network {
        None
    } else {
        match wait_for_port(&job, progress).await? {
            Ok(lock) => Some(lock),
            Err(obstacle) => return Ok(Played::Obstacle(obstacle)),
        }
    };
    // Nobody listening to the progress is no reason to stop.
    let _ = progress.send(Progress::Playing(name.clone()));
    let events = stage::launch(&job, stop, |_| {}).await?;
    let _ = progress.send(Progress::Played(name));
    Ok(Played::Events(events))
}

/// Waits until the port is free on a shared network, or says who holds it.
async fn wait_for_port(
    job: &Job,
    progress: &mpsc::UnboundedSender<Progress>,
) -> std::io::Result<Result<ports::PortLock, Obstacle>> {
    let Some((transport, _)) = job.scenario.exercise.endpoint() else {
        return Err(std::io::Error::other("an exercise without programs"));
    };
    let port = job.port;
    let lock = tokio::task::spawn_blocking(move || ports::PortLock::acquire(port))
        .await
        .map_err(std::io::Error::other)??;
    let deadline = tokio::time::Instant::now() + PORT_WITHIN;
    let mut told = false;
    loop {
        let Some(holder) = ports::holder(transport, port)? else {
            return Ok(Ok(lock));
        };
        if tokio::time::Instant::now() >= deadline {
            let what = format!(
                "port {port} to be free: it is held by {holder}; stop that program and check again"
            );
            return Ok(Err(Obstacle::Lacks { what }));
        }
        if !told {
            told = true;
            let _ = progress.send(Progress::WaitingForPort { port, holder });
        }
        // The kernel announces no freed port.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// The port for `{port}`, and the one expected when there is no such placeholder.
fn port_for(
    scenario: &Scenario,
    programs: &Programs,
    isolation: &Isolation,
) -> std::io::Result<u16> {
    let Some((transport, default)) = scenario.exercise.endpoint() else {
        return Err(std::io::Error::other("an exercise without programs"));
    };
    if isolation.level == Level::L0 && programs.server.mentions("port") {
        return ports::free_port(transport);
    }
    Ok(programs.port.unwrap_or(default))
}

/// What clients are called at login.
fn names_for(scenario: &Scenario, programs: &Programs) -> BTreeMap<Actor, String> {
    let name = |namesake: &str| match &programs.name {
        NameStyle::Fixed(name) => name.clone(),
        NameStyle::Typed | NameStyle::Argument => {
            let mut letters = namesake.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
                .unwrap_or_default()
        }
    };
    scenario
        .namesakes()
        .into_iter()
        .map(|(actor, namesake)| (actor, name(&namesake)))
        .collect()
}

fn obstacle(scenario: &Scenario, programs: &Programs, isolation: &Isolation) -> Option<Obstacle> {
    let own_network = isolation.level >= Level::L3n;
    if scenario.needs.contains(&Need::Netns) && !own_network {
        let what =
            "netns: a network of its own, which this machine does not allow (see `harness doctor`)"
                .to_owned();
        return Some(Obstacle::Lacks { what });
    }
    let other_computer = scenario
        .steps
        .iter()
        .any(|step| matches!(step.action, Action::AddAddress { .. }));
    if other_computer && !programs.client.mentions("host") && programs.address.is_none() {
        let what = "a client that is told the server's address: write {host} into its command in lab.toml, \
                    or address = \"…\" when the address stands in the code";
        return Some(Obstacle::Lacks {
            what: what.to_owned(),
        });
    }
    None
}

/// Runs every build command once. What failed is said per exercise.
async fn build_all(
    plan: &Plan,
    stop: &watch::Receiver<bool>,
    progress: &mpsc::UnboundedSender<Progress>,
) -> BTreeMap<Exercise, Obstacle> {
    let wanted: BTreeSet<Exercise> = plan
        .scenarios
        .iter()
        .map(|scenario| scenario.exercise)
        .collect();
    let mut outcomes: Vec<(PathBuf, CommandTemplate, Option<Obstacle>)> = Vec::new();
    let mut failed = BTreeMap::new();
    for (exercise, programs) in plan
        .submission
        .programs
        .iter()
        .filter(|(exercise, _)| wanted.contains(exercise))
    {
        let whole = plan
            .submission
            .build
            .as_ref()
            .map(|build| (plan.submission.dir.as_path(), build));
        let own = programs
            .build
            .as_ref()
            .map(|build| (programs.dir.as_path(), build));
        for (dir, command) in whole.into_iter().chain(own) {
            let known = outcomes
                .iter()
                .find(|(known_dir, known, _)| known_dir == dir && known == command);
            let outcome = match known {
                Some((_, _, outcome)) => outcome.clone(),
                None => {
                    let _ = progress.send(Progress::Building(command.to_string()));
                    let outcome = build(dir, command, stop.clone())
                        .await
                        .err()
                        .map(|because| Obstacle::Build { because });
                    outcomes.push((dir.to_owned(), command.clone(), outcome.clone()));
                    outcome
                }
            };
            if let Some(obstacle) = outcome {
                failed.entry(*exercise).or_insert(obstacle);
            }
        }
    }
    failed
}

async fn build(
    dir: &Path,
    command: &CommandTemplate,
    mut stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let mut prepared = stage::command(&command.words, dir);
    crate::sys::in_own_session(&mut prepared, None);
    let mut prepared = tokio::process::Command::from(prepared);
    prepared
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let failed = |what: String| format!("the build `{command}` {what}");
    let mut child = prepared
        .spawn()
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    let group = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .map(nix::unistd::Pid::from_raw);
    let output = async {
        let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
            return (child.wait().await, Vec::new());
        };
        let (mut kept, mut errors) = (Vec::new(), Vec::new());
        tokio::join!(
            keep_the_end(&mut out, &mut kept),
            keep_the_end(&mut err, &mut errors)
        );
        kept.extend(errors);
        (child.wait().await, kept)
    };
    let outcome = tokio::select! {
        (status, output) = output => match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let words = text::last_words(&String::from_utf8_lossy(&output), 400);
                Err(failed(format!("ended with {status}; the last it printed: {words}")))
            }
            Err(error) => Err(failed(format!("could not be waited for: {error}"))),
        },
        () = tokio::time::sleep(BUILD_WITHIN) => Err(failed(format!("was not over after {} minutes", BUILD_WITHIN.as_secs() / 60))),
        _ = stop.wait_for(|stop| *stop) => Err(failed("was interrupted".to_owned())),
    };
    if outcome.is_err()
        && let Some(group) = group
    {
        // It fails when the group has ended, which is what is wanted.
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
    outcome
}

async fn keep_the_end(source: &mut (impl tokio::io::AsyncRead + Unpin), kept: &mut Vec<u8>) {
    let mut buffer = vec![0; 8192];
    while let Ok(octets @ 1..) = source.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..octets]);
        if kept.len() > 2 * BUILD_OUTPUT {
            kept.drain(..kept.len() - BUILD_OUTPUT);
        }
    }
}
