//! Expectations about whole conversations: who said what, to whom, how often and in which order.

use super::clock;
use super::expect::{Finding, Miss, how_it_ended, screen_of};
use super::ledger::Ledger;
use crate::event::Actor;
use crate::text;
use std::collections::BTreeMap;

/// Two senders' lines. It takes evidence to say that they bear one name: what stands around the two texts is the
/// same, but for the time, and the first sender's name is in it.
pub(super) fn tells_apart(actor: &str, texts: &[String; 2], ledger: &Ledger) -> Finding {
    let Some(state) = ledger.actor(actor) else {
        return Finding::Met;
    };
    let screen = state.screen.in_check();
    let around = |text: &str| {
        let wanted = text::fold(text);
        screen.lines().find_map(|line| {
            let line = clock::without_times(&text::fold(line));
            let (before, after) = line.split_once(&wanted)?;
            Some((before.to_owned(), after.to_owned()))
        })
    };
    let first_sender = ledger.typed.iter().find(|typed| typed.line == texts[0]);
    let (Some(sender), Some(one), Some(other)) =
        (first_sender, around(&texts[0]), around(&texts[1]))
    else {
        return Finding::Met;
    };
    let name = text::fold(ledger.name_of(&sender.actor));
    let bears_name = one.0.contains(&name) || one.1.contains(&name);
    if one != other || !bears_name {
        return Finding::Met;
    }
    Finding::Hopeless(Miss {
        actor: actor.to_owned(),
        expected: format!(
            "\"{}\" and \"{}\" come from different names",
            texts[0], texts[1]
        ),
        because: format!("both come from {}", ledger.name_of(&sender.actor)),
    })
}

/// Every line typed in this check, on every other screen exactly once, each sender's in order; `introduced`: each with
/// its sender's name beside it, so that lines glued together are noticed.
pub(super) fn sees_history(actors: &[Actor], introduced: bool, ledger: &Ledger) -> Finding {
    let check = ledger.current_check();
    let mut senders: BTreeMap<&Actor, Vec<&str>> = BTreeMap::new();
    for typed in ledger.typed.iter().filter(|typed| typed.check == check) {
        senders.entry(&typed.actor).or_default().push(&typed.line);
    }
    for reader in actors {
        for (sender, lines) in senders.iter().filter(|(sender, _)| **sender != reader) {
            match hears(reader, sender, lines, introduced, ledger) {
                Finding::Met => {}
                missing => return missing,
            }
        }
    }
    Finding::Met
}

/// Whether one reader has every line of one sender.
fn hears(
    reader: &Actor,
    sender: &Actor,
    lines: &[&str],
    introduced: bool,
    ledger: &Ledger,
) -> Finding {
    let Some(state) = ledger.actor(reader) else {
        return Finding::Met;
    };
    let miss = |line: &str, because: String| Miss {
        actor: reader.clone(),
        expected: format!(
            "\"{line}\" once on {}'s screen, in the order it was typed",
            screen_of(reader, ledger)
        ),
        because,
    };
    let screen = text::fold(&state.screen.in_check());
    // A screen that is cleared and drawn anew shows lines again that arrived once.
    let redraws = state.screen.clears();
    let mut places: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        let folded = text::fold(line);
        let mut found = screen.match_indices(&folded).map(|(at, _)| at);
        let (first, more) = (found.next(), found.count());
        match (first, if redraws { 0 } else { more }) {
            (None, _) if state.ending.is_some() => {
                return Finding::Hopeless(miss(line, how_it_ended(reader, state, ledger)));
            }
            (None, _) => {
                return Finding::NotYet(miss(
                    line,
                    format!("{}'s line never arrived", ledger.name_of(sender)),
                ));
            }
            (Some(at), 0) if places.last().is_some_and(|(_, end)| at < *end) => {
                return Finding::Hopeless(miss(
                    line,
                    "it arrived before an earlier line of the same sender".to_owned(),
                ));
            }
            (Some(at), 0) => places.push((at, at + folded.len())),
            (Some(_), more) => {
                return Finding::Hopeless(miss(line, format!("it arrived {} times", more + 1)));
            }
        }
    }
    let name = text::fold(ledger.name_of(sender));
    let gap = |index: usize| {
        let start = index.checked_sub(1).map_or(0, |before| places[before].1);
        let end = places.get(index).map_or(screen.len(), |(at, _)| *at);
        screen[start..end].contains(&name)
    };
    // The first line tells whether names stand before or after their lines.
    let after = usize::from(!gap(0));
    match (0..lines.len()).find(|index| introduced && !gap(index + after)) {
        None => Finding::Met,
        Some(index) => Finding::Hopeless(miss(
            lines[index],
            format!(
                "it is glued to another line: {}'s name does not stand between them",
                ledger.name_of(sender)
            ),
        )),
    }
}
