//! Expectations about whole conversations: who said what, to whom, how often and in which order.

use super::clock;
use super::expect::{Finding, Miss, how_it_ended, screen_of};
use super::ledger::Ledger;
use crate::event::Actor;
use crate::text;
use std::collections::{BTreeMap, BTreeSet};

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
    let Some(gap) = first_gap(actors, introduced, ledger) else {
        return Finding::Met;
    };
    let (line, sender) = (gap.lines[gap.line], ledger.name_of(gap.sender));
    let ended = ledger
        .actor(gap.reader)
        .filter(|state| state.ending.is_some());
    let because = match (&gap.flaw, ended) {
        (Flaw::Missing, Some(state)) => how_it_ended(gap.reader, state, ledger),
        (Flaw::Missing, None) => format!("{sender}'s line never arrived"),
        (Flaw::Repeated(times), _) => format!("it arrived {times} times"),
        (Flaw::Overtakes(earlier), _) => format!(
            "it arrived before \"{}\", which {sender} typed earlier",
            gap.lines[*earlier]
        ),
        (Flaw::Glued, _) => {
            format!("it is glued to another line: {sender}'s name does not stand between them")
        }
    };
    let miss = Miss {
        actor: gap.reader.clone(),
        expected: format!(
            "\"{line}\" once on {}'s screen, in the order it was typed",
            screen_of(gap.reader, ledger)
        ),
        because,
    };
    match gap.flaw {
        Flaw::Missing if ended.is_none() => Finding::NotYet(miss),
        _ => Finding::Hopeless(miss),
    }
}

/// The smallest part of the reader's screen that proves what [`sees_history`] says: two lines in the wrong order, the
/// copies of one that came twice, what stands on both sides of one that is missing. None where that cannot be cut out.
pub(super) fn proof(actors: &[Actor], introduced: bool, ledger: &Ledger) -> Option<String> {
    let gap = first_gap(actors, introduced, ledger)?;
    let screen = ledger.actor(gap.reader)?.screen.in_check();
    let rows: Vec<&str> = screen.lines().map(str::trim_end).collect();
    let with = |line: usize| -> Vec<usize> {
        let wanted = text::fold(gap.lines[line]);
        let holds = |row: &usize| text::fold(rows[*row]).contains(&wanted);
        (0..rows.len()).filter(holds).collect()
    };
    let first = |line: usize| with(line).first().copied();
    let shown: Vec<usize> = match gap.flaw {
        Flaw::Missing => {
            let before = (0..gap.line).rev().find_map(first);
            let after = (gap.line + 1..gap.lines.len()).find_map(first);
            before.into_iter().chain(after).collect()
        }
        Flaw::Repeated(_) => with(gap.line).into_iter().take(COPIES).collect(),
        Flaw::Overtakes(earlier) => [first(gap.line)?, first(earlier)?].to_vec(),
        Flaw::Glued => [gap.line.checked_sub(1).and_then(first), first(gap.line)]
            .into_iter()
            .flatten()
            .collect(),
    };
    let mut text = String::new();
    let mut last: Option<usize> = None;
    for row in shown.into_iter().collect::<BTreeSet<_>>() {
        if last.is_some_and(|last| last + 1 < row) {
            text.push_str("…\n");
        }
        text.push_str(&text::shorten(&text::visible(rows[row]), LONGEST_ROW));
        text.push('\n');
        last = Some(row);
    }
    (!text.is_empty()).then(|| text.trim_end().to_owned())
}

/// So many copies of a line are shown.
const COPIES: usize = 3;

/// So many characters of a row are shown.
const LONGEST_ROW: usize = 160;

/// What is wrong with one line on one screen.
struct Gap<'l> {
    reader: &'l Actor,
    sender: &'l Actor,
    /// All lines of the sender.
    lines: Vec<&'l str>,
    /// The one that is wrong.
    line: usize,
    flaw: Flaw,
}

enum Flaw {
    Missing,
    /// So many times there.
    Repeated(usize),
    /// It stands before this earlier one.
    Overtakes(usize),
    Glued,
}

/// The first line that is not as it should be, if any.
fn first_gap<'l>(actors: &'l [Actor], introduced: bool, ledger: &'l Ledger) -> Option<Gap<'l>> {
    let check = ledger.current_check();
    let mut senders: BTreeMap<&Actor, Vec<&str>> = BTreeMap::new();
    for typed in ledger.typed.iter().filter(|typed| typed.check == check) {
        senders.entry(&typed.actor).or_default().push(&typed.line);
    }
    actors.iter().find_map(|reader| {
        let others = senders.iter().filter(|(sender, _)| **sender != reader);
        others.into_iter().find_map(|(sender, lines)| {
            let (line, flaw) = flaw(reader, sender, lines, introduced, ledger)?;
            Some(Gap {
                reader,
                sender,
                lines: lines.clone(),
                line,
                flaw,
            })
        })
    })
}

/// What is wrong with one sender's lines on one reader's screen, and with which of them.
fn flaw(
    reader: &Actor,
    sender: &Actor,
    lines: &[&str],
    introduced: bool,
    ledger: &Ledger,
) -> Option<(usize, Flaw)> {
    let state = ledger.actor(reader)?;
    let screen = text::fold(&state.screen.in_check());
    // A screen that is cleared and drawn anew shows lines again that arrived once.
    let redraws = state.screen.clears();
    let mut places: Vec<(usize, usize)> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let folded = text::fold(line);
        let mut found = screen.match_indices(&folded).map(|(at, _)| at);
        let (first, more) = (found.next(), found.count());
        let Some(at) = first else {
            return Some((index, Flaw::Missing));
        };
        if more > 0 && !redraws {
            return Some((index, Flaw::Repeated(more + 1)));
        }
        if let Some(earlier) = places.iter().position(|(_, end)| at < *end) {
            return Some((index, Flaw::Overtakes(earlier)));
        }
        places.push((at, at + folded.len()));
    }
    let name = text::fold(ledger.name_of(sender));
    let gap = |index: usize| {
        let start = index.checked_sub(1).map_or(0, |before| places[before].1);
        let end = places.get(index).map_or(screen.len(), |(at, _)| *at);
        screen[start..end].contains(&name)
    };
    // The first line tells whether names stand before or after their lines.
    let after = usize::from(!gap(0));
    (0..lines.len())
        .find(|index| introduced && !gap(index + after))
        .map(|index| (index, Flaw::Glued))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::event::{Event, EventKind};
    use crate::scenario::parse;
    use std::sync::Arc;

    /// What bert is shown, and what comes of it, when ada types "one", "two" and "three".
    #[track_caller]
    fn check(introduced: bool, screen: &str, expected: &str, proof_of_it: &str) {
        let source = Source {
            name: "test.kdl".to_owned(),
            text: "scenario s exercise=ex8 {\n start server\n start client ada bert\n check \"ex8/burst\" \"t\" {\n sheet \"s\"\n \
                   hint \"h\"\n ada types \"line one\" \"line two\" \"line three\"\n bert sees-every-line\n }\n}"
                .to_owned(),
        };
        let scenario = parse::parse(&source).expect("it is right").remove(0);
        let typing = scenario.steps.iter().position(|step| step.check.is_some());
        let mut ledger = Ledger::new(Arc::new(scenario));
        let started = ["server", "ada", "bert"].map(|actor| EventKind::Started {
            actor: actor.to_owned(),
            command: Vec::new(),
            pid: 1,
        });
        let step = typing.expect("the check has steps");
        let typed = ["line one", "line two", "line three"].map(|line| EventKind::Typed {
            actor: "ada".to_owned(),
            line: line.to_owned(),
        });
        let shown = EventKind::Output {
            actor: "bert".to_owned(),
            text: screen.to_owned(),
        };
        let begun = [EventKind::StepStarted { step }];
        let kinds = started.into_iter().chain(begun).chain(typed).chain([shown]);
        for kind in kinds {
            ledger.apply(&Event { at_us: 0, kind });
        }
        let readers = ["bert".to_owned()];
        let because = match sees_history(&readers, introduced, &ledger) {
            Finding::Met => "met".to_owned(),
            Finding::NotYet(miss) | Finding::Hopeless(miss) | Finding::Undecided(miss) => {
                miss.because
            }
        };
        assert_eq!(because, expected);
        let proof = proof(&readers, introduced, &ledger);
        assert_eq!(proof.as_deref().unwrap_or_default(), proof_of_it);
    }

    #[test]
    fn a_failure_shows_the_smallest_part_that_proves_it() {
        let all = "* bert has joined\nada: line one\nada: line two\nada: line three\n> ";
        check(false, all, "met", "");
        check(
            false,
            "hello\nada: line one\nnobody asked\nada: line three\n> ",
            "ada's line never arrived",
            "ada: line one\n…\nada: line three",
        );
        check(false, "hello\n", "ada's line never arrived", "");
        check(
            false,
            "ada: line one\nada: line two\nada: line three\nada: line two\n",
            "it arrived 2 times",
            "ada: line two\n…\nada: line two",
        );
        check(
            false,
            "hello\nada: line two\nada: line one\nada: line three\n",
            "it arrived before \"line one\", which ada typed earlier",
            "ada: line two\nada: line one",
        );
        check(
            true,
            "hello\nada: line one\nada: line twoline three\nbye\n",
            "it is glued to another line: ada's name does not stand between them",
            "ada: line twoline three",
        );
    }
}
