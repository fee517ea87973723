//! What a worker keeps of each lease, found by the lease's token.

use std::mem;

use crate::assignment::Token;

/// How many cells there are at first.
const CELLS_MIN: usize = 16;

/// How many tokens in a row lie in a row.
const RUN_BITS: u32 = 4;

/// By token, in no order. There are several for each task that a worker runs, and a tree is read and written in several places
/// for each.
///
/// What is kept lies beside the table: that is as large as most were held at a time, and all over it is where the next one goes. A
/// place that is free again is used first, so that what few leases need is in the processor's cache.
#[derive(Debug)]
pub(crate) struct Held<T> {
    table: Table,
    kept: Vec<Option<T>>,
    /// The places in `kept` with nothing.
    free: Vec<Place>,
}

/// Where something is kept, for as long as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

impl Place {
    fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { table: Table::default(), kept: Vec::new(), free: Vec::new() }
    }
}

impl<T> Held<T> {
    /// Keeps it, in place of what was kept by this token before, and says where.
    pub(crate) fn insert(&mut self, token: Token, it: T) -> Place {
        if let Some(place) = self.table.get(token) {
            self.keep(place, it);
            return place;
        }
        let place = self.free.pop().unwrap_or(Place::new(self.kept.len()));
        self.table.insert(token, place);
        self.keep(place, it);
        place
    }

    fn keep(&mut self, place: Place, it: T) {
        match self.kept.get_mut(place.index()) {
            Some(kept) => *kept = Some(it),
            None => self.kept.push(Some(it)),
        }
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<T> {
        let place = self.table.remove(token)?;
        self.free.push(place);
        self.kept.get_mut(place.index())?.take()
    }

    pub(crate) fn get(&self, token: Token) -> Option<&T> {
        self.at(self.table.get(token)?)
    }

    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        self.at_mut(self.table.get(token)?)
    }

    /// What is kept there.
    pub(crate) fn at(&self, place: Place) -> Option<&T> {
        self.kept.get(place.index())?.as_ref()
    }

    /// The same, to be changed.
    pub(crate) fn at_mut(&mut self, place: Place) -> Option<&mut T> {
        self.kept.get_mut(place.index())?.as_mut()
    }

    /// All of them, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.kept.iter().flatten()
    }

    /// The same, to be changed.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.kept.iter_mut().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.table.taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.taken == 0
    }

    /// All of it, by ascending token: for what is done or said in an order, which must not be that of a table.
    pub(crate) fn ascending(&self) -> impl Iterator<Item = (Token, &T)> {
        let mut all: Vec<(Token, Place)> = self.table.all().collect();
        all.sort_unstable_by_key(|(token, _)| *token);
        all.into_iter().filter_map(|(token, place)| Some((token, self.at(place)?)))
    }
}

/// Which token is where: a cell for each, as near as can be behind where its search begins.
///
/// A hash map of the standard library would do, but for how tokens come: most are looked for in the order in which the coordinator
/// counted them up, soon after the one before. Here those are neighbours.
#[derive(Debug, Default)]
struct Table {
    /// A power of two, of which at least half are empty. None at all as long as nothing was held.
    cells: Vec<Cell>,
    taken: usize,
}

/// One of the table: as small as an enum of its own is, and an option is not.
#[derive(Clone, Copy, Debug)]
enum Cell {
    Empty,
    Taken { token: Token, place: Place },
}

impl Table {
    /// The cell of a token, or the empty one where its search ends. Of no cells, none.
    fn find(&self, token: Token) -> (usize, Option<Place>) {
        let mut at = self.begin(token);
        while let Some(Cell::Taken { token: found, place }) = self.cells.get(at) {
            if *found == token {
                return (at, Some(*place));
            }
            at = self.wrapped(at + 1);
        }
        (at, None)
    }

    fn get(&self, token: Token) -> Option<Place> {
        self.find(token).1
    }

    /// Notes where a token is that is not there yet.
    fn insert(&mut self, token: Token, place: Place) {
        if self.cells.len() <= 2 * self.taken {
            self.grow();
        }
        self.taken += 1;
        let (at, _) = self.find(token);
        self.put(at, Cell::Taken { token, place });
    }

    fn remove(&mut self, token: Token) -> Option<Place> {
        let (mut gap, place) = self.find(token);
        let place = place?;
        self.taken -= 1;
        // What a search would not find behind the gap any more moves up.
        let mut at = self.wrapped(gap + 1);
        while let Some(cell @ Cell::Taken { token, .. }) = self.cells.get(at).copied() {
            let come = self.wrapped(at.wrapping_sub(self.begin(token)));
            if self.wrapped(at.wrapping_sub(gap)) <= come {
                self.put(gap, cell);
                gap = at;
            }
            at = self.wrapped(at + 1);
        }
        self.put(gap, Cell::Empty);
        Some(place)
    }

    fn grow(&mut self) {
        let more = (2 * self.cells.len()).max(CELLS_MIN);
        let fewer = mem::replace(self, Self { cells: vec![Cell::Empty; more], taken: 0 });
        for (token, place) in fewer.all() {
            self.insert(token, place);
        }
    }

    fn put(&mut self, at: usize, cell: Cell) {
        if let Some(found) = self.cells.get_mut(at) {
            *found = cell;
        }
    }

    /// Where the search for a token begins: runs of them anywhere, each side by side.
    fn begin(&self, Token(token): Token) -> usize {
        let token = token.cast_unsigned();
        let (run, within) = (token >> RUN_BITS, token & ((1 << RUN_BITS) - 1));
        // 2^64 by the golden ratio. The upper half of the product depends on all of the run's number.
        let spread = run.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        self.wrapped(usize::try_from(spread ^ within).unwrap_or(0))
    }

    fn wrapped(&self, at: usize) -> usize {
        at & self.cells.len().wrapping_sub(1)
    }

    fn all(&self) -> impl Iterator<Item = (Token, Place)> {
        self.cells.iter().filter_map(|cell| match *cell {
            Cell::Empty => None,
            Cell::Taken { token, place } => Some((token, place)),
        })
    }
}

#[cfg(test)]
mod tests {
    //! What is held is found, wherever it lies.

    use std::collections::BTreeMap;

    use super::*;

    /// Tokens may come in steps, as where workers are served in turn.
    #[test]
    fn tokens_of_any_step_are_found_near_where_their_search_begins() {
        for step in (0..40).map(|bits| 1_i64 << bits).chain([3, 10, 1_000, 65_537]) {
            let mut table = Table::default();
            (1..=1_000).for_each(|n| table.insert(Token(n * step), Place(0)));
            let come = |n: i64| {
                let (at, begin) = (table.find(Token(n * step)).0, table.begin(Token(n * step)));
                table.wrapped(at.wrapping_sub(begin))
            };
            let ways: usize = (1..=1_000).map(come).sum();
            assert!(ways <= 4_000, "step {step}: {ways} cells beside those of 1000 tokens");
        }
    }

    #[test]
    fn what_is_held_is_told_in_order() {
        let mut held = Held::default();
        for n in [5, 3, 9, 1, 7] {
            held.insert(Token(n), n);
        }
        let told: Vec<i64> = held.ascending().map(|(Token(token), it)| token + it).collect();
        assert_eq!(told, [2, 6, 10, 14, 18]);
    }

    /// Against a map, by the same random steps: of tokens in a row, and of some that lie anywhere.
    #[test]
    fn it_holds_what_a_map_does() {
        let seed = fastrand::u64(..);
        let mut rng = fastrand::Rng::with_seed(seed);
        for (most_tokens, step) in [(3, 1), (20, 1), (200, 1), (200, 7), (200, 1 << 20)] {
            let (mut held, mut judge, mut most) = (Held::default(), BTreeMap::new(), 0);
            for n in 0..20_000_u64 {
                let token = Token(step * rng.i64(0..most_tokens));
                if rng.bool() {
                    let place = held.insert(token, n);
                    judge.insert(token, n);
                    assert_eq!(held.at(place), Some(&n), "seed {seed}, step {n}");
                    assert_eq!(held.at_mut(place), Some(&mut n.clone()), "seed {seed}, step {n}");
                } else {
                    assert_eq!(held.remove(token), judge.remove(&token), "seed {seed}, step {n}");
                }
                let other = Token(step * rng.i64(0..most_tokens));
                assert_eq!(held.get(other), judge.get(&other), "seed {seed}, step {n}");
                assert_eq!(held.get_mut(other), judge.get_mut(&other), "seed {seed}, step {n}");
                assert_eq!((held.len(), held.is_empty()), (judge.len(), judge.is_empty()));
                most = most.max(judge.len());
            }
            let expected = judge.iter().map(|(token, it)| (*token, it));
            assert!(held.ascending().eq(expected), "seed {seed}");
            let mut values: Vec<u64> = held.values().copied().collect();
            let mut expected: Vec<u64> = judge.values().copied().collect();
            values.sort_unstable();
            expected.sort_unstable();
            assert_eq!(values, expected, "seed {seed}");
            assert_eq!(held.values_mut().count(), judge.len(), "seed {seed}");
            assert_eq!(held.kept.len(), most, "seed {seed}: no more room than was ever needed");
        }
    }
}
