//! Does what crossed the wire meet what a step expects?
//!
//! Pure, like [`super::expect`]. Three rules keep it fair:
//! - a wire that was not watched to the last frame decides nothing;
//! - what was found is there, but what was not found may be encoded in a way nobody here can read: only *nothing at
//!   all* is proof, and so is the forbidden thing itself;
//! - what somebody unknown sent might be anybody's: nobody fails because of it.
//!
//! Times are the kernel's, of the frames. What a loaded machine adds to them is allowed for by [`SHORTER`] and [`LONGER`].

use super::address::calls_by_address;
use super::exchange::as_asked;
use super::expect::{Finding, Miss, who};
use super::find;
use super::ledger::Ledger;
use crate::event::{Actor, Crossing, CrossingKind};
use crate::lab::Transport;
use crate::ladder::{self, Ladder};
use crate::scenario::model::SERVER;
use crate::scenario::wire::{Sought, Wire};
use std::collections::BTreeSet;
use std::time::Duration;

/// A gap may be shorter than asked for by so much: timers and time stamps are not taken at the same moment.
pub const SHORTER: Duration = Duration::from_millis(50);
/// A gap may be longer by so much, beside the time the answer took: a busy machine wakes a sleeper late.
pub const LONGER: Duration = Duration::from_millis(500);
/// Gaps are the same when the middle half of them differs by less than this …
pub const SAME: Duration = Duration::from_millis(20);
/// … and no two by more than this: a busy machine makes some longer, but not by a second.
pub const STILL_SAME: Duration = Duration::from_millis(300);
/// After so many requests it is taken for granted that a client sends nothing else.
const ENOUGH_REQUESTS: usize = 6;
/// So many gaps (or requests) in a row that are alike are no coincidence: a coin that falls twelve times alike is rare
/// enough, a random choice of 1 or 2 seconds included.
const NO_COINCIDENCE: usize = 12;

/// Whether an expectation of the wire is satisfied.
pub(super) fn evaluate(wire: &Wire, ledger: &Ledger) -> Finding {
    // What the screens have decided stands, where the wire says nothing.
    if wire.if_watched && !ledger.wire.is_sound() {
        return Finding::Met;
    }
    let actor = wire.speaker().unwrap_or(SERVER).to_owned();
    if let Some(why) = &ledger.wire.failed {
        return Finding::Undecided(Miss {
            actor,
            expected: expected(&wire.sought, ledger),
            because: format!("the wire was not seen completely: {why}"),
        });
    }
    let miss = |because: String| Miss {
        actor: actor.clone(),
        expected: expected(&wire.sought, ledger),
        because,
    };
    let answer = match &wire.sought {
        Sought::ByAddress { actor } => calls_by_address(actor, ledger),
        Sought::Something { from, to } => carries(from, to, ledger, |pieces| !pieces.is_empty()),
        Sought::Text { from, to, text } => {
            carries(from, to, ledger, |pieces| find::carries_text(pieces, text))
        }
        Sought::Number { from, to, number } => carries(from, to, ledger, |pieces| {
            find::carries_number(pieces, *number)
        }),
        Sought::First { from, to, text } => first(from, to, text, ledger),
        Sought::Only { from, to, texts } => only(from, to, texts, ledger),
        Sought::Withheld { to, text } => withheld(to, text, ledger),
        Sought::Silent { actor } => silent(actor, ledger),
        Sought::Handshake { actor } => handshake(actor, ledger),
        Sought::OrderlyClose { actor } => orderly_close(actor, ledger),
        Sought::NoReset => no_reset(ledger),
        Sought::Uses { transport } => uses(*transport, ledger),
        Sought::AsAsked { date, time } => as_asked(date, time, ledger),
        Sought::Gaps {
            actor,
            least,
            most,
            count,
        } => gaps(actor, *least, *most, *count, ledger),
    };
    match answer {
        Answer::Yes => Finding::Met,
        Answer::NotYet(because) => Finding::NotYet(miss(because)),
        Answer::No(because) => Finding::Hopeless(miss(because)),
        Answer::Unclear(because) => Finding::Undecided(miss(because)),
    }
}

/// What was looked at, as a ladder: the end of it.
pub(super) fn excerpt(wire: &Wire, ledger: &Ledger) -> String {
    const MOST: usize = 8;
    let since_mark = matches!(
        wire.sought,
        Sought::Text { .. }
            | Sought::Number { .. }
            | Sought::Something { .. }
            | Sought::Silent { .. }
            | Sought::Withheld { .. }
    );
    let seen: Vec<&Seen> = if since_mark {
        ledger.crossed_since_mark().collect()
    } else {
        ledger.wire.crossings.iter().collect()
    };
    let crossings = seen.into_iter().map(|(_, crossing)| crossing);
    let ladder = Ladder::excerpt(crossings, &ledger.wire.fates, MOST);
    if ladder.rows.is_empty() {
        return "nothing on the wire".to_owned();
    }
    let before = match ladder.left_out {
        0 => String::new(),
        more => format!("… ({more} before)\n"),
    };
    format!("{before}{}", ladder::text::body(&ladder).trim_end())
}

/// What the wire says.
pub(super) enum Answer {
    Yes,
    /// No, so far; if it stays so, that is proof.
    NotYet(String),
    /// No, and nothing can change that.
    No(String),
    /// Nothing can be concluded, so far.
    Unclear(String),
}

fn expected(sought: &Sought, ledger: &Ledger) -> String {
    let who = |actor: &str| who(actor, ledger);
    match sought {
        Sought::Text { from, to, text } => format!(
            "\"{text}\" crosses the wire from {} to {}",
            who(from),
            who(to)
        ),
        Sought::Number { from, to, number } => format!(
            "the number {number} crosses the wire from {} to {}",
            who(from),
            who(to)
        ),
        Sought::First { from, text, .. } => {
            format!("\"{text}\" is the first thing {} sends", who(from))
        }
        Sought::Only { from, texts, .. } => format!(
            "{} sends {}, each of them, and nothing else",
            who(from),
            texts.join(" and ")
        ),
        Sought::Withheld { to, text } => format!(
            "\"{text}\" does not cross the wire from the server to {}, which has said nothing so far",
            who(to)
        ),
        Sought::Silent { actor } => format!("nothing leaves {}", who(actor)),
        Sought::ByAddress { actor } => format!(
            "{} calls the server by an address of the server's computer",
            who(actor)
        ),
        Sought::Something { from, to } => {
            format!(
                "something crosses the wire from {} to {}",
                who(from),
                who(to)
            )
        }
        Sought::Handshake { actor } => format!(
            "SYN, SYN-ACK and ACK open a connection between {} and the server",
            who(actor)
        ),
        Sought::OrderlyClose { actor } => format!(
            "{} and the server both close their side (FIN), and neither cuts the connection off (RST)",
            who(actor)
        ),
        Sought::NoReset => "nobody cuts a connection off (RST)".to_owned(),
        Sought::Uses { transport } => format!("the programs speak over {transport}"),
        Sought::AsAsked { date, time } => {
            format!("{date} is answered with a date, and {time} with a time")
        }
        Sought::Gaps {
            actor, least, most, ..
        } => format!(
            "{} lets {} to {} seconds pass between two requests, not always the same",
            who(actor),
            least.as_secs(),
            most.as_secs()
        ),
    }
}

type Seen = (u64, Crossing);

fn is_from(crossing: &Crossing, from: &str) -> bool {
    crossing.from.as_deref() == Some(from)
}

pub(super) fn is_between(crossing: &Crossing, from: &str, to: &str) -> bool {
    is_from(crossing, from) && crossing.to.as_deref() == Some(to)
}

/// What carries something and of which one end is unknown.
fn unknown<'a>(mut seen: impl Iterator<Item = &'a Seen>) -> Option<&'a Seen> {
    seen.find(|(_, crossing)| {
        crossing.carries() && (crossing.from.is_none() || crossing.to.is_none())
    })
}

fn about_unknown((_, crossing): &Seen) -> String {
    format!(
        "{} octets crossed from {} to {}, and nobody can tell any more whose sockets those were",
        crossing.len, crossing.src, crossing.dst
    )
}

fn payloads<'a>(seen: &[&'a Seen]) -> Vec<&'a [u8]> {
    seen.iter()
        .map(|(_, crossing)| &crossing.payload.0[..])
        .collect()
}

fn carries(from: &str, to: &str, ledger: &Ledger, found: impl Fn(&[&[u8]]) -> bool) -> Answer {
    let seen: Vec<&Seen> = ledger
        .crossed_since_mark()
        .filter(|(_, crossing)| crossing.carries() && is_between(crossing, from, to))
        .collect();
    let pieces = payloads(&seen);
    if found(&pieces) {
        return Answer::Yes;
    }
    let (sender, receiver) = (who(from, ledger), who(to, ledger));
    if !seen.is_empty() {
        let cut = if seen.iter().any(|(_, crossing)| crossing.is_cut()) {
            " (not all of it was kept)"
        } else {
            ""
        };
        return Answer::Unclear(format!(
            "it cannot be read in what {sender} sent to {receiver}{cut}, which may be encoded: {}",
            find::shown(&pieces)
        ));
    }
    if let Some(unknown) = unknown(ledger.crossed_since_mark()) {
        return Answer::Unclear(about_unknown(unknown));
    }
    Answer::NotYet(format!(
        "{sender} sent nothing at all to {receiver} since then"
    ))
}

/// The first things this client's user typed that are not the text.
fn first_request<'l>(from: &str, text: &str, ledger: &'l Ledger) -> Option<&'l str> {
    let lines = ledger.typed.iter().filter(|typed| typed.actor == from);
    lines
        .map(|typed| typed.line.as_str())
        .find(|line| *line != text && !line.is_empty())
}

/// Whether octets are plain text without a letter, as a request is.
fn is_nothing_else(octets: &[u8]) -> bool {
    find::is_plain(octets) && octets.is_ascii() && !octets.iter().any(u8::is_ascii_alphabetic)
}

fn first(from: &str, to: &str, text: &str, ledger: &Ledger) -> Answer {
    let all = || ledger.wire.crossings.iter();
    let seen: Vec<&Seen> = all()
        .filter(|(_, crossing)| crossing.carries() && is_between(crossing, from, to))
        .collect();
    let pieces = payloads(&seen);
    let at =
        |wanted: &str| (1..=pieces.len()).find(|end| find::carries_text(&pieces[..*end], wanted));
    let request = first_request(from, text, ledger);
    let request_at = request.and_then(at);
    match (at(text), request_at) {
        (Some(text_at), request_at)
            if request_at.is_none_or(|request_at| text_at <= request_at) =>
        {
            return Answer::Yes;
        }
        _ => {}
    }
    if let Some(unknown) = unknown(all()) {
        return Answer::Unclear(about_unknown(unknown));
    }
    let sender = who(from, ledger);
    match (request, request_at) {
        _ if pieces.is_empty() => Answer::NotYet(format!("{sender} sent nothing at all")),
        // Letters beside it may be a name that lab.toml does not tell.
        (Some(request), Some(1)) if is_nothing_else(pieces[0]) => Answer::NotYet(format!(
            "the first thing {sender} sent was the request {request}: {}",
            find::shown(&pieces[..1])
        )),
        _ => Answer::Unclear(format!(
            "it cannot be read in the first things {sender} sent: {}; if its name is another one, write name = \"fixed:…\" into lab.toml",
            find::shown(&pieces[..pieces.len().min(3)])
        )),
    }
}

fn only(from: &str, to: &str, texts: &[String], ledger: &Ledger) -> Answer {
    let sender = who(from, ledger);
    let seen: Vec<&Seen> = ledger
        .wire
        .crossings
        .iter()
        .filter(|(_, crossing)| crossing.carries() && is_between(crossing, from, to))
        .collect();
    let holds =
        |text: &String, (_, crossing): &Seen| find::carries_text(&[&crossing.payload.0], text);
    let mut occurred: BTreeSet<&str> = BTreeSet::new();
    let mut others: Vec<&[u8]> = Vec::new();
    for one in &seen {
        let found: Vec<&String> = texts.iter().filter(|text| holds(text, one)).collect();
        match found[..] {
            [text] => {
                occurred.insert(text);
            }
            _ => others.push(&one.1.payload.0),
        }
    }
    // Words of a request in another form than the sheet's are the student's own form of it, and readable.
    let is_another = |octets: &&&[u8]| {
        find::is_plain(octets) && (!occurred.is_empty() || resembles(octets, texts))
    };
    if let Some(other) = others.iter().find(is_another) {
        return Answer::No(format!("{sender} also sent {}", find::shown(&[*other])));
    }
    if !others.is_empty() {
        return Answer::Unclear(format!(
            "the requests cannot be read in what {sender} sent, which may be encoded: {}",
            find::shown(&others)
        ));
    }
    if occurred.len() == texts.len() {
        let enough = seen.len() >= ENOUGH_REQUESTS || ledger.has_ended(from);
        return if enough {
            Answer::Yes
        } else {
            Answer::Unclear(format!("{sender} sent only {} requests", seen.len()))
        };
    }
    if let Some(unknown) = unknown(ledger.wire.crossings.iter()) {
        return Answer::Unclear(about_unknown(unknown));
    }
    let so_far = format!("{sender} sent {} requests", seen.len());
    match occurred.iter().next() {
        Some(text) if seen.len() >= NO_COINCIDENCE => {
            Answer::No(format!("{so_far}, and each was {text}"))
        }
        Some(text) => Answer::Unclear(format!(
            "{so_far}, each {text}: too few to say that it never asks for the other"
        )),
        None => Answer::Unclear(so_far),
    }
}

/// Whether octets hold a part of a text that names it: `DATE` of `SEND_DATE`.
fn resembles(octets: &[u8], texts: &[String]) -> bool {
    let parts = texts.iter().filter_map(|text| text.rsplit('_').next());
    parts
        .filter(|part| part.len() >= 4)
        .any(|part| find::carries_text(&[octets], part))
}

fn silent(actor: &str, ledger: &Ledger) -> Answer {
    let seen: Vec<&Seen> = ledger
        .crossed_since_mark()
        .filter(|(_, crossing)| crossing.carries() && is_from(crossing, actor))
        .collect();
    let pieces = payloads(&seen);
    let sender = who(actor, ledger);
    let typed = ledger.typed.iter().rev().find(|typed| typed.actor == actor);
    if let Some(typed) = typed
        && find::carries_text(&pieces, &typed.line)
    {
        return Answer::No(format!(
            "{sender} sent it all the same: {}",
            find::shown(&pieces)
        ));
    }
    if !pieces.is_empty() {
        return Answer::Unclear(format!(
            "{sender} sent something else, or the same in another form: {}",
            find::shown(&pieces)
        ));
    }
    match unknown(ledger.crossed_since_mark()) {
        Some(unknown) => Answer::Unclear(about_unknown(unknown)),
        None => Answer::Yes,
    }
}

/// Whoever has said anything may be logged in: only a client that has not can be sure to be outside.
fn withheld(to: &str, text: &str, ledger: &Ledger) -> Answer {
    let all = || ledger.wire.crossings.iter();
    let has_spoken = all().any(|(_, crossing)| crossing.carries() && is_from(crossing, to));
    if has_spoken {
        return Answer::Yes;
    }
    if let Some(unknown) = unknown(all()) {
        return Answer::Unclear(about_unknown(unknown));
    }
    let seen: Vec<&Seen> = ledger
        .crossed_since_mark()
        .filter(|(_, crossing)| crossing.carries() && is_between(crossing, SERVER, to))
        .collect();
    let pieces = payloads(&seen);
    match find::carries_text(&pieces, text) {
        true => Answer::No(format!(
            "{} has said nothing so far, and the server sent it {}",
            who(to, ledger),
            find::shown(&pieces)
        )),
        false => Answer::Yes,
    }
}

/// The TCP conversations of an actor, each with its segments.
fn connections<'l>(actor: &str, ledger: &'l Ledger) -> Vec<Vec<&'l Crossing>> {
    let segments = || {
        ledger
            .wire
            .crossings
            .iter()
            .map(|(_, crossing)| crossing)
            .filter(|crossing| crossing.transport() == Some(Transport::Tcp))
    };
    let concerns =
        |crossing: &&Crossing| is_from(crossing, actor) || crossing.to.as_deref() == Some(actor);
    let ids: BTreeSet<u32> = segments()
        .filter(concerns)
        .map(|crossing| crossing.conversation)
        .collect();
    ids.into_iter()
        .map(|id| {
            segments()
                .filter(|crossing| crossing.conversation == id)
                .collect()
        })
        .collect()
}

fn step_of(crossing: &Crossing) -> Option<u8> {
    match crossing.what {
        CrossingKind::Segment { handshake, .. } => handshake,
        _ => None,
    }
}

fn is_open(connection: &[&Crossing]) -> bool {
    (1..=3).all(|step| {
        connection
            .iter()
            .any(|crossing| step_of(crossing) == Some(step))
    })
}

fn unknown_connection(ledger: &Ledger) -> Option<&Seen> {
    ledger.wire.crossings.iter().find(|(_, crossing)| {
        step_of(crossing) == Some(1) && (crossing.from.is_none() || crossing.to.is_none())
    })
}

fn handshake(actor: &str, ledger: &Ledger) -> Answer {
    let connections = connections(actor, ledger);
    if connections.iter().any(|connection| is_open(connection)) {
        return Answer::Yes;
    }
    if let Some(unknown) = unknown_connection(ledger) {
        return Answer::Unclear(about_unknown(unknown));
    }
    let client = who(actor, ledger);
    Answer::NotYet(match connections.last() {
        None => format!("{client} sent no SYN: it opened no TCP connection"),
        Some(connection) if connection.iter().any(|crossing| crossing.has_flag("RST")) => {
            format!("the SYN of {client} was answered with RST: nobody listens there")
        }
        Some(connection) => {
            let most = connection
                .iter()
                .filter_map(|crossing| step_of(crossing))
                .max();
            format!("of the three segments only {} were seen", most.unwrap_or(0))
        }
    })
}

fn orderly_close(actor: &str, ledger: &Ledger) -> Answer {
    let connections: Vec<Vec<&Crossing>> = connections(actor, ledger)
        .into_iter()
        .filter(|connection| is_open(connection))
        .collect();
    let while_open = connections
        .iter()
        .flat_map(|connection| &connection[..closed_at(connection)]);
    if let Some(reset) = reset_in(while_open.copied(), ledger) {
        return Answer::No(reset);
    }
    if connections.is_empty() {
        return Answer::Unclear(format!("no connection of {} was seen", who(actor, ledger)));
    }
    for connection in &connections {
        let ended: BTreeSet<_> = connection
            .iter()
            .filter(|crossing| crossing.has_flag("FIN"))
            .map(|crossing| crossing.src)
            .collect();
        let open = connection
            .iter()
            .find(|crossing| !ended.contains(&crossing.src))
            .or_else(|| {
                connection
                    .iter()
                    .find(|crossing| !ended.contains(&crossing.dst))
            });
        if let Some(open) = open {
            let side = if ended.contains(&open.src) {
                &open.to
            } else {
                &open.from
            };
            let side = side
                .as_deref()
                .map_or("one side".to_owned(), |side| who(side, ledger));
            return Answer::NotYet(format!("{side} never closed the connection"));
        }
    }
    Answer::Yes
}

/// How many segments it took until both sides had closed. An RST after that cuts nothing off: a kernel answers so
/// when a segment comes late to a socket that is gone.
fn closed_at(connection: &[&Crossing]) -> usize {
    let mut ended = BTreeSet::new();
    let last = connection.iter().position(|crossing| {
        crossing.has_flag("FIN") && ended.insert(crossing.src) && ended.len() == 2
    });
    last.map_or(connection.len(), |last| last + 1)
}

fn no_reset(ledger: &Ledger) -> Answer {
    let segments = ledger.wire.crossings.iter().map(|(_, crossing)| crossing);
    match reset_in(segments, ledger) {
        Some(reset) => Answer::No(reset),
        None => Answer::Yes,
    }
}

/// The first RST that cuts off a connection, in words.
fn reset_in<'a>(
    mut segments: impl Iterator<Item = &'a Crossing>,
    ledger: &Ledger,
) -> Option<String> {
    let cuts = |crossing: &&Crossing| {
        matches!(crossing.what, CrossingKind::Segment { refused: false, .. })
            && crossing.has_flag("RST")
    };
    let reset = segments.find(cuts)?;
    let by = reset
        .from
        .as_deref()
        .map_or("somebody".to_owned(), |from| who(from, ledger));
    Some(format!(
        "{by} cut the connection off with RST (frame {}), as happens when a socket is closed while something that came is unread",
        reset.frame
    ))
}

fn uses(transport: Transport, ledger: &Ledger) -> Answer {
    let seen: Vec<&Seen> = ledger
        .wire
        .crossings
        .iter()
        .filter(|(_, crossing)| {
            crossing.carries() && crossing.from.is_some() && crossing.to.is_some()
        })
        .filter(|(_, crossing)| {
            let known = |actor: &Option<Actor>| {
                actor
                    .as_deref()
                    .is_some_and(|actor| ledger.actor(actor).is_some())
            };
            known(&crossing.from) && known(&crossing.to)
        })
        .collect();
    let other = seen
        .iter()
        .find(|(_, crossing)| crossing.transport().is_some_and(|other| other != transport));
    if let Some((_, crossing)) = other {
        let other = crossing
            .transport()
            .map_or(String::new(), |other| other.to_string());
        let by = crossing
            .from
            .as_deref()
            .map_or(String::new(), |from| who(from, ledger));
        return Answer::No(format!(
            "{by} sent {} octets over {other} (frame {})",
            crossing.len, crossing.frame
        ));
    }
    if !seen.is_empty() {
        return Answer::Yes;
    }
    match unknown(ledger.wire.crossings.iter()) {
        Some(unknown) => Answer::Unclear(about_unknown(unknown)),
        None => Answer::Unclear("nothing crossed the wire".to_owned()),
    }
}

/// A request with the moments (µs) it was sent and answered.
struct Request {
    at: u64,
    answered: Option<u64>,
}

/// The requests of an actor. One that is sent again before an answer has come is the same request.
fn requests(actor: &str, ledger: &Ledger) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    let mut last: &[u8] = &[];
    for (at, crossing) in &ledger.wire.crossings {
        if !crossing.carries() {
            continue;
        }
        if is_between(crossing, actor, SERVER) {
            let again = requests
                .last()
                .is_some_and(|request| request.answered.is_none() && last == crossing.payload.0);
            if !again {
                requests.push(Request {
                    at: *at,
                    answered: None,
                });
                last = &crossing.payload.0;
            }
        } else if is_between(crossing, SERVER, actor)
            && let Some(request) = requests.last_mut()
        {
            request.answered.get_or_insert(*at);
        }
    }
    requests
}

/// Whether the time between requests is in the range and varies. A gap is counted from request to request; who sleeps
/// after the answer adds the time the answer took, so that is allowed for. One gap out of range may be the machine's
/// doing, two are not.
fn gaps(actor: &str, least: Duration, most: Duration, count: usize, ledger: &Ledger) -> Answer {
    let requests = requests(actor, ledger);
    let client = who(actor, ledger);
    if let Some(unknown) = unknown(ledger.wire.crossings.iter()) {
        return Answer::Unclear(about_unknown(unknown));
    }
    let measured: Vec<(Duration, Option<Duration>)> = requests
        .windows(2)
        .map(|two| {
            let since = |at: u64| Duration::from_micros(at.saturating_sub(two[0].at));
            (since(two[1].at), two[0].answered.map(since))
        })
        .collect();
    let list = |gaps: &[Duration]| {
        let shown: Vec<String> = gaps
            .iter()
            .take(8)
            .map(|gap| format!("{:.3}", gap.as_secs_f64()))
            .collect();
        let more = if gaps.len() > 8 { " …" } else { "" };
        format!("{}{more} s", shown.join(", "))
    };
    let short: Vec<Duration> = measured
        .iter()
        .map(|(gap, _)| *gap)
        .filter(|gap| *gap + SHORTER < least)
        .collect();
    let long: Vec<Duration> = measured
        .iter()
        // Without an answer, how long the client waited for it cannot be known.
        .filter(|(gap, answer)| answer.is_some_and(|answer| *gap > most + LONGER + answer))
        .map(|(gap, _)| *gap)
        .collect();
    for (out, word) in [(&short, "less"), (&long, "more")] {
        if out.len() >= 2 {
            let limit = if word == "less" { least } else { most };
            return Answer::No(format!(
                "{} of {} gaps of {client} are {word} than {} s: {}",
                out.len(),
                measured.len(),
                limit.as_secs(),
                list(out)
            ));
        }
    }
    let gaps: Vec<Duration> = measured.iter().map(|(gap, _)| *gap).collect();
    let varies = vary(&gaps);
    let over = ledger.has_ended(actor);
    let enough = gaps.len() >= count || (over && gaps.len() >= 2);
    let so_far = format!("{} gaps of {client} were seen: {}", gaps.len(), list(&gaps));
    match (enough, varies) {
        (true, true) if short.is_empty() && long.is_empty() => Answer::Yes,
        (true, true) => Answer::Unclear(format!(
            "one gap is out of range, which may be the machine's doing; {so_far}"
        )),
        (true, false) if gaps.len() >= NO_COINCIDENCE => {
            Answer::No(format!("they are always the same; {so_far}"))
        }
        (true, false) => Answer::Unclear(format!(
            "they are the same so far, but too few to be sure; {so_far}"
        )),
        (false, _) => Answer::Unclear(format!("too few to say anything; {so_far}")),
    }
}

/// Whether gaps differ by more than a sleep of always the same length would.
fn vary(gaps: &[Duration]) -> bool {
    let mut sorted = gaps.to_vec();
    sorted.sort_unstable();
    let (Some(shortest), Some(longest)) = (sorted.first(), sorted.last()) else {
        return false;
    };
    let middle = sorted[sorted.len() * 3 / 4] - sorted[sorted.len() / 4];
    middle >= SAME || *longest - *shortest >= STILL_SAME
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::event::{Ending, Event, EventKind, Octets};
    use crate::scenario::parse;
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::sync::Arc;

    /// A wire on which things cross, with one client and the server.
    struct Stage {
        ledger: Ledger,
        at_us: u64,
        frame: u64,
        seq: [i64; 2],
    }

    impl Stage {
        fn new() -> Self {
            let text = "scenario s exercise=ex6 {\n start server\n start client ada\n check \"ex6/name\" \"t\" {\n sheet \"s\"\n hint \"h\"\n ada types \"12 + 42\"\n }\n}";
            let source = Source {
                name: "test.kdl".to_owned(),
                text: text.to_owned(),
            };
            let scenario = parse::parse(&source).expect("it is right").remove(0);
            let mut stage = Stage {
                ledger: Ledger::new(Arc::new(scenario)),
                at_us: 0,
                frame: 0,
                seq: [1, 1],
            };
            stage.event(EventKind::ScenarioStarted {
                scenario: "s".to_owned(),
                exercise: crate::lab::Exercise::Ex6,
                seed: 1,
                clock: chrono::DateTime::default(),
                names: BTreeMap::from([("ada".to_owned(), "Ada".to_owned())]),
            });
            stage.event(EventKind::Watched {
                interface: "lo".to_owned(),
            });
            for actor in [SERVER, "ada"] {
                stage.event(EventKind::Started {
                    actor: actor.to_owned(),
                    command: Vec::new(),
                    pid: 1,
                });
            }
            stage
        }

        fn event(&mut self, kind: EventKind) {
            let event = Event {
                at_us: self.at_us,
                kind,
            };
            self.ledger.apply(&event);
        }

        fn wait(&mut self, milliseconds: u64) -> &mut Self {
            self.at_us += milliseconds * 1000;
            self
        }

        fn types(&mut self, line: &str) -> &mut Self {
            self.at_us += 1000;
            self.event(EventKind::StepStarted { step: 2 });
            self.event(EventKind::Typed {
                actor: "ada".to_owned(),
                line: line.to_owned(),
            });
            self
        }

        fn ends(&mut self) -> &mut Self {
            self.event(EventKind::Exited {
                actor: "ada".to_owned(),
                ending: Ending::Status(0),
            });
            self
        }

        fn cross(&mut self, from: Option<&str>, what: CrossingKind, payload: &[u8]) -> &mut Self {
            self.at_us += 10;
            self.frame += 1;
            let (ada, server): (SocketAddr, SocketAddr) = (
                ([127, 0, 0, 1], 50_000).into(),
                ([127, 0, 0, 1], 20_001).into(),
            );
            let by_server = from == Some(SERVER);
            let known = from.is_some();
            let actor = |server: bool| match (server, known) {
                (true, _) => Some(SERVER.to_owned()),
                (false, true) => Some("ada".to_owned()),
                (false, false) => None,
            };
            let crossing = Crossing {
                frame: self.frame,
                conversation: 0,
                from: actor(by_server),
                to: actor(!by_server),
                src: if by_server { server } else { ada },
                dst: if by_server { ada } else { server },
                what,
                len: u32::try_from(payload.len()).expect("it is short"),
                payload: Octets(payload.to_vec()),
            };
            self.event(EventKind::Crossed(crossing));
            self
        }

        fn datagram(&mut self, from: &str, payload: &[u8]) -> &mut Self {
            self.cross(Some(from), CrossingKind::Datagram, payload)
        }

        fn segment(
            &mut self,
            from: &str,
            flags: &[&str],
            handshake: Option<u8>,
            payload: &[u8],
        ) -> &mut Self {
            let side = usize::from(from == SERVER);
            let seq = self.seq[side];
            self.seq[side] += i64::try_from(payload.len()).expect("it is short");
            let what = CrossingKind::Segment {
                flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
                seq,
                ack: Some(1),
                handshake,
                retransmission: false,
                refused: false,
            };
            self.cross(Some(from), what, payload)
        }

        fn opens(&mut self) -> &mut Self {
            self.segment("ada", &["SYN"], Some(1), b"")
                .segment(SERVER, &["SYN", "ACK"], Some(2), b"")
                .segment("ada", &["ACK"], Some(3), b"")
        }

        fn says(&mut self, from: &str, payload: &[u8]) -> &mut Self {
            self.segment(from, &["PSH", "ACK"], None, payload)
        }

        fn request_after(&mut self, milliseconds: u64, payload: &[u8]) -> &mut Self {
            self.wait(milliseconds)
                .datagram("ada", payload)
                .datagram(SERVER, b"12:34:56")
        }

        /// `met`, `not yet`, `no` or `unclear`.
        #[track_caller]
        fn check(&mut self, sought: Sought, expected: &str) -> &mut Self {
            let wire = Wire {
                sought,
                within: Duration::from_secs(1),
                if_watched: false,
            };
            let found = evaluate(&wire, &self.ledger);
            let word = match &found {
                Finding::Met => "met",
                Finding::NotYet(_) => "not yet",
                Finding::Hopeless(_) => "no",
                Finding::Undecided(_) => "unclear",
            };
            assert_eq!(word, expected, "{found:?}");
            self
        }
    }

    fn request() -> Sought {
        Sought::Text {
            from: "ada".to_owned(),
            to: SERVER.to_owned(),
            text: "12 + 42".to_owned(),
        }
    }

    fn answer() -> Sought {
        Sought::Number {
            from: SERVER.to_owned(),
            to: "ada".to_owned(),
            number: 54.0,
        }
    }

    fn name() -> Sought {
        Sought::First {
            from: "ada".to_owned(),
            to: SERVER.to_owned(),
            text: "Ada".to_owned(),
        }
    }

    fn withheld() -> Sought {
        Sought::Withheld {
            to: "ada".to_owned(),
            text: "between us".to_owned(),
        }
    }

    #[test]
    fn what_members_say_is_withheld_from_who_has_said_nothing() {
        let mut stage = Stage::new();
        // Somebody outside may be told how many are in there.
        stage.opens().types("12 + 42").says(SERVER, b"3 members\n");
        stage.check(withheld(), "met");
        stage.says(SERVER, b"bert: between us\n");
        stage.check(withheld(), "no");
        // A history that comes with the login is welcome, and so is everything for who may be logged in.
        let mut stage = Stage::new();
        stage.opens().types("12 + 42").says("ada", b"Ada\n");
        stage.says(SERVER, b"bert: between us\n");
        stage.check(withheld(), "met");
    }

    fn silent() -> Sought {
        Sought::Silent {
            actor: "ada".to_owned(),
        }
    }

    fn clock_requests() -> Sought {
        Sought::Only {
            from: "ada".to_owned(),
            to: SERVER.to_owned(),
            texts: vec!["SEND_DATE".to_owned(), "SEND_TIME".to_owned()],
        }
    }

    fn gaps_of(count: usize) -> Sought {
        Sought::Gaps {
            actor: "ada".to_owned(),
            least: Duration::from_secs(1),
            most: Duration::from_secs(2),
            count,
        }
    }

    fn orderly() -> Sought {
        Sought::OrderlyClose {
            actor: "ada".to_owned(),
        }
    }

    #[test]
    fn a_request_and_its_answer_are_seen_and_only_silence_is_proof_against_them() {
        let mut stage = Stage::new();
        stage.opens().says("ada", b"old: 12 + 42").types("12 + 42");
        stage.check(request(), "not yet").check(answer(), "not yet");
        stage
            .says("ada", b"\x9c\x11\xfe\x80")
            .check(request(), "unclear");
        stage
            .says("ada", b"12")
            .says("ada", b"+")
            .says("ada", b"42");
        stage.check(request(), "met").check(answer(), "not yet");
        stage.says(SERVER, b"{\"r\": 54.0}").check(answer(), "met");
    }

    #[test]
    fn what_somebody_unknown_sent_condemns_nobody() {
        let mut stage = Stage::new();
        stage
            .types("12 + 42")
            .cross(None, CrossingKind::Datagram, b"hello");
        stage.check(request(), "unclear").check(silent(), "unclear");
        stage.check(gaps_of(2), "unclear").check(name(), "unclear");
    }

    #[test]
    fn a_wire_that_was_not_seen_completely_decides_nothing() {
        let mut stage = Stage::new();
        stage
            .types("12 + 42")
            .opens()
            .says("ada", b"12 + 42")
            .check(request(), "met");
        stage.event(EventKind::WatchFailed {
            why: "the kernel had no room for some frames".to_owned(),
        });
        for sought in [
            request(),
            answer(),
            silent(),
            name(),
            orderly(),
            gaps_of(1),
            Sought::NoReset,
        ] {
            stage.check(sought, "unclear");
        }
    }

    #[test]
    fn a_name_comes_first_in_whatever_message() {
        Stage::new()
            .opens()
            .says("ada", b"ada\n")
            .types("12 + 42")
            .check(name(), "met");
        Stage::new()
            .opens()
            .types("12 + 42")
            .says("ada", b"{\"expr\":\"12 + 42\",\"user\":\"Ada\"}")
            .check(name(), "met");
        // Another name than the manifest's is the manifest's mistake.
        Stage::new()
            .opens()
            .says("ada", b"Client1")
            .types("12 + 42")
            .says("ada", b"12 + 42")
            .check(name(), "unclear");
        Stage::new()
            .opens()
            .types("12 + 42")
            .says("ada", b"12 + 42\n")
            .check(name(), "not yet");
        Stage::new()
            .opens()
            .types("12 + 42")
            .says("ada", b"Client1\n12 + 42\n")
            .check(name(), "unclear");
        Stage::new().opens().check(name(), "not yet");
    }

    #[test]
    fn silence_is_broken_by_what_was_typed_and_by_nothing_else_for_sure() {
        Stage::new()
            .opens()
            .says("ada", b"Ada")
            .types("pineapple")
            .check(silent(), "met");
        Stage::new()
            .opens()
            .types("pineapple")
            .says("ada", b"pine")
            .says("ada", b"apple")
            .check(silent(), "no");
        Stage::new()
            .opens()
            .types("pineapple")
            .says("ada", b"ping")
            .check(silent(), "unclear");
    }

    #[test]
    fn a_connection_is_opened_by_three_segments_and_closed_by_two() {
        let handshake = || Sought::Handshake {
            actor: "ada".to_owned(),
        };
        let mut stage = Stage::new();
        stage
            .check(handshake(), "not yet")
            .segment("ada", &["SYN"], Some(1), b"")
            .check(handshake(), "not yet");
        let mut stage = Stage::new();
        stage
            .opens()
            .check(handshake(), "met")
            .check(orderly(), "not yet");
        stage
            .segment("ada", &["FIN", "ACK"], None, b"")
            .check(orderly(), "not yet");
        stage
            .segment(SERVER, &["FIN", "ACK"], None, b"")
            .check(orderly(), "met")
            .check(Sought::NoReset, "met");
        stage
            .segment("ada", &["RST"], None, b"")
            .check(orderly(), "met");
        let mut stage = Stage::new();
        stage
            .opens()
            .segment("ada", &["RST", "ACK"], None, b"")
            .check(orderly(), "no")
            .check(Sought::NoReset, "no");
    }

    #[test]
    fn the_transport_is_what_payload_crossed_over() {
        let udp = || Sought::Uses {
            transport: Transport::Udp,
        };
        Stage::new().check(udp(), "unclear");
        Stage::new().datagram("ada", b"x").check(udp(), "met");
        Stage::new().opens().says("ada", b"x").check(udp(), "no");
    }

    #[test]
    fn only_the_two_requests_and_both() {
        let mut stage = Stage::new();
        for _ in 0..3 {
            stage
                .request_after(1500, b"SEND_DATE\n")
                .check(clock_requests(), "unclear");
        }
        for _ in 0..2 {
            stage
                .request_after(1500, b"{\"request\": \"send_time\"}")
                .check(clock_requests(), "unclear");
        }
        stage
            .request_after(1500, b"SEND_TIME")
            .check(clock_requests(), "met");
        stage
            .request_after(1500, b"SEND_WEATHER")
            .check(clock_requests(), "no");

        let mut stage = Stage::new();
        for _ in 0..11 {
            stage
                .request_after(1500, b"SEND_TIME")
                .check(clock_requests(), "unclear");
        }
        stage
            .request_after(1500, b"SEND_TIME")
            .check(clock_requests(), "no");

        Stage::new()
            .request_after(1500, b"TIME")
            .check(clock_requests(), "no");
        Stage::new()
            .request_after(1500, b"\x01\x02")
            .check(clock_requests(), "unclear");
        // One that counts its requests and ends has said all it will.
        let mut stage = Stage::new();
        stage
            .request_after(1500, b"SEND_TIME")
            .request_after(1500, b"SEND_DATE")
            .ends();
        stage.check(clock_requests(), "met");
    }

    #[track_caller]
    fn check_gaps(milliseconds: &[u64], expected: &str) {
        let mut stage = Stage::new();
        stage.request_after(0, b"SEND_TIME");
        for gap in milliseconds {
            stage.request_after(*gap, b"SEND_TIME");
        }
        stage.check(gaps_of(4), expected);
    }

    #[test]
    fn gaps_of_one_to_two_seconds_that_vary_are_right() {
        check_gaps(&[1000, 1999, 1400, 1700], "met");
        // A timer may be early by a little, and a busy machine late by more.
        check_gaps(&[960, 2400, 1400, 1700], "met");
        check_gaps(&[1000, 2000, 2000, 1000], "met");
        check_gaps(&[1200, 1700], "unclear");
    }

    #[test]
    fn gaps_out_of_range_are_wrong_and_a_single_one_may_be_the_machines() {
        check_gaps(&[100, 100, 100, 100], "no");
        check_gaps(&[100, 1900, 1200, 1500], "unclear");
        check_gaps(&[3000, 4000, 3500, 3700], "no");
        check_gaps(&[3000, 1200, 1500, 1900], "unclear");
    }

    #[test]
    fn gaps_that_never_vary_are_wrong_when_there_are_enough() {
        check_gaps(&[1500; 4], "unclear");
        check_gaps(&[1500; 12], "no");
        // A choice of one or two seconds varies, even where it falls one way most of the time.
        check_gaps(
            &[
                1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 2000, 1000, 1000,
            ],
            "met",
        );
        check_gaps(
            &[
                1500, 1503, 1501, 1520, 1502, 1501, 1590, 1500, 1502, 1501, 1503, 1500,
            ],
            "no",
        );
    }

    #[test]
    fn a_request_sent_again_is_the_same_request_and_a_late_answer_is_allowed_for() {
        let mut stage = Stage::new();
        stage.request_after(0, b"SEND_TIME");
        for gap in [1100, 1900, 1300, 1600] {
            stage
                .wait(gap)
                .datagram("ada", b"SEND_TIME")
                .wait(100)
                .datagram("ada", b"SEND_TIME");
            stage.datagram(SERVER, b"12:34:56");
        }
        stage.check(gaps_of(3), "met");
        let mut stage = Stage::new();
        for gap in [1000, 1900, 1300, 1600, 1700] {
            stage
                .wait(gap)
                .datagram("ada", b"SEND_TIME")
                .wait(1500)
                .datagram(SERVER, b"12:34:56");
        }
        stage.check(gaps_of(4), "met");
    }
}
