//! Requests of the clock and what came back for each: is a time asked for and a date answered?

use super::clock;
use super::find;
use super::ledger::Ledger;
use super::wire::{Answer, is_between};
use crate::scenario::model::SERVER;

/// So many answers that all are the other one's are no coincidence: a datagram that came late can make one look so.
const NO_COINCIDENCE: usize = 3;

/// Whether whoever asks `date` gets a date and whoever asks `time` a time. Only proof of the opposite is a no: an answer that
/// holds both, or cannot be read, is what was asked for.
pub(super) fn as_asked(date: &str, time: &str, ledger: &Ledger) -> Answer {
    let mut right = 0;
    let mut swapped: Vec<(&str, String)> = Vec::new();
    for client in ledger.clients() {
        let mut asked = None;
        let crossings = ledger.wire.crossings.iter().map(|(_, crossing)| crossing);
        for crossing in crossings.filter(|crossing| crossing.carries()) {
            let carries = |text| find::carries_text(&[&crossing.payload.0], text);
            if is_between(crossing, client, SERVER) {
                asked = match (carries(date), carries(time)) {
                    (true, false) => Some(date),
                    (false, true) => Some(time),
                    _ => None,
                };
            } else if is_between(crossing, SERVER, client)
                && let Some(request) = asked.take()
            {
                let answer = String::from_utf8_lossy(&crossing.payload.0);
                let shows_time = !clock::times(&answer).is_empty();
                let shows_date = clock::looks_like_date(&answer);
                match (shows_date, shows_time, request == date) {
                    (true, false, false) | (false, true, true) => {
                        swapped.push((request, find::shown(&[&crossing.payload.0])));
                    }
                    (false, false, _) => {}
                    _ => right += 1,
                }
            }
        }
    }
    match swapped.last() {
        Some((request, answer)) if right == 0 && swapped.len() >= NO_COINCIDENCE => Answer::No(
            format!("the server answered {request} with {answer}, and did the like each time"),
        ),
        _ => Answer::Yes,
    }
}
