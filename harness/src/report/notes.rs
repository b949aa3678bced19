//! Remarks from what was seen: good advice about sockets that no check asks for, and what the manifest should say.

use crate::event::EventKind;
use crate::judge::Verdict;
use crate::lab::{Exercise, Transport};
use crate::results::{Run, Scene};
use crate::scenario::model::SERVER;
use std::collections::BTreeMap;

/// Remarks from what was seen, worth no points.
pub(super) fn of(run: &Run, checks: &[Verdict]) -> Vec<String> {
    let mut notes = Vec::new();
    if !run.unchecked.is_empty() {
        let papers: Vec<&str> = run.unchecked.iter().map(|exercise| exercise.id()).collect();
        notes.push(format!(
            "{}: handed in, but this harness has no checks for it yet",
            papers.join(", ")
        ));
    }
    let reported = |exercise| checks.iter().any(|check| check.exercise == exercise);
    for scene in run
        .scenes
        .iter()
        .filter(|scene| reported(scene.scenario.exercise))
    {
        let exercise = scene.scenario.exercise;
        let restless = restless(scene).map(|actor| busy_loop(exercise, actor));
        let remarks = scene
            .events
            .iter()
            .flat_map(|event| remarks(&event.kind, exercise, run));
        for note in remarks.chain(restless) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

/// Who was busy again and again while nothing happened, and had a processor for longer than a start takes.
fn restless(scene: &Scene) -> impl Iterator<Item = &str> {
    const LONGER_THAN_A_START: u64 = 1_000;
    let mut worked: BTreeMap<&str, u64> = BTreeMap::new();
    for event in &scene.events {
        if let EventKind::NeverAtRest { actor, worked_ms } = &event.kind {
            // The first time it may be a program that takes long to start.
            worked
                .entry(actor)
                .and_modify(|sum| *sum += worked_ms)
                .or_default();
        }
    }
    worked
        .into_iter()
        .filter(|(_, worked)| *worked >= LONGER_THAN_A_START)
        .map(|(actor, _)| actor)
}

fn busy_loop(exercise: Exercise, actor: &str) -> String {
    let program = if actor == SERVER { "server" } else { "client" };
    format!(
        "{exercise}: a {program} kept its processor busy while nothing happened: does a loop go on after recv has returned \
         nothing, or look for news without waiting?"
    )
}

fn remarks(event: &EventKind, exercise: Exercise, run: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    match event {
        EventKind::Left { by, .. } if !by.starts_with("typing") => notes.push(format!(
            "{exercise}: the word for leaving had no effect; {by} worked (set quit = \"…\" in lab.toml if there is a word)"
        )),
        EventKind::Listening {
            transport,
            address,
            reuses,
            ..
        } => {
            let expected = exercise.endpoint();
            let usual = expected
                .is_none_or(|(wanted, port)| wanted != *transport || port == address.port());
            if !usual && run.isolation.seclusion.network {
                let port = expected.map_or(0, |(_, port)| port);
                notes.push(format!(
                    "{exercise}: the server listens on {transport} {address}; the sheet's port is {port}"
                ));
            }
            if *transport == Transport::Tcp && *reuses == Some(false) {
                notes.push(format!(
                    "{exercise}: the server does not set SO_REUSEADDR: started again soon after it had clients, it will find its \
                     address in use, for a minute or so (TIME-WAIT, RFC 9293 section 3.6)"
                ));
            }
        }
        _ => {}
    }
    notes
}
