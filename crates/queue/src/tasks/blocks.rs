//! Tasks by number, side by side in blocks that never move. A block is given back when nobody is in it.
//!
//! The one that was last to have room is filled first, so that tasks that come together stay together.

use std::array;

use crate::{Task, TaskId, templates::TemplateNo};

/// How many tasks a block holds: as many as fill 7 KiB, which is what an allocator gives in one piece, and no more than there are
/// bits to tell who is there.
const BLOCK: u32 = 57;

/// How many numbers a block has, so that it is found by the upper bits of one; the last are nobody's.
const NUMBERS: u32 = 64;

/// The bits of a block that is full.
const FULL: u64 = (1 << BLOCK) - 1;

/// The number of a task while it is here. It is given again when the task is gone.
pub(super) type Number = u32;

/// Tasks by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    /// None: nobody is in it.
    all: Vec<Option<Box<Block>>>,
    /// Each that is not full, once.
    roomy: Vec<u32>,
    /// The one that was given back last: where one task comes and goes at a time it is always the same.
    spare: Option<Box<Block>>,
}

#[derive(Clone, Debug)]
struct Block {
    /// A bit for each place that is taken.
    taken: u64,
    tasks: [Option<Task>; BLOCK as usize],
    /// Those of who is there; of the other places anybody's.
    templates: [TemplateNo; BLOCK as usize],
}

impl Block {
    fn new(template: TemplateNo) -> Box<Self> {
        let templates = [template; BLOCK as usize];
        Box::new(Self { taken: 0, tasks: array::from_fn(|_| None), templates })
    }

    const fn is_full(&self) -> bool {
        self.taken == FULL
    }
}

impl Blocks {
    /// The task of a number, and the number of its template.
    pub(super) fn get(&self, number: Number) -> Option<(&Task, TemplateNo)> {
        let (block, place) = parts(number);
        let block = self.all.get(block)?.as_ref()?;
        Some((block.tasks.get(place)?.as_ref()?, *block.templates.get(place)?))
    }

    /// Whether it is the number of this task.
    pub(super) fn is(&self, number: Number, id: TaskId) -> bool {
        self.get(number).is_some_and(|(task, _)| task.id == id)
    }

    /// The task of a number, to be changed, and the number of its template.
    pub(super) fn get_mut(&mut self, number: Number) -> Option<(&mut Task, TemplateNo)> {
        let (block, place) = parts(number);
        let block = self.all.get_mut(block)?.as_mut()?;
        Some((block.tasks.get_mut(place)?.as_mut()?, *block.templates.get(place)?))
    }

    /// Takes a task in, and says what its number is.
    pub(super) fn insert(&mut self, task: Task, template: TemplateNo) -> Number {
        let no = self.roomy.last().copied().unwrap_or_else(|| {
            let no = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
            assert!(no < u32::MAX / NUMBERS, "there are fewer tasks than numbers");
            self.all.push(None);
            self.roomy.push(no);
            no
        });
        let Some(block) = self.all.get_mut(no as usize) else { return Number::MAX };
        let spare = &mut self.spare;
        let block =
            block.get_or_insert_with(|| spare.take().unwrap_or_else(|| Block::new(template)));
        let place = block.taken.trailing_ones();
        if let Some(free) = block.tasks.get_mut(place as usize)
            && let Some(its) = block.templates.get_mut(place as usize)
        {
            (*free, *its) = (Some(task), template);
        }
        block.taken |= 1 << place;
        if block.is_full() {
            self.roomy.pop();
        }
        no * NUMBERS + place
    }

    /// Takes a task out.
    pub(super) fn remove(&mut self, number: Number) -> Option<(Task, TemplateNo)> {
        let (no, place) = parts(number);
        let whole = self.all.get_mut(no)?;
        let block = whole.as_mut()?;
        let task = block.tasks.get_mut(place)?.take()?;
        let template = *block.templates.get(place)?;
        if block.is_full() {
            self.roomy.push(number / NUMBERS);
        }
        block.taken &= !(1 << place);
        if block.taken == 0 {
            self.spare = whole.take();
        }
        Some((task, template))
    }
}

/// The number of its block, and its place in that.
const fn parts(number: Number) -> (usize, usize) {
    ((number / NUMBERS) as usize, (number % NUMBERS) as usize)
}
