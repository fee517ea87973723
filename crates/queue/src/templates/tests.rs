//! Templates that come and go, against a plain count of who has which.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{Claims, fold::tests::task};

/// One of many that differ in nothing but a concurrency key.
fn template(number: u32) -> Arc<Template> {
    let claims = Claims { keys: vec![format!("k{number}").into()], ..Claims::default() };
    let spec = task().spec.with(|template| {
        template.queue = format!("q{}", number % 3).into();
        template.claims = Some(Arc::new(claims));
    });
    spec.template
}

/// Tasks of these templates are opened, those of them that are open are ended.
fn check(steps: &[(u32, bool)]) {
    let mut templates = Templates::default();
    let mut open: Vec<(u32, TemplateNo)> = Vec::new();
    for (number, opens) in steps {
        let at = open.iter().position(|(own, _)| own == number);
        if *opens {
            let mut asked = template(*number);
            templates.intern(&mut asked);
            let (no, is_first) = templates.enter(&asked);
            let of_queue = |(own, _): &&(u32, TemplateNo)| own % 3 == number % 3;
            assert_eq!(is_first, open.iter().find(of_queue).is_none(), "{number}: a new queue");
            open.push((*number, no));
        } else if let Some(at) = at {
            let (_, no) = open.swap_remove(at);
            let of_queue = open.iter().any(|(own, _)| own % 3 == number % 3);
            assert_eq!(templates.leave(no), !of_queue, "{number}: the last of its queue");
        }
        assert!(templates.idle.len() <= IDLE_MAX);
    }
    for (number, no) in &open {
        let known = templates.get(*no).expect("it is there while a task has it");
        assert_eq!(known.template, template(*number));
    }
    assert!(templates.agree(open.iter().map(|(_, no)| *no)));
}

proptest! {
    #[test]
    fn whatever_comes_and_goes(
        steps in prop::collection::vec((0_u32..40, any::<bool>()), 0..400),
    ) {
        check(&steps);
    }
}

#[test]
fn those_that_were_idle_longest_are_forgotten_and_their_numbers_given_again() {
    let all = u32::try_from(IDLE_MAX).unwrap() + 100;
    let come_and_go = (0..all).flat_map(|number| [(number, true), (number, false)]);
    let again = (0..all).map(|number| (number, true));
    check(&come_and_go.chain(again).collect::<Vec<_>>());
}

#[test]
fn one_that_comes_and_goes_displaces_nobody() {
    let mut templates = Templates::default();
    let (rare, _) = templates.enter(&template(1));
    templates.leave(rare);
    for _ in 0..2 * IDLE_MAX {
        let (often, _) = templates.enter(&template(2));
        templates.leave(often);
    }
    assert_eq!(templates.find(&template(1)), Some(rare));
}

/// Each would otherwise be compared with all before it.
#[test]
fn whatever_they_differ_in_they_fall_apart() {
    let texts: BTreeSet<u64> = (0..10_000).map(|number| text(&template(number))).collect();
    assert_eq!(texts.len(), 10_000);
}

#[test]
fn what_was_reckoned_is_not_asked_of_again() {
    let asked = |admission| {
        let spec = task().spec;
        spec.with(|template| template.admission = admission).template
    };
    let mut templates = Templates::default();
    for (admission, kept) in [
        (Admission::Unasked, Admission::Unasked),
        (Admission::BestEffort, Admission::Unasked),
        (Admission::Strict, Admission::Strict),
    ] {
        // The second time it is known by where it lies.
        let template = asked(admission);
        for _ in 0..2 {
            let mut own = Arc::clone(&template);
            templates.intern(&mut own);
            templates.enter(&own);
            assert_eq!((own.admission, template.admission), (kept, admission));
        }
    }
    assert_eq!(templates.all.len(), 2, "one that was reckoned is like one that was not");
}
