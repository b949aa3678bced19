//! Cables whose other end is in the harness's hand, so that it can lose, delay or cut up what crosses them.
//!
//! ```text
//!  [`Cable::looped`]                              [`Cable::between_computers`]
//!  ┌ the scenario's network ┐                     ┌ the server's ┐               ┌ the client's ┐
//!  │ programs ─ eth0 ═══════╪═ frames             │ server ─ eth0╪═ frames frames╪═eth0 ─ client│
//!  └────────────────────────┘   (and back in)     └──────────────┘               └──────────────┘
//! ```
//!
//! A looped cable carries what the programs of one computer say to each other, 127.0.0.1 included: whatever is sent to an
//! address of this computer leaves by the cable, and what comes in by it is for this computer
//! (linux/Documentation/networking/ip-sysctl.rst: accept_local, route_localnet). The programs notice nothing, also those
//! that have their address written into them. IPv6's ::1 cannot be led elsewhere; it stays on lo.
//!
//! Between two computers each has its own network, addresses and loopback. On the client's, 127.0.0.1 leads over the cable
//! as well: what a client with that address written into it says can be seen, and that it says it to the wrong address.

use super::{Isolation, trial};
use crate::sys;
use capture::namespace::{self, OtherNetwork};
use nix::libc::ETH_ALEN;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

/// What the interface is called on each computer.
pub const INTERFACE: &str = "eth0";
/// The server's computer, where it has no other address (RFC 5737: for documentation).
pub const SERVERS_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// The clients' computer.
pub const CLIENTS_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);

/// The hidden argument that makes the program try to lay cables in one seclusion and exit.
pub const PROBE_ARGUMENT: &str = "__probe-cable";

/// The harness's ends, and the server's and the client's until it has moved.
const OUR_ENDS: [&str; 2] = ["wire0", "wire1"];
const MOVING: &str = "eth1";
/// An IPv4 packet of any size goes into one frame.
const MTU: u32 = 65_535;
/// The table with the routes that lead over a looped cable; any number but the kernel's own (253 to 255).
const TABLE: u32 = 100;
/// Rules with a smaller number are asked first. The kernel's own first rule has 0.
const FIRST: u32 = 5;
const SECOND: u32 = 10;

/// Whether cables can be laid, so that there can be two computers and bad networks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cables {
    /// Whether they can.
    pub granted: bool,
    /// What is in the way, where they cannot.
    pub why: Option<String>,
}

impl Cables {
    /// Tries it in a process of its own.
    pub fn probe(isolation: &Isolation) -> Self {
        let tried = trial::ask_in_own_network(PROBE_ARGUMENT, isolation);
        Cables {
            granted: tried.is_ok(),
            why: tried.err(),
        }
    }
}

/// What the program does for [`PROBE_ARGUMENT`]: exit status 0 when cables can be laid.
pub fn probe_main(spec: &str) -> i32 {
    let tried = serde_json::from_str(spec)
        .map_err(io::Error::other)
        .and_then(namespace::enter)
        .and_then(|()| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(try_loop())
        });
    trial::answer(tried)
}

/// A datagram to oneself has to come out at our end; and another network has to be possible.
async fn try_loop() -> io::Result<()> {
    let cable = Cable::looped(&[]).await?;
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"?", "127.0.0.1:9")?;
    let Some(end) = cable.ends.into_iter().next() else {
        return Err(io::Error::other("the cable has no end"));
    };
    let end = sys::watch(end.socket)?;
    let came = tokio::time::timeout(Duration::from_secs(1), end.readable()).await;
    let _ = came.map_err(|_| io::Error::other("nothing comes out of the cable"))??;
    OtherNetwork::new().map(drop)
}

/// The harness's end of a cable.
#[derive(Debug)]
pub struct End {
    /// Gets and sends frames.
    pub socket: OwnedFd,
    /// The link address of the interface at the other end, which frames to it must have.
    pub address: [u8; ETH_ALEN as usize],
}

/// A cable, laid.
#[derive(Debug)]
pub struct Cable {
    /// One end where it leads back, two between two computers: the server's first.
    pub ends: Vec<End>,
    /// The clients' computer.
    pub clients: Option<OtherNetwork>,
}

impl Cable {
    /// Has everything that is sent to 127.0.0.0/8 and these addresses of this process's network cross a cable.
    ///
    /// # Errors
    /// What the system refused, as `step: reason`.
    pub async fn looped(addresses: &[Ipv4Addr]) -> io::Result<Self> {
        let handle = connect()?;
        let end = lay(&handle, INTERFACE, OUR_ENDS[0]).await?;
        for setting in ["accept_local", "route_localnet"] {
            set(INTERFACE, setting, "1")?;
        }
        let loopback = (Ipv4Addr::new(127, 0, 0, 0), 8, Ipv4Addr::LOCALHOST);
        let others = addresses.iter().map(|address| (*address, 32, *address));
        let over_the_cable: Vec<_> = std::iter::once(loopback).chain(others).collect();
        lead(&handle, &over_the_cable).await?;
        Ok(Cable {
            ends: vec![end],
            clients: None,
        })
    }

    /// Connects this process's network, the server's computer, with another one, the clients'. The server's computer gets
    /// the address given.
    ///
    /// # Errors
    /// What the system refused, as `step: reason`.
    pub async fn between_computers(server: Ipv4Addr) -> io::Result<Self> {
        let clients = OtherNetwork::new()?;
        let handle = connect()?;
        let servers_end = lay(&handle, INTERFACE, OUR_ENDS[0]).await?;
        let clients_end = lay(&handle, MOVING, OUR_ENDS[1]).await?;
        set(INTERFACE, "route_localnet", "1")?;
        address(&handle, server).await?;
        let moved: LinkMessage = LinkMessageBuilder::<LinkUnspec>::new()
            .index(index_of(MOVING)?)
            .setns_by_fd(clients.descriptor().as_raw_fd())
            .build();
        let moved = handle.link().set(moved).execute().await;
        moved.map_err(|error| named("move to the other computer", error))?;
        clients.within(move || furnish_clients(server))??;
        Ok(Cable {
            ends: vec![servers_end, clients_end],
            clients: Some(clients),
        })
    }
}

/// What is done on the clients' computer, by a thread that lives there.
fn furnish_clients(server: Ipv4Addr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let handle = connect()?;
        let renamed: LinkMessage = LinkMessageBuilder::<LinkUnspec>::new()
            .index(index_of(MOVING)?)
            .name(INTERFACE.to_owned())
            .build();
        let renamed = handle.link().set(renamed).execute().await;
        renamed.map_err(|error| named("rename", error))?;
        ready(&handle, INTERFACE).await?;
        set(INTERFACE, "route_localnet", "1")?;
        let own = match server == CLIENTS_ADDRESS {
            true => SERVERS_ADDRESS,
            false => CLIENTS_ADDRESS,
        };
        address(&handle, own).await?;
        lead(&handle, &[(Ipv4Addr::LOCALHOST, 32, own)]).await
    })
}

/// A connection to the kernel's network settings.
fn connect() -> io::Result<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Makes a pair of interfaces, both ready, and holds the second one's end.
async fn lay(handle: &Handle, theirs: &str, ours: &str) -> io::Result<End> {
    let made = handle.link().add(LinkVeth::new(theirs, ours).build());
    made.execute().await.map_err(|error| named("veth", error))?;
    // The one that comes second finds its peer ready and carries at once; the first one does when the kernel gets to it,
    // which our socket does not wait for.
    for interface in [ours, theirs] {
        ready(handle, interface).await?;
    }
    namespace::carry_as_it_is(theirs)?;
    let address = link_address(theirs)?;
    let socket = sys::frame_socket(ours).map_err(|error| named("frames", error))?;
    Ok(End { socket, address })
}

/// Switches an interface on, without anything that would speak by itself.
async fn ready(handle: &Handle, interface: &str) -> io::Result<()> {
    // A system without IPv6 has no such setting.
    let _ = std::fs::write(
        format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"),
        "1",
    );
    set(interface, "rp_filter", "0")?;
    let up: LinkMessage = LinkMessageBuilder::<LinkUnspec>::new()
        .index(index_of(interface)?)
        .mtu(MTU)
        .arp(false)
        .up()
        .build();
    let up = handle.link().set(up).execute().await;
    up.map_err(|error| named("interface up", error))
}

/// Gives the interface an address, and has everything unknown leave by it.
async fn address(handle: &Handle, own: Ipv4Addr) -> io::Result<()> {
    let index = index_of(INTERFACE)?;
    let added = handle.address().add(index, own.into(), 32).execute().await;
    added.map_err(|error| named("address", error))?;
    let everything = RouteMessageBuilder::<Ipv4Addr>::new()
        .output_interface(index)
        .scope(RouteScope::Link)
        .pref_source(own)
        .build();
    let added = handle.route().add(everything).execute().await;
    added.map_err(|error| named("route", error))
}

/// Has what programs here send to these addresses, although they are this computer's own, leave by the interface. Each
/// with the length of its prefix and the address it is sent from. Afterwards the kernel's own table is asked, first of
/// all for what comes in.
async fn lead(handle: &Handle, routes: &[(Ipv4Addr, u8, Ipv4Addr)]) -> io::Result<()> {
    let index = index_of(INTERFACE)?;
    for (to, prefix, from) in routes {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(*to, *prefix)
            .output_interface(index)
            .scope(RouteScope::Link)
            .pref_source(*from)
            .table_id(TABLE)
            .build();
        let added = handle.route().add(route).execute().await;
        added.map_err(|error| named("route", error))?;
    }
    let rule = |table, priority| {
        let rule = handle.rule().add().v4().table_id(table);
        rule.priority(priority).action(RuleAction::ToTable)
    };
    let kernels = u32::from(nix::libc::RT_TABLE_LOCAL);
    for rule in [
        rule(TABLE, FIRST).input_interface("lo".to_owned()),
        rule(kernels, SECOND),
    ] {
        let added = rule.execute().await;
        added.map_err(|error| named("rule", error))?;
    }
    let mut kernels_own = RuleMessage::default();
    kernels_own.header.family = AddressFamily::Inet;
    kernels_own.header.table = nix::libc::RT_TABLE_LOCAL;
    kernels_own.header.action = RuleAction::ToTable;
    kernels_own.attributes.push(RuleAttribute::Priority(0));
    let removed = handle.rule().del(kernels_own).execute().await;
    removed.map_err(|error| named("the kernel's first rule", error))
}

fn index_of(interface: &str) -> io::Result<u32> {
    nix::net::if_::if_nametoindex(interface).map_err(|error| named(interface, error))
}

fn set(interface: &str, setting: &str, value: &str) -> io::Result<()> {
    let file = format!("/proc/sys/net/ipv4/conf/{interface}/{setting}");
    std::fs::write(&file, value).map_err(|error| named(&file, error))
}

/// As in `/sys/class/net/…/address`, which shows the network in which /sys was mounted: so the kernel is asked instead.
fn link_address(interface: &str) -> io::Result<[u8; ETH_ALEN as usize]> {
    let found = nix::ifaddrs::getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address?.as_link_addr()?.addr());
    found.ok_or_else(|| io::Error::other(format!("{interface} has no link address")))
}

fn named(step: &str, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{step}: {error}"))
}
