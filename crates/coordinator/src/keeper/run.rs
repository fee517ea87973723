//! Those who were accepted with one batch, in the order of their serials: these grow from task to task and from batch to
//! batch, so that whoever ends is found beside the one who ended before, and in no table.

/// Whoever was accepted with one batch and may still live there.
#[derive(Debug)]
pub(super) struct Run {
    /// The first serial; of a run that is empty: one that none before it has.
    first: i64,
    residents: Vec<Resident>,
    /// Where the next one to leave is likely to be.
    next: usize,
    /// How many, from the last, have been asked to move.
    asked: usize,
}

/// One of them: small, because every open task has one.
#[derive(Clone, Copy, Debug)]
struct Resident {
    /// How much larger its serial is than the first.
    offset: u32,
    /// How large its full state is. 0: it does not live here any more.
    bytes: u32,
}

impl Run {
    /// A run of none, behind those with smaller serials than this.
    pub(super) const fn behind(first: i64) -> Self {
        Self { first, residents: Vec::new(), next: 0, asked: 0 }
    }

    /// From which serial on whoever is in no later run is in this one, if in any.
    pub(super) const fn first(&self) -> i64 {
        self.first
    }

    /// Whether somebody with that serial would be between others here.
    pub(super) fn spans(&self, serial: i64) -> bool {
        let last = self.residents.last().map(|last| last.offset);
        last.is_some_and(|last| self.offset(serial).is_some_and(|offset| offset <= last))
    }

    /// Takes somebody in whose serial is larger than all. `false`: by too much.
    pub(super) fn push(&mut self, serial: i64, bytes: u32) -> bool {
        if self.residents.is_empty() {
            self.first = serial;
        }
        let Some(offset) = self.offset(serial) else { return false };
        self.residents.push(Resident { offset, bytes });
        true
    }

    /// How large the full state is of somebody who lives here.
    pub(super) fn get(&self, serial: i64) -> Option<u32> {
        let at = self.find(self.offset(serial)?)?;
        self.residents.get(at).map(|it| it.bytes).filter(|bytes| 0 < *bytes)
    }

    /// Somebody leaves. Says how large its full state was, if it lived here.
    pub(super) fn remove(&mut self, serial: i64) -> Option<u32> {
        let at = self.find(self.offset(serial)?)?;
        self.next = at + 1;
        let resident = self.residents.get_mut(at)?;
        Some(std::mem::take(&mut resident.bytes)).filter(|bytes| 0 < *bytes)
    }

    /// The serial of another who lives here and has not been asked to move, and how large its full state is. Now it has.
    pub(super) fn ask_to_move(&mut self) -> Option<(i64, u32)> {
        while self.asked < self.residents.len() {
            self.asked += 1;
            let resident = self.residents.get(self.residents.len() - self.asked)?;
            if 0 < resident.bytes {
                return Some((self.first + i64::from(resident.offset), resident.bytes));
            }
        }
        None
    }

    /// None come any more.
    pub(super) fn close(&mut self) {
        self.residents.shrink_to_fit();
    }

    fn offset(&self, serial: i64) -> Option<u32> {
        u32::try_from(serial.checked_sub(self.first)?).ok()
    }

    fn find(&self, offset: u32) -> Option<usize> {
        if self.residents.get(self.next).is_some_and(|it| it.offset == offset) {
            return Some(self.next);
        }
        self.residents.binary_search_by_key(&offset, |it| it.offset).ok()
    }
}
