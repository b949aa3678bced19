//! Directions about the wire: what they are, how they are read, how they are said.

use super::model::{Action, SERVER};
use super::node::DEFAULT_WAIT;
use super::parse::{Reader, Result};
use crate::event::Actor;
use crate::lab::{self, Transport};
use crate::text;
use kdl::{KdlNode, KdlValue};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Something is expected of the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wire {
    /// What.
    pub sought: Sought,
    /// For how long to wait.
    pub within: Duration,
    /// Where the wire is not watched, the screens decide without it.
    #[serde(default)]
    pub if_watched: bool,
}

/// What is expected of the wire. "Since the mark" means since the last thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sought {
    /// One sends this to the other since the mark, in whatever framing.
    Text {
        /// Who sends.
        from: Actor,
        /// Who receives.
        to: Actor,
        /// What.
        text: String,
    },
    /// One sends this number to the other since the mark, however written.
    Number {
        /// Who sends.
        from: Actor,
        /// Who receives.
        to: Actor,
        /// Which.
        number: f64,
    },
    /// One sends the other anything at all since the mark.
    Something {
        /// Who sends.
        from: Actor,
        /// Who receives.
        to: Actor,
    },
    /// This crosses before (or with) the first line typed that is something else.
    First {
        /// Who sends.
        from: Actor,
        /// Who receives.
        to: Actor,
        /// What.
        text: String,
    },
    /// Everything one sends to the other holds one of these texts, and each occurs.
    Only {
        /// Who sends.
        from: Actor,
        /// Who receives.
        to: Actor,
        /// Which.
        texts: Vec<String>,
    },
    /// Nothing leaves this client since the mark.
    Silent {
        /// Whose.
        actor: Actor,
    },
    /// The server does not send this, which was said since the mark, to a client that has not said anything itself so far.
    Withheld {
        /// Who must not get it.
        to: Actor,
        /// What.
        text: String,
    },
    /// SYN, SYN-ACK and ACK are seen.
    Handshake {
        /// Whose connection.
        actor: Actor,
    },
    /// Both sides say that they have no more to say (FIN), and nobody cuts the connection off (RST).
    OrderlyClose {
        /// Whose connections.
        actor: Actor,
    },
    /// Nobody cuts off a connection that was open.
    NoReset,
    /// Whatever the programs say to each other, they say over this transport.
    Uses {
        /// The one the sheet asks for.
        transport: Transport,
    },
    /// No request for the one is answered with the other.
    AsAsked {
        /// What asks for the date.
        date: String,
        /// What asks for the time.
        time: String,
    },
    /// What this client sends goes to an address of the server's computer, and not to one that every computer has itself.
    ByAddress {
        /// Whose.
        actor: Actor,
    },
    /// The time between successive requests lies in a range, and varies.
    Gaps {
        /// Whose requests.
        actor: Actor,
        /// The shortest allowed.
        least: Duration,
        /// The longest allowed.
        most: Duration,
        /// How many gaps are looked at.
        count: usize,
    },
}

const HELP: &str = "wire ada -> server contains \"12 + 42\", wire server -> ada contains number=54, \
wire ada -> server begins-with \"{ada}\", wire ada -> server only \"SEND_DATE\" \"SEND_TIME\", wire ada silent, wire server -> ada something, wire server -> ada withholds \"a text\", \
wire handshake ada, wire orderly-close ada, wire gaps ada from=1 to=2 count=6, wire calls-by-address ada, wire answers-as-asked date=\"SEND_DATE\" time=\"SEND_TIME\", wire uses udp, wire no-reset";

const WORDS: [&str; 13] = [
    "answers-as-asked",
    "contains",
    "begins-with",
    "only",
    "silent",
    "something",
    "handshake",
    "orderly-close",
    "gaps",
    "calls-by-address",
    "uses",
    "no-reset",
    "withholds",
];

impl Wire {
    /// Whether it can only be judged when everything is quiet.
    pub fn is_about_silence(&self) -> bool {
        matches!(
            self.sought,
            Sought::Silent { .. } | Sought::NoReset | Sought::Withheld { .. }
        )
    }

    /// Who has to do something for it to be met, if it is one actor.
    pub fn speaker(&self) -> Option<&str> {
        match &self.sought {
            Sought::Text { from, .. }
            | Sought::Number { from, .. }
            | Sought::First { from, .. }
            | Sought::Something { from, .. }
            | Sought::Only { from, .. } => Some(from),
            Sought::Silent { actor }
            | Sought::Handshake { actor }
            | Sought::ByAddress { actor }
            | Sought::Gaps { actor, .. } => Some(actor),
            Sought::OrderlyClose { .. }
            | Sought::Withheld { .. }
            | Sought::NoReset
            | Sought::Uses { .. }
            | Sought::AsAsked { .. } => None,
        }
    }

    pub(super) fn texts_mut(&mut self) -> Vec<&mut String> {
        match &mut self.sought {
            Sought::Text { text, .. }
            | Sought::First { text, .. }
            | Sought::Withheld { text, .. } => vec![text],
            Sought::Only { texts, .. } => texts.iter_mut().collect(),
            _ => Vec::new(),
        }
    }
}

impl Reader<'_> {
    /// `wire …`: see [`HELP`].
    pub(super) fn wire(&mut self, node: &KdlNode) -> Result<()> {
        let if_watched = self.flag(node, "if-watched")?;
        if self.check.is_none() || !(self.wire_check || if_watched) {
            let help = "write `needs capture` into the check, before this, or if-watched=#true";
            return Err(self.at(
                node,
                "only a check that needs a capture looks at the wire",
                "here",
                Some(help),
            ));
        }
        let words = self.strings(node)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let sought = match words[..] {
            [from, "->", to, "contains"] => {
                self.only_props(node, &["number", "within"])?;
                let number = match node.get("number") {
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "numbers in scenarios are small"
                    )]
                    Some(KdlValue::Integer(number)) => *number as f64,
                    Some(KdlValue::Float(number)) => *number,
                    _ => {
                        return Err(self.at(
                            node,
                            "what does it contain?",
                            "here",
                            Some("contains \"a text\", or contains number=54"),
                        ));
                    }
                };
                let (from, to) = self.ends(node, from, to)?;
                Sought::Number { from, to, number }
            }
            [from, "->", to, "contains", text] => {
                self.only_props(node, &["within"])?;
                let (from, to) = self.ends(node, from, to)?;
                let text = self.placeholders(node, text)?;
                Sought::Text { from, to, text }
            }
            [from, "->", to, "begins-with", text] => {
                self.only_props(node, &["within"])?;
                let (from, to) = self.ends(node, from, to)?;
                let text = self.placeholders(node, text)?;
                Sought::First { from, to, text }
            }
            [from, "->", to, "only", ref texts @ ..] if !texts.is_empty() => {
                self.only_props(node, &["within"])?;
                let (from, to) = self.ends(node, from, to)?;
                let texts = texts.iter().map(|text| self.placeholders(node, text));
                let texts = texts.collect::<Result<_>>()?;
                Sought::Only { from, to, texts }
            }
            [from, "->", to, "something"] => {
                self.only_props(node, &["within", "if-watched"])?;
                let (from, to) = self.ends(node, from, to)?;
                Sought::Something { from, to }
            }
            [SERVER, "->", to, "withholds", text] => {
                self.only_props(node, &[])?;
                let to = self.client(node, to)?;
                let text = self.placeholders(node, text)?;
                Sought::Withheld { to, text }
            }
            [actor, "silent"] => {
                self.only_props(node, &[])?;
                let actor = self.client(node, actor)?;
                Sought::Silent { actor }
            }
            ["handshake", actor] => {
                self.only_props(node, &["within"])?;
                let actor = self.client(node, actor)?;
                Sought::Handshake { actor }
            }
            ["orderly-close", actor] => {
                self.only_props(node, &["within"])?;
                let actor = self.client(node, actor)?;
                Sought::OrderlyClose { actor }
            }
            ["calls-by-address", actor] => {
                self.only_props(node, &["within"])?;
                let actor = self.client(node, actor)?;
                Sought::ByAddress { actor }
            }
            ["gaps", actor] => {
                self.only_props(node, &["from", "to", "count", "within"])?;
                let actor = self.client(node, actor)?;
                let (Some(least), Some(most)) =
                    (self.number(node, "from")?, self.number(node, "to")?)
                else {
                    return Err(self.at(
                        node,
                        "between how many seconds?",
                        "here",
                        Some("wire gaps ada from=1 to=2"),
                    ));
                };
                if least >= most {
                    return Err(self.at(node, "from= is less than to=", "here", None));
                }
                Sought::Gaps {
                    actor,
                    least: Duration::from_secs(least as u64),
                    most: Duration::from_secs(most as u64),
                    count: self.number(node, "count")?.unwrap_or(4),
                }
            }
            ["uses", transport] => {
                self.only_props(node, &["within"])?;
                let transport = match transport {
                    "udp" => Transport::Udp,
                    "tcp" => Transport::Tcp,
                    _ => {
                        return Err(self.at(
                            node,
                            "which transport?",
                            "here",
                            Some("wire uses udp, or: wire uses tcp"),
                        ));
                    }
                };
                Sought::Uses { transport }
            }
            ["answers-as-asked"] => {
                self.only_props(node, &["date", "time", "if-watched"])?;
                let text = |name| match node.get(name) {
                    Some(KdlValue::String(text)) => Ok(text.clone()),
                    _ => {
                        let help = "date=\"SEND_DATE\" time=\"SEND_TIME\"";
                        Err(self.at(node, "which requests are there?", "here", Some(help)))
                    }
                };
                let (date, time) = (text("date")?, text("time")?);
                Sought::AsAsked { date, time }
            }
            ["no-reset"] => {
                self.only_props(node, &[])?;
                Sought::NoReset
            }
            _ => {
                let near = words
                    .iter()
                    .find_map(|word| lab::nearest(word, WORDS).filter(|near| near != word));
                let help = near.map_or(HELP.to_owned(), |near| {
                    format!("did you mean `{near}`? {HELP}")
                });
                return Err(self.at(node, "what is expected of the wire?", "here", Some(&help)));
            }
        };
        let within = match node.get("within") {
            Some(_) => self.within(node)?,
            None => DEFAULT_WAIT,
        };
        self.push(
            node,
            Action::Wire(Wire {
                sought,
                within,
                if_watched,
            }),
        );
        Ok(())
    }

    fn ends(&self, node: &KdlNode, from: &str, to: &str) -> Result<(Actor, Actor)> {
        match (from, to) {
            (SERVER, client) => Ok((SERVER.to_owned(), self.client(node, client)?)),
            (client, SERVER) => Ok((self.client(node, client)?, SERVER.to_owned())),
            _ => Err(self.at(
                node,
                "clients speak with the server, not with each other",
                "here",
                Some("wire ada -> server …, or: wire server -> ada …"),
            )),
        }
    }

    fn client(&self, node: &KdlNode, name: &str) -> Result<Actor> {
        if self.clients.iter().any(|client| client == name) {
            return Ok(name.to_owned());
        }
        let near = lab::nearest(name, self.clients.iter().map(String::as_str));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("clients on stage: {}", self.clients.join(", ")),
        };
        Err(self.at(
            node,
            format!("`{name}` is no client on stage"),
            "here",
            Some(&help),
        ))
    }
}

/// As a heading: `wire ada -> server contains "12 + 42"`.
impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wire ")?;
        let quoted = |text: &str| format!("\"{}\"", text::shorten(&text::visible(text), 60));
        match &self.sought {
            Sought::Text { from, to, text } => {
                write!(f, "{from} -> {to} contains {}", quoted(text))
            }
            Sought::Number { from, to, number } => write!(f, "{from} -> {to} contains {number}"),
            Sought::First { from, to, text } => {
                write!(f, "{from} -> {to} begins-with {}", quoted(text))
            }
            Sought::Only { from, to, texts } => {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                write!(f, "{from} -> {to} only {}", texts.join(" "))
            }
            Sought::Something { from, to } => write!(f, "{from} -> {to} something"),
            Sought::Withheld { to, text } => {
                write!(f, "{SERVER} -> {to} withholds {}", quoted(text))
            }
            Sought::Silent { actor } => write!(f, "{actor} silent"),
            Sought::Handshake { actor } => write!(f, "handshake {actor}"),
            Sought::OrderlyClose { actor } => write!(f, "orderly-close {actor}"),
            Sought::ByAddress { actor } => write!(f, "calls-by-address {actor}"),
            Sought::NoReset => f.write_str("no-reset"),
            Sought::Uses { transport } => write!(f, "uses {transport}"),
            Sought::AsAsked { date, time } => {
                write!(f, "answers-as-asked {} {}", quoted(date), quoted(time))
            }
            Sought::Gaps {
                actor, least, most, ..
            } => {
                write!(
                    f,
                    "gaps {actor} from {} to {} s",
                    least.as_secs(),
                    most.as_secs()
                )
            }
        }
    }
}
