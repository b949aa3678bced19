//! Text from programs, made fit to search and safe to print.
//!
//! Two readers, two functions: [`clean`] is for searching (no escape codes, one kind of line end), [`visible`]
//! is for people (nothing a terminal would execute, everything else as it was).

use std::borrow::Cow;
use std::fmt::Write as _;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// `raw` as a person would read it: terminal escape codes and other controls gone, line ends as `\n`.
pub fn clean(raw: &str) -> String {
    let lines = raw.replace("\r\n", "\n").replace('\r', "\n");
    anstream::adapter::strip_str(&lines)
        .to_string()
        .chars()
        .filter(|c| *c == '\n' || *c == '\t' || !c.is_control())
        .collect()
}

/// `text` in lower case with runs of white space as one blank: how texts are compared.
pub fn fold(text: &str) -> String {
    // Two ways to write é are one letter to a person.
    let composed: Cow<'_, str> = match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        _ => Cow::Owned(text.nfc().collect()),
    };
    let mut folded = String::with_capacity(text.len());
    for word in composed.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().flat_map(char::to_lowercase));
    }
    folded
}

/// `text` on one line with everything a terminal or a log would act on escaped (`\n`, `\x1b`, `\u{202e}`).
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            c if c.is_ascii_control() || ('\u{80}'..='\u{9f}').contains(&c) => {
                let _ = write!(shown, "\\x{:02x}", u32::from(c));
            }
            c if is_invisible(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Whether a character takes no place of its own, so that texts with and without it look alike.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}')
}

/// The characters that nobody sees without which `seen` would hold `wanted`; none where that makes no difference.
pub fn unseen_between(wanted: &str, seen: &str) -> Vec<char> {
    let (unseen, rest): (String, String) = seen.chars().partition(|c| is_invisible(*c));
    let differs = !unseen.is_empty() && !fold(seen).contains(&fold(wanted));
    if !differs || !fold(&rest).contains(&fold(wanted)) {
        return Vec::new();
    }
    let mut unseen: Vec<char> = unseen.chars().collect();
    unseen.sort_unstable();
    unseen.dedup();
    unseen
}

/// A line of a log in which no runner of GitHub Actions finds a command: it takes `::error::…` for one behind any blanks, and
/// `##[error]…` anywhere.
pub fn without_command(line: &str) -> String {
    let line = line.replace("##[", "#\\x23[");
    let words = line.trim_start();
    match words.strip_prefix("::") {
        Some(rest) if rest.contains("::") => {
            let blanks = &line[..line.len() - words.len()];
            format!("{blanks}\\x3a:{rest}")
        }
        _ => line,
    }
}

/// A number of things in words: `1 check`, `2 checks`.
pub fn count(number: usize, thing: &str) -> String {
    if number == 1 {
        format!("1 {thing}")
    } else {
        format!("{number} {thing}s")
    }
}

/// At most `limit` characters of `text`, with what was left out said in place.
pub fn shorten(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit).collect();
    format!("{kept}… ({})", count(length - limit, "more character"))
}

/// The end of what a program printed: a few lines, cut where they are too long. Not yet safe to print.
pub fn last_lines(raw: &str) -> String {
    const LINES: usize = 6;
    const WIDTH: usize = 120;
    let text = clean(raw);
    let lines: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
    let left_out = lines.len().saturating_sub(LINES);
    let mut shown: Vec<String> = Vec::new();
    if left_out > 0 {
        shown.push(format!("… ({} before)", count(left_out, "line")));
    }
    shown.extend(lines[left_out..].iter().map(|line| shorten(line, WIDTH)));
    shown.join("\n")
}

/// The last words of a program's output for an error message: safe, bounded, on one line.
pub fn last_words(raw: &str, limit: usize) -> String {
    let text = clean(raw);
    let text = text.trim();
    let length = text.chars().count();
    let tail: String = text.chars().skip(length.saturating_sub(limit)).collect();
    let mark = if length > limit { "…" } else { "" };
    format!("{mark}{}", visible(&tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_codes_and_carriage_returns_do_not_hide_text() {
        assert_eq!(clean("\x1b[32mada\x1b[0m: hi\r\n\x07> "), "ada: hi\n> ");
        assert_eq!(clean("10%\r20%"), "10%\n20%");
    }

    #[test]
    fn nothing_a_terminal_acts_on_is_printed_raw() {
        assert_eq!(
            visible("a\x1b[2Jb\u{202e}c\u{9b}é"),
            "a\\x1b[2Jb\\u{202e}c\\x9bé"
        );
    }

    #[test]
    fn no_line_is_a_workflow_command() {
        #[track_caller]
        fn check(line: &str, expected: &str) {
            assert_eq!(without_command(line), expected);
        }
        check("  ::error title=a::b", "  \\x3a:error title=a::b");
        check("::stop-commands::x", "\\x3a:stop-commands::x");
        check("a ##[add-path]b", "a #\\x23[add-path]b");
        check("::1", "::1");
        check("ada: a::b::c", "ada: a::b::c");
    }

    #[test]
    fn what_was_cut_is_counted() {
        assert_eq!(shorten("héllo", 5), "héllo");
        assert_eq!(shorten("héllo", 2), "hé… (3 more characters)");
        assert_eq!(last_words("one\ntwo\n", 3), "…two");
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_program_prints_is_harmless_when_shown(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let raw = String::from_utf8_lossy(&octets);
            for shown in [visible(&raw), visible(&clean(&raw)), last_words(&raw, 20)] {
                proptest::prop_assert!(!shown.chars().any(char::is_control), "{:?}", shown);
            }
        }
    }
}
