//! Times and dates on a screen, in every form a programmer might print them.
//!
//! Fairness rules: any order of day, month and year, numeric or by name, two- or four-digit years; 24- or
//! 12-hour clock; any time zone. A month in another language is any word in its place.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, Timelike, Utc};
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// By how many seconds a shown time may differ from the clock when it was shown.
pub const TOLERANCE_SECONDS: i64 = 2;

const QUARTER_HOUR: i64 = 15 * 60;

/// A time of day in seconds since midnight, as shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShownTime(pub i64);

/// Every `HH:MM:SS` in a line.
pub fn times(line: &str) -> Vec<ShownTime> {
    static TIME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(\d{1,2}):(\d{2}):(\d{2})").expect("a valid pattern"));
    TIME.captures_iter(line)
        .filter(|found| {
            let whole = found.get(0).expect("group 0 is the match");
            let before = line[..whole.start()].chars().next_back();
            let after = line[whole.end()..].chars().next();
            !before.is_some_and(|c| c.is_ascii_digit() || c == ':')
                && !after.is_some_and(|c| c.is_ascii_digit() || c == ':')
        })
        .filter_map(|found| {
            let field = |i: usize| found[i].parse::<i64>().ok();
            let (hours, minutes, seconds) = (field(1)?, field(2)?, field(3)?);
            // A leap second may be shown as 60.
            (hours < 24 && minutes < 60 && seconds <= 60)
                .then_some(ShownTime(hours * 3600 + minutes * 60 + seconds))
        })
        .collect()
}

/// Whether a shown time is the time of `now`, on a 24- or 12-hour clock, in any time zone that there is: all are
/// whole quarters of an hour apart.
pub fn is_present(shown: ShownTime, now: DateTime<FixedOffset>) -> bool {
    let clock = i64::from(now.with_timezone(&Utc).time().num_seconds_from_midnight());
    let apart = (shown.0 - clock).rem_euclid(QUARTER_HOUR);
    apart.min(QUARTER_HOUR - apart) <= TOLERANCE_SECONDS
}

/// Whether a line shows the date of `now` (or of a moment ago, at midnight), local or UTC.
pub fn shows_today(line: &str, now: DateTime<FixedOffset>) -> bool {
    let earlier = now - chrono::Duration::seconds(TOLERANCE_SECONDS);
    [now, earlier].iter().any(|moment| {
        shows_date(line, moment.date_naive())
            || shows_date(line, moment.with_timezone(&Utc).date_naive())
    })
}

/// Whether a line has the shape of a date at all: a full date of any day.
pub fn looks_like_date(line: &str) -> bool {
    let tokens = tokens(&without_times(line));
    let numbers = tokens
        .iter()
        .filter(|token| matches!(token, Token::Number(..)))
        .count();
    let named = tokens
        .iter()
        .any(|token| matches!(token, Token::Word(word) if month_of(word).is_some()));
    tokens
        .windows(3)
        .any(|three| three.iter().all(|t| matches!(t, Token::Number(..))))
        || (named && numbers >= 2)
        || tokens
            .iter()
            .any(|t| matches!(t, Token::Number(digits, _) if digits.len() == 8))
}

/// Whether a line shows this date.
fn shows_date(line: &str, date: NaiveDate) -> bool {
    let tokens = tokens(&without_times(line));
    let (day, month, year) = (date.day(), date.month(), date.year());
    let compact = [
        format!("{year:04}{month:02}{day:02}"),
        format!("{day:02}{month:02}{year:04}"),
        format!("{month:02}{day:02}{year:04}"),
        format!("{:02}{month:02}{day:02}", year % 100),
        format!("{day:02}{month:02}{:02}", year % 100),
    ];
    if tokens
        .iter()
        .any(|token| matches!(token, Token::Number(digits, _) if compact.contains(digits)))
    {
        return true;
    }
    // Weekday and time zone may stand between the parts: `Sun Nov 22 UTC 2026`.
    const SPAN: usize = 8;
    (0..tokens.len()).any(|start| {
        let window = &tokens[start..tokens.len().min(start + SPAN)];
        has_parts(window, day, month, year)
    })
}

/// Whether day, month and year are three different tokens of the window. Of a date in numbers they are all three:
/// `Answer: 22/10/2026` has no month called Answer.
fn has_parts(window: &[Token], day: u32, month: u32, year: i32) -> bool {
    let is_number = |token: &Token, wanted: i64| matches!(token, Token::Number(digits, _) if digits.len() <= 4 && digits.parse() == Ok(wanted));
    let is_year = |t: &Token| {
        is_number(t, i64::from(year))
            || matches!(t, Token::Number(digits, _) if digits.len() == 2 && digits.parse() == Ok(year % 100))
    };
    let is_month = |t: &Token| match t {
        Token::Number(..) => is_number(t, i64::from(month)),
        Token::Word(word) => match month_of(word) {
            Some(named) => named == month,
            None => word.chars().count() >= 3 && !is_weekday_or_zone(word),
        },
    };
    let places = 0..window.len();
    places.clone().any(|d| {
        is_number(&window[d], i64::from(day))
            && places.clone().any(|m| {
                m != d
                    && is_month(&window[m])
                    && places.clone().any(|y| {
                        y != d
                            && y != m
                            && is_year(&window[y])
                            && of_one_date(&window[d], &window[m], &window[y])
                    })
            })
    })
}

/// Whether the three may be parts of the same date.
fn of_one_date(day: &Token, month: &Token, year: &Token) -> bool {
    let date = |token: &Token| match token {
        Token::Number(_, date) => *date,
        Token::Word(_) => None,
    };
    date(day) == date(month) && date(month) == date(year)
}

enum Token {
    /// Digits, and which of the dates in numbers they belong to (`22/11/2026`), if to any.
    Number(String, Option<usize>),
    Word(String),
}

/// Runs of ASCII digits and runs of letters; everything else separates.
fn tokens(line: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut open = false;
    let mut dates = dates_in_numbers(line).peekable();
    for (at, c) in line.char_indices() {
        match tokens.last_mut() {
            Some(Token::Number(digits, _)) if open && c.is_ascii_digit() => digits.push(c),
            Some(Token::Word(word)) if open && c.is_alphabetic() => word.push(c),
            _ if c.is_ascii_digit() => {
                while dates.next_if(|date| date.end <= at).is_some() {}
                let date = dates.peek().filter(|date| date.start <= at);
                tokens.push(Token::Number(c.to_string(), date.map(|date| date.start)));
            }
            _ if c.is_alphabetic() => tokens.push(Token::Word(c.to_string())),
            _ => {
                open = false;
                continue;
            }
        }
        open = true;
    }
    tokens
}

/// Where dates in numbers stand: three of them, and no fourth as in an address, with one sign between each two.
fn dates_in_numbers(line: &str) -> impl Iterator<Item = Range<usize>> {
    static JOINED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\d+(?:[-/.]\d+)+").expect("a valid pattern"));
    JOINED
        .find_iter(line)
        .filter(|found| found.as_str().split(['-', '/', '.']).count() == 3)
        .map(|found| found.range())
}

/// `line` with every clock time (`14:47`, `14:47:29.123`) blanked.
pub fn without_times(line: &str) -> String {
    static TIME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?").expect("a valid pattern"));
    TIME.replace_all(line, " ").into_owned()
}

fn month_of(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.to_lowercase();
    MONTHS
        .iter()
        .position(|month| {
            word.len() >= 3 && month.starts_with(&word) || word == "sept" && *month == "september"
        })
        .and_then(|index| u32::try_from(index + 1).ok())
}

fn is_weekday_or_zone(word: &str) -> bool {
    const DAYS: [&str; 7] = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    let lower = word.to_lowercase();
    DAYS.iter().any(|day| day.starts_with(&lower))
        || ["utc", "gmt", "date", "today"].contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<FixedOffset> {
        DateTime::parse_from_rfc3339("2026-11-22T14:47:29.900+01:00").expect("a valid time")
    }

    #[track_caller]
    fn check_today(line: &str, expected: bool) {
        assert_eq!(shows_today(line, now()), expected, "{line:?}");
    }

    #[test]
    fn todays_date_is_recognised_in_every_common_form() {
        for line in [
            "2026-11-22",
            "22-11-2026",
            "22/11/2026",
            "11/22/26",
            "11/22/2026",
            "22.11.2026",
            "Date: 22nd of November, 2026",
            "Sun Nov 22 14:47:29 2026",
            "Sun Nov 22 14:47:29 UTC 2026",
            "2026-11-22T14:47:29.123456",
            "Today is Sunday, November 22, 2026",
            "22 novembre 2026",
            "20261122",
            "2026年11月22日",
            "{\"date\": \"2026-11-22\"}",
            "127.0.0.1:20001 answered 2026/11/22",
            "192.168.0.1: 22 novembre 2026",
            "answer: 22-novembre-2026",
            "7. 22/11/2026",
        ] {
            check_today(line, true);
        }
    }

    #[test]
    fn another_date_or_none_is_not_today() {
        for line in [
            "2026-11-21",
            "22-10-2026",
            "Sat Oct 22 2026",
            "22 November 2025",
            "14:47:29",
            "11 22",
            "error 20261121",
            "answer: 22/10/2026",
            "answer: 22/10/2026 answer: 22/10/2026",
            "22/11/126 22/11/126",
        ] {
            check_today(line, false);
        }
    }

    #[track_caller]
    fn check_present(line: &str, expected: bool) {
        assert_eq!(
            times(line).iter().any(|shown| is_present(*shown, now())),
            expected,
            "{line:?}"
        );
    }

    #[test]
    fn the_present_time_is_recognised_in_any_time_zone_and_on_a_twelve_hour_clock() {
        for line in [
            "14:47:29",
            "13:47:30",
            "19:17:29",
            "02:47:28 PM",
            "2:47:29",
            "Time: 14:47:31.",
            "2026-11-22 14:47:27.1234",
        ] {
            check_present(line, true);
        }
    }

    #[test]
    fn a_time_more_than_two_seconds_off_is_not_the_present() {
        for line in [
            "14:47:26",
            "14:47:32",
            "15:52:29",
            "14:47",
            "1:14:47:29",
            "14:47:290",
        ] {
            check_present(line, false);
        }
    }

    #[test]
    fn a_date_of_any_day_looks_like_a_date() {
        for line in ["2025-01-02", "Jan 2 2025", "20250102"] {
            assert!(looks_like_date(line), "{line:?}");
        }
        for line in ["hello", "request 3", "14:47:29"] {
            assert!(!looks_like_date(line), "{line:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_day_is_recognised_in_every_common_form(seconds in 0_i64..4_102_444_800) {
            let now = DateTime::<Utc>::from_timestamp(seconds, 0).expect("a moment before 2100").fixed_offset();
            for form in ["%Y-%m-%d", "%d-%m-%Y", "%m/%d/%y", "%d.%m.%Y", "%e %B %Y", "%a %b %e %H:%M:%S %Y", "%Y%m%d"] {
                let shown = format!("Server says: {}", now.format(form));
                proptest::prop_assert!(shows_today(&shown, now), "{:?}", shown);
                proptest::prop_assert!(looks_like_date(&shown), "{:?}", shown);
            }
            let shown = now.format("%H:%M:%S").to_string();
            proptest::prop_assert!(times(&shown).iter().any(|time| is_present(*time, now)), "{:?}", shown);
        }

        #[test]
        fn any_line_is_searched_without_harm(line in "\\PC*") {
            times(&line);
            looks_like_date(&line);
            shows_today(&line, now());
        }
    }
}
