//! Queries over the people's tables.

use super::*;
use crate::{Batch, Class, Journal, Options, sample};

/// A journal that holds these rows in both tables, and its reader.
fn shelf(row_ids: impl Iterator<Item = RowId> + Clone) -> (tempfile::TempDir, Journal, Reader) {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { ballast_bytes: 0, ..Options::default() };
    let mut journal = Journal::open(dir.path(), options).expect("it opens");
    let epoch = journal.claim(1).expect("it is claimed");
    let batch = Batch {
        finished: row_ids.clone().map(sample::finished).collect(),
        failed: row_ids.map(sample::failed).collect(),
        ..Batch::default()
    };
    journal.append(epoch, &batch).expect("it is durable");
    let reader = journal.reader().expect("it opens");
    (dir, journal, reader)
}

#[test]
fn a_row_comes_back_as_it_was_written() {
    let (_dir, _journal, reader) = shelf([1, 5, 1 << 62].into_iter());
    for row_id in [1, 5, 1 << 62] {
        assert_eq!(reader.finished(row_id).expect("it is read"), Some(sample::finished(row_id)));
        assert_eq!(reader.failed(row_id).expect("it is read"), Some(sample::failed(row_id)));
    }
    assert_eq!(reader.finished(2).expect("it is read"), None);
    assert_eq!(reader.failed(2).expect("it is read"), None);
    assert_eq!(reader.counts().expect("it is read"), Counts { finished: 3, failed: 3 });
}

/// Reads page after page to the end: the row ids of each page.
fn pages(reader: &Reader, filter: &Filter, limit: u32) -> Vec<Vec<RowId>> {
    let mut pages = Vec::new();
    let mut page = Page { after: 0, limit };
    loop {
        let Listing { rows, next } = reader.list_finished(filter, page).expect("it is listed");
        assert!(rows.iter().all(|row| row.result.is_empty()), "lists carry no results");
        assert!(rows.iter().all(|row| !row.state.is_empty()), "lists carry the state");
        pages.push(rows.iter().map(|row| row.row_id).collect());
        match next {
            Some(next) => page.after = next,
            None => return pages,
        }
    }
}

#[test]
fn pages_and_filters_split_the_rows_in_order() {
    let (_dir, _journal, reader) = shelf(1..=30);
    let all = Filter::default();
    let queue = Filter { queues: Queues::One("queue-0".to_owned()), ..Filter::default() };
    let odd = Filter { task_type: Some("type-1".to_owned()), ..Filter::default() };
    let cancelled = Filter { class: Some(Class::Cancelled), ..Filter::default() };
    let one =
        Filter { queues: queue.queues.clone(), ..Filter { class: cancelled.class, ..odd.clone() } };
    let none = Filter { queues: Queues::One("queue-0' OR 1=1 --".to_owned()), ..Filter::default() };
    let expect = |filter: &Filter, limit, expected: &[&[RowId]]| {
        let found = pages(&reader, filter, limit);
        assert_eq!(found, expected, "{filter:?} by {limit}");
    };
    let thirty: Vec<RowId> = (1..=30).collect();
    expect(&all, 1_000, &[&thirty]);
    expect(&all, u32::MAX, &[&thirty]);
    expect(&queue, 4, &[&[3, 6, 9, 12], &[15, 18, 21, 24], &[27, 30]]);
    let under = |beginning: &str| Filter {
        queues: Queues::Under(beginning.to_owned()),
        ..Filter::default()
    };
    let without = |letter| Filter { queues: Queues::Without(letter), ..Filter::default() };
    expect(&under("queue-0"), 1_000, &[&[3, 6, 9, 12, 15, 18, 21, 24, 27, 30]]);
    expect(&under("queue-"), 1_000, &[&thirty]);
    expect(&under("ueue-0"), 5, &[&[]]);
    expect(&under("que%"), 5, &[&[]]);
    expect(&without('-'), 5, &[&[]]);
    expect(&without('/'), 1_000, &[&thirty]);
    expect(&odd, 10, &[&[1, 3, 5, 7, 9, 11, 13, 15, 17, 19], &[21, 23, 25, 27, 29]]);
    expect(&cancelled, 3, &[&[5, 10, 15], &[20, 25, 30], &[]]);
    expect(&one, 5, &[&[15]]);
    expect(&none, 5, &[&[]]);
    expect(&cancelled, 0, &[&[5], &[10], &[15], &[20], &[25], &[30], &[]]);
}

#[test]
fn dead_letters_are_listed_without_payload_and_regardless_of_class() {
    let (_dir, _journal, reader) = shelf(1..=9);
    let filter = Filter {
        queues: Queues::One("queue-1".to_owned()),
        class: Some(Class::Cancelled),
        ..Filter::default()
    };
    let page = Page { after: 1, limit: 10 };
    let Listing { rows, next } = reader.list_failed(&filter, page).expect("it is listed");
    let (payload, leases) = (Bytes::new(), String::new());
    let bare = |row_id| FailedRow {
        payload: payload.clone(),
        leases: leases.clone(),
        ..sample::failed(row_id)
    };
    assert_eq!((rows, next), (vec![bare(4), bare(7)], None));
}

#[test]
fn a_filter_that_fits_nothing_for_long_still_gets_on() {
    const ROWS: u32 = 200_000;
    let (dir, _journal, reader) = shelf(std::iter::empty());
    let shell = Connection::open(dir.path().join(database::FILE)).expect("it opens");
    shell
        .execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO finished_tasks SELECT i, 0, 0, 0, 0, 'SUCCEEDED', zeroblob(16),
                 iif(i = ?1, 'last', 'other'), '', '', x'01', x'', '' FROM n",
            [ROWS],
        )
        .expect("they are written");
    let filter = Filter { queues: Queues::One("last".to_owned()), ..Filter::default() };
    let pages = pages(&reader, &filter, 100);
    let per_call = STATEMENT_ROWS_MAX * STATEMENTS_PER_PAGE_MAX;
    assert_eq!(pages.len(), ROWS.div_ceil(per_call) as usize);
    assert_eq!(pages.concat(), [RowId::from(ROWS)]);
}

#[test]
fn a_reader_moves_to_another_thread_and_sees_what_is_durable_there() {
    let (_dir, mut journal, reader) = shelf(1..=3);
    let epoch = journal.claim(1).expect("it is claimed");
    let batch = Batch { finished: vec![sample::finished(4)], ..Batch::default() };
    journal.append(epoch, &batch).expect("it is durable");
    let seen = std::thread::spawn(move || reader.finished(4).expect("it is read")).join();
    assert_eq!(seen.expect("it ends"), Some(sample::finished(4)));
}

#[test]
fn a_batch_is_read_alone_until_it_is_trimmed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut journal = Journal::open(dir.path(), Options { ballast_bytes: 0, ..Options::default() })
        .expect("it opens");
    let epoch = journal.claim(1).expect("it is claimed");
    let reader = journal.reader().expect("it opens");
    let mut append = |body: &'static str, drop_before| {
        let body = Bytes::from_static(body.as_bytes());
        let batch = Batch { body, drop_before, ..Batch::default() };
        journal.append(epoch, &batch).expect("it is durable");
    };
    let read = |at| {
        let row = reader.batch(Position(at)).expect("it is whole");
        row.map(|row| (row.position.0, row.epoch, row.body))
    };
    let row = |at, body: &'static str| Some((at, epoch, Bytes::from_static(body.as_bytes())));
    append("one", None);
    append("two", None);
    assert_eq!((read(1), read(2), read(3)), (row(1, "one"), row(2, "two"), None));
    append("three", Some(Position(2)));
    assert_eq!((read(1), read(2), read(3)), (None, row(2, "two"), row(3, "three")));

    let other = Connection::open(dir.path().join(database::FILE)).expect("it opens");
    other
        .execute("UPDATE journal SET body = x'7477' WHERE position = 2", ())
        .expect("it is damaged");
    let damaged = reader.batch(Position(2)).expect_err("it is not what was written");
    assert!(matches!(damaged, ReadError::Damaged { position: Position(2), .. }), "{damaged:?}");
}
