//! Bad networks without a network of one's own: sockets between the clients and the server.
//!
//! Clients that are told where to go ({host} and {port}) are sent to [`SocketRelay`] instead, which speaks to the server
//! in their place. What goes wrong is decided by the same [`Decider`](crate::fault::Decider) as on a cable; but what
//! the kernel does by itself (a refused connection, an unreachable port) is only imitated: who is not answered by the
//! server is cut off.

use super::recorder::Recorder;
use super::relay::Faults;
use crate::event::EventKind;
use crate::fault::decider::{Fate, Manner};
use crate::fault::switch::{BETWEEN_PIECES, MOMENT, MOST_PAUSES, OVERTAKEN_WITHIN};
use crate::fault::{Carried, Meddling, Way};
use crate::lab::Transport;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// The largest UDP payload (RFC 768 over IPv4).
const DATAGRAM: usize = 65_507;

/// A relay that clients can be sent to.
#[derive(Debug)]
pub(super) struct SocketRelay {
    /// Where clients find it.
    pub(super) address: SocketAddr,
}

/// What every part of a relay needs.
#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    faults: Arc<Faults>,
    recorder: Rc<Recorder>,
    /// How much is held back.
    held: Cell<usize>,
    /// What waits to be overtaken, each way, with a number that tells it from the next.
    waiting: RefCell<[Option<(u64, Envelope)>; 2]>,
    numbers: Cell<u64>,
}

/// A datagram, and the socket it goes on by.
#[derive(Clone, Debug)]
struct Envelope {
    socket: Rc<UdpSocket>,
    to: Option<SocketAddr>,
    octets: Rc<[u8]>,
}

impl Envelope {
    async fn send(&self) {
        // A peer that has gone says so by ICMP, to the next one who asks.
        let _ = match self.to {
            Some(to) => self.socket.send_to(&self.octets, to).await,
            None => self.socket.send(&self.octets).await,
        };
    }
}

impl SocketRelay {
    /// Begins to relay to a server.
    pub(super) async fn open(
        transport: Transport,
        server: SocketAddr,
        faults: Arc<Faults>,
        recorder: Rc<Recorder>,
    ) -> io::Result<Self> {
        let shared = Rc::new(Shared {
            server,
            faults,
            recorder,
            held: Cell::new(0),
            waiting: RefCell::default(),
            numbers: Cell::new(0),
        });
        let anywhere = (Ipv4Addr::LOCALHOST, 0);
        let address = match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind(anywhere).await?;
                let address = socket.local_addr()?;
                spawn_local(shared.relay_datagrams(Rc::new(socket)));
                address
            }
            Transport::Tcp => {
                let listener = TcpListener::bind(anywhere).await?;
                let address = listener.local_addr()?;
                spawn_local(async move {
                    while let Ok((client, _)) = listener.accept().await {
                        spawn_local(Rc::clone(&shared).relay_stream(client));
                    }
                });
                address
            }
        };
        Ok(SocketRelay { address })
    }
}

impl Shared {
    fn meddled(&self, what: Meddling) {
        self.recorder
            .record(EventKind::Meddled { frame: None, what });
    }

    fn delayed(&self, by: Duration) {
        if let Some(delayed) = Meddling::delayed(by) {
            self.meddled(delayed);
        }
    }

    fn hold(&self, change: isize) {
        self.held.set(self.held.get().saturating_add_signed(change));
        self.faults.tell_pending(self.held.get() > 0);
    }

    async fn relay_datagrams(self: Rc<Self>, front: Rc<UdpSocket>) {
        let mut clients: BTreeMap<SocketAddr, Rc<UdpSocket>> = BTreeMap::new();
        let mut buffer = vec![0; DATAGRAM];
        loop {
            // An error tells of an earlier datagram that somebody did not get.
            let Ok((len, client)) = front.recv_from(&mut buffer).await else {
                continue;
            };
            let back = match clients.get(&client) {
                Some(back) => Rc::clone(back),
                None => {
                    let Ok(back) = self.back().await else {
                        continue;
                    };
                    let back = Rc::new(back);
                    clients.insert(client, Rc::clone(&back));
                    let (relay, front) = (Rc::clone(&self), Rc::clone(&front));
                    spawn_local(relay.relay_replies(Rc::clone(&back), front, client));
                    back
                }
            };
            let envelope = Envelope {
                socket: back,
                to: None,
                octets: buffer[..len].into(),
            };
            self.datagram(Way::Request, envelope).await;
        }
    }

    async fn back(&self) -> io::Result<UdpSocket> {
        let own: SocketAddr = match self.server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let back = UdpSocket::bind(own).await?;
        back.connect(self.server).await?;
        Ok(back)
    }

    async fn relay_replies(
        self: Rc<Self>,
        back: Rc<UdpSocket>,
        front: Rc<UdpSocket>,
        client: SocketAddr,
    ) {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let Ok(len) = back.recv(&mut buffer).await else {
                continue;
            };
            let envelope = Envelope {
                socket: Rc::clone(&front),
                to: Some(client),
                octets: buffer[..len].into(),
            };
            self.datagram(Way::Reply, envelope).await;
        }
    }

    async fn datagram(self: &Rc<Self>, way: Way, envelope: Envelope) {
        let (fate, delay) = self
            .faults
            .with(|decider| (decider.datagram(way), decider.delay()));
        let place = usize::from(way == Way::Reply);
        match fate {
            Fate::Drop => self.meddled(Meddling::Dropped),
            Fate::AfterNext => {
                self.meddled(Meddling::Overtaken);
                self.numbers.set(self.numbers.get() + 1);
                let number = self.numbers.get();
                let earlier = self.waiting.borrow_mut()[place].replace((number, envelope));
                if let Some((_, earlier)) = earlier {
                    earlier.send().await;
                }
                let relay = Rc::clone(self);
                spawn_local(async move {
                    sleep(OVERTAKEN_WITHIN).await;
                    let late = relay.waiting.borrow_mut()[place]
                        .take_if(|(waiting, _)| *waiting == number);
                    if let Some((_, envelope)) = late {
                        envelope.send().await;
                    }
                });
                return;
            }
            Fate::Twice => {
                self.meddled(Meddling::Duplicated);
                self.later(delay, envelope.clone()).await;
                self.later(delay, envelope).await;
            }
            Fate::Later(by) => {
                self.delayed(by);
                self.later(delay + by, envelope).await;
            }
            Fate::Pass => {
                self.delayed(delay);
                self.later(delay, envelope).await;
            }
        }
        let overtaken = self.waiting.borrow_mut()[place].take();
        if let Some((_, envelope)) = overtaken {
            envelope.send().await;
        }
    }

    async fn later(self: &Rc<Self>, delay: Duration, envelope: Envelope) {
        if delay.is_zero() {
            return envelope.send().await;
        }
        let relay = Rc::clone(self);
        relay.hold(1);
        spawn_local(async move {
            sleep(delay).await;
            envelope.send().await;
            relay.hold(-1);
        });
    }

    async fn relay_stream(self: Rc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.server).await else {
            cut_off(&client);
            return;
        };
        // Without it the kernel would join what is to arrive in pieces. Where it cannot be had, it does.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let stream = Rc::new(Stream {
            shared: self,
            carried: Cell::default(),
            over: Notify::new(),
        });
        let there = Rc::clone(&stream).pump(from_client, to_server);
        let back = Rc::clone(&stream).pump(from_server, to_client);
        let (there, back) = (spawn_local(there), spawn_local(back));
        // A pump that has panicked has nothing to give back.
        let halves = [there.await, back.await];
        if halves.iter().flatten().any(|pumped| pumped.violent) {
            for half in halves.iter().flatten() {
                cut_off(half.to.as_ref());
                cut_off(half.from.as_ref());
            }
        }
    }
}

/// What one pump gives back: its two ends, to be closed together.
struct Pumped {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    /// Whether somebody has cut off the connection.
    violent: bool,
}

/// One relayed connection.
struct Stream {
    shared: Rc<Shared>,
    carried: Cell<Carried>,
    over: Notify,
}

impl Stream {
    /// Hands on what comes until its end, or until the connection is cut off.
    async fn pump(self: Rc<Self>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Pumped {
        let (chunks, received) = mpsc::unbounded_channel();
        let over = self.over.notified();
        tokio::pin!(over);
        over.as_mut().enable();
        let copied =
            async { tokio::try_join!(self.read(&mut from, chunks), self.write(received, &mut to)) };
        let violent = tokio::select! {
            copied = copied => copied.is_err(),
            () = &mut over => true,
        };
        if violent {
            self.over.notify_waiters();
        }
        Pumped { from, to, violent }
    }

    async fn read(
        &self,
        from: &mut OwnedReadHalf,
        chunks: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let len = from.read(&mut buffer).await?;
            if len == 0 {
                return Ok(());
            }
            let delay = self.shared.faults.with(|decider| decider.delay());
            self.shared.delayed(delay);
            self.shared.hold(1);
            // Nobody to take it means that the connection is over.
            let _ = chunks.send((Instant::now() + delay, buffer[..len].to_vec()));
        }
    }

    async fn write(
        &self,
        mut chunks: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
        to: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        while let Some((due, mut octets)) = chunks.recv().await {
            sleep_until(due).await;
            let mut carried = self.carried.get();
            let len = octets.len();
            let reset = self
                .shared
                .faults
                .with(|decider| decider.reset(&mut carried, len));
            self.carried.set(carried);
            if let Some(kept) = reset {
                to.write_all(&octets[..kept]).await?;
                self.shared.hold(-1);
                self.shared.meddled(Meddling::Reset);
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let mut held = 1;
            match self.shared.faults.with(|decider| decider.manner()) {
                Manner::Whole => to.write_all(&octets).await?,
                Manner::Split => {
                    if octets.len() > 1 {
                        let pieces = u32::try_from(octets.len()).unwrap_or(u32::MAX);
                        self.shared.meddled(Meddling::Split { pieces });
                    }
                    for (at, octet) in octets.chunks(1).enumerate() {
                        if (1..MOST_PAUSES).contains(&at) {
                            sleep(BETWEEN_PIECES).await;
                        }
                        to.write_all(octet).await?;
                    }
                }
                Manner::Coalesce => {
                    let until = Instant::now() + MOMENT;
                    while let Ok(Some((_, more))) = timeout_at(until, chunks.recv()).await {
                        held += 1;
                        octets.extend(more);
                        let segments = u32::try_from(held).unwrap_or(u32::MAX);
                        self.shared.meddled(Meddling::Joined { segments });
                    }
                    sleep_until(until).await;
                    to.write_all(&octets).await?;
                }
            }
            self.shared.hold(-held);
        }
        to.shutdown().await
    }
}

/// Has a connection end with RST instead of FIN when it is closed.
fn cut_off(stream: &TcpStream) {
    // One that cannot be told so is over anyway.
    let _ = stream.set_zero_linger();
}
