//! Carries loads from one stage to the next, which works on a thread of its own, and brings them back empty.
//!
//! There are only so many loads: who is ahead waits for the other, and memory stays as it is.

use std::sync::mpsc::{self, Receiver, SyncSender};

/// Loads on their way at most. They are large, so that stages do not wake one another all the time, and more than one or
/// two, so that a stage has something to do while the one before waits for a processor.
const LOADS: usize = 8;

/// What is carried.
pub(super) trait Load: Default + Send {
    /// Makes it as good as new, and keeps its memory.
    fn clear(&mut self);
}

/// The end where loads are put on the belt.
pub(super) struct Sender<L> {
    full: SyncSender<L>,
    emptied: Receiver<L>,
}

/// The end where they are taken off.
pub(super) struct Taker<L> {
    filled: Receiver<L>,
    empty: SyncSender<L>,
}

/// The next stage has stopped: nobody takes anything any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// A belt.
pub(super) fn belt<L: Load>() -> (Sender<L>, Taker<L>) {
    let (full, filled) = mpsc::sync_channel(LOADS);
    // One is being filled and one worked on, besides.
    let (empty, emptied) = mpsc::sync_channel(LOADS + 2);
    (Sender { full, emptied }, Taker { filled, empty })
}

impl<L: Load> Sender<L> {
    /// Sends a load on its way, and puts an empty one in its place.
    pub(super) fn send(&self, load: &mut L) -> Result<(), Stopped> {
        let empty = self.emptied.try_recv().unwrap_or_default();
        let full = std::mem::replace(load, empty);
        self.full.send(full).map_err(|_| Stopped)
    }
}

impl<L: Load> Taker<L> {
    /// Works on each load as it comes, until the last one or the first failure. The stage before notices, and stops.
    pub(super) fn each<E>(self, mut work: impl FnMut(&mut L) -> Result<(), E>) -> Result<(), E> {
        self.filled.iter().try_for_each(|mut load| {
            work(&mut load)?;
            load.clear();
            // At the end nobody takes it back.
            let _ = self.empty.try_send(load);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[derive(Default)]
    struct Crate(Vec<u32>);

    impl Load for Crate {
        fn clear(&mut self) {
            self.0.clear();
        }
    }

    #[test]
    fn loads_arrive_in_order_and_are_empty_when_they_come_back() {
        let (sender, taker) = belt::<Crate>();
        let arrived = thread::scope(|scope| {
            scope.spawn(move || {
                let mut load = Crate::default();
                for number in 0..100 {
                    assert!(load.0.is_empty());
                    load.0.push(number);
                    sender.send(&mut load).expect("somebody takes it");
                }
            });
            let mut arrived = Vec::new();
            let all = taker.each(|load| {
                arrived.append(&mut load.0);
                Ok::<_, ()>(())
            });
            all.map(|()| arrived)
        });
        assert_eq!(arrived, Ok((0..100).collect()));
    }

    #[test]
    fn who_sends_is_told_that_nobody_takes_any_more() {
        let (sender, taker) = belt::<Crate>();
        let mut load = Crate::default();
        assert_eq!(sender.send(&mut load), Ok(()));
        assert_eq!(taker.each(|_| Err("enough")), Err("enough"));
        assert_eq!(sender.send(&mut load), Err(Stopped));
    }
}
