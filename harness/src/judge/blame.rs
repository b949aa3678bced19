//! Which of the two programs it is, as far as the wire tells.
//!
//! A pair of programs fails together; their authors need to know in which one to look. The wire stands between them: a
//! request that never left is the client's, one that got no answer is the server's, an answer that came and was not shown
//! is the client's again. Where the wire was not seen to the last frame, or what crossed it cannot be read, nobody is
//! blamed; nor is a client that says nothing while it may be waiting for an answer. What is then to be found out by other
//! means is the business of [`super::swap`].

use super::expect::{Finding, who};
use super::ledger::Ledger;
use super::{find, wire};
use crate::event::{Actor, Crossing, Waiting};
use crate::scenario::model::{Pattern, SERVER, See};
use crate::scenario::wire::{Sought, Wire};
use crate::scenario::{Action, Scenario};
use serde::{Deserialize, Serialize};

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The client's program.
    Client,
    /// The server's program.
    Server,
}

impl Side {
    /// `client` or `server`.
    pub fn word(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Server => "server",
        }
    }
}

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Culprit {
    /// In the client.
    Client,
    /// In the server.
    Server,
    /// In both: neither gets on with anybody.
    Both,
    /// In what they have agreed on: each gets on with another.
    Agreement,
}

impl From<Side> for Culprit {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Culprit::Client,
            Side::Server => Culprit::Server,
        }
    }
}

/// Where to look, and what on the wire says so: a sentence without its full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blame {
    /// In which program.
    pub(super) side: Side,
    /// Why.
    pub(super) because: String,
}

/// Who is to blame that `step`, whose waiting ended so, was not satisfied on the screen of `viewer`.
pub(super) fn of(
    scenario: &Scenario,
    step: usize,
    ended_so: Waiting,
    viewer: &str,
    ledger: &Ledger,
) -> Option<Blame> {
    // The wire is read a little later than the screens: that nothing crossed is known only when it was waited for.
    let all_seen = matches!(ended_so, Waiting::TimedOut | Waiting::Standstill);
    let see = match &scenario.steps.get(step)?.action {
        Action::See(see) => see,
        Action::Wire(wire) => return of_what_is_said(wire, ledger),
        _ => return None,
    };
    if !ledger.wire.is_sound() {
        return None;
    }
    // Who has ended may have had a reason to say nothing.
    let ended = ledger.actor(viewer)?.ending.is_some();
    let speaker = speaker(scenario, step)?;
    let heard = Heard { see, ledger };
    let requests = heard.pieces(&speaker, SERVER)?;
    let speaks = who(&speaker, ledger);
    let blame = |side, because| Some(Blame { side, because });
    if ended && (requests.is_empty() || viewer == SERVER) {
        return None;
    }
    if requests.is_empty() {
        // It may be waiting for an answer to something else, or have found that the server is gone.
        let free = all_seen && !heard.is_held_up(&speaker);
        let because = format!("nothing left {speaks} for the server");
        return free.then_some(Blame {
            side: Side::Client,
            because,
        });
    }
    // A client that was to answer by itself has asked somebody else.
    if matches!(see.pattern, Pattern::Something { new: true }) {
        return None;
    }
    let asked = find::shown(&requests);
    if viewer == SERVER {
        let because = format!("{asked} left {speaks}, and the server's screen does not show it");
        return blame(Side::Server, because);
    }
    let answers = heard.pieces(SERVER, viewer)?;
    let reader = who(viewer, ledger);
    if answers.is_empty() && (ended || !all_seen) {
        return None;
    }
    if answers.is_empty() {
        let because = format!("{asked} left {speaks}, and the server sent nothing to {reader}");
        return blame(Side::Server, because);
    }
    let said = find::shown(&answers);
    if heard.carries(&answers)? {
        let because = format!("the server sent {said} to {reader}, which does not show it");
        return blame(Side::Client, because);
    }
    // What cannot be read may be the right answer.
    let readable = answers.iter().all(|answer| find::is_plain(answer));
    (all_seen && readable).then(|| Blame {
        side: Side::Server,
        because: format!("what the server sent to {reader} is {said}"),
    })
}

/// Who is to blame for what crossed the wire and should not have: a client that has said it by itself.
fn of_what_is_said(wire: &Wire, ledger: &Ledger) -> Option<Blame> {
    let because = match &wire.sought {
        Sought::Silent { .. } => "it is the client that said it",
        Sought::Only { from, .. } if from != SERVER => "it is the client that chose what to ask",
        Sought::Gaps { .. } => "it is the client that chose when to ask",
        Sought::First { from, .. } if from != SERVER => "it is the client that began with it",
        _ => return None,
    };
    let has_begun = || {
        let said =
            |crossing: &Crossing| crossing.carries() && crossing.from.as_deref() == wire.speaker();
        ledger
            .wire
            .crossings
            .iter()
            .any(|(_, crossing)| said(crossing))
    };
    // One that has said too little may be waiting for an answer.
    let proven = match wire::evaluate(wire, ledger) {
        Finding::Hopeless(_) => true,
        Finding::NotYet(_) => matches!(wire.sought, Sought::First { .. }) && has_begun(),
        Finding::Met | Finding::Undecided(_) => false,
    };
    (proven && ledger.wire.is_sound()).then(|| Blame {
        side: Side::Client,
        because: because.to_owned(),
    })
}

/// Whoever was to say something before this step: the client that typed last, or was started last.
fn speaker(scenario: &Scenario, step: usize) -> Option<Actor> {
    let before = scenario.steps[..step].iter().rev();
    let mut stimuli = before.filter(|before| before.action.is_stimulus());
    match &stimuli.next()?.action {
        Action::Type { actor, .. } => Some(actor.clone()),
        Action::Start { actor, .. } if actor != SERVER => Some(actor.clone()),
        _ => None,
    }
}

/// What crossed the wire of that which a step is about.
struct Heard<'a> {
    see: &'a See,
    ledger: &'a Ledger,
}

impl<'a> Heard<'a> {
    /// What one said to the other. None when somebody unknown said something, which may be this.
    fn pieces(&self, from: &str, to: &str) -> Option<Vec<&'a [u8]>> {
        let all: Box<dyn Iterator<Item = &'a Crossing>> = match self.see.ever {
            true => Box::new(
                self.ledger
                    .wire
                    .crossings
                    .iter()
                    .map(|(_, crossing)| crossing),
            ),
            false => Box::new(
                self.ledger
                    .crossed_since_mark()
                    .map(|(_, crossing)| crossing),
            ),
        };
        let mut pieces = Vec::new();
        for crossing in all.filter(|crossing| crossing.carries()) {
            let (Some(sender), Some(receiver)) = (&crossing.from, &crossing.to) else {
                return None;
            };
            if sender == from && receiver == to {
                if crossing.is_cut() {
                    return None;
                }
                pieces.push(&crossing.payload.0[..]);
            }
        }
        Some(pieces)
    }

    /// Whether a client has a reason not to speak: its last words were not answered, or the server has closed.
    fn is_held_up(&self, client: &str) -> bool {
        let crossings = self.ledger.wire.crossings.iter();
        let with_server = crossings.map(|(_, crossing)| crossing).filter(|crossing| {
            let ends = [crossing.from.as_deref(), crossing.to.as_deref()];
            ends.contains(&Some(client))
        });
        let mut unanswered = false;
        for crossing in with_server {
            let by_client = crossing.from.as_deref() == Some(client);
            if !by_client && (crossing.has_flag("FIN") || crossing.has_flag("RST")) {
                return true;
            }
            if crossing.carries() {
                unanswered = by_client;
            }
        }
        unanswered
    }

    /// Whether what was looked for crossed the wire. None when that cannot be told from octets.
    fn carries(&self, pieces: &[&[u8]]) -> Option<bool> {
        match &self.see.pattern {
            Pattern::Texts(texts) => {
                Some(texts.iter().all(|text| find::carries_text(pieces, text)))
            }
            Pattern::Number(number) => Some(find::carries_number(pieces, *number)),
            // Anything that came was worth showing.
            Pattern::Something { new: false } => Some(true),
            Pattern::OneLine(_)
            | Pattern::Time { .. }
            | Pattern::Date
            | Pattern::Answer { .. }
            | Pattern::Something { new: true } => None,
        }
    }
}
