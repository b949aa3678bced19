//! Starts a stage and collects its events.

use super::patience::AT_MOST_IN_ALL;
use super::{Job, STAGE_ARGUMENT, tap};
use crate::event::{Event, EventKind};
use crate::world::cgroup::Cgroup;
use crate::world::keeper::KEEPER_ARGUMENT;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Child;
use tokio::sync::watch;

/// How long a stage that was told to stop may take to clean up.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// Plays a job in a process of its own and returns every event; the last is always
/// [`EventKind::ScenarioEnded`]. When `stop` becomes true the stage is ended at once.
///
/// # Errors
/// When the stage process cannot be started.
pub async fn launch(job: &Job, mut stop: watch::Receiver<bool>) -> std::io::Result<Vec<Event>> {
    // Without a group of its own a scenario is played all the same.
    let cgroup = job.cgroup.as_deref().map(Cgroup::make);
    let mut command = Command::new(std::env::current_exe()?);
    let cgroup = cgroup
        .and_then(Result::ok)
        .filter(|cgroup| cgroup.admit(&mut command).is_ok());
    if !job.seclusion.processes {
        command.args([KEEPER_ARGUMENT, &std::process::id().to_string()]);
    }
    command
        .arg(STAGE_ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for the harness; it tells its stages.
        .process_group(0);
    let mut child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id();
    let at_most = job.scenario.at_most() + AT_MOST_IN_ALL;
    let mut events = Vec::new();
    let collect = collect(&mut child, job, &mut events);
    let stopped = async {
        // An error means that nobody can stop it any more.
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let overrun = async {
        match &cgroup {
            Some(cgroup) => cgroup.overrun().await,
            None => std::future::pending().await,
        }
    };
    let fault = tokio::select! {
        collected = collect => collected.err().map(|error| error.to_string()),
        () = tokio::time::sleep(at_most) => Some(format!("it was not over after {} s", at_most.as_secs())),
        () = stopped => Some("interrupted".to_owned()),
        () = overrun => Some("its programs did not cease to start others".to_owned()),
    };
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok())
        && fault.is_some()
    {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if tokio::time::timeout(STOP_WITHIN, child.wait())
        .await
        .is_err()
    {
        child.kill().await?;
    }
    let shortages = match cgroup {
        Some(cgroup) => cgroup.end().await,
        None => Vec::new(),
    };
    if let Some(frames) = &job.frames {
        // Only a stage that was killed leaves one.
        let _ = std::fs::remove_file(tap::unfinished(frames));
    }
    let ended = events
        .last()
        .is_some_and(|event| matches!(event.kind, EventKind::ScenarioEnded { .. }));
    let at_us = events.last().map_or(0, |event| event.at_us);
    let shortages = shortages.into_iter().map(EventKind::Shortage);
    let shortages = shortages.map(|kind| Event { at_us, kind });
    // The end stays the last.
    let end = events.len() - usize::from(ended);
    events.splice(end..end, shortages);
    if !ended {
        let fault = fault.unwrap_or_else(|| "the stage ended before the scenario did".to_owned());
        let kind = EventKind::ScenarioEnded { fault: Some(fault) };
        events.push(Event { at_us, kind });
    }
    Ok(events)
}

async fn collect(child: &mut Child, job: &Job, events: &mut Vec<Event>) -> std::io::Result<()> {
    let (Some(mut input), Some(output), Some(mut errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(std::io::Error::other("the stage has no pipes"));
    };
    input
        .write_all(serde_json::to_string(job)?.as_bytes())
        .await?;
    drop(input);
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        let event: Event = serde_json::from_str(&line)?;
        events.push(event);
    }
    let ended = events
        .last()
        .is_some_and(|event| matches!(event.kind, EventKind::ScenarioEnded { .. }));
    if ended {
        return Ok(());
    }
    let mut message = String::new();
    let _ = errors.read_to_string(&mut message).await;
    Err(std::io::Error::other(format!(
        "the stage failed: {}",
        message.trim()
    )))
}
