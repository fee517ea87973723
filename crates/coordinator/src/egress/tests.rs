//! What there is room for, and what a session gets that is about to end.

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
