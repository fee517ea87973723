//! Turns by weight and cost, and what coming and going does to them.

use super::*;

const HOUR_MS: u64 = 3_600_000;

fn at(ms: u64) -> Virtual {
    Virtual::of(ms, 1)
}

/// Who gets how many of so many turns, if each costs so many slot-milliseconds.
fn shares(turns: usize, costs: &[u64], weights: &[u32]) -> Vec<usize> {
    let mut accounts = vec![Account::default(); costs.len()];
    let mut order = Turns::new(Virtual::default());
    (0..costs.len()).for_each(|who| order.join(who, Virtual::default()));
    let mut had = vec![0; costs.len()];
    for _ in 0..turns {
        let (stood, who) = order.first(|who| accounts[who].had()).unwrap();
        let base = order.base(who, accounts[who].had());
        accounts[who].charge(base, Virtual::of(costs[who], weights[who]));
        order.pass(stood);
        had[who] += 1;
    }
    had
}

#[test]
fn turns_are_shared_by_weight_and_cost() {
    let cases: [(&[u64], &[u32], &[usize]); 4] = [
        (&[7, 7], &[1, 1], &[500, 500]),
        (&[7, 7], &[1, 3], &[250, 750]),
        // Whoever takes three times as long has a third of the turns.
        (&[30, 10], &[1, 1], &[250, 750]),
        (&[30, 10], &[3, 1], &[500, 500]),
    ];
    for (costs, weights, expected) in cases {
        let had = shares(1_000, costs, weights);
        assert!(had.iter().zip(expected).all(|(had, share)| had.abs_diff(*share) <= 1), "{had:?}");
    }
}

#[test]
fn nobody_hoards_while_he_is_away() {
    let mut order = Turns::new(at(0));
    order.join('a', at(0));
    order.pass(at(5_000));
    order.join('b', at(10));
    assert_eq!(order.stand('b', at(10)), at(5_000));
    assert_eq!(order.base('b', at(10)), at(5_000));
}

#[test]
fn what_was_had_elsewhere_counts_for_an_hour_of_a_slot() {
    let mut order = Turns::new(at(1_000));
    let had = at(1_000 * HOUR_MS);
    order.join('a', had);
    assert_eq!(order.stand('a', had), at(1_000 + HOUR_MS));
    let mut account = Account::default();
    account.charge(had, at(0));
    account.charge(order.base('a', had), at(70));
    assert_eq!(order.stand('a', account.had()), at(1_000 + HOUR_MS + 70));
}

#[test]
fn an_order_that_is_old_is_put_right_where_it_matters() {
    let mut order = Turns::new(at(0));
    for who in ['a', 'b', 'c'] {
        order.join(who, at(0));
    }
    let had = |who| at(if who == 'b' { 2 } else { 9 });
    assert_eq!(order.first(had), Some((at(2), 'b')));
    order.leave('b');
    assert_eq!(order.first(had), Some((at(9), 'a')));
    order.leave('a');
    order.leave('c');
    assert_eq!((order.first(had), order.is_empty()), (None, true));
}

#[test]
fn a_charge_is_put_right_both_ways() {
    let mut account = Account::default();
    account.charge(at(0), at(100));
    account.correct(at(100), at(130));
    assert_eq!(account.had(), at(130));
    account.charge(at(0), at(100));
    account.correct(at(100), at(20));
    assert_eq!(account.had(), at(230), "what somebody has had never falls");
    account.charge(at(0), at(64));
    assert_eq!(account.had(), at(234), "a sixteenth is charged all the same");
    account.charge(at(0), at(64));
    assert_eq!(account.had(), at(234 + 44), "and no more is given than was too much");
}
