//! Numbers on a screen: `54`, `54.0`, `54.000000`, `OK 54`, `12 + 42 = 54`, `-.75`, `−0.75`, `1e2`.
//!
//! Any number of the new text may be the answer, not only the last: prompts with examples and timestamps
//! follow answers in real programs. Scenarios therefore use expressions whose answer is not among their
//! operands and differs from every other answer of the scenario, so a stale or echoed one never fits.

use regex::Regex;
use std::sync::LazyLock;

/// Answers may be rounded to two decimals: nothing a person would call wrong is refused.
const TOLERANCE: f64 = 0.0051;

/// Whether a number equal to `wanted` stands in `text`.
pub fn contains(text: &str, wanted: f64) -> bool {
    readings(text).any(|number| (number - wanted).abs() <= TOLERANCE)
}

/// Every number in `text`, in every way it can be read: a comma may be a decimal point, and a hyphen a sign.
fn readings(text: &str) -> impl Iterator<Item = f64> {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?P<size>(?:\d+(?:[.,]\d*)?|\.\d+)(?:[eE][-+]?\d+)?)")
            .expect("a valid pattern")
    });
    let mut from = 0;
    let found = std::iter::from_fn(move || {
        let mut found = NUMBER.find_at(text, from)?;
        // The last of the dots in `...54`, or that of `answer.54`, ends what stands before.
        let joins = |c: char| c == '.' || c.is_alphabetic();
        if found.as_str().starts_with('.') && text[..found.start()].ends_with(joins) {
            found = NUMBER.find_at(text, found.start() + 1)?;
        }
        from = found.end();
        Some(found)
    });
    found.flat_map(|found| {
        let before = &text[..found.start()];
        let sign = sign(before);
        let written = found.as_str();
        let sizes = [
            written.replace(',', "."),
            written.split(',').next().unwrap_or_default().to_owned(),
        ];
        let sizes = sizes
            .into_iter()
            .filter_map(|size| size.trim_end_matches('.').parse::<f64>().ok());
        let readings = sizes.flat_map(move |size| match sign {
            Sign::None => [size, size],
            Sign::Minus => [-size, -size],
            Sign::Unclear => [-size, size],
        });
        readings.collect::<Vec<f64>>()
    })
}

#[derive(Clone, Copy)]
enum Sign {
    None,
    Minus,
    /// A hyphen that may be a separator: `ANSWER-54`, `- 54`.
    Unclear,
}

/// The sign that stands before a number.
fn sign(before: &str) -> Sign {
    const MINUS: [char; 2] = ['-', '\u{2212}'];
    if before.to_lowercase().trim_end().ends_with("minus") {
        return Sign::Minus;
    }
    let Some(rest) = before.trim_end().strip_suffix(MINUS) else {
        return Sign::None;
    };
    let apart = before.ends_with(char::is_whitespace);
    match rest.trim_end().chars().next_back() {
        // Between two numbers it is an operation.
        Some(c) if c.is_ascii_digit() || c == ')' => Sign::None,
        Some(c) if c.is_alphabetic() && !rest.ends_with(char::is_whitespace) => Sign::Unclear,
        _ if apart => Sign::Unclear,
        _ => Sign::Minus,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: f64, expected: bool) {
        assert_eq!(contains(text, wanted), expected, "{wanted} in {text:?}");
    }

    #[test]
    fn a_right_answer_is_found_however_it_is_written() {
        for text in [
            "54",
            "54.0",
            "54.00",
            "54.000000",
            "Result: 54.0",
            "OK 54.000000",
            "200 54",
            "[Server] : 54",
            "12 + 42 = 54",
            "54.",
            "...54.0",
            "answer.54",
            "5.4e1",
            "Result=54\nEnter two numbers, e.g. 12 + 42: ",
            "{\"result\": 54.0}",
        ] {
            check(text, 54.0, true);
        }
        for text in [
            "-0.75",
            "-.75",
            "\u{2212}0.75",
            "4.5 / -6 = -0.750000",
            "=-0.75",
            "Result:-0.75",
        ] {
            check(text, -0.75, true);
        }
        check("145.800003", 145.8, true);
    }

    #[test]
    fn a_wrong_answer_is_not_found() {
        for text in [
            "-1454", "0", "error", "12 + 42", "-54", "540", "54321", "", "45",
        ] {
            check(text, 54.0, false);
        }
        check("0.75", -0.75, false);
        check("0", -0.75, false);
        check("-1", -0.75, false);
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_found_in_any_common_form(cents in -99_999_i32..=99_999, before in "[a-zA-Z :=>]{0,12}", after in "[ a-z>:\n]{0,8}") {
            let wanted = f64::from(cents) / 100.0;
            for shown in [format!("{wanted}"), format!("{wanted:.2}"), format!("{wanted:.6}"), format!("{wanted:+.3}")] {
                // A letter that touches the sign makes it a hyphen.
                let text = format!("{before} {shown}{after}");
                proptest::prop_assert!(contains(&text, wanted), "{} in {:?}", wanted, text);
            }
        }

        #[test]
        fn any_text_is_searched_without_harm(text in "\\PC*", wanted in proptest::num::f64::NORMAL) {
            contains(&text, wanted);
        }
    }
}
