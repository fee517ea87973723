//! Whose checkpoint is written next.

use super::*;

#[test]
fn a_lease_that_saves_without_end_lets_others_have_their_turn() {
    let key = |token| (StreamId(1), Token::from_i64(token));
    let mut waiting = Checkpoints::default();
    for token in 1..=3 {
        waiting.unwritten.insert(key(token), Bytes::new());
    }
    let mut served = Vec::new();
    for _ in 0..4 {
        let (whose, data) = waiting.take_next().expect("one waits");
        served.push(whose.1.as_i64());
        waiting.unwritten.insert(whose, data);
    }
    assert_eq!(served, [1, 2, 3, 1]);
}
