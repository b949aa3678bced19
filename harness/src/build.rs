//! Builds a submission: runs the build commands of its manifest, once each.

use crate::conduct::{Plan, Progress};
use crate::judge::Obstacle;
use crate::lab::Exercise;
use crate::manifest::CommandTemplate;
use crate::stage;
use crate::sys;
use crate::text;
use crate::world::sandbox::{Confinement, Purpose, Sandbox};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{mpsc, watch};

/// A build may take this long.
const BUILD_WITHIN: Duration = Duration::from_secs(15 * 60);

/// How much of a build's output is kept: the end of it.
const BUILD_OUTPUT: usize = 64 << 10;

/// How long a build that is stopped may take to end by itself.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// After the build has ended, for how long output is awaited that something it started may hold back.
const DRAIN: Duration = Duration::from_millis(300);

/// Runs every build command once, and sees to the copy that programs with a user of their own run in. What failed is
/// said per exercise.
///
/// # Errors
/// When that copy cannot be made.
pub(crate) async fn run_all(
    plan: &Plan,
    stop: &watch::Receiver<bool>,
    progress: &mpsc::UnboundedSender<Progress>,
) -> std::io::Result<BTreeMap<Exercise, Obstacle>> {
    plan.sandbox.bring(false)?;
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
                    // A compiler is more load than any scenario.
                    let _turn = match &plan.turns {
                        Some(turns) => {
                            let mut stop = stop.clone();
                            tokio::select! {
                                turn = turns.take() => Some(turn),
                                // The build sees by itself that it is to stop.
                                _ = stop.wait_for(|stop| *stop) => None,
                            }
                        }
                        None => None,
                    };
                    let _ = progress.send(Progress::Building(command.to_string()));
                    let outcome = build(dir, command, &plan.sandbox, stop.clone())
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
    plan.sandbox.bring(true)?;
    Ok(failed)
}

async fn build(
    dir: &Path,
    command: &CommandTemplate,
    sandbox: &Sandbox,
    mut stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let failed = |what: String| format!("the build `{command}` {what}");
    let mut prepared = stage::command(&command.words, dir, sandbox, Purpose::Build)
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    sys::in_own_session(&mut prepared, None);
    prepared
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let started = tokio::process::Command::from(prepared).spawn();
    let mut child = started.map_err(|error| failed(format!("could not be started: {error}")))?;
    let group = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .map(Pid::from_raw);
    let kept = RefCell::new(Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let output = async { tokio::join!(keep_the_end(out, &kept), keep_the_end(err, &kept)) };
    tokio::pin!(output);
    let status = tokio::select! {
        // A daemon that the build leaves behind may hold the output open: the build is over all the same.
        status = async {
            let ended = child.wait();
            tokio::pin!(ended);
            tokio::select! {
                status = &mut ended => {
                    let _ = tokio::time::timeout(DRAIN, &mut output).await;
                    status
                }
                _ = &mut output => ended.await,
            }
        } => status.map_err(|error| failed(format!("could not be waited for: {error}"))),
        () = tokio::time::sleep(BUILD_WITHIN) => Err(failed(format!("was not over after {} minutes", BUILD_WITHIN.as_secs() / 60))),
        _ = stop.wait_for(|stop| *stop) => Err(failed("was interrupted".to_owned())),
    };
    if status.is_err()
        && let Some(group) = group
    {
        // What keeps a build's daemons ends them when it is asked to.
        let _ = killpg(group, Signal::SIGTERM);
        let _ = tokio::time::timeout(STOP_WITHIN, child.wait()).await;
    }
    if let Some(group) = group {
        // It fails when nothing is left of the group, which is what is wanted.
        let _ = killpg(group, Signal::SIGKILL);
    }
    let status = status?;
    if status.success() {
        return Ok(());
    }
    let words = text::last_words(&String::from_utf8_lossy(&kept.borrow()), 400);
    let network = match sandbox.confinement {
        Confinement::Bubble => {
            "; builds have no network here: what they download has to be there already"
        }
        _ => "",
    };
    Err(failed(format!(
        "ended with {status}; the last it printed: {words}{network}"
    )))
}

async fn keep_the_end(source: Option<impl AsyncRead + Unpin>, kept: &RefCell<Vec<u8>>) {
    let Some(mut source) = source else { return };
    let mut buffer = vec![0; 8192];
    while let Ok(octets @ 1..) = source.read(&mut buffer).await {
        let mut kept = kept.borrow_mut();
        kept.extend_from_slice(&buffer[..octets]);
        if kept.len() > 2 * BUILD_OUTPUT {
            let surplus = kept.len() - BUILD_OUTPUT;
            kept.drain(..surplus);
        }
    }
}
