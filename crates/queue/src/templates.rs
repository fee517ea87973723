//! What open tasks have in common: each template is kept once and called by a number, with what is counted of its tasks.
//!
//! A task is asked a dozen times in its life to which queue, namespace and kind it counts and in which lane it waits. Here that
//! is looked up by name once for a template, not for each task. It knows no task; nothing depends on the order of its tables.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use hashbrown::HashTable;
use leasehold_policy::{Time, namespace};

use crate::{
    Admission, IdHashing, Name, TaskId, Template, Usage, Wait,
    idle::Idle,
    lanes::{LaneRef, Place},
    register::Register,
    slab::Slab,
    sorted::Sorted,
};

/// How many templates are remembered that no open task has, so that work that comes and goes is not met anew each time.
const IDLE_MAX: u64 = 1_024;

/// The number of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TemplateNo(u32);

/// Every template that an open task has, and some that one had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Templates {
    all: Slab<Known>,
    /// By where they lie.
    places: HashTable<TemplateNo>,
    /// By what they say.
    texts: HashTable<TemplateNo>,
    /// The one that was asked for last, and the one that is kept for it: the tasks of a batch have it from the same reader.
    latest: Option<(Arc<Template>, Arc<Template>)>,
    /// Those that no task has any more.
    idle: Idle<TemplateNo>,
    /// What there is of each queue, namespace and kind of work that a template here names.
    pub(crate) queues: Register<Name, Tally>,
    pub(crate) namespaces: Register<Name, Usage>,
    kinds: Register<(Name, Name), Leased>,
    /// Those of the kinds of which something is leased.
    leased: BTreeSet<u32>,
    /// How many of the queues have an open task.
    in_use: usize,
}

/// A template, and where what is counted of its tasks is found.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) template: Arc<Template>,
    text: u64,
    tasks: u64,
    queue: u32,
    namespace: u32,
    kind: u32,
    /// The lanes in which its tasks waited last: those that have not failed, and those that have.
    lanes: [Option<LaneRef>; 2],
}

/// What there is of a queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) open: u64,
    pub(crate) counts: Counts,
    /// Until when tasks wait for a time, by what for.
    waits: [Sorted<(Time, TaskId)>; 2],
}

/// What a queue counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) scheduled: u64,
    pub(crate) queued: u64,
    pub(crate) leased: u64,
}

/// Leases of tasks that are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leased {
    pub(crate) leases: u64,
    /// How many slots they take.
    pub(crate) slots: u64,
}

impl Known {
    /// How many slots a lease of one of its tasks takes.
    pub(crate) fn slots(&self) -> u64 {
        self.template.shape.size.slots.into()
    }

    /// The lane in which its tasks waited last that stand at such a place.
    pub(crate) const fn lane(&self, place: Place) -> Option<LaneRef> {
        let [fresh, retried] = self.lanes;
        if place.is_retry { retried } else { fresh }
    }

    /// The same, to be changed.
    pub(crate) const fn lane_mut(&mut self, place: Place) -> &mut Option<LaneRef> {
        let [fresh, retried] = &mut self.lanes;
        if place.is_retry { retried } else { fresh }
    }
}

impl Tally {
    /// Until when its tasks wait for such a time.
    pub(crate) const fn waits(&self, wait: Wait) -> &Sorted<(Time, TaskId)> {
        let [delays, backoffs] = &self.waits;
        match wait {
            Wait::Delay => delays,
            Wait::Backoff => backoffs,
        }
    }

    /// The same, to be changed.
    pub(crate) const fn waits_mut(&mut self, wait: Wait) -> &mut Sorted<(Time, TaskId)> {
        let [delays, backoffs] = &mut self.waits;
        match wait {
            Wait::Delay => delays,
            Wait::Backoff => backoffs,
        }
    }
}

impl Templates {
    /// What a task keeps that is going to be opened with a template: the one that says the same, where there is one, so that it
    /// is known by where it lies from there on. Whether it is likely to be over in time has been reckoned by then, and nobody
    /// looks at that again.
    pub(crate) fn intern(&mut self, template: &mut Arc<Template>) {
        if let Some((asked, kept)) = &self.latest
            && Arc::ptr_eq(asked, template)
        {
            *template = Arc::clone(kept);
            return;
        }
        let asked = Arc::clone(template);
        if template.admission == Admission::BestEffort {
            Arc::make_mut(template).admission = Admission::Unasked;
        }
        if let Some(known) = self.find(template).and_then(|no| self.get(no)) {
            *template = Arc::clone(&known.template);
        }
        self.latest = Some((asked, Arc::clone(template)));
    }

    /// A task with this template is open. Says whether its queue had no other.
    pub(crate) fn enter(&mut self, template: &Arc<Template>) -> (TemplateNo, bool) {
        let no = self.find(template).unwrap_or_else(|| self.meet(template));
        let queue = self.all.get_mut(no.0).map(|known| {
            if known.tasks == 0 {
                self.idle.remove(&no);
            }
            known.tasks += 1;
            known.queue
        });
        let tally = queue.and_then(|queue| self.queues.get_mut(queue));
        let is_first = tally.is_some_and(|tally| {
            tally.open += 1;
            tally.open == 1
        });
        self.in_use += usize::from(is_first);
        (no, is_first)
    }

    /// A task with this template is not open any more. Says whether it was the last one of its queue.
    pub(crate) fn leave(&mut self, no: TemplateNo) -> bool {
        let Some(known) = self.all.get_mut(no.0) else { return false };
        known.tasks -= 1;
        let (queue, is_idle) = (known.queue, known.tasks == 0);
        let tally = self.queues.get_mut(queue);
        let was_last = tally.is_some_and(|tally| {
            tally.open -= 1;
            tally.open == 0
        });
        self.in_use -= usize::from(was_last);
        if is_idle {
            self.rest(no);
        }
        was_last
    }

    /// The template of this number.
    pub(crate) fn get(&self, no: TemplateNo) -> Option<&Known> {
        self.all.get(no.0)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, no: TemplateNo) -> Option<&mut Known> {
        self.all.get_mut(no.0)
    }

    /// What there is of its queue.
    pub(crate) fn tally_mut(&mut self, no: TemplateNo) -> Option<&mut Tally> {
        self.queues.get_mut(self.all.get(no.0)?.queue)
    }

    /// What its namespace takes.
    pub(crate) fn usage_mut(&mut self, no: TemplateNo) -> Option<&mut Usage> {
        self.namespaces.get_mut(self.all.get(no.0)?.namespace)
    }

    /// One of its tasks is leased.
    pub(crate) fn lease(&mut self, no: TemplateNo) {
        let Some(known) = self.all.get(no.0) else { return };
        let Some(leased) = self.kinds.get_mut(known.kind) else { return };
        if leased.leases == 0 {
            self.leased.insert(known.kind);
        }
        leased.leases += 1;
        leased.slots += known.slots();
    }

    /// One of its tasks is leased no more.
    pub(crate) fn end_lease(&mut self, no: TemplateNo) {
        let Some(known) = self.all.get(no.0) else { return };
        let Some(leased) = self.kinds.get_mut(known.kind) else { return };
        leased.leases -= 1;
        leased.slots -= known.slots();
        if leased.leases == 0 {
            self.leased.remove(&known.kind);
        }
    }

    /// What is leased, by queue and task type. It costs as much as there are kinds of which something is.
    pub(crate) fn leased(&self) -> impl Iterator<Item = (&(Name, Name), Leased)> {
        let leased = self.leased.iter().filter_map(|kind| self.kinds.entry(*kind));
        leased.map(|(kind, leased)| (kind, *leased))
    }

    /// How many open tasks a queue has.
    pub(crate) fn open(&self, queue: &str) -> u64 {
        self.queues.find(queue).map_or(0, |tally| tally.open)
    }

    /// The queues that have open tasks, by name.
    pub(crate) fn used(&self) -> impl Iterator<Item = (&Name, &Tally)> {
        self.queues.iter().filter(|(_, tally)| 0 < tally.open)
    }

    /// How many those are.
    pub(crate) const fn in_use(&self) -> usize {
        self.in_use
    }

    fn find(&self, template: &Arc<Template>) -> Option<TemplateNo> {
        let lies_there = |no: &TemplateNo| {
            self.get(*no).is_some_and(|known| Arc::ptr_eq(&known.template, template))
        };
        if let Some(no) = self.places.find(place(template), lies_there) {
            return Some(*no);
        }
        let says_so = |no: &TemplateNo| self.get(*no).is_some_and(|it| *it.template == **template);
        self.texts.find(text(template), says_so).copied()
    }

    fn meet(&mut self, template: &Arc<Template>) -> TemplateNo {
        let (queue, text) = (Name::clone(&template.queue), text(template));
        let kind = (Name::clone(&queue), Name::clone(&template.task_type));
        let no = TemplateNo(self.all.insert(Known {
            template: Arc::clone(template),
            text,
            tasks: 0,
            namespace: self.namespaces.take(namespace::of(&queue).into()),
            queue: self.queues.take(queue),
            kind: self.kinds.take(kind),
            lanes: [None; 2],
        }));
        let Self { all, places, texts, .. } = self;
        let place_of = |no: &TemplateNo| all.get(no.0).map_or(0, |it| place(&it.template));
        places.insert_unique(place(template), no, place_of);
        texts.insert_unique(text, no, |no| all.get(no.0).map_or(0, |it| it.text));
        no
    }

    /// No task has it any more. What has been so for longest goes, if there are too many.
    fn rest(&mut self, no: TemplateNo) {
        self.idle.insert(&no);
        if IDLE_MAX < self.idle.len()
            && let Some(oldest) = self.idle.forget_one()
        {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, no: TemplateNo) {
        let Some(known) = self.all.remove(no.0) else { return };
        let Known { template, text, queue, namespace, kind, .. } = known;
        for (table, hash) in [(&mut self.places, place(&template)), (&mut self.texts, text)] {
            if let Ok(entry) = table.find_entry(hash, |other| *other == no) {
                entry.remove();
            }
        }
        self.queues.give_back(queue);
        self.namespaces.give_back(namespace);
        self.kinds.give_back(kind);
    }
}

#[cfg(debug_assertions)]
impl Templates {
    /// Whether these are the templates of all open tasks, one of each task, and everything else follows from them.
    pub(crate) fn agree(&self, of_tasks: impl Iterator<Item = TemplateNo>) -> bool {
        use std::collections::BTreeMap;

        let mut tasks: BTreeMap<TemplateNo, u64> = BTreeMap::new();
        of_tasks.for_each(|no| *tasks.entry(no).or_default() += 1);
        let mut users: [BTreeMap<u32, u32>; 3] = Default::default();
        for (no, known) in self.all.iter() {
            let no = TemplateNo(no);
            let is_counted = known.tasks == tasks.get(&no).copied().unwrap_or_default();
            let is_found = self.find(&known.template) == Some(no);
            if !is_counted || !is_found || self.idle.contains(&no) != (known.tasks == 0) {
                return false;
            }
            for (users, of) in users.iter_mut().zip([known.queue, known.namespace, known.kind]) {
                *users.entry(of).or_default() += 1;
            }
        }
        let [queues, namespaces, kinds] = users;
        let all = self.all.len();
        [self.places.len(), self.texts.len()].iter().all(|table| *table as u64 == all)
            && self.queues.users() == queues
            && self.namespaces.users() == namespaces
            && self.kinds.users() == kinds
    }
}

/// Where it lies is the allocator's choice: nobody else decides what falls together.
fn place(template: &Arc<Template>) -> u64 {
    IdHashing::default().hash_one(Arc::as_ptr(template).addr() as u128)
}

fn text(template: &Template) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(template)
}

#[cfg(test)]
mod tests;
