//! Understudies: a client and a server of the harness's own, which take a part when a pair of programs has failed and the
//! wire alone does not say in which of the two to look.
//!
//! ```text
//! the recorded wire ──▶ dialect ──Part──▶ harness __understudy client | server, in the programs' own sandbox
//! ```
//!
//! They speak no protocol of their own: [`dialect`] reads from the recorded wire how this pair of programs talks, and says
//! nothing unless that is plain lines or plain messages. The model solutions would be of no use here, since their protocols
//! are nobody else's. The harness is its own understudy, because that program is there wherever the harness is installed,
//! and is open in every sandbox already.
//!
//! Deliberately not here: judging. What an understudy's play means is decided in [`crate::judge::swap`].

pub mod dialect;

mod client;
mod server;

pub use dialect::{Dialect, End};

use crate::event::Ending;
use crate::judge::Side;
use crate::lab::{Exercise, Transport};
use crate::manifest::{CommandTemplate, NameStyle, Programs};
use crate::world::sandbox::inside;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write as _};

/// The hidden argument that makes the program an understudy.
pub const UNDERSTUDY_ARGUMENT: &str = "__understudy";

/// Exit status of an understudy that was not told properly what to do.
const LOST: i32 = 126;

/// Everything an understudy must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The exercise whose programs it stands in for.
    pub exercise: Exercise,
    /// How the pair talks.
    pub dialect: Dialect,
    /// What a user types to leave.
    pub quit: String,
    /// Where a server listens: where the other server did, and where the client was seen to call.
    pub ports: Vec<u16>,
}

impl Part {
    /// The programs of a submission with this part taken over.
    pub fn cast(&self, side: Side, programs: &Programs) -> Programs {
        let spec = serde_json::to_string(self).unwrap_or_default();
        let mut words = vec![inside::MYSELF, UNDERSTUDY_ARGUMENT, side.word()];
        let mut programs = programs.clone();
        if side == Side::Server {
            words.push(&spec);
            programs.server = template(&words);
            return programs;
        }
        words.extend([&*spec, "{host}", "{port}"]);
        match &programs.name {
            NameStyle::Typed => {}
            NameStyle::Argument => words.push("{name}"),
            NameStyle::Fixed(name) => words.push(name),
        }
        programs.client = template(&words);
        programs
    }
}

fn template(words: &[&str]) -> CommandTemplate {
    CommandTemplate {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
    }
}

/// What people call the program that a command starts, when that is an understudy.
pub fn called(command: &[String]) -> Option<String> {
    match command {
        [_, argument, side, ..] if argument == UNDERSTUDY_ARGUMENT => {
            Some(format!("the harness's own {side}"))
        }
        _ => None,
    }
}

/// Whether an understudy ended like this because it could not play at all.
pub fn is_lost(ending: Ending) -> bool {
    ending == Ending::Status(LOST)
}

/// The understudy's process: `client PART HOST PORT [NAME]` or `server PART`. Returns the exit status.
pub fn main(words: &[String]) -> i32 {
    let part = |spec: &str| serde_json::from_str::<Part>(spec).map_err(io::Error::other);
    let played = match words {
        [side, spec, host, port, name @ ..] if side == Side::Client.word() => {
            part(spec).and_then(|part| {
                let port = port.parse().map_err(io::Error::other)?;
                client::run(&part, host, port, name.first().map(String::as_str))
            })
        }
        [side, spec] if side == Side::Server.word() => {
            part(spec).and_then(|part| server::run(&part))
        }
        _ => return LOST,
    };
    match played {
        Ok(()) => 0,
        Err(error) => {
            say(&format!("{error}"));
            1
        }
    }
}

/// Prints a line at once, made safe: it holds what others have sent. A screen that nobody looks at any more is no concern.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", crate::text::visible(line)).and_then(|()| out.flush());
}

/// The transport of an exercise.
fn is_udp(exercise: Exercise) -> bool {
    matches!(exercise.endpoint(), Some((Transport::Udp, _)))
}

/// Cuts a stream into messages, as they end in this dialect.
struct Messages<R> {
    stream: R,
    end: End,
    rest: Vec<u8>,
}

/// No message is longer; a stream without a line end is cut here.
const LONGEST: usize = 64 * 1024;

impl<R: Read> Messages<R> {
    fn new(stream: R, end: End) -> Self {
        Messages {
            stream,
            end,
            rest: Vec::new(),
        }
    }

    /// The next message without its end; none when the stream has ended.
    fn next(&mut self) -> io::Result<Option<String>> {
        let mut buffer = [0; 8 * 1024];
        loop {
            let ended = match self.end {
                End::Nothing => (!self.rest.is_empty()).then_some(self.rest.len()),
                End::Newline | End::CrLf => self
                    .rest
                    .iter()
                    .position(|octet| *octet == b'\n')
                    .map(|at| at + 1),
            };
            if let Some(length) = ended.or((self.rest.len() >= LONGEST).then_some(LONGEST)) {
                let message: Vec<u8> = self.rest.drain(..length).collect();
                let text = String::from_utf8_lossy(&message);
                return Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) if self.rest.is_empty() => return Ok(None),
                Ok(0) => self.end = End::Nothing,
                Ok(octets) => self.rest.extend_from_slice(&buffer[..octets]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A request of the calculator: two numbers and an operation, with blanks between.
fn calculate(line: &str) -> Option<f64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [left, operation, right] = words[..] else {
        return None;
    };
    let (left, right): (f64, f64) = (left.parse().ok()?, right.parse().ok()?);
    match operation {
        "+" => Some(left + right),
        "-" => Some(left - right),
        "*" => Some(left * right),
        "/" => Some(left / right),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_as_they_end() {
        #[track_caller]
        fn check(stream: &[u8], end: End, expected: &[&str]) {
            let mut messages = Messages::new(stream, end);
            let mut found = Vec::new();
            while let Some(message) = messages.next().expect("octets in memory can be read") {
                found.push(message);
            }
            assert_eq!(found, expected);
        }
        check(b"one\ntwo\n", End::Newline, &["one", "two"]);
        check(b"one\r\ntwo", End::CrLf, &["one", "two"]);
        check(b"one\n\ntwo\n", End::Newline, &["one", "", "two"]);
        check(b"one, two", End::Nothing, &["one, two"]);
        check(b"", End::Nothing, &[]);
    }

    #[test]
    fn only_well_formed_requests_are_calculated() {
        assert_eq!(calculate("12 + 42"), Some(54.0));
        assert_eq!(calculate("4.5 / -6"), Some(-0.75));
        for malformed in ["banana", "3.24 45", "83 +", "1 x 2", "", "1 + 2 + 3"] {
            assert_eq!(calculate(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn a_part_survives_the_placeholders_of_a_command() {
        let part = Part {
            exercise: Exercise::Ex6,
            dialect: Dialect::plain(End::Newline),
            quit: "q".to_owned(),
            ports: vec![20001],
        };
        let programs = Programs {
            dir: ".".into(),
            build: None,
            server: template(&["server"]),
            client: template(&["client"]),
            port: None,
            address: None,
            quit: "q".to_owned(),
            name: NameStyle::Argument,
        };
        let client = part.cast(Side::Client, &programs).client;
        let words = client.fill("127.0.0.1", 20001, "Ada");
        assert_eq!(serde_json::from_str::<Part>(&words[3]).ok(), Some(part));
        assert_eq!(words[4..], ["127.0.0.1", "20001", "Ada"]);
        assert_eq!(called(&words).as_deref(), Some("the harness's own client"));
    }
}
