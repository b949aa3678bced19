//! The server's part: what the sheet asks of a server, in the dialect of the client that calls.

use super::{Messages, Part, calculate, is_udp, say};
use crate::lab::Exercise;
use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

pub(super) fn run(part: &Part) -> io::Result<()> {
    let hall = Hall {
        part,
        members: Mutex::default(),
    };
    thread::scope(|scope| {
        for port in &part.ports {
            if is_udp(part.exercise) {
                let socket = open(|any| UdpSocket::bind((any, *port)))?;
                scope.spawn(|| answer_datagrams(part, socket));
            } else {
                let listener = open(|any| TcpListener::bind((any, *port)))?;
                let hall = &hall;
                scope.spawn(move || {
                    for stream in listener.incoming().flatten() {
                        // Who breaks off is told to the others when its talk is over.
                        scope.spawn(move || hall.serve(stream));
                    }
                });
            }
        }
        Ok(())
    })
}

/// On every address, IPv6's as well where there is IPv6.
fn open<T>(bind: impl Fn(&str) -> io::Result<T>) -> io::Result<T> {
    bind("::").or_else(|_| bind("0.0.0.0"))
}

fn answer_datagrams(part: &Part, socket: UdpSocket) {
    let mut buffer = vec![0; 65_536];
    loop {
        // What an earlier answer met comes back as an error of this call.
        let Ok((octets, peer)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let message = String::from_utf8_lossy(&buffer[..octets]);
        let message = message.trim();
        say(&format!("{peer}: {message}"));
        let now = chrono::Local::now();
        let answer = match message {
            _ if part.exercise != Exercise::Ex3 => {
                format!("The harness's own server got: {message}")
            }
            "SEND_TIME" => now.format("%H:%M:%S").to_string(),
            "SEND_DATE" => now.format("%Y-%m-%d").to_string(),
            _ => "unknown request".to_owned(),
        };
        let _ = socket.send_to(part.dialect.server_end.after(&answer).as_bytes(), peer);
    }
}

/// Where connections are served.
struct Hall<'p> {
    part: &'p Part,
    /// Who is in the chat room.
    members: Mutex<Vec<(String, TcpStream)>>,
}

impl Hall<'_> {
    fn serve(&self, stream: TcpStream) {
        let talk = match self.part.exercise {
            Exercise::Ex4 => self.exchange(&stream),
            Exercise::Ex6 => self.session(&stream),
            _ => self.membership(&stream),
        };
        if let Err(error) = talk {
            say(&format!("a connection has broken: {error}"));
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn messages(&self, stream: &TcpStream) -> io::Result<Messages<TcpStream>> {
        Ok(Messages::new(
            stream.try_clone()?,
            self.part.dialect.client_end,
        ))
    }

    fn tell(&self, mut stream: &TcpStream, text: &str) -> io::Result<()> {
        stream.write_all(self.part.dialect.server_end.after(text).as_bytes())
    }

    fn greet(&self, mut stream: &TcpStream, name: &str) -> io::Result<()> {
        let greeting = self.part.dialect.greeting.join(name);
        stream.write_all(greeting.as_bytes())
    }

    fn prompt(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.write_all(self.part.dialect.prompt.as_bytes())
    }

    fn exchange(&self, stream: &TcpStream) -> io::Result<()> {
        let mut messages = self.messages(stream)?;
        let Some(message) = messages.next()? else {
            return Ok(());
        };
        say(&message);
        self.tell(stream, &format!("The harness's own server got: {message}"))?;
        // Some clients read until the server has closed; closed with something unread, it would be cut off.
        stream.shutdown(Shutdown::Write)?;
        while messages.next()?.is_some() {}
        Ok(())
    }

    fn session(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut messages = self.messages(stream)?;
        self.prompt(stream)?;
        let Some(name) = messages.next()? else {
            return Ok(());
        };
        say(&format!("{name} has begun a session"));
        self.greet(stream, &name)?;
        while let Some(line) = messages.next()? {
            say(&format!("{name}: {line}"));
            if line.trim() == self.part.quit {
                break;
            }
            // A malformed line is the client's to warn about: who waits for an answer to one waits in vain.
            if let Some(number) = calculate(&line) {
                let answer = self.part.dialect.answer(&line, number);
                stream.write_all(answer.as_bytes())?;
            }
        }
        say("Session ended");
        Ok(())
    }

    fn members(&self) -> MutexGuard<'_, Vec<(String, TcpStream)>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody but one. Who cannot be told any more is found out by its own thread.
    fn tell_others(&self, name: &str, octets: &str) {
        for (other, stream) in self.members().iter_mut() {
            if other != name {
                let _ = stream.write_all(octets.as_bytes());
            }
        }
    }

    fn membership(&self, stream: &TcpStream) -> io::Result<()> {
        let mut messages = self.messages(stream)?;
        self.prompt(stream)?;
        let name = loop {
            let Some(name) = messages.next()? else {
                return Ok(());
            };
            let mut members = self.members();
            if !members.iter().any(|(other, _)| *other == name) {
                self.greet(stream, &name)?;
                members.push((name.clone(), stream.try_clone()?));
                break name;
            }
            drop(members);
            self.tell(stream, "This name is taken: which other one do you want?")?;
        };
        let notice = |what: &str| {
            let text = format!("{name} {what}");
            say(&text);
            self.tell_others(&name, &self.part.dialect.server_end.after(&text));
        };
        notice("has joined");
        let talk = loop {
            match messages.next() {
                Ok(Some(line)) if line.trim() == self.part.quit => break Ok(()),
                Ok(Some(line)) => self.tell_others(&name, &self.part.dialect.said(&name, &line)),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.members().retain(|(other, _)| *other != name);
        notice("has left");
        talk
    }
}
