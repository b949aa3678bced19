//! What has been said, as far back as it is kept, and which part of it is on the screen.
//!
//! The screen either follows what comes in or stands still on a row that was scrolled to; then what
//! comes in is counted. Only entries near the screen are broken into rows, so a long log costs nothing.
//! Deliberately knows no colours: see [`view`](crate::window::view).

use std::{collections::VecDeque, sync::Arc};

use chrono::NaiveTime;

use crate::window::text::tamed;

/// Most entries kept; the oldest go first.
pub const SCROLLBACK: usize = 10_000;

/// Most octets of text kept, whoever sends them.
pub const SCROLLBACK_OCTETS: usize = 16 * 1024 * 1024;

/// Something that was shown, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Local time.
    pub time: NaiveTime,
    /// What.
    pub kind: Kind,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody said something.
    Said {
        /// Who.
        name: Arc<str>,
        /// What.
        text: String,
        /// Whether it speaks of the one who sits here.
        mention: bool,
    },
    /// Somebody came.
    Came(String),
    /// Somebody went.
    Went(String),
    /// The client's own word.
    Note(String),
    /// The client's or the server's word that something is wrong.
    Alarm(String),
}

impl Entry {
    /// The text and how much of it, at its beginning, is a sender's name.
    pub fn text(&self) -> (String, usize) {
        match &self.kind {
            Kind::Said { name, text, .. } => (format!("{name}: {text}"), name.len()),
            Kind::Came(text) => (format!("→ {text}"), 0),
            Kind::Went(text) => (format!("← {text}"), 0),
            Kind::Note(text) | Kind::Alarm(text) => (text.clone(), 0),
        }
    }

    fn octets(&self) -> usize {
        match &self.kind {
            Kind::Said { name, text, .. } => name.len() + text.len(),
            Kind::Came(text) | Kind::Went(text) | Kind::Note(text) | Kind::Alarm(text) => {
                text.len()
            }
        }
    }
}

/// A row of the log: the number of its entry, counted from the first ever, and which of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The entry.
    pub entry: usize,
    /// Its row.
    pub row: usize,
}

/// A part of the log to look at: how many rows there are on the screen, and how many each entry takes.
pub struct Sight<F> {
    /// Rows on the screen.
    pub height: usize,
    /// The rows of an entry; never 0.
    pub rows_of: F,
}

/// The log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: VecDeque<Entry>,
    octets: usize,
    /// How many have been dropped.
    dropped: usize,
    /// The last row on the screen, unless it follows.
    stands_at: Option<Position>,
    /// How many there were when it ceased to follow, or has shown since.
    seen: usize,
}

impl Log {
    /// Adds an entry and drops the oldest beyond the limits.
    pub fn push(&mut self, mut entry: Entry) {
        match &mut entry.kind {
            Kind::Said { name, text, .. } => {
                *text = tamed(std::mem::take(text));
                *name = tamed(name.to_string()).into();
            }
            Kind::Came(text) | Kind::Went(text) | Kind::Note(text) | Kind::Alarm(text) => {
                *text = tamed(std::mem::take(text));
            }
        }
        self.octets += entry.octets();
        self.entries.push_back(entry);
        while self.entries.len() > SCROLLBACK || self.octets > SCROLLBACK_OCTETS {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.octets -= oldest.octets();
            self.dropped += 1;
        }
    }

    /// An entry by its number, unless it was dropped.
    pub fn get(&self, entry: usize) -> Option<&Entry> {
        self.entries.get(entry.checked_sub(self.dropped)?)
    }

    /// The latest entry.
    pub fn last(&self) -> Option<&Entry> {
        self.entries.back()
    }

    /// Entries that came in below the screen while it stood still.
    pub fn unseen(&self) -> usize {
        match self.stands_at {
            Some(_) => self.end().saturating_sub(self.seen),
            None => 0,
        }
    }

    /// Whether the screen shows what comes in.
    pub fn follows(&self) -> bool {
        self.stands_at.is_none()
    }

    /// Goes to the latest entry and follows.
    pub fn follow(&mut self) {
        self.stands_at = None;
    }

    /// The rows on the screen, from top to bottom: fewer than its height only if there are no more.
    pub fn visible(&self, sight: &Sight<impl Fn(&Entry) -> usize>) -> VecDeque<Position> {
        let mut rows = VecDeque::new();
        let Some(bottom) = self.bottom(sight) else {
            return rows;
        };
        let mut above = Some(bottom);
        while rows.len() < sight.height
            && let Some(position) = above
        {
            rows.push_front(position);
            above = self.above(position, sight);
        }
        let mut below = self.below(bottom, sight);
        while rows.len() < sight.height
            && let Some(position) = below
        {
            rows.push_back(position);
            below = self.below(position, sight);
        }
        rows
    }

    /// Moves the screen so many rows up and stands still there.
    pub fn scroll_up(&mut self, rows: usize, sight: &Sight<impl Fn(&Entry) -> usize>) {
        let Some(mut bottom) = self.bottom(sight) else {
            return;
        };
        if self.follows() {
            self.seen = self.end();
        }
        for _ in 0..rows {
            let Some(above) = self.above(bottom, sight) else {
                break;
            };
            bottom = above;
        }
        self.stand_at(bottom, sight);
    }

    /// Moves the screen so many rows down, and follows from the last one on.
    pub fn scroll_down(&mut self, rows: usize, sight: &Sight<impl Fn(&Entry) -> usize>) {
        let Some(mut bottom) = self.stands_at.and_then(|_| self.bottom(sight)) else {
            return;
        };
        for _ in 0..rows {
            let Some(below) = self.below(bottom, sight) else {
                break;
            };
            bottom = below;
        }
        self.stand_at(bottom, sight);
    }

    /// Goes to the oldest entry.
    pub fn scroll_to_top(&mut self, sight: &Sight<impl Fn(&Entry) -> usize>) {
        if self.follows() {
            self.seen = self.end();
        }
        self.stand_at(
            Position {
                entry: self.dropped,
                row: 0,
            },
            sight,
        );
    }

    fn stand_at(&mut self, bottom: Position, sight: &Sight<impl Fn(&Entry) -> usize>) {
        self.stands_at = Some(bottom);
        // Nothing above the oldest row: the screen is full all the same.
        let lowest = self.visible(sight).back().copied();
        self.stands_at = lowest.filter(|&lowest| self.below(lowest, sight).is_some());
        if let Some(Position { entry, .. }) = self.stands_at {
            self.seen = self.seen.max(entry + 1);
        }
    }

    /// The number of the next entry.
    fn end(&self) -> usize {
        self.dropped + self.entries.len()
    }

    /// The row to be shown last.
    fn bottom(&self, sight: &Sight<impl Fn(&Entry) -> usize>) -> Option<Position> {
        let last = self
            .end()
            .checked_sub(1)
            .filter(|_| !self.entries.is_empty())?;
        let wanted = self.stands_at.unwrap_or(Position {
            entry: last,
            row: usize::MAX,
        });
        // It may have been dropped, or have fewer rows since the screen is wider.
        let entry = wanted.entry.clamp(self.dropped, last);
        let rows = (sight.rows_of)(self.get(entry)?);
        let row = if entry == wanted.entry {
            wanted.row.min(rows - 1)
        } else {
            0
        };
        Some(Position { entry, row })
    }

    fn above(
        &self,
        Position { entry, row }: Position,
        sight: &Sight<impl Fn(&Entry) -> usize>,
    ) -> Option<Position> {
        if let Some(row) = row.checked_sub(1) {
            return Some(Position { entry, row });
        }
        let entry = entry.checked_sub(1)?;
        let rows = (sight.rows_of)(self.get(entry)?);
        Some(Position {
            entry,
            row: rows - 1,
        })
    }

    fn below(
        &self,
        Position { entry, row }: Position,
        sight: &Sight<impl Fn(&Entry) -> usize>,
    ) -> Option<Position> {
        if row + 1 < (sight.rows_of)(self.get(entry)?) {
            return Some(Position {
                entry,
                row: row + 1,
            });
        }
        let entry = entry + 1;
        self.get(entry).map(|_| Position { entry, row: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of entries 0, 1, 2 …, each with as many rows as its number modulo 3, plus 1.
    fn log(entries: usize) -> Log {
        let mut log = Log::default();
        for n in 0..entries {
            push(&mut log, n);
        }
        log
    }

    fn push(log: &mut Log, n: usize) {
        let kind = Kind::Note("x".repeat(n % 3 + 1));
        log.push(Entry {
            time: NaiveTime::MIN,
            kind,
        });
    }

    fn sight(height: usize) -> Sight<impl Fn(&Entry) -> usize> {
        Sight {
            height,
            rows_of: Entry::octets,
        }
    }

    #[track_caller]
    fn check(log: &Log, height: usize, expected: &str) {
        let rows = log.visible(&sight(height));
        let rows: Vec<_> = rows
            .iter()
            .map(|p| format!("{}.{}", p.entry, p.row))
            .collect();
        assert_eq!(rows.join(" "), expected);
    }

    #[test]
    fn the_latest_rows_are_shown_and_followed() {
        let mut log = log(0);
        check(&log, 3, "");
        push(&mut log, 0);
        check(&log, 3, "0.0");
        push(&mut log, 1);
        push(&mut log, 2);
        check(&log, 4, "1.1 2.0 2.1 2.2");
        check(&log, 0, "");
        assert_eq!(log.unseen(), 0);
    }

    #[test]
    fn a_screen_that_was_scrolled_stands_still_and_counts() {
        let mut log = log(6);
        log.scroll_up(2, &sight(3));
        check(&log, 3, "4.0 4.1 5.0");
        push(&mut log, 6);
        push(&mut log, 7);
        check(&log, 3, "4.0 4.1 5.0");
        assert_eq!(log.unseen(), 2);
        log.scroll_down(3, &sight(3));
        check(&log, 3, "5.1 5.2 6.0");
        assert_eq!(log.unseen(), 1);
        log.scroll_down(100, &sight(3));
        assert!(log.follows());
        assert_eq!(log.unseen(), 0);
    }

    #[test]
    fn scrolling_ends_at_the_oldest_row_with_a_full_screen() {
        let mut log = log(6);
        log.scroll_up(100, &sight(4));
        check(&log, 4, "0.0 1.0 1.1 2.0");
        log.scroll_down(1, &sight(4));
        check(&log, 4, "1.0 1.1 2.0 2.1");
        log.scroll_to_top(&sight(4));
        check(&log, 4, "0.0 1.0 1.1 2.0");
        // What fits has nothing to scroll.
        log.scroll_up(1, &sight(50));
        assert!(log.follows());
    }

    #[test]
    fn a_screen_may_change_its_size_while_it_stands_still() {
        let mut log = log(9);
        log.scroll_up(3, &sight(3));
        check(&log, 3, "6.0 7.0 7.1");
        let wider = Sight {
            height: 3,
            rows_of: |_: &Entry| 1,
        };
        let rows = log.visible(&wider);
        assert_eq!(rows.back(), Some(&Position { entry: 7, row: 0 }));
    }

    #[test]
    fn the_oldest_are_dropped_by_number_and_by_size() {
        let mut log = log(SCROLLBACK);
        log.scroll_to_top(&sight(2));
        for n in 0..100 {
            push(&mut log, n);
        }
        assert_eq!(log.entries.len(), SCROLLBACK);
        check(&log, 2, "100.0 100.1");
        for _ in 0..300 {
            let kind = Kind::Note("x".repeat(64 * 1024));
            log.push(Entry {
                time: NaiveTime::MIN,
                kind,
            });
        }
        assert!(log.octets <= SCROLLBACK_OCTETS);
        assert_eq!(
            log.octets,
            log.entries.iter().map(Entry::octets).sum::<usize>()
        );
    }
}
