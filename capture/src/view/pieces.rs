//! Many texts that grow side by side, in memory that they take from one another.
//!
//! A text is a chain of pieces, all equally long. Pieces that a text no longer needs are the first that another gets: they
//! are still in the processor's cache, and nothing is ever moved because a text has grown.

use std::hint::black_box;

/// Octets of memory that a piece takes: four cache lines.
const PIECE: usize = 256;
/// Octets of text that fit into one: what its place in the chain leaves.
const ROOM: usize = PIECE - size_of::<u32>();

/// Octets of memory that a text of so many octets takes.
pub(super) fn size(len: usize) -> usize {
    len.div_ceil(ROOM) * PIECE
}

/// One text: where in [`Pieces`] its chain begins and ends.
#[derive(Debug, Default)]
pub(super) struct Chain {
    first: u32,
    last: u32,
    /// Octets of text.
    len: usize,
}

/// The part of a text that is in one piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    place: u32,
    len: usize,
}

/// The pieces of all chains.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    all: Vec<Piece>,
    /// Those that belong to no chain, the last that was given back on top.
    free: Vec<u32>,
}

#[derive(Debug)]
struct Piece {
    octets: [u8; ROOM],
    /// The place of the next one in its chain; means nothing in the last one.
    next: u32,
}

impl Pieces {
    /// Appends to a text.
    pub(super) fn append(&mut self, chain: &mut Chain, mut octets: &[u8]) {
        while !octets.is_empty() {
            let start = chain.len % ROOM;
            if start == 0 {
                self.lengthen(chain);
            }
            let part = octets.len().min(ROOM - start);
            let piece = &mut self.all[chain.last as usize];
            piece.octets[start..start + part].copy_from_slice(&octets[..part]);
            chain.len += part;
            octets = &octets[part..];
        }
    }

    /// Has the processor fetch the end of a text, to which something will soon be appended.
    pub(super) fn fetch(&self, chain: &Chain) {
        if let Some(piece) = self.all.get(chain.last as usize) {
            black_box(piece.octets[chain.len % ROOM]);
        }
    }

    /// Takes a text out of its chain, which is empty then: its parts, to be looked at and then given back.
    pub(super) fn take(&self, chain: &mut Chain) -> impl Iterator<Item = Part> {
        let Chain { first, len, .. } = std::mem::take(chain);
        let (mut rest, mut place) = (len, first);
        std::iter::from_fn(move || {
            let len = rest.min(ROOM);
            let part = (len > 0).then_some(Part { place, len });
            rest -= len;
            if rest > 0 {
                place = self.all[place as usize].next;
            }
            part
        })
    }

    /// The text of a part.
    pub(super) fn text(&self, part: Part) -> &[u8] {
        &self.all[part.place as usize].octets[..part.len]
    }

    /// A part is needed no longer.
    pub(super) fn give_back(&mut self, part: Part) {
        self.free.push(part.place);
    }

    /// Puts another piece at the end of a chain.
    fn lengthen(&mut self, chain: &mut Chain) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.all.push(Piece {
                octets: [0; ROOM],
                next: 0,
            });
            // Memory for 2³² pieces is a terabyte, and views have a limit far below.
            (self.all.len() - 1) as u32
        });
        if chain.len == 0 {
            chain.first = place;
        } else {
            self.all[chain.last as usize].next = place;
        }
        chain.last = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(pieces: &mut Pieces, chain: &mut Chain) -> Vec<u8> {
        let parts: Vec<Part> = pieces.take(chain).collect();
        let text = parts.iter().flat_map(|&part| pieces.text(part)).copied();
        let text = text.collect();
        parts.into_iter().for_each(|part| pieces.give_back(part));
        text
    }

    #[test]
    fn what_was_given_back_is_used_again() {
        let mut pieces = Pieces::default();
        for _ in 0..3 {
            let mut chain = Chain::default();
            pieces.append(&mut chain, &[b'a'; ROOM + 1]);
            assert_eq!(size(chain.len), 2 * PIECE);
            assert_eq!(drain(&mut pieces, &mut chain), [b'a'; ROOM + 1]);
            assert_eq!(chain.len, 0);
            assert_eq!((pieces.all.len(), pieces.free.len()), (2, 2));
        }
    }

    proptest! {
        #[test]
        fn texts_that_grow_side_by_side_do_not_mix(
            parts in proptest::collection::vec((0..4usize, 0..3 * ROOM, any::<bool>()), 0..64),
        ) {
            let mut pieces = Pieces::default();
            let mut chains: [(Chain, Vec<u8>); 4] = Default::default();
            for (nth, (which, len, ends)) in parts.into_iter().enumerate() {
                let (chain, expected) = &mut chains[which];
                let part = vec![nth as u8; len];
                pieces.append(chain, &part);
                expected.extend_from_slice(&part);
                if ends {
                    prop_assert_eq!(&drain(&mut pieces, chain), &*expected);
                    expected.clear();
                }
            }
            for (mut chain, expected) in chains {
                prop_assert_eq!(drain(&mut pieces, &mut chain), expected);
            }
            prop_assert_eq!(pieces.free.len(), pieces.all.len());
        }
    }
}
