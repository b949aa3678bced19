//! A peer of the chat room, in the style of tokio's own chat example: a task and a queue for each member, all
//! members behind one lock, and **one write per line**. It speaks the protocol of `ex8-server` as far as a
//! measurement needs it.
//!
//! ```text
//! cargo run --release -p bench --bin bench-chat-per-line              # any free port; the first line says which
//! cargo run --release -p bench --bin bench-chat-per-line -- 20001
//! ```
//!
//! Deliberately as in the example: queues without limit, several threads, Nagle's algorithm left on. Without it
//! each of the many small writes would be a segment of its own.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    select,
    sync::mpsc::{UnboundedSender, unbounded_channel},
};

type Members = HashMap<String, UnboundedSender<Arc<str>>>;

/// Everybody who is in.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<Members>>);

impl Room {
    /// Lets somebody in, if the name is free.
    fn enter(&self, name: &str, member: &UnboundedSender<Arc<str>>) -> bool {
        let mut members = self.lock();
        if members.contains_key(name) {
            return false;
        }
        // Nothing has been put into the queue yet, so that the welcome comes first.
        let _ = member.send(format!("WELCOME {name}\n").into());
        members.insert(name.to_owned(), member.clone());
        tell(&members, None, format!("JOINED {} {name}\n", members.len()));
        true
    }

    fn say(&self, name: &str, text: &str) {
        tell(&self.lock(), Some(name), format!("LINE {name}: {text}\n"));
    }

    fn leave(&self, name: &str, word: &str) {
        let mut members = self.lock();
        members.remove(name);
        tell(&members, None, format!("{word} {} {name}\n", members.len()));
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(members: &Members, but: Option<&str>, line: String) {
    let line = Arc::from(line);
    for (name, member) in members {
        if but != Some(name) {
            // Whose queue is closed is about to leave.
            let _ = member.send(Arc::clone(&line));
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = match std::env::args().nth(1) {
        Some(port) => port.parse().context("the argument is no port")?,
        None => 0,
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("Listening on {}", listener.local_addr()?);
    let room = Room::default();
    loop {
        // When there is no descriptor left, the program ends: it is for measuring.
        let (stream, _) = listener.accept().await?;
        let room = room.clone();
        tokio::spawn(async move {
            // Its connection has ended, one way or the other.
            let _ = serve(stream, room).await;
        });
    }
}

async fn serve(stream: TcpStream, room: Room) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let (sender, mut queue) = unbounded_channel();
    let name = loop {
        let Some(line) = lines.next_line().await? else {
            return Ok(());
        };
        if let Some(name) = line.strip_prefix("LOGIN ")
            && room.enter(name, &sender)
        {
            break name.to_owned();
        }
        writer.write_all(b"REFUSED choose another name\n").await?;
    };
    let mut word = "LOST";
    loop {
        select! {
            Some(line) = queue.recv() => {
                if writer.write_all(line.as_bytes()).await.is_err() {
                    break;
                }
            }
            line = lines.next_line() => match line {
                Ok(Some(line)) if line == "LEAVE" => {
                    word = "LEFT";
                    break;
                }
                Ok(Some(line)) => {
                    if let Some(text) = line.strip_prefix("SAY ") {
                        room.say(&name, text);
                    }
                }
                Ok(None) | Err(_) => break,
            },
        }
    }
    room.leave(&name, word);
    if word == "LEFT" {
        writer.write_all(b"BYE you have left\n").await?;
    }
    Ok(())
}
