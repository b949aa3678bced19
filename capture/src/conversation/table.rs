//! Where conversations are remembered: found by their ends, and in line for being forgotten.
//!
//! Each has a place, a small number that another one gets later, and stands in one [`Line`], behind all that spoke
//! before it did. Both the search and the lines are done once or more for every packet, so they go by numbers in arrays of
//! their own and touch what they are about as little as they can.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash};
use std::ops::{Index, IndexMut};

/// Where something is remembered.
pub(super) type Place = u32;

/// In which order things are forgotten: a line for each reason to remember them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Connections that are over.
    Over,
    /// Connections that go on.
    Tcp,
    /// The same over UDP.
    Udp,
}

/// Things in their places.
#[derive(Debug)]
pub(super) struct Table<K, T> {
    slots: Vec<Option<Slot<K, T>>>,
    /// The places that are free, the one that was left last on top: it is still in the processor's cache.
    free: Vec<Place>,
    index: HashTable<Place>,
    hasher: RandomState,
    /// Lines are rings: from the head of each to its first, and from its last to the head. Heads come first, in the order
    /// of [`Line`], and behind them what stands in line, in the order of places.
    links: Vec<Link>,
}

#[derive(Debug)]
struct Slot<K, T> {
    key: K,
    hash: u64,
    thing: T,
}

/// How many lines there are, and heads.
const LINES: u32 = 3;

/// Which links come before and behind one.
#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    behind: u32,
}

impl Link {
    /// A ring of its own.
    const fn alone(at: u32) -> Self {
        Link {
            before: at,
            behind: at,
        }
    }
}

impl<K, T> Default for Table<K, T> {
    fn default() -> Self {
        Table {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            links: (0..LINES).map(Link::alone).collect(),
        }
    }
}

impl<K: Eq + Hash, T> Table<K, T> {
    /// How many things there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The place of the thing with this key.
    pub(super) fn find(&self, key: &K) -> Option<Place> {
        let is_it = |&place: &Place| self.slot(place).key == *key;
        self.index.find(self.hasher.hash_one(key), is_it).copied()
    }

    /// Puts something with a key that nothing has yet at the end of a line. It is told its place.
    pub(super) fn insert(&mut self, key: K, line: Line, thing: impl FnOnce(Place) -> T) -> Place {
        let place = self.free.pop().unwrap_or_else(|| {
            // There are far fewer things than there are numbers.
            let place = self.slots.len() as Place;
            self.slots.push(None);
            self.links.push(Link::alone(place + LINES));
            place
        });
        let hash = self.hasher.hash_one(&key);
        self.slots[place as usize] = Some(Slot {
            key,
            hash,
            thing: thing(place),
        });
        let slots = &self.slots;
        self.index.insert_unique(hash, place, |&place| {
            slots[place as usize].as_ref().map_or(0, |slot| slot.hash)
        });
        self.queue(place, line);
        place
    }

    /// Moves a thing to the end of this line.
    pub(super) fn move_to_end(&mut self, place: Place, line: Line) {
        if self.links[(place + LINES) as usize].behind != line as u32 {
            self.leave(place);
            self.queue(place, line);
        }
    }

    /// Forgets a thing.
    pub(super) fn remove(&mut self, place: Place) {
        self.leave(place);
        let hash = self.slot(place).hash;
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == place) {
            entry.remove();
        }
        self.slots[place as usize] = None;
        self.free.push(place);
    }

    /// The first in a line.
    pub(super) fn first(&self, line: Line) -> Option<Place> {
        self.behind_link(line as u32)
    }

    /// Who stands behind this one.
    pub(super) fn behind(&self, place: Place) -> Option<Place> {
        self.behind_link(place + LINES)
    }

    /// All places with something in them.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.index.iter().copied()
    }

    /// The place that comes behind a link; none behind the last.
    fn behind_link(&self, at: u32) -> Option<Place> {
        self.links[at as usize].behind.checked_sub(LINES)
    }

    fn queue(&mut self, place: Place, line: Line) {
        let (at, behind) = (place + LINES, line as u32);
        let before = self.links[behind as usize].before;
        self.links[at as usize] = Link { before, behind };
        self.links[before as usize].behind = at;
        self.links[behind as usize].before = at;
    }

    fn leave(&mut self, place: Place) {
        let Link { before, behind } = self.links[(place + LINES) as usize];
        self.links[before as usize].behind = behind;
        self.links[behind as usize].before = before;
    }

    fn slot(&self, place: Place) -> &Slot<K, T> {
        self.slots[place as usize].as_ref().expect(TAKEN)
    }

    fn slot_mut(&mut self, place: Place) -> &mut Slot<K, T> {
        self.slots[place as usize].as_mut().expect(TAKEN)
    }
}

/// Why nobody asks for what is in a free place.
const TAKEN: &str = "a place in the index or in a line is taken";

impl<K: Eq + Hash, T> Index<Place> for Table<K, T> {
    type Output = T;

    fn index(&self, place: Place) -> &T {
        &self.slot(place).thing
    }
}

impl<K: Eq + Hash, T> IndexMut<Place> for Table<K, T> {
    fn index_mut(&mut self, place: Place) -> &mut T {
        &mut self.slot_mut(place).thing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_line(table: &Table<u8, u8>, line: Line) -> Vec<u8> {
        let places = std::iter::successors(table.first(line), |&place| table.behind(place));
        places.map(|place| table[place]).collect()
    }

    #[test]
    fn a_place_that_was_left_is_the_next_to_be_taken() {
        let mut table = Table::default();
        let places: Vec<Place> = (0..4u8)
            .map(|key| table.insert(key, Line::Udp, |_| key))
            .collect();
        table.remove(places[1]);
        assert_eq!(table.find(&1), None);
        assert_eq!(table.insert(9, Line::Udp, |_| 9), places[1]);
        assert_eq!(in_line(&table, Line::Udp), [0, 2, 3, 9]);
    }

    proptest! {
        #[test]
        fn lines_are_as_if_they_were_lists(
            acts in proptest::collection::vec((0..16u8, 0..3usize, 0..4u8), 0..200),
        ) {
            let lines = [Line::Over, Line::Tcp, Line::Udp];
            let mut table: Table<u8, u8> = Table::default();
            let mut lists: [Vec<u8>; 3] = Default::default();
            for (key, line, act) in acts {
                match table.find(&key) {
                    Some(place) if act == 0 => {
                        prop_assert_eq!(table[place], key);
                        table.remove(place);
                        lists.iter_mut().for_each(|list| list.retain(|&other| other != key));
                    }
                    Some(place) => {
                        table.move_to_end(place, lines[line]);
                        lists.iter_mut().for_each(|list| list.retain(|&other| other != key));
                        lists[line].push(key);
                    }
                    None => {
                        table.insert(key, lines[line], |_| key);
                        lists[line].push(key);
                    }
                }
                for (line, list) in lines.iter().zip(&lists) {
                    prop_assert_eq!(&in_line(&table, *line), list);
                }
                prop_assert_eq!(table.len(), lists.iter().map(Vec::len).sum::<usize>());
                prop_assert_eq!(table.places().count(), table.len());
            }
        }
    }
}
