//! What tasks ask of workers, each called by a number: namespace, task type, labels, payload schema and size.
//!
//! Which session can serve which need is worked out once for each pair of a need and a class of sessions, so that a grant
//! compares no text. It knows no queue, no task and no session.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Name, Shape, ask::AskNo, idle::Idle, market::ClassNo, slab::Slab};

/// How many needs without a waiting task are remembered, so that work that comes and goes is not introduced to every class
/// of sessions each time.
const IDLE_MAX: u64 = 1_024;

/// Once there are more, all but so many are forgotten together: telling every class of it costs as much for one as for many.
const IDLE_KEPT: u64 = IDLE_MAX / 2;

/// How many needs waiting tasks may have: a grant looks at each need that a class of sessions serves. A submit that brings one
/// more is refused; what was accepted may bring more all the same, when its delay is over.
const ACTIVE_MAX: u64 = 4_096;

/// How many more there may be of namespaces that have few each: so one that asks for something else with every task does not shut
/// the others out.
const ACTIVE_SPARE: u64 = 1_024;

/// What few are.
const ACTIVE_FEW: u64 = 64;

/// The number of a need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NeedNo(u32);

impl NeedNo {
    pub(crate) const MIN: Self = Self(u32::MIN);
    pub(crate) const MAX: Self = Self(u32::MAX);
}

/// What a task asks of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) namespace: Name,
    pub(crate) task_type: Name,
    pub(crate) shape: Shape,
}

/// Every need that a waiting task has, and some that one had. As many at most as there are waiting tasks and idle ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    all: Slab<Entry>,
    /// By namespace, task type and the rest.
    numbers: BTreeMap<Name, BTreeMap<Name, BTreeMap<Shape, NeedNo>>>,
    idle: Idle<NeedNo>,
    /// How many each namespace has that are not idle. None of these is zero.
    active: BTreeMap<Name, u64>,
    /// Those that no class of sessions has been told of.
    newcomers: Vec<NeedNo>,
}

#[derive(Clone, Debug)]
struct Entry {
    need: Need,
    lanes: usize,
    /// The classes of sessions that serve it, ascending, and what they call its size.
    classes: Vec<(ClassNo, AskNo)>,
    audience: Audience,
}

/// What needs have in common that are served by the same classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Audience(u64);

impl Audience {
    /// With a class more, or with one that it had, less.
    const fn toggled(self, class: ClassNo) -> Self {
        // The finalizer of MurmurHash3: other sets are as good as never alike.
        let bits = (class.0 as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self(self.0 ^ bits ^ (bits >> 33))
    }
}

impl Needs {
    /// The number of a need, new or not.
    pub(crate) fn number(&mut self, namespace: &str, task_type: &Name, shape: &Shape) -> NeedNo {
        if let Some(no) = self.find(namespace, task_type, shape) {
            return no;
        }
        let namespace = Name::from(namespace);
        let (task_type, shape) = (Name::clone(task_type), shape.clone());
        let types = self.numbers.entry(Name::clone(&namespace)).or_default();
        let shapes = types.entry(Name::clone(&task_type)).or_default();
        let need = Need { namespace, task_type, shape: shape.clone() };
        let (classes, audience) = (Vec::new(), Audience::default());
        let no = NeedNo(self.all.insert(Entry { need, lanes: 0, classes, audience }));
        shapes.insert(shape, no);
        self.newcomers.push(no);
        no
    }

    /// The number of a need that there is.
    pub(crate) fn find(&self, namespace: &str, task_type: &Name, shape: &Shape) -> Option<NeedNo> {
        self.numbers.get(namespace)?.get(task_type)?.get(shape).copied()
    }

    /// A need is known, whether a task waits that has it or not.
    pub(crate) fn know(&mut self, namespace: &str, task_type: &Name, shape: &Shape) {
        let no = self.number(namespace, task_type, shape);
        self.enter(no);
        self.leave(no);
    }

    /// A lane of it is there.
    pub(crate) fn enter(&mut self, no: NeedNo) {
        let Some(entry) = self.all.get_mut(no.0) else { return };
        if entry.lanes == 0 {
            self.idle.remove(&no);
            *self.active.entry(Name::clone(&entry.need.namespace)).or_default() += 1;
        }
        entry.lanes += 1;
    }

    /// A lane of it is gone.
    pub(crate) fn leave(&mut self, no: NeedNo) {
        let Some(entry) = self.all.get_mut(no.0) else { return };
        entry.lanes -= 1;
        if entry.lanes == 0 {
            self.idle.insert(&no);
            let active = self.active.get_mut(&entry.need.namespace).map(|active| {
                *active -= 1;
                *active
            });
            if active == Some(0) {
                self.active.remove(&entry.need.namespace);
            }
        }
    }

    /// The need of this number.
    pub(crate) fn get(&self, no: NeedNo) -> Option<&Need> {
        self.all.get(no.0).map(|entry| &entry.need)
    }

    /// What tells whether another need is served by the same classes, as far as they have been told of both.
    pub(crate) fn audience(&self, no: NeedNo) -> Audience {
        self.all.get(no.0).map(|entry| entry.audience).unwrap_or_default()
    }

    /// The classes of sessions that serve a need, ascending, as far as they have been told of it, and what they call its size.
    pub(crate) fn classes(&self, no: NeedNo) -> &[(ClassNo, AskNo)] {
        self.all.get(no.0).map(|entry| &*entry.classes).unwrap_or_default()
    }

    /// A class serves a need.
    pub(crate) fn serve(&mut self, no: NeedNo, class: ClassNo, ask: AskNo) {
        if let Some(entry) = self.all.get_mut(no.0)
            && let Err(place) = entry.classes.binary_search_by_key(&class, |(own, _)| *own)
        {
            entry.classes.insert(place, (class, ask));
            entry.audience = entry.audience.toggled(class);
        }
    }

    /// A class is gone.
    pub(crate) fn dissolve(&mut self, class: ClassNo, served: &[(NeedNo, AskNo)]) {
        for (no, _) in served {
            if let Some(entry) = self.all.get_mut(no.0)
                && let Ok(place) = entry.classes.binary_search_by_key(&class, |(own, _)| *own)
            {
                entry.classes.remove(place);
                entry.audience = entry.audience.toggled(class);
            }
        }
    }

    /// Every need.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NeedNo, &Need)> {
        self.all.iter().map(|(no, entry)| (NeedNo(no), &entry.need))
    }

    /// Those that are new since the last call.
    pub(crate) fn newcomers(&mut self) -> Vec<NeedNo> {
        std::mem::take(&mut self.newcomers)
    }

    /// Whether any is new.
    pub(crate) const fn has_newcomers(&self) -> bool {
        !self.newcomers.is_empty()
    }

    /// Whether any is new or has to be forgotten.
    pub(crate) fn is_settled(&self) -> bool {
        self.newcomers.is_empty() && self.idle.len() <= IDLE_MAX
    }

    /// How many of them waiting tasks have.
    pub(crate) fn active(&self) -> u64 {
        self.all.len() - self.idle.len()
    }

    /// How many that may be before one more of this namespace.
    pub(crate) fn active_max(&self, namespace: &str) -> u64 {
        let has_few = self.active.get(namespace).is_none_or(|own| *own < ACTIVE_FEW);
        if has_few { ACTIVE_MAX + ACTIVE_SPARE } else { ACTIVE_MAX }
    }

    /// Whether a waiting task has it.
    pub(crate) fn is_active(&self, namespace: &str, task_type: &Name, shape: &Shape) -> bool {
        self.find(namespace, task_type, shape).is_some_and(|no| !self.idle.contains(&no))
    }

    /// Forgets those that have been idle longest, if there are too many.
    pub(crate) fn forget_idle(&mut self) -> BTreeSet<NeedNo> {
        let mut gone = BTreeSet::new();
        if self.idle.len() <= IDLE_MAX {
            return gone;
        }
        while IDLE_KEPT < self.idle.len() {
            gone.extend(self.forget_one());
        }
        gone
    }

    fn forget_one(&mut self) -> Option<NeedNo> {
        let no = self.idle.forget_one()?;
        let Need { namespace, task_type, shape } = self.all.remove(no.0)?.need;
        let types = self.numbers.get_mut(&namespace)?;
        let shapes = types.get_mut(&task_type)?;
        shapes.remove(&shape);
        if shapes.is_empty() {
            types.remove(&task_type);
        }
        if types.is_empty() {
            self.numbers.remove(&namespace);
        }
        Some(no)
    }
}
