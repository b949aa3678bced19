//! Ladder diagrams: who sent what to whom, in order, with the steps of the scenario between.
//!
//! One lifeline per program, an arrow per segment or datagram. Everything is watched at one place. On the loopback
//! interface sending and arriving are the same moment: so an arrow begins and ends in one row, and what was lost is what
//! nobody was there to receive. On a cable in the harness's hand something can be lost on the way, or arrive in a later row
//! than it was sent in. Ports, times and raw sequence numbers are left out, and segments that only
//! acknowledge are folded away, so a deterministic exchange gives the same ladder each time; `capture.pcapng` has them
//! all. [`text`] draws for terminals, [`svg`] for reports; both from the same [`Ladder`].

pub mod svg;
#[cfg(test)]
mod tests;
pub mod text;

use crate::event::{Actor, Crossing, CrossingKind, Event, EventKind};
use crate::fault::Meddling;
use crate::judge::ledger::Fates;
use crate::scenario::Scenario;
use crate::scenario::model::SERVER;
use std::collections::BTreeSet;

/// Rows that are drawn; more are counted.
const MOST_ROWS: usize = 400;
/// Characters of a payload that are shown.
const LONGEST_PAYLOAD: usize = 48;
/// Who is drawn for a socket that nobody could be found for.
const UNKNOWN: &str = "(unknown)";

/// What is to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    /// Above everything.
    pub title: String,
    /// The programs from left to right: clients in the order of their entrance, the server last.
    pub lifelines: Vec<Actor>,
    /// From top to bottom.
    pub rows: Vec<Row>,
    /// Rows that were left out at the end.
    pub left_out: usize,
    /// Why the wire was not seen completely, if it was not.
    pub failed: Option<String>,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// A step of the scenario begins.
    Step {
        /// What it says.
        text: String,
        /// Whether a check failed here.
        failed: bool,
    },
    /// Something crosses the wire.
    Arrow {
        /// Index of the lifeline it begins at.
        from: usize,
        /// Index of the lifeline it goes to.
        to: usize,
        /// What it is.
        label: String,
        /// How it looks.
        stroke: Stroke,
    },
}

/// How an arrow looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// Like most.
    Plain,
    /// It was sent before.
    Again,
    /// It cuts the connection off.
    Reset,
    /// It did not arrive.
    Lost,
    /// It is sent, and arrives in a later row.
    Leaves,
    /// It arrives, and was sent in an earlier row.
    Arrives,
}

impl Ladder {
    /// The ladder of a scenario as it was played. `failed` holds the places (`file:line:column`) where checks failed.
    pub fn of(scenario: &Scenario, events: &[Event], failed: &BTreeSet<String>) -> Self {
        let crossings: Vec<(u64, &Crossing)> = events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Crossed(crossing) => Some((event.at_us, crossing)),
                _ => None,
            })
            .collect();
        let mut ladder = Ladder {
            title: format!("{}: {}", scenario.exercise, scenario.name),
            lifelines: lifelines(scenario, &crossings),
            rows: Vec::new(),
            left_out: 0,
            failed: events.iter().find_map(|event| match &event.kind {
                EventKind::WatchFailed { why } => Some(why.clone()),
                _ => None,
            }),
        };
        let lost = lost(&crossings);
        let fates: Fates = events
            .iter()
            .filter_map(|event| match event.kind {
                EventKind::Meddled { frame, what } => Some((frame?, what)),
                _ => None,
            })
            .collect();
        let mut rows: Vec<(u64, u64, Row)> = Vec::new();
        for event in events {
            match &event.kind {
                EventKind::StepStarted { step } | EventKind::StepEnded { step, .. } => {
                    let Some(direction) = scenario.steps.get(*step) else {
                        continue;
                    };
                    let failed = failed.contains(&format!("{}:{}", scenario.file, direction.place));
                    let begins = matches!(event.kind, EventKind::StepStarted { .. });
                    let does_something = direction.action.does_something();
                    // What was waited for in vain stands below everything that came instead.
                    if does_something && begins || failed && !does_something && !begins {
                        let text = direction.action.to_string();
                        let order = if begins { 0 } else { u64::MAX };
                        rows.push((event.at_us, order, Row::Step { text, failed }));
                    }
                }
                EventKind::Crossed(crossing) => {
                    let fate = fates.get(&crossing.frame).copied();
                    let row = ladder.arrow(crossing, lost.contains(&crossing.frame), fate);
                    if let (Some(Meddling::Delayed { by_us }), Row::Arrow { from, to, .. }) =
                        (fate, &row)
                    {
                        let arrives = Row::Arrow {
                            from: *from,
                            to: *to,
                            label: label(crossing, Some("arrives")),
                            stroke: Stroke::Arrives,
                        };
                        rows.push((event.at_us + by_us, crossing.frame, arrives));
                    }
                    rows.push((event.at_us, crossing.frame, row));
                }
                _ => {}
            }
        }
        rows.sort_by_key(|(at_us, frame, _)| (*at_us, *frame));
        ladder.left_out = rows.len().saturating_sub(MOST_ROWS);
        ladder.rows = rows
            .into_iter()
            .take(MOST_ROWS)
            .map(|(_, _, row)| row)
            .collect();
        ladder
    }

    /// A ladder of these crossings alone, the last `most` of them.
    pub fn excerpt<'a>(
        crossings: impl Iterator<Item = &'a Crossing>,
        fates: &Fates,
        most: usize,
    ) -> Self {
        let all: Vec<(u64, &Crossing)> = crossings.map(|crossing| (0, crossing)).collect();
        let shown = &all[all.len().saturating_sub(most)..];
        let mut cast: Vec<Actor> = Vec::new();
        for actor in shown.iter().flat_map(|(_, crossing)| ends(crossing)) {
            if !cast.contains(&actor) {
                cast.push(actor);
            }
        }
        cast.sort_by_key(|actor| actor == SERVER);
        let mut ladder = Ladder {
            title: String::new(),
            lifelines: cast,
            rows: Vec::new(),
            left_out: all.len() - shown.len(),
            failed: None,
        };
        let lost = lost(&all);
        let rows = shown.iter().map(|(_, crossing)| {
            let fate = fates.get(&crossing.frame).copied();
            ladder.arrow(crossing, lost.contains(&crossing.frame), fate)
        });
        ladder.rows = rows.collect();
        ladder
    }

    fn arrow(&self, crossing: &Crossing, unheard: bool, fate: Option<Meddling>) -> Row {
        let [from, to] = ends(crossing).map(|actor| {
            let place = self
                .lifelines
                .iter()
                .position(|lifeline| *lifeline == actor);
            place.unwrap_or(0)
        });
        let lost = unheard || fate == Some(Meddling::Dropped);
        let stroke = match &crossing.what {
            _ if lost => Stroke::Lost,
            _ if matches!(fate, Some(Meddling::Delayed { .. })) => Stroke::Leaves,
            CrossingKind::Segment {
                retransmission: true,
                ..
            } => Stroke::Again,
            _ if crossing.has_flag("RST") => Stroke::Reset,
            _ => Stroke::Plain,
        };
        Row::Arrow {
            from,
            to,
            label: match (lost, fate) {
                (true, _) => label(crossing, Some("lost")),
                (false, None) => label(crossing, None),
                (false, Some(Meddling::Delayed { .. })) => label(crossing, Some("leaves")),
                (false, Some(fate)) => label(crossing, Some(&fate.to_string())),
            },
            stroke,
        }
    }
}

/// The two ends of a crossing; an ICMP message goes back the way of what it is about.
fn ends(crossing: &Crossing) -> [Actor; 2] {
    let name = |actor: &Option<Actor>| actor.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    [name(&crossing.from), name(&crossing.to)]
}

fn lifelines(scenario: &Scenario, crossings: &[(u64, &Crossing)]) -> Vec<Actor> {
    let seen: Vec<Actor> = crossings
        .iter()
        .flat_map(|(_, crossing)| ends(crossing))
        .collect();
    let mut cast = scenario.cast();
    cast.sort_by_key(|actor| actor == SERVER);
    for other in seen {
        if !cast.contains(&other) {
            cast.push(other);
        }
    }
    cast
}

/// The frames of datagrams that an ICMP message says nobody received: the last one the other way before it.
fn lost(crossings: &[(u64, &Crossing)]) -> BTreeSet<u64> {
    let mut lost = BTreeSet::new();
    for (index, (_, crossing)) in crossings.iter().enumerate() {
        if !matches!(crossing.what, CrossingKind::Unreachable { .. }) {
            continue;
        }
        let about = crossings[..index]
            .iter()
            .rev()
            .map(|(_, earlier)| earlier)
            .find(|earlier| {
                earlier.conversation == crossing.conversation
                    && earlier.what == CrossingKind::Datagram
            });
        lost.extend(about.map(|datagram| datagram.frame));
    }
    lost
}

fn label(crossing: &Crossing, fate: Option<&str>) -> String {
    let mut label = match &crossing.what {
        CrossingKind::Datagram => "datagram".to_owned(),
        CrossingKind::Unreachable { reason } => format!("ICMP: {reason}"),
        CrossingKind::Segment {
            flags,
            seq,
            retransmission,
            refused,
            ..
        } => {
            let mut label = flags.join(", ");
            if crossing.len > 0 {
                label.push_str(&format!(" seq={seq}"));
            }
            if *retransmission {
                label.push_str(" (retransmission)");
            }
            if *refused {
                label.push_str(" (refused: nobody listens there)");
            }
            label
        }
    };
    if crossing.len > 0 || crossing.what == CrossingKind::Datagram {
        let text = capture::text::safe(&crossing.payload.0);
        let mut shown: String = text.chars().take(LONGEST_PAYLOAD).collect();
        if shown.len() < text.len() || crossing.is_cut() {
            shown.push('…');
        }
        let octets = match crossing.len {
            1 => "1 octet".to_owned(),
            len => format!("{len} octets"),
        };
        label.push_str(&format!(" \"{shown}\" {octets}"));
    }
    if let Some(fate) = fate {
        label.push_str(&format!(" ({fate})"));
    }
    label
}
