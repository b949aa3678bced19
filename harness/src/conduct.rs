//! Conducts a whole check of one submission: builds it, plays its scenarios, keeps the evidence.
//!
//! Scenarios that each have a network of their own are played at the same time; on a shared network one after
//! the other, under a lock on the port. What happens is told as [`Progress`]; what came of it is a [`Run`].

use crate::build;
use crate::event::{Actor, Event, EventKind};
use crate::judge::{Flaky, Obstacle, Side};
use crate::lab::Exercise;
use crate::manifest::{NameStyle, Programs, Submission};
use crate::paper::{self, Paper};
use crate::results::{Again, FRAMES, Run, Scene};
use crate::rubric::Rubric;
use crate::scenario::model::SERVER;
use crate::scenario::{Action, Need, Scenario};
use crate::stage::{self, Job, Wiring};
use crate::turns::Turns;
use crate::world::sandbox::Sandbox;
use crate::world::{Cables, Interpreters, Isolation, Watch, ports};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// For how long a port in TIME-WAIT is waited for: the kernel's minute and a bit.
const PORT_WITHIN: Duration = Duration::from_secs(65);

/// What to play.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose programs.
    pub submission: Submission,
    /// Scenarios with their placeholders.
    pub scenarios: Vec<Scenario>,
    /// Exercises handed in that no scenario is about, to be mentioned in the report.
    pub unchecked: Vec<Exercise>,
    /// The checks to report on; none means all.
    pub only: Vec<String>,
    /// The instructor's points; none leaves those of the scenarios.
    pub rubric: Option<Rubric>,
    /// Where.
    pub isolation: Isolation,
    /// Whether the wire can be watched there.
    pub watch: Watch,
    /// Whether there can be two computers and bad networks.
    pub cables: Cables,
    /// The control group below which each scenario has its own, if one is delegated.
    pub cgroup: Option<PathBuf>,
    /// The folder of this run's evidence, where frames are kept; none keeps none.
    pub evidence: Option<PathBuf>,
    /// What is around each program and build.
    pub sandbox: Sandbox,
    /// The seed of every random choice.
    pub seed: u64,
    /// How many scenarios at the same time, where each has its own network.
    pub jobs: usize,
    /// How often a scenario in which something required failed is played again, at most.
    pub reruns: usize,
    /// Whether programs of the harness's own take a part in what has failed, where the wire blames nobody.
    pub swap: bool,
    /// What it means when the same scenario ends differently.
    pub flaky: Flaky,
    /// Turns shared with other submissions; none where there is only this one.
    pub turns: Option<Turns>,
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
    /// So many scenarios, in which something failed, are played again.
    Again(usize),
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
    let failed_builds = build::run_all(plan, &stop, &progress).await?;
    let played: BTreeSet<Exercise> = plan
        .scenarios
        .iter()
        .map(|scenario| scenario.exercise)
        .filter(|exercise| !failed_builds.contains_key(exercise))
        .collect();
    let programs = plan.submission.programs.iter();
    let programs = programs.filter(|(exercise, _)| played.contains(exercise));
    let mut sandbox = plan.sandbox.clone();
    sandbox.interpreters =
        Interpreters::behind_shims(programs.map(|(_, programs)| programs), &sandbox).await;
    let mut jobs: BTreeMap<usize, Job> = BTreeMap::new();
    let mut scenes: Vec<Option<Scene>> = Vec::new();
    for (index, scenario) in plan.scenarios.iter().enumerate() {
        let Some(programs) = plan.submission.programs.get(&scenario.exercise) else {
            // Files are read at the end, when it is known where the programs listened.
            scenes.push(scenario.is_paper().then(|| Scene::of_paper(scenario)));
            continue;
        };
        let names = names_for(scenario, programs);
        let filled = scenario.fill(&names, plan.seed);
        let obstacle = failed_builds
            .get(&scenario.exercise)
            .cloned()
            .or_else(|| obstacle(&filled, programs, plan));
        let playable = obstacle.is_none();
        scenes.push(Some(Scene {
            scenario: filled.clone(),
            obstacle,
            events: Vec::new(),
            again: Vec::new(),
            understudies: BTreeMap::new(),
        }));
        if playable {
            let port = port_for(scenario, programs, &plan.isolation)?;
            let frames = place_for_frames(plan, &Scene::folder_of(&filled.name, 0))?;
            let job = Job {
                watch: plan.watch.clone(),
                wiring: wiring(scenario, programs, plan),
                cgroup: plan.cgroup.clone(),
                frames,
                scenario: filled,
                programs: programs.clone(),
                names,
                seed: plan.seed,
                seclusion: plan.isolation.seclusion,
                sandbox: sandbox.clone(),
                port,
            };
            jobs.insert(index, job);
        }
    }
    let first = jobs
        .iter()
        .map(|(index, job)| Performance::of_pair(*index, job.clone()));
    play(plan, first.collect(), &mut scenes, &stop, &progress).await?;
    for _ in 0..plan.reruns {
        let doubtful: Vec<usize> = jobs
            .keys()
            .copied()
            .filter(|index| {
                let scene = scenes.get(*index).and_then(Option::as_ref);
                scene.is_some_and(Scene::is_doubtful)
            })
            .collect();
        if doubtful.is_empty() || *stop.borrow() {
            break;
        }
        let _ = progress.send(Progress::Again(doubtful.len()));
        let mut again = Vec::new();
        for index in doubtful {
            let (Some(job), Some(Some(scene))) = (jobs.get(&index), scenes.get(index)) else {
                continue;
            };
            let folder = Scene::folder_of(&job.scenario.name, scene.again.len() + 1);
            let frames = place_for_frames(plan, &folder)?;
            let job = Job {
                frames,
                ..job.clone()
            };
            again.push(Performance::of_pair(index, job));
        }
        play(plan, again, &mut scenes, &stop, &progress).await?;
    }
    let swapped = swapped(plan, &jobs, &scenes)?;
    if !swapped.is_empty() && !*stop.borrow() {
        let _ = progress.send(Progress::Again(swapped.len()));
        play(plan, swapped, &mut scenes, &stop, &progress).await?;
    }
    let scenes: Vec<Scene> = scenes.into_iter().flatten().collect();
    let papers = read_papers(&plan.submission, &scenes).await?;
    Ok(Run::new(plan, scenes, papers))
}

/// A scenario that is to be played.
struct Performance {
    /// Its place among the scenes.
    index: usize,
    /// On which side a program of the harness's own plays, if on any.
    understudy: Option<Side>,
    job: Job,
}

impl Performance {
    fn of_pair(index: usize, job: Job) -> Self {
        Performance {
            index,
            understudy: None,
            job,
        }
    }

    /// What people call it while it is played.
    fn name(&self) -> String {
        let name = &self.job.scenario.name;
        match self.understudy {
            None => name.clone(),
            Some(side) => format!("{name} (with the harness's own {})", side.word()),
        }
    }
}

/// Those scenarios in which something failed and the wire blames nobody, each twice: with a client of the harness's
/// own, and with its server. Only where each has a network of its own: there the wire was watched, and every port is free.
fn swapped(
    plan: &Plan,
    jobs: &BTreeMap<usize, Job>,
    scenes: &[Option<Scene>],
) -> std::io::Result<Vec<Performance>> {
    let mut performances = Vec::new();
    if !plan.swap || !plan.isolation.seclusion.network {
        return Ok(performances);
    }
    for (index, job) in jobs {
        let scene = scenes.get(*index).and_then(Option::as_ref);
        let Some(part) = scene.and_then(|scene| scene.part(plan.flaky, &job.programs.quit)) else {
            continue;
        };
        for side in [Side::Client, Side::Server] {
            let folder = Scene::folder_with_understudy(&job.scenario.name, side);
            let job = Job {
                frames: place_for_frames(plan, &folder)?,
                programs: part.cast(side, &job.programs),
                ..job.clone()
            };
            performances.push(Performance {
                index: *index,
                understudy: Some(side),
                job,
            });
        }
    }
    Ok(performances)
}

/// Plays scenarios and puts what happened where they have their place among the scenes.
async fn play(
    plan: &Plan,
    mut waiting: Vec<Performance>,
    scenes: &mut [Option<Scene>],
    stop: &watch::Receiver<bool>,
    progress: &mpsc::UnboundedSender<Progress>,
) -> std::io::Result<()> {
    // The longest last in the list, so that it is the first to be taken.
    waiting.sort_by_key(|turn| turn.job.scenario.expected_length());
    let at_once = if plan.isolation.seclusion.network {
        plan.jobs.max(1)
    } else {
        1
    };
    let mut playing = JoinSet::new();
    loop {
        while playing.len() < at_once
            && !*stop.borrow()
            && let Some(next) = waiting.pop()
        {
            let (mut stop, progress) = (stop.clone(), progress.clone());
            let turns = plan.turns.clone();
            playing.spawn_local(async move {
                let turn = match &turns {
                    Some(turns) => tokio::select! {
                        turn = turns.take() => Some(turn),
                        _ = stop.wait_for(|stop| *stop) => {
                            let what = "its turn, and was interrupted before".to_owned();
                            let lacks = Played::Obstacle(Obstacle::Lacks { what });
                            return (next.index, next.understudy, Ok(lacks));
                        }
                    },
                    None => None,
                };
                let played = play_one(&next, stop, &progress).await;
                drop(turn);
                (next.index, next.understudy, played)
            });
        }
        match playing.join_next().await {
            None => break,
            Some(Err(error)) => return Err(std::io::Error::other(error)),
            Some(Ok((index, understudy, outcome))) => {
                if let Some(Some(scene)) = scenes.get_mut(index) {
                    match outcome? {
                        Played::Events(events) => {
                            remember_port(&events, scene.scenario.exercise, plan, &mut waiting);
                            if let Some(side) = understudy {
                                scene.understudies.insert(side, Again { events });
                            } else if scene.events.is_empty() {
                                scene.events = events;
                            } else {
                                scene.again.push(Again { events });
                            }
                        }
                        // What was played once was played.
                        Played::Obstacle(_) if !scene.events.is_empty() => {}
                        Played::Obstacle(obstacle) => scene.obstacle = Some(obstacle),
                    }
                }
            }
        }
    }
    Ok(())
}

/// Reads what was handed in as files, as far as some scene is about it.
async fn read_papers(
    submission: &Submission,
    scenes: &[Scene],
) -> std::io::Result<BTreeMap<Exercise, Paper>> {
    let asked = |exercise: &&Exercise| {
        let mut papers = scenes.iter().filter(|scene| scene.scenario.is_paper());
        papers.any(|scene| scene.scenario.exercise == **exercise)
    };
    let exercises: Vec<Exercise> = submission.papers.keys().filter(asked).copied().collect();
    let mut ports = submission.ports();
    let events = scenes.iter().flat_map(|scene| &scene.events);
    ports.extend(events.filter_map(|event| match &event.kind {
        EventKind::Listening { address, .. } => Some(address.port()),
        _ => None,
    }));
    let submission = submission.clone();
    // A large capture takes a moment; others are playing meanwhile.
    let read = tokio::task::spawn_blocking(move || {
        let read = exercises.into_iter().filter_map(|exercise| {
            let files = submission.papers.get(&exercise)?;
            Some((
                exercise,
                paper::read(exercise, files, &submission.dir, &ports),
            ))
        });
        read.collect()
    });
    read.await.map_err(std::io::Error::other)
}

/// The file for a scene's frames, in a folder that is there; none where nothing is watched or kept: a folder made so early
/// would only be in reach of the programs.
fn place_for_frames(plan: &Plan, scene: &Path) -> std::io::Result<Option<PathBuf>> {
    let Some(evidence) = plan.evidence.as_ref().filter(|_| plan.watch.granted) else {
        return Ok(None);
    };
    // Stages run in the submission's folder or elsewhere: a relative path would lead astray.
    let folder = std::path::absolute(evidence)?.join(scene);
    std::fs::create_dir_all(&folder)?;
    Ok(Some(folder.join(FRAMES)))
}

enum Played {
    Events(Vec<Event>),
    Obstacle(Obstacle),
}

async fn play_one(
    next: &Performance,
    stop: watch::Receiver<bool>,
    progress: &mpsc::UnboundedSender<Progress>,
) -> std::io::Result<Played> {
    let (job, name) = (&next.job, next.name());
    let _lock = if job.seclusion.network {
        None
    } else {
        match wait_for_port(job, &stop, progress).await? {
            Ok(lock) => Some(lock),
            Err(obstacle) => return Ok(Played::Obstacle(obstacle)),
        }
    };
    // Nobody listening to the progress is no reason to stop.
    let _ = progress.send(Progress::Playing(name.clone()));
    let events = stage::launch(job, stop).await?;
    let _ = progress.send(Progress::Played(name));
    if !job.seclusion.network && found_its_port_taken(&events) {
        let what = "its port to be free: the server found it in use".to_owned();
        return Ok(Played::Obstacle(Obstacle::Lacks { what }));
    }
    Ok(Played::Events(events))
}

/// Whether the server ended before it listened, saying that its address is in use. On a shared network that is no
/// fault of the server's.
fn found_its_port_taken(events: &[Event]) -> bool {
    let listens = events
        .iter()
        .any(|event| matches!(event.kind, EventKind::Listening { .. }));
    let complains = |event: &Event| match &event.kind {
        EventKind::Output { actor, text } => {
            actor == SERVER && (text.contains("in use") || text.contains("EADDRINUSE"))
        }
        _ => false,
    };
    !listens && events.iter().any(complains)
}

/// Waits until the port is free on a shared network and nobody else's turn, or says who holds it.
async fn wait_for_port(
    job: &Job,
    stop: &watch::Receiver<bool>,
    progress: &mpsc::UnboundedSender<Progress>,
) -> std::io::Result<Result<ports::Lock, Obstacle>> {
    let Some((transport, _)) = job.scenario.exercise.endpoint() else {
        return Err(std::io::Error::other("an exercise without programs"));
    };
    let port = job.port;
    let deadline = tokio::time::Instant::now() + PORT_WITHIN;
    let mut lock = None;
    let mut told = false;
    loop {
        if lock.is_none() {
            lock = ports::Lock::try_acquire_port(port)?;
        }
        let holder = match lock {
            Some(_) => ports::holder(transport, port)?,
            None => Some("another harness".to_owned()),
        };
        let holder = match (holder, lock.take()) {
            (None, Some(lock)) => return Ok(Ok(lock)),
            (holder, kept) => {
                lock = kept;
                holder.unwrap_or_default()
            }
        };
        if *stop.borrow() || tokio::time::Instant::now() >= deadline {
            let what = format!(
                "port {port} to be free: it is held by {holder}; stop that program and check again"
            );
            return Ok(Err(Obstacle::Lacks { what }));
        }
        if !told {
            told = true;
            let _ = progress.send(Progress::WaitingForPort { port, holder });
        }
        // Neither the kernel nor a lock announces that a port is free.
        tokio::time::sleep(Duration::from_millis(100)).await;
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
    if !isolation.seclusion.network && programs.server.mentions("port") {
        return ports::free_port(transport);
    }
    Ok(programs.port.unwrap_or(default))
}

/// On a shared network, where a server that names no port was found to listen is where its next scenario has to
/// wait for a free port.
fn remember_port(events: &[Event], exercise: Exercise, plan: &Plan, waiting: &mut [Performance]) {
    if plan.isolation.seclusion.network {
        return;
    }
    let found = events.iter().find_map(|event| match &event.kind {
        EventKind::Listening { address, .. } => Some(address.port()),
        _ => None,
    });
    let says_nothing =
        |job: &Job| !job.programs.server.mentions("port") && job.programs.port.is_none();
    for job in waiting
        .iter_mut()
        .map(|turn| &mut turn.job)
        .filter(|job| job.scenario.exercise == exercise && says_nothing(job))
    {
        job.port = found.unwrap_or(job.port);
    }
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

/// What the wire between the programs of a scenario is, where it can be played at all.
fn wiring(scenario: &Scenario, programs: &Programs, plan: &Plan) -> Wiring {
    let needs = |need| scenario.needs.contains(&need);
    match plan.cables.granted {
        true if needs(Need::TwoHosts) => Wiring::TwoComputers,
        true if needs(Need::Faults) => Wiring::Looped,
        false if needs(Need::Faults) && is_told_where_to_go(programs) => Wiring::Relayed,
        _ => Wiring::Loopback,
    }
}

/// Whether a client can be sent to a relay instead of the server.
fn is_told_where_to_go(programs: &Programs) -> bool {
    programs.client.mentions("host") && programs.client.mentions("port")
}

fn obstacle(scenario: &Scenario, programs: &Programs, plan: &Plan) -> Option<Obstacle> {
    let isolation = &plan.isolation;
    if scenario.needs.contains(&Need::Capture) && !plan.watch.granted {
        let why = plan
            .watch
            .why
            .as_deref()
            .unwrap_or("the wire cannot be watched");
        let what = format!("capture: {why}");
        return Some(Obstacle::Lacks { what });
    }
    let own_network = isolation.seclusion.network;
    if scenario.needs.contains(&Need::Netns) && !own_network {
        let what =
            "netns: a network of its own, which this machine does not allow (see `harness doctor`)"
                .to_owned();
        return Some(Obstacle::Lacks { what });
    }
    if programs.address.is_some() && !own_network {
        let what = "netns: the address in lab.toml can only be had on a network of its own (see `harness doctor`)".to_owned();
        return Some(Obstacle::Lacks { what });
    }
    let cables = || {
        let why = plan.cables.why.as_deref();
        why.unwrap_or("no cable can be laid").to_owned()
    };
    if scenario.needs.contains(&Need::TwoHosts) && !plan.cables.granted {
        let what = format!("two-hosts: {}", cables());
        return Some(Obstacle::Lacks { what });
    }
    let faulty = scenario.needs.contains(&Need::Faults) && !plan.cables.granted;
    if faulty && !is_told_where_to_go(programs) {
        let what = format!(
            "faults: {}; they can also be tried with a client that is told where to go: write {{host}} and {{port}} into its \
             command in lab.toml",
            cables()
        );
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
