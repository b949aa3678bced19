//! Requests and replies over TCP: so many sessions, each with so many requests under way.
//!
//! What comes back is compared octet by octet with what has to. All replies within reach of each other differ, so
//! that a missing, doubled or swapped one is seen. redis gets `PING` with a text as long as the calculation and has
//! to give it back.

use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    Delays, Duty, LoadError, PATIENCE, Window, connection::Connections, shown, take_steps,
};
use crate::figures::Measured;

/// Requests after which they begin anew.
const EXCHANGES: usize = 1024;

/// The language of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// That of the calculator: a name, then operations.
    Lines,
    /// That of redis: `PING` as a person would type it.
    Redis,
}

/// How much is asked of the server at once.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Connections.
    pub sessions: usize,
    /// Requests of each that are not answered yet.
    pub in_flight: u64,
}

/// A request and the only right reply to it, both with the end of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    request: Vec<u8>,
    reply: Vec<u8>,
}

/// All requests, in the order in which they are asked.
pub fn exchanges(dialect: Dialect) -> Vec<Exchange> {
    let mut answers = HashSet::new();
    (1..)
        .map(calculation)
        // Some differences are products, too.
        .filter(|(_, answer)| answers.insert(answer.clone()))
        .map(|(request, answer)| match dialect {
            Dialect::Lines => Exchange {
                request: format!("{request}\n").into(),
                reply: format!("= {answer}\n").into(),
            },
            Dialect::Redis => {
                let text = request.replace(' ', "_");
                Exchange {
                    request: format!("PING {text}\r\n").into(),
                    reply: format!("${}\r\n{text}\r\n", text.len()).into(),
                }
            }
        })
        .take(EXCHANGES)
        .collect()
}

/// One of endlessly many calculations, and its exact answer.
fn calculation(number: i64) -> (String, String) {
    let (hundredths, tenths) = (100 * number + 7 * number % 100, number % 97 + 1);
    let tenths = if number % 3 == 0 { -tenths } else { tenths };
    let (big, small) = (decimal(hundredths, 2), decimal(tenths, 1));
    match number % 4 {
        0 => {
            let answer = decimal(hundredths + 10 * tenths, 2);
            (format!("{big} + {small}"), answer)
        }
        1 => {
            let answer = decimal(hundredths - 10 * tenths, 2);
            (format!("{big} - {small}"), answer)
        }
        2 => {
            let answer = decimal(hundredths * tenths, 3);
            (format!("{big} * {small}"), answer)
        }
        _ => {
            let product = decimal(hundredths * tenths, 3);
            (format!("{product} / {small}"), big)
        }
    }
}

/// A number given in units of 10^-places, as short as it can be written.
fn decimal(value: i64, places: usize) -> String {
    let digits = format!("{:0width$}", value.abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let text = format!("{whole}.{fraction}");
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What one session has asked and has to be told. Octets in, replies out.
#[derive(Debug)]
pub struct Replies<'a> {
    session: usize,
    exchanges: &'a [Exchange],
    /// What comes before the first reply.
    greeting: Vec<u8>,
    greeted: bool,
    asked: u64,
    answered: u64,
}

impl<'a> Replies<'a> {
    /// A session that first gets this greeting, if it is not empty. Each session begins at another exchange.
    pub fn new(session: usize, exchanges: &'a [Exchange], greeting: &str) -> Self {
        Self {
            session,
            exchanges,
            greeting: greeting.into(),
            greeted: false,
            asked: 0,
            answered: 0,
        }
    }

    fn exchange(&self, number: u64) -> &'a Exchange {
        let number = usize::try_from(number).expect("not so many requests fit into a run");
        &self.exchanges[(self.session * 31 + number) % self.exchanges.len()]
    }

    /// Appends the next request.
    pub fn ask(&mut self, requests: &mut Vec<u8>) {
        requests.extend_from_slice(&self.exchange(self.asked).request);
        self.asked += 1;
    }

    /// Takes what has come, of which the first octet begins a reply. Returns how many octets were whole replies,
    /// and how many replies.
    ///
    /// # Errors
    /// What has come is, or is going to be, something else than the right replies in the right order.
    pub fn accept(&mut self, octets: &[u8]) -> Result<(usize, u64), LoadError> {
        let (mut used, before) = (0, self.answered);
        loop {
            let rest = &octets[used..];
            if rest.is_empty() && self.greeted {
                break;
            }
            let expected = if !self.greeted {
                self.greeting.as_slice()
            } else if self.answered < self.asked {
                &self.exchange(self.answered).reply
            } else {
                return Err(self.wrong("nothing", rest));
            };
            if rest.starts_with(expected) {
                used += expected.len();
                if self.greeted {
                    self.answered += 1;
                }
                self.greeted = true;
            } else if expected.starts_with(rest) {
                break;
            } else {
                return Err(self.wrong(&shown(expected), rest));
            }
        }
        Ok((used, self.answered - before))
    }

    /// Requests that are not answered yet.
    pub fn outstanding(&self) -> u64 {
        self.asked - self.answered
    }

    fn who(&self) -> String {
        format!("session {}", self.session)
    }

    fn next(&self) -> String {
        if !self.greeted {
            return format!("session {}: the greeting", self.session);
        }
        format!(
            "session {}: reply {} of {}",
            self.session, self.answered, self.asked
        )
    }

    fn wrong(&self, expected: &str, got: &[u8]) -> LoadError {
        // redis needs two lines for a reply.
        let lines = if got.starts_with(b"$") { 2 } else { 1 };
        let len = memchr::memchr_iter(b'\n', got).nth(lines - 1);
        let got = &got[..len.map_or(got.len(), |end| end + 1)];
        let near = self.answered.saturating_sub(64)..self.answered + 64;
        let place = match near.clone().find(|&at| self.exchange(at).reply == got) {
            Some(at) if at < self.answered => " (an earlier reply again, or out of order)",
            Some(_) => " (a later reply: one is missing, or out of order)",
            None => "",
        };
        LoadError::Wrong(format!(
            "{}: expected {expected}, got {}{place}",
            self.next(),
            shown(got)
        ))
    }
}

/// Asks for the given time, then waits for all replies.
///
/// # Errors
/// A reply was wrong, missing, doubled or out of order, a connection failed, or somebody wants to stop.
pub fn measure(
    server: SocketAddr,
    dialect: Dialect,
    scale: Scale,
    duty: &Duty,
) -> Result<Measured, LoadError> {
    let exchanges = exchanges(dialect);
    let mut load = Load {
        duty,
        connections: Connections::new()?,
        sessions: Vec::new(),
        sent: vec![VecDeque::new(); scale.sessions],
        in_flight: scale.in_flight,
        answered: 0,
        delays: Delays::new(),
        progress: Instant::now(),
        requests: Vec::new(),
    };
    for id in 0..scale.sessions {
        let (login, greeting) = match dialect {
            Dialect::Lines => (format!("s{id}\n"), format!("hello s{id}\n")),
            Dialect::Redis => (String::new(), String::new()),
        };
        let session = Replies::new(id, &exchanges, &greeting);
        load.connections.connect(server, &session.who())?;
        load.connections.send(id, login.as_bytes())?;
        load.sessions.push(session);
    }
    load.until(|sessions| sessions.iter().all(|s| s.greeted || s.greeting.is_empty()))?;
    for id in 0..scale.sessions {
        load.ask(id, scale.in_flight)?;
    }
    load.run(duty.time / 8)?;
    load.delays.clear();
    let window = Window::open(duty, load.answered)?;
    load.run(duty.time)?;
    let measured = window.close(duty, load.answered, &load.delays)?;
    load.in_flight = 0;
    load.until(|sessions| sessions.iter().all(|s| s.outstanding() == 0))?;
    // One more of each: whatever was sent twice would come before it.
    for id in 0..scale.sessions {
        load.ask(id, 1)?;
    }
    load.until(|sessions| sessions.iter().all(|s| s.outstanding() == 0))?;
    Ok(measured)
}

struct Load<'a> {
    duty: &'a Duty,
    connections: Connections,
    sessions: Vec<Replies<'a>>,
    /// When each outstanding request of each session was sent.
    sent: Vec<VecDeque<Instant>>,
    /// Requests that each session is to have under way.
    in_flight: u64,
    answered: u64,
    delays: Delays,
    /// When the last reply came.
    progress: Instant,
    requests: Vec<u8>,
}

impl Load<'_> {
    fn run(&mut self, time: Duration) -> Result<(), LoadError> {
        take_steps(time, |left| self.step(left))
    }

    fn until(&mut self, reached: impl Fn(&[Replies<'_>]) -> bool) -> Result<(), LoadError> {
        self.progress = Instant::now();
        while !reached(&self.sessions) {
            self.step(PATIENCE)?;
        }
        Ok(())
    }

    fn ask(&mut self, id: usize, count: u64) -> Result<(), LoadError> {
        self.requests.clear();
        let now = Instant::now();
        for _ in 0..count {
            self.sessions[id].ask(&mut self.requests);
            self.sent[id].push_back(now);
        }
        self.connections.send(id, &self.requests)
    }

    fn step(&mut self, most: Duration) -> Result<(), LoadError> {
        let happened = self.connections.wait(self.duty, most)?;
        for event in 0..happened {
            let (id, Some(len)) = self.connections.read(event)? else {
                continue;
            };
            let id = usize::try_from(id).expect("it is an index");
            let session = &mut self.sessions[id];
            let (used, replies) = session.accept(self.connections.input(len))?;
            let outstanding = session.outstanding();
            self.connections.keep(id, used..len);
            if replies == 0 {
                continue;
            }
            self.progress = Instant::now();
            self.answered += replies;
            for sent in self.sent[id].drain(..replies as usize) {
                self.delays.note(self.progress - sent, 1);
            }
            let more = self.in_flight.saturating_sub(outstanding);
            if more > 0 {
                self.ask(id, more)?;
            }
        }
        if self.progress.elapsed() > PATIENCE {
            let late = self
                .sessions
                .iter()
                .find(|s| s.outstanding() > 0 || !s.greeted);
            return Err(LoadError::Missing {
                what: late.map_or_else(String::new, Replies::next),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        for (value, places, text) in [
            (5400, 2, "54"),
            (14580, 2, "145.8"),
            (-75, 2, "-0.75"),
            (5, 3, "0.005"),
            (0, 2, "0"),
        ] {
            assert_eq!(decimal(value, places), text);
        }
    }

    #[test]
    fn all_replies_differ() {
        for dialect in [Dialect::Lines, Dialect::Redis] {
            let exchanges = exchanges(dialect);
            let replies: HashSet<_> = exchanges.iter().map(|e| &e.reply).collect();
            assert_eq!(replies.len(), EXCHANGES);
        }
    }

    #[test]
    fn a_ping_is_as_long_as_a_calculation() {
        let (lines, pings) = (exchanges(Dialect::Lines), exchanges(Dialect::Redis));
        for (line, ping) in lines.iter().zip(&pings) {
            assert_eq!(
                line.request.len() - 1,
                ping.request.len() - "PING \r\n".len()
            );
        }
    }

    /// Four exchanges whose replies are `r0` to `r3`, all asked.
    fn check(octets: &str, expected: Result<(usize, u64), &str>) {
        let exchanges: Vec<_> = (0..4)
            .map(|n| Exchange {
                request: format!("q{n}\n").into(),
                reply: format!("r{n}\n").into(),
            })
            .collect();
        let mut replies = Replies::new(0, &exchanges, "hello\n");
        let mut requests = Vec::new();
        for _ in 0..3 {
            replies.ask(&mut requests);
        }
        assert_eq!(requests, b"q0\nq1\nq2\n");
        match (replies.accept(octets.as_bytes()), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected),
            (Err(error), Err(part)) => {
                let error = error.to_string();
                assert!(error.contains(part), "{error} lacks {part}");
            }
            (got, expected) => panic!("{octets:?}: {got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn right_replies_are_taken_as_they_come() {
        check("", Ok((0, 0)));
        check("hel", Ok((0, 0)));
        check("hello\n", Ok((6, 0)));
        check("hello\nr0\nr", Ok((9, 1)));
        check("hello\nr0\nr1\nr2\n", Ok((15, 3)));
    }

    #[test]
    fn each_kind_of_fault_is_named() {
        check(
            "r0\n",
            Err("session 0: the greeting: expected \"hello\\n\", got \"r0\\n\""),
        );
        check(
            "hello\nwrong\n",
            Err("reply 0 of 3: expected \"r0\\n\", got \"wrong\\n\""),
        );
        check("hello\nr\n", Err("reply 0 of 3"));
        check(
            "hello\nr0\nr0\n",
            Err("reply 1 of 3: expected \"r1\\n\", got \"r0\\n\" (an earlier"),
        );
        check(
            "hello\nr0\nr2\n",
            Err("reply 1 of 3: expected \"r1\\n\", got \"r2\\n\" (a later"),
        );
        check(
            "hello\nr0\nr1\nr2\nr3\n",
            Err("reply 3 of 3: expected nothing, got \"r3\\n\""),
        );
    }
}
