//! The evidence folder: everything needed to judge a run again without running it.
//!
//! ```text
//! RESULTS/run.json                       the submission, the seed, the level, every scenario as it was played
//! RESULTS/scenes/NAME/events.jsonl       what happened, an event a line
//! RESULTS/scenes/NAME/transcript.txt     the same for people
//! RESULTS/scenes/NAME/capture.pcapng     every frame that crossed the scenario's wire, where it was watched
//! RESULTS/scenes/NAME/ladder.txt, .svg   who sent what to whom, for people
//! RESULTS/scenes/NAME/again-1/…          the same of a second run, where something failed in the first
//! RESULTS/scenes/NAME/own-client/…       the same with a client of the harness's own, own-server/… with its server
//! RESULTS/report.json, report.txt        what came of it
//! ```

use crate::conduct::Plan;
use crate::event::{Event, EventKind};
use crate::judge::{self, Flaky, Ledger, Obstacle, Side, Status, Verdict, swap};
use crate::lab::{Exercise, Kind};
use crate::ladder::{self, Ladder};
use crate::manifest::{FILE, Submission};
use crate::paper::Paper;
use crate::paper::examine::examine;
use crate::report::Report;
use crate::rubric::Rubric;
use crate::scenario::Scenario;
use crate::scenario::model::SERVER;
use crate::transcript;
use crate::understudy::{Part, dialect};
use crate::world::{Isolation, Watch};
use miette::{Result, miette};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The format of `run.json`.
const SCHEMA: &str = "socket-lab/run/v2";

/// The file with a scene's frames.
pub const FRAMES: &str = "capture.pcapng";
/// What happened, for programs and for people.
const EVENTS: &str = "events.jsonl";
const TRANSCRIPT: &str = "transcript.txt";
/// Who sent what to whom.
const LADDER: &str = "ladder.txt";
const PICTURE: &str = "ladder.svg";

/// One check of one submission, as it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The format.
    pub schema: String,
    /// The harness that recorded it.
    pub version: String,
    /// Whose programs.
    pub student: String,
    /// The submission's folder.
    pub dir: PathBuf,
    /// The seed of every random choice.
    pub seed: u64,
    /// What the machine allowed.
    pub isolation: Isolation,
    /// Whether the wire could be watched.
    #[serde(default)]
    pub watch: Watch,
    /// Exercises handed in that no scenario is about.
    pub unchecked: Vec<Exercise>,
    /// What was handed in as files, as far as it was asked for.
    #[serde(default)]
    pub papers: BTreeMap<Exercise, Paper>,
    /// The checks that were asked for; none means all.
    pub only: Vec<String>,
    /// The instructor's points, where the scenarios' own are not to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rubric: Option<Rubric>,
    /// Addresses of a local network that are written into programs for which the manifest names none.
    #[serde(default)]
    pub lan: BTreeMap<Exercise, BTreeSet<Ipv4Addr>>,
    /// What it means when the same scenario ends differently.
    #[serde(default)]
    pub flaky: Flaky,
    /// Every scenario, in the order of the lab.
    pub scenes: Vec<Scene>,
}

/// What systems and languages say when a program asks for an address that its network does not have or cannot reach.
const NO_SUCH_ADDRESS: [&str; 6] = [
    "Cannot assign requested address",
    "Network is unreachable",
    "No route to host",
    "EADDRNOTAVAIL",
    "ENETUNREACH",
    "EHOSTUNREACH",
];

/// Addresses of a local network in the code of those exercises whose manifest names none.
fn lan(submission: &Submission) -> BTreeMap<Exercise, BTreeSet<Ipv4Addr>> {
    let silent = submission
        .programs
        .iter()
        .filter(|(_, programs)| programs.address.is_none());
    silent
        .map(|(exercise, programs)| (*exercise, programs.lan_addresses()))
        .filter(|(_, addresses)| !addresses.is_empty())
        .collect()
}

/// One scenario, as it was played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// With its placeholders filled.
    pub scenario: Scenario,
    /// Why it was not played, if it was not.
    pub obstacle: Option<Obstacle>,
    /// What happened; kept in a file of its own.
    #[serde(skip)]
    pub events: Vec<Event>,
    /// What happened when it was played again, because something had failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<Again>,
    /// What happened when a program of the harness's own took a part, because the wire did not tell in which program to look.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub understudies: BTreeMap<Side, Again>,
}

/// A scenario that was played again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Again {
    /// What happened; kept in a file of its own.
    #[serde(skip)]
    pub events: Vec<Event>,
}

impl Scene {
    /// A scene without a stage: what was handed in is kept in the [`Run`].
    pub fn of_paper(scenario: &Scenario) -> Self {
        Scene {
            scenario: scenario.clone(),
            obstacle: None,
            events: Vec::new(),
            again: Vec::new(),
            understudies: BTreeMap::new(),
        }
    }

    /// Where the evidence of the first run (0) of a scenario is, or of a later one, below the results folder.
    pub fn folder_of(name: &str, run: usize) -> PathBuf {
        let folder = Path::new("scenes").join(name);
        match run {
            0 => folder,
            again => folder.join(format!("again-{again}")),
        }
    }

    /// What happened each time it was played, and where the evidence of that is.
    pub fn runs(&self) -> impl Iterator<Item = (PathBuf, &[Event])> {
        let first = (!self.events.is_empty()).then_some(&self.events);
        let again = self.again.iter().map(|again| &again.events);
        let runs = first.into_iter().chain(again).enumerate();
        runs.map(|(run, events)| (Self::folder_of(&self.scenario.name, run), &events[..]))
    }

    /// Where the evidence of a play is in which a program of the harness's own was on this side.
    pub fn folder_with_understudy(name: &str, side: Side) -> PathBuf {
        Self::folder_of(name, 0).join(format!("own-{}", side.word()))
    }

    /// The verdicts on its checks, from all times it was played.
    fn verdicts(&self, flaky: Flaky) -> Vec<Verdict> {
        let scenario = Arc::new(self.scenario.clone());
        let runs = self.runs().map(|(folder, events)| {
            let mut verdicts = judge::judge(&scenario, events);
            for verdict in &mut verdicts {
                verdict.evidence = evidence(&folder, events);
            }
            verdicts
        });
        let mut verdicts = judge::repeated::combine(runs.collect(), flaky);
        let understudy = |side| self.understudies.get(&side).map(|again| &again.events[..]);
        if let (Some(own_client), Some(own_server)) =
            (understudy(Side::Client), understudy(Side::Server))
        {
            let plays = swap::Plays {
                scenario: &scenario,
                pair: &self.events,
                own_client,
                own_server,
            };
            for (side, kind) in [
                (Side::Client, "transcript_own_client"),
                (Side::Server, "transcript_own_server"),
            ] {
                let transcript =
                    Self::folder_with_understudy(&self.scenario.name, side).join(TRANSCRIPT);
                for verdict in verdicts.iter_mut().filter(|one| swap::is_called_for(one)) {
                    let path = transcript.display().to_string();
                    verdict.evidence.insert(kind.to_owned(), path);
                }
            }
            swap::tell(&plays, &mut verdicts);
        }
        verdicts
    }

    /// How this pair talks and where, when something failed for which the wire blames nobody, and programs of the harness's
    /// own could take a part.
    pub fn part(&self, flaky: Flaky, quit: &str) -> Option<Part> {
        let (transport, usual) = self.scenario.exercise.endpoint()?;
        if self.scenario.is_experiment() || !self.verdicts(flaky).iter().any(swap::is_called_for) {
            return None;
        }
        let scenario = Arc::new(self.scenario.clone());
        let mut ledger = Ledger::new(Arc::clone(&scenario));
        self.events.iter().for_each(|event| ledger.apply(event));
        let listening = &ledger.actor(SERVER)?.listening;
        if listening.is_empty() {
            // A server that never came up is what to look at.
            return None;
        }
        let right = listening.iter().filter(|(of, _)| *of == transport);
        let mut ports: BTreeSet<u16> = right.map(|(_, address)| address.port()).collect();
        ports.extend(swap::called(&ledger));
        if ports.is_empty() {
            ports.insert(usual);
        }
        Some(Part {
            exercise: self.scenario.exercise,
            dialect: dialect::of(&scenario, &self.events, quit)?,
            quit: quit.to_owned(),
            ports: ports.into_iter().collect(),
        })
    }

    /// Whether it should be played once more: something required failed, and it was played once, or ended differently
    /// each time.
    pub fn is_doubtful(&self) -> bool {
        if self.scenario.is_experiment() {
            return false;
        }
        let scenario = Arc::new(self.scenario.clone());
        let outcomes: Vec<Vec<Status>> = self
            .runs()
            .map(|(_, events)| {
                let verdicts = judge::judge(&scenario, events);
                let required = verdicts.iter().filter(|one| one.kind == Kind::Required);
                required.map(|verdict| verdict.status).collect()
            })
            .collect();
        let failed = outcomes
            .iter()
            .flatten()
            .any(|status| *status == Status::Fail);
        let settled = outcomes.len() > 1 && outcomes.windows(2).all(|pair| pair[0] == pair[1]);
        failed && !settled
    }
}

/// Whether the wire was watched.
fn was_watched(events: &[Event]) -> bool {
    events
        .iter()
        .any(|event| matches!(event.kind, EventKind::Watched { .. }))
}

impl Run {
    /// A run that was played to a plan.
    pub fn new(plan: &Plan, scenes: Vec<Scene>, papers: BTreeMap<Exercise, Paper>) -> Self {
        Run {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            student: plan.submission.student.clone(),
            dir: plan.submission.dir.clone(),
            seed: plan.seed,
            isolation: plan.isolation.clone(),
            watch: plan.watch.clone(),
            unchecked: plan.unchecked.clone(),
            papers,
            only: plan.only.clone(),
            rubric: plan.rubric.clone(),
            lan: lan(&plan.submission),
            flaky: plan.flaky,
            scenes,
        }
    }

    /// Every verdict, in the order of the lab, with the points of the rubric and without what it switches off.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let scenarios: Vec<&Scenario> = self.scenes.iter().map(|scene| &scene.scenario).collect();
        let (papers, played): (Vec<&Scene>, Vec<&Scene>) = self
            .scenes
            .iter()
            .partition(|scene| scene.scenario.is_paper());
        let played = played.into_iter().flat_map(|scene| {
            let mut verdicts = match &scene.obstacle {
                Some(obstacle) => judge::not_played(&scene.scenario, obstacle),
                None => scene.verdicts(self.flaky),
            };
            if let Some(hint) = self.lan_hint(scene) {
                let failed = verdicts
                    .iter_mut()
                    .filter(|verdict| verdict.status == Status::Fail);
                failed.for_each(|verdict| {
                    verdict.hint = Some(hint.clone());
                    verdict.more_hints.clear();
                });
            }
            verdicts
        });
        let mut verdicts: Vec<Verdict> = played.collect();
        let experiments = verdicts
            .iter()
            .filter(|verdict| verdict.kind == Kind::Experiment)
            .map(|verdict| (verdict.id.as_str(), verdict))
            .collect();
        let on_papers =
            papers
                .into_iter()
                .flat_map(|scene| match self.papers.get(&scene.scenario.exercise) {
                    Some(paper) => examine(&scene.scenario, paper, &experiments),
                    // As when results are put together from parts.
                    None => {
                        let what = "what was handed in, which was not recorded".to_owned();
                        judge::not_played(&scene.scenario, &Obstacle::Lacks { what })
                    }
                });
        let on_papers: Vec<Verdict> = on_papers.collect();
        verdicts.extend(on_papers);
        let Some(rubric) = &self.rubric else {
            return judge::settle_needs(&scenarios, verdicts, |check| check.points);
        };
        rubric.weigh(&mut verdicts);
        let settled = judge::settle_needs(&scenarios, verdicts, |check| rubric.worth(check));
        rubric.trim(settled)
    }

    /// What helps programs that looked in vain for an address which is written into them.
    fn lan_hint(&self, scene: &Scene) -> Option<String> {
        let exercise = scene.scenario.exercise;
        let addresses = self.lan.get(&exercise)?;
        let complains = |event: &Event| match &event.kind {
            EventKind::Output { text, .. } => {
                NO_SUCH_ADDRESS.iter().any(|words| text.contains(words))
            }
            _ => false,
        };
        let address = addresses
            .first()
            .filter(|_| scene.events.iter().any(complains))?;
        let also = match addresses.len() {
            1 => String::new(),
            _ => {
                let others: Vec<String> =
                    addresses.iter().skip(1).map(Ipv4Addr::to_string).collect();
                format!(" (or {}, which is in the code too)", others.join(", "))
            }
        };
        Some(format!(
            "{address} is written into the code, and the network of this scenario has no such address. Add to {FILE} below \
             [{exercise}]: address = \"{address}\"{also}"
        ))
    }

    /// Writes the evidence into a folder made by [`make_folder`], and points `latest` beside it there.
    ///
    /// # Errors
    /// When something cannot be written; the message names it.
    pub fn save(&self, folder: &Path, report: &Report) -> Result<()> {
        self.write(folder, report)?;
        point_latest(folder);
        Ok(())
    }

    /// Writes the evidence into a folder that holds nothing but frames.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn write(&self, folder: &Path, report: &Report) -> Result<()> {
        // A program may have put a link in the place of the folder that was made for this.
        make_own_folder(folder)
            .map_err(|error| miette!("{} is no folder any more: {error}", folder.display()))?;
        write(&folder.join("run.json"), &json(self)?)?;
        write(&folder.join("report.json"), &json(report)?)?;
        write(
            &folder.join("report.txt"),
            &crate::report::text::render(report, crate::report::text::Look::default()),
        )?;
        let failed: BTreeSet<String> = report
            .checks
            .iter()
            .filter(|check| check.status == Status::Fail)
            .map(|check| check.see.clone())
            .collect();
        for scene in &self.scenes {
            let swapped = scene.understudies.iter().map(|(side, again)| {
                let folder = Scene::folder_with_understudy(&scene.scenario.name, *side);
                (folder, &again.events[..])
            });
            for (below, events) in scene.runs().chain(swapped) {
                let mut place = folder.to_owned();
                for part in &below {
                    place.push(part);
                    make_own_folder(&place)
                        .map_err(|error| miette!("cannot make {}: {error}", place.display()))?;
                }
                write_scene(&place, &scene.scenario, events, &failed)?;
            }
        }
        Ok(())
    }

    /// Reads a recorded run.
    ///
    /// # Errors
    /// When the folder holds none, or a file of it is damaged (with the line).
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("run.json");
        let text = fs::read_to_string(&path).map_err(|error| {
            miette!(
                help = "name a folder that `harness check` has written, such as lab-results/latest",
                "cannot read {}: {error}",
                path.display()
            )
        })?;
        let mut run: Run = serde_json::from_str(&text)
            .map_err(|error| miette!("{} is damaged: {error}", path.display()))?;
        if run.schema != SCHEMA {
            return Err(miette!(
                "{} has the format {}, this harness reads {SCHEMA}",
                path.display(),
                run.schema
            ));
        }
        for scene in &run.scenes {
            // Names become paths below; a file from elsewhere may hold anything.
            let name = &scene.scenario.name;
            if !name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            {
                return Err(miette!(
                    "{} is damaged: a scenario cannot be called {name:?}",
                    path.display()
                ));
            }
        }
        for scene in run
            .scenes
            .iter_mut()
            .filter(|scene| scene.obstacle.is_none() && !scene.scenario.is_paper())
        {
            let name = scene.scenario.name.clone();
            let place = |run| folder.join(Scene::folder_of(&name, run)).join(EVENTS);
            scene.events = read_events(&place(0))?;
            for (before, again) in scene.again.iter_mut().enumerate() {
                again.events = read_events(&place(before + 1))?;
            }
            for (side, again) in &mut scene.understudies {
                let place = folder.join(Scene::folder_with_understudy(&name, *side));
                again.events = read_events(&place.join(EVENTS))?;
            }
        }
        Ok(run)
    }
}

/// The files with the evidence of one run of a scenario, below the results folder.
fn evidence(folder: &Path, events: &[Event]) -> BTreeMap<String, String> {
    let all = [
        ("transcript", TRANSCRIPT),
        ("events", EVENTS),
        ("capture", FRAMES),
        ("ladder", LADDER),
        ("picture", PICTURE),
    ];
    let of_the_wire = |kind: &str| matches!(kind, "capture" | "ladder" | "picture");
    let watched = was_watched(events);
    all.into_iter()
        .filter(|(kind, _)| watched || !of_the_wire(kind))
        .map(|(kind, file)| (kind.to_owned(), folder.join(file).display().to_string()))
        .collect()
}

fn write_scene(
    place: &Path,
    scenario: &Scenario,
    events: &[Event],
    failed: &BTreeSet<String>,
) -> Result<()> {
    let mut lines = String::new();
    for event in events {
        lines.push_str(
            &serde_json::to_string(event)
                .map_err(|error| miette!("an event cannot be written: {error}"))?,
        );
        lines.push('\n');
    }
    write(&place.join(EVENTS), &lines)?;
    write(
        &place.join(TRANSCRIPT),
        &transcript::render(scenario, events),
    )?;
    if was_watched(events) {
        let ladder = Ladder::of(scenario, events, failed);
        write(&place.join(LADDER), &ladder::text::render(&ladder))?;
        write(&place.join(PICTURE), &ladder::svg::render(&ladder))?;
    }
    Ok(())
}

fn read_events(path: &Path) -> Result<Vec<Event>> {
    let text = fs::read_to_string(path)
        .map_err(|error| miette!("cannot read {}: {error}", path.display()))?;
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|error| miette!("{}:{}: {error}", path.display(), index + 1))
    };
    text.lines().enumerate().map(parse).collect()
}

/// Makes the folder for one run, `out/DATE-TIME`, with a number behind it when there is one already.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(out: &Path) -> Result<PathBuf> {
    let advice = "choose another folder with --out";
    fs::create_dir_all(out).map_err(|error| {
        miette!(
            help = advice,
            "cannot make the results folder {}: {error}",
            out.display()
        )
    })?;
    let stamp = chrono::Local::now().format("%Y-%m-%d-%H%M%S").to_string();
    for number in 1..1000 {
        let name = if number == 1 {
            stamp.clone()
        } else {
            format!("{stamp}-{number}")
        };
        let folder = out.join(name);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(miette!(
                    help = advice,
                    "cannot make {}: {error}",
                    folder.display()
                ));
            }
        }
    }
    Err(miette!(
        "{} is full of results of this second",
        out.display()
    ))
}

/// A convenience: when it cannot be made (a file of that name, another run at the same moment), nothing is lost.
pub(crate) fn point_latest(folder: &Path) {
    let (Some(out), Some(name)) = (folder.parent(), folder.file_name()) else {
        return;
    };
    let temporary = out.join(format!(".latest-{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    if std::os::unix::fs::symlink(name, &temporary).is_ok()
        && fs::rename(&temporary, out.join("latest")).is_err()
    {
        let _ = fs::remove_file(&temporary);
    }
}

pub(crate) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| miette!("cannot be written as JSON: {error}"))
}

/// Makes a folder, or finds one that is no link to another: a program may have planted one.
pub(crate) fn make_own_folder(path: &Path) -> std::io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if path.symlink_metadata()?.is_dir() {
                Ok(())
            } else {
                Err(error)
            }
        }
        made => made,
    }
}

/// Writes a new file. One that is there already was planted: what it is (a link, a FIFO) decides nothing.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = fs::File::create_new(path)
        .map_err(|error| miette!("cannot make {}: {error}", path.display()))?;
    file.write_all(text.as_bytes())
        .map_err(|error| miette!("cannot write {}: {error}", path.display()))
}
