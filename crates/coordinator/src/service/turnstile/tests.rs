//! Each client is held to its own rate, and to no more than that.

use std::time::Duration;

use tonic::Request;

use super::{CLIENTS_MAX, Client, SWEEP_INTERVAL, Tallies};
use crate::config::RateLimit;

const MS: Duration = Duration::from_millis(1);

fn named(name: &str) -> Client {
    Client::Named(name.into())
}

#[test]
fn each_client_has_a_bucket_of_its_own() {
    let rate = "10/s burst 2".parse::<RateLimit>().unwrap().into();
    let mut tallies = Tallies::default();
    // Who comes when, how many of its call were turned away before, and how long it is to wait.
    let cases = [
        ("a", 1_000, 0, None),
        ("a", 1_000, 0, None),
        ("b", 1_000, 0, None),
        ("a", 1_000, 0, Some(100)),
        ("a", 1_000, 1, Some(200)),
        // More than a burst does not come back at once, so it is not waited for.
        ("a", 1_000, 7, Some(200)),
        ("a", 1_099, 0, Some(1)),
        ("a", 1_100, 0, None),
        ("a", 1_100, 0, Some(100)),
        ("b", 1_100, 0, None),
        ("b", 1_100, 0, None),
        ("b", 1_100, 0, Some(100)),
    ];
    for (client, at, refused, wait) in cases {
        let taken = tallies.take(rate, &named(client), at * MS, refused).err();
        assert_eq!(taken, wait.map(|wait: u32| wait * MS), "{client} at {at} behind {refused}");
    }
}

#[test]
fn a_lower_rate_holds_from_the_next_task_on() {
    let (fast, slow) = ("1000/s", "1/h");
    let rate = |text: &str| text.parse::<RateLimit>().unwrap().into();
    let mut tallies = Tallies::default();
    let mut take = |text, at| tallies.take(rate(text), &named("a"), at * MS, 0).is_ok();
    assert!((0..1_000).all(|_| take(fast, 0)) && !take(fast, 0));
    assert!(!take(slow, 0) && take(slow, 1_000) && !take(slow, 1_000));
    assert!(!take(fast, 1_000) && take(fast, 1_001));
}

#[test]
fn clients_beyond_the_bound_share_what_one_may() {
    let rate = "1/s".parse::<RateLimit>().unwrap().into();
    let (mut tallies, now) = (Tallies::default(), 10_000 * MS);
    for number in 0..CLIENTS_MAX {
        assert!(tallies.take(rate, &named(&number.to_string()), now, 0).is_ok());
    }
    assert!(tallies.take(rate, &named("x"), now, 0).is_ok());
    assert!(tallies.take(rate, &named("y"), now, 0).is_err());
    assert!(tallies.take(rate, &named("7"), now, 0).is_err(), "who has a place keeps it");
    let later = now + 1_000 * MS;
    assert!(tallies.take(rate, &named("y"), later, 0).is_ok(), "idle ones are forgotten");
    assert_eq!(tallies.buckets.len(), 1);
    assert!(now + SWEEP_INTERVAL < later);
}

#[test]
fn a_client_is_who_it_says_it_is() {
    let long = "x".repeat(129);
    let cases = [
        (Some("nightly-import"), named("nightly-import")),
        (Some(""), Client::Unknown),
        (Some(long.as_str()), Client::Unknown),
        (None, Client::Unknown),
    ];
    for (said, expected) in cases {
        let mut request = Request::new(());
        if let Some(said) = said {
            request.metadata_mut().insert("leasehold-client", said.parse().unwrap());
        }
        assert_eq!(Client::of(&request), expected, "{said:?}");
    }
}
