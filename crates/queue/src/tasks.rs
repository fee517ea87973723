//! The open tasks: each is found by its id at the same cost however many there are, and all are passed through in the
//! order of their ids.
//!
//! It knows nothing of a task but its id, and keeps the number of its template beside it. Nothing depends on the order in which the tables hold them.

use std::{collections::BTreeSet, hash::BuildHasher as _, iter};

use hashbrown::HashTable;

use crate::{IdHashing, Task, TaskId, templates::TemplateNo};

use blocks::{Blocks, Number};

mod blocks;

/// Tables that grow apart: each does so by moving everything in it, which must not be felt, though there are ten million
/// tasks.
const TABLES: usize = 256;

/// Ids of tasks that are gone are left in the order until they are more than half of it, and so many.
const GONE_MIN: usize = 1_024;

/// Every open task.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    /// By id. That is read where the task is: a table is half empty after it has grown, so what is in it is small.
    tables: Vec<HashTable<Number>>,
    all: Blocks,
    len: usize,
    /// Serials of ids that came in order, as those of new tasks do; some of the tasks may be gone. That order is the order of ids.
    order: Vec<i64>,
    /// Those that came behind a larger one, of open tasks alone: those of dead letters that are replayed, and of what a journal
    /// had moved. One of them may be in the order, too, where it was left.
    strays: BTreeSet<i64>,
}

impl Default for Tasks {
    fn default() -> Self {
        let tables = iter::repeat_with(HashTable::new).take(TABLES).collect();
        let (all, order, strays) = (Blocks::default(), Vec::new(), BTreeSet::new());
        Self { tables, all, len: 0, order, strays }
    }
}

impl Tasks {
    /// The task.
    pub(crate) fn get(&self, id: TaskId) -> Option<&Task> {
        self.find(id).map(|(task, _)| task)
    }

    /// The task, and the number of its template.
    pub(crate) fn find(&self, id: TaskId) -> Option<(&Task, TemplateNo)> {
        let hash = hash(id.serial());
        let number = self.tables.get(table(hash))?.find(hash, |it| self.all.is(*it, id))?;
        self.all.get(*number)
    }

    /// The task with this serial: ids are placed by it.
    pub(crate) fn with_serial(&self, serial: i64) -> Option<&Task> {
        self.find_serial(serial).map(|(task, _)| task)
    }

    fn find_serial(&self, serial: i64) -> Option<(&Task, TemplateNo)> {
        let hash = hash(serial);
        let is_it =
            |it: &Number| self.all.get(*it).is_some_and(|(task, _)| task.id.serial() == serial);
        let number = self.tables.get(table(hash))?.find(hash, is_it)?;
        self.all.get(*number)
    }

    /// The task, to be changed; not its id.
    pub(crate) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        self.find_mut(id).map(|(task, _)| task)
    }

    /// The same, and the number of its template.
    pub(crate) fn find_mut(&mut self, id: TaskId) -> Option<(&mut Task, TemplateNo)> {
        let hash = hash(id.serial());
        let number = self.tables.get(table(hash))?.find(hash, |it| self.all.is(*it, id))?;
        self.all.get_mut(*number)
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Takes a task in whose id is not there.
    pub(crate) fn insert(&mut self, task: Task, template: TemplateNo) {
        let (id, serial) = (task.id, task.id.serial());
        let hash = hash(serial);
        let Self { tables, all, .. } = self;
        let Some(table) = tables.get_mut(table(hash)) else { return };
        debug_assert!(table.find(hash, |it| all.is(*it, id)).is_none(), "it is a new one");
        let number = all.insert(task, template);
        let hash_of =
            |it: &Number| all.get(*it).map_or(0, |(task, _)| self::hash(task.id.serial()));
        table.insert_unique(hash, number, hash_of);
        self.len += 1;
        if self.order.last().is_none_or(|last| *last < serial) {
            self.order.push(serial);
        } else {
            self.strays.insert(serial);
        }
    }

    /// Takes a task out.
    pub(crate) fn remove(&mut self, id: TaskId) -> Option<(Task, TemplateNo)> {
        let (serial, hash) = (id.serial(), hash(id.serial()));
        let Self { tables, all, .. } = self;
        let found = tables.get_mut(table(hash))?.find_entry(hash, |it| all.is(*it, id));
        let (number, _) = found.ok()?.remove();
        let gone = all.remove(number)?;
        self.len -= 1;
        if !self.strays.is_empty() {
            self.strays.remove(&serial);
        }
        if 2 * self.len + GONE_MIN < self.order.len() {
            self.forget_gone();
        }
        Some(gone)
    }

    /// Every task, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.iter_with_templates().map(|(task, _)| task)
    }

    /// Every task with the number of its template, by id.
    pub(crate) fn iter_with_templates(&self) -> impl Iterator<Item = (&Task, TemplateNo)> {
        self.merge(self.order.iter(), self.strays.iter())
    }

    /// Every task with a larger id, by id.
    pub(crate) fn after(&self, id: TaskId) -> impl Iterator<Item = &Task> {
        let serial = id.serial();
        let begin = self.order.partition_point(|other| *other < serial);
        let rest = self.order.get(begin..).unwrap_or_default();
        let later = self.merge(rest.iter(), self.strays.range(serial..));
        later.map(|(task, _)| task).skip_while(move |task| task.id <= id)
    }

    fn merge<'a>(
        &'a self,
        order: impl Iterator<Item = &'a i64>,
        strays: impl Iterator<Item = &'a i64>,
    ) -> impl Iterator<Item = (&'a Task, TemplateNo)> {
        let (mut order, mut strays) = (order.copied().peekable(), strays.copied().peekable());
        iter::from_fn(move || {
            let next = match (order.peek().copied(), strays.peek().copied()) {
                (Some(one), Some(other)) => one.min(other),
                (one, other) => one.or(other)?,
            };
            order.next_if_eq(&next);
            strays.next_if_eq(&next);
            Some(next)
        })
        .filter_map(|serial| self.find_serial(serial))
    }

    fn forget_gone(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        order.retain(|serial| self.with_serial(*serial).is_some());
        order.shrink_to(2 * order.len() + GONE_MIN);
        self.order = order;
    }
}

fn hash(serial: i64) -> u64 {
    IdHashing::default().hash_one(serial)
}

/// By bits that the tables themselves use least.
const fn table(hash: u64) -> usize {
    (hash >> 40) as usize % TABLES
}

#[cfg(test)]
mod tests;
