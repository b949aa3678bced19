//! Line mode: connection, [session](crate::session) and [screen](crate::screen) put together.
//!
//! Deliberately decides nothing: whatever happens goes into the session, and what the session says is
//! done. The server is not trusted: its lines are bounded and made printable.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use tokio::{net::TcpStream, select, time::sleep};

use crate::{
    connection::{Connection, News},
    message::Reply,
    screen::{Event, Screen},
    session::{Action, Input, NAME_PROMPT, Outcome, Session},
};

/// How long the server may take to answer a login.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);

/// How long the server may take to say goodbye once it has gone quiet.
pub const FAREWELL_TIME: Duration = Duration::from_secs(2);

/// Octets that may wait to be sent before no more typed lines are taken.
const UNSENT_LIMIT: usize = 64 * 1024;

/// Chats until the user leaves or the server goes away. `interrupted` resolves when the user wants to
/// be gone; it is called many times and must be cancel safe. The first time the server is told, the
/// second time nothing is waited for.
pub async fn run(
    stream: TcpStream,
    name: Option<Bytes>,
    mut screen: Screen,
    mut interrupted: impl AsyncFnMut(),
) -> Outcome {
    let (session, actions) = Session::start(name);
    let mut chat = Chat {
        connection: Connection::new(stream),
        session,
        typed_ahead: VecDeque::new(),
        screen: &mut screen,
        output_closed: false,
        hurry: false,
        outcome: None,
    };
    chat.act(actions);
    let outcome = chat.run(&mut interrupted).await;
    let hurry = chat.hurry;
    // Whoever reads our output may be asleep, and then it cannot be finished.
    select! {
        () = screen.close() => {}
        () = interrupted() => {}
        () = sleep(FAREWELL_TIME), if hurry => {}
    }
    outcome
}

/// A running conversation.
struct Chat<'a> {
    connection: Connection,
    session: Session,
    /// Lines typed before the session could take them.
    typed_ahead: VecDeque<Bytes>,
    screen: &'a mut Screen,
    output_closed: bool,
    /// A signal came: what is still to be done may not take long.
    hurry: bool,
    outcome: Option<Outcome>,
}

impl Chat<'_> {
    async fn run(&mut self, interrupted: &mut impl AsyncFnMut()) -> Outcome {
        loop {
            while self.session.takes_lines()
                && let Some(line) = self.typed_ahead.pop_front()
            {
                self.handle(Input::Typed(line));
            }
            if let Some(outcome) = self.outcome.take() {
                return outcome;
            }
            let receiving = self.output_closed || !self.screen.is_behind();
            let wants_lines = self.session.takes_lines() && self.connection.unsent() < UNSENT_LIMIT;
            let leaving = self.session.is_leaving();
            let patience = if leaving { FAREWELL_TIME } else { ANSWER_TIME };
            select! {
                () = interrupted() => {
                    if leaving {
                        return Outcome::Left;
                    }
                    self.hurry = true;
                    self.handle(Input::End);
                }
                news = self.connection.next(receiving) => self.receive(news),
                event = self.screen.next(wants_lines), if !self.output_closed => {
                    self.attend(event);
                }
                () = sleep(patience), if self.session.awaits_answer() => {
                    self.handle(Input::Gone(format!(
                        "the server has not answered for {} s: is it a chat room's?",
                        patience.as_secs()
                    )));
                }
            }
        }
    }

    fn receive(&mut self, news: News) {
        match news {
            News::Sent => {}
            News::Received => {
                while let Some(line) = self.connection.next_line() {
                    match line {
                        Ok(line) => self.handle(Input::Reply(Reply::parse(&line))),
                        Err(too_long) => self.screen.show(&format!("Not shown: {too_long}")),
                    }
                }
            }
            News::Over(why) => self.handle(Input::Gone(why)),
        }
    }

    fn attend(&mut self, event: Event) {
        match event {
            Event::Typed(line) => self.typed_ahead.push_back(line),
            Event::TooLong(too_long) => self.screen.show(&format!("Not sent: {too_long}")),
            Event::End => self.handle(Input::End),
            Event::Printed => {}
            Event::OutputClosed => {
                self.output_closed = true;
                self.handle(Input::End);
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let actions = self.session.handle(input);
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(request) => self.connection.send(&request),
                Action::Show(shown) => self.screen.show(&shown.to_string()),
                Action::AskName => self.screen.ask(NAME_PROMPT),
                Action::Finish(outcome) => self.outcome = Some(outcome),
            }
        }
    }
}
