//! Who still needs which batch of the journal, and so what can be dropped.
//!
//! Only a prefix of the journal is ever dropped. The home of a task (or of an idempotency key that outlives its task)
//! is the batch with its last full state; a batch that is nobody's home is dead, and a dead prefix goes. When too much
//! of the journal is dead but its head is not, the oldest live ones are written again at the end: they move.

use std::collections::{HashMap, VecDeque};

use leasehold_journal::Position;
use leasehold_policy::Mutant;
use leasehold_queue::{Name, Record, TaskId};

mod residents;
mod run;

#[cfg(test)]
mod tests;

use residents::Residents;
use run::Run;

/// A journal with fewer bytes of records is left alone: reading it takes a tenth of a second, and its recent past tells
/// a repeated outcome from one that comes too late.
const TIDY_BYTES: u64 = 8 << 20;

/// How many bytes are moved with one turn's records: as many as a turn usually writes, so that a journal that is half
/// dead does not grow.
pub(crate) const MOVE_BYTES_PER_TURN: u64 = 256 << 10;

/// How many bytes one append may drop: enough to outrun any append, little enough not to be felt.
const DROP_BYTES_PER_APPEND: u64 = 4 << 20;

/// The same for batches, of which many may be tiny.
const DROP_BATCHES_PER_APPEND: usize = 64;

/// Which part of what is left alone gathers beyond it before something is moved or dropped. To drop one batch costs its append
/// about as much as to write a small one, to drop many little more. What lives takes no part in it: of a queue that takes more
/// than that, each batch goes when it is dead.
const DROP_SHARE: u64 = 8;

/// Who lives where.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Below how many bytes of records nothing is moved or dropped.
    tidy_bytes: u64,
    batches: VecDeque<Homes>,
    /// The batch from which a task left last: of those who were accepted together, most end together.
    latest: usize,
    /// Larger than the serial of each task that was accepted in order.
    next: i64,
    /// Whoever was written again, or came out of order.
    moved: Residents,
    keys: HashMap<KeyName, Home>,
    /// Bytes of records in all batches.
    retained: u64,
    /// Bytes of them that are the last full state of somebody.
    live: u64,
}

/// Queue and key.
type KeyName = (Name, Name);

/// Where the last full state is, and how large.
#[derive(Clone, Copy, Debug)]
struct Home {
    /// The lower half of its position: there are never so many batches that two could be mistaken for each other.
    batch: u32,
    /// No record is larger.
    bytes: u32,
}

impl Home {
    fn new(position: Position, bytes: u64) -> Self {
        Self { batch: lower_half(position), bytes: u32::try_from(bytes).unwrap_or(u32::MAX) }
    }

    fn is_in(self, batch: &Homes) -> bool {
        self.batch == lower_half(batch.position)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is the lower half")]
const fn lower_half(position: Position) -> u32 {
    position.0 as u32
}

/// One batch.
#[derive(Debug)]
struct Homes {
    position: Position,
    bytes: u64,
    /// Whoever was accepted here, in order.
    accepted: Run,
    /// The serials of other tasks that were written here and may have moved or ended since.
    moved: Vec<i64>,
    /// The same for keys.
    keys: Vec<KeyName>,
    /// How many of them still live here.
    live: usize,
}

/// Whom to write again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// The serials of tasks.
    pub tasks: Vec<i64>,
    /// Keys.
    pub keys: Vec<KeyName>,
}

impl Moves {
    /// Whether there is nobody to move.
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.keys.is_empty()
    }
}

impl Default for Keeper {
    fn default() -> Self {
        Self::tidying_above(TIDY_BYTES)
    }
}

impl Keeper {
    /// A keeper of an empty journal that leaves journals alone up to this size.
    pub(crate) fn tidying_above(tidy_bytes: u64) -> Self {
        Self {
            tidy_bytes,
            batches: VecDeque::new(),
            latest: 0,
            next: 0,
            moved: Residents::default(),
            keys: HashMap::new(),
            retained: 0,
            live: 0,
        }
    }

    /// A record was written into the batch at `position` (never smaller than before) and took `bytes`.
    pub(crate) fn written(&mut self, position: Position, record: &Record, bytes: usize) {
        let home = self.weigh(position, bytes as u64);
        match record {
            Record::TaskAccepted(task) => self.task_is_new(task.id.serial(), position, home),
            Record::TaskMoved(task) | Record::TaskReplayed(task) => {
                self.task_lives(task.id.serial(), position, home);
            }
            Record::KeyKept { queue, key, .. } => {
                if Mutant::KeyDroppedByTrim.is_alive() {
                    return;
                }
                let key = (Name::clone(queue), Name::clone(&key.name));
                self.key_lives(key, position, home);
            }
            Record::TaskEnded { task, .. } => self.task_is_gone(task.serial()),
            Record::EpochStarted { .. }
            | Record::LeaseGranted { .. }
            | Record::LeaseStarted { .. }
            | Record::LeaseRevoking { .. }
            | Record::LeaseExtended { .. }
            | Record::CheckpointSaved { .. }
            | Record::LeaseEnded { .. }
            | Record::CancelRequested { .. }
            | Record::QueuePaused { .. } => {}
        }
    }

    /// Where the last full state of an open task is.
    pub(crate) fn home(&self, task: TaskId) -> Option<Position> {
        self.home_of(task.serial())
    }

    fn home_of(&self, serial: i64) -> Option<Position> {
        let batch = self.run_of(serial).and_then(|at| self.batches.get(at));
        match batch.filter(|batch| batch.accepted.get(serial).is_some()) {
            Some(batch) => Some(batch.position),
            None => self.moved.get(serial).map(|home| self.position(home)),
        }
    }

    /// How many bytes of records a batch has: what it takes to read it.
    pub(crate) fn bytes_of(&self, position: Position) -> u64 {
        let at = self.batches.binary_search_by_key(&position, |batch| batch.position);
        at.ok().and_then(|at| self.batches.get(at)).map_or(0, |batch| batch.bytes)
    }

    /// Whom to write again with this turn's records, which go into the batch at `head`.
    pub(crate) fn moves(&mut self, head: Position) -> Moves {
        let mut moves = Moves::default();
        let mut excess = self.retained.saturating_sub(self.untidy_bytes().max(2 * self.live));
        let mut left = MOVE_BYTES_PER_TURN;
        for batch in &mut self.batches {
            // What is dead up to here goes without anybody else having to move.
            if excess == 0 || head <= batch.position {
                break;
            }
            excess = excess.saturating_sub(batch.bytes);
            while 0 < left
                && let Some((serial, bytes)) = batch.accepted.ask_to_move()
            {
                left = left.saturating_sub(bytes.into());
                moves.tasks.push(serial);
            }
            while 0 < left
                && let Some(serial) = batch.moved.pop()
            {
                if let Some(home) = self.moved.get(serial).filter(|home| home.is_in(batch)) {
                    left = left.saturating_sub(home.bytes.into());
                    moves.tasks.push(serial);
                }
            }
            while 0 < left
                && let Some(key) = batch.keys.pop()
            {
                if let Some(home) = self.keys.get(&key).filter(|home| home.is_in(batch)) {
                    left = left.saturating_sub(home.bytes.into());
                    moves.keys.push(key);
                }
            }
            if left == 0 {
                break;
            }
        }
        moves
    }

    /// The moves have been made, into batches at or after `head`. Whoever did not move is nobody any more: a key that
    /// has expired is not written again.
    pub(crate) fn moved(&mut self, moves: Moves, head: Position) {
        for serial in moves.tasks {
            if self.home_of(serial).is_some_and(|home| home < head) {
                self.task_is_gone(serial);
            }
        }
        for key in moves.keys {
            if self.keys.get(&key).is_some_and(|home| self.position(*home) < head) {
                let home = self.keys.remove(&key);
                self.left(home);
            }
        }
    }

    /// What may be dropped together with the append of the batch at `closing`, whose records have all been written.
    pub(crate) fn drop_before(&mut self, closing: Position) -> Option<Position> {
        if self.retained <= self.untidy_bytes() {
            return None;
        }
        let (mut bytes, mut count) = (0, 0);
        while bytes < DROP_BYTES_PER_APPEND
            && count < DROP_BATCHES_PER_APPEND
            && self.tidy_bytes < self.retained - bytes
        {
            let dead = |batch: &mut Homes| {
                let is_dead = batch.live == 0 || Mutant::TrimDropsLive.is_alive();
                is_dead && batch.position < closing
            };
            let Some(batch) = self.batches.pop_front_if(dead) else { break };
            bytes += batch.bytes;
            count += 1;
        }
        self.retained -= bytes;
        // Dead batches without any record of their own are not listed, so what follows may start later.
        let first = self.batches.front().map_or(closing, |batch| batch.position.min(closing));
        (0 < count).then_some(first)
    }

    /// Up to how many bytes of records nothing is moved or dropped.
    const fn untidy_bytes(&self) -> u64 {
        self.tidy_bytes.saturating_add(self.tidy_bytes / DROP_SHARE)
    }

    /// How many bytes of records are somebody's last full state.
    pub(crate) const fn live_bytes(&self) -> u64 {
        self.live
    }

    /// A record of so many bytes is in the batch at `position`.
    fn weigh(&mut self, position: Position, bytes: u64) -> Home {
        self.batch_at(position).bytes += bytes;
        self.retained += bytes;
        Home::new(position, bytes)
    }

    fn batch_at(&mut self, position: Position) -> &mut Homes {
        if let Some(batch) = self.batches.pop_back_if(|batch| batch.position == position) {
            return self.batches.push_back_mut(batch);
        }
        if let Some(full) = self.batches.back_mut() {
            full.accepted.close();
            full.moved.shrink_to_fit();
        }
        let (accepted, moved, keys) = (Run::behind(self.next), Vec::new(), Vec::new());
        self.batches.push_back_mut(Homes { position, bytes: 0, accepted, moved, keys, live: 0 })
    }

    /// A task was accepted: it has no home yet.
    fn task_is_new(&mut self, serial: i64, position: Position, home: Home) {
        let is_in_order = self.next <= serial;
        let batch = self.batch_at(position);
        if is_in_order && batch.accepted.push(serial, home.bytes) {
            batch.live += 1;
            self.live += u64::from(home.bytes);
            self.next = serial.saturating_add(1);
        } else {
            self.task_lives(serial, position, home);
        }
    }

    /// A task was written again, or out of order.
    fn task_lives(&mut self, serial: i64, position: Position, home: Home) {
        self.task_is_gone(serial);
        let batch = self.batch_at(position);
        batch.moved.push(serial);
        batch.live += 1;
        self.live += u64::from(home.bytes);
        self.moved.insert(serial, home);
    }

    fn key_lives(&mut self, key: KeyName, position: Position, home: Home) {
        let batch = self.batch_at(position);
        batch.keys.push((Name::clone(&key.0), Name::clone(&key.1)));
        batch.live += 1;
        self.live += u64::from(home.bytes);
        let before = self.keys.insert(key, home);
        self.left(before);
    }

    fn task_is_gone(&mut self, serial: i64) {
        let run = self.run_of(serial);
        if let Some(at) = run
            && let Some(batch) = self.batches.get_mut(at)
            && let Some(bytes) = batch.accepted.remove(serial)
        {
            batch.live -= 1;
            self.live -= u64::from(bytes);
            self.latest = at;
        } else {
            let home = self.moved.remove(serial);
            self.left(home);
        }
    }

    /// The batch that a task was accepted with, if it came in order and that is still there.
    fn run_of(&self, serial: i64) -> Option<usize> {
        if self.batches.get(self.latest).is_some_and(|batch| batch.accepted.spans(serial)) {
            return Some(self.latest);
        }
        self.batches.partition_point(|batch| batch.accepted.first() <= serial).checked_sub(1)
    }

    /// The batch of a home: none is behind the last one.
    fn position(&self, home: Home) -> Position {
        let last = self.batches.back().map_or(Position::default(), |batch| batch.position);
        Position(last.0.saturating_sub(lower_half(last).wrapping_sub(home.batch).into()))
    }

    /// Somebody does not live there any more.
    fn left(&mut self, home: Option<Home>) {
        let Some(home) = home else { return };
        self.live -= u64::from(home.bytes);
        let position = self.position(home);
        let at = self.batches.binary_search_by_key(&position, |batch| batch.position);
        if let Some(batch) = at.ok().and_then(|at| self.batches.get_mut(at)) {
            batch.live -= 1;
        }
    }
}
