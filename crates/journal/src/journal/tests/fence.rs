//! Epochs, and two coordinators on one file.

use super::*;

/// A second journal on the same file, as a coordinator on another machine would have it where locks do not hold.
fn second(dir: &TempDir) -> Journal {
    Journal::open_locked(dir.path(), options(), None).expect("it opens")
}

/// The epoch that a claim at `now_unix_s` gives after `last`.
fn check(last: u32, now_unix_s: u64, expected: Option<u32>) {
    let (dir, journal, _) = journal_of(&[]);
    journal.connection.execute("UPDATE journal_state SET epoch = ?1", [last]).expect("it is set");
    let mut journal = reopen(&dir, journal);
    let epoch = journal.claim(now_unix_s).ok();
    assert_eq!(epoch, expected.map(Epoch), "after {last} at {now_unix_s}");
    let mut journal = reopen(&dir, journal);
    let Some(expected) = expected.filter(|epoch| *epoch < u32::MAX) else { return };
    assert_eq!(journal.claim(0).expect("it is durable"), Epoch(expected + 1));
}

#[test]
fn an_epoch_is_the_time_or_one_more_than_the_last() {
    check(0, 0, Some(1));
    check(0, 1_700_000_000, Some(1_700_000_000));
    check(1_700_000_000, 1_700_000_000, Some(1_700_000_001));
    check(1_700_000_000, 1_600_000_000, Some(1_700_000_001));
    check(5, u64::from(u32::MAX), Some(u32::MAX));
    check(u32::MAX - 1, 0, Some(u32::MAX));
    check(u32::MAX, 0, None);
    check(5, u64::from(u32::MAX) + 1, None);
    check(5, u64::MAX, None);
}

#[test]
fn the_superseded_one_writes_nothing() {
    let (dir, mut first, old) = with_one_of_everything();
    let mut second = second(&dir);
    let new = second.claim(1).expect("it is claimed");
    assert!(old < new);
    for later in 0..3 {
        let before = contents(&second.connection);
        let error = first.append(old, &batch_of_everything()).expect_err("it is superseded");
        assert!(matches!(error, AppendError::Superseded { epoch } if epoch == old), "{error:?}");
        assert_eq!(contents(&second.connection), before, "after {later} batches of the other");
        second.append(new, &sample::batch("mine")).expect("it is durable");
    }
    assert_eq!(second.first(), Position(1), "nothing was trimmed");
    assert_eq!(bodies(&second), ["one", "two", "mine", "mine", "mine"]);
}

#[test]
fn whoever_claims_goes_on_where_the_other_stopped() {
    let (dir, mut first, _) = with_one_of_everything();
    let mut second = second(&dir);
    for round in 0..3 {
        for journal in [&mut first, &mut second] {
            let epoch = journal.claim(0).expect("it is claimed");
            let position = journal.append(epoch, &sample::batch("next")).expect("it is durable");
            assert_eq!(position, journal.head(), "round {round}");
        }
    }
    assert_eq!(bodies(&first).len(), 7, "what the first knows of: the last claim was not its");
    assert_eq!(bodies(&second).len(), 8);
    assert_eq!(first.counts(), second.counts());
}
