//! What tasks have in common is written once in each batch of the journal, and kept once for all of them.

use std::{collections::VecDeque, sync::Arc};

use leasehold_queue::{Record, TaskSpec, Template};

/// How many templates are remembered, each compared field by field.
pub(super) const KNOWN_MAX: usize = 64;

/// The last templates that were read, newest first.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    known: VecDeque<Arc<Template>>,
    /// The one of the task before, as its batch has it and as it is kept.
    last: Option<(Arc<Template>, Arc<Template>)>,
}

impl Sharing {
    /// Gives the task in a record the template of those before it, if it is equal to one that is remembered.
    pub(super) fn share(&mut self, record: &mut Record) {
        match record {
            Record::TaskAccepted(task) | Record::TaskMoved(task) | Record::TaskReplayed(task) => {
                self.share_of(&mut task.spec);
            }
            Record::EpochStarted { .. }
            | Record::LeaseGranted { .. }
            | Record::LeaseStarted { .. }
            | Record::LeaseRevoking { .. }
            | Record::LeaseExtended { .. }
            | Record::LeaseEnded { .. }
            | Record::CheckpointSaved { .. }
            | Record::CancelRequested { .. }
            | Record::TaskEnded { .. }
            | Record::KeyKept { .. }
            | Record::QueuePaused { .. } => {}
        }
    }

    fn share_of(&mut self, spec: &mut Arc<TaskSpec>) {
        let kept = match &self.last {
            Some((written, kept)) if Arc::ptr_eq(written, &spec.template) => Arc::clone(kept),
            Some(_) | None => {
                let kept = self.keep(&spec.template);
                self.last = Some((Arc::clone(&spec.template), Arc::clone(&kept)));
                kept
            }
        };
        if !Arc::ptr_eq(&kept, &spec.template) {
            Arc::make_mut(spec).template = kept;
        }
    }

    fn keep(&mut self, template: &Arc<Template>) -> Arc<Template> {
        let at = self.known.iter().position(|it| it == template);
        let kept = at.and_then(|at| self.known.remove(at)).unwrap_or_else(|| Arc::clone(template));
        self.known.truncate(KNOWN_MAX - 1);
        self.known.push_front(Arc::clone(&kept));
        kept
    }
}

#[cfg(test)]
mod tests;
