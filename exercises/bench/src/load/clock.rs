//! Requests and replies over UDP: so many clients, each with a window of requests under way.
//!
//! The protocol has no request numbers, but the replies of one client come back in the order of its requests, for
//! on this computer nothing overtakes. Date and time are asked for in an order without pattern, and each time must
//! be one that the clock has shown between request and reply.

use std::{
    collections::VecDeque,
    io::{IoSlice, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    time::{Duration, Instant, SystemTime},
};

use chrono::{DateTime, Local};
use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg},
    },
};

use super::{Delays, Duty, LoadError, PATIENCE, Window, shown, take_steps};
use crate::figures::Measured;

/// Room for a reply, and one octet more than any right one needs.
const REPLY_LEN: usize = 64;

/// `time(2)` reads a clock of the kernel that lags by up to a tick.
const LAG: Duration = Duration::from_millis(20);

/// How much is asked of the server at once.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Sockets.
    pub clients: usize,
    /// Requests of each that are not answered yet. All together have to fit into the server's receive buffer, or
    /// the kernel throws some away: some 250 by default on Linux.
    pub window: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Date,
    Time,
}

impl Request {
    fn text(self) -> &'static str {
        match self {
            Self::Date => "SEND_DATE",
            Self::Time => "SEND_TIME",
        }
    }
}

/// What the clock shows in the seconds of a measurement.
#[derive(Debug)]
pub struct Faces {
    face: fn(i64) -> [String; 2],
    /// Date and time of each second from the first to the newest that was needed.
    seconds: Vec<[String; 2]>,
    first: i64,
}

impl Faces {
    /// With a function that knows the date and the time of a second.
    pub fn new(face: fn(i64) -> [String; 2], first: i64) -> Self {
        Self {
            face,
            seconds: Vec::new(),
            first,
        }
    }

    fn at(&mut self, second: i64) -> &[String; 2] {
        let index = usize::try_from(second - self.first).unwrap_or(0);
        while self.seconds.len() <= index {
            let next = self.first + i64::try_from(self.seconds.len()).unwrap_or(0);
            self.seconds.push((self.face)(next));
        }
        &self.seconds[index]
    }
}

/// This computer's date and time.
fn local_face(second: i64) -> [String; 2] {
    let now = DateTime::from_timestamp(second, 0).unwrap_or_default();
    let now = now.with_timezone(&Local);
    [
        now.format("%Y-%m-%d").to_string(),
        now.format("%H:%M:%S").to_string(),
    ]
}

/// What one client has asked and has to be told. Datagrams in, verdicts out.
#[derive(Debug)]
pub struct Asked {
    client: usize,
    random: u32,
    asked: u64,
    /// With the time since 1970 at which they were sent.
    outstanding: VecDeque<(Request, Duration)>,
    /// The latest second that a reply has shown.
    latest: i64,
}

impl Asked {
    /// Another client asks in another order.
    pub fn new(client: usize) -> Self {
        Self {
            client,
            // Small numbers would begin with a pattern, and 0 would stay 0.
            random: (client as u32).wrapping_add(1).wrapping_mul(0x9e37_79b9) | 1,
            asked: 0,
            outstanding: VecDeque::new(),
            latest: 0,
        }
    }

    /// The next request.
    pub fn ask(&mut self, now: Duration) -> &'static str {
        // xorshift32 (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let request = if self.random & 1 == 0 {
            Request::Date
        } else {
            Request::Time
        };
        self.asked += 1;
        self.outstanding.push_back((request, now));
        request.text()
    }

    /// Takes a reply; returns how long it took.
    ///
    /// # Errors
    /// It is not what the clock showed to the oldest unanswered request.
    pub fn accept(
        &mut self,
        reply: &[u8],
        now: Duration,
        faces: &mut Faces,
    ) -> Result<Duration, LoadError> {
        let Some(&(request, sent)) = self.outstanding.front() else {
            return Err(self.wrong("nothing", reply));
        };
        let second = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let (earliest, newest) = (second(sent - LAG).max(self.latest), second(now));
        let kind = usize::from(request == Request::Time);
        let shown = (earliest..=newest).find(|&second| faces.at(second)[kind].as_bytes() == reply);
        match shown {
            Some(second) => {
                if request == Request::Time {
                    self.latest = second;
                }
                self.outstanding.pop_front();
                Ok(now.saturating_sub(sent))
            }
            None => {
                let what = match request {
                    Request::Date => "the date",
                    Request::Time => "the time",
                };
                let (from, to) = (&faces.at(earliest)[kind].clone(), &faces.at(newest)[kind]);
                Err(self.wrong(&format!("{what}, {from} to {to}"), reply))
            }
        }
    }

    fn next(&self) -> String {
        let number = self.asked - self.outstanding.len() as u64;
        format!("client {}: reply {number} of {}", self.client, self.asked)
    }

    fn wrong(&self, expected: &str, got: &[u8]) -> LoadError {
        let (next, got) = (self.next(), shown(got));
        LoadError::Wrong(format!("{next}: expected {expected}, got {got}"))
    }
}

/// Asks for the given time, then waits for all replies.
///
/// # Errors
/// A reply was wrong, missing, doubled or out of order, a socket failed, or somebody wants to stop.
pub fn measure(server: SocketAddr, scale: Scale, duty: &Duty) -> Result<Measured, LoadError> {
    let mut load = Load::new(server, scale, duty)?;
    for id in 0..scale.clients {
        load.ask(id, scale.window)?;
    }
    load.run(duty.time / 8)?;
    load.delays.clear();
    let window = Window::open(duty, load.answered)?;
    load.run(duty.time)?;
    let measured = window.close(duty, load.answered, &load.delays)?;
    load.asking = false;
    load.drain()?;
    // One more of each: whatever was sent twice would come before it.
    for id in 0..scale.clients {
        load.ask(id, 1)?;
    }
    load.drain()?;
    Ok(measured)
}

struct Load<'a> {
    duty: &'a Duty,
    epoll: Epoll,
    clients: Vec<(UdpSocket, Asked)>,
    headers: MultiHeaders<()>,
    replies: Vec<[u8; REPLY_LEN]>,
    faces: Faces,
    /// Whether each reply makes room for a request.
    asking: bool,
    answered: u64,
    delays: Delays,
    progress: Instant,
}

impl<'a> Load<'a> {
    fn new(server: SocketAddr, scale: Scale, duty: &'a Duty) -> Result<Self, LoadError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut clients = Vec::new();
        for id in 0..scale.clients {
            let socket = UdpSocket::bind(("127.0.0.1", 0))?;
            socket.connect(server)?;
            socket.set_nonblocking(true)?;
            epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, id as u64))?;
            clients.push((socket, Asked::new(id)));
        }
        let first = i64::try_from((since_1970() - LAG).as_secs()).unwrap_or(0);
        Ok(Self {
            duty,
            epoll,
            clients,
            headers: MultiHeaders::preallocate(scale.window, None),
            replies: vec![[0; REPLY_LEN]; scale.window],
            faces: Faces::new(local_face, first),
            asking: true,
            answered: 0,
            delays: Delays::new(),
            progress: Instant::now(),
        })
    }

    fn run(&mut self, time: Duration) -> Result<(), LoadError> {
        take_steps(time, |left| self.step(left))
    }

    fn drain(&mut self) -> Result<(), LoadError> {
        self.progress = Instant::now();
        while self
            .clients
            .iter()
            .any(|(_, asked)| !asked.outstanding.is_empty())
        {
            self.step(PATIENCE)?;
        }
        Ok(())
    }

    fn step(&mut self, most: Duration) -> Result<(), LoadError> {
        self.duty.stop.check()?;
        let mut events = [EpollEvent::empty(); 64];
        let timeout = EpollTimeout::try_from(most).unwrap_or(EpollTimeout::MAX);
        let ready = match self.epoll.wait(&mut events, timeout) {
            Ok(ready) => ready,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..ready] {
            let id = usize::try_from(event.data()).expect("it is an index");
            let replies = self.receive(id)?;
            if self.asking {
                self.ask(id, replies)?;
            }
        }
        if self.progress.elapsed() > PATIENCE {
            let late = self
                .clients
                .iter()
                .find(|(_, asked)| !asked.outstanding.is_empty());
            return Err(LoadError::Missing {
                what: late.map_or_else(String::new, |(_, asked)| asked.next()),
            });
        }
        Ok(())
    }

    /// Takes what has come for one client; returns how many replies that were.
    fn receive(&mut self, id: usize) -> Result<usize, LoadError> {
        let (socket, asked) = &mut self.clients[id];
        let mut buffers: Vec<_> = self
            .replies
            .iter_mut()
            .map(|reply| [IoSliceMut::new(reply)])
            .collect();
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            buffers.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        );
        let received = match received {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(0),
            Err(error) => {
                return Err(LoadError::Socket {
                    who: format!("client {id}"),
                    source: error.into(),
                });
            }
        };
        let now = since_1970();
        let mut replies = 0;
        for reply in received {
            let text = reply.iovs().next().unwrap_or_default();
            let delay = asked.accept(text, now, &mut self.faces)?;
            self.delays.note(delay, 1);
            replies += 1;
        }
        self.answered += replies as u64;
        self.progress = Instant::now();
        Ok(replies)
    }

    fn ask(&mut self, id: usize, count: usize) -> Result<(), LoadError> {
        let (socket, asked) = &mut self.clients[id];
        let now = since_1970();
        let requests: Vec<_> = (0..count)
            .map(|_| [IoSlice::new(asked.ask(now).as_bytes())])
            .collect();
        let mut sent = 0;
        while sent < count {
            let nobody = vec![None; count - sent];
            let more = sendmmsg(
                socket.as_raw_fd(),
                &mut self.headers,
                requests[sent..].iter(),
                nobody,
                [],
                MsgFlags::empty(),
            );
            sent += more
                .map_err(|error| LoadError::Socket {
                    who: format!("client {id}"),
                    source: error.into(),
                })?
                .count();
        }
        Ok(())
    }
}

fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(second: i64) -> [String; 2] {
        [format!("day {}", second / 10), format!("second {second}")]
    }

    fn at(tenths: u64) -> Duration {
        Duration::from_millis(100 * tenths)
    }

    /// A client that has asked four times at 20.5 s, and what it has asked for.
    fn asked() -> (Asked, Vec<&'static str>) {
        let mut asked = Asked::new(0);
        let requests = (0..4).map(|_| asked.ask(at(205))).collect();
        (asked, requests)
    }

    fn right(request: &str, second: i64) -> String {
        face(second)[usize::from(request == "SEND_TIME")].clone()
    }

    #[track_caller]
    fn check(
        replies: impl Fn(&[&'static str]) -> Vec<String>,
        now: u64,
        expected: Result<usize, &str>,
    ) {
        let (mut asked, requests) = asked();
        let mut faces = Faces::new(face, 10);
        let replies = replies(&requests);
        let taken = replies.iter().try_for_each(|reply| {
            asked
                .accept(reply.as_bytes(), at(now), &mut faces)
                .map(drop)
        });
        match (taken, expected) {
            (Ok(()), Ok(left)) => assert_eq!(asked.outstanding.len(), left),
            (Err(error), Err(part)) => {
                let error = error.to_string();
                assert!(error.contains(part), "{error} lacks {part}");
            }
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    fn all_at(second: i64) -> impl Fn(&[&'static str]) -> Vec<String> {
        move |requests| {
            requests
                .iter()
                .map(|request| right(request, second))
                .collect()
        }
    }

    #[test]
    fn a_time_between_request_and_reply_is_right() {
        check(all_at(20), 208, Ok(0));
        check(all_at(20), 215, Ok(0));
        check(all_at(21), 215, Ok(0));
    }

    #[test]
    fn a_time_from_before_the_request_or_after_the_reply_is_wrong() {
        check(all_at(19), 208, Err("expected the"));
        check(
            all_at(21),
            208,
            Err("expected the time, second 20 to second 20, got \"second 21\""),
        );
    }

    #[test]
    fn a_clock_that_goes_back_is_wrong() {
        let times = |requests: &[&'static str]| {
            let mut times: Vec<_> = requests.iter().map(|request| right(request, 22)).collect();
            let last = times.len() - 1;
            times[last] = right(requests[last], 20);
            times
        };
        let (_, requests) = asked();
        // Or the test would not show what it is to show.
        assert!(
            requests[..3].contains(&"SEND_TIME") && requests[3] == "SEND_TIME",
            "{requests:?}"
        );
        check(times, 225, Err("reply 3 of 4"));
    }

    #[test]
    fn a_missing_a_doubled_and_an_unasked_reply_are_wrong() {
        let without_first = |requests: &[&'static str]| all_at(20)(&requests[1..]);
        let first_twice = |requests: &[&'static str]| {
            let mut replies = all_at(20)(requests);
            replies.insert(0, replies[0].clone());
            replies
        };
        let one_more = |requests: &[&'static str]| {
            let mut replies = all_at(20)(requests);
            replies.push("day 2".to_owned());
            replies
        };
        // A missing one is seen at the first place where date and time differ, or at the end, by waiting.
        check(without_first, 208, Err("expected the"));
        check(first_twice, 208, Err("expected the"));
        check(
            one_more,
            208,
            Err("reply 4 of 4: expected nothing, got \"day 2\""),
        );
    }

    #[test]
    fn what_is_no_date_and_no_time_is_wrong() {
        check(
            |_| vec!["second 200".to_owned()],
            208,
            Err("client 0: reply 0 of 4"),
        );
    }
}
