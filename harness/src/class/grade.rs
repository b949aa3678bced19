//! Grades a class: opens each submission, plays its scenarios among everybody else's, keeps what came of it.
//!
//! How many scenarios are played at the same time follows the [canary](super::canary): fewer while it oversleeps or many
//! queue for a processor, more while neither is so. What was played while the machine lagged badly is played again when all others are done, alone, if
//! it did not pass or measures time itself; what still lags then is not held against anybody.

use super::canary::Canary;
use super::digest;
use super::roster::Member;
use super::store::{Store, is_done};
use super::{Entry, State};
use crate::conduct::{Plan, Progress, conduct};
use crate::judge::{self, Flaky, Obstacle, Status};
use crate::lab::Kind;
use crate::manifest::{self, FILE, Submission};
use crate::report::{IsolationNote, Report, SCHEMA, SubmissionName};
use crate::results::{Run, Scene};
use crate::rubric::Rubric;
use crate::scenario::wire::Sought;
use crate::scenario::{Action, Library, Pattern, Scenario};
use crate::scratch::{self, Scratch};
use crate::text::visible;
use crate::turns::Turns;
use crate::world::sandbox::view::View;
use crate::world::{Cables, Isolation, Watch};
use miette::{Result, miette};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Who oversleeps by this much may miss what the sheet asks for: the clock's range of one second, a wait for an answer.
const BADLY: Duration = Duration::from_millis(200);

/// From here on fewer scenarios are begun.
const BUSY: Duration = Duration::from_millis(60);

/// Below this, more.
const CALM: Duration = Duration::from_millis(25);

/// So many who want each processor make everything that much slower: from here on, too, fewer scenarios are begun.
const CROWDED: f64 = 4.0;

/// How often the number of scenarios is adapted.
const PACE: Duration = Duration::from_millis(250);

/// A manifest is never longer.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// What to grade, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// The submissions of this part of the class.
    pub members: Vec<Member>,
    /// The scenarios.
    pub library: Library,
    /// The instructor's points; none leaves those of the scenarios.
    pub rubric: Option<Rubric>,
    /// Where.
    pub isolation: Isolation,
    /// Whether the wire can be watched there.
    pub watch: Watch,
    /// The control group below which each scenario has its own, if one is delegated.
    pub cgroup: Option<PathBuf>,
    /// Whether there can be two computers and bad networks.
    pub cables: Cables,
    /// The seed of every random choice.
    pub seed: u64,
    /// At most so many scenarios at the same time.
    pub jobs: usize,
    /// Never fewer than so many, where each scenario has a network of its own.
    pub cores: usize,
    /// How often a scenario in which something required failed is played again, at most.
    pub reruns: usize,
    /// Whether programs of the harness's own take a part where the wire blames nobody.
    pub swap: bool,
    /// What it means when the same scenario ends differently.
    pub flaky: Flaky,
}

/// What is happening, for whoever watches.
#[derive(Clone, Debug)]
pub enum Told {
    /// A submission was opened; it has so many scenarios.
    Opened(String, usize),
    /// Something happened in one.
    Progress(String, Progress),
    /// It is to be played again alone: so many scenarios.
    Again(String, usize),
    /// It is done.
    Done(Box<Entry>),
    /// It was graded before and has not changed.
    Unchanged(Box<Entry>),
}

struct Hall {
    order: Order,
    store: RefCell<Store>,
    turns: Turns,
    open: Turns,
    canary: Canary,
    stop: watch::Receiver<bool>,
    told: mpsc::UnboundedSender<Told>,
    /// How many have not been played once.
    unplayed: watch::Sender<usize>,
    /// Held by the one that is played alone.
    alone: tokio::sync::Mutex<()>,
}

/// A submission's folder, its row so far, and what was played or, where nothing could be, its report.
type First = (
    PathBuf,
    Entry,
    std::result::Result<Box<Played>, Box<Report>>,
);

/// A submission that was played, and which of its scenarios the machine's lag may have spoilt.
struct Played {
    plan: Plan,
    run: Run,
    lagged: Vec<String>,
    /// Where its programs keep temporary files, where `/tmp` is everybody's.
    _scratch: Option<Scratch>,
}

/// Grades everybody that is not done yet. When `stop` becomes true, what is not done is thrown away.
///
/// # Errors
/// When the results cannot be written, or the harness itself cannot go on.
pub async fn grade(
    order: Order,
    store: Store,
    stop: watch::Receiver<bool>,
    told: mpsc::UnboundedSender<Told>,
) -> Result<Store> {
    // On a shared network one scenario at a time; a submission after the other, so that none waits for a port in vain.
    let shared = !order.isolation.seclusion.network;
    let jobs = if shared { 1 } else { order.jobs.max(1) };
    let members = order.members.clone();
    let hall = Rc::new(Hall {
        store: RefCell::new(store),
        turns: Turns::new(jobs.min(2 * order.cores)),
        // Each that is open has a scenario waiting or playing: with so many, no turn is left over.
        open: Turns::new(jobs),
        canary: Canary::new().map_err(|error| miette!("cannot start the canary: {error}"))?,
        stop,
        told,
        unplayed: watch::Sender::new(members.len()),
        alone: tokio::sync::Mutex::new(()),
        order,
    });
    let mut everybody = JoinSet::new();
    for member in members {
        let hall = Rc::clone(&hall);
        everybody.spawn_local(async move { hall.one(&member).await });
    }
    let governor = {
        let hall = Rc::clone(&hall);
        tokio::task::spawn_local(async move { hall.govern(jobs).await })
    };
    let mut outcome = Ok(());
    while let Some(done) = everybody.join_next().await {
        let done = done.map_err(|error| miette!("grading a submission failed: {error}"));
        // The first that fails is the cause; the others are let finish.
        outcome = outcome.and(done.and_then(|done| done));
    }
    governor.abort();
    // It has ended or was aborted: either way it holds nothing any more.
    let _ = governor.await;
    outcome?;
    let hall = Rc::into_inner(hall).ok_or_else(|| miette!("somebody is still grading"))?;
    Ok(hall.store.into_inner())
}

impl Hall {
    async fn one(&self, member: &Member) -> Result<()> {
        let turn = tokio::select! {
            turn = self.open.take() => turn,
            () = self.stopped() => return Ok(()),
        };
        if self.is_stopped() {
            return Ok(());
        }
        let first = self.first(member).await;
        self.unplayed.send_modify(|unplayed| *unplayed -= 1);
        drop(turn);
        let Some((work, entry, played)) = first? else {
            return Ok(());
        };
        let (entry, report, run) = match played {
            Err(report) => (entry, *report, None),
            Ok(played) => {
                let (run, replayed) = self.again(member, *played, &work).await?;
                let report = Report::new(&run);
                let entry = Entry { replayed, ..entry };
                (entry.with(&report), report, Some(run))
            }
        };
        if self.is_stopped() {
            return self.store.borrow().abandon(&work);
        }
        let mut entry = entry;
        // A build may have written among the files: that is no change of the submission.
        if let Some(after) = self
            .digest(member)
            .await
            .ok()
            .filter(|after| !entry.digests.contains(after))
        {
            entry.digests.push(after);
        }
        let mut store = self.store.borrow_mut();
        match &run {
            Some(run) => run.write(&work, &report)?,
            None => {
                crate::results::write(&work.join("report.json"), &crate::results::json(&report)?)?
            }
        }
        store.commit(&work, &entry)?;
        self.tell(Told::Done(Box::new(entry)));
        Ok(())
    }

    /// Plays a submission among the others: its folder, its row so far, and what was played or, for one that cannot be
    /// played, its report. None for one that is done already, or was interrupted.
    async fn first(&self, member: &Member) -> Result<Option<First>> {
        let mut entry = Entry::pending(&member.name, &member.given.to_string_lossy());
        entry.rubric = self.order.rubric.as_ref().map(digest::of_rubric);
        let digest = match self.digest(member).await {
            Ok(digest) => digest,
            Err(error) => {
                return self
                    .refused(entry, State::Refused, &error.to_string())
                    .map(Some);
            }
        };
        let known = {
            let store = self.store.borrow();
            let index = store.index();
            let known = index.submissions.iter().find(|row| row.name == member.name);
            known.filter(|known| !index.is_behind(known)).cloned()
        };
        if let Some(known) = known.filter(|known| is_done(known, &digest)) {
            self.tell(Told::Unchanged(Box::new(known)));
            return Ok(None);
        }
        entry.digests.push(digest);
        let submission = match open(member) {
            Ok(submission) => submission,
            Err(error) => return self.refused(entry, State::Refused, &said(&error)).map(Some),
        };
        entry.student.clone_from(&submission.student);
        let work = self.store.borrow().begin(&member.name)?;
        let played = self.play(member, submission, &work).await;
        if self.is_stopped() {
            self.store.borrow().abandon(&work)?;
            return Ok(None);
        }
        match played {
            Ok(played) => Ok(Some((work, entry, Ok(Box::new(played))))),
            Err(error) => {
                self.store.borrow().abandon(&work)?;
                self.refused(
                    entry,
                    State::Fault,
                    &format!("the harness could not go on: {error}"),
                )
                .map(Some)
            }
        }
    }

    fn refused(&self, mut entry: Entry, state: State, why: &str) -> Result<First> {
        entry.state = state;
        entry.error = Some(why.to_owned());
        let report = Report {
            schema: SCHEMA.to_owned(),
            submission: SubmissionName {
                student: entry.student.clone(),
                dir: entry.dir.clone(),
            },
            seed: self.order.seed,
            score: 0.0,
            max_score: 0.0,
            isolation: IsolationNote::new(&self.order.isolation, &self.order.watch),
            checks: Vec::new(),
            advice: Vec::new(),
            experiments: Vec::new(),
            notes: vec![format!("nothing was run: {why}")],
        };
        let work = self.store.borrow().begin(&entry.name)?;
        Ok((work, entry, Err(Box::new(report))))
    }

    async fn play(
        &self,
        member: &Member,
        submission: Submission,
        work: &Path,
    ) -> std::io::Result<Played> {
        let order = &self.order;
        let mut isolation = order.isolation.clone();
        let view = View::new(&submission, false, &[])?;
        let (sandbox, scratch) = scratch::surround(&mut isolation, view)?;
        let scenarios: Vec<Scenario> = order
            .library
            .scenarios
            .iter()
            .filter(|scenario| submission.has(scenario))
            .cloned()
            .collect();
        self.tell(Told::Opened(member.name.clone(), scenarios.len()));
        let papers = order.library.unchecked(submission.papers.keys());
        let plan = Plan {
            scenarios,
            unchecked: papers,
            only: Vec::new(),
            rubric: order.rubric.clone(),
            watch: order.watch.clone(),
            cgroup: order.cgroup.clone(),
            cables: order.cables.clone(),
            evidence: Some(work.to_owned()),
            sandbox,
            isolation,
            seed: order.seed,
            jobs: order.jobs,
            reruns: order.reruns,
            swap: order.swap,
            flaky: order.flaky,
            turns: Some(self.turns.clone()),
            submission,
        };
        let (mut run, lags) = self.conduct(member, &plan).await?;
        run.dir.clone_from(&member.given);
        let lagged = worth_repeating(&run, &lags);
        Ok(Played {
            plan,
            run,
            lagged,
            _scratch: scratch,
        })
    }

    /// Carries out a plan; by how much the canary overslept during each scenario.
    async fn conduct(
        &self,
        member: &Member,
        plan: &Plan,
    ) -> std::io::Result<(Run, BTreeMap<String, Duration>)> {
        let (progress, mut heard) = mpsc::unbounded_channel();
        let listen = async {
            let mut began = BTreeMap::new();
            let mut lags = BTreeMap::new();
            while let Some(progress) = heard.recv().await {
                match &progress {
                    Progress::Playing(name) => {
                        began.insert(name.clone(), Instant::now());
                    }
                    Progress::Played(name) => {
                        if let Some(from) = began.get(name) {
                            // Of a scenario that is played again because it failed, each run counts.
                            let lag = self.canary.worst(*from, Instant::now());
                            let worst = lags.entry(name.clone()).or_insert(lag);
                            *worst = lag.max(*worst);
                        }
                    }
                    _ => {}
                }
                self.tell(Told::Progress(member.name.clone(), progress));
            }
            lags
        };
        let (run, lags) = tokio::join!(conduct(plan, self.stop.clone(), progress), listen);
        Ok((run?, lags))
    }

    /// Plays again what the machine's lag may have spoilt, when nobody else plays any more.
    async fn again(
        &self,
        member: &Member,
        played: Played,
        work: &Path,
    ) -> Result<(Run, Vec<String>)> {
        let Played {
            mut plan,
            mut run,
            lagged,
            _scratch,
        } = played;
        if lagged.is_empty() {
            return Ok((run, lagged));
        }
        self.tell(Told::Again(member.name.clone(), lagged.len()));
        let mut unplayed = self.unplayed.subscribe();
        let quiet = async {
            // The sender is this hall's.
            let _ = unplayed.wait_for(|unplayed| *unplayed == 0).await;
            self.alone.lock().await
        };
        let _alone = tokio::select! {
            alone = quiet => alone,
            () = self.stopped() => return Ok((run, lagged)),
        };
        plan.scenarios
            .retain(|scenario| lagged.contains(&scenario.name));
        plan.jobs = 1;
        // What was built is there.
        plan.submission.build = None;
        plan.submission
            .programs
            .values_mut()
            .for_each(|programs| programs.build = None);
        for name in &lagged {
            let place = work.join("scenes").join(name);
            if place.exists() {
                std::fs::remove_dir_all(&place)
                    .map_err(|error| miette!("cannot remove {}: {error}", place.display()))?;
            }
        }
        let (second, lags) = self.conduct(member, &plan).await.map_err(|error| {
            miette!(
                "the harness cannot go on with {}: {error}",
                member.given.display()
            )
        })?;
        let still = worth_repeating(&second, &lags);
        for mut scene in second.scenes {
            if still.contains(&scene.scenario.name) {
                let lag = lags.get(&scene.scenario.name).copied().unwrap_or_default();
                scene.obstacle = Some(Obstacle::Lacks {
                    what: format!(
                        "a machine that keeps up: even with nothing else to grade, a sleep lasted {} ms too long",
                        lag.as_millis()
                    ),
                });
                scene.events.clear();
                scene.again.clear();
                scene.understudies.clear();
            }
            if let Some(place) = run
                .scenes
                .iter_mut()
                .find(|place| place.scenario.name == scene.scenario.name)
            {
                *place = scene;
            }
        }
        Ok((run, lagged))
    }

    /// Adapts the number of scenarios to what the machine bears.
    async fn govern(&self, most: usize) {
        let least = self.order.cores.clamp(1, most);
        let mut pace = tokio::time::interval(PACE);
        loop {
            pace.tick().await;
            let now = Instant::now();
            let lag = self.canary.worst(now.checked_sub(PACE).unwrap_or(now), now);
            let limit = self.turns.limit();
            let crowd = self.canary.crowd() / self.order.cores.max(1) as f64;
            if lag >= BUSY || crowd >= CROWDED {
                self.turns.set_limit((limit * 3 / 4).max(least));
            } else if lag <= CALM
                && crowd <= CROWDED / 2.0
                && self.turns.waiting() > 0
                && limit < most
            {
                self.turns.set_limit(limit + 1);
            }
        }
    }

    async fn digest(&self, member: &Member) -> std::io::Result<String> {
        let dir = member.dir.clone();
        tokio::task::spawn_blocking(move || digest::of_folder(&dir))
            .await
            .map_err(std::io::Error::other)?
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    async fn stopped(&self) {
        let mut stop = self.stop.clone();
        if stop.wait_for(|stop| *stop).await.is_err() {
            // Nobody can stop it any more.
            std::future::pending::<()>().await;
        }
    }

    fn tell(&self, what: Told) {
        // Nobody listening is no reason to stop.
        let _ = self.told.send(what);
    }
}

/// Reads a stranger's manifest.
fn open(member: &Member) -> Result<Submission> {
    let path = member.given.join(FILE);
    match path.symlink_metadata() {
        // A link could show another's file in a message, a FIFO would be waited for.
        Ok(metadata) if !metadata.is_file() => {
            return Err(miette!(
                help = "hand in a plain file",
                "{FILE} in {} is no plain file",
                member.given.display()
            ));
        }
        Ok(metadata) if metadata.len() > LONGEST_MANIFEST => {
            return Err(miette!(
                help = "a few lines are enough",
                "{FILE} in {} has {} octets",
                member.given.display(),
                metadata.len()
            ));
        }
        // What is missing is said by the reader.
        _ => {}
    }
    let mut submission = manifest::read(&member.given)?;
    let programs = submission
        .programs
        .iter()
        .map(|(exercise, programs)| (exercise, &programs.dir));
    let papers = submission
        .papers
        .iter()
        .map(|(exercise, files)| (exercise, &files.dir));
    for (exercise, dir) in programs.chain(papers) {
        let dir = dir.canonicalize().unwrap_or_default();
        if !dir.starts_with(&submission.dir) {
            return Err(miette!(
                help = "name a folder of the submission",
                "{FILE} in {}: the dir of [{exercise}] leads out of the submission",
                member.given.display()
            ));
        }
    }
    if !submission.student.chars().any(char::is_alphanumeric) {
        submission.student.clone_from(&member.name);
    }
    Ok(submission)
}

/// A diagnostic as plain text, with nothing in it that a terminal acts on.
fn said(error: &miette::Report) -> String {
    let mut text = String::new();
    let handler =
        miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
            .with_links(false)
            .with_wrap_lines(false)
            .with_urls(false);
    if handler.render_report(&mut text, error.as_ref()).is_err() {
        text = error.to_string();
    }
    let lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty());
    lines.map(visible).collect::<Vec<_>>().join("\n")
}

/// The scenarios during which the machine lagged so badly that what came of them may be the machine's doing.
fn worth_repeating(run: &Run, lags: &BTreeMap<String, Duration>) -> Vec<String> {
    let lagged = |scene: &&Scene| {
        scene.obstacle.is_none()
            && lags
                .get(&scene.scenario.name)
                .is_some_and(|lag| *lag >= BADLY)
            && (measures_time(&scene.scenario) || !passes(scene, run.rubric.as_ref()))
    };
    run.scenes
        .iter()
        .filter(lagged)
        .map(|scene| scene.scenario.name.clone())
        .collect()
}

/// Whether a lag could make it pass as well: where the time between events is what is asked for.
fn measures_time(scenario: &Scenario) -> bool {
    scenario.steps.iter().any(|step| match &step.action {
        Action::Wire(wire) => matches!(wire.sought, Sought::Gaps { .. }),
        Action::See(see) => matches!(see.pattern, Pattern::Time { .. }),
        _ => false,
    })
}

/// Whether nothing is open or lost that is required or has points; advice is not worth the time of everybody else.
fn passes(scene: &Scene, rubric: Option<&Rubric>) -> bool {
    let has_points = |id: &String| {
        let worth = rubric.and_then(|rubric| rubric.points.get(id));
        worth.is_some_and(|worth| *worth > 0.0)
    };
    judge::judge(&Arc::new(scene.scenario.clone()), &scene.events)
        .iter()
        .all(|verdict| {
            verdict.status == Status::Pass
                || (verdict.kind != Kind::Required && !has_points(&verdict.id))
        })
}
