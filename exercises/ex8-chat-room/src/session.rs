//! The client's rules: what a person types and what the server says go in, what to send, to show and
//! to ask come out.
//!
//! Pure, like the room: no socket, no terminal, no clock.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::message::{Reply, Request, UnknownReply};

/// Asked of a person who has no name yet.
pub const NAME_PROMPT: &str = "login name: ";

/// A line that leaves the room.
pub const QUIT: &[u8] = b"q";

/// What happens to the client.
#[derive(Clone, Debug)]
pub enum Input {
    /// A line was typed.
    Typed(Bytes),
    /// A line of several that were sent together: never the one that leaves.
    Pasted(Bytes),
    /// There is nothing more to type: end of input, Ctrl-C, Ctrl-D, or a signal.
    End,
    /// A line came from the server.
    Reply(Result<Reply, UnknownReply>),
    /// The connection is over without a goodbye; the text says how.
    Gone(String),
}

/// What the client is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this.
    Send(Request),
    /// Show this.
    Show(Shown),
    /// Ask for a name; see [`NAME_PROMPT`].
    AskName,
    /// End.
    Finish(Outcome),
}

/// What a person is told. `Display` gives it as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// You are in, under this name.
    Welcome(Arc<str>),
    /// What the server says.
    Reply(Reply),
    /// The server says something of another protocol.
    Unknown(UnknownReply),
    /// You are out, as you wished.
    Goodbye,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Welcome(name) => {
                write!(f, "Welcome, {name}. Type a line to talk, q to leave.")
            }
            Self::Reply(reply) => reply.fmt(f),
            Self::Unknown(unknown) => write!(f, "The server sent {unknown}"),
            Self::Goodbye => f.write_str("Goodbye."),
        }
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As the user wished.
    Left,
    /// The server went away; the text says how.
    Lost(String),
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Naming,
    AwaitingWelcome,
    Chatting,
    Leaving,
    Finished,
}

/// One client's conversation with the server.
#[derive(Debug)]
pub struct Session {
    state: State,
}

impl Session {
    /// Begins with a login, or with the question for a name.
    pub fn start(name: Option<Bytes>) -> (Self, Vec<Action>) {
        let mut session = Self {
            state: State::Naming,
        };
        let actions = match name {
            Some(name) => session.login(name),
            None => vec![Action::AskName],
        };
        (session, actions)
    }

    /// Whether a typed line would mean something now. Between a login and its answer it would not: it
    /// is a line for the room or another name.
    pub fn takes_lines(&self) -> bool {
        matches!(self.state, State::Naming | State::Chatting)
    }

    /// Whether the next line is a name.
    pub fn takes_name(&self) -> bool {
        self.state == State::Naming
    }

    /// Whether the server owes an answer without which nothing goes on.
    pub fn awaits_answer(&self) -> bool {
        matches!(self.state, State::AwaitingWelcome | State::Leaving)
    }

    /// Whether the user has said goodbye.
    pub fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving | State::Finished)
    }

    /// Applies the input and says what to do, in this order.
    pub fn handle(&mut self, input: Input) -> Vec<Action> {
        match (self.state, input) {
            (State::Finished, _)
            | (State::Leaving, Input::Typed(_) | Input::Pasted(_) | Input::End) => Vec::new(),
            (_, Input::End) => self.leave(),
            (State::Naming | State::Chatting, Input::Typed(line)) if line.trim_ascii() == QUIT => {
                self.leave()
            }
            (State::Naming, Input::Typed(line)) if line.trim_ascii().is_empty() => {
                vec![Action::AskName]
            }
            (State::Naming, Input::Typed(name) | Input::Pasted(name)) => self.login(name),
            (State::Chatting, Input::Typed(line) | Input::Pasted(line)) => {
                if line.trim_ascii().is_empty() {
                    Vec::new()
                } else {
                    vec![Action::Send(Request::Say(line))]
                }
            }
            // The caller asks `takes_lines` first; a line in between would be lost.
            (State::AwaitingWelcome, Input::Typed(_) | Input::Pasted(_)) => Vec::new(),
            (_, Input::Reply(reply)) => self.hear(reply),
            (State::Leaving, Input::Gone(_)) => self.finish(Outcome::Left),
            (_, Input::Gone(how)) => self.finish(Outcome::Lost(how)),
        }
    }

    fn hear(&mut self, reply: Result<Reply, UnknownReply>) -> Vec<Action> {
        let reply = match reply {
            Ok(reply) => reply,
            Err(unknown) => return vec![Action::Show(Shown::Unknown(unknown))],
        };
        match (self.state, &reply) {
            (State::AwaitingWelcome, Reply::Welcome(name)) => {
                self.state = State::Chatting;
                vec![Action::Show(Shown::Welcome(Arc::clone(name)))]
            }
            (State::AwaitingWelcome, Reply::Refused(_)) => {
                self.state = State::Naming;
                vec![Action::Show(Shown::Reply(reply)), Action::AskName]
            }
            (State::Leaving, Reply::Bye(_)) => {
                let mut actions = vec![Action::Show(Shown::Goodbye)];
                actions.extend(self.finish(Outcome::Left));
                actions
            }
            (_, Reply::Bye(reason)) => self.finish(Outcome::Lost(format!(
                "the server has ended the connection: {reason}"
            ))),
            _ => vec![Action::Show(Shown::Reply(reply))],
        }
    }

    fn login(&mut self, name: Bytes) -> Vec<Action> {
        self.state = State::AwaitingWelcome;
        vec![Action::Send(Request::Login(name))]
    }

    /// The server answers `LEAVE` with its goodbye after everything it had for us: a client that only
    /// closed would miss what was under way.
    fn leave(&mut self) -> Vec<Action> {
        self.state = State::Leaving;
        vec![Action::Send(Request::Leave)]
    }

    fn finish(&mut self, outcome: Outcome) -> Vec<Action> {
        self.state = State::Finished;
        vec![Action::Finish(outcome)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    fn typed(text: &'static str) -> Input {
        Input::Typed(Bytes::from_static(text.as_bytes()))
    }

    fn reply(line: &str) -> Input {
        Input::Reply(Reply::parse(line.as_bytes()))
    }

    fn gone() -> Input {
        Input::Gone("reset".to_owned())
    }

    /// One word or two per action, easy to read in a list.
    fn told(action: Action) -> String {
        match action {
            Action::Send(request) => {
                let mut line = BytesMut::from("> ");
                request.encode(&mut line);
                String::from_utf8_lossy(&line).trim_end().to_owned()
            }
            Action::Show(shown) => shown.to_string(),
            Action::AskName => format!("? {NAME_PROMPT}"),
            Action::Finish(outcome) => format!("{outcome:?}"),
        }
    }

    #[track_caller]
    fn check(name: Option<&'static str>, inputs: &[Input], expected: &[&str]) {
        let (mut session, mut actions) = Session::start(name.map(Bytes::from));
        for input in inputs {
            actions.extend(session.handle(input.clone()));
        }
        let actions: Vec<_> = actions.into_iter().map(told).collect();
        assert_eq!(actions, expected);
    }

    #[test]
    fn a_session_logs_in_talks_and_leaves() {
        check(
            None,
            &[
                typed("Ada"),
                reply("WELCOME Ada"),
                reply("JOINED 1 Ada"),
                typed("hello"),
                typed("  "),
                reply("LINE Bob: hi"),
                typed("q"),
                reply("LINE Bob: wait"),
                reply("BYE you have left"),
            ],
            &[
                "? login name: ",
                "> LOGIN Ada",
                "Welcome, Ada. Type a line to talk, q to leave.",
                "* Ada has joined. Member count=1",
                "> SAY hello",
                "Bob: hi",
                "> LEAVE",
                "Bob: wait",
                "Goodbye.",
                "Left",
            ],
        );
    }

    #[test]
    fn a_refused_name_is_asked_for_again() {
        check(
            Some("Ada"),
            &[
                reply("REFUSED the name Ada is taken"),
                typed(""),
                typed("Ada L"),
            ],
            &[
                "> LOGIN Ada",
                "Refused: the name Ada is taken",
                "? login name: ",
                "? login name: ",
                "> LOGIN Ada L",
            ],
        );
    }

    #[test]
    fn a_q_among_pasted_lines_does_not_leave() {
        let pasted = |text: &'static str| Input::Pasted(Bytes::from_static(text.as_bytes()));
        check(
            Some("Ada"),
            &[reply("WELCOME Ada"), pasted("q"), pasted(" "), pasted("r")],
            &[
                "> LOGIN Ada",
                "Welcome, Ada. Type a line to talk, q to leave.",
                "> SAY q",
                "> SAY r",
            ],
        );
    }

    #[test]
    fn one_can_leave_at_any_time() {
        check(
            None,
            &[typed("q"), gone()],
            &["? login name: ", "> LEAVE", "Left"],
        );
        check(
            Some("Ada"),
            &[Input::End, Input::End, typed("x"), gone()],
            &["> LOGIN Ada", "> LEAVE", "Left"],
        );
    }

    #[test]
    fn a_server_that_goes_away_is_reported_once() {
        check(
            Some("Ada"),
            &[
                reply("WELCOME Ada"),
                reply("BYE shutting down"),
                gone(),
                typed("x"),
            ],
            &[
                "> LOGIN Ada",
                "Welcome, Ada. Type a line to talk, q to leave.",
                "Lost(\"the server has ended the connection: shutting down\")",
            ],
        );
        check(None, &[gone()], &["? login name: ", "Lost(\"reset\")"]);
    }

    #[test]
    fn a_server_of_another_kind_is_shown_as_it_is() {
        check(
            Some("Ada"),
            &[reply("SSH-2.0-\x1b[2J")],
            &[
                "> LOGIN Ada",
                "The server sent a line that is not of the chat protocol: SSH-2.0-\\x1b[2J",
            ],
        );
    }
}
