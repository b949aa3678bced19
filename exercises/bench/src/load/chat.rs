//! A chat room full of members, of whom some talk and all listen. Every line that arrives is checked at every
//! member: once, in its sender's order, nothing before joining and nothing missed after it. While the talk goes
//! on, some come late.
//!
//! A line is fifty octets or so, of which forty are the text: who speaks, the number of the line, when it was due.

use std::{
    net::SocketAddr,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use nix::sys::{
    epoll::{EpollEvent, EpollFlags},
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

use super::{
    Delays, Duty, LoadError, PATIENCE, Window, connection::Connections, shown, take_steps,
};
use crate::figures::{self, Measured};

/// Octets of every text.
const TEXT_LEN: usize = 40;
/// Where in a text the number of the line and the time are.
const NUMBER: std::ops::Range<usize> = 3..11;
const TIME: std::ops::Range<usize> = 12..28;
const FILLING: &[u8; TEXT_LEN - 28] = b" xxxxxxxxxxx";

/// So many log in before the others look what they have been told.
const LOGINS: usize = 50;

/// The id of the timer, beyond those of connections.
const TIMER: u64 = u64::MAX;

/// The language of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// That of the chat room.
    Room,
    /// `SUBSCRIBE` and `PUBLISH`. A subscriber cannot publish, so that talkers have a second connection.
    Redis,
    /// `SUB` and `PUB`, without echo.
    Nats,
}

/// How much there is to say.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many lines of each talker that not everybody has got.
    InFlight(u64),
    /// So many deliveries a second, one line after the other.
    Deliveries(u64),
}

/// Who is there.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// All members, those who come late not included.
    pub members: usize,
    /// Those who talk, 100 at most.
    pub talkers: usize,
    /// Those who join during the talk.
    pub late: usize,
}

impl Dialect {
    /// What a member says first.
    fn login(self, name: &str) -> String {
        match self {
            Self::Room => format!("LOGIN {name}\n"),
            Self::Redis => "SUBSCRIBE room\r\n".to_owned(),
            Self::Nats => {
                "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\nSUB room 1\r\nPING\r\n".to_owned()
            }
        }
    }

    /// Appends what a talker sends for a text.
    fn say(self, text: &[u8; TEXT_LEN], octets: &mut Vec<u8>) {
        let (before, after): (&[u8], &[u8]) = match self {
            Self::Room => (b"SAY ", b"\n"),
            Self::Redis => (b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n$40\r\n", b"\r\n"),
            Self::Nats => (b"PUB room 40\r\n", b"\r\n"),
        };
        octets.extend_from_slice(before);
        octets.extend_from_slice(text);
        octets.extend_from_slice(after);
    }

    /// What comes before and after the text at a listener. The `00` of a room's line is the talker.
    fn frame(self) -> (&'static [u8], &'static [u8]) {
        match self {
            Self::Room => (b"LINE t00: ", b"\n"),
            Self::Redis => (b"*3\r\n$7\r\nmessage\r\n$4\r\nroom\r\n$40\r\n", b"\r\n"),
            Self::Nats => (b"MSG room 1 40\r\n", b"\r\n"),
        }
    }
}

fn member_name(member: usize, talkers: usize) -> String {
    if member < talkers {
        format!("t{member:02}")
    } else {
        format!("m{member}")
    }
}

/// The text of a line.
fn text(talker: usize, number: u64, time: Duration) -> [u8; TEXT_LEN] {
    let mut text = [b' '; TEXT_LEN];
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    write_digits(&mut text[0..2], talker as u64);
    write_digits(&mut text[NUMBER], number);
    write_digits(&mut text[TIME], micros);
    text[TIME.end..].copy_from_slice(FILLING);
    text
}

fn write_digits(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// The number that these digits are, eight at a time if possible.
fn digits(text: &[u8]) -> Option<u64> {
    let (eights, rest) = text.as_chunks();
    let eights = eights
        .iter()
        .map(|&eight| Some((100_000_000, eight_digits(eight)?)));
    let rest = rest.iter().map(|digit| {
        let value = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some((10, value))
    });
    eights.chain(rest).try_fold(0, |value: u64, part| {
        let (factor, part) = part?;
        value.checked_mul(factor)?.checked_add(part)
    })
}

/// Eight digits as one word: every line of every member is read here, and one digit after the other would cost
/// as much as all the rest of it.
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    let word = u64::from_le_bytes(digits);
    // Digits are 0x30 to 0x39: their upper half is 3, also with 6 added.
    let upper = word & 0xf0f0_f0f0_f0f0_f0f0;
    let upper_of_more = word.wrapping_add(0x0606_0606_0606_0606) & 0xf0f0_f0f0_f0f0_f0f0;
    if upper != 0x3030_3030_3030_3030 || upper_of_more != upper {
        return None;
    }
    // Neighbours are joined: digits to pairs, pairs to fours, fours to the whole.
    let word = (word & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(10 << 8 | 1) >> 8;
    let word = (word & 0x00ff_00ff_00ff_00ff).wrapping_mul(100 << 16 | 1) >> 16;
    let word = (word & 0x0000_ffff_0000_ffff).wrapping_mul(10_000 << 32 | 1) >> 32;
    Some(word)
}

/// One line of the talk, as it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who has said it.
    pub talker: usize,
    /// Which of their lines it is, counted from 0.
    pub number: u64,
    /// When it was due, counted from the start of the load.
    pub time: Duration,
}

/// What one member hears, and has to. Octets in, lines out.
#[derive(Debug)]
pub struct Ear {
    dialect: Dialect,
    name: String,
    /// The talker it belongs to, who does not hear itself.
    own: Option<usize>,
    welcomed: bool,
    talkers: Vec<Ahead>,
}

/// What comes next from one talker.
#[derive(Clone, Copy, Debug)]
enum Ahead {
    /// Nothing has been heard yet; the first line has one of these numbers.
    First { from: u64, to: u64 },
    /// Exactly this number.
    Next(u64),
}

impl Ear {
    /// A member who joins when so many lines of each talker have been heard by somebody already: those are
    /// nothing for this one.
    pub fn new(dialect: Dialect, name: String, own: Option<usize>, heard: &[u64]) -> Self {
        let ahead = heard
            .iter()
            .map(|&from| Ahead::First { from, to: u64::MAX });
        Self {
            dialect,
            name,
            own,
            welcomed: false,
            talkers: ahead.collect(),
        }
    }

    /// It knows that it is in, when so many lines of each talker had been said: none of those that come is to be
    /// missed.
    fn is_in(&mut self, said: &[u64]) {
        for (ahead, &said) in self.talkers.iter_mut().zip(said) {
            if let Ahead::First { to, .. } = ahead {
                *to = said;
            }
        }
        self.welcomed = true;
    }

    /// Takes what has come, of which the first octet begins a message, when so many lines of each talker have
    /// been said. Returns how many octets were whole messages.
    ///
    /// # Errors
    /// A line is wrong, missing, doubled, out of order, their own, or from before they joined.
    pub fn hear(
        &mut self,
        octets: &[u8],
        said: &[u64],
        mut line: impl FnMut(Heard),
    ) -> Result<usize, LoadError> {
        let (before, after) = self.dialect.frame();
        let len = before.len() + TEXT_LEN + after.len();
        let mut used = 0;
        loop {
            let rest = &octets[used..];
            let frame = rest.get(..len).filter(|rest| rest[..5] == before[..5]);
            if let Some(frame) = frame
                && (self.welcomed || self.dialect == Dialect::Nats)
            {
                line(self.line(frame)?);
                used += len;
                continue;
            }
            match self.other(rest, said)? {
                0 => return Ok(used),
                len => used += len,
            }
        }
    }

    /// Checks a whole line of the talk.
    fn line(&mut self, frame: &[u8]) -> Result<Heard, LoadError> {
        let (before, after) = self.dialect.frame();
        let (head, rest) = frame.split_at(before.len());
        let (text, tail) = rest.split_at(TEXT_LEN);
        let strange = || self.wrong(&format!("strange: {}", shown(frame)));
        let talker = digits(&text[..2]).ok_or_else(strange)?;
        let number = digits(&text[NUMBER]).ok_or_else(strange)?;
        let time = digits(&text[TIME]).ok_or_else(strange)?;
        let right_head = match self.dialect {
            // The name is that of the talker in the text.
            Dialect::Room => {
                head[..6] == before[..6] && head[6..8] == text[..2] && head[8..] == before[8..]
            }
            Dialect::Redis | Dialect::Nats => head == before,
        };
        let talker = usize::try_from(talker).unwrap_or(usize::MAX);
        if !right_head
            || tail != after
            || &text[TIME.end..] != FILLING
            || talker >= self.talkers.len()
        {
            return Err(strange());
        }
        if self.own == Some(talker) && self.dialect != Dialect::Redis {
            return Err(self.wrong(&format!("got its own line {number} back")));
        }
        match self.talkers[talker] {
            Ahead::Next(next) if number == next => {}
            Ahead::First { from, to } if (from..=to).contains(&number) => {}
            Ahead::First { from, .. } if number < from => {
                return Err(self.wrong(&format!(
                    "got line {number} of talker {talker}, which others had heard before this one joined"
                )));
            }
            Ahead::Next(next) | Ahead::First { to: next, .. } => {
                let what = if number > next {
                    "missing, or out of order"
                } else {
                    "doubled, or out of order"
                };
                return Err(self.wrong(&format!(
                    "expected line {next} of talker {talker}, got {number}: {what}"
                )));
            }
        }
        self.talkers[talker] = Ahead::Next(number + 1);
        Ok(Heard {
            talker,
            number,
            time: Duration::from_micros(time),
        })
    }

    /// Takes what is no whole line of the talk; returns its length, 0 if it is not complete yet.
    fn other(&mut self, rest: &[u8], said: &[u64]) -> Result<usize, LoadError> {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return Ok(0);
        };
        let (line, len) = (&rest[..=end], end + 1);
        let is = |word: &str| line.starts_with(word.as_bytes());
        match self.dialect {
            Dialect::Room if !self.welcomed => {
                if line == format!("WELCOME {}\n", self.name).as_bytes() {
                    self.is_in(said);
                    return Ok(len);
                }
            }
            Dialect::Room => {
                if ["JOINED ", "LEFT ", "LOST "].into_iter().any(is) {
                    return Ok(len);
                }
            }
            Dialect::Redis if !self.welcomed => {
                let welcome = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nroom\r\n:1\r\n";
                if rest.starts_with(welcome) {
                    self.is_in(said);
                    return Ok(welcome.len());
                }
                if welcome.starts_with(rest) {
                    return Ok(0);
                }
            }
            Dialect::Redis => {
                if self.dialect.frame().0.starts_with(rest)
                    || rest.starts_with(self.dialect.frame().0)
                {
                    return Ok(0);
                }
            }
            Dialect::Nats => {
                if !self.welcomed && line == b"PONG\r\n" {
                    self.is_in(said);
                    return Ok(len);
                }
                // It gives up on who does not answer its second ping, four minutes later: no load takes so long.
                if is("INFO ") || line == b"PING\r\n" {
                    return Ok(len);
                }
                if line == self.dialect.frame().0 {
                    return Ok(0);
                }
            }
        }
        let joined = if self.welcomed { "" } else { "before joining " };
        Err(self.wrong(&format!("{joined}got {}", shown(line))))
    }

    /// Whether everything has been heard, when so many lines of each talker have been said.
    ///
    /// # Errors
    /// The first that is missing.
    pub fn has_heard(&self, said: &[u64]) -> Result<(), LoadError> {
        for (talker, (ahead, &said)) in self.talkers.iter().zip(said).enumerate() {
            let all = match *ahead {
                _ if self.own == Some(talker) && self.dialect != Dialect::Redis => true,
                Ahead::First { from, to } => said <= to.max(from),
                Ahead::Next(next) => next == said,
            };
            if !all {
                let first = match *ahead {
                    Ahead::First { to: next, .. } | Ahead::Next(next) => next,
                };
                let what = format!("{}: line {first} of talker {talker}", self.name);
                return Err(LoadError::Missing { what });
            }
        }
        Ok(())
    }

    fn wrong(&self, what: &str) -> LoadError {
        LoadError::Wrong(format!("member {}: {what}", self.name))
    }
}

/// Fills a room, lets them talk for the given time, and waits until everybody has got everything.
///
/// # Errors
/// A line was wrong, missing, doubled or out of order, a connection failed, or somebody wants to stop.
pub fn measure(
    server: SocketAddr,
    dialect: Dialect,
    scale: Scale,
    pace: Pace,
    duty: &Duty,
) -> Result<Measured, LoadError> {
    let empty = figures::memory(duty.process)?.resident_kib;
    let mut crowd = Crowd::gather(server, dialect, scale, duty)?;
    crowd.fence()?;
    let full = figures::memory(duty.process)?.resident_kib;
    let timer = match pace {
        Pace::InFlight(lines) => {
            crowd.in_flight = lines;
            None
        }
        Pace::Deliveries(rate) => Some(crowd.start_timer(rate)?),
    };
    crowd.beat = timer;
    for _ in 0..scale.late {
        crowd.run(duty.time / 8 / scale.late as u32)?;
        crowd.join()?;
    }
    crowd.delays.clear();
    let window = Window::open(duty, crowd.deliveries)?;
    crowd.run(duty.time)?;
    let mut measured = window.close(duty, crowd.deliveries, &crowd.delays)?;
    crowd.in_flight = 0;
    crowd.beat = None;
    crowd.hear_all()?;
    // In the delays of a given pace those count, too, that the server still owed.
    if let Pace::Deliveries(_) = pace {
        measured = Measured {
            p50: crowd.delays.at(0.5),
            p99: crowd.delays.at(0.99),
            ..measured
        };
    }
    // Whatever was sent twice would come before these.
    crowd.fence()?;
    measured.idle_kib = Some(full.saturating_sub(empty) as f64 / scale.members as f64);
    Ok(measured)
}

/// What a connection is for.
enum Role {
    Listener(Ear),
    /// The second connection of a talker, to redis, which is told how many have got each line.
    Publisher {
        acknowledged: u64,
    },
}

/// When which lines are due.
struct Beat {
    timer: TimerFd,
    start: Instant,
    gap: Duration,
    lines: u32,
}

struct Crowd<'a> {
    duty: &'a Duty,
    server: SocketAddr,
    dialect: Dialect,
    scale: Scale,
    start: Instant,
    connections: Connections,
    /// Of each connection.
    roles: Vec<Role>,
    /// The connection of each talker.
    mouths: Vec<usize>,
    /// How many of the roles are ears.
    ears: usize,
    welcomed: usize,
    said: Vec<u64>,
    /// Deliveries of each talker's lines to those who were there from the start.
    delivered: Vec<u64>,
    /// Lines of each talker that somebody has heard.
    heard: Vec<u64>,
    deliveries: u64,
    in_flight: u64,
    beat: Option<Beat>,
    delays: Delays,
    progress: Instant,
    octets: Vec<u8>,
}

impl<'a> Crowd<'a> {
    fn gather(
        server: SocketAddr,
        dialect: Dialect,
        scale: Scale,
        duty: &'a Duty,
    ) -> Result<Self, LoadError> {
        let mut crowd = Self {
            duty,
            server,
            dialect,
            scale,
            start: Instant::now(),
            connections: Connections::new()?,
            roles: Vec::new(),
            mouths: Vec::new(),
            ears: 0,
            welcomed: 0,
            said: vec![0; scale.talkers],
            delivered: vec![0; scale.talkers],
            heard: vec![0; scale.talkers],
            deliveries: 0,
            in_flight: 0,
            beat: None,
            delays: Delays::new(),
            progress: Instant::now(),
            octets: Vec::new(),
        };
        for member in 0..scale.members {
            let id = crowd.log_in()?;
            if member < scale.talkers && dialect != Dialect::Redis {
                crowd.mouths.push(id);
            }
            if crowd.ears.is_multiple_of(LOGINS) {
                crowd.until_welcomed()?;
            }
        }
        crowd.until_welcomed()?;
        if dialect == Dialect::Redis {
            for talker in 0..scale.talkers {
                let id = crowd
                    .connections
                    .connect(server, &format!("talker {talker}"))?;
                crowd.roles.push(Role::Publisher { acknowledged: 0 });
                crowd.mouths.push(id);
            }
        }
        Ok(crowd)
    }

    fn log_in(&mut self) -> Result<usize, LoadError> {
        let name = member_name(self.ears, self.scale.talkers);
        let own = (self.ears < self.scale.talkers).then_some(self.ears);
        let id = self
            .connections
            .connect(self.server, &format!("member {name}"))?;
        self.connections
            .send(id, self.dialect.login(&name).as_bytes())?;
        let ear = Ear::new(self.dialect, name, own, &self.heard);
        self.roles.push(Role::Listener(ear));
        self.ears += 1;
        Ok(id)
    }

    /// Somebody comes late.
    fn join(&mut self) -> Result<(), LoadError> {
        self.log_in()?;
        self.until_welcomed()
    }

    fn until_welcomed(&mut self) -> Result<(), LoadError> {
        self.progress = Instant::now();
        while self.welcomed < self.ears {
            self.step(PATIENCE)?;
        }
        Ok(())
    }

    /// Everybody says one more line, and everybody hears it: whatever was under way has arrived before it.
    fn fence(&mut self) -> Result<(), LoadError> {
        for talker in 0..self.scale.talkers {
            self.say(talker, 1, self.start.elapsed())?;
        }
        self.hear_all()
    }

    fn start_timer(&self, deliveries: u64) -> Result<Beat, LoadError> {
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        let gap = Duration::from_secs(1).mul_f64(self.hearers() as f64 / deliveries as f64);
        timer.set(
            Expiration::Interval(TimeSpec::from_duration(gap)),
            TimerSetTimeFlags::empty(),
        )?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, TIMER);
        self.connections.epoll().add(timer.as_fd(), event)?;
        Ok(Beat {
            timer,
            start: Instant::now(),
            gap,
            lines: 0,
        })
    }

    /// So many of those who were there from the start hear each line.
    fn hearers(&self) -> u64 {
        let own = usize::from(self.dialect != Dialect::Redis);
        (self.scale.members - own) as u64
    }

    fn say(&mut self, talker: usize, lines: u64, due: Duration) -> Result<(), LoadError> {
        self.octets.clear();
        for _ in 0..lines {
            let text = text(talker, self.said[talker], due);
            self.dialect.say(&text, &mut self.octets);
            self.said[talker] += 1;
        }
        self.connections.send(self.mouths[talker], &self.octets)
    }

    fn run(&mut self, time: Duration) -> Result<(), LoadError> {
        self.progress = Instant::now();
        take_steps(time, |left| {
            self.go_on()?;
            self.step(left)
        })
    }

    /// Says what the pace allows.
    fn go_on(&mut self) -> Result<(), LoadError> {
        if let Some(beat) = &mut self.beat {
            let due = beat.start.elapsed().div_duration_f64(beat.gap) as u32;
            let (from, start, gap) = (beat.lines, beat.start, beat.gap);
            beat.lines = due.max(from);
            for line in from..due {
                let due = start + gap * (line + 1) - self.start;
                self.say(line as usize % self.scale.talkers, 1, due)?;
            }
            return Ok(());
        }
        for talker in 0..self.scale.talkers {
            let arrived = self.delivered[talker] / self.hearers();
            let more = (arrived + self.in_flight).saturating_sub(self.said[talker]);
            if more > 0 {
                self.say(talker, more, self.start.elapsed())?;
            }
        }
        Ok(())
    }

    /// Waits until everybody has heard everything that has been said.
    fn hear_all(&mut self) -> Result<(), LoadError> {
        self.progress = Instant::now();
        loop {
            let all = self.hearers() * self.said.iter().sum::<u64>();
            // A cheap look first, since the thorough one goes through all members.
            if self.delivered.iter().sum::<u64>() >= all && self.is_everything_heard().is_ok() {
                return Ok(());
            }
            self.step(PATIENCE)?;
        }
    }

    fn is_everything_heard(&self) -> Result<(), LoadError> {
        for (id, role) in self.roles.iter().enumerate() {
            match role {
                Role::Listener(ear) => ear.has_heard(&self.said)?,
                Role::Publisher { acknowledged } => {
                    let talker = self.mouths.iter().position(|&mouth| mouth == id);
                    let talker = talker.expect("every publisher is a mouth");
                    if *acknowledged < self.said[talker] {
                        let what = format!("talker {talker}: acknowledgement {acknowledged}");
                        return Err(LoadError::Missing { what });
                    }
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, most: Duration) -> Result<(), LoadError> {
        let happened = self.connections.wait(self.duty, most)?;
        let now = Instant::now();
        let since_start = now - self.start;
        for event in 0..happened {
            let (id, read) = self.connections.read(event)?;
            let Some(len) = read else {
                if let Some(beat) = self.beat.as_ref().filter(|_| id == TIMER) {
                    // How often it has gone off is known from the time. It is there, so that this does not wait.
                    beat.timer.wait()?;
                }
                continue;
            };
            let id = usize::try_from(id).expect("it is an index");
            let octets = self.connections.input(len);
            let used = match &mut self.roles[id] {
                Role::Listener(ear) => {
                    let was_in = ear.welcomed;
                    let early = id < self.scale.members;
                    let (delivered, heard) = (&mut self.delivered, &mut self.heard);
                    let (deliveries, delays) = (&mut self.deliveries, &mut self.delays);
                    // Lines that are due at the same time come together.
                    let mut run = (Duration::ZERO, 0);
                    let used = ear.hear(octets, &self.said, |line| {
                        *deliveries += 1;
                        delivered[line.talker] += u64::from(early);
                        let highest = &mut heard[line.talker];
                        *highest = (*highest).max(line.number + 1);
                        if line.time == run.0 {
                            run.1 += 1;
                        } else {
                            note(delays, since_start, run);
                            run = (line.time, 1);
                        }
                    })?;
                    note(delays, since_start, run);
                    self.welcomed += usize::from(ear.welcomed && !was_in);
                    used
                }
                Role::Publisher { acknowledged } => {
                    let (used, lines) = acknowledge(octets, self.scale, *acknowledged)?;
                    *acknowledged += lines;
                    used
                }
            };
            self.connections.keep(id, used..len);
        }
        if happened > 0 {
            self.progress = now;
        } else if self.progress.elapsed() > PATIENCE {
            self.is_everything_heard()?;
            return Err(LoadError::Missing {
                what: format!("the welcome of {} members", self.ears - self.welcomed),
            });
        }
        Ok(())
    }
}

fn note(delays: &mut Delays, now: Duration, (due, lines): (Duration, u64)) {
    if lines > 0 {
        delays.note(now.saturating_sub(due), lines);
    }
}

/// Takes what redis tells a publisher: to how many subscribers each line went. Returns the octets that were whole
/// replies, and how many.
fn acknowledge(octets: &[u8], scale: Scale, before: u64) -> Result<(usize, u64), LoadError> {
    let (mut used, mut lines) = (0, 0);
    while let Some(end) = memchr::memchr(b'\n', &octets[used..]) {
        let line = &octets[used..=used + end];
        let count = line
            .strip_prefix(b":")
            .and_then(|line| line.strip_suffix(b"\r\n"))
            .and_then(digits);
        let right = scale.members as u64..=(scale.members + scale.late) as u64;
        if !count.is_some_and(|count| right.contains(&count)) {
            return Err(LoadError::Wrong(format!(
                "a publisher's reply {}: expected :{} to :{}, got {}",
                before + lines,
                right.start(),
                right.end(),
                shown(line)
            )));
        }
        used += line.len();
        lines += 1;
    }
    Ok((used, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line as a listener gets it.
    fn line(dialect: Dialect, talker: usize, number: u64) -> Vec<u8> {
        let (before, after) = dialect.frame();
        let mut octets = before.to_vec();
        if dialect == Dialect::Room {
            write_digits(&mut octets[6..8], talker as u64);
        }
        octets.extend(text(talker, number, Duration::from_micros(77)));
        octets.extend_from_slice(after);
        octets
    }

    fn welcome(dialect: Dialect) -> &'static [u8] {
        match dialect {
            Dialect::Room => b"WELCOME late\nJOINED 3 late\n",
            Dialect::Redis => b"*3\r\n$9\r\nsubscribe\r\n$4\r\nroom\r\n:1\r\n",
            Dialect::Nats => b"INFO {}\r\nPONG\r\n",
        }
    }

    const ALL: [Dialect; 3] = [Dialect::Room, Dialect::Redis, Dialect::Nats];

    /// A member who joined when 5 lines of talker 0 and none of talker 1 had been heard, and 7 and 0 said.
    #[track_caller]
    fn check(dialect: Dialect, lines: &[(usize, u64)], expected: Result<(), &str>) {
        let mut octets = welcome(dialect).to_vec();
        for &(talker, number) in lines {
            octets.extend(line(dialect, talker, number));
        }
        // Cut anywhere, it has to be the same.
        for cut in 0..octets.len() {
            let mut ear = Ear::new(dialect, "late".to_owned(), None, &[5, 0]);
            let mut heard = Vec::new();
            let mut hear = |octets: &[u8]| {
                ear.hear(octets, &[7, 0], |line| {
                    heard.push((line.talker, line.number))
                })
            };
            let result = hear(&octets[..cut]).and_then(|used| hear(&octets[used..]));
            match (result, expected) {
                (Ok(_), Ok(())) => assert_eq!(heard, lines, "cut at {cut}"),
                (Err(error), Err(part)) => {
                    let error = error.to_string();
                    assert!(error.contains(part), "{error} lacks {part}");
                }
                (got, expected) => {
                    panic!("{dialect:?}: {got:?} instead of {expected:?}, cut at {cut}")
                }
            }
        }
    }

    #[test]
    fn digits_are_read_and_nothing_else() {
        for (text, value) in [
            ("0", Some(0)),
            ("07", Some(7)),
            ("12345678", Some(12_345_678)),
            ("1234567890", Some(1_234_567_890)),
            ("0000000100000002", Some(100_000_002)),
            ("1234567:", None),
            ("1234/678", None),
            ("?2345678", None),
            ("12345678x", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(digits(text.as_bytes()), value, "{text}");
        }
        for value in (0..100_000_000).step_by(9_973) {
            let mut place = [0; 8];
            write_digits(&mut place, value);
            assert_eq!(digits(&place), Some(value));
        }
    }

    #[test]
    fn lines_after_joining_are_heard_in_each_talkers_order() {
        for dialect in ALL {
            check(dialect, &[(0, 5), (0, 6), (1, 0), (0, 7), (1, 1)], Ok(()));
            check(dialect, &[(1, 0), (0, 7)], Ok(()));
        }
    }

    #[test]
    fn each_kind_of_fault_is_named() {
        for dialect in ALL {
            check(
                dialect,
                &[(0, 4)],
                Err("line 4 of talker 0, which others had heard before"),
            );
            check(
                dialect,
                &[(0, 8)],
                Err("expected line 7 of talker 0, got 8: missing"),
            );
            check(
                dialect,
                &[(1, 1)],
                Err("expected line 0 of talker 1, got 1: missing"),
            );
            check(
                dialect,
                &[(0, 5), (0, 7)],
                Err("expected line 6 of talker 0, got 7: missing"),
            );
            check(
                dialect,
                &[(0, 5), (0, 5)],
                Err("expected line 6 of talker 0, got 5: doubled"),
            );
            check(
                dialect,
                &[(0, 5), (1, 0), (0, 4)],
                Err("got 4: doubled, or out of order"),
            );
            check(dialect, &[(2, 0)], Err("strange"));
        }
    }

    #[track_caller]
    fn check_octets(dialect: Dialect, own: Option<usize>, octets: &[u8], part: &str) {
        let mut ear = Ear::new(dialect, "late".to_owned(), own, &[0, 0]);
        let error = ear.hear(octets, &[0, 0], |_| {}).expect_err("it is wrong");
        assert!(error.to_string().contains(part), "{error} lacks {part}");
    }

    #[test]
    fn nothing_is_heard_before_the_welcome() {
        for dialect in [Dialect::Room, Dialect::Redis] {
            check_octets(dialect, None, &line(dialect, 0, 0), "before joining got");
        }
    }

    #[test]
    fn nobody_hears_themselves_and_nothing_strange_is_heard() {
        for dialect in [Dialect::Room, Dialect::Nats] {
            let own = [welcome(dialect), &line(dialect, 1, 0)].concat();
            check_octets(dialect, Some(1), &own, "got its own line 0 back");
        }
        for dialect in ALL {
            let mut changed = [welcome(dialect), &line(dialect, 1, 0)].concat();
            let last = changed.len() - 5;
            changed[last] = b'y';
            check_octets(dialect, None, &changed, "strange");
            let glued = [welcome(dialect), b"nonsense\r\n", &[b'x'; 99]].concat();
            check_octets(dialect, None, &glued, "got \"nonsense");
        }
        let mut another_name = line(Dialect::Room, 1, 0);
        another_name[7] = b'0';
        let octets = [welcome(Dialect::Room), &another_name].concat();
        check_octets(Dialect::Room, None, &octets, "strange");
    }

    #[test]
    fn what_has_not_come_in_the_end_is_named() {
        for dialect in ALL {
            let octets = [welcome(dialect), &line(dialect, 0, 5)].concat();
            let mut ear = Ear::new(dialect, "late".to_owned(), None, &[5, 0]);
            ear.hear(&octets, &[7, 0], |_| {}).expect("right");
            assert!(ear.has_heard(&[6, 0]).is_ok());
            for (said, part) in [
                ([7, 0], "late: line 6 of talker 0"),
                ([6, 1], "late: line 0 of talker 1"),
            ] {
                let error = ear
                    .has_heard(&said)
                    .expect_err("one is missing")
                    .to_string();
                assert!(error.contains(part), "{error} lacks {part}");
            }
        }
    }

    #[test]
    fn a_publisher_is_told_that_all_subscribers_have_got_its_line() {
        let scale = Scale {
            members: 10,
            talkers: 1,
            late: 1,
        };
        assert_eq!(
            acknowledge(b":10\r\n:11\r\n:1", scale, 0).expect("right"),
            (10, 2)
        );
        for wrong in [":9\r\n", ":12\r\n", "-ERR\r\n"] {
            assert!(acknowledge(wrong.as_bytes(), scale, 0).is_err(), "{wrong}");
        }
    }
}
