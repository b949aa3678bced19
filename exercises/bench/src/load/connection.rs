//! A TCP connection of a load: never blocks, keeps what the kernel does not take yet, and shares one large buffer
//! for reading with all the others.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd as _,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};

use super::{Duty, LoadError};

/// Room for what one read can bring.
const INPUT_LEN: usize = 256 * 1024;

pub(crate) struct Connection {
    stream: TcpStream,
    /// For error messages.
    who: String,
    id: u64,
    /// What has come of something unfinished.
    rest: Vec<u8>,
    unsent: Vec<u8>,
    /// Whether the kernel was full and tells when it is not any more.
    waiting: bool,
}

/// All connections of a load.
pub(crate) struct Connections {
    epoll: Epoll,
    all: Vec<Connection>,
    input: Vec<u8>,
    events: Vec<EpollEvent>,
}

impl Connections {
    pub(crate) fn new() -> Result<Self, LoadError> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            all: Vec::new(),
            input: vec![0; INPUT_LEN],
            events: vec![EpollEvent::empty(); 1024],
        })
    }

    /// For what is no connection and is waited for, too. Its id must be none of theirs.
    pub(crate) fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// Connects and returns the id: 0 for the first, and so on.
    pub(crate) fn connect(&mut self, server: SocketAddr, who: &str) -> Result<usize, LoadError> {
        let id = self.all.len();
        let connected = TcpStream::connect(server).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        let stream = connected.map_err(|source| LoadError::Socket {
            who: who.to_owned(),
            source,
        })?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, id as u64);
        self.epoll.add(&stream, event)?;
        self.all.push(Connection {
            stream,
            who: who.to_owned(),
            id: id as u64,
            rest: Vec::new(),
            unsent: Vec::new(),
            waiting: false,
        });
        Ok(id)
    }

    /// Sends now what the kernel takes, and the rest when it can.
    pub(crate) fn send(&mut self, id: usize, octets: &[u8]) -> Result<(), LoadError> {
        self.all[id].send(octets, &self.epoll)
    }

    /// Waits for something to happen, at most so long, and returns how many things that were.
    pub(crate) fn wait(&mut self, duty: &Duty, most: Duration) -> Result<usize, LoadError> {
        duty.stop.check()?;
        let timeout = EpollTimeout::try_from(most).unwrap_or(EpollTimeout::MAX);
        match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => Ok(count),
            Err(Errno::EINTR) => {
                duty.stop.check()?;
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The id of the thing of this number, and what it has to read: what was unfinished, and what has come.
    /// `None` for what is no connection.
    ///
    /// What remains of it has to be kept with [`keep`](Self::keep).
    pub(crate) fn read(&mut self, event: usize) -> Result<(u64, Option<usize>), LoadError> {
        let event = self.events[event];
        let id = event.data();
        let index = usize::try_from(id).unwrap_or(usize::MAX);
        let Some(connection) = self.all.get_mut(index) else {
            return Ok((id, None));
        };
        if event.events().contains(EpollFlags::EPOLLOUT) {
            connection.flush(&self.epoll)?;
        }
        let len = if event.events() == EpollFlags::EPOLLOUT {
            self.input[..connection.rest.len()].copy_from_slice(&connection.rest);
            connection.rest.len()
        } else {
            connection.read(&mut self.input)?
        };
        Ok((id, Some(len)))
    }

    /// What the last read has brought.
    pub(crate) fn input(&self, len: usize) -> &[u8] {
        &self.input[..len]
    }

    /// Keeps the unfinished rest of what the last read has brought.
    pub(crate) fn keep(&mut self, id: usize, rest: std::ops::Range<usize>) {
        let kept = &mut self.all[id].rest;
        kept.clear();
        kept.extend_from_slice(&self.input[rest]);
    }
}

impl Connection {
    fn failed(&self, source: io::Error) -> LoadError {
        let who = self.who.clone();
        LoadError::Socket { who, source }
    }

    fn send(&mut self, octets: &[u8], epoll: &Epoll) -> Result<(), LoadError> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(octets);
            return self.flush(epoll);
        }
        let sent = match self.stream.write(octets) {
            Ok(sent) => sent,
            Err(error) if is_transient(&error) => 0,
            Err(error) => return Err(self.failed(error)),
        };
        self.unsent.extend_from_slice(&octets[sent..]);
        self.watch(epoll)
    }

    fn flush(&mut self, epoll: &Epoll) -> Result<(), LoadError> {
        match self.stream.write(&self.unsent) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(self.failed(error)),
        }
        self.watch(epoll)
    }

    /// Asks to be told when the kernel takes more, if there is more.
    fn watch(&mut self, epoll: &Epoll) -> Result<(), LoadError> {
        let waiting = !self.unsent.is_empty();
        if waiting != self.waiting {
            self.waiting = waiting;
            let mut flags = EpollFlags::EPOLLIN;
            flags.set(EpollFlags::EPOLLOUT, waiting);
            epoll.modify(self.stream.as_fd(), &mut EpollEvent::new(flags, self.id))?;
        }
        Ok(())
    }

    /// Puts what was unfinished and one read's worth behind it into the buffer; returns how much that is.
    fn read(&mut self, input: &mut [u8]) -> Result<usize, LoadError> {
        let kept = self.rest.len();
        input[..kept].copy_from_slice(&self.rest);
        match self.stream.read(&mut input[kept..]) {
            Ok(0) => Err(LoadError::Closed {
                who: self.who.clone(),
            }),
            Ok(len) => Ok(kept + len),
            Err(error) if is_transient(&error) => Ok(kept),
            Err(error) => Err(self.failed(error)),
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
