//! The window's rules: keys, lines from the server and the time go in, what to do comes out.
//!
//! Pure, like the [session](crate::session) it holds while there is a connection: no socket, no
//! terminal, and the clock is handed in. What it adds to the session is what a person has in front of
//! them: a log, an input line, who is here, and a connection that comes back after it was lost.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::NaiveTime;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;

use crate::{
    client::{ANSWER_TIME, FAREWELL_TIME},
    lines::TooLong,
    message::{Change, MAX_TEXT_LEN, Reply, Request, UnknownReply},
    printable::printable,
    session::{Action, Input, Outcome, Session, Shown},
    window::{
        editor::{Editor, History, Place},
        layout::{Areas, WIDE, entry_rows},
        log::{Entry, Kind, Log, Sight},
        text::{clip, width},
    },
};

/// How long the first attempt to connect again is put off. Every further one waits twice as long.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest time between two attempts to connect.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Most names in the member list, whoever sends them.
const MAX_MEMBERS: usize = 10_000;

const HELP: [&str; 5] = [
    "Enter sends; Alt-Enter or Ctrl-J begins a new line. What you paste waits for Enter.",
    "↑ ↓ bring back what you sent; Ctrl-A, E, U, K, W, Y and Alt-B, F edit as in a shell.",
    "PgUp, PgDn scroll, Shift-↑ ↓ by a row; Esc goes back to the newest. F2 hides the members.",
    "/who tells who is here, /help this; a line that begins with / is written with //.",
    "/quit, q, Ctrl-C or Ctrl-D leave; Ctrl-Z stops until `fg`; Ctrl-L draws anew.",
];

/// The time, as often as anything happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since the window was opened.
    pub since_start: Duration,
    /// What the clock on the wall says.
    pub local: NaiveTime,
}

/// What happens to the window.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key.
    Key(KeyEvent),
    /// Text that came all at once.
    Paste(String),
    /// The terminal has so many columns and rows.
    Resized(u16, u16),
    /// The user wants to be gone, by a signal.
    Interrupt,
    /// There is a connection again.
    Connected,
    /// There is none; the text says why.
    Unreachable(String),
    /// A line came from the server.
    Reply(Result<Reply, UnknownReply>),
    /// A line of the server was left out.
    Skipped(TooLong),
    /// The connection is over without a goodbye; the text says how.
    Gone(String),
    /// Nothing but time has passed; see [`Window::deadline`].
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this.
    Send(Request),
    /// Connect to the server again.
    Connect,
    /// Close the connection.
    Disconnect,
    /// Stop until the shell says to go on.
    Suspend,
    /// Draw everything anew: something else has written on the terminal.
    Redraw,
    /// End.
    Finish,
}

/// What is between here and the server.
#[derive(Debug)]
enum Link {
    /// A connection.
    Up(Session),
    /// One that is being made.
    Connecting,
    /// Nothing, until then.
    Waiting(Duration),
    /// Nothing any more: the user has left.
    Over,
}

/// What stands in the title about the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Logged in.
    Chatting,
    /// Something is under way.
    Busy(&'static str),
    /// There is no connection.
    Lost(String),
}

/// The window.
#[derive(Debug)]
pub struct Window {
    server: String,
    link: Link,
    /// Failed attempts to connect since the last login.
    attempts: u32,
    /// The name to log in with, as it was typed.
    login_name: Option<Bytes>,
    /// The name of the last login.
    name: Option<Arc<str>>,
    /// Present names by the form they are sorted in.
    members: BTreeMap<String, Arc<str>>,
    member_count: usize,
    log: Log,
    draft: Editor,
    /// The name that is being typed.
    login: Editor,
    history: History,
    wants_members: bool,
    /// For the answer to a login (false) or to a goodbye (true): how long the server has for it.
    patience: Option<(bool, Duration)>,
    screen: Rect,
    now: Now,
}

impl Window {
    /// A window on a server that is connected, and what to do first.
    pub fn start(server: String, name: Option<Bytes>, now: Now) -> (Self, Vec<Effect>) {
        let mut window = Self {
            link: Link::Connecting,
            attempts: 0,
            login_name: name,
            name: None,
            members: BTreeMap::new(),
            member_count: 0,
            log: Log::default(),
            draft: Editor::default(),
            login: Editor::default(),
            history: History::default(),
            wants_members: true,
            patience: None,
            screen: Rect::default(),
            now,
            server,
        };
        window.note(format!("Connected to {}.", window.server));
        let effects = window.handle(Event::Connected, now);
        (window, effects)
    }

    /// Applies the event and says what to do, in this order.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        self.now = now;
        let effects = match event {
            Event::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
            Event::Key(key) => self.press(key),
            Event::Paste(text) => {
                self.insert(&text);
                Vec::new()
            }
            Event::Resized(columns, rows) => {
                self.screen = Rect::new(0, 0, columns, rows);
                Vec::new()
            }
            Event::Interrupt => self.interrupt(),
            Event::Connected if matches!(self.link, Link::Over) => Vec::new(),
            Event::Connected => self.log_in(),
            Event::Unreachable(why) | Event::Gone(why) => self.lose(why),
            Event::Reply(reply) => self.feed(Input::Reply(reply)),
            Event::Skipped(too_long) => {
                self.alarm(format!("Not shown: {too_long}"));
                Vec::new()
            }
            Event::Tick => self.tick(),
        };
        self.watch_answers();
        effects
    }

    /// When [`Event::Tick`] is due, if it is.
    pub fn deadline(&self) -> Option<Duration> {
        match self.link {
            // The countdown in the title changes with every full second that is left.
            Link::Waiting(until) => {
                let left = until.saturating_sub(self.now.since_start);
                let after_this_second = Duration::from_secs(full_seconds(left).saturating_sub(1));
                Some(until.saturating_sub(after_this_second))
            }
            Link::Up(_) => self.patience.map(|(_, until)| until),
            Link::Connecting | Link::Over => None,
        }
    }

    /// The server, as it was called.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The name of the last login.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What is between here and the server.
    pub fn status(&self) -> Status {
        match &self.link {
            Link::Over => Status::Busy("leaving …"),
            Link::Up(session) if says_goodbye(session) => Status::Busy("leaving …"),
            Link::Up(session) if session.takes_name() => Status::Busy("not logged in"),
            Link::Up(session) if session.awaits_answer() => Status::Busy("logging in …"),
            Link::Up(_) => Status::Chatting,
            Link::Connecting => Status::Lost("no connection: trying …".to_owned()),
            Link::Waiting(until) => {
                let left = full_seconds(until.saturating_sub(self.now.since_start));
                Status::Lost(format!("no connection: again in {left} s"))
            }
        }
    }

    /// Who is here, in the order of the alphabet, as far as the server has said.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.values().map(|name| &**name)
    }

    /// How many are here.
    pub fn member_count(&self) -> usize {
        self.member_count
    }

    /// What has been said.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What is being typed: a name or a line.
    pub fn input(&self) -> &Editor {
        if self.is_naming() {
            &self.login
        } else {
            &self.draft
        }
    }

    /// What stands in front of it on a screen of so many columns. Never takes more than half of them.
    pub fn prompt(&self, columns: u16) -> String {
        let room = usize::from(columns / 2);
        let prompt = match &self.name {
            _ if self.is_naming() => "login name: ".to_owned(),
            Some(name) => format!("{}> ", clip(name, room.saturating_sub(2))),
            None => "> ".to_owned(),
        };
        if width(&prompt) > room {
            String::new()
        } else {
            prompt
        }
    }

    /// Where everything is on this screen.
    pub fn areas(&self, screen: Rect) -> Areas {
        let columns = screen.width - width(&self.prompt(screen.width)) as u16;
        let rows = self.input().rows(usize::from(columns)).len();
        Areas::of(screen, rows, self.wants_members)
    }

    fn is_naming(&self) -> bool {
        match &self.link {
            Link::Up(session) => session.takes_name(),
            _ => self.name.is_none() && self.login_name.is_none(),
        }
    }

    fn field(&mut self) -> &mut Editor {
        if self.is_naming() {
            &mut self.login
        } else {
            &mut self.draft
        }
    }

    fn sight(&self) -> Sight<impl Fn(&Entry) -> usize + use<>> {
        let log = self.areas(self.screen).log;
        Sight {
            height: usize::from(log.height),
            rows_of: move |entry: &Entry| entry_rows(entry, log.width).len(),
        }
    }

    fn press(&mut self, key: KeyEvent) -> Vec<Effect> {
        const CONTROL: KeyModifiers = KeyModifiers::CONTROL;
        const ALT: KeyModifiers = KeyModifiers::ALT;
        let page = self.sight().height.saturating_sub(1).max(1);
        let modifiers = key.modifiers - KeyModifiers::SHIFT;
        match (modifiers, key.code) {
            (CONTROL, KeyCode::Char('c')) => return self.feed(Input::End),
            (CONTROL, KeyCode::Char('d')) if self.input().is_empty() => {
                return self.feed(Input::End);
            }
            (CONTROL, KeyCode::Char('z')) => return vec![Effect::Suspend],
            (CONTROL, KeyCode::Char('l')) => return vec![Effect::Redraw],
            (ALT, KeyCode::Enter) | (CONTROL, KeyCode::Char('j')) => self.insert("\n"),
            (_, KeyCode::Enter) => return self.submit(),

            (CONTROL, KeyCode::Char('a')) | (_, KeyCode::Home) => self.field().go(Place::Home),
            (CONTROL, KeyCode::Char('e')) | (_, KeyCode::End) => self.field().go(Place::End),
            (CONTROL | ALT, KeyCode::Left) | (ALT, KeyCode::Char('b')) => {
                self.field().go(Place::WordLeft);
            }
            (CONTROL | ALT, KeyCode::Right) | (ALT, KeyCode::Char('f')) => {
                self.field().go(Place::WordRight);
            }
            (CONTROL, KeyCode::Char('b')) | (_, KeyCode::Left) => self.field().go(Place::Left),
            (CONTROL, KeyCode::Char('f')) | (_, KeyCode::Right) => self.field().go(Place::Right),
            (CONTROL, KeyCode::Char('w')) | (ALT, KeyCode::Backspace) => {
                self.field().delete(Place::WordLeft);
            }
            (ALT, KeyCode::Char('d')) => self.field().delete(Place::WordRight),
            (CONTROL, KeyCode::Char('u')) => self.field().delete(Place::Home),
            (CONTROL, KeyCode::Char('k')) => self.field().delete(Place::End),
            (CONTROL, KeyCode::Char('h')) | (_, KeyCode::Backspace) => {
                self.field().delete(Place::Left);
            }
            (CONTROL, KeyCode::Char('d')) | (_, KeyCode::Delete) => {
                self.field().delete(Place::Right);
            }
            (CONTROL, KeyCode::Char('y')) => self.field().put_back(),

            (_, KeyCode::PageUp) => self.scroll(page, false),
            (_, KeyCode::PageDown) => self.scroll(page, true),
            (_, KeyCode::Up) if key.modifiers != KeyModifiers::NONE => self.scroll(1, false),
            (_, KeyCode::Down) if key.modifiers != KeyModifiers::NONE => self.scroll(1, true),
            (_, KeyCode::Esc) => self.log.follow(),
            (_, KeyCode::Up) => self.go_rows(false),
            (_, KeyCode::Down) => self.go_rows(true),

            (_, KeyCode::F(1)) => self.help(),
            (_, KeyCode::F(2)) => self.toggle_members(),
            (KeyModifiers::NONE, KeyCode::Char(c)) => self.insert(c.encode_utf8(&mut [0; 4])),
            (KeyModifiers::NONE, KeyCode::Tab) => self.insert("\t"),
            _ => {}
        }
        Vec::new()
    }

    fn insert(&mut self, text: &str) {
        let left_out = if self.is_naming() {
            // A name is one line.
            self.login.insert(&text.replace(['\r', '\n'], " "))
        } else {
            self.draft.insert(text)
        };
        if left_out > 0 {
            self.alarm(format!(
                "The input line is full: {left_out} octets were left out."
            ));
        }
    }

    fn scroll(&mut self, rows: usize, down: bool) {
        let sight = self.sight();
        if down {
            self.log.scroll_down(rows, &sight);
        } else {
            self.log.scroll_up(rows, &sight);
        }
    }

    /// Among the rows of what is being typed, and beyond the last of them among what was sent.
    fn go_rows(&mut self, down: bool) {
        let columns =
            usize::from(self.screen.width).saturating_sub(width(&self.prompt(self.screen.width)));
        if self.field().go_rows(down, columns) || self.is_naming() {
            return;
        }
        if down {
            self.history.forth(&mut self.draft);
        } else {
            self.history.back(&mut self.draft);
        }
    }

    fn help(&mut self) {
        for line in HELP {
            self.note(line.to_owned());
        }
    }

    fn who(&mut self) {
        let names: Vec<_> = self.members().collect();
        let mut text = format!("{} here: {}", self.member_count, names.join(", "));
        if let Some(missing @ 1..) = self.member_count.checked_sub(names.len()) {
            text += &format!(" and {missing} more");
        }
        if names.is_empty() {
            "Nobody knows: you are not logged in.".clone_into(&mut text);
        }
        self.note(text);
    }

    fn toggle_members(&mut self) {
        if self.screen.width < WIDE {
            self.note(format!(
                "The member list needs {WIDE} columns; /who tells who is here."
            ));
        } else {
            self.wants_members = !self.wants_members;
        }
    }

    /// Enter was pressed.
    fn submit(&mut self) -> Vec<Effect> {
        let naming = self.is_naming();
        let text = self.input().text().to_owned();
        let command = text.trim();
        match command
            .strip_prefix('/')
            .filter(|rest| !rest.starts_with('/') && !text.contains('\n'))
        {
            None => {}
            Some("help") => return self.obey(Self::help),
            Some("who") => return self.obey(Self::who),
            Some("quit") => return self.feed(Input::End),
            Some(_) => {
                self.alarm(format!("There is no {command}. /help tells what there is; a line that begins with / is written with //."));
                return Vec::new();
            }
        }
        let Link::Up(session) = &self.link else {
            if !text.is_empty() {
                self.alarm(
                    "Not sent, as there is no connection: it stays in the input line.".to_owned(),
                );
            }
            return Vec::new();
        };
        if !session.takes_lines() {
            return Vec::new();
        }
        if let Some(too_long) = text.lines().map(str::len).find(|&len| len > MAX_TEXT_LEN) {
            self.alarm(format!(
                "Not sent: a line has {too_long} octets, at most {MAX_TEXT_LEN} are allowed."
            ));
            return Vec::new();
        }
        self.field().take();
        if naming {
            self.login_name = (!command.is_empty()).then(|| Bytes::from(text.clone()));
            return self.feed(Input::Typed(text.into()));
        }
        self.log.follow();
        if !command.is_empty() {
            self.history.push(text.clone());
        }
        if !text.contains('\n') {
            let text = text.strip_prefix('/').map(str::to_owned).unwrap_or(text);
            return self.feed(Input::Typed(text.into()));
        }
        let lines = text
            .lines()
            .map(|line| Input::Pasted(Bytes::from(line.to_owned())));
        lines.flat_map(|line| self.feed(line)).collect()
    }

    fn obey(&mut self, command: fn(&mut Self)) -> Vec<Effect> {
        self.field().take();
        self.log.follow();
        command(self);
        Vec::new()
    }

    fn interrupt(&mut self) -> Vec<Effect> {
        match &self.link {
            Link::Up(session) if !says_goodbye(session) => self.feed(Input::End),
            _ => self.finish(),
        }
    }

    fn log_in(&mut self) -> Vec<Effect> {
        let (session, actions) = Session::start(self.login_name.clone());
        self.link = Link::Up(session);
        self.act(actions)
    }

    fn feed(&mut self, input: Input) -> Vec<Effect> {
        match (&mut self.link, input) {
            (Link::Up(session), input) => {
                let actions = session.handle(input);
                self.act(actions)
            }
            (_, Input::End) => self.finish(),
            _ => Vec::new(),
        }
    }

    fn act(&mut self, actions: Vec<Action>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for action in actions {
            match action {
                Action::Send(request) => {
                    // The server does not send it back: it goes to the others.
                    if let (Request::Say(text), Some(name)) = (&request, &self.name) {
                        let (name, text) = (Arc::clone(name), printable(text).into_owned());
                        self.push(Kind::Said {
                            name,
                            text,
                            mention: false,
                        });
                    }
                    effects.push(Effect::Send(request));
                }
                Action::Show(shown) => effects.extend(self.show(shown)),
                Action::AskName => {}
                Action::Finish(Outcome::Left) => effects.extend(self.finish()),
                Action::Finish(Outcome::Lost(how)) => effects.extend(self.lose(how)),
            }
        }
        effects
    }

    fn show(&mut self, shown: Shown) -> Option<Effect> {
        match shown {
            Shown::Welcome(name) => {
                self.note(if self.name.is_some() {
                    format!("Connected again, as {name}.")
                } else {
                    format!("Welcome, {name}. Type to talk; F1 helps, q leaves.")
                });
                self.attempts = 0;
                self.members.clear();
                self.member_count = 0;
                self.name = Some(name);
                return Some(Effect::Send(Request::Who));
            }
            Shown::Reply(Reply::Notice {
                change,
                name,
                count,
            }) => self.hear_of(change, name, count),
            Shown::Reply(Reply::Present { name, count }) => {
                self.member_count = count;
                self.add_member(name);
            }
            Shown::Reply(Reply::Line { name, text }) => {
                let mention = self.name.as_ref().is_some_and(|own| mentions(&text, own));
                self.push(Kind::Said {
                    name,
                    text,
                    mention,
                });
            }
            Shown::Reply(Reply::Refused(reason)) => {
                self.alarm(format!("Refused: {reason}"));
                // Somebody who was here before most likely wants the same name again.
                self.login_name = None;
                if let Some(name) = &self.name {
                    self.login.set(name);
                }
            }
            Shown::Reply(reply @ Reply::Warning(_)) => self.alarm(reply.to_string()),
            Shown::Reply(reply) => self.note(reply.to_string()),
            unknown @ Shown::Unknown(_) => self.alarm(unknown.to_string()),
            goodbye @ Shown::Goodbye => self.note(goodbye.to_string()),
        }
        None
    }

    fn hear_of(&mut self, change: Change, name: Arc<str>, count: usize) {
        self.member_count = count;
        let text = format!("{name} {change}");
        if change == Change::Joined {
            // One's own joining is what the welcome has just said.
            if self.name.as_ref() != Some(&name) {
                self.push(Kind::Came(text));
            }
            self.add_member(name);
        } else {
            self.members.remove(&sort_key(&name));
            self.push(Kind::Went(text));
        }
    }

    fn add_member(&mut self, name: Arc<str>) {
        if self.members.len() < MAX_MEMBERS {
            self.members.insert(sort_key(&name), name);
        }
    }

    /// The connection is over, or there was none to be had.
    fn lose(&mut self, how: String) -> Vec<Effect> {
        if let Link::Up(session) = &self.link
            && says_goodbye(session)
        {
            return self.finish();
        }
        if matches!(self.link, Link::Over) {
            return Vec::new();
        }
        // One line about it is enough, however often it is tried.
        if matches!(self.link, Link::Up(_)) && self.attempts == 0 {
            self.alarm(format!(
                "No connection: {how}. What you have typed is kept."
            ));
        }
        self.members.clear();
        self.member_count = 0;
        let spread = self.name.as_deref().unwrap_or_default();
        self.link = Link::Waiting(self.now.since_start + pause(self.attempts, spread));
        self.attempts = self.attempts.saturating_add(1);
        vec![Effect::Disconnect]
    }

    fn finish(&mut self) -> Vec<Effect> {
        self.link = Link::Over;
        vec![Effect::Finish]
    }

    fn tick(&mut self) -> Vec<Effect> {
        match (&self.link, self.patience) {
            (Link::Waiting(until), _) if *until <= self.now.since_start => {
                self.link = Link::Connecting;
                vec![Effect::Connect]
            }
            (Link::Up(_), Some((leaving, until))) if until <= self.now.since_start => {
                let patience = if leaving { FAREWELL_TIME } else { ANSWER_TIME };
                self.lose(format!(
                    "the server has not answered for {} s: is it a chat room's?",
                    patience.as_secs()
                ))
            }
            _ => Vec::new(),
        }
    }

    /// Starts and stops the clock for what the server owes an answer to.
    fn watch_answers(&mut self) {
        self.patience = match &self.link {
            Link::Up(session) if session.awaits_answer() => {
                let leaving = session.is_leaving();
                let running = self.patience.filter(|(what, _)| *what == leaving);
                let patience = if leaving { FAREWELL_TIME } else { ANSWER_TIME };
                Some(running.unwrap_or((leaving, self.now.since_start + patience)))
            }
            _ => None,
        };
    }

    fn note(&mut self, text: String) {
        self.push(Kind::Note(text));
    }

    /// Says once what would be said again and again.
    fn alarm(&mut self, text: String) {
        let kind = Kind::Alarm(text);
        if self.log.last().is_none_or(|last| last.kind != kind) {
            self.push(kind);
        }
    }

    fn push(&mut self, kind: Kind) {
        let time = self.now.local;
        self.log.push(Entry { time, kind });
    }
}

/// Whether the server's goodbye is what is waited for.
fn says_goodbye(session: &Session) -> bool {
    session.is_leaving() && session.awaits_answer()
}

/// The pause before an attempt: twice that of the one before, and a little different from name to name,
/// so that a whole class does not come back in the same instant.
fn pause(attempts: u32, spread: &str) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts.min(16)));
    let percent = 75 + hash(spread) % 50;
    doubled.min(LONGEST_PAUSE) * percent / 100
}

/// The same number for the same text, on every computer: FNV-1a.
pub fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, octet| {
        (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193)
    })
}

fn sort_key(name: &str) -> String {
    name.to_lowercase()
}

/// Whether a text names somebody, in whatever case, as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    text.match_indices(&name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !name.is_empty()
            && ![before, after]
                .into_iter()
                .flatten()
                .any(char::is_alphanumeric)
    })
}

fn full_seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000) as u64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::window::view;
    use proptest::prelude::*;
    use ratatui::{Terminal, backend::TestBackend};

    /// A window, its clock, and what it has asked for.
    pub(in crate::window) struct Play {
        pub(in crate::window) window: Window,
        now: Now,
        effects: Vec<Effect>,
    }

    impl Play {
        pub(in crate::window) fn start(name: Option<&str>) -> Self {
            let now = Now {
                since_start: Duration::ZERO,
                local: NaiveTime::from_hms_opt(14, 2, 0).expect("a time of day"),
            };
            let name = name.map(|name| Bytes::from(name.to_owned()));
            let (window, effects) = Window::start("lab-pc-3:20001".to_owned(), name, now);
            let mut play = Self {
                window,
                now,
                effects,
            };
            play.event(Event::Resized(80, 24));
            play
        }

        /// Ada has logged in and heard who is here.
        pub(in crate::window) fn ada() -> Self {
            let mut play = Self::start(Some("Ada"));
            for line in [
                "WELCOME Ada",
                "JOINED 2 Ada",
                "PRESENT 2 Ada",
                "PRESENT 2 Bob",
            ] {
                play.hear(line);
            }
            play.effects.clear();
            play
        }

        pub(in crate::window) fn event(&mut self, event: Event) {
            let effects = self.window.handle(event, self.now);
            self.effects.extend(effects);
        }

        pub(in crate::window) fn hear(&mut self, line: &str) {
            self.event(Event::Reply(Reply::parse(line.as_bytes())));
        }

        pub(in crate::window) fn press(&mut self, code: KeyCode) {
            self.event(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        }

        pub(in crate::window) fn types(&mut self, text: &str) {
            for c in text.chars() {
                match c {
                    '\n' => self.press(KeyCode::Enter),
                    c => self.press(KeyCode::Char(c)),
                }
            }
        }

        /// Time passes, with a tick whenever one is due.
        pub(in crate::window) fn wait(&mut self, time: Duration) {
            let until = self.now.since_start + time;
            while let Some(due) = self.window.deadline().filter(|&due| due <= until) {
                self.advance_to(due);
                self.event(Event::Tick);
            }
            self.advance_to(until);
        }

        fn advance_to(&mut self, time: Duration) {
            let passed = time.saturating_sub(self.now.since_start);
            self.now.since_start += passed;
            self.now.local += passed;
        }

        #[track_caller]
        fn asked_for(&mut self, expected: &[Effect]) {
            assert_eq!(self.effects, expected);
            self.effects.clear();
        }

        /// The texts of the log from the given one on.
        fn log(&self, from: usize) -> Vec<String> {
            let entries = (from..).map_while(|n| self.window.log().get(n));
            entries.map(|entry| entry.text().0).collect()
        }
    }

    fn say(text: &'static str) -> Effect {
        Effect::Send(Request::Say(text.into()))
    }

    #[test]
    fn a_login_asks_who_is_here() {
        let mut play = Play::start(None);
        play.asked_for(&[]);
        assert_eq!(play.window.prompt(80), "login name: ");
        play.types("Bob\n");
        play.asked_for(&[Effect::Send(Request::Login("Bob".into()))]);
        play.hear("REFUSED the name Bob is taken");
        play.types("Ada\n");
        play.asked_for(&[Effect::Send(Request::Login("Ada".into()))]);
        play.hear("WELCOME Ada");
        play.asked_for(&[Effect::Send(Request::Who)]);
        assert_eq!(play.window.prompt(80), "Ada> ");
    }

    #[test]
    fn who_is_here_is_kept_in_the_order_of_the_alphabet() {
        let mut play = Play::ada();
        for line in ["JOINED 3 zoe", "JOINED 4 Ärger", "LEFT 3 Bob", "LOST 2 zoe"] {
            play.hear(line);
        }
        let members: Vec<_> = play.window.members().collect();
        assert_eq!(
            (members, play.window.member_count()),
            (vec!["Ada", "Ärger"], 2)
        );
        play.types("/who\n");
        play.hear("JOINED 4 Bob");
        play.types("/who\n");
        play.asked_for(&[]);
        let told = [
            "2 here: Ada, Ärger",
            "→ Bob has joined",
            "4 here: Ada, Bob, Ärger and 1 more",
        ];
        assert_eq!(play.log(6), told);
    }

    #[test]
    fn a_draft_of_several_lines_is_sent_as_several_and_leaves_nobody() {
        let mut play = Play::ada();
        play.event(Event::Paste("one\r\n\r\nq\r\n/who".to_owned()));
        play.asked_for(&[]);
        play.types("\n");
        play.asked_for(&[say("one"), say("q"), say("/who")]);
        assert_eq!(play.log(2), ["Ada: one", "Ada: q", "Ada: /who"]);
        play.types("//who\n");
        play.asked_for(&[say("/who")]);
    }

    #[test]
    fn what_cannot_be_sent_stays() {
        let mut play = Play::ada();
        play.event(Event::Paste("é".repeat(MAX_TEXT_LEN / 2 + 1)));
        play.types("\n");
        play.asked_for(&[]);
        assert_eq!(play.window.input().text().len(), MAX_TEXT_LEN + 2);
        let why = format!(
            "Not sent: a line has {} octets, at most {MAX_TEXT_LEN} are allowed.",
            MAX_TEXT_LEN + 2
        );
        assert_eq!(play.log(2), [why]);
        play.press(KeyCode::Backspace);
        play.types("\n");
        assert_eq!(play.effects.len(), 1);
    }

    #[test]
    fn a_lost_connection_is_made_again_with_growing_pauses_and_the_same_name() {
        let mut play = Play::ada();
        play.types("half a sen");
        play.event(Event::Gone("reset".to_owned()));
        play.asked_for(&[Effect::Disconnect]);
        assert_eq!(
            play.log(2),
            ["No connection: reset. What you have typed is kept."]
        );
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let before = play.now.since_start;
            while play.effects.is_empty() {
                play.wait(Duration::from_millis(1));
            }
            play.asked_for(&[Effect::Connect]);
            pauses.push(play.now.since_start - before);
            play.wait(Duration::from_secs(3));
            play.event(Event::Unreachable("refused".to_owned()));
            play.asked_for(&[Effect::Disconnect]);
        }
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert!(
            pauses[0] < FIRST_PAUSE * 2 && pauses[8] > LONGEST_PAUSE / 2,
            "{pauses:?}"
        );
        assert!(pauses[8] < LONGEST_PAUSE * 5 / 4);
        assert_eq!(play.log(3).len(), 0, "said once");
        play.wait(LONGEST_PAUSE * 2);
        play.asked_for(&[Effect::Connect]);
        play.event(Event::Connected);
        play.asked_for(&[Effect::Send(Request::Login("Ada".into()))]);
        play.hear("WELCOME Ada");
        assert_eq!(play.window.input().text(), "half a sen");
        play.effects.clear();
        play.types("tence\n");
        play.asked_for(&[say("half a sentence")]);
        assert_eq!(
            play.log(3),
            ["Connected again, as Ada.", "Ada: half a sentence"]
        );
    }

    #[test]
    fn a_name_that_was_taken_meanwhile_is_asked_for_and_the_draft_kept() {
        let mut play = Play::ada();
        play.types("draft");
        play.hear("BYE the server is shutting down");
        play.wait(FIRST_PAUSE * 2);
        play.event(Event::Connected);
        play.hear("REFUSED the name Ada is taken, choose another");
        assert_eq!(
            (play.window.prompt(80).as_str(), play.window.input().text()),
            ("login name: ", "Ada")
        );
        play.types(" L\n");
        play.hear("WELCOME Ada L");
        assert_eq!(play.window.input().text(), "draft");
        let logins = play
            .effects
            .iter()
            .filter(|e| matches!(e, Effect::Send(Request::Login(_))));
        let expected = ["Ada", "Ada L"].map(|name| Effect::Send(Request::Login(name.into())));
        assert_eq!(
            logins.collect::<Vec<_>>(),
            expected.iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_server_that_owes_an_answer_is_given_up() {
        let mut play = Play::start(Some("Ada"));
        play.effects.clear();
        play.wait(ANSWER_TIME - Duration::from_millis(1));
        play.asked_for(&[]);
        play.wait(Duration::from_millis(2));
        play.asked_for(&[Effect::Disconnect]);

        let mut play = Play::ada();
        play.event(Event::Interrupt);
        play.asked_for(&[Effect::Send(Request::Leave)]);
        play.wait(FAREWELL_TIME);
        play.asked_for(&[Effect::Finish]);
    }

    #[test]
    fn one_can_leave_at_any_time() {
        let leave = [Effect::Send(Request::Leave)];
        for keys in ["q\n", "/quit\n", " q \n"] {
            let mut play = Play::ada();
            play.types(keys);
            play.asked_for(&leave);
            play.hear("BYE you have left");
            play.asked_for(&[Effect::Finish]);
        }
        let control = |c| Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
        let mut play = Play::ada();
        play.types("x");
        play.event(control('d'));
        play.asked_for(&[]);
        play.press(KeyCode::Backspace);
        play.event(control('d'));
        play.asked_for(&leave);
        // Without a connection there is nobody to say goodbye to; and who insists does not wait.
        play.event(Event::Interrupt);
        play.asked_for(&[Effect::Finish]);
        let mut play = Play::ada();
        play.event(Event::Gone("reset".to_owned()));
        play.event(control('c'));
        play.asked_for(&[Effect::Disconnect, Effect::Finish]);
    }

    #[test]
    fn a_mention_is_a_word_of_its_own() {
        for (text, name, expected) in [
            ("ada, come here", "Ada", true),
            ("(ADA)", "Ada", true),
            ("Adam", "Ada", false),
            ("Canada and Ada", "Ada", true),
            ("so says ada l.", "Ada L", true),
            ("ŽOFIE!", "Žofie", true),
            ("", "Ada", false),
            ("anything", "", false),
        ] {
            assert_eq!(mentions(text, name), expected, "{text:?} and {name:?}");
        }
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        use KeyCode::*;
        let codes = vec![
            Enter,
            Backspace,
            Delete,
            Left,
            Right,
            Up,
            Down,
            Home,
            End,
            PageUp,
            PageDown,
            Esc,
            Tab,
            F(1),
            F(2),
            Char('a'),
            Char('q'),
            Char('/'),
            Char(' '),
            Char('你'),
            Char('\u{301}'),
            Char('😀'),
            Char('w'),
            Char('u'),
            Char('k'),
            Char('y'),
            Char('d'),
            Char('c'),
            Char('j'),
            Char('\u{202e}'),
        ];
        let modifiers = prop::sample::select(vec![
            KeyModifiers::NONE,
            KeyModifiers::NONE,
            KeyModifiers::NONE,
            KeyModifiers::CONTROL,
            KeyModifiers::ALT,
            KeyModifiers::SHIFT,
        ]);
        let key = (prop::sample::select(codes), modifiers)
            .prop_map(|(code, modifiers)| Event::Key(KeyEvent::new(code, modifiers)));
        let lines = prop::sample::select(vec![
            "WELCOME Ada",
            "REFUSED no",
            "JOINED 2 Bob",
            "LEFT 1 Bob",
            "PRESENT 9 Žofie 你好",
            "LINE Bob: Ada, 你好 e\u{301}\u{301} 👩\u{200d}💻 and so on and so forth",
            "LINE \u{ff9e}: \u{ff9e}",
            "WARNING x",
            "BYE x",
            "nonsense",
            "LINE Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: b",
        ]);
        let one = prop_oneof![
            20 => key,
            3 => "[a\n\r\t 你\u{301}/q]{0,40}".prop_map(Event::Paste),
            8 => lines.prop_map(|line| Event::Reply(Reply::parse(line.as_bytes()))),
            3 => (1..90_u16, 1..30_u16).prop_map(|(columns, rows)| Event::Resized(columns, rows)),
            1 => Just(Event::Connected),
            1 => Just(Event::Gone("reset".to_owned())),
            1 => Just(Event::Unreachable("refused".to_owned())),
            1 => Just(Event::Interrupt),
            2 => Just(Event::Tick),
        ];
        prop::collection::vec(one, 0..60)
    }

    proptest! {
        // Each is dozens of frames.
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_happens_the_cursor_is_on_the_screen(events in events(), pause in 0..3000_u64) {
            let mut play = Play::start(None);
            let mut size = (80, 24);
            for event in events {
                if let Event::Resized(columns, rows) = event {
                    size = (columns, rows);
                }
                play.event(event);
                play.wait(Duration::from_millis(pause));
                let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("no I/O");
                terminal.draw(|frame| view::draw(frame, &play.window)).expect("no I/O");
                let cursor = terminal.get_cursor_position().expect("no I/O");
                prop_assert!(cursor.x < size.0 && cursor.y < size.1);
            }
        }
    }
}
