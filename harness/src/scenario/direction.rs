//! Reads one direction of a scenario: somebody does something, or something is expected.
//!
//! Directions for several become one step per actor here.

use super::model::{Action, Actors, Pattern, SERVER, See, Step};
use super::node::DEFAULT_WAIT;
use super::parse::{Reader, Result};
use crate::diagnostic::Mistake;
use crate::event::Actor;
use crate::lab::{self, Transport};
use kdl::{KdlEntry, KdlNode, KdlValue};

const STATEMENTS: [&str; 12] = [
    "check",
    "advice",
    "experiment",
    "start",
    "restart",
    "join",
    "network",
    "peer",
    "needs",
    "everyone",
    "wire",
    "fault",
];
const VERBS: [&str; 17] = [
    "types",
    "gives-name",
    "quits",
    "leaves",
    "exits",
    "dies",
    "pauses",
    "resumes",
    "sees",
    "does-not-see",
    "is-running",
    "listens",
    "sees-every-line",
    "takes-turns",
    "sends",
    "tries",
    "tells-apart",
];

/// A terminal in line mode cuts longer lines (N_TTY's buffer of 4,096 octets).
const LONGEST_TYPED: usize = 4000;

impl Reader<'_> {
    pub(super) fn step(&mut self, node: &KdlNode) -> Result<()> {
        let subject = node.name().value();
        if node.children().is_some() {
            return Err(self.at(
                node,
                format!("`{subject}` has no block"),
                "here",
                Some("only scenario, check, advice and experiment have braces"),
            ));
        }
        match subject {
            "start" => self.start(node),
            "join" => self.join(node),
            "network" => self.network(node),
            "peer" => self.peer(node),
            "wire" => self.wire(node),
            "fault" => self.fault(node),
            "restart" => self.restart(node),
            _ => self.direction(node, subject),
        }
    }

    fn start(&mut self, node: &KdlNode) -> Result<()> {
        self.only_props(node, &["as"])?;
        let namesake = match node.get("as") {
            None => None,
            Some(KdlValue::String(name)) => Some(name.clone()),
            Some(_) => Some(String::new()),
        };
        if namesake
            .as_ref()
            .is_some_and(|name| !self.clients.contains(name))
        {
            return Err(self.at(
                node,
                "as= names a client that was started before",
                "here",
                Some("start client impostor as=ada"),
            ));
        }
        let words = self.strings(node)?;
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [SERVER] if self.has_server => {
                Err(self.at(node, "the server is started once", "the second time", None))
            }
            [SERVER] => {
                self.has_server = true;
                self.push(
                    node,
                    Action::Start {
                        actor: SERVER.to_owned(),
                        namesake: None,
                    },
                );
                Ok(())
            }
            ["client", ref names @ ..] if !names.is_empty() => {
                for name in names {
                    self.enter(node, name)?;
                    self.push(
                        node,
                        Action::Start {
                            actor: (*name).to_owned(),
                            namesake: namesake.clone(),
                        },
                    );
                }
                Ok(())
            }
            _ => Err(self.at(
                node,
                "who is to be started?",
                "here",
                Some("write `start server` or `start client ada`"),
            )),
        }
    }

    /// `restart server`.
    fn restart(&mut self, node: &KdlNode) -> Result<()> {
        self.only_props(node, &[])?;
        if self.one_string(node, "server")? != SERVER || !self.has_server {
            let help = "restart server, after it was started";
            return Err(self.at(node, "only the server is restarted", "here", Some(help)));
        }
        self.push(node, Action::Restart);
        Ok(())
    }

    /// `join ada bert`: each starts a client and logs in, completely, one after the other.
    fn join(&mut self, node: &KdlNode) -> Result<()> {
        self.only_props(node, &[])?;
        for name in self.strings(node)? {
            self.enter(node, &name)?;
            self.push(
                node,
                Action::Start {
                    actor: name.clone(),
                    namesake: None,
                },
            );
            self.push(node, Action::GiveName { actor: name });
        }
        Ok(())
    }

    fn enter(&mut self, node: &KdlNode, name: &str) -> Result<()> {
        let valid = name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !valid
            || STATEMENTS.contains(&name)
            || ["others", "anyone", "any-client", "", SERVER].contains(&name)
        {
            return Err(self.at(
                node,
                format!("`{name}` cannot be a client's name"),
                "here",
                Some("use small letters: ada"),
            ));
        }
        let on_stage = self.clients.iter().any(|client| client == name);
        if on_stage && !self.gone.iter().any(|client| client == name) {
            return Err(self.at(node, format!("`{name}` is on stage already"), "here", None));
        }
        self.gone.retain(|client| client != name);
        if !on_stage {
            self.clients.push(name.to_owned());
        }
        Ok(())
    }

    /// `network address="192.0.2.10"`, `network buffers=4096`, `network carries datagrams=2`.
    fn network(&mut self, node: &KdlNode) -> Result<()> {
        if !self.strings(node)?.is_empty() {
            return self.network_carries(node);
        }
        self.only_props(node, &["address", "buffers"])?;
        if let Some(value) = node.get("address") {
            let address = value.as_string().and_then(|text| text.parse().ok());
            let address = address.ok_or_else(|| {
                self.at(
                    node,
                    "address is an IPv4 address",
                    "here",
                    Some("address=\"192.0.2.10\""),
                )
            })?;
            self.push(node, Action::AddAddress { address });
        }
        if let Some(value) = node.get("buffers") {
            let octets = value
                .as_integer()
                .and_then(|octets| u32::try_from(octets).ok())
                .filter(|octets| *octets >= 4096);
            let octets = octets.ok_or_else(|| {
                self.at(
                    node,
                    "buffers is a number of octets, at least 4096",
                    "here",
                    None,
                )
            })?;
            self.push(node, Action::SmallBuffers { octets });
        }
        Ok(())
    }

    fn network_carries(&mut self, node: &KdlNode) -> Result<()> {
        self.only_props(node, &["datagrams", "connections", "segments"])?;
        let count = |prop| {
            self.number(node, prop)
                .map(|count| count.map_or(0, |count| count as u64))
        };
        let (datagrams, connections, segments) = (
            count("datagrams")?,
            count("connections")?,
            count("segments")?,
        );
        if self.one_string(node, "`carries`")? != "carries"
            || datagrams + connections + segments == 0
        {
            let help = "network carries datagrams=2, or: network carries connections=1 segments=2";
            return Err(self.at(node, "what does the network carry?", "here", Some(help)));
        }
        self.push(
            node,
            Action::Carry {
                datagrams,
                connections,
                segments,
            },
        );
        Ok(())
    }

    /// `peer sends "text"`, `peer sends octets=60000`, `peer sends hex="ff fe"`: datagrams of the harness's own.
    fn peer(&mut self, node: &KdlNode) -> Result<()> {
        self.only_props(node, &["octets", "hex"])?;
        let words = self.strings(node)?;
        let payload = match (&words[..], node.get("octets"), node.get("hex")) {
            ([verb, text], None, None) if verb == "sends" => text.clone().into_bytes(),
            ([verb], Some(KdlValue::Integer(octets)), None)
                if verb == "sends" && (0..=65_507).contains(octets) =>
            {
                vec![b'x'; usize::try_from(*octets).unwrap_or(0)]
            }
            ([verb], None, Some(KdlValue::String(hex))) if verb == "sends" => {
                let octets: std::result::Result<Vec<u8>, _> = hex
                    .split_whitespace()
                    .map(|pair| u8::from_str_radix(pair, 16))
                    .collect();
                octets.map_err(|_| {
                    self.at(
                        node,
                        "hex is pairs of hexadecimal digits",
                        "here",
                        Some("hex=\"ff fe 00\""),
                    )
                })?
            }
            _ => {
                let help = "peer sends \"text\", or octets=60000 (at most 65507), or hex=\"ff fe\"";
                return Err(self.at(node, "a peer sends a datagram", "here", Some(help)));
            }
        };
        self.push(node, Action::SendDatagram { payload });
        Ok(())
    }

    fn direction(&mut self, node: &KdlNode, subject: &str) -> Result<()> {
        let actors = self.subjects(node, subject)?;
        let strings = self.strings(node)?;
        let Some((verb, rest)) = strings.split_first() else {
            return Err(self.at(
                node,
                format!("`{subject}` does nothing here"),
                "a verb is missing",
                Some("such as types, sees or leaves"),
            ));
        };
        let one = || match &actors {
            Actors::All(list) if list.len() == 1 => Ok(list[0].clone()),
            _ => Err(self.at(
                node,
                format!("`{verb}` is for one at a time"),
                "here",
                Some("write one step for each"),
            )),
        };
        let stimulus = |actor: Actor| -> Option<Action> {
            Some(match verb.as_str() {
                "gives-name" => Action::GiveName { actor },
                "quits" => Action::Quit { actor },
                "leaves" => Action::Leave { actor },
                "dies" => Action::Kill { actor },
                "pauses" => Action::Pause { actor },
                "resumes" => Action::Resume { actor },
                _ => return None,
            })
        };
        let action = match verb.as_str() {
            "types" => {
                self.only_props(node, &["times"])?;
                let times = self.number(node, "times")?.unwrap_or(1);
                let lines = self.lines(node, rest, times)?;
                Action::Type {
                    actor: one()?,
                    lines,
                }
            }
            "gives-name" | "quits" | "leaves" | "dies" | "pauses" | "resumes" => {
                self.only_props(node, &[])?;
                let actor = one()?;
                if ["quits", "leaves", "dies"].contains(&verb.as_str()) {
                    self.gone.push(actor.clone());
                }
                stimulus(actor).ok_or_else(|| self.at(node, "unknown verb", "here", None))?
            }
            "exits" => {
                self.only_props(node, &["within"])?;
                Action::Exit {
                    actor: one()?,
                    within: self.within(node)?,
                }
            }
            "is-running" => {
                self.only_props(node, &[])?;
                Action::Running { actor: one()? }
            }
            "tries" => {
                self.only_props(node, &[])?;
                let [line] = &self.lines(node, rest, 1)?[..] else {
                    return Err(self.at(node, "one line at a time is tried", "here", None));
                };
                Action::Try {
                    actor: one()?,
                    line: line.clone(),
                }
            }
            "tells-apart" => {
                self.only_props(node, &[])?;
                let texts = self.texts(node, rest)?.try_into();
                let texts = texts.map_err(|_| {
                    self.at(
                        node,
                        "two texts are told apart",
                        "here",
                        Some("ada tells-apart \"one text\" \"another\""),
                    )
                })?;
                Action::TellApart {
                    actor: one()?,
                    texts,
                }
            }
            "listens" => self.listens(node, &one()?, rest)?,
            "sees" => Action::See(self.see(node, actors.clone(), rest)?),
            "does-not-see" => {
                self.only_props(node, &[])?;
                Action::NotSee {
                    actors: actors.list().to_vec(),
                    pattern: Pattern::Texts(self.texts(node, rest)?),
                }
            }
            "sees-every-line" => {
                self.only_props(node, &["within", "introduced"])?;
                let introduced = self.flag(node, "introduced")?;
                Action::SeeHistory {
                    actors: actors.list().to_vec(),
                    introduced,
                    within: self.within(node)?,
                }
            }
            "takes-turns" => return self.take_turns(node, actors.list(), rest),
            _ => return Err(self.unknown_verb(node, verb)),
        };
        if action.is_stimulus()
            && let Actors::All(list) = &actors
        {
            self.last_actor = list.first().cloned();
        }
        self.push(node, action);
        Ok(())
    }

    /// `everyone takes-turns "word {n}" times=2`: each types a line, all others see it, then the next.
    fn take_turns(&mut self, node: &KdlNode, actors: &[Actor], rest: &[String]) -> Result<()> {
        self.only_props(node, &["times"])?;
        let times = self.number(node, "times")?.unwrap_or(1);
        let [template] = rest else {
            return Err(self.at(
                node,
                "takes-turns has one line as its pattern",
                "here",
                Some("takes-turns \"line {n} of {who}\""),
            ));
        };
        for round in 1..=times {
            for actor in actors {
                let line = template
                    .replace("{n}", &format!("{round:02}"))
                    .replace("{who}", actor);
                let others: Vec<Actor> = actors
                    .iter()
                    .filter(|other| *other != actor)
                    .cloned()
                    .collect();
                self.push(
                    node,
                    Action::Type {
                        actor: actor.clone(),
                        lines: vec![line.clone()],
                    },
                );
                self.push(
                    node,
                    Action::See(See {
                        actors: Actors::All(others),
                        pattern: Pattern::Texts(vec![line]),
                        within: DEFAULT_WAIT,
                        ever: false,
                        unsure: false,
                    }),
                );
            }
        }
        Ok(())
    }

    fn listens(&self, node: &KdlNode, actor: &str, rest: &[String]) -> Result<Action> {
        self.only_props(node, &[])?;
        let help = Some("server listens udp, or: server listens udp everywhere");
        if actor != SERVER {
            return Err(self.at(node, "only the server listens", "here", help));
        }
        let (transport, everywhere) = match rest.iter().map(String::as_str).collect::<Vec<_>>()[..]
        {
            ["udp"] => (Transport::Udp, false),
            ["tcp"] => (Transport::Tcp, false),
            ["udp", "everywhere"] => (Transport::Udp, true),
            ["tcp", "everywhere"] => (Transport::Tcp, true),
            _ => return Err(self.at(node, "what does the server listen on?", "here", help)),
        };
        Ok(Action::Listens {
            transport,
            everywhere,
        })
    }

    fn see(&self, node: &KdlNode, actors: Actors, rest: &[String]) -> Result<See> {
        self.only_props(node, &["number", "count", "within", "ever", "otherwise"])?;
        let count = self.number(node, "count")?.unwrap_or(1);
        let number = match node.get("number") {
            None => None,
            #[expect(clippy::cast_precision_loss, reason = "numbers in scenarios are small")]
            Some(KdlValue::Integer(number)) => Some(*number as f64),
            Some(KdlValue::Float(number)) => Some(*number),
            Some(_) => return Err(self.at(node, "number is a number", "here", Some("number=54"))),
        };
        // Quoted texts are looked for; bare words name kinds of things.
        let bare = |entry: &&KdlEntry| {
            let span = entry.span();
            entry.name().is_none()
                && !self.source.text[span.offset()..span.offset() + span.len()]
                    .trim_start()
                    .starts_with(['"', '#'])
        };
        let kinds: Vec<&str> = node
            .entries()
            .iter()
            .filter(bare)
            .skip(1)
            .filter_map(|entry| entry.value().as_string())
            .collect();
        let pattern = match (&kinds[..], rest, number) {
            ([], [], Some(number)) => Pattern::Number(number),
            (["time"], [_], None) => Pattern::Time { count },
            (["date"], [_], None) => Pattern::Date,
            (["answer"], [_], None) => Pattern::Answer { count },
            (["something"], [_], None) => Pattern::Something { new: false },
            (["something-new"], [_], None) => Pattern::Something { new: true },
            (["words"], [_, words @ ..], None) if !words.is_empty() => {
                Pattern::OneLine(self.texts(node, words)?)
            }
            ([], [_, ..], None) => Pattern::Texts(self.texts(node, rest)?),
            _ => {
                let help = "sees \"text\", sees number=54, sees time, sees date, sees answer, sees something, sees something-new, sees words \"session\" \"ended\"";
                return Err(self.at(node, "what is to be seen?", "here", Some(help)));
            }
        };
        let unsure = match node.get("otherwise") {
            None => false,
            Some(KdlValue::String(word)) if word == "inconclusive" => true,
            Some(_) => {
                return Err(self.at(node, "otherwise can only be `inconclusive`", "here", None));
            }
        };
        let ever = self.flag(node, "ever")?;
        Ok(See {
            actors,
            pattern,
            within: self.within(node)?,
            ever,
            unsure,
        })
    }

    fn subjects(&self, node: &KdlNode, subject: &str) -> Result<Actors> {
        let present: Vec<Actor> = self
            .clients
            .iter()
            .filter(|client| !self.gone.contains(client))
            .cloned()
            .collect();
        match subject {
            SERVER if self.has_server => Ok(Actors::All(vec![SERVER.to_owned()])),
            "everyone" => Ok(Actors::All(present)),
            "others" => {
                let others = present
                    .into_iter()
                    .filter(|client| Some(client) != self.last_actor.as_ref())
                    .collect();
                Ok(Actors::All(others))
            }
            "anyone" => Ok(Actors::Any(
                present.into_iter().chain([SERVER.to_owned()]).collect(),
            )),
            "any-client" => Ok(Actors::Any(present)),
            _ if self.clients.iter().any(|client| client == subject) => {
                Ok(Actors::All(vec![subject.to_owned()]))
            }
            _ => {
                let known: Vec<&str> = self
                    .clients
                    .iter()
                    .map(String::as_str)
                    .chain(STATEMENTS)
                    .chain(self.has_server.then_some(SERVER))
                    .chain(["others", "anyone", "any-client"])
                    .collect();
                Err(self.unknown(node, "actor or statement", &known))
            }
        }
    }

    fn lines(&self, node: &KdlNode, texts: &[String], times: usize) -> Result<Vec<String>> {
        if texts.is_empty() {
            return Err(self.at(node, "what is typed?", "here", Some("types \"12 + 42\"")));
        }
        let texts = self.texts(node, texts)?;
        if times > 99 {
            return Err(self.at(
                node,
                "a line is repeated at most 99 times",
                "here",
                Some("{n} has two digits"),
            ));
        }
        if texts.iter().any(|text| text.len() > LONGEST_TYPED) {
            return Err(self.at(
                node,
                format!("a terminal takes lines of at most {LONGEST_TYPED} octets"),
                "here",
                None,
            ));
        }
        Ok((1..=times)
            .flat_map(|n| {
                texts
                    .iter()
                    .map(move |text| text.replace("{n}", &format!("{n:02}")))
            })
            .collect())
    }

    /// Texts with `{repeat:N:x}` expanded. `{ada}` (a login name) and `{n}` stay for later.
    fn texts(&self, node: &KdlNode, texts: &[String]) -> Result<Vec<String>> {
        texts
            .iter()
            .map(|text| self.placeholders(node, text))
            .collect()
    }

    pub(super) fn placeholders(&self, node: &KdlNode, text: &str) -> Result<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let Some(close) = rest[open..].find('}').map(|close| open + close) else {
                break;
            };
            out.push_str(&rest[..open]);
            let inner = &rest[open + 1..close];
            if let Some((count, piece)) = inner
                .strip_prefix("repeat:")
                .and_then(|inner| inner.split_once(':'))
            {
                let count: usize = count
                    .parse()
                    .ok()
                    .filter(|count| *count <= 4000)
                    .ok_or_else(|| {
                        self.at(
                            node,
                            "repeat takes a number up to 4000",
                            "here",
                            Some("{repeat:3000:x}"),
                        )
                    })?;
                out.push_str(&piece.repeat(count));
            } else if inner == "n"
                || inner == "word"
                || self.clients.iter().any(|client| client == inner)
            {
                out.push_str(&rest[open..=close]);
            } else {
                let known = self.clients.iter().map(String::as_str).chain(["n", "word"]);
                let help =
                    lab::nearest(inner, known).map(|near| format!("did you mean {{{near}}}?"));
                return Err(self.at(
                    node,
                    format!("`{{{inner}}}` stands for nothing"),
                    "unknown placeholder",
                    help.as_deref(),
                ));
            }
            rest = &rest[close + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    pub(super) fn push(&mut self, node: &KdlNode, action: Action) {
        self.steps.push(Step {
            place: self.place(node.name().span()),
            check: self.check,
            action,
        });
    }

    fn unknown_verb(&self, node: &KdlNode, verb: &str) -> Box<Mistake> {
        let help = match lab::nearest(verb, VERBS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("verbs: {}", VERBS.join(", ")),
        };
        let span = node
            .entries()
            .first()
            .map_or_else(|| node.name().span(), KdlEntry::span);
        self.source.mistake(
            span,
            format!("`{verb}` is nothing an actor can do"),
            "unknown verb",
            help,
        )
    }
}
