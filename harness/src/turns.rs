//! Turns: how many scenarios are played at the same time, over all submissions of a class.
//!
//! Whoever asks first is admitted first, so a submission that was begun is finished before later ones take its place.
//! The limit may change at any moment: when it sinks, nobody who has a turn is interrupted.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::sync::oneshot;

/// The turns of one run.
#[derive(Clone, Debug)]
pub struct Turns(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    limit: usize,
    taken: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn(Rc<RefCell<State>>);

impl Turns {
    /// So many at the same time; at least one.
    pub fn new(limit: usize) -> Self {
        Turns(Rc::new(RefCell::new(State {
            limit: limit.max(1),
            taken: 0,
            waiting: VecDeque::new(),
        })))
    }

    /// Waits for a turn.
    pub async fn take(&self) -> Turn {
        let mine = {
            let mut state = self.0.borrow_mut();
            let (given, mine) = oneshot::channel();
            state.waiting.push_back(given);
            mine
        };
        admit(&self.0);
        match mine.await {
            Ok(turn) => turn,
            // A sender is only dropped with the state, which is kept alive here.
            Err(_) => std::future::pending().await,
        }
    }

    /// How many at the same time from now on; at least one.
    pub fn set_limit(&self, limit: usize) {
        self.0.borrow_mut().limit = limit.max(1);
        admit(&self.0);
    }

    /// How many at the same time.
    pub fn limit(&self) -> usize {
        self.0.borrow().limit
    }

    /// How many have a turn.
    pub fn taken(&self) -> usize {
        self.0.borrow().taken
    }

    /// How many wait for one.
    pub fn waiting(&self) -> usize {
        self.0.borrow().waiting.len()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.borrow_mut().taken -= 1;
        admit(&self.0);
    }
}

fn admit(state: &Rc<RefCell<State>>) {
    loop {
        let next = {
            let mut state = state.borrow_mut();
            if state.taken >= state.limit {
                return;
            }
            let Some(next) = state.waiting.pop_front() else {
                return;
            };
            state.taken += 1;
            next
        };
        // Not while the state is borrowed: a turn that nobody takes any more is dropped here, and comes back.
        drop(next.send(Turn(Rc::clone(state))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn nobody_is_admitted_beyond_the_limit_and_the_first_comes_first() {
        let turns = Turns::new(1);
        let (mut a, mut b, mut c) = (pin!(turns.take()), pin!(turns.take()), pin!(turns.take()));
        let Poll::Ready(turn) = poll(a.as_mut()) else {
            panic!("the first is admitted");
        };
        assert!(poll(b.as_mut()).is_pending() && poll(c.as_mut()).is_pending());
        drop(turn);
        assert!(poll(c.as_mut()).is_pending());
        let Poll::Ready(turn) = poll(b.as_mut()) else {
            panic!("the second is next");
        };
        assert_eq!((turns.taken(), turns.waiting()), (1, 1));
        drop(turn);
        assert!(poll(c.as_mut()).is_ready());
    }

    #[test]
    fn who_stopped_waiting_takes_nobody_elses_turn() {
        let turns = Turns::new(1);
        let first = {
            let mut first = pin!(turns.take());
            let Poll::Ready(turn) = poll(first.as_mut()) else {
                panic!("the first is admitted");
            };
            turn
        };
        {
            let mut gone = pin!(turns.take());
            assert!(poll(gone.as_mut()).is_pending());
        }
        let mut last = pin!(turns.take());
        assert!(poll(last.as_mut()).is_pending());
        drop(first);
        assert!(poll(last.as_mut()).is_ready());
        assert_eq!(turns.taken(), 0);
    }

    #[test]
    fn a_lower_limit_interrupts_nobody_and_a_higher_one_admits_at_once() {
        let turns = Turns::new(2);
        let (mut a, mut b, mut c) = (pin!(turns.take()), pin!(turns.take()), pin!(turns.take()));
        let (Poll::Ready(one), Poll::Ready(two)) = (poll(a.as_mut()), poll(b.as_mut())) else {
            panic!("two are admitted");
        };
        assert!(poll(c.as_mut()).is_pending());
        turns.set_limit(1);
        assert_eq!(turns.taken(), 2);
        drop(one);
        assert!(poll(c.as_mut()).is_pending());
        turns.set_limit(2);
        assert!(poll(c.as_mut()).is_ready());
        drop(two);
    }
}
