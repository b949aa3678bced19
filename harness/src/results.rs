//! The evidence folder: everything needed to judge a run again without running it.
//!
//! ```text
//! RESULTS/run.json                       the submission, the seed, the level, every scenario as it was played
//! RESULTS/scenes/NAME/events.jsonl       what happened, an event a line
//! RESULTS/scenes/NAME/transcript.txt     the same for people
//! RESULTS/scenes/NAME/capture.pcapng     every frame that crossed the scenario's wire, where it was watched
//! RESULTS/scenes/NAME/ladder.txt, .svg   who sent what to whom, for people
//! RESULTS/report.json, report.txt        what came of it
//! ```

use crate::conduct::Plan;
use crate::event::{Event, EventKind};
use crate::judge::{self, Obstacle, Status, Verdict};
use crate::lab::Exercise;
use crate::ladder::{self, Ladder};
use crate::manifest::{FILE, Submission};
use crate::report::Report;
use crate::rubric::Rubric;
use crate::scenario::Scenario;
use crate::transcript;
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
const SCHEMA: &str = "socket-lab/run/v1";

/// The file with a scene's frames.
pub const FRAMES: &str = "capture.pcapng";

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
    /// Exercises handed in as files, for which there are no scenarios.
    pub papers: Vec<Exercise>,
    /// The checks that were asked for; none means all.
    pub only: Vec<String>,
    /// The instructor's points, where the scenarios' own are not to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rubric: Option<Rubric>,
    /// Addresses of a local network that are written into programs for which the manifest names none.
    #[serde(default)]
    pub lan: BTreeMap<Exercise, BTreeSet<Ipv4Addr>>,
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
}

impl Scene {
    /// Whether its wire was watched.
    pub fn was_watched(&self) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event.kind, EventKind::Watched { .. }))
    }
}

impl Run {
    /// A run that was played to a plan.
    pub fn new(plan: &Plan, scenes: Vec<Scene>) -> Self {
        Run {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            student: plan.submission.student.clone(),
            dir: plan.submission.dir.clone(),
            seed: plan.seed,
            isolation: plan.isolation.clone(),
            watch: plan.watch.clone(),
            papers: plan.papers.clone(),
            only: plan.only.clone(),
            rubric: plan.rubric.clone(),
            lan: lan(&plan.submission),
            scenes,
        }
    }

    /// Every verdict, in the order of the lab, with the points of the rubric and without what it switches off.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let scenarios: Vec<&Scenario> = self.scenes.iter().map(|scene| &scene.scenario).collect();
        let verdicts = self.scenes.iter().flat_map(|scene| {
            let mut verdicts = match &scene.obstacle {
                Some(obstacle) => judge::not_played(&scene.scenario, obstacle),
                None => judge::judge(&Arc::new(scene.scenario.clone()), &scene.events),
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
            if !scene.events.is_empty() {
                let name = &scene.scenario.name;
                for verdict in &mut verdicts {
                    verdict.evidence.insert(
                        "transcript".to_owned(),
                        format!("scenes/{name}/transcript.txt"),
                    );
                    verdict
                        .evidence
                        .insert("events".to_owned(), format!("scenes/{name}/events.jsonl"));
                    if scene.was_watched() {
                        verdict
                            .evidence
                            .insert("capture".to_owned(), format!("scenes/{name}/{FRAMES}"));
                        verdict
                            .evidence
                            .insert("ladder".to_owned(), format!("scenes/{name}/ladder.txt"));
                        verdict
                            .evidence
                            .insert("picture".to_owned(), format!("scenes/{name}/ladder.svg"));
                    }
                }
            }
            verdicts
        });
        let mut verdicts: Vec<Verdict> = verdicts.collect();
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
        for scene in self.scenes.iter().filter(|scene| !scene.events.is_empty()) {
            let place = folder.join("scenes").join(&scene.scenario.name);
            make_own_folder(&folder.join("scenes"))
                .and_then(|()| make_own_folder(&place))
                .map_err(|error| miette!("cannot make {}: {error}", place.display()))?;
            let mut lines = String::new();
            for event in &scene.events {
                lines.push_str(
                    &serde_json::to_string(event)
                        .map_err(|error| miette!("an event cannot be written: {error}"))?,
                );
                lines.push('\n');
            }
            write(&place.join("events.jsonl"), &lines)?;
            write(
                &place.join("transcript.txt"),
                &transcript::render(&scene.scenario, &scene.events),
            )?;
            if scene.was_watched() {
                let ladder = Ladder::of(&scene.scenario, &scene.events, &failed);
                write(&place.join("ladder.txt"), &ladder::text::render(&ladder))?;
                write(&place.join("ladder.svg"), &ladder::svg::render(&ladder))?;
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
            .filter(|scene| scene.obstacle.is_none())
        {
            let path = folder
                .join("scenes")
                .join(&scene.scenario.name)
                .join("events.jsonl");
            let text = fs::read_to_string(&path)
                .map_err(|error| miette!("cannot read {}: {error}", path.display()))?;
            let parse = |(index, line): (usize, &str)| {
                serde_json::from_str(line)
                    .map_err(|error| miette!("{}:{}: {error}", path.display(), index + 1))
            };
            scene.events = text.lines().enumerate().map(parse).collect::<Result<_>>()?;
        }
        Ok(run)
    }
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
