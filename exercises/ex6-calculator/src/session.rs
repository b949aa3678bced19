//! One client's conversation as a state machine: a line goes in, a reply and a text for the
//! server's screen come out. Both are appended to what the lines before it have left, so that it
//! can leave together.
//!
//! This is where the protocol is stateful: what a line means depends on the lines before it. The
//! first is a name, the others are requests, and after `q` there are none.
//!
//! Deliberately absent: sockets, clocks and printing. The server feeds it and does what it says.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::line::LineTooLong;
use crate::message::{Name, NameError, Reply, Request};
use crate::text::printable;

/// What the server knows of one client.
#[derive(Debug)]
pub struct Session {
    peer: SocketAddr,
    state: State,
}

#[derive(Debug)]
enum State {
    AwaitingName,
    Named(Name),
    Over,
}

/// What has to be done after some lines, in whole lines, each with its LF.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// What the server's screen shows. Safe to print.
    pub screen: String,
    /// What the client gets: one line for each of its own.
    pub replies: String,
}

/// How a session ended, other than by what the client said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The client closed its side (FIN) without a `q`.
    Closed,
    /// The connection broke (RST, or nothing arrives any more).
    Lost(String),
    /// The server stops.
    Stopped,
}

impl Session {
    /// A client has connected and not said anything yet.
    pub fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            state: State::AwaitingName,
        }
    }

    /// Whether the session has ended: the reply of the last step is the last thing to send.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes the next line of the client. Once the session is over there are only goodbyes.
    pub fn on_line(&mut self, line: Result<&[u8], LineTooLong>, output: &mut Output) {
        let name = match &self.state {
            State::Named(name) => name.as_str(),
            State::AwaitingName => return self.on_name(line, output),
            State::Over => return self.quit(output),
        };
        let received = line.map(printable).unwrap_or_default();
        let reply = match line.map(Request::parse) {
            Ok(Ok(Request::Quit)) => {
                output.screen.extend([name, ": ", &received, "\n"]);
                return self.quit(output);
            }
            Ok(Ok(Request::Calculate(expression))) => match expression.evaluate() {
                Ok(answer) => Reply::Answer(answer),
                Err(error) => Reply::Error(error.to_string()),
            },
            Ok(Err(error)) => Reply::Error(error.to_string()),
            Err(error) => Reply::Error(error.to_string()),
        };
        let (before, after) = match reply {
            Reply::Error(_) => (" (", ")\n"),
            _ => (" ", "\n"),
        };
        // Written out once: working out the digits costs more than the calculation.
        let said = put(&reply, &mut output.replies);
        let shown = [name, ": ", &received, before, said, after];
        output.screen.extend(shown);
    }

    /// Ends the session from outside; what the server's screen shows, with its LF.
    ///
    /// Empty if it was over already.
    pub fn end(&mut self, ending: &Ending) -> String {
        let how = match ending {
            Ending::Closed => "closed the connection".to_owned(),
            Ending::Lost(reason) => format!("connection lost: {reason}"),
            Ending::Stopped => "the server is stopping".to_owned(),
        };
        self.finish(&how)
    }

    fn on_name(&mut self, line: Result<&[u8], LineTooLong>, output: &mut Output) {
        let refusal = match line.map(Name::parse) {
            Ok(Ok(name)) => {
                output.screen += &format!("Session started: {name} ({})\n", self.peer);
                put(&Reply::Hello(name.clone()), &mut output.replies);
                self.state = State::Named(name);
                return;
            }
            Ok(Err(NameError::Quit)) => return self.quit(output),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        output.screen += &self.finish(&format!("name refused: {refusal}"));
        put(&Reply::Error(refusal), &mut output.replies);
    }

    fn quit(&mut self, output: &mut Output) {
        output.screen += &self.finish("said q");
        let goodbye = Reply::Goodbye("session ended".to_owned());
        put(&goodbye, &mut output.replies);
    }

    fn finish(&mut self, how: &str) -> String {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Named(name) => format!("Session ended: {name} ({how})\n"),
            State::AwaitingName => {
                format!("Session ended: {}, without a name ({how})\n", self.peer)
            }
            State::Over => String::new(),
        }
    }
}

/// Appends a reply with its LF; returns it without.
fn put<'a>(reply: &Reply, replies: &'a mut String) -> &'a str {
    let start = replies.len();
    write!(replies, "{reply}").expect("writing to a String cannot fail");
    let end = replies.len();
    replies.push('\n');
    &replies[start..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::line::MAX_LINE_LEN;

    fn session() -> Session {
        Session::new(SocketAddr::from(([127, 0, 0, 1], 51234)))
    }

    /// Feeds the lines (`None`: one that was too long) and compares all replies and the screen.
    #[track_caller]
    fn check(lines: &[Option<&[u8]>], replies: &[&str], screen: &str) -> Session {
        let mut session = session();
        let mut output = Output::default();
        for line in lines {
            session.on_line(line.ok_or(LineTooLong), &mut output);
        }
        let got: Vec<_> = output.replies.lines().collect();
        assert_eq!(got, replies);
        assert_eq!(output.screen, screen);
        session
    }

    #[test]
    fn a_session_has_a_name_requests_and_a_goodbye() {
        let session = check(
            &[Some(b" Ada "), Some(b"12 + 42"), Some(b"q"), Some(b"Eve")],
            &[
                "hello Ada",
                "= 54",
                "goodbye: session ended",
                "goodbye: session ended",
            ],
            "Session started: Ada (127.0.0.1:51234)\n\
             Ada: 12 + 42 = 54\n\
             Ada: q\n\
             Session ended: Ada (said q)\n",
        );
        assert!(session.is_over());
    }

    #[test]
    fn the_session_goes_on_after_a_request_without_an_answer() {
        let session = check(
            &[
                Some(b"Ada"),
                Some(b"4 / 0"),
                Some(b"3.24 45"),
                None,
                Some(b"\x1b[2J\xff"),
                Some(b"0.1 + 0.2"),
            ],
            &[
                "hello Ada",
                "error: division by zero",
                "error: at character 6: expected an operator (+ - * /), found `4`",
                "error: the line is longer than 1024 octets",
                "error: at character 5: the line is not UTF-8 text",
                "= 0.3",
            ],
            "Session started: Ada (127.0.0.1:51234)\n\
             Ada: 4 / 0 (error: division by zero)\n\
             Ada: 3.24 45 (error: at character 6: expected an operator (+ - * /), found `4`)\n\
             Ada:  (error: the line is longer than 1024 octets)\n\
             Ada: \\x1b[2J\\xff (error: at character 5: the line is not UTF-8 text)\n\
             Ada: 0.1 + 0.2 = 0.3\n",
        );
        assert!(!session.is_over());
    }

    #[test]
    fn a_refused_name_is_told_why_and_ends_the_session() {
        let session = check(
            &[Some(b"\x1b[31mAda")],
            &["error: a name has no control characters"],
            "Session ended: 127.0.0.1:51234, without a name (name refused: a name has no control characters)\n",
        );
        assert!(session.is_over());
        assert!(check(
            &[None],
            &["error: the line is longer than 1024 octets"],
            "Session ended: 127.0.0.1:51234, without a name (name refused: the line is longer than 1024 octets)\n",
        )
        .is_over());
    }

    #[test]
    fn leaving_before_giving_a_name_is_no_error() {
        check(
            &[Some(b"q")],
            &["goodbye: session ended"],
            "Session ended: 127.0.0.1:51234, without a name (said q)\n",
        );
    }

    #[test]
    fn the_screen_tells_how_a_session_ended() {
        let mut session = check(
            &[Some(b"Ada")],
            &["hello Ada"],
            "Session started: Ada (127.0.0.1:51234)\n",
        );
        assert_eq!(
            session.end(&Ending::Lost("reset".to_owned())),
            "Session ended: Ada (connection lost: reset)\n"
        );
        assert_eq!(
            session.end(&Ending::Stopped),
            "",
            "a session ends only once"
        );
    }

    proptest! {
        #[test]
        fn every_line_gets_one_line_that_fits(lines in prop::collection::vec(any::<Vec<u8>>(), 0..5)) {
            let mut session = session();
            for line in &lines {
                if session.is_over() { break; }
                let mut output = Output::default();
                session.on_line(Ok(line), &mut output);
                let reply = output.replies.strip_suffix('\n').expect("a whole line");
                prop_assert!(!reply.contains('\n') && reply.len() <= MAX_LINE_LEN);
                prop_assert!(Reply::parse(reply.as_bytes()).is_some());
            }
        }
    }
}
