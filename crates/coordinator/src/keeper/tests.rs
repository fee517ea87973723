//! Who has to move, and that nobody moves in vain.

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
