//! What the two sides say to each other, each message one line of UTF-8.
//!
//! Types only: how lines are cut out of a stream is in [`line`](crate::line), when which message
//! is due is in [`session`](crate::session). The grammar is in the README.

use std::fmt;

use rust_decimal::Decimal;

use crate::expression::{Answer, Expression, ExpressionError};
use crate::text::is_unsafe;

/// What a person types to leave, and what the client then sends.
pub const QUIT: &str = "q";

/// The most characters a name may have.
pub const MAX_NAME_LEN: usize = 32;

/// The name a client gives itself: 1 to 32 characters, without blanks around it and without
/// control characters in it, invisible marks that reorder text among them. So it is always safe to
/// print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but blanks.
    #[error("a name needs at least one character")]
    Empty,
    /// More than [`MAX_NAME_LEN`] characters.
    #[error("a name has at most {MAX_NAME_LEN} characters, not {length}")]
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// Escape, tab and the like.
    #[error("a name has no control characters")]
    Control,
    /// `q` means leaving, from the first line on.
    #[error("`{QUIT}` is not a name, it means leaving")]
    Quit,
    /// The octets are not text.
    #[error("a name is UTF-8 text")]
    NotUtf8,
}

/// What a client may ask once it has given its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `12 + 42`
    Calculate(Expression),
    /// `q`
    Quit,
}

/// Why a line is not a [`Request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Neither `q` nor an expression.
    #[error(transparent)]
    Malformed(#[from] ExpressionError),
    /// Not text.
    #[error("at character {}: the line is not UTF-8 text", offset + 1)]
    NotUtf8 {
        /// Characters before the first octet that is not UTF-8.
        offset: usize,
    },
}

/// What the server says. One reply to each line of the client; a goodbye may also come unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `hello Ada`: the name was accepted.
    Hello(Name),
    /// `= 54`
    Answer(Answer),
    /// `error: division by zero`. The session goes on, unless it was the name that was refused.
    Error(String),
    /// `goodbye: the server is stopping`. Nothing follows.
    Goodbye(String),
}

impl Name {
    /// Reads a name from a line, blanks around it removed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, NameError> {
        let name = str::from_utf8(line).map_err(|_| NameError::NotUtf8)?.trim();
        match name.chars().count() {
            0 => Err(NameError::Empty),
            _ if name == QUIT => Err(NameError::Quit),
            _ if name.contains(is_unsafe) => Err(NameError::Control),
            length if length > MAX_NAME_LEN => Err(NameError::TooLong { length }),
            _ => Ok(Self(name.to_owned())),
        }
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Request {
    /// Reads a line. Used by the client to warn, and by the server to refuse.
    ///
    /// # Errors
    /// Where and why it is neither an expression nor `q`.
    pub fn parse(line: &[u8]) -> Result<Self, RequestError> {
        let text = str::from_utf8(line).map_err(|error| {
            let valid = String::from_utf8_lossy(&line[..error.valid_up_to()]);
            RequestError::NotUtf8 {
                offset: valid.chars().count(),
            }
        })?;
        if text.trim() == QUIT {
            return Ok(Self::Quit);
        }
        Ok(Self::Calculate(Expression::parse(text)?))
    }
}

impl RequestError {
    /// Characters before the place of the error.
    pub fn offset(&self) -> usize {
        match self {
            Self::Malformed(error) => error.offset(),
            Self::NotUtf8 { offset } => *offset,
        }
    }
}

impl Reply {
    /// Reads a line of the server; `None` if this is not a line such a server sends.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        if let Some(name) = line.strip_prefix("hello ") {
            Name::parse(name.as_bytes()).ok().map(Self::Hello)
        } else if let Some(answer) = line.strip_prefix("= ") {
            let exact = answer.strip_suffix(" (rounded)");
            let value = Decimal::from_str_exact(exact.unwrap_or(answer)).ok()?;
            Some(Self::Answer(Answer {
                value,
                rounded: exact.is_some(),
            }))
        } else if let Some(reason) = line.strip_prefix("error: ") {
            Some(Self::Error(reason.to_owned()))
        } else {
            line.strip_prefix("goodbye: ")
                .map(|reason| Self::Goodbye(reason.to_owned()))
        }
    }
}

/// The line to send, without its terminator.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello(name) => write!(f, "hello {name}"),
            Self::Answer(answer) => {
                f.write_str("= ")?;
                answer.fmt(f)
            }
            Self::Error(reason) => write!(f, "error: {reason}"),
            Self::Goodbye(reason) => write!(f, "goodbye: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_name(line: &str, expected: Result<&str, NameError>) {
        let name = Name::parse(line.as_bytes()).map(|name| name.to_string());
        assert_eq!(name, expected.map(str::to_owned));
    }

    #[test]
    fn a_name_is_trimmed_and_has_1_to_32_characters() {
        check_name("Ada", Ok("Ada"));
        check_name("  Ada Lovelace\t", Ok("Ada Lovelace"));
        check_name("Åsa 😀", Ok("Åsa 😀"));
        check_name(&"é".repeat(32), Ok(&"é".repeat(32)));
        check_name(&"é".repeat(33), Err(NameError::TooLong { length: 33 }));
        check_name(" ", Err(NameError::Empty));
        check_name("A\x1b[31mda", Err(NameError::Control));
        check_name("A\u{202e}da", Err(NameError::Control));
        check_name(" q", Err(NameError::Quit));
    }

    #[test]
    fn a_request_that_is_not_text_is_refused_where_the_text_ends() {
        assert_eq!(Request::parse(b" q "), Ok(Request::Quit));
        let error = Request::parse(b"6 \xc3\x97 \xff").expect_err("not UTF-8");
        assert_eq!(error.offset(), 4);
    }

    #[test]
    fn lines_of_another_protocol_are_not_replies() {
        for line in [
            "",
            "54",
            "=54",
            "= fifty",
            "hello ",
            "HTTP/1.1 400 Bad Request",
        ] {
            assert_eq!(Reply::parse(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(Reply::parse(b"= \xff"), None);
    }

    fn any_reply() -> impl Strategy<Value = Reply> {
        prop_oneof![
            "[^\\pC\\pZ]{2,32}".prop_map(|name| Reply::Hello(Name(name))),
            (any::<i64>(), 0..=28_u32, any::<bool>()).prop_map(|(mantissa, scale, rounded)| {
                let value = Decimal::from_i128_with_scale(mantissa.into(), scale).normalize();
                Reply::Answer(Answer { value, rounded })
            }),
            "\\PC*".prop_map(Reply::Error),
            "\\PC*".prop_map(Reply::Goodbye),
        ]
    }

    proptest! {
        #[test]
        fn a_reply_is_understood_as_it_was_meant(reply in any_reply()) {
            prop_assert_eq!(Reply::parse(reply.to_string().as_bytes()), Some(reply));
        }

        #[test]
        fn any_line_is_a_request_or_not(line in any::<Vec<u8>>()) {
            if let Err(error) = Request::parse(&line) {
                prop_assert!(error.offset() <= line.len());
            }
        }
    }
}
