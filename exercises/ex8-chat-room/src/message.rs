//! The protocol: one line of UTF-8 text per message, its first word says which.
//!
//! ```text
//! request = "LOGIN" SP name / "SAY" SP text / "WHO" / "LEAVE"
//! reply   = "WELCOME" SP name                    ; you are in
//!         / "REFUSED" SP reason                  ; you are not: try another LOGIN
//!         / change SP count SP name              ; to all members, count includes the joiner
//!         / "PRESENT" SP count SP name         ; answers WHO, once for each member
//!         / "LINE" SP name ": " text             ; to all members but the sender
//!         / "WARNING" SP reason                  ; your last line was thrown away
//!         / "BYE" SP reason                      ; the last line before the connection ends
//! change  = "JOINED" / "LEFT" / "LOST" / "DROPPED"
//! ```
//!
//! A name holds no colon and the count stands before the name, so every reply can be read in one way
//! only, whatever people call themselves. Deliberately knows nothing of line ends: see
//! [`lines`](crate::lines).

use std::{fmt, io::Write, sync::Arc};

use bytes::{Bytes, BytesMut};

use crate::{
    MAX_LINE_LEN,
    name::MAX_NAME_LEN,
    printable::{MAX_EXPANSION, printable},
};

/// Longest reply in octets: the longest request, escaped, with a name in front.
pub const MAX_REPLY_LEN: usize = MAX_LINE_LEN * MAX_EXPANSION + MAX_NAME_LEN * 4 + 16;

/// Most octets of text in a [`Request::Say`].
pub const MAX_TEXT_LEN: usize = MAX_LINE_LEN - SAY.len();

const LOGIN: &[u8] = b"LOGIN ";
const SAY: &[u8] = b"SAY ";
const WHO: &[u8] = b"WHO";
const LEAVE: &[u8] = b"LEAVE";

/// What a client asks. The octets are as they came: nothing about them has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Let me in under this name.
    Login(Bytes),
    /// Tell everyone.
    Say(Bytes),
    /// Who is here?
    Who,
    /// I am leaving.
    Leave,
}

/// A request line that begins with none of the known words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not understood: a request is `LOGIN name`, `SAY text`, `WHO` or `LEAVE`")]
pub struct UnknownRequest;

impl Request {
    /// Reads one line.
    ///
    /// # Errors
    /// [`UnknownRequest`] if the first word is none of the protocol's.
    pub fn parse(line: &Bytes) -> Result<Self, UnknownRequest> {
        if line.starts_with(SAY) {
            Ok(Self::Say(line.slice(SAY.len()..)))
        } else if line.starts_with(LOGIN) {
            Ok(Self::Login(line.slice(LOGIN.len()..)))
        } else if line == WHO {
            Ok(Self::Who)
        } else if line == LEAVE {
            Ok(Self::Leave)
        } else {
            Err(UnknownRequest)
        }
    }

    /// Appends the request as one line with its end. A newline within it becomes a blank: it would
    /// make two requests of one.
    pub fn encode(&self, out: &mut BytesMut) {
        let (word, octets): (_, &[u8]) = match self {
            Self::Login(name) => (LOGIN, name),
            Self::Say(text) => (SAY, text),
            Self::Who => (WHO, b""),
            Self::Leave => (LEAVE, b""),
        };
        out.extend_from_slice(word);
        out.extend(
            octets
                .iter()
                .map(|&octet| if octet == b'\n' { b' ' } else { octet }),
        );
        out.extend_from_slice(b"\n");
    }
}

/// How the number of members changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Logged in.
    Joined,
    /// Said they were leaving.
    Left,
    /// The connection ended (FIN) or broke (RST, timeout) without a word.
    Lost,
    /// Was shown out for not reading.
    Dropped,
}

impl Change {
    const ALL: [Self; 4] = [Self::Joined, Self::Left, Self::Lost, Self::Dropped];

    fn word(self) -> &'static str {
        match self {
            Self::Joined => "JOINED",
            Self::Left => "LEFT",
            Self::Lost => "LOST",
            Self::Dropped => "DROPPED",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Joined => "has joined",
            Self::Left => "has left",
            Self::Lost => "has vanished (connection lost)",
            Self::Dropped => "was disconnected (does not read)",
        })
    }
}

/// What the server tells a client. `Display` gives what a person reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// You are in, under this name.
    Welcome(Arc<str>),
    /// You are not in, and why.
    Refused(String),
    /// Somebody came or went.
    Notice {
        /// What happened.
        change: Change,
        /// To whom.
        name: Arc<str>,
        /// Members afterwards.
        count: usize,
    },
    /// Somebody is here: one of the answers to [`Request::Who`].
    Present {
        /// Who.
        name: Arc<str>,
        /// Members, and so many such replies.
        count: usize,
    },
    /// Somebody said something.
    Line {
        /// Who.
        name: Arc<str>,
        /// What, [printable].
        text: String,
    },
    /// Your last line was thrown away, and why.
    Warning(String),
    /// Nothing follows, and why.
    Bye(String),
}

/// A line from the server that is no reply of this protocol, made printable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line that is not of the chat protocol: {0}")]
pub struct UnknownReply(pub String);

impl Reply {
    /// Reads one line. The line is made printable first, so nothing raw can come out of a reply.
    ///
    /// # Errors
    /// [`UnknownReply`] if the line is not in the grammar.
    pub fn parse(line: &[u8]) -> Result<Self, UnknownReply> {
        let line = printable(line);
        Self::parse_printable(&line).ok_or_else(|| UnknownReply(line.into_owned()))
    }

    fn parse_printable(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ')?;
        Some(match word {
            "WELCOME" => Self::Welcome(rest.into()),
            "REFUSED" => Self::Refused(rest.to_owned()),
            "LINE" => {
                let (name, text) = rest.split_once(": ")?;
                Self::Line {
                    name: name.into(),
                    text: text.to_owned(),
                }
            }
            "WARNING" => Self::Warning(rest.to_owned()),
            "BYE" => Self::Bye(rest.to_owned()),
            "PRESENT" => {
                let (count, name) = rest.split_once(' ')?;
                Self::Present {
                    name: name.into(),
                    count: count.parse().ok()?,
                }
            }
            _ => {
                let change = Change::ALL.into_iter().find(|c| c.word() == word)?;
                let (count, name) = rest.split_once(' ')?;
                Self::Notice {
                    change,
                    name: name.into(),
                    count: count.parse().ok()?,
                }
            }
        })
    }

    /// Appends the reply as one line with its end.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let written = match self {
            Self::Welcome(name) => writeln!(out, "WELCOME {name}"),
            Self::Refused(reason) => writeln!(out, "REFUSED {reason}"),
            Self::Notice {
                change,
                name,
                count,
            } => writeln!(out, "{} {count} {name}", change.word()),
            Self::Present { name, count } => writeln!(out, "PRESENT {count} {name}"),
            Self::Line { name, text } => writeln!(out, "LINE {name}: {text}"),
            Self::Warning(reason) => writeln!(out, "WARNING {reason}"),
            Self::Bye(reason) => writeln!(out, "BYE {reason}"),
        };
        written.expect("a Vec takes everything");
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Welcome(name) => write!(f, "Welcome, {name}."),
            Self::Refused(reason) => write!(f, "Refused: {reason}"),
            Self::Notice {
                change,
                name,
                count,
            } => write!(f, "* {name} {change}. Member count={count}"),
            Self::Present { name, count } => {
                write!(f, "* {name} is here. Member count={count}")
            }
            Self::Line { name, text } => write!(f, "{name}: {text}"),
            Self::Warning(reason) => write!(f, "Warning: {reason}"),
            Self::Bye(reason) => write!(f, "Goodbye: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_reply(line: &str, shown: &str) {
        let reply = Reply::parse(line.as_bytes()).expect("a reply");
        assert_eq!(reply.to_string(), shown);
        let mut encoded = Vec::new();
        reply.encode(&mut encoded);
        assert_eq!(encoded, format!("{line}\n").as_bytes());
    }

    #[track_caller]
    fn check_request(line: &'static str, expected: Result<Request, UnknownRequest>) {
        assert_eq!(
            Request::parse(&Bytes::from_static(line.as_bytes())),
            expected
        );
        if let Ok(request) = expected {
            let mut encoded = BytesMut::new();
            request.encode(&mut encoded);
            assert_eq!(encoded, format!("{line}\n").as_bytes());
        }
    }

    #[test]
    fn a_reply_reads_as_it_was_written() {
        check_reply("WELCOME Ada L", "Welcome, Ada L.");
        check_reply("JOINED 2 Ada L", "* Ada L has joined. Member count=2");
        check_reply("LEFT 1 Ada", "* Ada has left. Member count=1");
        check_reply(
            "LOST 1 Ada",
            "* Ada has vanished (connection lost). Member count=1",
        );
        check_reply("PRESENT 1 Ada L", "* Ada L is here. Member count=1");
        check_reply("LINE Ada L: hi: you ", "Ada L: hi: you ");
        check_reply("LINE Ada: ", "Ada: ");
        check_reply("BYE see you", "Goodbye: see you");
    }

    #[test]
    fn a_line_outside_the_grammar_is_no_reply() {
        for line in [
            "",
            "HTTP/1.1 400",
            "JOINED two Ada",
            "PRESENT 2",
            "LINE Ada",
        ] {
            assert_eq!(
                Reply::parse(line.as_bytes()),
                Err(UnknownReply(line.into()))
            );
        }
    }

    #[test]
    fn nothing_raw_comes_out_of_a_reply() {
        let reply = Reply::parse(b"LINE A\x1bda: \x1b]0;x\x07\xff").expect("a reply");
        assert_eq!(reply.to_string(), "A\\x1bda: \\x1b]0;x\\x07\\xff");
    }

    #[test]
    fn a_request_is_one_line_whatever_is_in_it() {
        let mut encoded = BytesMut::new();
        Request::Login("Ada\nLEAVE".into()).encode(&mut encoded);
        assert_eq!(encoded, "LOGIN Ada LEAVE\n");
    }

    #[test]
    fn a_request_reads_as_it_was_written() {
        check_request("LOGIN Ada L", Ok(Request::Login("Ada L".into())));
        check_request("SAY LEAVE", Ok(Request::Say("LEAVE".into())));
        check_request("SAY ", Ok(Request::Say("".into())));
        check_request("WHO", Ok(Request::Who));
        check_request("LEAVE", Ok(Request::Leave));
        check_request("LEAVE now", Err(UnknownRequest));
        check_request("say hi", Err(UnknownRequest));
        check_request("", Err(UnknownRequest));
    }

    proptest! {
        #[test]
        fn any_text_survives_the_wire(text in "\\PC*", count: usize) {
            let name: Arc<str> = "Ada L".into();
            let text = printable(text.as_bytes()).into_owned();
            for reply in [
                Reply::Line { name: name.clone(), text: text.clone() },
                Reply::Refused(text),
                Reply::Notice { change: Change::Dropped, name, count },
            ] {
                let mut line = Vec::new();
                reply.encode(&mut line);
                prop_assert_eq!(line.pop(), Some(b'\n'));
                prop_assert_eq!(Reply::parse(&line), Ok(reply));
            }
        }
    }
}
