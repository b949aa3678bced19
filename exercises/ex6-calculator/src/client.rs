//! The loop between a person and a server: ask, warn or send, show the answer.
//!
//! Three things can happen at any moment: a line is typed, the server says something (or goes
//! away), Ctrl-C is pressed. So each has its own source, and every wait watches all that matter.
//!
//! Deliberately absent: arithmetic. The client parses a line to warn about it, and never
//! evaluates one.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::address::Endpoint;
use crate::connection::Connection;
use crate::line::{LineBuffer, LineTooLong};
use crate::message::{Name, NameError, QUIT, Reply, Request, RequestError};
use crate::text::printable;

/// How long each address of the server has to accept the connection.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How long the server has for a reply. A sum takes it microseconds; what takes longer is stuck.
const REPLY_TIME: Duration = Duration::from_secs(10);

/// How long to wait for the server's goodbye: leaving must not depend on it.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// A line as it was typed, without its terminator.
pub type TypedLine = Result<Vec<u8>, LineTooLong>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host of the address is unknown.
    #[error("cannot find {endpoint}")]
    Unknown {
        /// As given.
        endpoint: Endpoint,
        /// From the resolver.
        source: io::Error,
    },
    /// The computer is there, and refused (RST in answer to SYN).
    #[error("nobody listens on {address}: is the server running? Start it with ex6-server")]
    Refused {
        /// The address tried last.
        address: SocketAddr,
    },
    /// No answer at all.
    #[error("no answer from {address} within {} s: is the address right, and does a firewall allow it?", CONNECT_TIME.as_secs())]
    Silent {
        /// The address tried last.
        address: SocketAddr,
    },
    /// Anything else, such as no route.
    #[error("cannot connect to {address}")]
    Other {
        /// The address tried last.
        address: SocketAddr,
        /// From the system.
        source: io::Error,
    },
}

/// Why a conversation ended, other than by the person's wish.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The name cannot be used, and there is nobody to ask for another.
    #[error("the first line is the name: {0}")]
    Name(String),
    /// The server does not accept the name.
    #[error("the server refused the name: {0}")]
    NameRefused(String),
    /// The server said goodbye first.
    #[error("the server ended the session: {0}")]
    Dismissed(String),
    /// End of the stream without a goodbye.
    #[error("the server closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection to the server is lost: {0}")]
    Lost(io::Error),
    /// The server is connected and silent.
    #[error("the server did not answer within {} s", REPLY_TIME.as_secs())]
    Silent,
    /// The server is something else.
    #[error("the server sent `{0}`, which is no reply of a calculator: is it another program?")]
    Foreign(String),
    /// The answers cannot be shown.
    #[error("cannot write to standard output: {0}")]
    Screen(io::Error),
}

/// Connects to the first address of `endpoint` that works.
///
/// # Errors
/// Why the last address did not work.
pub async fn connect(endpoint: &Endpoint) -> Result<Connection, ConnectError> {
    let addresses = endpoint
        .resolve()
        .await
        .map_err(|source| ConnectError::Unknown {
            endpoint: endpoint.clone(),
            source,
        })?;
    let mut failure = None;
    for address in addresses {
        let attempt = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(address)).await;
        failure = Some(
            match attempt.map(|stream| stream.and_then(Connection::new)) {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    ConnectError::Refused { address }
                }
                Ok(Err(source)) => ConnectError::Other { address, source },
                Err(_) => ConnectError::Silent { address },
            },
        );
    }
    Err(failure.expect("resolve gives one address at least"))
}

/// Reads lines on a thread of its own, until the end of the input. The channel then closes.
///
/// A read from a terminal cannot be cancelled. On the runtime's own blocking thread it would keep
/// the program from ending on Ctrl-C until somebody presses Enter; a plain thread does not outlive
/// `main`.
///
/// # Errors
/// No thread to be had.
pub fn read_lines(mut input: impl Read + Send + 'static) -> io::Result<mpsc::Receiver<TypedLine>> {
    // One line ahead is enough: whoever pipes a whole file in waits for the answers anyway.
    let (sender, receiver) = mpsc::channel(1);
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || {
            let mut lines = LineBuffer::default();
            let mut chunk = [0; 8 * 1024];
            loop {
                let length = match input.read(&mut chunk) {
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    // A terminal that is gone is the end of its input.
                    Err(_) => 0,
                };
                lines.push(&chunk[..length]);
                while let Some(line) = lines.next_line() {
                    if sender.blocking_send(line.map(<[u8]>::to_vec)).is_err() {
                        return;
                    }
                }
                if length == 0 {
                    if let Some(line) = lines.take_rest() {
                        // Nobody waits for it any more: then it does not matter either.
                        let _ = sender.blocking_send(line.map(<[u8]>::to_vec));
                    }
                    return;
                }
            }
        })?;
    Ok(receiver)
}

/// One client: a connection on one side, a person on the other.
#[derive(Debug)]
pub struct Client<Out, Warnings> {
    /// To the server.
    pub connection: Connection,
    /// What is typed; closed at the end of the input.
    pub input: mpsc::Receiver<TypedLine>,
    /// Cancelled by Ctrl-C.
    pub interrupted: CancellationToken,
    /// Where answers go.
    pub output: Out,
    /// Where warnings go.
    pub warnings: Warnings,
    /// Whether a person is watching: prompts are shown, and a bad name is asked for again.
    pub interactive: bool,
}

/// What the person wants next.
enum Wish {
    Line(TypedLine),
    Leave,
}

impl<Out: Write, Warnings: Write> Client<Out, Warnings> {
    /// Talks until the person leaves: `q`, end of input or Ctrl-C. The server is told in each case.
    ///
    /// Without `name`, the first line typed is the name.
    ///
    /// # Errors
    /// The server went away or misbehaved. An output that nobody reads any more (a closed pipe) is
    /// not an error but a way to leave.
    pub async fn run(mut self, name: Option<Name>) -> Result<(), ClientError> {
        match self.converse(name).await {
            Ok(()) => {}
            Err(ClientError::Screen(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error),
        }
        self.leave().await;
        Ok(())
    }

    async fn converse(&mut self, name: Option<Name>) -> Result<(), ClientError> {
        let name = match name {
            Some(name) => name,
            None => match self.ask_name().await? {
                Some(name) => name,
                None => return Ok(()),
            },
        };
        self.send(name.to_string().as_bytes()).await?;
        match self.reply().await? {
            None => return Ok(()),
            Some(Reply::Hello(name)) => self.prompt(&format!(
                "Hello {name}! Type a number, an operator (+ - * /) and a number, with spaces between; {QUIT} to leave.\n"
            ))?,
            Some(Reply::Error(reason)) => {
                return Err(ClientError::NameRefused(printable(reason.as_bytes()).into_owned()));
            }
            Some(other) => return Err(unexpected(&other)),
        }

        loop {
            self.prompt("> ")?;
            let Wish::Line(line) = self.wish().await? else {
                return Ok(());
            };
            match line.as_deref().map(Request::parse) {
                Ok(Ok(Request::Quit)) => return Ok(()),
                Ok(Ok(Request::Calculate(_))) => {}
                Ok(Err(error)) => {
                    self.warn(&warning(line.as_deref().unwrap_or_default(), &error));
                    continue;
                }
                Err(error) => {
                    self.warn(&format!("Not sent: {error}.\n"));
                    continue;
                }
            }
            // What was typed, not what was understood: the server judges for itself.
            self.send(line.as_deref().unwrap_or_default()).await?;
            match self.reply().await? {
                None => return Ok(()),
                Some(reply @ (Reply::Answer(_) | Reply::Error(_))) => self.show(&reply)?,
                Some(other) => return Err(unexpected(&other)),
            }
        }
    }

    /// Asks until there is a name; `None` if the person leaves instead.
    async fn ask_name(&mut self) -> Result<Option<Name>, ClientError> {
        loop {
            self.prompt("Your name: ")?;
            let Wish::Line(line) = self.wish().await? else {
                return Ok(None);
            };
            let problem = match line.as_deref().map(Name::parse) {
                Ok(Ok(name)) => return Ok(Some(name)),
                Ok(Err(NameError::Quit)) => return Ok(None),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            if !self.interactive {
                return Err(ClientError::Name(problem));
            }
            self.warn(&format!("Not sent: {problem}.\n"));
        }
    }

    /// Waits for the person, and for a server that goes away meanwhile.
    async fn wish(&mut self) -> Result<Wish, ClientError> {
        let wish = tokio::select! {
            biased;
            () = self.interrupted.cancelled() => Ok(Wish::Leave),
            line = self.connection.receive() => Err(match understand(line) {
                Ok(reply) => unexpected(&reply),
                Err(error) => error,
            }),
            line = self.input.recv() => Ok(line.map_or(Wish::Leave, Wish::Line)),
        };
        if !matches!(wish, Ok(Wish::Line(_))) {
            // No Enter has ended the prompt's line. Cosmetic: if this fails, there is nothing to tidy.
            let _ = self.prompt("\n");
        }
        wish
    }

    /// Waits for the server; `None` if Ctrl-C comes first.
    async fn reply(&mut self) -> Result<Option<Reply>, ClientError> {
        tokio::select! {
            biased;
            () = self.interrupted.cancelled() => Ok(None),
            line = self.connection.receive() => understand(line).map(Some),
            () = tokio::time::sleep(REPLY_TIME) => Err(ClientError::Silent),
        }
    }

    async fn send(&mut self, line: &[u8]) -> Result<(), ClientError> {
        let line = [line, b"\n"].concat();
        // A server that reads no more cannot hold up more than one short line, which the kernel
        // takes at once; so nothing else needs watching here.
        self.connection.send(&line).await.map_err(ClientError::Lost)
    }

    /// Tells the server, and waits for its goodbye, but not for long.
    async fn leave(mut self) {
        if self.send(QUIT.as_bytes()).await.is_err() {
            return;
        }
        let goodbye = async {
            // Replies to what was sent before may come first.
            loop {
                match understand(self.connection.receive().await) {
                    Ok(Reply::Goodbye(_)) => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        };
        match tokio::time::timeout(GOODBYE_TIME, goodbye).await {
            Ok(true) if self.interactive => {
                // The screen may be gone, and it is the last word anyway.
                let _ = writeln!(self.output, "Goodbye.");
            }
            Ok(true) => {}
            _ => self.warn("The server did not say goodbye.\n"),
        }
    }

    fn show(&mut self, reply: &Reply) -> Result<(), ClientError> {
        let line = reply.to_string();
        writeln!(self.output, "{}", printable(line.as_bytes()))
            .and_then(|()| self.output.flush())
            .map_err(ClientError::Screen)
    }

    fn prompt(&mut self, text: &str) -> Result<(), ClientError> {
        if !self.interactive {
            return Ok(());
        }
        write!(self.output, "{text}")
            .and_then(|()| self.output.flush())
            .map_err(ClientError::Screen)
    }

    fn warn(&mut self, text: &str) {
        // Standard error may be closed; the session does not depend on it.
        let _ = self
            .warnings
            .write_all(text.as_bytes())
            .and_then(|()| self.warnings.flush());
    }
}

/// What a line from the server means, or that there will be none.
fn understand(line: io::Result<Option<Vec<u8>>>) -> Result<Reply, ClientError> {
    let line = line
        .map_err(ClientError::Lost)?
        .ok_or(ClientError::Closed)?;
    Reply::parse(&line).ok_or_else(|| ClientError::Foreign(printable(&line).into_owned()))
}

/// What a reply means that was not due.
fn unexpected(reply: &Reply) -> ClientError {
    match reply {
        Reply::Goodbye(reason) => ClientError::Dismissed(printable(reason.as_bytes()).into_owned()),
        _ => ClientError::Foreign(printable(reply.to_string().as_bytes()).into_owned()),
    }
}

/// The warning about a malformed line: what is wrong, and a caret under the place.
fn warning(line: &[u8], error: &RequestError) -> String {
    // Only a tab can stand before the place and not fill one column: see `ExpressionError::offset`.
    let line: Vec<u8> = line
        .iter()
        .map(|&octet| if octet == b'\t' { b' ' } else { octet })
        .collect();
    format!(
        "Not sent: {error}.\n  {}\n  {:>2$}\n",
        printable(&line),
        "^",
        error.offset() + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &[u8], expected: &str) {
        let error = Request::parse(line).expect_err("the line is malformed");
        assert_eq!(warning(line, &error), expected);
    }

    #[test]
    fn the_caret_stands_under_the_first_wrong_character() {
        check(
            b"3.24 45",
            "Not sent: at character 6: expected an operator (+ - * /), found `4`.\n  3.24 45\n       ^\n",
        );
        check(
            "1\t÷ x".as_bytes(),
            "Not sent: at character 5: expected a number, found `x`.\n  1 ÷ x\n      ^\n",
        );
        check(
            b"",
            "Not sent: at character 1: expected a number, found the end of the line.\n  \n  ^\n",
        );
        check(
            b"\x1b[2J",
            "Not sent: at character 1: expected a number, found `\\x1b`.\n  \\x1b[2J\n  ^\n",
        );
    }

    #[test]
    fn lines_are_read_to_the_end_of_the_input_even_without_a_last_terminator() {
        let mut lines = read_lines(&b"Ada\n12 + 42"[..]).expect("a thread");
        assert_eq!(lines.blocking_recv(), Some(Ok(b"Ada".to_vec())));
        assert_eq!(lines.blocking_recv(), Some(Ok(b"12 + 42".to_vec())));
        assert_eq!(lines.blocking_recv(), None);
    }
}
