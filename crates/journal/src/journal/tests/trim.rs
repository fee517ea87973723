//! What a trim takes away and what it leaves.

use super::*;

/// Five batches, then one that drops what is before `drop_before`: what the journal then holds.
fn check(drop_before: u64, first: u64, settled: u64) {
    let (dir, mut journal, epoch) = journal_of(&["1", "2", "3", "4", "5"]);
    let batch = Batch { drop_before: Some(Position(drop_before)), ..sample::batch("6") };
    assert_eq!(journal.append(epoch, &batch).expect("it is durable"), Position(6));
    let expected: Vec<_> = (first..=6).map(|position| position.to_string()).collect();
    for _ in 0..2 {
        let extent = (journal.first(), journal.head(), journal.settled());
        assert_eq!(extent, (Position(first), Position(6), Position(settled)), "{drop_before}");
        assert_eq!(bodies(&journal), expected, "{drop_before}");
        journal = reopen(&dir, journal);
    }
    // The chain goes on over what is left, whoever holds the journal.
    let epoch = journal.claim(1).expect("it is claimed");
    journal.append(epoch, &sample::batch("7")).expect("it is durable");
    assert_eq!(bodies(&journal).len(), expected.len() + 1);
}

#[test]
fn a_trim_takes_a_prefix_and_remembers_the_head() {
    check(0, 1, 0);
    check(1, 1, 0);
    check(2, 2, 6);
    check(5, 5, 6);
    check(6, 6, 6);
}

#[test]
fn settled_moves_only_with_a_trim_that_takes_something() {
    let (dir, mut journal, epoch) = journal_of(&["1", "2", "3"]);
    let mut settled = Vec::new();
    for drop_before in [Some(3), None, Some(3), Some(2), Some(7), None] {
        let drop_before = drop_before.map(Position);
        journal.append(epoch, &Batch { drop_before, ..Batch::default() }).expect("it is durable");
        settled.push(journal.settled().0);
    }
    assert_eq!(settled, [4, 4, 4, 4, 8, 8]);
    assert_eq!(reopen(&dir, journal).settled(), Position(8));
}
