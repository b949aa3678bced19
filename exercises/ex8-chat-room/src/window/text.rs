//! Text in columns: how wide it is, and where it breaks into rows.
//!
//! A reader sees characters as Unicode's *grapheme clusters*: `é` may be two code points in one column,
//! `你` is one in two. So nothing here counts octets or code points. Deliberately asks no terminal how wide
//! it draws something: the widths are those of Unicode, which most terminals follow.

use std::{borrow::Cow, ops::Range};

use ratatui::buffer::CellWidth;
use unicode_segmentation::UnicodeSegmentation;

/// Most code points in one cluster: a family of emoji with skin tones has ten. Without a limit a
/// single column could be stacked with thousands of accents.
const MAX_CLUSTER_LEN: usize = 12;

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(cluster_width).sum()
}

/// Columns that one grapheme cluster takes.
pub fn cluster_width(cluster: &str) -> usize {
    // Control characters do not come here, but must do no harm if they did.
    if cluster.contains(char::is_control) {
        return 0;
    }
    usize::from(cluster.cell_width())
}

/// As much of the beginning as fits into so many columns; what is cut off is told by `…`.
pub fn clip(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let mut used = 0;
    let fits = text.graphemes(true).take_while(|cluster| {
        used += cluster_width(cluster);
        used <= room
    });
    let len = fits.map(str::len).sum();
    Cow::Owned(format!("{}…", &text[..len]))
}

/// The text with overlong grapheme clusters cut short.
pub fn tamed(text: String) -> String {
    let wild = |cluster: &str| {
        cluster.len() > MAX_CLUSTER_LEN && cluster.chars().count() > MAX_CLUSTER_LEN
    };
    if text.is_ascii() || !text.graphemes(true).any(wild) {
        return text;
    }
    text.graphemes(true)
        .flat_map(|cluster| cluster.chars().take(MAX_CLUSTER_LEN))
        .collect()
}

/// Breaks a text into rows of so many columns: at blanks where possible, within a word where not. The
/// blank at a break belongs to neither row. There is always at least one row.
pub fn wrap(text: &str, columns: usize) -> Vec<Range<usize>> {
    let mut rows = Vec::new();
    let (mut start, mut used) = (0, 0);
    // Behind the last blank of this row: where that is, and how many columns lie before it.
    let mut after_blank = None;
    'clusters: for (at, cluster) in text.grapheme_indices(true) {
        let columns_needed = cluster_width(cluster);
        // Twice, where a wide character does not fit behind the word it belongs to either.
        while used + columns_needed > columns && at > start {
            if cluster == " " {
                rows.push(start..at);
                (start, used, after_blank) = (at + 1, 0, None);
                continue 'clusters;
            }
            if let Some((next, columns_before)) = after_blank.take() {
                rows.push(start..next - 1);
                (start, used) = (next, used - columns_before);
            } else {
                rows.push(start..at);
                (start, used) = (at, 0);
            }
        }
        used += columns_needed;
        if cluster == " " {
            after_blank = Some((at + 1, used));
        }
    }
    if start < text.len() || rows.is_empty() {
        rows.push(start..text.len());
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_rows(text: &str, columns: usize, expected: &[&str]) {
        let rows: Vec<_> = wrap(text, columns)
            .into_iter()
            .map(|row| &text[row])
            .collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn rows_break_at_blanks() {
        check_rows("", 5, &[""]);
        check_rows("one two three", 7, &["one two", "three"]);
        check_rows("one two three", 8, &["one two", "three"]);
        check_rows("one two three", 3, &["one", "two", "thr", "ee"]);
        check_rows("a  b", 2, &["a ", "b"]);
        check_rows("end ", 3, &["end"]);
    }

    #[test]
    fn a_long_word_breaks_between_characters() {
        check_rows("abcdefg", 3, &["abc", "def", "g"]);
        check_rows("x abcdefg", 4, &["x", "abcd", "efg"]);
        check_rows("你好你好", 5, &["你好", "你好"]);
        check_rows(
            "e\u{301}e\u{301}e\u{301}",
            2,
            &["e\u{301}e\u{301}", "e\u{301}"],
        );
        check_rows("你", 1, &["你"]);
    }

    #[test]
    fn columns_are_counted_as_a_terminal_does() {
        for (text, columns) in [
            ("Ada", 3),
            ("e\u{301}", 1),
            ("你好", 4),
            ("👩\u{200d}💻", 2),
            ("", 0),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
        assert_eq!(clip("你好你好", 5), "你好…");
        assert_eq!(clip("Ada", 3), "Ada");
        assert_eq!(clip("Ada", 0), "");
    }

    #[test]
    fn no_column_is_stacked_without_limit() {
        let stacked = format!("a{}b", "\u{301}".repeat(1000));
        assert_eq!(
            tamed(stacked),
            format!("a{}b", "\u{301}".repeat(MAX_CLUSTER_LEN - 1))
        );
        let family = "👩🏽\u{200d}👩🏽\u{200d}👧🏽\u{200d}👦🏽".to_owned();
        assert_eq!(tamed(family.clone()), family);
    }

    proptest! {
        #[test]
        fn rows_fit_and_lose_nothing_but_blanks(text in "[ ab你é\u{301}😀]*", columns in 2_usize..9) {
            let mut last = 0;
            for row in wrap(&text, columns) {
                prop_assert!(text[last..row.start].chars().all(|c| c == ' '));
                prop_assert!(width(&text[row.clone()]) <= columns);
                last = row.end;
            }
            prop_assert!(text[last..].chars().all(|c| c == ' '));
        }
    }
}
