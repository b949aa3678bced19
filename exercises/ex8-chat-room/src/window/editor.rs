//! The input line: text, a cursor, and the keys that change them.
//!
//! The cursor stands between grapheme clusters, never inside one, so that one key moves over what
//! looks like one character. The text may have several lines: a paste often has. Deliberately knows
//! neither keys nor screens, only what a key does and how text falls into rows.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::{printable::printable, window::text::cluster_width};

/// Most octets in the input line: some pages of text.
pub const MAX_DRAFT_LEN: usize = 64 * 1024;

/// What is being typed.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    text: String,
    /// In octets, always at the edge of a grapheme cluster.
    cursor: usize,
    /// What was cut off last, to be put in again.
    cut: String,
}

/// Where a cursor can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One character to the left.
    Left,
    /// One character to the right.
    Right,
    /// The beginning of this word, or of the one before.
    WordLeft,
    /// The end of this word, or of the next.
    WordRight,
    /// The beginning of the line.
    Home,
    /// The end of the line.
    End,
}

impl Editor {
    /// What has been typed so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether nothing has been typed.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes the text out.
    pub fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Puts a text in the place of what is there, the cursor at its end.
    pub fn set(&mut self, text: &str) {
        self.text = text.to_owned();
        self.cursor = self.text.len();
    }

    /// Puts text in at the cursor, as others will see it: a tab becomes four blanks, and what could
    /// act on a terminal is written out. Returns how many octets were left out because the line was
    /// full.
    pub fn insert(&mut self, text: &str) -> usize {
        let mut clean = String::new();
        // Terminals paste `\r` where the text had `\n`.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        for (nth, line) in text.split('\n').enumerate() {
            if nth > 0 {
                clean.push('\n');
            }
            clean += &printable(line.replace('\t', "    ").as_bytes());
        }
        let room = MAX_DRAFT_LEN.saturating_sub(self.text.len());
        let len = clean.floor_char_boundary(room.min(clean.len()));
        self.text.insert_str(self.cursor, &clean[..len]);
        self.cursor += len;
        self.snap();
        clean.len() - len
    }

    /// Moves the cursor.
    pub fn go(&mut self, place: Place) {
        self.cursor = self.find(place);
    }

    /// Deletes from the cursor to a place. What is more than a character is kept for
    /// [`Editor::put_back`].
    pub fn delete(&mut self, place: Place) {
        let place_at = self.find(place);
        let range = self.cursor.min(place_at)..self.cursor.max(place_at);
        if range.is_empty() {
            return;
        }
        self.cursor = range.start;
        let deleted: String = self.text.drain(range).collect();
        if !matches!(place, Place::Left | Place::Right) {
            self.cut = deleted;
        }
        self.snap();
    }

    /// Puts in what was cut off last.
    pub fn put_back(&mut self) {
        let cut = std::mem::take(&mut self.cut);
        self.insert(&cut);
        self.cut = cut;
    }

    /// Moves the cursor a row up or down among rows of so many columns. False: there is no such row.
    pub fn go_rows(&mut self, down: bool, columns: usize) -> bool {
        let rows = self.rows(columns);
        let (row, column) = self.cursor_in(&rows);
        let Some(target) = (if down {
            row.checked_add(1)
        } else {
            row.checked_sub(1)
        }) else {
            return false;
        };
        let Some(range) = rows.get(target) else {
            return false;
        };
        let mut used = 0;
        let before = self.text[range.clone()]
            .graphemes(true)
            .take_while(|cluster| {
                used += cluster_width(cluster);
                used <= column
            });
        let len: usize = before.map(str::len).sum();
        self.cursor = range.start + len;
        // Behind the last character of a full row is the beginning of the next row.
        if len == range.len()
            && rows
                .get(target + 1)
                .is_some_and(|next| next.start == range.end)
        {
            self.cursor = self.find(Place::Left);
        }
        true
    }

    /// How the text falls into rows of so many columns, as ranges of octets. There is always a row, and
    /// in each is a column left for the cursor.
    pub fn rows(&self, columns: usize) -> Vec<Range<usize>> {
        let columns = columns.saturating_sub(1).max(1);
        let mut rows = Vec::new();
        let mut start = 0;
        for line in self.text.split('\n') {
            let end = start + line.len();
            let mut used = 0;
            for (at, cluster) in line.grapheme_indices(true) {
                let at = end - line.len() + at;
                let needed = cluster_width(cluster);
                if used + needed > columns && at > start {
                    rows.push(start..at);
                    (start, used) = (at, 0);
                }
                used += needed;
            }
            rows.push(start..end);
            start = end + 1;
        }
        rows
    }

    /// The cursor's row and column.
    pub fn cursor_in(&self, rows: &[Range<usize>]) -> (usize, usize) {
        let row = rows
            .iter()
            .rposition(|row| row.start <= self.cursor)
            .unwrap_or(0);
        let before = &self.text[rows[row].start..self.cursor];
        (row, before.graphemes(true).map(cluster_width).sum())
    }

    fn find(&self, place: Place) -> usize {
        let (before, after) = self.text.split_at(self.cursor);
        let is_word = |word: &str| word.contains(char::is_alphanumeric);
        match place {
            Place::Left => before
                .grapheme_indices(true)
                .next_back()
                .map_or(0, |(at, _)| at),
            Place::Right => self.cursor + after.graphemes(true).next().map_or(0, str::len),
            Place::WordLeft => {
                let mut words = before.split_word_bound_indices().rev();
                words
                    .find(|(_, word)| is_word(word))
                    .map_or(0, |(at, _)| at)
            }
            Place::WordRight => {
                let mut words = after.split_word_bound_indices();
                let word = words.find(|(_, word)| is_word(word));
                word.map_or(self.text.len(), |(at, word)| self.cursor + at + word.len())
            }
            Place::Home => before.rfind('\n').map_or(0, |at| at + 1),
            Place::End => after
                .find('\n')
                .map_or(self.text.len(), |at| self.cursor + at),
        }
    }

    /// What was put in or taken out may have made one cluster of two, with the cursor in it.
    fn snap(&mut self) {
        let neighbours = [
            self.text[..self.cursor].chars().next_back(),
            self.text[self.cursor..].chars().next(),
        ];
        if neighbours.iter().flatten().all(char::is_ascii) {
            return;
        }
        let mut edges = self.text.grapheme_indices(true).map(|(at, _)| at);
        self.cursor = edges
            .find(|&at| at >= self.cursor)
            .unwrap_or(self.text.len());
    }
}

/// What was sent before, to be sent again.
#[derive(Clone, Debug, Default)]
pub struct History {
    texts: Vec<String>,
    /// The one in the input line, and what stood there before.
    shown: Option<(usize, String)>,
}

/// So many texts are remembered.
pub const HISTORY_LEN: usize = 100;

impl History {
    /// Remembers a text.
    pub fn push(&mut self, text: String) {
        self.shown = None;
        if self.texts.last() == Some(&text) {
            return;
        }
        if self.texts.len() == HISTORY_LEN {
            self.texts.remove(0);
        }
        self.texts.push(text);
    }

    /// Puts the one before into the input line.
    pub fn back(&mut self, editor: &mut Editor) {
        let at = self.shown.as_ref().map_or(self.texts.len(), |(at, _)| *at);
        let Some(before) = at.checked_sub(1) else {
            return;
        };
        let draft = match self.shown.take() {
            Some((_, draft)) => draft,
            None => editor.text().to_owned(),
        };
        editor.set(&self.texts[before]);
        self.shown = Some((before, draft));
    }

    /// Puts the next one into the input line, and after the last what had been there.
    pub fn forth(&mut self, editor: &mut Editor) {
        let Some((at, draft)) = self.shown.take() else {
            return;
        };
        match self.texts.get(at + 1) {
            Some(next) => {
                editor.set(next);
                self.shown = Some((at + 1, draft));
            }
            None => editor.set(&draft),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `|` is the cursor.
    fn editor(text: &str) -> Editor {
        let (before, after) = text.split_once('|').expect("a cursor");
        Editor {
            text: format!("{before}{after}"),
            cursor: before.len(),
            cut: String::new(),
        }
    }

    #[track_caller]
    fn check(before: &str, change: impl FnOnce(&mut Editor), after: &str) {
        let mut editor = editor(before);
        change(&mut editor);
        let (left, right) = editor.text.split_at(editor.cursor);
        assert_eq!(format!("{left}|{right}"), after);
    }

    #[test]
    fn the_cursor_moves_over_what_looks_like_one_character() {
        check("xe\u{301}|", |e| e.go(Place::Left), "x|e\u{301}");
        check("|👩\u{200d}💻y", |e| e.go(Place::Right), "👩\u{200d}💻|y");
        check("|", |e| e.go(Place::Left), "|");
        check("a|", |e| e.go(Place::Right), "a|");
        check("你好|", |e| e.delete(Place::Left), "你|");
        check("|e\u{301}x", |e| e.delete(Place::Right), "|x");
    }

    #[test]
    fn words_and_lines_are_jumped_over() {
        check("one, two |", |e| e.go(Place::WordLeft), "one, |two ");
        check("on|e, two", |e| e.go(Place::WordRight), "one|, two");
        check("one|, two", |e| e.go(Place::WordRight), "one, two|");
        check("a\nb|c", |e| e.go(Place::Home), "a\n|bc");
        check("a|b\nc", |e| e.go(Place::End), "ab|\nc");
        check("één twéé|", |e| e.delete(Place::WordLeft), "één |");
    }

    #[test]
    fn what_was_cut_off_can_be_put_back() {
        check(
            "one |two",
            |e| {
                e.delete(Place::End);
                e.go(Place::Home);
                e.put_back();
                e.put_back();
            },
            "twotwo|one ",
        );
    }

    #[test]
    fn what_is_put_in_is_what_others_will_see() {
        let put = |text: &'static str| move |e: &mut Editor| assert_eq!(e.insert(text), 0);
        check("a|b", put("é"), "aé|b");
        check("|", put("\tx\r\ny\rz"), "    x\ny\nz|");
        check("|", put("\x1b[2J\u{202e}"), "\\x1b[2J\\u{202e}|");
        // The accent joins the letter before it, and the cursor does not stay between them.
        check("|\u{301}", put("e"), "e\u{301}|");
    }

    #[test]
    fn a_line_has_a_limit() {
        let mut editor = Editor::default();
        assert_eq!(editor.insert(&"é".repeat(MAX_DRAFT_LEN)), MAX_DRAFT_LEN);
        assert_eq!(editor.insert("x"), 1);
        assert_eq!(editor.text.len(), MAX_DRAFT_LEN);
    }

    #[test]
    fn rows_leave_a_column_for_the_cursor() {
        let check = |text: &str, rows: &[&str], cursor| {
            let editor = editor(text);
            let ranges = editor.rows(4);
            let shown: Vec<_> = ranges.iter().map(|row| &editor.text[row.clone()]).collect();
            assert_eq!(
                (shown.as_slice(), editor.cursor_in(&ranges)),
                (rows, cursor),
                "{text}"
            );
        };
        check("|", &[""], (0, 0));
        check("abc|", &["abc"], (0, 3));
        check("abc|d", &["abc", "d"], (1, 0));
        check("你好|", &["你", "好"], (1, 2));
        check("ab\n|\nc", &["ab", "", "c"], (1, 0));
        check("ab|\n", &["ab", ""], (0, 2));
    }

    #[test]
    fn rows_are_walked_through_in_the_same_column() {
        let down = |e: &mut Editor| assert!(e.go_rows(true, 40));
        check("ab|c\nd\nefg", down, "abc\nd|\nefg");
        check("abc|\n你好", down, "abc\n你|好");
        check("a|bc", |e| assert!(!e.go_rows(true, 40)), "a|bc");
        check("abc\nd|", |e| assert!(e.go_rows(false, 40)), "a|bc\nd");
        // Rows of three columns: behind the c stands the d.
        check("abcdef|", |e| assert!(e.go_rows(false, 4)), "ab|cdef");
    }

    #[test]
    fn history_goes_back_and_returns_to_the_draft() {
        let (mut history, mut editor) = (History::default(), Editor::default());
        for text in ["one", "two", "two"] {
            history.push(text.to_owned());
        }
        editor.set("dra");
        let mut seen = Vec::new();
        for back in [true, true, true, false, false, false] {
            if back {
                history.back(&mut editor);
            } else {
                history.forth(&mut editor);
            }
            seen.push(editor.text().to_owned());
        }
        assert_eq!(seen, ["two", "one", "one", "two", "dra", "dra"]);
    }

    proptest! {
        #[test]
        fn the_cursor_always_stands_between_clusters_and_inside_the_rows(
            steps in prop::collection::vec((0..14_u8, "[a \n你é\u{301}\u{200d}😀🇦]{0,4}"), 0..40),
            columns in 0_usize..12,
        ) {
            use Place::*;
            let mut editor = Editor::default();
            for (step, text) in steps {
                let place = [Left, Right, WordLeft, WordRight, Home, End][usize::from(step) % 6];
                match step {
                    0..6 => editor.go(place),
                    6..9 => editor.delete(place),
                    9 => editor.put_back(),
                    10 => drop(editor.go_rows(true, columns)),
                    11 => drop(editor.go_rows(false, columns)),
                    _ => drop(editor.insert(&text)),
                }
                let edge = editor.cursor == editor.text.len()
                    || editor.text.grapheme_indices(true).any(|(at, _)| at == editor.cursor);
                prop_assert!(edge, "{:?} {}", editor.text, editor.cursor);
                let rows = editor.rows(columns);
                let (row, column) = editor.cursor_in(&rows);
                prop_assert!(row < rows.len());
                prop_assert!(columns < 3 || column < columns);
            }
        }
    }
}
