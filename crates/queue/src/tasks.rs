//! The open tasks: each is found by its id, and all are passed through in the order of their ids.
//!
//! They are kept by serial, which is that order: tasks come in it, and mostly leave in it. It knows nothing of a task but its id,
//! and keeps the number of its template beside it.

use crate::{Task, TaskId, sorted::Sorted, templates::TemplateNo};

/// Every open task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Sorted<i64, (Box<Task>, TemplateNo)>);

impl Tasks {
    /// The task.
    pub(crate) fn get(&self, id: TaskId) -> Option<&Task> {
        self.find(id).map(|(task, _)| task)
    }

    /// The task, and the number of its template.
    pub(crate) fn find(&self, id: TaskId) -> Option<(&Task, TemplateNo)> {
        let (task, template) = self.of_serial(id.serial())?;
        (task.id == id).then_some((task, *template))
    }

    /// The task with this serial.
    pub(crate) fn with_serial(&self, serial: i64) -> Option<&Task> {
        self.of_serial(serial).map(|(task, _)| &**task)
    }

    /// The task, to be changed; not its id.
    pub(crate) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        self.find_mut(id).map(|(task, _)| task)
    }

    /// The same, and the number of its template.
    pub(crate) fn find_mut(&mut self, id: TaskId) -> Option<(&mut Task, TemplateNo)> {
        let serial = id.serial();
        let (task, template) = self.0.get_mut(&serial, |first| between(first, serial))?;
        (task.id == id).then_some((task, *template))
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a task in whose id is not there.
    pub(crate) fn insert(&mut self, task: Box<Task>, template: TemplateNo) {
        let serial = task.id.serial();
        debug_assert!(
            self.of_serial(serial).is_none(),
            "no two tasks have one serial: {}",
            task.id
        );
        self.0.insert(serial, (task, template));
    }

    /// Takes a task out.
    pub(crate) fn remove(&mut self, id: TaskId) -> Option<(Box<Task>, TemplateNo)> {
        self.find(id)?;
        self.0.remove(&id.serial())
    }

    /// Every task, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.iter_with_templates().map(|(task, _)| task)
    }

    /// Every task with the number of its template, by id.
    pub(crate) fn iter_with_templates(&self) -> impl Iterator<Item = (&Task, TemplateNo)> {
        self.0.iter().map(|(_, (task, template))| (&**task, *template))
    }

    /// Every task with a larger id, by id.
    pub(crate) fn after(&self, id: TaskId) -> impl Iterator<Item = &Task> {
        let later = self.0.from(id.serial()).map(|(_, (task, _))| &**task);
        later.skip_while(move |task| task.id <= id)
    }

    fn of_serial(&self, serial: i64) -> Option<&(Box<Task>, TemplateNo)> {
        self.0.get(&serial, |first| between(first, serial))
    }
}

/// How far one is behind the other, if no task between them is missing: those of one millisecond have serials in a row.
fn between(first: i64, serial: i64) -> usize {
    usize::try_from(serial.saturating_sub(first)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
