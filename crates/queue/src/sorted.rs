//! Things in an order in which most come behind all others and leave before them, as tasks do in lanes and among the timers.
//!
//! They lie in runs, side by side: a tree of them alone would be half empty, as it grows at its end, and each would be looked for
//! in another place. Where they come in any order, a run is cut in two when it is full.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound::{Included, Unbounded},
};

/// How many there are in a run at most.
const RUN_MAX: usize = 64;

/// A run that is not the first and has fewer joins the one before or behind it, if both together leave room for as many again.
const RUN_MIN: usize = RUN_MAX / 4;

type Run<K, V> = VecDeque<(K, V)>;

/// Things by key, in the order of their keys.
#[derive(Clone, Debug)]
pub(crate) struct Sorted<K, V = ()> {
    /// The first of them: empty only if there is none.
    first: Run<K, V>,
    /// The others: no key of a run is below the one it is found by, nor is any key of those before as large.
    rest: BTreeMap<K, Run<K, V>>,
    len: usize,
}

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self { first: Run::new(), rest: BTreeMap::new(), len: 0 }
    }
}

impl<K: Copy + Ord, V> Sorted<K, V> {
    /// Takes a thing in, for the one that had its key.
    pub(crate) fn insert(&mut self, key: K, thing: V) {
        let run = self.run_mut(key);
        let at = match run.back() {
            Some((last, _)) if key <= *last => run.partition_point(|(other, _)| *other < key),
            Some(_) | None => run.len(),
        };
        if let Some((other, place)) = run.get_mut(at)
            && *other == key
        {
            *place = thing;
            return;
        }
        if run.len() < RUN_MAX {
            run.insert(at, (key, thing));
        } else if at == run.len() {
            self.insert_behind_full(key, thing);
        } else {
            let mut upper = run.split_off(RUN_MAX / 2);
            match at.checked_sub(run.len()) {
                None | Some(0) => run.insert(at, (key, thing)),
                Some(at) => upper.insert(at, (key, thing)),
            }
            self.rest.extend(upper.front().map(|(key, _)| *key).map(|key| (key, upper)));
        }
        self.len += 1;
    }

    /// Takes a thing out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let Self { first, rest, .. } = self;
        let thing = if is_in_first(first, rest, key) {
            let thing = take(first, key)?;
            if first.is_empty()
                && let Some((_, next)) = rest.pop_first()
            {
                *first = next;
            }
            thing
        } else {
            let (begin, run) = rest.range_mut(..=*key).next_back()?;
            let (begin, thing) = (*begin, take(run, key)?);
            if run.len() < RUN_MIN {
                self.join(begin);
            }
            thing
        };
        self.len -= 1;
        Some(thing)
    }

    /// The first of all.
    pub(crate) fn first(&self) -> Option<&(K, V)> {
        self.first.front()
    }

    /// The last of all.
    pub(crate) fn last(&self) -> Option<&(K, V)> {
        self.rest.last_key_value().map_or(&self.first, |(_, run)| run).back()
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.first.iter().chain(self.rest.values().flatten())
    }

    /// Those from a key on.
    pub(crate) fn from(&self, key: K) -> impl Iterator<Item = &(K, V)> {
        let before = self.rest.range(..=key).next_back();
        let begin = before.map_or(Unbounded, |(begin, _)| Included(*begin));
        let rest = self.rest.range((begin, Unbounded)).flat_map(|(_, run)| run);
        self.first.iter().chain(rest).skip_while(move |(other, _)| *other < key)
    }

    /// The thing of this key.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let (found, thing) = self.from(*key).next()?;
        (found == key).then_some(thing)
    }

    /// Whether there is one of this key.
    #[cfg(debug_assertions)]
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The run that a key belongs to.
    fn run_mut(&mut self, key: K) -> &mut Run<K, V> {
        let Self { first, rest, .. } = self;
        if is_in_first(first, rest, &key) {
            return first;
        }
        rest.range_mut(..=key).next_back().map_or(first, |(_, run)| run)
    }

    /// Takes a thing in that is behind all of a full run: before those of the run behind that one, if there is room. So runs are
    /// full, too, where things come from behind.
    fn insert_behind_full(&mut self, key: K, thing: V) {
        let behind = self.rest.range(key..).next();
        let mut run = match behind.map(|(begin, run)| (*begin, run.len())) {
            None => Run::with_capacity(RUN_MAX),
            Some((begin, len)) if len < RUN_MAX => self.rest.remove(&begin).unwrap_or_default(),
            Some(_) => Run::new(),
        };
        run.push_front((key, thing));
        self.rest.insert(key, run);
    }

    /// A run has few in it, or none.
    fn join(&mut self, begin: K) {
        let len = |(begin, run): (&K, &Run<K, V>)| (*begin, run.len());
        let before = self.rest.range(..begin).next_back().map(len);
        let (this, after) = {
            let mut from_here = self.rest.range(begin..).map(len);
            (from_here.next(), from_here.next())
        };
        if this.is_some_and(|(_, len)| len == 0) {
            self.rest.remove(&begin);
            return;
        }
        for ((one, len), (other, more)) in [before.zip(this), this.zip(after)].into_iter().flatten()
        {
            if len + more <= RUN_MAX / 2
                && let Some(joins) = self.rest.remove(&other)
                && let Some(run) = self.rest.get_mut(&one)
            {
                run.extend(joins);
                return;
            }
        }
    }
}

/// Whether a key belongs to the first run, as far as can be said without a look at the others.
fn is_in_first<K: Ord, V>(first: &Run<K, V>, rest: &BTreeMap<K, Run<K, V>>, key: &K) -> bool {
    rest.is_empty() || first.back().is_some_and(|(last, _)| key <= last)
}

fn take<K: Ord, V>(run: &mut Run<K, V>, key: &K) -> Option<V> {
    if run.front().is_some_and(|(first, _)| first == key) {
        return run.pop_front().map(|(_, thing)| thing);
    }
    let at = run.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
    run.remove(at).map(|(_, thing)| thing)
}

#[cfg(test)]
mod tests;
