//! Line mode: connection, [session](crate::session) and [screen](crate::screen) put together.
//!
//! Deliberately decides nothing: whatever happens goes into the session, and what the session says is
//! done. The server is not trusted: its lines are bounded and made printable.

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use anyhow::{Context, anyhow};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    select,
    time::{sleep, timeout},
};

use crate::{
    address::HostPort,
    lines::LineBuffer,
    message::{MAX_REPLY_LEN, Reply},
    screen::{Event, Screen},
    session::{Action, Input, NAME_PROMPT, Outcome, Session},
};

/// How long one address may take to answer before the next is tried.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);

/// How long the server may take to answer a login.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);

/// How long the server may take to say goodbye once it has gone quiet.
pub const FAREWELL_TIME: Duration = Duration::from_secs(2);

/// Octets that may wait to be sent before no more typed lines are taken.
const UNSENT_LIMIT: usize = 64 * 1024;

/// Connects to the first address of the server that answers.
///
/// # Errors
/// Names the last address tried and what to do about it.
pub async fn connect(server: &HostPort) -> anyhow::Result<(TcpStream, SocketAddr)> {
    let addresses = server
        .as_pair()
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {server}: is the name right?"))?;
    let mut failure = anyhow!("{server} has no address");
    for address in addresses {
        match connect_to(address).await {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Connects to one address.
///
/// # Errors
/// Names the address and what to do about it.
pub async fn connect_to(address: SocketAddr) -> anyhow::Result<TcpStream> {
    match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(anyhow!(
            "nobody listens on {address}: is the server running?"
        )),
        Ok(Err(error)) => Err(anyhow!(error).context(format!("cannot reach {address}"))),
        Err(_) => Err(anyhow!(
            "no answer from {address} in {} s: is the address right, \
             and does a firewall allow the port?",
            CONNECT_TIME.as_secs()
        )),
    }
}

/// Chats until the user leaves or the server goes away. `interrupted` resolves when the user wants to
/// be gone; it is called many times and must be cancel safe. The first time the server is told, the
/// second time nothing is waited for.
pub async fn run(
    stream: TcpStream,
    name: Option<Bytes>,
    mut screen: Screen,
    mut interrupted: impl AsyncFnMut(),
) -> Outcome {
    // Typed lines are gathered and written together, so Nagle's algorithm could only delay them.
    let _ = stream.set_nodelay(true);
    let (session, actions) = Session::start(name);
    let (reader, writer) = stream.into_split();
    let mut chat = Chat {
        reader,
        writer,
        replies: LineBuffer::new(MAX_REPLY_LEN),
        unsent: BytesMut::new(),
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
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    replies: LineBuffer,
    unsent: BytesMut,
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
            let sending = !self.unsent.is_empty();
            let receiving = self.output_closed || !self.screen.is_behind();
            let wants_lines = self.session.takes_lines() && self.unsent.len() < UNSENT_LIMIT;
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
                read = self.reader.read_buf(self.replies.input()), if receiving => {
                    self.receive(read);
                }
                sent = self.writer.write_buf(&mut self.unsent), if sending => {
                    if sent.is_err() {
                        // What the server said before it went, if anything, is still to be read, and
                        // the end of it will be found there.
                        self.unsent.clear();
                    }
                }
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

    fn receive(&mut self, read: io::Result<usize>) {
        match read {
            Ok(0) => self.handle(Input::Gone(
                "the server has closed the connection".to_owned(),
            )),
            Ok(_) => {
                while let Some(line) = self.replies.next_line() {
                    match line {
                        Ok(line) => self.handle(Input::Reply(Reply::parse(&line))),
                        Err(too_long) => self.screen.show(&format!("Not shown: {too_long}")),
                    }
                }
            }
            Err(error) => self.handle(Input::Gone(format!(
                "the connection to the server is lost: {error}"
            ))),
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
                Action::Send(request) => request.encode(&mut self.unsent),
                Action::Show(shown) => self.screen.show(&shown.to_string()),
                Action::AskName => self.screen.ask(NAME_PROMPT),
                Action::Finish(outcome) => self.outcome = Some(outcome),
            }
        }
    }
}
