//! Expectations about a capture, for self-checks and scripts: `--expect handshake`, `--expect 'client says "HELLO"'`.
//!
//! An [`Expectation`] is met when at least one conversation meets it; `no-reset` and `conversations=N` are about the
//! whole capture. A [`Judge`] watches as the views do. What it keeps of a conversation are the last few octets of each
//! side, fewer than the longest text it looks for, and that only while one is still looked for.

use crate::conversation::{
    Close, Conversation, Flags, Handshake, Message, Role, Sink, Step, StepKind, Visibility,
};
use crate::decode::Transport;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// Something a capture should show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// `handshake`: all three segments (RFC 9293 §3.5).
    Handshake,
    /// `close=fin`: both sides closed (RFC 9293 §3.6).
    CloseFin,
    /// `close=rst`: an open connection was cut off (RFC 9293 §3.5.2).
    CloseRst,
    /// `refused`: nobody listened.
    Refused,
    /// `no-reset`: no segment of the capture has RST.
    NoReset,
    /// `plaintext`: something was said, and all of it can be read.
    Plaintext,
    /// `tcp`, `udp`.
    Transport(Transport),
    /// `conversations=2`.
    Conversations(u64),
    /// `client says "HELLO"`.
    Says {
        /// Who.
        role: Role,
        /// What, in octets.
        text: Vec<u8>,
    },
}

/// Why a text is no [`Expectation`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpectationError {
    /// None of the forms.
    #[error(
        "{0:?} is no expectation; possible are handshake, close=fin, close=rst, refused, no-reset, plaintext, tcp, udp, \
         conversations=2, client says \"HELLO\", server says \"bye\\n\""
    )]
    Unknown(String),
    /// Another way to close.
    #[error("{0:?} is no way to close: write close=fin (both sides closed) or close=rst (cut off)")]
    Close(String),
    /// Not a whole number.
    #[error("{0:?} is no number of conversations: write, for example, conversations=2")]
    Count(String),
    /// The text is not between quotation marks.
    #[error("what the {} says belongs between quotation marks: {} says \"HELLO\"", .0.name(), .0.name())]
    Quotes(Role),
    /// Nothing between the quotation marks.
    #[error("there is nothing between the quotation marks: write a text, for example {} says \"HELLO\"", .0.name())]
    Empty(Role),
    /// A backslash that begins no escape.
    #[error(
        "\\{0} is no escape; possible are \\n \\r \\t \\\" \\\\ and \\xNN with two hexadecimal digits, for example \\x1b"
    )]
    Escape(String),
}

impl FromStr for Expectation {
    type Err = ExpectationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        Ok(match text {
            "handshake" => Expectation::Handshake,
            "refused" => Expectation::Refused,
            "no-reset" => Expectation::NoReset,
            "plaintext" => Expectation::Plaintext,
            "tcp" => Expectation::Transport(Transport::Tcp),
            "udp" => Expectation::Transport(Transport::Udp),
            _ => {
                if let Some(way) = text.strip_prefix("close=") {
                    return match way {
                        "fin" => Ok(Expectation::CloseFin),
                        "rst" => Ok(Expectation::CloseRst),
                        _ => Err(ExpectationError::Close(way.to_owned())),
                    };
                }
                if let Some(count) = text.strip_prefix("conversations=") {
                    let count = count.parse();
                    let count = count.map_err(|_| ExpectationError::Count(text.to_owned()))?;
                    return Ok(Expectation::Conversations(count));
                }
                return says(text);
            }
        })
    }
}

/// `client says "HELLO"`.
fn says(text: &str) -> Result<Expectation, ExpectationError> {
    let unknown = || ExpectationError::Unknown(text.to_owned());
    let (who, rest) = text.split_once(char::is_whitespace).ok_or_else(unknown)?;
    let role = match who {
        "client" => Role::Client,
        "server" => Role::Server,
        _ => return Err(unknown()),
    };
    let quoted = rest.trim_start().strip_prefix("says").ok_or_else(unknown)?;
    let quoted = quoted.trim_start();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|quoted| quoted.strip_suffix('"'))
        .ok_or(ExpectationError::Quotes(role))?;
    let text = unescape(inner, role)?;
    if text.is_empty() {
        return Err(ExpectationError::Empty(role));
    }
    Ok(Expectation::Says { role, text })
}

fn unescape(text: &str, role: Role) -> Result<Vec<u8>, ExpectationError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let (octet, len) = match rest.as_bytes() {
                    [b'n', ..] => (b'\n', 1),
                    [b'r', ..] => (b'\r', 1),
                    [b't', ..] => (b'\t', 1),
                    [b'"', ..] => (b'"', 1),
                    [b'\\', ..] => (b'\\', 1),
                    [b'x', high, low, ..] => match (digit(*high), digit(*low)) {
                        (Some(high), Some(low)) => (high << 4 | low, 3),
                        _ => return Err(escape_error(rest)),
                    },
                    // The backslash belonged to the last quotation mark.
                    [] => return Err(ExpectationError::Quotes(role)),
                    _ => return Err(escape_error(rest)),
                };
                octets.push(octet);
                rest = &rest[len..];
            }
            '"' => return Err(ExpectationError::Quotes(role)),
            c => octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(octets)
}

fn digit(octet: u8) -> Option<u8> {
    char::from(octet)
        .to_digit(16)
        .and_then(|digit| digit.try_into().ok())
}

fn escape_error(rest: &str) -> ExpectationError {
    let shown = if rest.starts_with('x') { 3 } else { 1 };
    ExpectationError::Escape(rest.chars().take(shown).collect())
}

/// As it can be written again after `--expect`.
impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expectation::Handshake => f.write_str("handshake"),
            Expectation::CloseFin => f.write_str("close=fin"),
            Expectation::CloseRst => f.write_str("close=rst"),
            Expectation::Refused => f.write_str("refused"),
            Expectation::NoReset => f.write_str("no-reset"),
            Expectation::Plaintext => f.write_str("plaintext"),
            Expectation::Transport(Transport::Tcp) => f.write_str("tcp"),
            Expectation::Transport(Transport::Udp) => f.write_str("udp"),
            Expectation::Conversations(count) => write!(f, "conversations={count}"),
            Expectation::Says { role, text } => {
                write!(f, "{} says \"", role.name())?;
                for chunk in text.utf8_chunks() {
                    for c in chunk.valid().chars() {
                        match c {
                            '\n' => f.write_str("\\n")?,
                            '\r' => f.write_str("\\r")?,
                            '\t' => f.write_str("\\t")?,
                            '"' => f.write_str("\\\"")?,
                            '\\' => f.write_str("\\\\")?,
                            c if crate::text::acts(c) => {
                                for octet in c.encode_utf8(&mut [0; 4]).bytes() {
                                    write!(f, "\\x{octet:02x}")?;
                                }
                            }
                            c => write!(f, "{c}")?,
                        }
                    }
                    for octet in chunk.invalid() {
                        write!(f, "\\x{octet:02x}")?;
                    }
                }
                f.write_str("\"")
            }
        }
    }
}

/// One expectation, and what was found out about it.
#[derive(Debug)]
struct Case {
    expectation: Expectation,
    /// The octets to look for: the text in UTF-8, and in both orders of UTF-16.
    needles: Vec<Vec<u8>>,
    /// What met it (or, for `no-reset`, what broke it).
    found: Option<String>,
}

/// Watches a capture and says which expectations it met.
#[derive(Debug)]
pub struct Judge {
    cases: Vec<Case>,
    /// The last octets of each side, by conversation.
    tails: HashMap<u32, [Vec<u8>; 2]>,
    /// Octets of a tail.
    tail_len: usize,
    seen: Seen,
}

/// What there was, to say why an expectation is not met.
#[derive(Debug, Default)]
struct Seen {
    conversations: u64,
    tcp: u64,
    complete: u64,
    refused: u64,
    unanswered: u64,
    reset: u64,
    half_closed: u64,
    closed: u64,
    with_text: u64,
    messages: [u64; 2],
}

impl Judge {
    /// Watches for these.
    pub fn new(expectations: Vec<Expectation>) -> Self {
        let cases: Vec<Case> = expectations
            .into_iter()
            .map(|expectation| Case {
                needles: needles(&expectation),
                expectation,
                found: None,
            })
            .collect();
        let needles = cases.iter().flat_map(|case| &case.needles);
        Judge {
            tail_len: needles.map(|needle| needle.len() - 1).max().unwrap_or(0),
            cases,
            tails: HashMap::new(),
            seen: Seen::default(),
        }
    }

    /// Each expectation, whether it is met, and because of what. For after the end of the capture.
    pub fn verdicts(&self) -> Vec<(String, bool, String)> {
        self.cases
            .iter()
            .map(|case| {
                let (met, because) = self.verdict(case);
                (case.expectation.to_string(), met, because)
            })
            .collect()
    }

    fn verdict(&self, case: &Case) -> (bool, String) {
        match (&case.expectation, &case.found) {
            (Expectation::NoReset, Some(found)) => (false, found.clone()),
            (Expectation::NoReset, None) => (true, "no segment has RST".to_owned()),
            (Expectation::Conversations(count), _) => {
                let there = self.seen.conversations;
                (there == *count, format!("there are {there}"))
            }
            (_, Some(found)) => (true, found.clone()),
            (expectation, None) => (false, self.seen.why_not(expectation)),
        }
    }

    /// Notes what meets the open expectations that `meets` says something about.
    fn find(&mut self, mut meets: impl FnMut(&Expectation) -> Option<String>) {
        for case in self.cases.iter_mut().filter(|case| case.found.is_none()) {
            case.found = meets(&case.expectation);
        }
    }

    fn hear(&mut self, conversation: &Conversation, messages: &[Message<'_>]) {
        for message in messages {
            self.seen.messages[message.direction.index()] += 1;
            let is_open = |case: &Case| {
                case.found.is_none()
                    && matches!(case.expectation, Expectation::Says { role, .. } if role.sends() == message.direction)
            };
            if self.cases.iter().any(is_open) {
                self.listen(conversation, message);
            }
        }
    }

    /// Looks for the texts in a message and across the border with what the same side said before.
    fn listen(&mut self, conversation: &Conversation, message: &Message<'_>) {
        let Message {
            direction, octets, ..
        } = *message;
        let tail_len = match conversation.transport {
            Transport::Tcp => self.tail_len,
            // Each datagram stands for itself.
            Transport::Udp => 0,
        };
        let tails = self.tails.entry(conversation.id).or_default();
        let tail = &mut tails[direction.index()];
        // The border: the tail and as many octets as can complete a text that began in it.
        let border_start = tail.len();
        tail.extend_from_slice(&octets[..octets.len().min(tail_len)]);
        for case in self.cases.iter_mut().filter(|case| case.found.is_none()) {
            let Expectation::Says { role, .. } = case.expectation else {
                continue;
            };
            let says = |needle: &Vec<u8>| contains(tail, needle) || contains(octets, needle);
            if role.sends() == direction && case.needles.iter().any(says) {
                case.found = Some(format!(
                    "conversation {}: the {} says it in no. {}",
                    conversation.id,
                    role.name(),
                    message.last_number
                ));
            }
        }
        if message.missing > 0 {
            tail.clear();
        } else if octets.len() >= tail_len {
            tail.clear();
            tail.extend_from_slice(&octets[octets.len() - tail_len..]);
        } else {
            // All of a short message is in the tail already.
            debug_assert_eq!(tail.len(), border_start + octets.len());
            let surplus = tail.len().saturating_sub(tail_len);
            tail.drain(..surplus);
        }
    }
}

impl Sink for Judge {
    fn step(&mut self, conversation: &Conversation, step: &Step<'_>) {
        if let StepKind::Segment(facts) = step.kind
            && facts.flags.has(Flags::RST)
        {
            let sender = step.direction.sender().name();
            self.find(|expectation| {
                (*expectation == Expectation::NoReset).then(|| {
                    format!(
                        "conversation {}: no. {} is a RST from the {sender}",
                        conversation.id, step.number
                    )
                })
            });
        }
        self.hear(conversation, step.messages);
    }

    fn late_messages(&mut self, conversation: &Conversation, messages: &[Message<'_>]) {
        self.hear(conversation, messages);
    }

    fn retired(&mut self, conversation: &Conversation) {
        self.tails.remove(&conversation.id);
        self.seen.add(conversation);
        let id = conversation.id;
        let seen = Visibility::of(conversation);
        self.find(|expectation| match (expectation, conversation.close) {
            (Expectation::Handshake, _) if conversation.handshake == Handshake::Complete => {
                let number = |nth: usize| {
                    let segment = conversation.opening.get(nth).copied().flatten();
                    segment.map_or(0, |segment| segment.number)
                };
                Some(format!(
                    "conversation {id}: no. {}, {} and {}",
                    number(0),
                    number(1),
                    number(2)
                ))
            }
            (Expectation::CloseFin, Close::Both { first }) => Some(format!(
                "conversation {id}: both sides closed, the {} first",
                first.name()
            )),
            (Expectation::CloseRst, Close::Reset { by }) if !is_refused(conversation) => {
                Some(format!("conversation {id}: reset by the {}", by.name()))
            }
            (Expectation::Refused, _) if is_refused(conversation) => Some(format!(
                "conversation {id}: nobody listens on {}",
                conversation.server
            )),
            (Expectation::Plaintext, _) if seen.is_plaintext() => Some(format!(
                "conversation {id}: {} of {} messages readable",
                seen.readable, seen.readable
            )),
            (Expectation::Transport(transport), _) if *transport == conversation.transport => {
                Some(format!("conversation {id}"))
            }
            _ => None,
        });
    }
}

fn is_refused(conversation: &Conversation) -> bool {
    conversation.handshake == Handshake::Refused || conversation.unreachable.is_some()
}

impl Seen {
    fn add(&mut self, conversation: &Conversation) {
        self.conversations += 1;
        self.tcp += u64::from(conversation.transport == Transport::Tcp);
        self.complete += u64::from(conversation.handshake == Handshake::Complete);
        self.unanswered += u64::from(conversation.handshake == Handshake::Unanswered);
        if is_refused(conversation) {
            self.refused += 1;
        } else {
            match conversation.close {
                Close::Open => {}
                Close::Half { .. } => self.half_closed += 1,
                Close::Both { .. } => self.closed += 1,
                Close::Reset { .. } => self.reset += 1,
            }
        }
        let seen = Visibility::of(conversation);
        self.with_text += u64::from(seen.readable + seen.unreadable() > 0);
    }

    fn why_not(&self, expectation: &Expectation) -> String {
        if self.conversations == 0 {
            return "no conversation was captured".to_owned();
        }
        let of = format!("of {}", count(self.conversations, "conversation"));
        match expectation {
            Expectation::Handshake => format!(
                "{of}, {} use TCP and none has all three segments ({} refused, {} unanswered)",
                self.tcp, self.refused, self.unanswered
            ),
            Expectation::CloseFin => format!(
                "{of}, none was closed by both sides ({} by one side only, {} reset)",
                self.half_closed, self.reset
            ),
            Expectation::CloseRst => {
                format!(
                    "{of}, none was reset ({} closed by both sides)",
                    self.closed
                )
            }
            Expectation::Refused => format!("{of}, none was refused"),
            Expectation::Plaintext if self.with_text == 0 => format!("{of}, none has any text"),
            Expectation::Plaintext => format!(
                "{of}, {} with messages, but none with readable ones only",
                self.with_text
            ),
            Expectation::Transport(Transport::Tcp) => format!("{of}, all use UDP"),
            Expectation::Transport(Transport::Udp) => format!("{of}, all use TCP"),
            Expectation::Says { role, .. } => format!(
                "not in the {} from {}s",
                count(self.messages[role.sends().index()], "message"),
                role.name()
            ),
            // Judged without it.
            Expectation::NoReset | Expectation::Conversations(_) => String::new(),
        }
    }
}

fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// The forms a text can have on the wire.
fn needles(expectation: &Expectation) -> Vec<Vec<u8>> {
    let Expectation::Says { text, .. } = expectation else {
        return Vec::new();
    };
    let mut needles = vec![text.clone()];
    if let Ok(text) = std::str::from_utf8(text) {
        needles.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        needles.push(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    needles
}

fn contains(octets: &[u8], needle: &[u8]) -> bool {
    octets.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::testing::{Scene, hello};
    use proptest::prelude::*;

    fn expectation(text: &str) -> Expectation {
        text.parse().expect("an expectation")
    }

    #[track_caller]
    fn check(scenes: &[Scene], text: &str, expected: (bool, &str)) {
        let mut judge = Judge::new(vec![expectation(text)]);
        scenes.iter().for_each(|scene| scene.feed(&mut judge));
        assert!(judge.tails.is_empty(), "tails are dropped");
        let (name, met, because) = judge.verdicts().remove(0);
        assert_eq!(name, text);
        assert_eq!((met, &*because), expected, "{text}");
    }

    #[track_caller]
    fn check_error(text: &str, part: &str) {
        let error = text.parse::<Expectation>().expect_err("no expectation");
        assert!(error.to_string().contains(part), "{error}");
    }

    #[test]
    fn what_is_no_expectation_is_answered_with_what_is() {
        check_error("handshakes", "possible are handshake, close=fin");
        check_error("close=reset", "write close=fin");
        check_error("conversations=two", "conversations=2");
        check_error("client says HELLO", "client says \"HELLO\"");
        check_error("client says \"HELLO", "between quotation marks");
        check_error("client says \"HELLO\\\"", "between quotation marks");
        check_error("client says \"a\" b\"", "between quotation marks");
        check_error("server says \"\"", "nothing between");
        check_error("server says \"\\q\"", "\\q is no escape");
        check_error("server says \"\\x1\"", "\\x1 is no escape");
        check_error("server says \"\\xé\"", "is no escape");
        check_error("nobody says \"a\"", "is no expectation");
        check_error("", "is no expectation");
    }

    #[test]
    fn escapes_stand_for_octets() {
        assert_eq!(
            expectation(r#" client  says "a\n\r\t\"\\\xff\x1b" "#),
            Expectation::Says {
                role: Role::Client,
                text: b"a\n\r\t\"\\\xff\x1b".to_vec()
            }
        );
    }

    #[test]
    fn a_handshake_is_met_by_one_conversation() {
        let scenes = [Scene::tcp().syn().refuses(), hello().id(1)];
        check(
            &scenes,
            "handshake",
            (true, "conversation 1: no. 1, 2 and 3"),
        );
        check(
            &scenes[..1],
            "handshake",
            (
                false,
                "of 1 conversation, 1 use TCP and none has all three segments (1 refused, 0 unanswered)",
            ),
        );
        check(&[], "handshake", (false, "no conversation was captured"));
    }

    #[test]
    fn ends_are_told_apart() {
        let reset = || Scene::tcp().handshake().resets(Role::Server);
        check(
            &[hello()],
            "close=fin",
            (true, "conversation 0: both sides closed, the client first"),
        );
        check(
            &[reset()],
            "close=fin",
            (
                false,
                "of 1 conversation, none was closed by both sides (0 by one side only, 1 reset)",
            ),
        );
        check(
            &[reset()],
            "close=rst",
            (true, "conversation 0: reset by the server"),
        );
        check(
            &[Scene::tcp().syn().refuses()],
            "close=rst",
            (
                false,
                "of 1 conversation, none was reset (0 closed by both sides)",
            ),
        );
        check(
            &[reset()],
            "no-reset",
            (false, "conversation 0: no. 4 is a RST from the server"),
        );
        check(&[hello()], "no-reset", (true, "no segment has RST"));
    }

    #[test]
    fn a_refusal_is_one_over_either_transport() {
        check(
            &[Scene::tcp().syn().refuses()],
            "refused",
            (true, "conversation 0: nobody listens on 127.0.0.1:20002"),
        );
        check(
            &[Scene::udp().says(Role::Client, b"hello").refuses()],
            "refused",
            (true, "conversation 0: nobody listens on 127.0.0.1:20001"),
        );
        check(
            &[hello()],
            "refused",
            (false, "of 1 conversation, none was refused"),
        );
    }

    #[test]
    fn plaintext_is_text_throughout() {
        check(
            &[hello()],
            "plaintext",
            (true, "conversation 0: 2 of 2 messages readable"),
        );
        check(
            &[hello().says(Role::Client, &[0, 1, 2, 0xff])],
            "plaintext",
            (
                false,
                "of 1 conversation, 1 with messages, but none with readable ones only",
            ),
        );
    }

    #[test]
    fn transports_and_numbers_are_counted() {
        let scenes = [hello(), Scene::udp().id(1).says(Role::Client, b"hello")];
        check(&scenes, "udp", (true, "conversation 1"));
        check(
            &scenes[..1],
            "udp",
            (false, "of 1 conversation, all use TCP"),
        );
        check(&scenes, "conversations=2", (true, "there are 2"));
        check(&scenes, "conversations=1", (false, "there are 2"));
        check(&[], "conversations=0", (true, "there are 0"));
    }

    #[test]
    fn a_text_is_found_on_its_side_only() {
        let found = (true, "conversation 0: the client says it in no. 4");
        check(&[hello()], "client says \"from client\"", found);
        let missing = (false, "not in the 1 message from servers");
        check(&[hello()], "server says \"from client\"", missing);
        let missing = (false, "not in the 1 message from clients");
        check(&[hello()], "client says \"FROM CLIENT\"", missing);
    }

    #[test]
    fn a_text_is_found_across_messages_but_not_across_a_gap() {
        let scene = || {
            Scene::tcp()
                .says(Role::Client, b"12 ")
                .says(Role::Server, b"?")
                .says(Role::Client, b"+")
                .late()
                .says(Role::Client, b" 42\n")
        };
        check(
            &[scene()],
            r#"client says "12 + 42\n""#,
            (true, "conversation 0: the client says it in no. 5"),
        );
        let broken = Scene::tcp()
            .says(Role::Client, b"12 +")
            .message(|message| message.missing = 1)
            .says(Role::Client, b" 42");
        check(
            &[broken],
            "client says \"12 + 42\"",
            (false, "not in the 2 messages from clients"),
        );
    }

    #[test]
    fn a_text_is_found_in_utf_16() {
        let octets = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "HELLO é".encode_utf16().flat_map(order).collect()
        };
        for octets in [octets(u16::to_le_bytes), octets(u16::to_be_bytes)] {
            check(
                &[Scene::tcp().says(Role::Server, &octets)],
                "server says \"LLO é\"",
                (true, "conversation 0: the server says it in no. 1"),
            );
        }
    }

    #[test]
    fn datagrams_stand_for_themselves() {
        let scene = Scene::udp()
            .says(Role::Client, b"HEL")
            .says(Role::Client, b"LO");
        check(
            &[scene],
            "client says \"HELLO\"",
            (false, "not in the 2 messages from clients"),
        );
    }

    proptest! {
        #[test]
        fn a_text_is_found_wherever_the_stream_is_cut(
            before in "[ab]{0,12}",
            needle in "[ab]{1,6}",
            after in "[ab]{0,12}",
            cuts in prop::collection::vec(0usize..32, 0..6),
        ) {
            let stream = format!("{before}{needle}{after}");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.push(0);
            cuts.push(stream.len());
            cuts.sort_unstable();
            let mut scene = Scene::tcp();
            for pair in cuts.windows(2) {
                scene = scene.says(Role::Client, &stream.as_bytes()[pair[0]..pair[1]]);
            }
            let mut judge = Judge::new(vec![expectation(&format!("client says \"{needle}\""))]);
            scene.feed(&mut judge);
            prop_assert!(judge.verdicts()[0].1, "{needle} in {stream}");
        }

        #[test]
        fn an_expectation_is_written_as_it_is_read(text in prop::collection::vec(any::<u8>(), 1..40)) {
            let expectation = Expectation::Says { role: Role::Server, text };
            prop_assert_eq!(expectation.to_string().parse(), Ok(expectation));
        }
    }
}
