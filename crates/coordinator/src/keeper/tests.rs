//! Who has to move, and that nobody moves in vain.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_policy::Time;
use leasehold_queue::Key;

use super::*;

/// How large each record is.
const BYTES: usize = 100;

/// Keeps a key in the batch at this position.
fn keep(keeper: &mut Keeper, position: u64, name: char) {
    let key = Key { name: name.to_string().into(), digest: [0; 16] };
    let until = Time::from_unix_ms(0);
    let record = Record::KeyKept { queue: "q".into(), key, task: TaskId::from_u128(1), until };
    keeper.written(Position(position), &record, BYTES);
}

#[test]
fn only_what_stands_in_the_way_moves() {
    for (what, written, tidy_bytes, moved) in [
        ("half of it is alive", "abab", 0, ""),
        ("it is small", "baaaaa", 600, ""),
        ("what is dead at the front is enough", "aaaaba", 0, ""),
        ("one is in front of what is dead", "baaaaa", 0, "b"),
        ("so are two", "bcaaaaaaaaa", 0, "bc"),
        ("the second is behind enough of it", "baaaaaacaaa", 0, "b"),
    ] {
        let mut keeper = Keeper::tidying_above(tidy_bytes);
        for (position, name) in (1..).zip(written.chars()) {
            keep(&mut keeper, position, name);
        }
        let head = Position(written.len() as u64 + 1);
        let moves = keeper.moves(head);
        let names: String = moves.keys.iter().map(|(_, name)| &**name).collect();
        assert_eq!(names, moved, "{what}: {written}");
        assert!(moves.tasks.is_empty());
    }
}

#[test]
fn a_home_is_in_its_batch_also_where_the_lower_half_of_positions_begins_again() {
    let mut keeper = Keeper::tidying_above(0);
    let wrap = 1_u64 << 32;
    for (position, name) in (wrap - 2..).zip("abab".chars()) {
        keep(&mut keeper, position, name);
    }
    assert_eq!(keeper.live_bytes(), 2 * BYTES as u64);
    // Both live behind the wrap, and what is in front of it is dead.
    assert_eq!(keeper.drop_before(Position(wrap + 2)), Some(Position(wrap)));
    for (position, name) in (wrap + 2..).zip("aaaaa".chars()) {
        keep(&mut keeper, position, name);
    }
    let moves = keeper.moves(Position(wrap + 7));
    let names: Vec<_> = moves.keys.iter().map(|(_, name)| &**name).collect();
    assert_eq!(names, ["b"]);
    // It was not written again, so it is gone.
    keeper.moved(moves, Position(wrap + 7));
    assert_eq!(keeper.live_bytes(), BYTES as u64);
}

#[test]
fn what_is_dead_is_dropped_many_batches_at_a_time() {
    // What is left alone, in batches; and when something is dropped, of twenty appends, and how much.
    for (batches, expected) in [
        (0, (1..20).map(|it| (it + 1, 1)).collect()),
        (8, vec![(10, 2), (12, 2), (14, 2), (16, 2), (18, 2), (20, 2)]),
        (16, vec![(19, 3)]),
        (32, vec![]),
    ] {
        let mut keeper = Keeper::tidying_above(batches * BYTES as u64);
        let (mut dropped, mut first) = (Vec::new(), 1);
        for position in 1..=20 {
            // Each batch takes the key from the one before.
            keep(&mut keeper, position, 'a');
            if let Some(Position(next)) = keeper.drop_before(Position(position)) {
                dropped.push((position, next - first));
                first = next;
            }
        }
        assert_eq!(dropped, expected, "{batches} batches are left alone");
    }
}

/// Where everybody lives, and how large everything is, kept in the plainest way.
#[derive(Debug, Default)]
struct Naive {
    homes: BTreeMap<i64, (Position, u64)>,
    written: Vec<(Position, u64)>,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    New(i64),
    Again(i64),
    Ended(i64),
}

/// Tells both.
fn tell(keeper: &mut Keeper, naive: &mut Naive, position: Position, said: Said, bytes: u64) {
    let home = keeper.weigh(position, bytes);
    naive.written.push((position, bytes));
    match said {
        Said::New(serial) => {
            keeper.task_is_new(serial, position, home);
            naive.homes.insert(serial, (position, bytes));
        }
        Said::Again(serial) => {
            keeper.task_lives(serial, position, home);
            naive.homes.insert(serial, (position, bytes));
        }
        Said::Ended(serial) => {
            keeper.task_is_gone(serial);
            naive.homes.remove(&serial);
        }
    }
}

/// Tasks come, in order or not, move and go, batches are dropped, and both say the same of everybody.
#[test]
fn a_keeper_knows_where_each_task_lives() {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..400 {
        let (mut keeper, mut naive) = (Keeper::tidying_above(0), Naive::default());
        // Some follow each other closely; others are days apart, so that one run cannot hold them.
        let (mut serial, gap) = (0, 1 << random.u32(0..40));
        for position in (1..50).map(Position) {
            for _ in 0..random.usize(0..8) {
                let known: Vec<i64> = naive.homes.keys().copied().collect();
                let said = match (random.u8(0..9), random.choice(known)) {
                    (0..=3, _) | (_, None) => {
                        // Nobody is accepted twice.
                        serial = naive.homes.keys().last().copied().unwrap_or(serial).max(serial);
                        serial += random.i64(1..=gap);
                        Said::New(serial)
                    }
                    (4, Some(old)) => Said::Again(old),
                    (5, Some(old)) if !naive.homes.contains_key(&(old - 1)) => Said::New(old - 1),
                    (6, Some(old)) if !naive.homes.contains_key(&(old + 1)) => Said::Again(old + 1),
                    (_, Some(old)) => Said::Ended(old),
                };
                tell(&mut keeper, &mut naive, position, said, random.u64(1..1_000));
            }
            let head = Position(position.0 + 1);
            if random.bool() {
                let moves = keeper.moves(head);
                // One that was written twice into the same batch may be asked twice.
                for serial in &moves.tasks.iter().copied().collect::<BTreeSet<i64>>() {
                    let home = naive.homes.get(serial);
                    assert!(
                        home.is_some_and(|(home, _)| *home < head),
                        "{serial} is asked in vain"
                    );
                    tell(&mut keeper, &mut naive, head, Said::Again(*serial), 10);
                }
                keeper.moved(moves, head);
                if let Some(first) = keeper.drop_before(head) {
                    naive.written.retain(|(position, _)| first <= *position);
                    let gone = naive.homes.values().find(|(position, _)| *position < first);
                    assert_eq!(gone, None, "somebody lives in front of {first:?}");
                }
            }
            let live: u64 = naive.homes.values().map(|(_, bytes)| bytes).sum();
            let retained: u64 = naive.written.iter().map(|(_, bytes)| bytes).sum();
            assert_eq!((keeper.live, keeper.retained), (live, retained), "round {round}");
            for serial in naive.homes.keys().flat_map(|serial| [serial - 1, *serial, serial + 1]) {
                let home = naive.homes.get(&serial).map(|(position, _)| *position);
                assert_eq!(keeper.home_of(serial), home, "round {round}");
            }
        }
    }
}
