//! Lanes that stand together, all that could go on or all that one gate holds back: by need and priority, and then by
//! whose turn it is.
//!
//! It knows no gate, no session and no task behind the first of a lane.

use std::collections::BTreeMap;

use crate::{
    TaskId,
    accounts::Accounts,
    group::{Group, Head, Standing},
    lanes::{LaneNo, Place},
    need::NeedNo,
};

/// Lanes by need and priority. No group is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(BTreeMap<(NeedNo, u8), Group>);

impl Line {
    /// A lane stands here.
    pub(crate) fn enter(&mut self, need: NeedNo, head: Head, accounts: &Accounts) {
        let group = self.0.entry((need, head.place.priority));
        group.or_insert_with(|| Group::new(accounts)).enter(head, accounts);
    }

    /// A lane stands here no more.
    pub(crate) fn leave(&mut self, need: NeedNo, head: Head) {
        let at = (need, head.place.priority);
        if self.0.get_mut(&at).is_some_and(|group| group.leave(head)) {
            self.0.remove(&at);
        }
    }

    /// A lane that stands here has another first task.
    pub(crate) fn replace(&mut self, need: NeedNo, head: Head, place: Place) {
        if let Some(group) = self.0.get_mut(&(need, place.priority)) {
            group.replace(head, place);
        }
    }

    /// The lane of a need whose turn it is.
    pub(crate) fn first(&mut self, need: NeedNo, accounts: &Accounts) -> Option<(Standing, Head)> {
        let (_, group) = self.0.range_mut((need, u8::MIN)..=(need, u8::MAX)).next()?;
        group.first(accounts)
    }

    /// The lane of a need whose first task was submitted first of those that are less urgent than `priority`.
    pub(crate) fn oldest_below(&self, need: NeedNo, priority: u8) -> Option<(TaskId, LaneNo)> {
        let below = priority.checked_add(1)?;
        let groups = self.0.range((need, below)..=(need, u8::MAX));
        groups.filter_map(|(_, group)| group.oldest()).min()
    }

    /// The group of a lane.
    pub(crate) fn group(&self, need: NeedNo, priority: u8) -> Option<&Group> {
        self.0.get(&(need, priority))
    }

    /// A lane had its turn as the first of its group, where it stood.
    pub(crate) fn pass(&mut self, need: NeedNo, priority: u8, standing: &Standing) {
        if let Some(group) = self.0.get_mut(&(need, priority)) {
            group.pass(standing);
        }
    }

    /// Every need that a lane here has.
    pub(crate) fn needs(&self) -> Vec<NeedNo> {
        let mut needs: Vec<NeedNo> = self.0.keys().map(|(need, _)| *need).collect();
        needs.dedup();
        needs
    }

    /// Whether no lane stands here.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many lanes there are.
    #[cfg(debug_assertions)]
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(Group::len).sum()
    }
}
