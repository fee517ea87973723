//! Limits against a list of all that was ever taken.

use std::{sync::Arc, time::Duration};

use leasehold_policy::{Rate, Time};
use proptest::prelude::*;

use super::{BUCKETS_MIN, Bucketed, Limits, Permit, Take, takes_of};
use crate::{Caps, Claims, Name, QueueLimits, Throttles, Token, fold::tests::task, spec::TaskSpec};

fn at(ms: u64) -> Time {
    Time::from_unix_ms(1_000_000 + ms)
}

fn rate(interval_ms: u64, burst: u32) -> Rate {
    Rate { interval: Duration::from_millis(interval_ms), burst }
}

/// Key `a` has 2 permits, any other 1; `mail` has a rate; so has queue `q`, which has 3 permits.
fn config() -> Throttles {
    Throttles {
        caps: Caps { keys: [("a".into(), 2)].into(), ..Caps::default() },
        rates: [("mail".into(), rate(100, 5))].into(),
        queues: [(
            "q".into(),
            QueueLimits { leases: Some(3), leases_per_key: None, rate: Some(rate(50, 4)) },
        )]
        .into(),
        ..Throttles::default()
    }
}

fn spec(queue: &str, keys: &[&str], charges: &[(&str, u32)]) -> TaskSpec {
    let claims = Claims {
        keys: keys.iter().map(|key| Name::from(*key)).collect(),
        charges: charges.iter().map(|(key, tokens)| (Name::from(*key), *tokens)).collect(),
        ..Claims::default()
    };
    let claims = (!claims.is_empty()).then(|| Arc::new(claims));
    TaskSpec::clone(&task().spec).with(|template| {
        template.queue = queue.into();
        template.claims = claims;
    })
}

fn takes(spec: &TaskSpec, throttles: &Throttles) -> Vec<Take> {
    let named = spec.claims.iter().flat_map(|claims| claims.takes());
    named.chain(takes_of((&spec.queue, &spec.fairness_key), throttles)).collect()
}

fn key(key: &str) -> Take {
    Take::Permit(Permit::Key(key.into()))
}

fn mail(tokens: u32) -> Take {
    Take::Tokens(Bucketed::Key("mail".into()), tokens)
}

#[test]
fn a_lease_takes_what_its_task_says_and_what_its_queue_adds() {
    let queue =
        [Take::Permit(Permit::Queue("q".into())), Take::Tokens(Bucketed::Queue("q".into()), 1)];
    let cases = [
        (spec("r", &[], &[]), vec![]),
        (spec("r", &["a", "b"], &[("mail", 2)]), vec![key("a"), key("b"), mail(2)]),
        (spec("q", &[], &[]), queue.to_vec()),
        (spec("q", &["a"], &[]), [vec![key("a")], queue.to_vec()].concat()),
    ];
    for (spec, expected) in cases {
        assert_eq!(takes(&spec, &config()), expected, "{spec:?}");
    }
}

#[test]
fn a_limit_says_how_much_of_it_is_used() {
    let (config, mut limits) = (config(), Limits::default());
    limits.acquire(Token::new(1, 1), &[key("a"), mail(4)], &config, at(0));
    let cases = [
        (key("a"), true, (1, 2, None)),
        (key("b"), true, (0, 1, None)),
        (mail(1), true, (4, 5, Some(at(0)))),
        (mail(2), false, (4, 5, Some(at(100)))),
        (mail(5), false, (4, 5, Some(at(400)))),
        // More than there can be passes when it is full.
        (mail(9), false, (4, 5, Some(at(400)))),
        // It was taken out of the configuration after a task had been accepted.
        (Take::Tokens(Bucketed::Key("gone".into()), 7), true, (0, 0, Some(at(0)))),
    ];
    for (take, is_there, (used, max, free_at)) in cases {
        assert_eq!(limits.has(&take, &config, at(0)), is_there, "{take:?}");
        let found = limits.use_of(&take, &config, at(0));
        assert_eq!((found.used, found.max, found.free_at), (used, max, free_at), "{take:?}");
    }
}

#[test]
fn a_restart_leaves_as_much_as_has_come_since_the_last_word() {
    let config = config();
    let limits = Limits::emptied(&config, at(0));
    let queue = Take::Tokens(Bucketed::Queue("q".into()), 1);
    for (ms, used) in [(0, 5), (99, 5), (100, 4), (450, 1), (10_000, 0)] {
        assert_eq!(limits.use_of(&mail(1), &config, at(ms)).used, used, "{ms} ms later");
    }
    assert_eq!(limits.use_of(&queue, &config, at(60)).used, 3);
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A task with these keys, so many tokens, and in a limited queue or not, would like to be leased.
    Grant(u8, u32, bool),
    /// The n-th lease is known to have been started.
    Start(usize),
    /// The n-th lease turns out not to have been started, and its slot is free.
    HandBack(usize),
    /// The slot of the n-th lease is free.
    End(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0u8..4, 0u32..4, any::<bool>()).prop_map(|(keys, mail, q)| Event::Grant(keys, mail, q)),
        1 => (0usize..8).prop_map(Event::Start),
        1 => (0usize..8).prop_map(Event::HandBack),
        1 => (0usize..8).prop_map(Event::End),
    ]
}

/// A lease, as the list has it.
#[derive(Clone, Debug)]
struct Leased {
    token: Token,
    takes: Vec<Take>,
    is_started: bool,
}

proptest! {
    #[test]
    fn nothing_is_held_beyond_its_cap_and_nothing_leaks(
        events in proptest::collection::vec((0u64..120, event()), 1..150),
    ) {
        let (config, mut limits, mut now) = (config(), Limits::default(), 0);
        let mut leases: Vec<Leased> = Vec::new();
        // When how many tokens of which rate were taken, and not given back.
        let mut charged: Vec<(Token, u64, Take)> = Vec::new();
        for (number, (gap, event)) in (0u32..).zip(events) {
            now += gap;
            let held = |leases: &[Leased], permit: &Take| leases.iter().filter(|it| it.takes.contains(permit)).count();
            match event {
                Event::Grant(keys, tokens, in_q) => {
                    let named: Vec<_> = ["a", "b"].into_iter().enumerate()
                        .filter(|(bit, _)| keys >> bit & 1 == 1).map(|(_, key)| key).collect();
                    let charges = [("mail", tokens)];
                    let charges = if tokens == 0 { &[][..] } else { &charges[..] };
                    let takes = takes(&spec(if in_q { "q" } else { "r" }, &named, charges), &config);
                    for take in &takes {
                        if let Take::Permit(permit) = take {
                            let used = held(&leases, take);
                            prop_assert_eq!(limits.has(take, &config, at(now)), used < permit.cap(&config) as usize);
                        }
                    }
                    if takes.iter().all(|take| limits.has(take, &config, at(now))) {
                        let token = Token::new(1, number);
                        limits.acquire(token, &takes, &config, at(now));
                        charged.extend(takes.iter().filter(|it| matches!(it, Take::Tokens(..))).map(|it| (token, now, it.clone())));
                        leases.push(Leased { token, takes, is_started: false });
                    }
                }
                Event::Start(n) => if let Some(lease) = leases.get_mut(n) {
                    lease.is_started = true;
                    limits.spend(lease.token);
                },
                Event::HandBack(n) | Event::End(n) => if n < leases.len() {
                    let lease = leases.remove(n);
                    if matches!(event, Event::HandBack(_)) && !lease.is_started {
                        limits.refund(lease.token, at(now));
                        charged.retain(|(token, ..)| *token != lease.token);
                    }
                    limits.release(lease.token);
                },
            }
        }
        for (of, interval, burst) in [(Bucketed::Key("mail".into()), 100, 5), (Bucketed::Queue("q".into()), 50, 4)] {
            let taken: Vec<(u64, u64)> = charged.iter().filter_map(|(_, at, take)| match take {
                Take::Tokens(from, tokens) if *from == of => Some((*at, u64::from(*tokens))),
                Take::Tokens(..) | Take::Permit(_) => None,
            }).collect();
            for (first, (begin, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (end, tokens) in &taken[first..] {
                    sum += tokens;
                    prop_assert!(sum <= (end - begin) / interval + burst, "{of:?} from {begin} to {end}: {sum}");
                }
            }
        }
        for lease in leases {
            limits.spend(lease.token);
            limits.release(lease.token);
        }
        prop_assert!(limits.holders.is_empty() && limits.holds.is_empty());
    }
}

/// Every namespace has a bucket of its own of what is set for queues of a name.
#[test]
fn a_bucket_that_is_full_again_is_not_kept() {
    let of_queue = QueueLimits { rate: Some(rate(100, 2)), ..QueueLimits::default() };
    let config = Throttles { queues: [("/mail".into(), of_queue)].into(), ..Throttles::default() };
    let mut limits = Limits::default();
    let take = |team: u32| Take::Tokens(Bucketed::Queue(format!("t{team}/mail").into()), 1);
    let (kept, other) = (Token::new(1, 0), Token::new(2, 0));
    limits.acquire(kept, &[take(0)], &config, at(0));
    for team in 1..20_000 {
        let now = at(u64::from(team) * 10);
        limits.acquire(Token::new(1, team), &[take(team)], &config, now);
        limits.spend(Token::new(1, team));
        assert!(limits.buckets.len() <= 2 * BUCKETS_MIN, "{} of {team}", limits.buckets.len());
    }
    // What was taken long ago is not given back to what was taken since.
    let now = at(200_000);
    limits.acquire(other, &[take(0)], &config, now);
    assert_eq!(limits.refund(kept, now), []);
    assert_eq!(limits.use_of(&take(0), &config, now).used, 1);
    assert_eq!(limits.refund(other, now), [Bucketed::Queue("t0/mail".into())]);
    assert!(limits.holds.is_empty());
}

#[test]
fn another_configuration_counts_what_is_held() {
    let (before, mut limits) = (config(), Limits::default());
    let (one, two) = (Token::new(1, 1), Token::new(1, 2));
    let (key, queue) = (key("a"), Take::Permit(Permit::Queue("r".into())));
    limits.acquire(one, &[mail(5), key.clone()], &before, at(0));
    let of_queue = QueueLimits { leases: Some(1), ..QueueLimits::default() };
    let after = Throttles {
        rates: [("mail".into(), rate(1, 5))].into(),
        queues: [("r".into(), of_queue)].into(),
        ..before.clone()
    };
    limits.configure(&before, &after, at(0));
    let mail_is_free = limits.use_of(&mail(5), &after, at(0)).free_at;
    assert_eq!(mail_is_free, Some(at(5)), "no emptier than empty");
    for (token, takes) in [(one, vec![key.clone(), queue.clone()]), (two, vec![queue.clone()])] {
        limits.adopt(token, &takes);
        limits.adopt(token, &takes);
    }
    assert_eq!(limits.use_of(&queue, &after, at(0)).used, 2);
    assert!(!limits.has(&queue, &after, at(0)));
    limits.refund(one, at(0));
    assert_eq!(limits.use_of(&mail(1), &after, at(0)).used, 0);
    limits.adopt(one, std::slice::from_ref(&key));
    assert_eq!(limits.use_of(&queue, &after, at(0)).used, 1, "it counts against it no more");
    assert_eq!(limits.release(two), [Permit::Queue("r".into())]);
    assert_eq!(limits.release(one), [Permit::Key("a".into())]);
    assert!(limits.release(one).is_empty(), "once");
    limits.configure(&after, &Throttles::default(), at(0));
    assert!(limits.holds.is_empty() && limits.holders.is_empty() && limits.buckets.is_empty());
}
