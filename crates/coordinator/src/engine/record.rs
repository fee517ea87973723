//! The end of a turn: records and rows go into the next batch, effects and answers to the gate.

use std::{
    cell::LazyCell,
    collections::{BTreeSet, VecDeque},
};

use bytes::Bytes;
use leasehold_journal::{Class, Position};
use leasehold_policy::Mutant;
use leasehold_queue::{Command, Effect, Ended, Ending, Output, Record, TaskId};

use super::{Engine, release::Release, row};
use crate::{keeper::Moves, recovery::paused_fact};

impl Engine {
    /// Writes what the queue decided and holds back what it led to.
    pub(super) fn record(&mut self) {
        let mut output = self.queue.take_output();
        let moves = self.tidy(&mut output);
        if !output.records.is_empty() || !output.effects.is_empty() {
            self.gauges.outdate();
        }
        self.write(&output);
        if let Some((head, moves)) = moves {
            self.keeper.moved(moves, head);
        }
        let mut effects = self.close_streams(output.effects);
        self.complete(&mut effects);
        let position = self.drafts.last();
        for release in self.said.drain(..) {
            self.gate.hold(position, release);
        }
        if !effects.is_empty() {
            self.gate.hold(position, Release::Effects(effects));
        }
    }

    /// Writes some of the oldest live tasks again behind the turn's own records, so that the journal's dead beginning
    /// can go. A turn that writes nothing tidies nothing.
    fn tidy(&mut self, output: &mut Output) -> Option<(Position, Moves)> {
        if output.records.is_empty() {
            return None;
        }
        let head = self.drafts.position();
        let moves = self.keeper.moves(head);
        if moves.is_empty() {
            return None;
        }
        let tasks = self.open(&moves.tasks, &output.records);
        self.apply(Command::Move { tasks, keys: moves.keys.clone() });
        let Output { records, effects } = self.queue.take_output();
        output.records.extend(records);
        output.effects.extend(effects);
        Some((head, moves))
    }

    /// Those of the tasks that have not ended with these records. None may be missing for another reason: whoever does not
    /// move is forgotten, and his last full state dropped.
    fn open(&self, serials: &[i64], records: &[Record]) -> Vec<TaskId> {
        let ended = |record: &Record| {
            if let Record::TaskEnded { task, .. } = record { Some(task.serial()) } else { None }
        };
        // Most turns miss nobody.
        let ended: LazyCell<BTreeSet<i64>, _> =
            LazyCell::new(|| records.iter().filter_map(ended).collect());
        let open = |serial: &i64| {
            let task = self.queue.task_with_serial(*serial).map(|task| task.id);
            assert!(
                task.is_some() || ended.contains(serial),
                "the task with the serial {serial} has a home and is not there"
            );
            task
        };
        serials.iter().filter_map(open).collect()
    }

    fn write(&mut self, output: &Output) {
        let mut endings: VecDeque<&Ended> = output.effects.iter().filter_map(ended).collect();
        let mut records = output.records.iter();
        while let Some(record) = records.next() {
            self.count(record, records.as_slice().first());
            if let Record::QueuePaused { queue, paused } = record {
                let value = if *paused { Bytes::from_static(b"1") } else { Bytes::new() };
                self.drafts.fact(paused_fact(queue), value);
                continue;
            }
            // Whoever has ended has no home any more.
            let home = if let Record::TaskEnded { task, .. } = record
                && endings.front().is_some_and(|ended| ended.task.spec.payload.here().is_none())
            {
                self.keeper.home(*task)
            } else {
                None
            };
            self.drafts.record(record, &mut self.keeper, self.now);
            self.weigh(record, self.drafts.position());
            if let Record::TaskReplayed(task) = record
                && !Mutant::RowTwice.is_alive()
            {
                self.drafts.unfailed(task.id.serial());
            }
            if let Record::TaskEnded { task, .. } = record {
                let ended = endings.pop_front().filter(|ended| ended.task.id == *task);
                assert!(ended.is_some(), "each end has its effect, in the same order");
                if let Some(ended) = ended {
                    self.write_row(ended, home);
                }
            }
        }
        assert!(endings.is_empty(), "each effect of an end has its record");
    }

    /// The row of an ended task goes into the batch of its last record.
    fn write_row(&mut self, ended: &Ended, home: Option<Position>) {
        self.count_end(ended);
        let queue = &ended.task.spec.queue;
        let class = match ended.ending {
            Ending::Succeeded => Class::Succeeded,
            Ending::Cancelled => Class::Cancelled,
            Ending::Failed if Mutant::DeadLetterForgotten.is_alive() => return,
            Ending::Failed => {
                let retention = self.config.failed_retention(queue);
                let row = row::failed(ended, retention);
                return self.drafts.failed(row, home, &ended.task, &self.keeper);
            }
        };
        let retention = self.config.finished_retention(queue);
        if !retention.is_zero() {
            self.drafts.finished(row::finished(ended, class, retention));
        }
    }
}

fn ended(effect: &Effect) -> Option<&Ended> {
    if let Effect::Ended(ended) = effect { Some(ended) } else { None }
}
