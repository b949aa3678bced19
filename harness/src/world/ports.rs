//! Ports on a network that is shared: who holds one, and locks so that two runs do not meet on what they share.

use super::processes;
use crate::lab::Transport;
use capture::listeners::{self, State};
use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;

/// A lock that every harness of this machine knows, held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock on what is called so, unless another harness has it.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn try_acquire(what: &str) -> io::Result<Option<Self>> {
        let path: PathBuf = std::env::temp_dir().join(format!("socket-lab-{what}.lock"));
        let open = || {
            File::options()
                .read(true)
                .append(true)
                .create(true)
                .open(&path)
        };
        // Another user's file may be readable only; reading is enough to lock.
        let file = open().or_else(|_| File::open(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The same for a port.
    ///
    /// # Errors
    /// As [`Self::try_acquire`].
    pub fn try_acquire_port(port: u16) -> io::Result<Option<Self>> {
        Self::try_acquire(&format!("port-{port}"))
    }
}

/// Who holds a port, in words, if somebody does. A connection that was closed but is remembered (TIME-WAIT,
/// RFC 9293 §3.6.1) counts: many servers cannot bind its port again.
///
/// # Errors
/// When the socket tables cannot be read.
pub fn holder(transport: Transport, port: u16) -> io::Result<Option<String>> {
    let held = listeners::table()?.into_iter().find(|socket| {
        Transport::from(socket.transport) == transport
            && socket.local.port() == port
            && socket.state != State::Other
    });
    Ok(held.map(|socket| match socket.state {
        State::TimeWait => "a connection closed less than a minute ago (TIME-WAIT)".to_owned(),
        _ => processes::holder_of(socket.inode)
            .unwrap_or_else(|| "a program of another user".to_owned()),
    }))
}

/// A port that nobody holds at this moment.
///
/// # Errors
/// When the system has none.
pub fn free_port(transport: Transport) -> io::Result<u16> {
    match transport {
        Transport::Tcp => std::net::TcpListener::bind("127.0.0.1:0")?.local_addr(),
        Transport::Udp => std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr(),
    }
    .map(|address| address.port())
}
