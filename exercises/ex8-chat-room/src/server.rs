//! Listener and connections: read, hand to the hall, write what it says.
//!
//! Every connection has one task that reads, and one more carries the mail to all of them. They share one thread:
//! the work per line is a copy into a buffer, far less than handing it to another thread would cost. Deliberately
//! decides nothing about the room.

use std::{
    future::Future,
    io,
    net::{Shutdown, SocketAddr, ToSocketAddrs},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::BufMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpSocket, TcpStream},
    select, spawn,
    task::yield_now,
    time::{sleep, timeout},
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::{
    MAX_LINE_LEN,
    address::HostPort,
    hall::{Entry, Hall, Seat},
    lines::LineBuffer,
    message::Reply,
};

/// A connection that has not logged in by then is closed.
pub const LOGIN_TIME: Duration = Duration::from_secs(300);

/// How long a goodbye may take: writing what waits, and waiting for the peer to close.
pub const FAREWELL_TIME: Duration = Duration::from_millis(500);

/// After so long without a sign of life TCP asks whether the peer is still there, then every
/// [`KEEPALIVE_INTERVAL`]: the only way to notice a pulled cable in a quiet room.
pub const KEEPALIVE_TIME: Duration = Duration::from_secs(60);

/// See [`KEEPALIVE_TIME`].
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Connections that are written to before those who have something to say are heard again: a fraction of a
/// millisecond.
const TURNS: usize = 32;

/// Octets read from one connection before the others have their turn.
const READ_LEN: usize = 16 * 1024;

/// Connections that may wait to be accepted: a whole class at the same second.
const ACCEPT_BACKLOG: u32 = 1024;

/// How long to wait before accepting again when there are no descriptors or no memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the listening socket. Needs a tokio runtime.
///
/// # Errors
/// Names the address, and what to do if another program holds it.
pub fn bind(address: &HostPort) -> anyhow::Result<TcpListener> {
    let candidates = address
        .as_pair()
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {address}"))?;
    let mut failure = None;
    for candidate in candidates {
        match listen(candidate) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = Some((candidate, error)),
        }
    }
    match failure {
        Some((candidate, error)) if error.kind() == io::ErrorKind::AddrInUse => bail!(
            "address already in use: another program holds {candidate}; \
             stop it or choose another with --bind"
        ),
        Some((candidate, error)) if error.kind() == io::ErrorKind::AddrNotAvailable => bail!(
            "cannot bind {candidate}: this computer does not have that address; \
             try --bind 0.0.0.0 for all it has"
        ),
        Some((candidate, error)) => Err(error).with_context(|| format!("cannot bind {candidate}")),
        None => bail!("{address} has no address"),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Or a restart is refused while connections of the last run are in TIME-WAIT (RFC 9293 §3.6).
    // On TCP this does not let two servers listen on one port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}

/// Runs a room for so many connections until `shutdown` resolves, then says goodbye to everyone and
/// returns within about [`FAREWELL_TIME`]. `log` is given what happens, and must not block.
pub async fn run(
    listener: TcpListener,
    max_connections: usize,
    log: impl FnMut(Entry<'_>) + Send + 'static,
    shutdown: impl Future<Output = ()>,
) {
    let hall = Arc::new(Mutex::new(Hall::new(max_connections, log)));
    let connections = TaskTracker::new();
    let _postman = AbortOnDropHandle::new(spawn(carry_mail(Arc::clone(&hall))));
    let mut shutdown = pin!(shutdown);
    loop {
        let complain = |why: &io::Error| lock(&hall).complain(why);
        select! {
            (stream, _) = persist(|| listener.accept(), complain) => admit(stream, &hall, &connections),
            () = &mut shutdown => break,
        }
        // Those who are in come before the next newcomer, or a flood would hold them up.
        yield_now().await;
    }
    drop(listener);
    // Wakes every connection, with the goodbye as its last line.
    lock(&hall).close();
    connections.close();
    // Each has that long for its farewell, but if they are many the last ones begin late.
    let _ = timeout(FAREWELL_TIME, connections.wait()).await;
}

/// Sends what has gathered for everybody, whenever something has.
async fn carry_mail(hall: Arc<Mutex<Hall>>) {
    let mail = lock(&hall).mail();
    loop {
        mail.notified().await;
        while {
            // All who have something to say now are heard first, so that it leaves together.
            yield_now().await;
            lock(&hall).send_some(TURNS)
        } {}
    }
}

/// Accepts until it works, and says once what is in the way.
async fn persist<T, A: Future<Output = io::Result<T>>>(
    mut accept: impl FnMut() -> A,
    mut complain: impl FnMut(&io::Error),
) -> T {
    let mut complained = false;
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            // A connection that broke before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // Out of descriptors or memory: at once it would fail again, and again.
            Err(error) => {
                if !std::mem::replace(&mut complained, true) {
                    complain(&error);
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Gives a new connection its seat and its task.
fn admit(stream: TcpStream, hall: &Arc<Mutex<Hall>>, connections: &TaskTracker) {
    // All that is known is written at once, so there is nothing to gain from waiting for more. With
    // Nagle's algorithm a line can wait 40 ms for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);

    let stream = Arc::new(stream);
    let seat = lock(hall).enter(&stream);
    let Some(seat) = seat else {
        let mut goodbye = Vec::new();
        Reply::Bye("the room is full, try again later".into()).encode(&mut goodbye);
        // The send buffer of a fresh connection takes a line.
        let _ = stream.try_write(&goodbye);
        return;
    };
    let hall = Arc::clone(hall);
    connections.spawn(async move {
        if converse(&stream, &hall, &seat).await.is_ok() {
            // A peer that does not read, or does not close, must not keep us.
            let _ = timeout(FAREWELL_TIME, bid_farewell(&stream, &hall, &seat)).await;
        }
        lock(&hall).exit(seat.id);
    });
}

/// Carries lines both ways until the goodbye is in the outbox.
///
/// # Errors
/// The connection has ended or broken.
async fn converse(stream: &TcpStream, hall: &Mutex<Hall>, seat: &Seat) -> io::Result<()> {
    let mut lines = LineBuffer::new(MAX_LINE_LEN);
    let mut login_time = pin!(sleep(LOGIN_TIME));
    let mut login_due = true;
    loop {
        let outgoing = lock(hall).flush(seat.id)?;
        if outgoing.closed {
            return Ok(());
        }
        let interest = if outgoing.waiting {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let ready = select! {
            ready = stream.ready(interest) => ready?,
            () = seat.wake.notified() => continue,
            () = &mut login_time, if login_due => {
                lock(hall).expire(seat.id);
                login_due = false;
                continue;
            }
        };
        if !ready.is_readable() {
            continue;
        }
        lines.input().reserve(READ_LEN);
        match stream.try_read_buf(&mut lines.input().limit(READ_LEN)) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => receive(hall, seat, &mut lines),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        // One who never stops sending must not keep the others from being written to.
        yield_now().await;
    }
}

/// Hands every complete line to the hall before anything is written to anybody.
fn receive(hall: &Mutex<Hall>, seat: &Seat, lines: &mut LineBuffer) {
    let mut hall = lock(hall);
    while let Some(line) = lines.next_line() {
        hall.receive(seat.id, line);
    }
}

/// Writes what waits, closes our half (FIN) and waits for the peer to close its own. Closing with
/// octets unread would send RST, and that can destroy the goodbye on its way (RFC 1122 §4.2.2.13).
async fn bid_farewell(stream: &TcpStream, hall: &Mutex<Hall>, seat: &Seat) -> io::Result<()> {
    while {
        let outgoing = lock(hall).flush(seat.id)?;
        outgoing.waiting
    } {
        stream.writable().await?;
    }
    SockRef::from(stream).shutdown(Shutdown::Write)?;
    // Not an array: every connection's task would have room for it from the beginning.
    let mut ignored = vec![0; 4096];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut ignored) {
            Ok(0) => return Ok(()),
            Ok(_) => yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// A panic in one connection's task must not close the room to the others.
fn lock(hall: &Mutex<Hall>) -> MutexGuard<'_, Hall> {
    hall.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    /// The clock stands still while anything happens, so what is counted depends on no machine.
    #[tokio::test(start_paused = true)]
    async fn without_descriptors_accepting_is_tried_ten_times_a_second_and_complained_of_once() {
        let (mut tries, mut complaints) = (0, 0);
        let exhausted = || {
            tries += 1;
            ready(Err::<(), _>(io::Error::from_raw_os_error(
                nix::libc::EMFILE,
            )))
        };
        let accepting = persist(exhausted, |_| complaints += 1);
        let minute = timeout(Duration::from_secs(60), accepting).await;
        assert!(minute.is_err(), "nothing was accepted");
        assert!((590..=601).contains(&tries), "{tries} tries in a minute");
        assert_eq!(complaints, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_broke_before_it_was_accepted_is_no_reason_to_wait() {
        let mut outcomes = [
            Err(io::ErrorKind::ConnectionAborted.into()),
            Err(io::Error::from_raw_os_error(nix::libc::ENFILE)),
            Ok("connected"),
        ]
        .into_iter();
        let start = tokio::time::Instant::now();
        let accept = || ready(outcomes.next().expect("no more than three tries"));
        assert_eq!(persist(accept, |_| {}).await, "connected");
        assert_eq!(start.elapsed(), ACCEPT_PAUSE, "for the second only");
    }
}
