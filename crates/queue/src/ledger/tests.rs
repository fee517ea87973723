//! A ledger keeps the first end and the last ones, and says how many it does not.

use leasehold_policy::Time;

use super::{Charge, ENDS_MAX, EndKind, LeaseEnd, Ledger, MESSAGE_CHARS_MAX, StopProof, shortened};
use crate::{Name, Token};

fn end(counter: u32) -> LeaseEnd {
    LeaseEnd {
        token: Token::new(1, counter),
        worker: "w".into(),
        instance: "i".into(),
        generation: 1,
        attempt: counter,
        granted: Time::default(),
        started: None,
        revoking: None,
        ended: Time::default(),
        kind: EndKind::Error,
        stop: StopProof::Returned,
        charge: Charge::Attempt,
        eligible: None,
        message: Name::default(),
    }
}

#[test]
fn the_first_end_and_the_last_ones_are_kept() {
    let max = u32::try_from(ENDS_MAX).unwrap();
    for count in [0, 1, 2, max - 1, max, max + 1, max + 100] {
        let ledger = Ledger::new((1..=count).map(end), 0);
        let kept: Vec<u32> = ledger.ends().iter().map(|end| end.attempt).collect();
        let forgotten = count.saturating_sub(max);
        let expected: Vec<u32> =
            (1..=count).filter(|&number| number == 1 || forgotten + 1 < number).collect();
        assert_eq!(kept, expected, "of {count}");
        assert_eq!(ledger.forgotten(), forgotten, "of {count}");
    }
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let most = "ä".repeat(MESSAGE_CHARS_MAX);
    for (message, kept) in
        [("", ""), ("boom", "boom"), (&*most, &*most), (&format!("{most}x"), &*most)]
    {
        assert_eq!(*shortened(&message.into()), *kept);
    }
}
