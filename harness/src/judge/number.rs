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
    numbers(text).any(|number| (number - wanted).abs() <= TOLERANCE)
}

/// Every number in `text`, in order. A sign belongs to a number when it touches it and nothing touches the
/// sign from the left.
fn numbers(text: &str) -> impl Iterator<Item = f64> {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?P<sign>[-+\u{2212}])?(?P<size>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)")
            .expect("a valid pattern")
    });
    NUMBER.captures_iter(text).filter_map(|found| {
        let size: f64 = found["size"].trim_end_matches('.').parse().ok()?;
        let negative = found.name("sign").is_some_and(|sign| {
            let touched = text[..sign.start()]
                .chars()
                .next_back()
                .is_some_and(char::is_alphanumeric);
            sign.as_str() != "+" && !touched
        });
        Some(if negative { -size } else { size })
    })
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
