//! Who serves a task and with how many slots, as estimates and explanations ask: by the numbers of classes, which know the
//! needs that they serve.
//!
//! What it costs is bounded where classes have been told of the need: of very many classes some stand for all. Only for
//! a need that is news to them each class is looked at, and each session if it asks for a label that nobody asked for so far.

use std::{borrow::Cow, collections::BTreeMap};

use leasehold_policy::namespace;

use super::{Class, Member, Roster, Slots};
use crate::{
    SessionId, Size, TaskSpec,
    ask::AskNo,
    by_id::ById,
    market::ClassNo,
    need::{Audience, NeedNo, Needs},
    session::Session,
};

/// How many of the classes that serve a task are looked at for its slots.
const CLASSES_MAX: usize = 256;

/// The classes that serve some need.
#[derive(Clone, Debug)]
pub(crate) struct Serving<'a> {
    /// Ascending, with what they call its size.
    classes: Cow<'a, [(ClassNo, AskNo)]>,
    slots: Slots,
    /// None: they have not been told of it.
    audience: Option<Audience>,
}

/// A class that serves a task, or a session that does.
struct Suited {
    no: Option<ClassNo>,
    is_eligible: bool,
    has_room: bool,
    slots: Slots,
}

impl Roster {
    /// Whether somebody connected takes tasks of this type and shape, free or not.
    pub(crate) fn serves(&self, spec: &TaskSpec) -> bool {
        self.suited(spec).any(|it| it.is_eligible)
    }

    /// Whether somebody who takes tasks of this type and shape has room for one.
    pub(crate) fn has_room(&self, spec: &TaskSpec) -> bool {
        self.suited(spec).any(|it| it.has_room)
    }

    /// Who serves tasks like this one, with how many slots.
    pub(crate) fn serving<'a>(&self, spec: &TaskSpec, needs: &'a Needs) -> Serving<'a> {
        let known = needs.find(namespace::of(&spec.queue), &spec.task_type, &spec.shape);
        let known = known.filter(|_| self.has_told(needs));
        if let Some(no) = known {
            let (classes, audience) = (needs.classes(no), needs.audience(no));
            let slots = self.slots_of(classes, CLASSES_MAX, |_| true);
            return Serving { classes: Cow::Borrowed(classes), slots, audience: Some(audience) };
        }
        let mut found: BTreeMap<ClassNo, Slots> = BTreeMap::new();
        for Suited { no, slots, .. } in self.suited(spec).filter(|it| it.is_eligible) {
            let of_class = found.entry(no.unwrap_or_default()).or_default();
            *of_class = of_class.with(slots);
        }
        let slots = found.values().fold(Slots::default(), |sum, slots| sum.with(*slots));
        let classes = found.into_keys().map(|no| (no, AskNo::OTHER)).collect();
        Serving { classes, slots, audience: None }
    }

    /// Sessions that serve a task.
    pub(crate) fn sessions<'a>(
        &'a self,
        spec: &'a TaskSpec,
        serving: &'a Serving<'_>,
    ) -> impl Iterator<Item = &'a Session> {
        let classes = self.in_order().filter(|class| serving.contains(class.no));
        let members = classes.flat_map(|class| &class.members);
        let sessions = members.filter_map(|id| self.get(*id));
        sessions.filter(|session| session.is_eligible() && session.serves(spec))
    }

    /// How many slots a need is served with, and how many of them are of classes that serve another one, too: of either's
    /// classes at most so many are looked at.
    pub(crate) fn shared(
        &self,
        serving: &Serving<'_>,
        (no, needs): (NeedNo, &Needs),
        most: usize,
    ) -> (u64, u64) {
        if serving.audience == Some(needs.audience(no)) && self.has_told(needs) {
            return (serving.slots.all, serving.slots.all);
        }
        let (own, others) = (&*serving.classes, self.classes_of(no, needs, most));
        let (fewer, more) =
            if own.len() < others.len() { (own, &*others) } else { (&*others, own) };
        let both = self.slots_of(fewer, most, |class| has(more, class)).all;
        (both, self.slots_of(&others, most, |_| true).all.max(both))
    }

    fn classes_of<'a>(
        &self,
        no: NeedNo,
        needs: &'a Needs,
        most: usize,
    ) -> Cow<'a, [(ClassNo, AskNo)]> {
        if self.has_told(needs) {
            return Cow::Borrowed(needs.classes(no));
        }
        let Some(need) = needs.get(no) else { return Cow::Borrowed(&[]) };
        let stride = self.classes.len().div_ceil(most).max(1);
        let some = self.in_order().step_by(stride).filter(|class| class.kind.serves(need));
        let mut classes: Vec<_> = some.map(|class| (class.no, AskNo::OTHER)).collect();
        classes.sort_unstable();
        Cow::Owned(classes)
    }

    /// The slots of those of some classes that are meant; of more than `most` every so many-th stands for those between.
    fn slots_of(
        &self,
        classes: &[(ClassNo, AskNo)],
        most: usize,
        is_meant: impl Fn(ClassNo) -> bool,
    ) -> Slots {
        let stride = classes.len().div_ceil(most).max(1);
        let looked = classes.len().div_ceil(stride).max(1) as u64;
        let meant = classes.iter().step_by(stride).filter(|(class, _)| is_meant(*class));
        let slots = meant.filter_map(|(no, _)| self.classes.get(no)).map(|class| class.slots);
        let sum = slots.fold(Slots::default(), Slots::with);
        sum.scaled(classes.len() as u64, looked)
    }

    /// Whether each class knows which of the needs that there are it serves.
    pub(crate) const fn has_told(&self, needs: &Needs) -> bool {
        !self.has_strangers && !needs.has_newcomers()
    }

    /// Who serves tasks of this type and shape: classes, as far as they know the labels that it asks for.
    fn suited(&self, spec: &TaskSpec) -> impl Iterator<Item = Suited> {
        let of_type = move || {
            self.in_order().filter(|class| {
                0 < class.eligible && class.kind.types.binary_search(&spec.task_type).is_ok()
            })
        };
        let is_known = self.knows(&spec.shape);
        let size = &spec.shape.size;
        // A class knows only what some need has asked for: until this one is met, each session is looked at.
        let are_asked = !is_known && of_type().next().is_some();
        let members = are_asked.then(|| self.members.unordered()).into_iter().flatten();
        let members = members.filter(|(_, member)| member.session.serves(spec));
        let members = members.map(move |(_, member)| Suited::session(member, size));
        let classes = is_known.then(of_type).into_iter().flatten();
        let classes = classes.filter(|class| {
            class.kind.fits(namespace::of(&spec.queue), &spec.task_type, &spec.shape)
        });
        classes.map(move |class| Suited::class(class, size, &self.members)).chain(members)
    }
}

impl Suited {
    fn session(member: &Member, size: &Size) -> Self {
        let Member { class, seat, .. } = member;
        let (is_eligible, has_room) = (seat.eligible, member.has_room(size));
        Self { no: *class, is_eligible, has_room, slots: seat.slots }
    }

    fn class(class: &Class, size: &Size, members: &ById<SessionId, Member>) -> Self {
        let (is_eligible, has_room) = (0 < class.eligible, class.has_room(size, members));
        Self { no: Some(class.no), is_eligible, has_room, slots: class.slots }
    }
}

impl Serving<'_> {
    /// How many slots there are, taken or not.
    pub(crate) const fn slots(&self) -> u64 {
        self.slots.all
    }

    /// How many of them are free.
    pub(crate) const fn free(&self) -> u64 {
        self.slots.free
    }

    /// How many leases have been granted ahead of them.
    pub(crate) const fn leased_ahead(&self) -> u64 {
        self.slots.ahead
    }

    /// Whether sessions of this class are among them.
    pub(crate) fn contains(&self, class: ClassNo) -> bool {
        has(&self.classes, class)
    }
}

fn has(classes: &[(ClassNo, AskNo)], class: ClassNo) -> bool {
    classes.binary_search_by_key(&class, |(own, _)| *own).is_ok()
}

impl Slots {
    /// What so many have, if so few of them have this.
    fn scaled(self, all: u64, looked: u64) -> Self {
        let scaled = |slots: u64| (slots * all).div_ceil(looked);
        Self { all: scaled(self.all), free: scaled(self.free), ahead: scaled(self.ahead) }
    }
}
