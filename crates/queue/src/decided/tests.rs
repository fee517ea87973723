//! The memory is exact up to its bound and forgets in order beyond it.

use super::{DECIDED_MAX, Decided};
use crate::Token;

fn filled(count: usize) -> Decided {
    let mut decided = Decided::default();
    for n in 0..count {
        decided.insert(Token::from_i64(i64::try_from(n).unwrap()));
    }
    decided
}

#[test]
fn a_full_memory_forgets_the_oldest_only() {
    let decided = filled(DECIDED_MAX + 3);
    assert!(!decided.contains(Token::from_i64(2)));
    assert!(decided.contains(Token::from_i64(3)));
    assert_eq!(decided.order.len(), DECIDED_MAX);
    assert_eq!(decided.known.len(), DECIDED_MAX);
}

#[test]
fn a_token_is_remembered_once() {
    let mut decided = filled(2);
    decided.insert(Token::from_i64(0));
    assert_eq!(decided.order.len(), 2);
}
