//! Does what has happened so far meet what a step expects?
//!
//! Pure: an [`Action`] and a [`Ledger`] in, a [`Finding`] out. The stage asks again after every event to know
//! when to stop waiting; the judge asks once, when the recorded step ends.

use super::clock;
use super::history::{sees_history, tells_apart};
use super::ledger::{ActorState, Ledger, Screen};
use super::number;
use super::wire;
use crate::event::Actor;
use crate::scenario::model::{Action, Actors, Pattern, SERVER, See};
use crate::text;
use std::collections::BTreeSet;

/// The answer to "is it there?".
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Yes.
    Met,
    /// No, but it may still come.
    NotYet(Miss),
    /// No, and it cannot come any more.
    Hopeless(Miss),
    /// What is known decides nothing, so far.
    Undecided(Miss),
}

/// What is missing, and on whose screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Miss {
    /// Whom to look at.
    pub actor: Actor,
    /// What was expected, as a phrase that follows "expected".
    pub expected: String,
    /// Why it is not there, as a sentence without its full stop.
    pub because: String,
}

/// Whether the step `index` with this action is satisfied.
pub fn evaluate(index: usize, action: &Action, ledger: &Ledger) -> Finding {
    match action {
        Action::Start { actor, .. } => started(actor, ledger),
        Action::Type { actor, lines } => typed(index, actor, lines.len(), ledger),
        Action::Quit { actor } => typed(index, actor, 1, ledger),
        Action::See(see) => sees(see, ledger),
        Action::NotSee { actors, pattern } => sees_not(actors, pattern, ledger),
        Action::Exit { actor, .. } => match ledger.actor(actor) {
            Some(ActorState {
                ending: Some(_), ..
            }) => Finding::Met,
            _ => Finding::NotYet(Miss {
                actor: actor.clone(),
                expected: format!("{} ends", who(actor, ledger)),
                because: format!("{} is still running", who(actor, ledger)),
            }),
        },
        Action::Running { actor } => match ledger.actor(actor).map(|state| (state, state.ending)) {
            Some((_, None)) => Finding::Met,
            ended => Finding::Hopeless(Miss {
                actor: actor.clone(),
                expected: format!("{} goes on running", who(actor, ledger)),
                because: match ended {
                    Some((state, Some(_))) => how_it_ended(actor, state, ledger),
                    _ => format!("{} was never started", who(actor, ledger)),
                },
            }),
        },
        Action::Listens {
            transport,
            everywhere,
        } => listens(*transport, *everywhere, ledger),
        Action::SeeHistory {
            actors, introduced, ..
        } => sees_history(actors, *introduced, ledger),
        Action::TellApart { actor, texts } => tells_apart(actor, texts, ledger),
        Action::Carry {
            datagrams,
            connections,
            segments,
        } => carries(*datagrams, *connections, *segments, ledger),
        Action::Wire(expected) => wire::evaluate(expected, ledger),
        Action::Restart => started(SERVER, ledger),
        Action::FaultHappens { .. } if ledger.was_meddled_with() => Finding::Met,
        Action::FaultHappens { .. } => Finding::Undecided(Miss {
            actor: last_client(ledger),
            expected: "something crosses the wire that can go wrong as wanted".to_owned(),
            because: "nothing crossed that it could happen to (this cannot be tried over IPv6)"
                .to_owned(),
        }),
        // These are things the harness does itself; they cannot be missing.
        Action::GiveName { .. }
        | Action::Try { .. }
        | Action::Leave { .. }
        | Action::Kill { .. }
        | Action::Pause { .. }
        | Action::Resume { .. }
        | Action::SendDatagram { .. }
        | Action::AddAddress { .. }
        | Action::Fault(_)
        | Action::SmallBuffers { .. } => Finding::Met,
    }
}

/// The client whose screen tells most about what went wrong: the one that typed last, or any.
fn last_client(ledger: &Ledger) -> Actor {
    let typed = ledger.typed.last().map(|typed| typed.actor.clone());
    typed
        .or_else(|| ledger.clients().next().cloned())
        .unwrap_or_else(|| SERVER.to_owned())
}

/// How people call an actor in a sentence.
pub fn who(actor: &str, ledger: &Ledger) -> String {
    if actor == SERVER {
        "the server".to_owned()
    } else {
        format!("{}'s client", ledger.name_of(actor))
    }
}

pub(super) fn how_it_ended(actor: &str, state: &ActorState, ledger: &Ledger) -> String {
    let who = who(actor, ledger);
    if let Some(octets) = state.output_limit {
        return format!("{who} had printed {octets} octets, more than it may, and was stopped");
    }
    if let Some(took) = &state.usage_limit {
        return format!("{who} took {took}, more than it may, and was stopped");
    }
    match state.ending {
        Some(ending) if state.screen.is_blank() => {
            format!("{who} had ended {ending}, having printed nothing")
        }
        Some(ending) => format!("{who} had ended {ending}"),
        None => format!("{who} was running"),
    }
}

fn started(actor: &str, ledger: &Ledger) -> Finding {
    let miss = |because: String| Miss {
        actor: actor.to_owned(),
        expected: if actor == SERVER {
            "the server starts and waits for clients on a socket".to_owned()
        } else {
            format!("{} starts", who(actor, ledger))
        },
        because,
    };
    let Some(state) = ledger.actor(actor) else {
        return Finding::NotYet(miss(format!("{} was not started", who(actor, ledger))));
    };
    if let Some(error) = &state.start_error {
        return Finding::Hopeless(miss(format!(
            "`{}` could not be started: {error}",
            state.command.join(" ")
        )));
    }
    if !state.started {
        return Finding::NotYet(miss(format!("{} was not started", who(actor, ledger))));
    }
    if actor != SERVER || !state.listening.is_empty() {
        return Finding::Met;
    }
    if state.ending.is_some() || state.output_limit.is_some() {
        let because = format!(
            "{} before it had opened a socket to wait for clients on",
            how_it_ended(actor, state, ledger)
        );
        return Finding::Hopeless(miss(because));
    }
    Finding::NotYet(miss(
        "the server is running, but the socket table shows no socket of its own that waits for clients \
         (a bound UDP socket or a listening TCP socket)"
            .to_owned(),
    ))
}

fn typed(index: usize, actor: &str, wanted: usize, ledger: &Ledger) -> Finding {
    if ledger.was_not_taken(index) {
        return Finding::Hopeless(Miss {
            actor: actor.to_owned(),
            expected: format!("{} takes what is typed", who(actor, ledger)),
            because: format!(
                "{} is running but does not read its input",
                who(actor, ledger)
            ),
        });
    }
    if ledger.typed_during(index) >= wanted {
        return Finding::Met;
    }
    let because = match ledger.actor(actor) {
        Some(state) => how_it_ended(actor, state, ledger),
        None => format!("{} was never started", who(actor, ledger)),
    };
    Finding::Hopeless(Miss {
        actor: actor.to_owned(),
        expected: format!("{} takes the next line", who(actor, ledger)),
        because,
    })
}

fn sees(see: &See, ledger: &Ledger) -> Finding {
    let missing: Vec<&Actor> = see
        .actors
        .list()
        .iter()
        .filter(|actor| !shows(actor, &see.pattern, see.ever, ledger))
        .collect();
    let met = match &see.actors {
        Actors::All(_) => missing.is_empty(),
        Actors::Any(all) => missing.len() < all.len(),
    };
    if met {
        return Finding::Met;
    }
    let is_over = |actor: &Actor| ledger.has_ended(actor);
    let over = missing.iter().filter(|actor| is_over(actor)).count();
    let hopeless = match &see.actors {
        Actors::All(_) => over > 0,
        Actors::Any(_) => over == missing.len(),
    };
    // Of several, name one that is still there: its screen tells more.
    let actor = missing
        .iter()
        .find(|actor| !is_over(actor))
        .or(missing.first())
        .map_or(SERVER, |actor| actor.as_str());
    let screens = match (&see.actors, missing.len()) {
        (Actors::Any(_), _) => "any screen".to_owned(),
        (Actors::All(_), 1) => format!("{}'s screen", screen_of(actor, ledger)),
        (Actors::All(list), _) => format!("the screens of {} clients", list.len()),
    };
    let mut because = match ledger.actor(actor) {
        Some(state) if state.ending.is_some() => how_it_ended(actor, state, ledger),
        Some(state) => what_was_there(actor, state, see, ledger),
        None => format!("{} was never started", who(actor, ledger)),
    };
    if missing.len() > 1 && matches!(see.actors, Actors::All(_)) {
        let names: Vec<&str> = missing.iter().map(|actor| ledger.name_of(actor)).collect();
        because = format!("it is missing for {}; {because}", names.join(", "));
    }
    let server = ledger
        .actor(SERVER)
        .filter(|server| actor != SERVER && server.ending.is_some());
    if let Some(server) = server {
        because = format!("{because}; {}", how_it_ended(SERVER, server, ledger));
    }
    let miss = Miss {
        actor: actor.to_owned(),
        expected: format!("{} on {screens}", see.pattern),
        because,
    };
    if hopeless {
        Finding::Hopeless(miss)
    } else {
        Finding::NotYet(miss)
    }
}

pub(super) fn screen_of(actor: &str, ledger: &Ledger) -> String {
    if actor == SERVER {
        "the server".to_owned()
    } else {
        ledger.name_of(actor).to_owned()
    }
}

/// Why a running actor's screen does not satisfy.
fn what_was_there(actor: &str, state: &ActorState, see: &See, ledger: &Ledger) -> String {
    let who = who(actor, ledger);
    let is_running = match &state.doing {
        Some(doing) => format!("{who} is running ({doing})"),
        None => format!("{who} is running"),
    };
    let since = if see.ever {
        "since it started"
    } else {
        "since then"
    };
    if text::clean(if see.ever {
        state.screen.raw()
    } else {
        state.screen.fresh_raw()
    })
    .trim()
    .is_empty()
    {
        return format!("{is_running} and has printed nothing {since}");
    }
    match &see.pattern {
        Pattern::Time { count } => {
            let (right, wrong) = times_shown(&state.screen, see.ever, ledger);
            match wrong.first() {
                Some((shown, clock)) => format!("{who} showed {shown} when the clock said {clock}"),
                None => format!(
                    "{is_running} and showed {} of {count} different times",
                    right.len()
                ),
            }
        }
        Pattern::Answer { count } => {
            format!(
                "{is_running} and showed {} of {count} answers",
                answers_shown(&state.screen, see.ever)
            )
        }
        Pattern::Date => format!(
            "{who} showed no text that reads as {}",
            ledger.clock_at(ledger.now_us()).format("%Y-%m-%d")
        ),
        Pattern::Something { new: true } => {
            format!("{who} showed only what it also shows after good input")
        }
        Pattern::Something { new: false } => format!("{who} showed only the report of a crash"),
        Pattern::Texts(texts) => {
            let screen = state.screen.fresh();
            let unseen: BTreeSet<String> = texts
                .iter()
                .flat_map(|text| text::unseen_between(text, &screen))
                .map(|c| format!("U+{:04X}", u32::from(c)))
                .collect();
            if unseen.is_empty() {
                return format!("{is_running} and showed something else");
            }
            let unseen: Vec<String> = unseen.into_iter().collect();
            format!(
                "{who} showed what looks the same, with characters in it that nobody sees: {}",
                unseen.join(", ")
            )
        }
        Pattern::OneLine(_) | Pattern::Number(_) => {
            format!("{is_running} and showed something else")
        }
    }
}

fn sees_not(actors: &[Actor], pattern: &Pattern, ledger: &Ledger) -> Finding {
    match actors
        .iter()
        .find(|actor| shows(actor, pattern, false, ledger))
    {
        None => Finding::Met,
        Some(actor) => Finding::Hopeless(Miss {
            actor: actor.clone(),
            expected: format!(
                "{pattern} does not appear on {}'s screen",
                screen_of(actor, ledger)
            ),
            because: format!("{} printed it", who(actor, ledger)),
        }),
    }
}

/// Whether a pattern is on an actor's screen.
fn shows(actor: &str, pattern: &Pattern, ever: bool, ledger: &Ledger) -> bool {
    let Some(state) = ledger.actor(actor) else {
        return false;
    };
    let screen = &state.screen;
    let fresh = || {
        if ever {
            text::clean(screen.raw())
        } else {
            screen.fresh()
        }
    };
    match pattern {
        Pattern::Texts(texts) => {
            let seen = text::fold(&fresh());
            texts.iter().all(|text| seen.contains(&text::fold(text)))
        }
        Pattern::OneLine(words) => fresh().lines().any(|line| {
            let line = text::fold(line);
            words.iter().all(|word| line.contains(&text::fold(word)))
        }),
        Pattern::Number(wanted) => number::contains(&fresh(), *wanted),
        Pattern::Time { count } => times_shown(screen, ever, ledger).0.len() >= *count,
        Pattern::Date => {
            let pieces = screen.timed_pieces(ever);
            // Day, month and year may stand on lines of their own.
            (0..pieces.len()).any(|end| {
                let lines: Vec<&str> = pieces[end.saturating_sub(2)..=end]
                    .iter()
                    .map(|(line, _)| line.as_str())
                    .collect();
                clock::shows_today(&lines.join(" "), ledger.clock_at(pieces[end].1))
            })
        }
        Pattern::Answer { count } => answers_shown(screen, ever) >= *count,
        Pattern::Something { new } => {
            let previous = if *new {
                screen.previous()
            } else {
                String::new()
            };
            something_new(&fresh(), &previous, &typed_by(actor, ledger))
        }
    }
}

/// The different present times shown, and the wrong ones with what the clock said.
fn times_shown(
    screen: &Screen,
    ever: bool,
    ledger: &Ledger,
) -> (BTreeSet<clock::ShownTime>, Vec<(String, String)>) {
    let mut right = BTreeSet::new();
    let mut wrong = Vec::new();
    for (line, at) in screen.timed_pieces(ever) {
        let now = ledger.clock_at(at);
        for shown in clock::times(&line) {
            if clock::is_present(shown, now) {
                right.insert(shown);
            } else {
                let (h, m, s) = (shown.0 / 3600, shown.0 / 60 % 60, shown.0 % 60);
                wrong.push((
                    format!("{h:02}:{m:02}:{s:02}"),
                    now.format("%H:%M:%S").to_string(),
                ));
            }
        }
    }
    (right, wrong)
}

fn answers_shown(screen: &Screen, ever: bool) -> usize {
    screen
        .timed_pieces(ever)
        .iter()
        .filter(|(line, _)| !clock::times(line).is_empty() || clock::looks_like_date(line))
        .count()
}

fn typed_by(actor: &str, ledger: &Ledger) -> String {
    ledger
        .typed
        .iter()
        .rev()
        .find(|typed| typed.actor == actor)
        .map_or_else(String::new, |typed| typed.line.clone())
}

/// Whether `fresh` says something beyond what `previous` said, an echo of `typed`, and the report of a crash.
///
/// Digits do not make a line new: prompts count.
fn something_new(fresh: &str, previous: &str, typed: &str) -> bool {
    let shape = |line: &str| {
        text::fold(line)
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect::<String>()
    };
    let known: BTreeSet<String> = previous.lines().map(shape).collect();
    let typed = text::fold(typed);
    before_crash(fresh).lines().any(|line| {
        let folded = text::fold(line);
        !folded.is_empty() && (typed.is_empty() || folded != typed) && !known.contains(&shape(line))
    })
}

/// How programs in common languages begin the report of an error that nobody handled.
const CRASH_SIGNS: [&str; 8] = [
    "Traceback (most recent call last)",
    "Exception in thread",
    "panicked at",
    "panic:",
    "Segmentation fault",
    "Uncaught",
    "Unhandled",
    "node:internal",
];

/// What was printed before a program died of an unhandled error, which is no message of its author's.
fn before_crash(text: &str) -> &str {
    let end = CRASH_SIGNS.iter().filter_map(|sign| text.find(sign)).min();
    &text[..end.unwrap_or(text.len())]
}

/// Who printed the report of an unhandled error, the server first, and the line of it that says what happened.
pub fn crash(ledger: &Ledger) -> Option<(Actor, String)> {
    let server = SERVER.to_owned();
    std::iter::once(&server)
        .chain(ledger.clients())
        .find_map(|actor| {
            let screen = text::clean(ledger.actor(actor)?.screen.raw());
            let report = &screen[before_crash(&screen).len()..];
            // In Python, Java and Node the line that names the error stands at the margin.
            let names_it = |line: &&str| {
                !line.starts_with(char::is_whitespace)
                    && (line.contains("Error") || line.contains("Exception:"))
            };
            let line = report.lines().find(names_it).or(report.lines().next())?;
            Some((actor.clone(), text::shorten(line.trim(), 160)))
        })
}

fn listens(transport: crate::lab::Transport, everywhere: bool, ledger: &Ledger) -> Finding {
    let expected = if everywhere {
        format!("the server's {transport} socket can be reached from another computer")
    } else {
        format!("the server waits for clients on a {transport} socket")
    };
    let miss = |because| {
        Finding::Hopeless(Miss {
            actor: SERVER.to_owned(),
            expected,
            because,
        })
    };
    let Some(state) = ledger.actor(SERVER) else {
        return miss("the server was never started".to_owned());
    };
    let right: Vec<_> = state
        .listening
        .iter()
        .filter(|(found, _)| *found == transport)
        .collect();
    if right.is_empty() {
        let seen: Vec<String> = state
            .listening
            .iter()
            .map(|(found, address)| format!("{found} {address}"))
            .collect();
        return miss(format!("the socket table shows {}", seen.join(", ")));
    }
    if everywhere && right.iter().all(|(_, address)| address.ip().is_loopback()) {
        return miss(format!(
            "it is bound to {}, an address that no other computer can reach",
            right[0].1
        ));
    }
    Finding::Met
}

/// So much has crossed the network. A datagram counts when a program has received it, so two mean a request that
/// reached the server and an answer that reached the client.
fn carries(datagrams: u64, connections: u64, segments: u64, ledger: &Ledger) -> Finding {
    let Some(seen) = ledger.traffic_in_check() else {
        return Finding::Met;
    };
    if seen.datagrams >= datagrams && seen.connections >= connections && seen.segments >= segments {
        return Finding::Met;
    }
    let sockets: Vec<String> = ledger
        .actor(SERVER)
        .map(|state| {
            state
                .listening
                .iter()
                .map(|(transport, address)| format!("{transport} {address}"))
                .collect()
        })
        .unwrap_or_default();
    let server = format!("the server waits on {}", sockets.join(", "));
    let (expected, because) = if datagrams > 0 {
        let because = match (seen.datagrams, seen.unreachable) {
            (0, 0) => format!("no datagram was received by anybody; {server}"),
            (0, lost) => format!(
                "{lost} of the client's datagrams went to a port where nobody waits; {server}"
            ),
            (some, _) => {
                format!("of request and answer only {some} datagram was received; {server}")
            }
        };
        (
            "a request and its answer, each a UDP datagram, are received".to_owned(),
            because,
        )
    } else {
        let because = match (seen.connections, seen.refused) {
            (0, 0) => format!("nobody opened a connection; {server}"),
            (0, refused) => format!(
                "{refused} connections were refused, because nobody listens there; {server}"
            ),
            (_, _) => format!(
                "a connection was opened, and {} of the two texts was sent over it",
                seen.segments
            ),
        };
        (
            "a TCP connection is opened and a text sent each way".to_owned(),
            because,
        )
    };
    Finding::NotYet(Miss {
        actor: last_client(ledger),
        expected,
        because,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_something(fresh: &str, previous: &str, typed: &str, expected: bool) {
        assert_eq!(
            something_new(fresh, previous, typed),
            expected,
            "{fresh:?} after {previous:?}"
        );
    }

    #[test]
    fn a_warning_is_new_and_a_repeated_prompt_is_not() {
        let good = "Result: 54\nEnter expression: ";
        check_something("Invalid input!\nEnter expression: ", good, "3 45", true);
        check_something("Invalid: 3 45\nEnter expression: ", good, "3 45", true);
        check_something("Enter expression: ", good, "3 45", false);
        check_something("3 45\nEnter expression: ", good, "3 45", false);
        check_something("[3] > ", "= 54\n[2] > ", "3 45", false);
        check_something("", good, "3 45", false);
    }

    #[test]
    fn the_report_of_a_crash_is_not_a_message() {
        check_something(
            "Traceback (most recent call last):\n  File \"x.py\"\nValueError",
            "",
            "3 45",
            false,
        );
        check_something(
            "Bad input\nTraceback (most recent call last):\n",
            "",
            "3 45",
            true,
        );
    }
}
