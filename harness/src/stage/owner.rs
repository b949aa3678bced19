//! Whose socket is it? Addresses of frames become actors.
//!
//! The frame itself does not say who sent it. The socket table does, as long as the socket is there: it is looked up
//! when the first frame of an address is seen, some 10 ms after it was sent. For a socket that has gone by then there is
//! one more way: what the server exchanges with an address that is not its own, while only one client is on stage, it
//! exchanges with that client. Everybody else stays unknown, and the judge says so.

use super::recorder::Recorder;
use crate::event::{Actor, Crossing, CrossingKind};
use crate::judge::Ledger;
use crate::judge::ledger::ActorState;
use crate::lab::Transport;
use crate::scenario::model::SERVER;
use crate::world::processes;
use capture::listeners;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;

/// The sockets of the harness itself.
pub(super) const HARNESS: &str = "harness";

/// Looking up costs a walk through all processes; so many walks in vain are enough.
const MOST_WALKS_IN_VAIN: usize = 500;

/// A client that has ended may have sent something so long ago (µs).
const LATE_US: u64 = 500_000;

/// Remembers whose each address is.
pub(super) struct Owners {
    recorder: Rc<Recorder>,
    known: BTreeMap<(Transport, SocketAddr), Actor>,
    in_vain: usize,
    /// The tables of every computer: what `/proc/net` is there.
    tables: Vec<PathBuf>,
    /// The address of the server's computer, where it is one of two: no other leads there.
    servers: Option<IpAddr>,
}

impl Owners {
    pub(super) fn new(
        recorder: &Rc<Recorder>,
        tables: Vec<PathBuf>,
        servers: Option<IpAddr>,
    ) -> Self {
        Owners {
            recorder: Rc::clone(recorder),
            known: BTreeMap::new(),
            in_vain: 0,
            tables,
            servers,
        }
    }

    /// Says who is at both ends of what crossed at a moment of the scenario.
    pub(super) fn attribute(&mut self, crossing: &mut Crossing, at_us: u64) {
        // ICMP says of datagrams that nobody was there; a segment gets a RST.
        let transport = crossing.transport().unwrap_or(Transport::Udp);
        if opens(crossing) {
            // A new connection: what was known of that port is over.
            self.known.remove(&(transport, crossing.src));
        }
        let (src, dst) = (crossing.src, crossing.dst);
        let mut from = self.find(transport, src, at_us);
        let mut to = self.find(transport, dst, at_us);
        if from.is_none() && to.as_deref() == Some(SERVER) {
            from = self.only_client(at_us);
            self.remember(transport, src, from.as_ref());
        } else if to.is_none() && from.as_deref() == Some(SERVER) {
            to = self.only_client(at_us);
            self.remember(transport, dst, to.as_ref());
        }
        (crossing.from, crossing.to) = (from, to);
    }

    fn remember(&mut self, transport: Transport, address: SocketAddr, owner: Option<&Actor>) {
        if let Some(owner) = owner {
            self.known.insert((transport, address), owner.clone());
        }
    }

    fn find(&mut self, transport: Transport, address: SocketAddr, at_us: u64) -> Option<Actor> {
        let ledger = self.recorder.ledger();
        if let Some(owner) = self.known.get(&(transport, address)) {
            // A port of somebody who has ended may be somebody else's now.
            if owner == HARNESS || !ledger.has_ended(owner) || transport == Transport::Tcp {
                return Some(owner.clone());
            }
        }
        let ip = address.ip().to_canonical();
        // On the way to it, 127.0.0.1 is led astray on purpose.
        let gets_there = self.servers.is_none_or(|own| own == ip || ip.is_loopback());
        let is_servers = gets_there
            && ledger.actor(SERVER).is_some_and(|server| {
                was_there(server, at_us)
                    && server
                        .listening
                        .iter()
                        .any(|(found, local)| *found == transport && leads_to(*local, address))
            });
        if is_servers {
            return Some(SERVER.to_owned());
        }
        if self.in_vain >= MOST_WALKS_IN_VAIN {
            return None;
        }
        let owner = look_up(&ledger, &self.tables, gets_there, transport, address);
        drop(ledger);
        match &owner {
            Some(_) => self.remember(transport, address, owner.as_ref()),
            None => self.in_vain += 1,
        }
        owner
    }

    fn only_client(&self, at_us: u64) -> Option<Actor> {
        let ledger = self.recorder.ledger();
        let mut there = ledger.clients().filter(|client| {
            let state = ledger.actor(client);
            state.is_some_and(|state| state.started && was_there(state, at_us))
        });
        match (there.next(), there.next()) {
            (Some(only), None) if self.in_vain < MOST_WALKS_IN_VAIN => Some(only.clone()),
            _ => None,
        }
    }
}

fn opens(crossing: &Crossing) -> bool {
    matches!(
        crossing.what,
        CrossingKind::Segment {
            handshake: Some(1),
            retransmission: false,
            ..
        }
    )
}

/// Whose socket the kernel's tables show at this address. The first table is of the server's computer, which need not be
/// the one the address leads to.
fn look_up(
    ledger: &Ledger,
    tables: &[PathBuf],
    gets_there: bool,
    transport: Transport,
    address: SocketAddr,
) -> Option<Actor> {
    let here: BTreeSet<u64> = tables
        .iter()
        .filter(|folder| gets_there || *folder != &tables[0])
        .filter_map(|folder| listeners::table_in(folder).ok())
        .flatten()
        .filter(|socket| {
            Transport::from(socket.transport) == transport
                && socket.inode != 0
                && leads_to(socket.local, address)
        })
        .map(|socket| socket.inode)
        .collect();
    if here.is_empty() {
        return None;
    }
    let table = processes::Processes::read();
    let holds = |pids: &BTreeSet<u32>| !processes::socket_inodes(pids).is_disjoint(&here);
    let mut owners: Vec<Actor> = ledger
        .pids()
        .filter(|(_, pid)| holds(&table.family(*pid)))
        .map(|(actor, _)| actor.to_owned())
        .collect();
    if holds(&BTreeSet::from([std::process::id()])) {
        owners.push(HARNESS.to_owned());
    }
    match &owners[..] {
        [only] => Some(only.clone()),
        _ => None,
    }
}

/// Whether something sent at a moment may have been this program's.
fn was_there(state: &ActorState, at_us: u64) -> bool {
    state.ended_us.is_none_or(|ended| ended + LATE_US >= at_us)
}

/// Whether a socket that is bound to `local` is where `address` leads.
fn leads_to(local: SocketAddr, address: SocketAddr) -> bool {
    let ip = local.ip().to_canonical();
    local.port() == address.port() && (ip.is_unspecified() || ip == address.ip().to_canonical())
}
