//! The journal of the model: batches, how many of them are durable, and what each beginning of it folds to.
//!
//! The folding is the real queue's. A crash keeps what is durable and any number of the batches behind it.

use std::{collections::BTreeMap, sync::Arc};

use leasehold_queue::{Ending, Queue, Record, Task, TaskId, Token, Unknown};

use crate::explore::Violation;

/// The journal.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// The last epoch claimed.
    pub(crate) epoch: u32,
    /// The beginnings with 0, 1, 2 … batches; never empty.
    beginnings: Vec<Arc<Beginning>>,
    /// How many batches are durable.
    durable: usize,
}

/// A beginning of the journal.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    /// Its last batch.
    records: Vec<Record>,
    /// What all of it folds to. It is given no commands.
    pub(crate) queue: Queue,
    /// What all of it says of each task.
    pub(crate) histories: BTreeMap<TaskId, History>,
    /// Dead letters, as they are stored.
    pub(crate) dead: BTreeMap<TaskId, Task>,
}

/// What happened to a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    pub(crate) generation: u32,
    /// Tokens of this generation.
    pub(crate) granted: Vec<Token>,
    /// Tokens of earlier ones.
    pub(crate) earlier: Vec<Token>,
    pub(crate) end: Option<End>,
}

/// How a generation of a task ended, and under which lease, if one decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct End {
    pub(crate) ending: Ending,
    pub(crate) token: Option<Token>,
}

impl Log {
    /// A journal without batches, which folds to this queue.
    pub(crate) fn new(empty: Queue) -> Self {
        let first = Beginning {
            records: Vec::new(),
            queue: empty,
            histories: BTreeMap::new(),
            dead: BTreeMap::new(),
        };
        Self { epoch: 0, beginnings: vec![Arc::new(first)], durable: 0 }
    }

    /// How many batches there are.
    pub(crate) fn len(&self) -> usize {
        self.beginnings.len() - 1
    }

    /// How many of them are durable.
    pub(crate) fn durable(&self) -> usize {
        self.durable
    }

    /// Everything written.
    pub(crate) fn all(&self) -> Option<&Beginning> {
        self.beginnings.last().map(|it| &**it)
    }

    /// Everything durable.
    pub(crate) fn safe(&self) -> Option<&Beginning> {
        self.beginnings.get(self.durable).map(|it| &**it)
    }

    /// What may be found after a crash.
    pub(crate) fn recoverable(&self) -> impl Iterator<Item = &Beginning> {
        self.beginnings.iter().skip(self.durable).map(|it| &**it)
    }

    /// Every record, for a coordinator that starts.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.beginnings.iter().flat_map(|it| &it.records)
    }

    /// Writes a batch, not yet durable, and the dead letters that belong to it.
    pub(crate) fn write(&mut self, records: Vec<Record>, dead: Vec<Task>) -> Result<(), Violation> {
        let Some(last) = self.all() else { return Ok(()) };
        let mut next = Beginning { records: Vec::new(), ..last.clone() };
        for record in &records {
            next.fold(record)?;
        }
        next.dead.extend(dead.into_iter().map(|task| (task.id, task)));
        next.records = records;
        self.beginnings.push(Arc::new(next));
        Ok(())
    }

    /// Everything written is durable.
    pub(crate) fn sync(&mut self) {
        self.durable = self.len();
    }

    /// A crash, or a successor: so many batches are left, and all of them are durable.
    pub(crate) fn cut(&mut self, kept: usize) {
        self.beginnings.truncate(kept + 1);
        self.durable = kept;
    }
}

impl End {
    /// The end as somebody is told of it: the lease counts if it succeeded.
    pub(crate) fn shown(self) -> Self {
        Self { token: self.token.filter(|_| self.ending == Ending::Succeeded), ..self }
    }
}

impl Beginning {
    fn fold(&mut self, record: &Record) -> Result<(), Violation> {
        self.queue.replay(record.clone(), Unknown::Refuse).map_err(|corrupt| Violation {
            invariant: "I7",
            what: format!("a record that does not follow from those before it: {corrupt}"),
        })?;
        let Some(id) = record.task() else { return Ok(()) };
        let history = self.histories.entry(id).or_default();
        history.judge(id, record)?;
        history.fold(record);
        if matches!(record, Record::TaskReplayed(_)) {
            self.dead.remove(&id);
        }
        Ok(())
    }
}

impl History {
    /// Everything that was ever granted.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> {
        self.earlier.iter().chain(&self.granted).copied()
    }

    fn judge(&self, id: TaskId, record: &Record) -> Result<(), Violation> {
        let fail = |invariant, what| Err(Violation { invariant, what });
        if let Some(end) = self.end
            && !matches!(record, Record::TaskReplayed(_))
        {
            return fail("I3", format!("task {id} has ended ({end:?}) and goes on: {record:?}"));
        }
        if let Record::TaskEnded { token: Some(token), .. } = record
            && !self.granted.contains(token)
        {
            return fail("I27", format!("{token} of another generation decides task {id}"));
        }
        if let Record::LeaseGranted { token, .. } = record
            && self.tokens().any(|it| it == *token)
        {
            return fail("I6", format!("{token} is granted twice for task {id}"));
        }
        Ok(())
    }

    fn fold(&mut self, record: &Record) {
        match record {
            Record::TaskReplayed(task) => {
                self.earlier.append(&mut self.granted);
                (self.generation, self.end) = (task.generation(), None);
            }
            Record::TaskAccepted(task) => self.generation = task.generation(),
            Record::LeaseGranted { token, .. } => self.granted.push(*token),
            Record::TaskEnded { ending, token, .. } => {
                self.end = Some(End { ending: *ending, token: *token });
            }
            Record::EpochStarted { .. }
            | Record::TaskMoved(_)
            | Record::LeaseStarted { .. }
            | Record::LeaseRevoking { .. }
            | Record::LeaseExtended { .. }
            | Record::CheckpointSaved { .. }
            | Record::LeaseEnded { .. }
            | Record::CancelRequested { .. }
            | Record::KeyKept { .. }
            | Record::QueuePaused { .. } => {}
        }
    }
}
