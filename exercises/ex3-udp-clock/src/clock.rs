//! The protocol: two requests, their answers, and when an answer is right.
//!
//! Everything here is a function of octets and of the time given to it;
//! nothing reads a clock, so every test chooses its own moment.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime};

/// Today's date as ISO 8601 writes it, `2026-11-22`.
const DATE_FORMAT: &str = "%Y-%m-%d";

/// The time of day, `09:05:00`.
const TIME_FORMAT: &str = "%H:%M:%S";

/// What a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `SEND_DATE`: today's date.
    Date,
    /// `SEND_TIME`: the time of day.
    Time,
}

impl Request {
    /// Reads a request; blanks and line ends around it are forgiven, so that
    /// `nc -u` can be used to try the server. Capitals matter.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        match octets.trim_ascii() {
            b"SEND_DATE" => Some(Self::Date),
            b"SEND_TIME" => Some(Self::Time),
            _ => None,
        }
    }

    /// The octets on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Date => "SEND_DATE",
            Self::Time => "SEND_TIME",
        }
    }

    /// The shape of the answer, for people.
    pub fn shape(self) -> &'static str {
        match self {
            Self::Date => "YYYY-MM-DD",
            Self::Time => "HH:MM:SS",
        }
    }

    /// Whether these octets can be an answer to this request: a real date or
    /// time, written exactly as [`reply`] writes it.
    pub fn accepts(self, answer: &[u8]) -> bool {
        let Ok(answer) = str::from_utf8(answer) else {
            return false;
        };
        // chrono also reads `9:5:0`; comparing with what it writes does not.
        match self {
            Self::Date => NaiveDate::parse_from_str(answer, DATE_FORMAT)
                .is_ok_and(|date| date.format(DATE_FORMAT).to_string() == answer),
            Self::Time => NaiveTime::parse_from_str(answer, TIME_FORMAT)
                .is_ok_and(|time| time.format(TIME_FORMAT).to_string() == answer),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The answer to a request at the local time `now`; `None`, silence, for
/// anything that is no request.
///
/// ```
/// use chrono::NaiveDate;
/// use ex3_udp_clock::clock::reply;
/// let now = NaiveDate::from_ymd_opt(2026, 11, 22)
///     .and_then(|day| day.and_hms_opt(9, 5, 0))
///     .expect("a date and a time that exist");
/// assert_eq!(reply(b"SEND_DATE", now).as_deref(), Some("2026-11-22"));
/// assert_eq!(reply(b"SEND_TIME", now).as_deref(), Some("09:05:00"));
/// assert_eq!(reply(b"SEND_MONEY", now), None);
/// ```
pub fn reply(request: &[u8], now: NaiveDateTime) -> Option<String> {
    let request = Request::parse(request)?;
    Some(Face::at(now).answer(request).to_owned())
}

/// What the clock shows at one moment: both answers, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Face {
    date: String,
    time: String,
}

impl Face {
    /// The clock's face at a local time.
    pub fn at(now: NaiveDateTime) -> Self {
        Self {
            date: now.format(DATE_FORMAT).to_string(),
            time: now.format(TIME_FORMAT).to_string(),
        }
    }

    /// The clock's face in this computer's time zone.
    pub fn local(now: SystemTime) -> Self {
        Self::at(DateTime::<Local>::from(now).naive_local())
    }

    /// The answer to a request.
    pub fn answer(&self, request: Request) -> &str {
        match request {
            Request::Date => &self.date,
            Request::Time => &self.time,
        }
    }
}

/// A face that is drawn anew only when the second has changed: thousands of
/// requests a second share one formatting.
#[derive(Debug)]
pub struct Watch<F> {
    draw: F,
    drawn: Option<(i64, Face)>,
}

impl<F: FnMut(SystemTime) -> Face> Watch<F> {
    /// A watch whose face is made by `draw`, such as [`Face::local`].
    pub fn new(draw: F) -> Self {
        Self { draw, drawn: None }
    }

    /// The face for `now`. It cannot be stale: time zones change their offset
    /// only between two seconds, and a clock set back is a change as well.
    pub fn face(&mut self, now: SystemTime) -> &Face {
        let second = unix_second(now);
        match &mut self.drawn {
            Some((drawn, _)) if *drawn == second => {}
            drawn => *drawn = Some((second, (self.draw)(now))),
        }
        let (_, face) = self.drawn.as_ref().expect("drawn just now or before");
        face
    }
}

/// Whole seconds since 1970, rounded down, before it too.
fn unix_second(now: SystemTime) -> i64 {
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    match now.duration_since(UNIX_EPOCH) {
        Ok(after) => signed(after.as_secs()),
        Err(before) => {
            let before = before.duration();
            -signed(before.as_secs()) - i64::from(before.subsec_nanos() > 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn moment(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect("a good moment")
    }

    #[track_caller]
    fn check_reply(request: &[u8], now: &str, expected: Option<&str>) {
        assert_eq!(
            reply(request, moment(now)).as_deref(),
            expected,
            "{request:?}"
        );
    }

    #[track_caller]
    fn check_accepts(request: Request, answer: &[u8], expected: bool) {
        assert_eq!(request.accepts(answer), expected, "{answer:?}");
    }

    #[test]
    fn date_and_time_are_padded_with_zeros() {
        check_reply(b"SEND_DATE", "2026-01-02 03:04:05", Some("2026-01-02"));
        check_reply(b"SEND_TIME", "2026-01-02 03:04:05", Some("03:04:05"));
        check_reply(b"SEND_TIME", "2026-12-31 23:59:59", Some("23:59:59"));
        check_reply(b"SEND_TIME", "2027-01-01 00:00:00", Some("00:00:00"));
    }

    #[test]
    fn a_line_end_after_the_request_is_forgiven() {
        check_reply(b" SEND_DATE\r\n", "2028-02-29 00:00:00", Some("2028-02-29"));
    }

    #[test]
    fn anything_else_is_met_with_silence() {
        for request in [
            &b""[..],
            b"send_time",
            b"SEND_TIMES",
            b"SEND_TIME SEND_DATE",
            b"SEND_TIME\0",
            b"\xff",
            b"12:00:00",
        ] {
            check_reply(request, "2026-01-01 00:00:00", None);
        }
    }

    #[test]
    fn an_answer_must_have_the_shape_asked_for() {
        check_accepts(Request::Time, b"12:34:56", true);
        check_accepts(Request::Date, b"2026-11-22", true);
        check_accepts(Request::Date, b"12:34:56", false);
        check_accepts(Request::Time, b"2026-11-22", false);
        check_accepts(Request::Time, b"24:00:00", false);
        check_accepts(Request::Time, b"9:05:00", false);
        check_accepts(Request::Time, b"12:34:56\n", false);
        check_accepts(Request::Time, b" 12:34:56", false);
        check_accepts(Request::Date, b"2026-02-29", false);
        check_accepts(Request::Date, b"22/11/2026", false);
        check_accepts(Request::Date, b"", false);
        check_accepts(Request::Date, b"\xff", false);
    }

    #[test]
    fn the_face_is_drawn_once_per_second() {
        let mut drawn = 0;
        let mut watch = Watch::new(|now| {
            drawn += 1;
            Face::at(DateTime::<chrono::Utc>::from(now).naive_utc())
        });
        let mut shown = Vec::new();
        for milliseconds in [0, 1, 999, 1_000, 1_999, 500, 61_000] {
            let now = UNIX_EPOCH + Duration::from_millis(milliseconds);
            shown.push(watch.face(now).answer(Request::Time).to_owned());
        }
        assert_eq!(
            shown,
            [
                "00:00:00", "00:00:00", "00:00:00", "00:00:01", "00:00:01", "00:00:00", "00:01:01"
            ]
        );
        assert_eq!(drawn, 4);
    }

    #[test]
    fn seconds_before_1970_are_rounded_down_too() {
        let before = |milliseconds| unix_second(UNIX_EPOCH - Duration::from_millis(milliseconds));
        assert_eq!(
            [before(0), before(1), before(1_000), before(1_001)],
            [0, -1, -1, -2]
        );
    }

    proptest! {
        #[test]
        fn every_answer_is_accepted_by_its_request_only(seconds in 0..4_102_444_800i64) {
            let now = DateTime::from_timestamp(seconds, 0).expect("in range").naive_utc();
            let face = Face::at(now);
            for (request, other) in [(Request::Date, Request::Time), (Request::Time, Request::Date)] {
                prop_assert!(request.accepts(face.answer(request).as_bytes()));
                prop_assert!(!other.accepts(face.answer(request).as_bytes()));
                prop_assert_eq!(Request::parse(face.answer(request).as_bytes()), None);
            }
        }

        #[test]
        fn no_octets_upset_the_parser(octets: Vec<u8>) {
            let _ = Request::parse(&octets);
            let _ = Request::Date.accepts(&octets) || Request::Time.accepts(&octets);
        }
    }
}
