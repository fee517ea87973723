//! Things that are called by small numbers, so that what refers to them is small too.
//!
//! A number is given again once its thing is gone: whoever keeps one has to know that it lives.

use std::collections::BTreeSet;

/// Things by number.
#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    places: Vec<Option<T>>,
    /// The numbers below the last one that are nobody's.
    free: BTreeSet<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: BTreeSet::new() }
    }
}

impl<T> Slab<T> {
    /// Takes a thing in and says what its number is.
    pub(crate) fn insert(&mut self, thing: T) -> u32 {
        if let Some(number) = self.free.pop_first()
            && let Some(place) = self.places.get_mut(number as usize)
        {
            *place = Some(thing);
            return number;
        }
        let number = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        debug_assert!(number < u32::MAX, "there are fewer things than numbers");
        self.places.push(Some(thing));
        number
    }

    /// The thing of this number.
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.places.get(number as usize)?.as_ref()
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.places.get_mut(number as usize)?.as_mut()
    }

    /// Takes a thing out.
    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let thing = self.places.get_mut(number as usize)?.take()?;
        self.free.insert(number);
        while let Some(None) = self.places.last() {
            self.places.pop();
            self.free.pop_last();
        }
        Some(thing)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        (self.places.len() - self.free.len()) as u64
    }

    /// Every thing with its number; of more than `most`, about that many, and for how many each stands.
    pub(crate) fn sample(&self, most: usize) -> (usize, impl Iterator<Item = (u32, &T)>) {
        let stride = self.places.len().div_ceil(most).max(1);
        (stride, self.iter_by(stride))
    }

    /// Every thing with its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.iter_by(1)
    }

    fn iter_by(&self, stride: usize) -> impl Iterator<Item = (u32, &T)> {
        let places = (0..).zip(&self.places).step_by(stride);
        places.filter_map(|(number, place)| Some((number, place.as_ref()?)))
    }
}
