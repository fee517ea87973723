//! What there is room for, and what a session gets that is about to end.

use tokio::task::{self, JoinSet};

use super::*;

/// Says so many heartbeats with one turn. How many were taken.
fn say(egress: &mut Egress, count: usize) -> usize {
    let taken = (0..count).filter(|_| egress.say(Event::HeartbeatAck { sequence: 1 })).count();
    egress.hand_over();
    taken
}

#[test]
fn nothing_is_said_to_a_session_that_is_gone() {
    let (mut egress, ingress) = Egress::new();
    assert_eq!(say(&mut egress, 2), 2);
    drop(ingress);
    assert_eq!(say(&mut egress, 2), 0);
}

#[test]
fn a_session_gets_all_that_there_was_room_for_also_at_its_end() {
    let (mut egress, ingress) = Egress::new();
    let half = EVENTS_MAX / 2;
    assert_eq!(say(&mut egress, half), half);
    let mut pending = VecDeque::new();
    ingress.take_ready(&mut pending);
    assert_eq!(say(&mut egress, 1), 1, "what was taken counts until it is sent");
    assert_eq!(say(&mut egress, EVENTS_MAX), EVENTS_MAX - half - 1);
    egress.close(Closing::Shutdown);
    ingress.take_ready(&mut pending);
    assert_eq!(pending.len(), EVENTS_MAX);
    assert_eq!(ingress.closed(), Some(Closing::Shutdown));
}

/// What a session does that waits for both: all events, then why it ends.
async fn listen(ingress: Ingress) -> (usize, Option<Closing>) {
    let mut events = VecDeque::new();
    loop {
        tokio::select! {
            closing = ingress.closing() => return (events.len(), closing),
            () = ingress.take(&mut events) => {}
        }
    }
}

#[tokio::test]
async fn whoever_waits_for_events_and_the_end_is_woken_by_either() {
    let (mut egress, ingress) = Egress::new();
    let mut session = JoinSet::new();
    session.spawn(listen(ingress));
    for _ in 0..3 {
        task::yield_now().await;
        assert_eq!(say(&mut egress, 2), 2);
    }
    task::yield_now().await;
    egress.close(Closing::Expired);
    let heard = session.join_next().await.unwrap().unwrap();
    assert_eq!(heard, (6, Some(Closing::Expired)));
}

#[tokio::test]
async fn whoever_waits_for_the_end_alone_is_woken_by_it_alone() {
    let (mut egress, ingress) = Egress::new();
    let mut session = JoinSet::new();
    session.spawn(async move { ingress.closing().await });
    task::yield_now().await;
    assert_eq!(say(&mut egress, 1), 1);
    task::yield_now().await;
    assert!(session.try_join_next().is_none(), "it is not over");
    drop(egress);
    let heard = session.join_next().await.unwrap().unwrap();
    assert_eq!(heard, None, "nobody says why");
}
