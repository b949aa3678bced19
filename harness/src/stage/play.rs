//! Plays a scenario: does its steps, waits for its expectations, and ends every program.

use super::owner::Owners;
use super::patience::{self, Limit};
use super::program::Program;
use super::recorder::Recorder;
use super::relay::{Faults, Relay};
use super::rest::Stillness;
use super::sockets::SocketRelay;
use super::tap::{self, Tap};
use super::watchdog;
use super::{Job, Wiring};
use crate::event::{Actor, EventKind, Waiting};
use crate::judge::Ledger;
use crate::judge::expect::{Finding, evaluate};
use crate::lab::Transport;
use crate::manifest::NameStyle;
use crate::scenario::model::{Action, SERVER, Scenario, Step};
use crate::scenario::wire::Wire;
use crate::sys;
use crate::text;
use crate::world::cable::{self, Cable};
use crate::world::watch::INTERFACE;
use crate::world::{Traffic, processes, waits};
use capture::listeners::{self, Socket, State};
use capture::namespace::{self, OtherNetwork};
use nix::sys::signal::Signal;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::Instant;

/// For how long a server may take to open its socket.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// How often the kernel's tables are looked at while something there is awaited: they announce nothing.
pub(super) const GLANCE: Duration = Duration::from_millis(10);

/// The same where looking costs next to nothing.
const SHORT_GLANCE: Duration = Duration::from_millis(3);

/// For how long nothing is printed before the next line is typed, when the effect of the last was not seen.
const QUIET: Duration = Duration::from_millis(300);

/// The same before it is said that something did not appear.
const LONG_QUIET: Duration = Duration::from_millis(500);

/// A program that never rests is not waited for any longer than this.
const RESTLESS: Duration = Duration::from_secs(2);

/// How long a client whose name is known may take to connect.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);

/// How long a client that is connected may take to greet its user; one without a greeting that does not come to a
/// standstill costs this much.
const GREETED_WITHIN: Duration = Duration::from_millis(500);

/// How long somebody may take to show something after a start or a login; silent programs that do not come to a
/// standstill cost this much.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

/// How long a program may take to read what is typed. One that reads at all does so sooner, on a busy machine too.
const TAKEN_WITHIN: Duration = Duration::from_secs(8);

/// How long a request and its answer may take to cross the network.
const CARRIED_WITHIN: Duration = Duration::from_secs(6);

/// How long each way of leaving is given.
const LEAVE_WITHIN: Duration = Duration::from_millis(1500);

/// How long the connections of a server that was killed may take to end. Those a client keeps half open take for ever
/// where the kernel has no setting for that.
const ENDED_WITHIN: Duration = Duration::from_secs(1);

/// How long something expected may still take once the server has ended.
const AFTER_THE_SERVER: Duration = Duration::from_secs(1);

/// Plays the scenario and returns the stage's exit status.
pub(super) fn run(job: Job) -> i32 {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return 4;
        }
    };
    let local = tokio::task::LocalSet::new();
    let status = local.block_on(&runtime, Play::new(job).perform());
    // Readers may still hold terminals of daemons; nobody waits for those.
    runtime.shutdown_background();
    status
}

/// A scenario that is being played.
pub(super) struct Play {
    pub(super) job: Job,
    pub(super) recorder: Rc<Recorder>,
    pub(super) programs: BTreeMap<Actor, Program>,
    /// Sockets the harness sent datagrams from, kept open so that answers are not refused.
    pub(super) peers: Vec<UdpSocket>,
    /// The address of the server's computer, where it is another than 127.0.0.1.
    address: Option<Ipv4Addr>,
    /// Whether the effect of the last stimulus has been seen.
    effect_seen: bool,
    /// When everything was last found at rest, as long as nothing has been done since.
    pub(super) rested: Cell<Option<Instant>>,
    /// What the machine has kept from the programs.
    pub(super) patience: patience::Shared,
    /// What watches the wire, if anything does.
    tap: Option<Tap>,
    /// The ports on which the server was seen to wait.
    ports: watch::Sender<Vec<u16>>,
    /// What goes wrong on it.
    pub(super) faults: Arc<Faults>,
    /// The clients' computer, where it is another one.
    clients: Option<OtherNetwork>,
    /// Where clients are sent instead of to the server, if anywhere.
    relay: Option<SocketRelay>,
}

impl Play {
    fn new(job: Job) -> Self {
        let ledger = Ledger::new(Arc::new(job.scenario.clone()));
        Play {
            job,
            recorder: Rc::new(Recorder::new(ledger)),
            programs: BTreeMap::new(),
            peers: Vec::new(),
            address: None,
            effect_seen: true,
            rested: Cell::default(),
            patience: patience::Shared::default(),
            tap: None,
            ports: watch::Sender::default(),
            faults: Arc::default(),
            clients: None,
            relay: None,
        }
    }

    async fn perform(mut self) -> i32 {
        self.recorder.record(EventKind::ScenarioStarted {
            scenario: self.job.scenario.name.clone(),
            exercise: self.job.scenario.exercise,
            seed: self.job.seed,
            clock: chrono::Local::now().fixed_offset(),
            names: self.job.names.clone(),
        });
        let mut terminate =
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(signal) => signal,
                Err(_) => return 4,
            };
        let laid = self.lay_wires().await;
        let watch = watchdog::watch(self.job.sandbox.confinement, Rc::clone(&self.recorder));
        let fault = tokio::select! {
            played = async { laid?; self.steps().await } => played.err().map(|error| error.to_string()),
            () = watch => None,
            _ = terminate.recv() => Some("interrupted".to_owned()),
        };
        let interrupted = fault.as_deref() == Some("interrupted");
        self.recorder.hush();
        if !interrupted && let Some(tap) = &mut self.tap {
            tap.catch_up().await;
        }
        self.recorder.record(EventKind::ScenarioEnded { fault });
        let ended = tokio::select! {
            () = self.end_everything(interrupted) => true,
            _ = terminate.recv() => false,
        };
        if !ended {
            self.end_everything(true).await;
        }
        if let Some(tap) = self.tap.take() {
            tap.close();
        }
        0
    }

    /// Gives the programs the wire and the addresses they are to have, and begins to watch it.
    async fn lay_wires(&mut self) -> io::Result<()> {
        let written = self.job.programs.address;
        self.address = written.filter(|address| !address.is_loopback());
        let cable = match self.job.wiring {
            Wiring::TwoComputers => {
                let server = *self.address.get_or_insert(cable::SERVERS_ADDRESS);
                Some(Cable::between_computers(server).await?)
            }
            Wiring::Looped => {
                self.add_written_address()?;
                Some(Cable::looped(self.address.as_slice()).await?)
            }
            Wiring::Loopback | Wiring::Relayed => {
                self.add_written_address()?;
                None
            }
        };
        let source = match cable {
            None => tap::Source::Loopback,
            Some(cable) => {
                self.clients = cable.clients;
                let relay = Relay::new(cable.ends, Arc::clone(&self.faults));
                tap::Source::Cable(Box::new(relay))
            }
        };
        self.watch(source);
        Ok(())
    }

    fn add_written_address(&self) -> io::Result<()> {
        match self.address {
            Some(address) => namespace::add_loopback_address(address, 1),
            None => Ok(()),
        }
    }

    /// Begins to watch the wire, or says why not.
    fn watch(&mut self, source: tap::Source) {
        let interface = match source {
            tap::Source::Loopback => INTERFACE,
            tap::Source::Cable(_) => cable::INTERFACE,
        };
        let opened = if self.job.watch.granted {
            let two = self.job.wiring == Wiring::TwoComputers;
            let servers = self.address.filter(|_| two).map(IpAddr::V4);
            let mut owners = Owners::new(&self.recorder, self.tables(), servers);
            let frames = self.job.frames.clone();
            // Other people's frames are on a shared network.
            let ports = (!self.job.seclusion.network).then(|| self.ports.subscribe());
            Tap::open(
                source,
                ports,
                frames,
                &self.recorder,
                move |crossing, at_us| {
                    owners.attribute(crossing, at_us);
                },
            )
        } else {
            Err(self.job.watch.why.clone().unwrap_or_default())
        };
        match opened {
            Ok(tap) => {
                self.recorder.record(EventKind::Watched {
                    interface: interface.to_owned(),
                });
                self.tap = Some(tap);
            }
            Err(why) => self.recorder.record(EventKind::NotWatched { why }),
        }
    }

    /// The socket tables of every computer.
    fn tables(&self) -> Vec<PathBuf> {
        let clients = self
            .clients
            .iter()
            .map(|network| network.tables().to_owned());
        std::iter::once(PathBuf::from("/proc/self/net"))
            .chain(clients)
            .collect()
    }

    /// The sockets of every computer.
    pub(super) fn sockets(&self) -> io::Result<Vec<Socket>> {
        let mut sockets = Vec::new();
        for folder in self.tables() {
            sockets.extend(listeners::table_in(&folder)?);
        }
        Ok(sockets)
    }

    async fn steps(&mut self) -> io::Result<()> {
        let scenario = self.job.scenario.clone();
        self.count_traffic()?;
        let mut failed: BTreeSet<Option<usize>> = BTreeSet::new();
        for (index, step) in scenario.steps.iter().enumerate() {
            let skip = failed.contains(&None)
                || (failed.contains(&step.check) && !keeps_the_stage_as_expected(&step.action));
            if skip {
                self.recorder.record(EventKind::StepStarted { step: index });
                self.recorder.record(EventKind::StepEnded {
                    step: index,
                    ended: Waiting::Skipped,
                });
                continue;
            }
            // Nobody is there yet: nothing can come to rest.
            if step.action.is_stimulus() && !(self.programs.is_empty() && self.peers.is_empty()) {
                self.settle(if self.effect_seen { None } else { Some(QUIET) }, RESTLESS)
                    .await;
            }
            if step.action.is_stimulus() {
                self.effect_seen = false;
            }
            self.count_traffic()?;
            if let Some(tap) = &self.tap
                && step.action.does_something()
            {
                tap.head(heading(&scenario, step));
            }
            self.recorder.record(EventKind::StepStarted { step: index });
            let ended = self.step(index, &step.action).await?;
            if matches!(ended, Waiting::TimedOut | Waiting::Standstill) {
                self.tell_what_they_wait_in();
            }
            self.recorder
                .record(EventKind::StepEnded { step: index, ended });
            if ended != Waiting::Met {
                failed.insert(step.check);
            } else if matches!(
                step.action,
                Action::See(_) | Action::SeeHistory { .. } | Action::Exit { .. }
            ) || self.was_seen_to_listen(&step.action)
            {
                self.effect_seen = true;
            }
        }
        Ok(())
    }

    /// Records what everybody who is running is blocked in.
    fn tell_what_they_wait_in(&self) {
        let processes = processes::Processes::read();
        for program in self.programs.values() {
            let family = processes.last_born(&processes.family(program.pid));
            if let Some(doing) = waits::of(&family)
                && !self.has_ended(&program.actor)
            {
                let actor = program.actor.clone();
                self.recorder.record(EventKind::Waits { actor, doing });
            }
        }
    }

    /// Whether a step has started the server and its socket is there: that is what was to come of it, and everything has
    /// come to rest since.
    fn was_seen_to_listen(&self, action: &Action) -> bool {
        matches!(action, Action::Start { actor, .. } if actor == SERVER)
            && self
                .recorder
                .ledger()
                .actor(SERVER)
                .is_some_and(|server| !server.listening.is_empty())
    }

    async fn step(&mut self, index: usize, action: &Action) -> io::Result<Waiting> {
        match action {
            Action::Start { actor, .. } if actor == SERVER => self.start_server().await?,
            Action::Start { actor, .. } => self.start_client(actor).await?,
            Action::GiveName { actor } => {
                let before = self.recorder.last_output();
                if self.job.programs.name == NameStyle::Typed {
                    let name = self.job.names.get(actor).cloned().unwrap_or_default();
                    self.type_lines(actor, &[name]).await;
                }
                self.wait_for_login(actor, before).await?;
            }
            Action::Type { actor, lines } => self.type_lines(actor, lines).await,
            Action::Try { actor, line } => {
                // It may be about to end, or to ask for this very line.
                self.settle(None, RESTLESS).await;
                self.type_lines(actor, std::slice::from_ref(line)).await;
            }
            Action::Quit { actor } => {
                let quit = self.job.programs.quit.clone();
                self.type_lines(actor, &[quit]).await;
            }
            Action::Leave { actor } => self.leave(actor).await,
            Action::Kill { actor } => {
                self.signal(actor, Signal::SIGKILL);
                self.wait_for_end(actor, LEAVE_WITHIN).await;
            }
            Action::Pause { actor } => self.signal(actor, Signal::SIGSTOP),
            Action::Resume { actor } => self.signal(actor, Signal::SIGCONT),
            Action::Restart => self.restart_server().await?,
            Action::Fault(fault) => {
                // What was sent before is not to be counted.
                self.settle(Some(QUIET), RESTLESS).await;
                if let Some(tap) = &mut self.tap {
                    tap.catch_up().await;
                }
                self.rested.take();
                self.faults.set(*fault);
            }
            Action::FaultHappens { within } => {
                let happened = |ledger: &Ledger| evaluate(index, action, ledger) == Finding::Met;
                self.wait_while_something_can_happen(&Limit::new(*within), happened)
                    .await;
            }
            Action::SendDatagram { payload } => self.send_datagram(payload).await?,
            Action::AddAddress { address } => {
                // An address written into the code stands for the other computer's.
                if self.address.is_none() {
                    namespace::add_loopback_address(*address, 2)?;
                    self.address = Some(*address);
                }
            }
            Action::SmallBuffers { octets } => {
                for file in ["tcp_rmem", "tcp_wmem"] {
                    std::fs::write(
                        format!("/proc/sys/net/ipv4/{file}"),
                        format!("{octets} {octets} {octets}"),
                    )?;
                }
            }
            Action::See(see) => return Ok(self.expect(index, action, see.within).await),
            Action::SeeHistory { within, .. } => {
                return Ok(self.expect(index, action, *within).await);
            }
            Action::Exit { actor, within } => {
                // Some programs ask for a last Enter before their window closes.
                if !self.wait_for_end(actor, LEAVE_WITHIN).await {
                    self.type_lines(actor, &[String::new()]).await;
                }
                return Ok(self.expect(index, action, *within).await);
            }
            Action::Wire(wire) => return Ok(self.look_at_the_wire(index, action, wire).await),
            Action::NotSee { .. } => self.settle(Some(LONG_QUIET), RESTLESS).await,
            Action::Running { .. } => self.settle(None, RESTLESS).await,
            Action::Carry { .. } => {
                // The kernel does not announce that it has counted something.
                let limit = Limit::new(CARRIED_WITHIN);
                while evaluate(index, action, &self.recorder.ledger()) != Finding::Met
                    && !self.is_reached(&limit)
                {
                    tokio::time::sleep(GLANCE).await;
                    self.count_traffic()?;
                }
            }
            Action::TellApart { .. } | Action::Listens { .. } => {}
        }
        Ok(match evaluate(index, action, &self.recorder.ledger()) {
            Finding::Met => Waiting::Met,
            Finding::Hopeless(_) => Waiting::Hopeless,
            Finding::NotYet(_) | Finding::Undecided(_) => Waiting::TimedOut,
        })
    }

    /// Waits for something on the wire; or, where nothing is to cross it, until something would have.
    async fn look_at_the_wire(&mut self, index: usize, action: &Action, wire: &Wire) -> Waiting {
        if self.tap.is_none() {
            return match wire.if_watched {
                true => Waiting::Met,
                false => Waiting::Skipped,
            };
        }
        if wire.is_about_silence() {
            self.settle(Some(LONG_QUIET), RESTLESS).await;
        }
        if let Some(tap) = &mut self.tap {
            tap.catch_up().await;
        }
        let limit = Limit::new(wire.within);
        let open = |ledger: &Ledger| {
            matches!(
                evaluate(index, action, ledger),
                Finding::NotYet(_) | Finding::Undecided(_)
            )
        };
        let can_come = |ledger: &Ledger| {
            ledger.wire.is_sound() && !ledger.has_ended(wire.speaker().unwrap_or(SERVER))
        };
        let over = |ledger: &Ledger| !open(ledger) || !can_come(ledger);
        let still = self.wait_while_something_can_happen(&limit, over).await;
        if open(&self.recorder.ledger()) {
            if !still {
                // Its last words may still be on their way.
                let closed = |ledger: &Ledger| !open(ledger);
                self.wait_until(&limit.or(AFTER_THE_SERVER), closed).await;
            }
            if let Some(tap) = &mut self.tap {
                tap.catch_up().await;
            }
        }
        match evaluate(index, action, &self.recorder.ledger()) {
            Finding::Met => Waiting::Met,
            Finding::Hopeless(_) => Waiting::Hopeless,
            Finding::NotYet(_) | Finding::Undecided(_) => in_vain(still),
        }
    }

    /// Waits until an expectation is met, and still is when everything has come to rest.
    async fn expect(&self, index: usize, action: &Action, within: Duration) -> Waiting {
        let limit = Limit::new(within);
        let server_ended = |ledger: &Ledger| {
            ledger
                .actor(SERVER)
                .is_some_and(|state| state.ending.is_some())
        };
        let pending =
            |ledger: &Ledger| matches!(evaluate(index, action, ledger), Finding::NotYet(_));
        loop {
            let over = |ledger: &Ledger| !pending(ledger) || server_ended(ledger);
            let still = self.wait_while_something_can_happen(&limit, over).await;
            if server_ended(&self.recorder.ledger()) {
                let closed = |ledger: &Ledger| !pending(ledger);
                self.wait_until(&limit.or(AFTER_THE_SERVER), closed).await;
            }
            let met = evaluate(index, action, &self.recorder.ledger()) == Finding::Met;
            if met {
                // More of the same line may be on its way: 54 could become 540.
                self.settle(None, QUIET).await;
            }
            match evaluate(index, action, &self.recorder.ledger()) {
                Finding::Met => return Waiting::Met,
                Finding::Hopeless(_) => return Waiting::Hopeless,
                Finding::NotYet(_) | Finding::Undecided(_) if !met || self.is_reached(&limit) => {
                    return in_vain(still);
                }
                Finding::NotYet(_) | Finding::Undecided(_) => {}
            }
        }
    }

    /// Records what the network has carried, when it is the scenario's own and something has changed.
    fn count_traffic(&self) -> io::Result<()> {
        if !self.job.seclusion.network {
            return Ok(());
        }
        let counted = Traffic::read()?;
        if self.recorder.ledger().traffic() != Some(counted) {
            self.recorder.record(EventKind::Traffic { counted });
        }
        Ok(())
    }

    fn host(&self) -> Ipv4Addr {
        self.address.unwrap_or(Ipv4Addr::LOCALHOST)
    }

    async fn start_server(&mut self) -> io::Result<()> {
        let host = self.host().to_string();
        let words = self.job.programs.server.fill(&host, self.job.port, "");
        if !self.start(SERVER, true, words) {
            return Ok(());
        }
        let (wanted, _) = self
            .job
            .scenario
            .exercise
            .endpoint()
            .ok_or_else(|| io::Error::other("an exercise without programs"))?;
        let limit = Limit::new(READY_WITHIN);
        let mut first_seen: Option<Instant> = None;
        loop {
            let sockets = self.server_sockets()?;
            let right = sockets
                .iter()
                .any(|socket| Transport::from(socket.transport) == wanted);
            if !sockets.is_empty() {
                first_seen.get_or_insert_with(Instant::now);
            }
            // A socket of the other transport may be followed by the right one.
            let long_enough = first_seen.is_some_and(|seen| seen.elapsed() > RESTLESS);
            let over = self.has_ended(SERVER) || self.is_reached(&limit);
            if right || long_enough || over {
                break;
            }
            // Where nobody else has a socket, that there is none yet is told by two short files.
            let cheap = self.job.seclusion.network && sockets.is_empty();
            tokio::time::sleep(if cheap { SHORT_GLANCE } else { GLANCE }).await;
        }
        self.settle(Some(Duration::ZERO), RESTLESS).await;
        let sockets = self.server_sockets()?;
        if sockets.is_empty() && !self.job.seclusion.network && self.tap.is_some() {
            let why =
                "it is not known at which port the server waits, and others use this network too";
            let why = why.to_owned();
            self.recorder.record(EventKind::WatchFailed { why });
        }
        for socket in sockets {
            self.ports
                .send_modify(|ports| ports.push(socket.local.port()));
            self.recorder.record(EventKind::Listening {
                actor: SERVER.to_owned(),
                transport: socket.transport.into(),
                address: socket.local,
                reuses: self.reuses(socket.inode),
            });
        }
        Ok(())
    }

    /// A relay to the server, when it listens.
    async fn open_relay(&self) -> io::Result<Option<SocketRelay>> {
        let (Some((transport, _)), Some(mut server)) =
            (self.job.scenario.exercise.endpoint(), self.server_address())
        else {
            return Ok(None);
        };
        if server.ip().is_unspecified() {
            server.set_ip(self.host().into());
        }
        let (faults, recorder) = (Arc::clone(&self.faults), Rc::clone(&self.recorder));
        SocketRelay::open(transport, server, faults, recorder)
            .await
            .map(Some)
    }

    /// Kills the server and starts it again.
    async fn restart_server(&mut self) -> io::Result<()> {
        if self.job.seclusion.network {
            // A port that was in use a moment ago is held for a minute (TIME-WAIT), which is not what is tried here.
            // Where the kernel has no such setting, a server that does not ask for the port all the same says so.
            let _ = std::fs::write("/proc/sys/net/ipv4/tcp_max_tw_buckets", "0");
        }
        let ports: Vec<u16> = self.ports.borrow().clone();
        self.signal(SERVER, Signal::SIGKILL);
        self.wait_for_end(SERVER, LEAVE_WITHIN).await;
        // What it had open is still being ended, as long as it takes over a cable.
        let being_ended =
            |socket: &Socket| socket.state == State::Other && ports.contains(&socket.local.port());
        let limit = Limit::new(ENDED_WITHIN);
        while listeners::table()?.iter().any(being_ended) && !self.is_reached(&limit) {
            tokio::time::sleep(GLANCE).await;
        }
        self.start_server().await
    }

    /// The sockets on which the server waits for peers.
    fn server_sockets(&self) -> io::Result<Vec<Socket>> {
        let Some(server) = self.programs.get(SERVER) else {
            return Ok(Vec::new());
        };
        let mut found: Vec<_> = listeners::table()?
            .into_iter()
            .filter(Socket::awaits_peers)
            .collect();
        if found.is_empty() {
            return Ok(found);
        }
        let inodes = processes::socket_inodes(&processes::Processes::read().family(server.pid));
        // In a network of its own, whatever listens before the first client is the server's, even when a process
        // that left the family holds it.
        let alone = self.programs.len() == 1;
        let found_own = found.iter().any(|socket| inodes.contains(&socket.inode));
        if !self.job.seclusion.network || !alone || found_own {
            found.retain(|socket| inodes.contains(&socket.inode));
        }
        found.sort_by_key(|socket| (Transport::from(socket.transport), socket.local));
        found.dedup_by_key(|socket| (socket.transport, socket.local));
        Ok(found)
    }

    /// Whether a socket of the server's has SO_REUSEADDR.
    fn reuses(&self, inode: u64) -> Option<bool> {
        let server = self.programs.get(SERVER)?;
        let family = processes::Processes::read().family(server.pid);
        let (pid, number) = processes::descriptor_of(inode, &family)?;
        let copy = sys::copy_of(pid, number).ok()?;
        nix::sys::socket::getsockopt(&copy, nix::sys::socket::sockopt::ReuseAddr).ok()
    }

    fn server_address(&self) -> Option<SocketAddr> {
        let (transport, _) = self.job.scenario.exercise.endpoint()?;
        let port = self.job.port;
        let (_, address) = self
            .recorder
            .ledger()
            .server_socket(transport, Some(port))?;
        Some(address)
    }

    async fn start_client(&mut self, actor: &str) -> io::Result<()> {
        if self.job.wiring == Wiring::Relayed && self.relay.is_none() {
            self.relay = self.open_relay().await?;
        }
        let relay = self.relay.as_ref().map(|relay| relay.address);
        let address = relay.or_else(|| self.server_address());
        let host = match (self.address, address.map(|address| address.ip())) {
            (_, Some(relay)) if self.relay.is_some() => relay,
            (Some(added), _) => IpAddr::V4(added),
            (None, Some(bound)) if !bound.is_unspecified() => bound,
            _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let port = address.map_or(self.job.port, |address| address.port());
        let name = self.job.names.get(actor).cloned().unwrap_or_default();
        let words = self
            .job
            .programs
            .client
            .fill(&host.to_string(), port, &name);
        let before = self.recorder.last_output();
        if self.start(actor, false, words) {
            // A program that still sleeps looks as much at rest as one that waits for input.
            let showed = |play: &Self| play.recorder.last_output() > before;
            self.wait_for_connection(actor, SHOWN_WITHIN, showed)
                .await?;
            if self.is_tcp() && !self.has_ended(actor) {
                // It may be about to greet its user.
                let limit = Limit::new(GREETED_WITHIN);
                self.give_time(&limit, |_| showed(self)).await;
            }
            self.settle(Some(Duration::ZERO), RESTLESS).await;
        }
        Ok(())
    }

    /// Waits until a client whose name was given is connected, and somebody has shown something of it.
    async fn wait_for_login(&self, actor: &str, before: Instant) -> io::Result<()> {
        self.wait_for_connection(actor, CONNECTED_WITHIN, |_| false)
            .await?;
        let shown_or_ended =
            |ledger: &Ledger| self.recorder.last_output() > before || ledger.has_ended(actor);
        self.give_time(&Limit::new(SHOWN_WITHIN), shown_or_ended)
            .await;
        Ok(())
    }

    fn is_tcp(&self) -> bool {
        let endpoint = self.job.scenario.exercise.endpoint();
        endpoint.is_some_and(|(transport, _)| transport == Transport::Tcp)
    }

    /// Waits until a client holds a TCP connection, or has ended, or something else is reason enough to go on.
    async fn wait_for_connection(
        &self,
        actor: &str,
        within: Duration,
        enough: impl Fn(&Self) -> bool,
    ) -> io::Result<()> {
        tokio::select! {
            biased;
            waited = self.look_for_a_connection(actor, within, enough) => waited,
            () = self.come_to_a_standstill(Stillness::Likely) => Ok(()),
        }
    }

    async fn look_for_a_connection(
        &self,
        actor: &str,
        within: Duration,
        enough: impl Fn(&Self) -> bool,
    ) -> io::Result<()> {
        let Some(program) = self.programs.get(actor).filter(|_| self.is_tcp()) else {
            return Ok(());
        };
        let limit = Limit::new(within);
        while !self.has_ended(actor) && !self.is_reached(&limit) && !enough(self) {
            let mut connected = self.sockets()?;
            connected.retain(|socket| {
                Transport::from(socket.transport) == Transport::Tcp
                    && socket.state == State::Connected
            });
            if !connected.is_empty() {
                let family = processes::Processes::read().family(program.pid);
                let inodes = processes::socket_inodes(&family);
                if connected
                    .iter()
                    .any(|socket| inodes.contains(&socket.inode))
                {
                    break;
                }
            }
            // The kernel announces no connection to a bystander.
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }

    fn start(&mut self, actor: &str, is_server: bool, words: Vec<String>) -> bool {
        self.rested.take();
        let elsewhere = self.clients.as_ref().filter(|_| !is_server);
        let network = elsewhere.map(|network| network.descriptor().try_clone_to_owned());
        let started = network.transpose().and_then(|network| {
            Program::start(
                actor,
                is_server,
                &words,
                &self.job.programs.dir,
                &self.job.sandbox,
                network,
                &self.recorder,
            )
        });
        match started {
            Ok(program) => {
                self.programs.insert(actor.to_owned(), program);
                true
            }
            Err(error) => {
                let error = error.to_string();
                self.recorder.record(EventKind::NotStarted {
                    actor: actor.to_owned(),
                    command: words,
                    error,
                });
                false
            }
        }
    }

    async fn type_lines(&mut self, actor: &str, lines: &[String]) {
        self.rested.take();
        if self.has_ended(actor) {
            return;
        }
        let Some(program) = self.programs.get_mut(actor) else {
            return;
        };
        let mut text = String::new();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        // Recorded first: what it causes comes after it.
        for line in lines {
            self.recorder.record(EventKind::Typed {
                actor: actor.to_owned(),
                line: line.clone(),
            });
        }
        let taken = tokio::time::timeout(TAKEN_WITHIN, program.type_text(&text)).await;
        // An error means that it has ended meanwhile, which is told by itself.
        if taken.is_err() {
            self.recorder.record(EventKind::NotTaken {
                actor: actor.to_owned(),
            });
        }
    }

    /// Leaves as a person would, trying one way after the other.
    async fn leave(&mut self, actor: &str) {
        let quit = self.job.programs.quit.clone();
        let ways = [
            format!("typing {quit}"),
            "ending the input (Ctrl-D)".to_owned(),
            "interrupting the program (Ctrl-C)".to_owned(),
            "closing the terminal".to_owned(),
            "killing the program".to_owned(),
        ];
        for (number, way) in ways.into_iter().enumerate() {
            if self.has_ended(actor) {
                return;
            }
            match number {
                0 => self.type_lines(actor, std::slice::from_ref(&quit)).await,
                1 => {
                    self.rested.take();
                    if let Some(program) = self.programs.get_mut(actor) {
                        program.end_input().await;
                    }
                    self.recorder.record(EventKind::InputEnded {
                        actor: actor.to_owned(),
                    });
                }
                2 => self.signal(actor, Signal::SIGINT),
                3 => self.signal(actor, Signal::SIGHUP),
                _ => self.signal(actor, Signal::SIGKILL),
            }
            if self.wait_for_end(actor, LEAVE_WITHIN).await {
                self.recorder.record(EventKind::Left {
                    actor: actor.to_owned(),
                    by: way,
                });
                return;
            }
        }
    }

    async fn wait_for_end(&self, actor: &str, within: Duration) -> bool {
        let ended = |ledger: &Ledger| ledger.has_ended(actor);
        self.wait_until(&Limit::new(within), ended).await
    }

    pub(super) fn has_ended(&self, actor: &str) -> bool {
        self.recorder.ledger().has_ended(actor)
    }

    fn signal(&mut self, actor: &str, signal: Signal) {
        self.rested.take();
        if let Some(program) = self.programs.get_mut(actor) {
            program.signal(signal);
            self.recorder.record(EventKind::Signalled {
                actor: actor.to_owned(),
                signal: signal.as_str().to_owned(),
            });
        }
    }

    async fn send_datagram(&mut self, payload: &[u8]) -> io::Result<()> {
        self.rested.take();
        let Some(mut to) = self.server_address() else {
            return Ok(());
        };
        if to.ip().is_unspecified() {
            to.set_ip(if to.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        let any: SocketAddr = if to.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let peer = UdpSocket::bind(any).await?;
        // A server that has ended refuses by ICMP; the next step will say so.
        let _ = peer.send_to(payload, to).await;
        self.recorder.record(EventKind::DatagramSent {
            to,
            octets: payload.len(),
            text: text::shorten(&text::visible(&String::from_utf8_lossy(payload)), 40),
        });
        self.peers.push(peer);
        Ok(())
    }
}

/// How waiting in vain ended, at a standstill or not.
fn in_vain(still: bool) -> Waiting {
    match still {
        true => Waiting::Standstill,
        false => Waiting::TimedOut,
    }
}

/// What is written to the first frame of a step.
fn heading(scenario: &Scenario, step: &Step) -> String {
    let check = step.check.and_then(|index| scenario.checks.get(index));
    let check = check.map_or("", |check| check.id.as_str());
    format!("{check} {} ({}:{})", step.action, scenario.file, step.place)
        .trim_start()
        .to_owned()
}

/// What later checks rely on, so that it is done even when the check it stands in has failed.
fn keeps_the_stage_as_expected(action: &Action) -> bool {
    matches!(
        action,
        Action::Start { .. }
            | Action::GiveName { .. }
            | Action::Quit { .. }
            | Action::Leave { .. }
            | Action::Kill { .. }
            | Action::Pause { .. }
            | Action::Resume { .. }
            | Action::Restart
            | Action::Fault(_)
    )
}
