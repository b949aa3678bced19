//! Which of the two programs it is, where the wire alone does not tell: the same scenario, played with a client and with a
//! server of the harness's own in the place of one of them. Pure: three recordings in, a sentence out.
//!
//! | the harness's client with this server | this client with the harness's server | look at |
//! |---|---|---|
//! | fails as well | passes | the server |
//! | passes | fails as well | the client |
//! | fails as well | fails as well | both |
//! | passes | passes | what the two have agreed on |
//!
//! It never changes a status. And it says nothing where an understudy does not get on with a program in anything that the
//! pair itself did right: then the two speak different protocols, and a failure means nothing.

use super::blame::Culprit;
use super::{Failure, Status, Verdict, find, hear, judge};
use crate::event::{Crossing, CrossingKind, Event, EventKind};
use crate::judge::Ledger;
use crate::lab::Kind;
use crate::scenario::Scenario;
use crate::scenario::model::SERVER;
use crate::understudy;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whether somebody should be swapped for an understudy to learn more about this verdict.
pub fn is_called_for(verdict: &Verdict) -> bool {
    verdict.status == Status::Fail && verdict.kind == Kind::Required && verdict.blame.is_none()
}

/// A scenario as the pair played it, and with an understudy for each of the two.
#[derive(Clone, Copy, Debug)]
pub struct Plays<'e> {
    /// The scenario, with its placeholders filled.
    pub scenario: &'e Arc<Scenario>,
    /// The pair itself.
    pub pair: &'e [Event],
    /// The harness's own client with the pair's server.
    pub own_client: &'e [Event],
    /// The pair's client with the harness's own server.
    pub own_server: &'e [Event],
}

/// What the swapped plays say about the checks of a scenario: adds it to those it is called for.
pub fn tell(plays: &Plays, verdicts: &mut [Verdict]) {
    let before = judge(plays.scenario, plays.pair);
    let failed = ids_with(&before, Status::Fail);
    let passed: BTreeSet<&str> = plays
        .scenario
        .checks
        .iter()
        .zip(&before)
        .filter(|(check, verdict)| {
            let rests_on = check.needs.iter().chain(&check.explained_by);
            // What rests on a failure may have passed by chance.
            let firm = !rests_on.into_iter().any(|id| failed.contains(id.as_str()));
            firm && verdict.status == Status::Pass
        })
        .map(|(check, _)| check.id.as_str())
        .collect();
    let swapped = [plays.own_client, plays.own_server];
    let [Some(own_client), Some(own_server)] = swapped.map(|events| {
        let verdicts = judge(plays.scenario, events);
        let gets_on = passed.is_subset(&ids_with(&verdicts, Status::Pass));
        (gets_on && has_come_on(events)).then_some(verdicts)
    }) else {
        return;
    };
    for verdict in verdicts.iter_mut().filter(|verdict| is_called_for(verdict)) {
        let of = |verdicts: &[Verdict]| {
            let found = verdicts.iter().find(|other| other.id == verdict.id);
            found.map(|other| other.status)
        };
        if of(&before) != Some(Status::Fail) {
            continue;
        }
        let (culprit, why) = match (of(&own_client), of(&own_server)) {
            (Some(Status::Fail), Some(Status::Pass)) => (
                Culprit::Server,
                "the harness's own client fails here with this server too, and this client passes with the harness's own \
                 server: look at the server"
                    .to_owned(),
            ),
            (Some(Status::Pass), Some(Status::Fail)) => (
                Culprit::Client,
                "this client fails here with the harness's own server too, and the harness's own client passes with this \
                 server: look at the client"
                    .to_owned(),
            ),
            (Some(Status::Fail), Some(Status::Fail)) => (
                Culprit::Both,
                "this server fails here with the harness's own client too, and this client with the harness's own server: \
                 look at both"
                    .to_owned(),
            ),
            (Some(Status::Pass), Some(Status::Pass)) => {
                let differs = difference(plays, &verdict.id)
                    .map(|differs| format!(": {differs}"))
                    .unwrap_or_default();
                let why = format!(
                    "each of the two passes here with a program of the harness's own in the other's place, so they do not agree \
                     with each other{differs}"
                );
                (Culprit::Agreement, why)
            }
            _ => continue,
        };
        let because = verdict.because.take().unwrap_or_default();
        verdict.because = Some(format!("{because}; {why}"));
        verdict.blame = Some(culprit);
    }
}

fn ids_with(verdicts: &[Verdict], status: Status) -> BTreeSet<&str> {
    let found = verdicts.iter().filter(|verdict| verdict.status == status);
    found.map(|verdict| verdict.id.as_str()).collect()
}

/// Whether the understudy played: it was started, and did not end by a fault of its own.
fn has_come_on(events: &[Event]) -> bool {
    let mut understudies = BTreeSet::new();
    for event in events {
        match &event.kind {
            EventKind::Started { actor, command, .. } if understudy::called(command).is_some() => {
                understudies.insert(actor);
            }
            EventKind::NotStarted { command, .. } if understudy::called(command).is_some() => {
                return false;
            }
            EventKind::Exited { actor, ending }
                if understudies.contains(actor) && understudy::is_lost(*ending) =>
            {
                return false;
            }
            EventKind::ScenarioEnded { fault: Some(_) } => return false,
            _ => {}
        }
    }
    !understudies.is_empty()
}

/// What the two do not agree on, as far as the wire shows it.
fn difference(plays: &Plays, id: &str) -> Option<String> {
    let index = plays
        .scenario
        .checks
        .iter()
        .position(|check| check.id == id)?;
    let heard = hear(plays.scenario, plays.pair);
    let Failure { step, .. } = heard.dockets.into_iter().nth(index)?.failure?;
    if let Some(ports) = ports(&heard.ledger) {
        return Some(ports);
    }
    let pair = Said::by(plays.scenario, plays.pair, step);
    let own_server = Said::by(plays.scenario, plays.own_server, step);
    let own_client = Said::by(plays.scenario, plays.own_client, step);
    if pair.server != own_server.server {
        return Some(format!(
            "when this client {}, this server {}, the harness's own {}",
            pair.client, pair.server, own_server.server
        ));
    }
    (pair.client != own_client.client).then(|| {
        format!(
            "this client {}, the harness's own {}",
            pair.client, own_client.client
        )
    })
}

/// The ports, where the client calls another than the server listens on.
fn ports(ledger: &Ledger) -> Option<String> {
    let server = ledger.actor(SERVER)?;
    let listening: BTreeSet<u16> = server
        .listening
        .iter()
        .map(|(_, address)| address.port())
        .collect();
    let called = called(ledger);
    if listening.is_empty() || called.is_empty() || !listening.is_disjoint(&called) {
        return None;
    }
    let list = |ports: &BTreeSet<u16>| {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        ports.join(" and ")
    };
    Some(format!(
        "the client calls port {}, and the server listens on port {}",
        list(&called),
        list(&listening)
    ))
}

/// The ports that clients have called.
pub fn called(ledger: &Ledger) -> BTreeSet<u16> {
    let crossings = ledger.wire.crossings.iter().map(|(_, crossing)| crossing);
    let by_client = |crossing: &&Crossing| {
        let calls = match crossing.what {
            CrossingKind::Datagram => true,
            CrossingKind::Segment { .. } => crossing.has_flag("SYN") && !crossing.has_flag("ACK"),
            CrossingKind::Unreachable { .. } => false,
        };
        calls && crossing.from.as_deref().is_some_and(|from| from != SERVER)
    };
    // What a server sends to a client goes to a port that nobody chose.
    let answers = |crossing: &&Crossing| crossing.to.as_deref().is_none_or(|to| to == SERVER);
    crossings
        .filter(by_client)
        .filter(answers)
        .map(|crossing| crossing.dst.port())
        .collect()
}

/// What each side has said when a step was over, since the last thing that happened.
struct Said {
    client: String,
    server: String,
}

impl Said {
    fn by(scenario: &Arc<Scenario>, events: &[Event], step: usize) -> Self {
        let mut ledger = Ledger::new(Arc::clone(scenario));
        for event in events {
            if matches!(event.kind, EventKind::StepEnded { step: ended, .. } if ended == step) {
                break;
            }
            ledger.apply(event);
        }
        let said = |by_server: bool| {
            let of = |crossing: &&Crossing| {
                let from = crossing.from.as_deref();
                from.is_some_and(|from| (from == SERVER) == by_server)
            };
            let crossings = || {
                ledger
                    .crossed_since_mark()
                    .map(|(_, crossing)| crossing)
                    .filter(of)
            };
            let pieces: Vec<&[u8]> = crossings()
                .filter(|crossing| crossing.carries())
                .map(|crossing| &crossing.payload.0[..])
                .collect();
            let text = match pieces.is_empty() {
                true => "sent nothing".to_owned(),
                false => format!("sent {}", find::shown(&pieces)),
            };
            let closed = crossings().any(|crossing| crossing.has_flag("FIN"));
            let closed = if closed { " and closed" } else { "" };
            format!("{text}{closed}")
        };
        Said {
            client: said(false),
            server: said(true),
        }
    }
}
