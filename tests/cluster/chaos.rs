//! A cluster that is killed, stopped and cut off while it works, judged by what the work itself wrote down.
//!
//! `LEASEHOLD_SECONDS` says how long the trouble lasts, `LEASEHOLD_SEED` repeats the plan of an earlier run: by hand,
//! `LEASEHOLD_SECONDS=60 cargo test --test cluster chaos::everything -- --nocapture`.

mod fleet;
mod ledger;
mod load;
mod plan;
mod proxy;
mod verdict;

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, sleep_until};

use self::{
    fleet::Fleet,
    load::Load,
    plan::{Nemesis, Step},
    verdict::Evidence,
};
use crate::{condition::until, crash::setting};

/// For how many seconds a plain test run makes trouble; by hand: 60.
const SECONDS: u64 = 4;

/// How long a cluster that was ill-treated may take to be done with everything, once it is left alone.
const CONVALESCENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_everybody_loses_nothing_and_runs_nothing_twice_at_once() {
    check(Nemesis::Kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stands_still_past_its_lease_changes_nothing() {
    check(Nemesis::Pause).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_link_does_nothing_is_lost_or_run_twice_at_once() {
    check(Nemesis::Net).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_at_once_loses_nothing() {
    check(Nemesis::All).await;
}

/// Keeps a cluster busy, does to it what the seed says, leaves it alone, and judges it.
async fn check(nemesis: Nemesis) {
    let seconds = setting("LEASEHOLD_SECONDS", SECONDS);
    let seed = setting("LEASEHOLD_SEED", fastrand::u64(..));
    println!("to repeat this plan: LEASEHOLD_SEED={seed} LEASEHOLD_SECONDS={seconds}");
    let span = Duration::from_secs(seconds);
    let mut fleet = Fleet::start(seed).await;
    let mut load = Load::new(fleet.client_address(), seed);
    torment(&mut fleet, &mut load, &plan::draw(seed, nemesis, fleet::SIZE, span), span).await;
    let evidence = recover(&mut fleet, load).await;

    let [kills, stops, storms] = fleet.tally;
    let summary = evidence.summary();
    println!("{nemesis:?} {seconds} s: {summary}; kills {kills} stops {stops} storms {storms}");
    let violations = evidence.violations();
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
    assert!(kills + stops + storms > 0 && !evidence.ledger.is_empty(), "nothing was tried");
}

/// Follows the plan while the load goes on.
async fn torment(fleet: &mut Fleet, load: &mut Load, plan: &[Step], span: Duration) {
    let begun = Instant::now();
    let mut work = pin!(load.go_on());
    for step in plan.iter().take_while(|it| it.at < span) {
        tokio::select! {
            never = &mut work => match never {},
            () = sleep_until(begun + step.at) => fleet.apply(step.act),
        }
    }
    tokio::select! {
        never = &mut work => match never {},
        () = sleep_until(begun + span) => {}
    }
}

/// Lets the cluster come to an end by itself, and gathers what everybody has to say.
async fn recover(fleet: &mut Fleet, mut load: Load) -> Evidence {
    fleet.heal().await;
    until("every submit is acknowledged", CONVALESCENCE, async || load.settle().await).await;
    until("every task has ended", CONVALESCENCE, async || fleet.is_drained().await).await;
    let shown = fleet.shown().await;
    let answers = fleet.dismiss().await;
    Evidence {
        attempted: load.attempted,
        history: crate::judge::History { acknowledged: load.acknowledged, answers, shown },
        ledger: fleet.ledger(),
        pauses: fleet.pauses.clone(),
    }
}
