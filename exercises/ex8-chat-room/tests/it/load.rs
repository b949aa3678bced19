//! A crowd in one thread: many members, some of whom talk, and every line that arrives is checked. Each
//! member has to get each line of each talker once and in order, and nothing else.
//!
//! For the tests, and by its path for the benchmark `fire`. Runs within a [`LocalSet`](tokio::task::LocalSet).

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use ex8_chat_room::lines::LineBuffer;
use ex8_chat_room::message::MAX_REPLY_LEN;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::Notify,
    task::{JoinSet, spawn_local},
};

/// So many log in at the same time.
const AT_ONCE: usize = 64;

/// What all members of a crowd share.
struct Shared {
    start: Instant,
    talkers: usize,
    /// Lines that have arrived, at all members together.
    deliveries: Cell<u64>,
    wanted: Cell<u64>,
    enough: Notify,
    heard: Box<dyn Fn(Duration)>,
}

/// Members in a room that nobody else talks in.
pub(crate) struct Crowd {
    shared: Rc<Shared>,
    /// Each is closed by its listener when the server has closed, as a good client does.
    streams: Vec<Weak<TcpStream>>,
    listeners: JoinSet<String>,
    /// Lines each talker has said.
    said: Vec<u32>,
}

impl Crowd {
    /// Logs so many members in, the first of them to talk, under names that begin like this. `heard` is told
    /// of every line at every member how long it took, from the talker's thought to the listener's ear.
    pub(crate) async fn gather(
        server: SocketAddr,
        prefix: &str,
        members: usize,
        talkers: usize,
        heard: impl Fn(Duration) + 'static,
    ) -> Self {
        let shared = Rc::new(Shared {
            start: Instant::now(),
            talkers,
            deliveries: Cell::new(0),
            wanted: Cell::new(u64::MAX),
            enough: Notify::new(),
            heard: Box::new(heard),
        });
        let mut listeners = JoinSet::new();
        let mut streams = Vec::with_capacity(members);
        for batch in (0..members).collect::<Vec<_>>().chunks(AT_ONCE) {
            let mut logins = Vec::new();
            for &id in batch {
                let name = format!("{prefix}{id}");
                logins.push(spawn_local(log_in(server, name, None)));
            }
            for (&id, login) in batch.iter().zip(logins) {
                let (stream, octets) = login.await.expect("welcomed");
                let stream = Rc::new(stream);
                streams.push(Rc::downgrade(&stream));
                let talker = (id < talkers).then_some(id);
                listeners.spawn_local(listen(stream, octets, talker, Rc::clone(&shared)));
            }
        }
        Self {
            shared,
            streams,
            listeners,
            said: vec![0; talkers],
        }
    }

    /// Lets one of the talkers say a line of at least so many octets.
    pub(crate) async fn say(&mut self, talker: usize, len: usize) {
        let number = self.said[talker];
        self.said[talker] += 1;
        let time = self.shared.start.elapsed().as_micros();
        let line = format!("SAY {talker} {number} {time} ");
        let line = format!("{line:x<len$}\n");
        let stream = self.streams[talker].upgrade().expect("connected");
        let mut unsent = line.as_bytes();
        while !unsent.is_empty() {
            stream.writable().await.expect("connected");
            match stream.try_write(unsent) {
                Ok(len) => unsent = &unsent[len..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("the server does not read: {error}"),
            }
        }
    }

    /// Lines that have to arrive for all that has been said.
    fn due(&self) -> u64 {
        let said: u64 = self.said.iter().map(|&said| u64::from(said)).sum();
        said * (self.streams.len() as u64 - 1)
    }

    /// Waits until everybody has got everything that has been said.
    pub(crate) async fn hear_all(&mut self) {
        self.shared.wanted.set(self.due());
        while self.shared.deliveries.get() < self.due() {
            tokio::select! {
                () = self.shared.enough.notified() => {}
                Some(ended) = self.listeners.join_next() => {
                    panic!("somebody is out: {:?}", ended.expect("each line once and in order"));
                }
            }
        }
        assert_eq!(self.shared.deliveries.get(), self.due());
        self.shared.wanted.set(u64::MAX);
    }

    /// Waits until everybody's connection has ended; returns everybody's last line.
    pub(crate) async fn last_lines(self) -> Vec<String> {
        self.listeners.join_all().await
    }
}

/// Connects, with a receive buffer of this size if it is to be small, and logs in. Returns what came after
/// the welcome, too.
pub(crate) async fn log_in(
    server: SocketAddr,
    name: String,
    receive_buffer: Option<u32>,
) -> (TcpStream, BytesMut) {
    let socket = TcpSocket::new_v4().expect("a descriptor");
    if let Some(size) = receive_buffer {
        socket.set_recv_buffer_size(size).expect("a socket");
    }
    let mut stream = socket.connect(server).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    let login = format!("LOGIN {name}\n");
    stream.write_all(login.as_bytes()).await.expect("connected");
    let welcome = format!("WELCOME {name}\n");
    let mut octets = BytesMut::new();
    while octets.len() < welcome.len() {
        let len = stream.read_buf(&mut octets).await.expect("connected");
        assert!(len > 0, "sent away with {octets:?}");
    }
    let rest = octets.split_off(welcome.len());
    assert_eq!(octets, welcome);
    (stream, rest)
}

/// Checks every line until the connection ends; returns the last.
async fn listen(
    stream: Rc<TcpStream>,
    octets: BytesMut,
    talker: Option<usize>,
    shared: Rc<Shared>,
) -> String {
    let mut lines = LineBuffer::new(MAX_REPLY_LEN);
    *lines.input() = octets;
    let mut next = vec![0; shared.talkers];
    let mut last = String::new();
    loop {
        let mut heard = 0;
        while let Some(line) = lines.next_line() {
            let line = line.expect("no reply is longer than the longest");
            let line = std::str::from_utf8(&line).expect("the protocol is UTF-8");
            last.clear();
            last.push_str(line);
            let Some((_, text)) = line.split_once(": ").filter(|_| line.starts_with("LINE "))
            else {
                continue;
            };
            let mut fields = text.split(' ').map_while(|field| field.parse::<u64>().ok());
            let mut field = || fields.next().expect("a number");
            let (sender, number, time) = (field(), field(), field());
            let sender = usize::try_from(sender).expect("a talker");
            assert_ne!(Some(sender), talker, "nobody gets their own lines");
            assert_eq!(number, next[sender], "lost, doubled or out of order");
            next[sender] += 1;
            heard += 1;
            (shared.heard)(shared.start.elapsed() - Duration::from_micros(time));
        }
        let deliveries = shared.deliveries.get() + heard;
        shared.deliveries.set(deliveries);
        if deliveries >= shared.wanted.get() {
            shared.enough.notify_one();
        }
        lines.input().reserve(4096);
        let read = match stream.readable().await {
            Ok(()) => stream.try_read_buf(lines.input()),
            Err(error) => Err(error),
        };
        match read {
            Ok(0) => return last,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return format!("{last} ({error})"),
        }
    }
}
