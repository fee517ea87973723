//! Turns by weight and cost, and what coming, going and being held back does to them.

use super::*;

fn at(ms: u64) -> Virtual {
    Virtual::of(ms, 1)
}

/// Somebody who is first has his turn.
fn turn(turns: &mut Turns<usize>, cost: u64) -> usize {
    let (_, who) = turns.first(Asks::ALL).unwrap();
    turns.charge(who, at(cost), Occasion::Turn);
    assert!(turns.agree());
    who
}

/// Who gets how many of so many turns, if each costs so many slot-milliseconds.
fn shares(count: usize, costs: &[u64], weights: &[u32]) -> Vec<usize> {
    let mut turns = Turns::default();
    (0..costs.len()).for_each(|who| turns.enter(who, (AskNo::PLAIN, 5)));
    let mut had = vec![0; costs.len()];
    for _ in 0..count {
        let (_, who) = turns.first(Asks::ALL).unwrap();
        turns.charge(who, Virtual::of(costs[who], weights[who]), Occasion::Turn);
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
    let mut turns = Turns::default();
    turns.enter(0, (AskNo::PLAIN, 5));
    for _ in 0..1_000 {
        turn(&mut turns, 10);
    }
    turns.enter(1, (AskNo::PLAIN, 5));
    let next: Vec<usize> = (0..6).map(|_| turn(&mut turns, 10)).collect();
    assert_eq!(next, [1, 0, 1, 0, 1, 0]);
}

#[test]
fn whoever_has_had_more_than_his_share_is_remembered_until_the_others_have_had_as_much() {
    let mut turns = Turns::default();
    turns.enter(0, (AskNo::PLAIN, 5));
    turns.enter(1, (AskNo::PLAIN, 5));
    assert_eq!(turn(&mut turns, 100), 0);
    turns.leave(0, (AskNo::PLAIN, 5));
    turns.go(0);
    let others: Vec<usize> = (0..3).map(|_| turn(&mut turns, 40)).collect();
    assert_eq!(others, [1, 1, 1]);
    turns.enter(0, (AskNo::PLAIN, 5));
    assert_eq!(turn(&mut turns, 10), 0, "he has had 100, the other one 120");
    turns.leave(0, (AskNo::PLAIN, 5));
    turns.go(0);
    turn(&mut turns, 1);
    turn(&mut turns, 1);
    assert!(turns.gone.is_empty(), "what is even is forgotten");
}

#[test]
fn those_who_are_held_back_together_take_turns_however_far_others_go_on() {
    let mut turns = Turns::default();
    turns.enter(0, (AskNo::PLAIN, 5));
    let mut got = Vec::new();
    for who in [1, 2] {
        turns.enter(who, (AskNo::PLAIN, 5));
        turns.leave(who, (AskNo::PLAIN, 5));
    }
    for _ in 0..6 {
        for _ in 0..100 {
            turn(&mut turns, 10);
        }
        turns.enter(1, (AskNo::PLAIN, 5));
        turns.enter(2, (AskNo::PLAIN, 5));
        got.push(turn(&mut turns, 10));
        turns.leave(1, (AskNo::PLAIN, 5));
        turns.leave(2, (AskNo::PLAIN, 5));
    }
    assert_eq!(got, [1, 2, 1, 2, 1, 2]);
}

#[test]
fn what_is_had_counts_at_every_priority() {
    let mut turns = Turns::default();
    turns.enter(0, (AskNo::PLAIN, 2));
    turns.enter(0, (AskNo::PLAIN, 5));
    turns.enter(1, (AskNo::PLAIN, 5));
    assert_eq!(turns.first(Asks::ALL), Some((2, 0)));
    turns.charge(0, at(100), Occasion::Other);
    turns.leave(0, (AskNo::PLAIN, 2));
    let next: Vec<usize> = (0..3).map(|_| turn(&mut turns, 60)).collect();
    assert_eq!(next, [1, 1, 0]);
}

#[test]
fn whoever_goes_out_of_turn_pays_and_moves_nobody() {
    let mut turns = Turns::default();
    turns.enter(0, (AskNo::PLAIN, 5));
    turns.enter(1, (AskNo::PLAIN, 7));
    turns.charge(1, at(1_000), Occasion::Other);
    turns.enter(2, (AskNo::PLAIN, 5));
    assert_eq!((turns.clock, turns.first(Asks::ALL)), (at(0), Some((5, 0))));
    turns.leave(0, (AskNo::PLAIN, 5));
    turns.leave(2, (AskNo::PLAIN, 5));
    turns.enter(0, (AskNo::PLAIN, 7));
    assert_eq!(turns.first(Asks::ALL), Some((7, 0)));
}

#[test]
fn a_charge_is_put_right_both_ways() {
    let mut turns = Turns::default();
    turns.enter(0, (AskNo::PLAIN, 5));
    let had = |turns: &Turns<usize>| turns.shares[&0].had;
    turns.charge(0, at(100), Occasion::Other);
    turns.correct(0, at(100), at(130));
    assert_eq!(had(&turns), at(130));
    turns.charge(0, at(100), Occasion::Other);
    turns.correct(0, at(100), at(20));
    assert_eq!(had(&turns), at(230), "what somebody has had never falls");
    turns.charge(0, at(64), Occasion::Other);
    assert_eq!(had(&turns), at(234), "a sixteenth is charged all the same");
    turns.charge(0, at(64), Occasion::Other);
    assert_eq!(had(&turns), at(234 + 44), "and no more is given than was too much");
    turns.correct(1, at(10), at(50));
    assert_eq!(turns.shares[&1].had, turns.clock.plus(at(40)), "nor is one who is gone forgotten");
    turns.correct(2, at(50), at(10));
    assert!(!turns.shares.contains_key(&2) && turns.agree());
}

#[test]
fn an_heir_goes_on_where_the_other_was() {
    let mut turns = Turns::default();
    turns.enter(0, (AskNo::PLAIN, 5));
    turns.enter(1, (AskNo::PLAIN, 5));
    turn(&mut turns, 100);
    let mut heir = turns.emptied();
    assert_eq!(heir.first(Asks::ALL), None);
    heir.enter(0, (AskNo::PLAIN, 3));
    heir.enter(1, (AskNo::PLAIN, 3));
    assert_eq!(heir.first(Asks::ALL), Some((3, 1)));
    assert!(heir.agree());
}
