//! What an execution leaves behind, by how it went.

use std::{fs, future};

use super::*;

/// The verbs of a ledger, in order, each with the token it was said under.
fn said(dir: &std::path::Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("ledger")).unwrap();
    let words = |line: &str| {
        let mut words = line.split(' ');
        format!("{} {}", words.next().unwrap(), words.nth(1).unwrap())
    };
    text.lines().map(words).collect()
}

fn begin(place: &Arc<Place>, token: i64) -> Execution {
    let name = Name { task: "t".to_owned(), token, worker: "w".to_owned() };
    Execution::begin(Arc::clone(place), name).unwrap()
}

fn order(manners: Manners) -> Order {
    Order { manners, length: Duration::from_millis(1) }
}

#[tokio::test]
async fn work_is_written_down_by_how_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let place = Arc::new(Place::open(dir.path()).unwrap());
    let asked = begin(&place, 1).work(order(Manners::Polite), future::ready(()));
    // Which of the two is looked at first is left to chance.
    assert!([Ending::Stopped, Ending::Done("t 1".to_owned())].contains(&asked.await.unwrap()));
    let stubborn = begin(&place, 2).work(order(Manners::Stubborn), future::ready(()));
    assert_eq!(stubborn.await.unwrap(), Ending::Done("t 2".to_owned()));
    drop(begin(&place, 3));
    let said = said(dir.path());
    let of = |token: &str| -> Vec<&str> {
        said.iter().filter_map(|it| it.strip_suffix(token)).map(str::trim).collect()
    };
    assert_eq!(of("1").first(), Some(&"begin"));
    assert_eq!(of("2"), ["begin", "wrote", "wrote", "end"]);
    assert_eq!(of("3"), ["begin", "aborted"]);
}

#[tokio::test]
async fn a_later_execution_fences_an_earlier_one_and_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let place = Arc::new(Place::open(dir.path()).unwrap());
    let early = begin(&place, 1);
    let late = begin(&place, 2).work(order(Manners::Polite), future::pending());
    assert_eq!(late.await.unwrap(), Ending::Done("t 2".to_owned()));
    let early = early.work(order(Manners::Polite), future::pending());
    assert_eq!(early.await.unwrap(), Ending::Fenced);
    let expected =
        ["begin 1", "begin 2", "saw 2", "wrote 2", "wrote 2", "end 2", "refused 1", "end 1"];
    assert_eq!(said(dir.path()), expected);
}
