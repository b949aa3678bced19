//! The harness's hand on a cable: takes every frame that comes out of it, shows it to the tap, and hands on what the
//! [`Switch`] lets through, when it is due.
//!
//! Everything is decided in [`crate::fault`]; here are only sockets and the clock. The tap is shown frames as they were
//! sent; what became of one is told right after it.

use super::tap::Reader;
use crate::fault::{Decider, Fault, Switch};
use crate::sys;
use crate::world::cable::End;
use capture::frame::{Frame, LinkType};
use capture::pipeline::FrameSink as _;
use capture::source::live::SNAPLEN;
use capture::time::Timestamp;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::SigSet;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::time::{TimeSpec, TimeValLike as _};
use std::io::{self, IoSliceMut, PipeReader};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Ethernet (<https://www.tcpdump.org/linktypes.html>).
pub(super) const LINK: LinkType = LinkType(1);

/// What the stage wants to go wrong, and whether anything is still on its way because of it.
#[derive(Debug, Default)]
pub(super) struct Faults {
    decider: Mutex<Decider>,
    on_their_way: AtomicBool,
}

impl Faults {
    /// From now on, also this.
    pub(super) fn set(&self, fault: Fault) {
        self.with(|decider| decider.set(fault));
    }

    /// Asks what is to become of something.
    pub(super) fn with<T>(&self, ask: impl FnOnce(&mut Decider) -> T) -> T {
        ask(&mut self.decider.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether something that was sent has not arrived yet.
    pub(super) fn are_pending(&self) -> bool {
        self.on_their_way.load(Ordering::Acquire)
    }

    pub(super) fn tell_pending(&self, pending: bool) {
        self.on_their_way.store(pending, Ordering::Release);
    }
}

/// The ends of a cable, and what is between them.
#[derive(Debug)]
pub(super) struct Relay {
    ends: Vec<End>,
    switch: Switch,
    faults: std::sync::Arc<Faults>,
    began: Instant,
}

impl Relay {
    pub(super) fn new(ends: Vec<End>, faults: std::sync::Arc<Faults>) -> Self {
        let switch = Switch::new(ends.len());
        Relay {
            ends,
            switch,
            faults,
            began: Instant::now(),
        }
    }

    /// Hands frames on until the other end of `stop` is closed.
    pub(super) fn run(mut self, reader: &mut Reader, stop: &PipeReader) -> io::Result<()> {
        let mut buffer = vec![0; SNAPLEN as usize];
        loop {
            let pause = self
                .switch
                .next_due()
                .map(|due| due.saturating_sub(self.began.elapsed()));
            if self.wait(pause, stop)? {
                return Ok(());
            }
            for port in 0..self.ends.len() {
                while let Some((len, time)) = receive(&self.ends[port].socket, &mut buffer)? {
                    self.take(reader, port, time, &buffer[..len])?;
                }
                match sys::frames_dropped(&self.ends[port].socket)? {
                    0 => {}
                    dropped => reader.fail(format!(
                        "{dropped} frames were lost on the harness's own way"
                    )),
                }
            }
            for outgoing in self.switch.due(self.began.elapsed()) {
                self.send(reader, outgoing.port, outgoing.octets);
            }
            self.faults.tell_pending(self.switch.next_due().is_some());
            reader.pause()?;
        }
    }

    /// Whether it is time to stop; otherwise a frame has come or one is due.
    fn wait(&self, pause: Option<Duration>, stop: &PipeReader) -> io::Result<bool> {
        let mut watched: Vec<PollFd<'_>> = self
            .ends
            .iter()
            .map(|end| PollFd::new(end.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        watched.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
        let pause = pause.map(|pause| {
            TimeSpec::nanoseconds(i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX))
        });
        match nix::poll::ppoll(&mut watched, pause, Some(SigSet::empty())) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let stopped = watched.last().and_then(PollFd::any).unwrap_or(false);
        Ok(stopped)
    }

    fn take(
        &mut self,
        reader: &mut Reader,
        port: usize,
        time: Timestamp,
        octets: &[u8],
    ) -> io::Result<()> {
        let frame = as_frame(time, octets);
        let is_beacon = reader.is_beacon(&frame);
        reader.frame(&frame)?;
        if is_beacon {
            return Ok(());
        }
        let now = self.began.elapsed();
        let switch = &mut self.switch;
        let taken = self
            .faults
            .with(|decider| switch.take(decider, now, port, octets));
        if let Some(what) = taken.meddling {
            reader.meddled(what);
        }
        for made_up in taken.made_up {
            reader.frame(&as_frame(time, &made_up))?;
        }
        Ok(())
    }

    fn send(&self, reader: &mut Reader, port: usize, mut octets: Vec<u8>) {
        let end = &self.ends[port];
        if let Some(to) = octets.first_chunk_mut() {
            *to = end.address;
        }
        if let Err(error) = nix::unistd::write(&end.socket, &octets) {
            reader.fail(format!("a frame could not be handed on: {error}"));
        }
    }
}

fn as_frame(time: Timestamp, octets: &[u8]) -> Frame<'_> {
    Frame {
        number: 0,
        time,
        link: LINK,
        wire_len: u32::try_from(octets.len()).unwrap_or(u32::MAX),
        octets,
        comment: None,
    }
}

/// The next frame that has come in, with the kernel's time stamp; none when there is none yet.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<(usize, Timestamp)>> {
    let mut control = cmsg_space!(nix::sys::time::TimeSpec);
    let mut pieces = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut pieces,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    );
    let message = match message {
        Ok(message) => message,
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let stamp = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
        _ => None,
    });
    let time = match stamp {
        Some(stamp) => Timestamp::from_nanos(u64::try_from(stamp.num_nanoseconds()).unwrap_or(0)),
        None => super::tap::now(),
    };
    Ok(Some((message.bytes, time)))
}
