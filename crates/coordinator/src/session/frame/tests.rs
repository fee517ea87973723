//! Which assignments say only how they differ, and to whom.

use std::time::SystemTime;

use bytes::Bytes;
use leasehold_policy::Time;
use leasehold_telemetry::TraceContext;
use prost::Message as _;

use super::*;
use crate::{
    config::Config,
    parse::{CallTrace, Rules, Templates},
    status::Applied,
};

/// A task of this type, as one that a call of this trace brings.
fn assigned(rules: &Rules, trace: &TraceContext, task_type: &str, number: u64) -> Event {
    let spec = v1::TaskSpec {
        task_type: task_type.to_owned(),
        payload: vec![b'x'; 100].into(),
        ..v1::TaskSpec::default()
    };
    let request = v1::SubmitTaskRequest { spec: Some(spec.into()), ..Default::default() };
    let spec = rules.message(SystemTime::UNIX_EPOCH, &CallTrace::new(trace)).task(request).unwrap();
    let assignment = Assignment {
        token: Token::from_i64(i64::try_from(number).unwrap()),
        task: format!("00000000-0000-7000-8000-{number:012}").parse().unwrap(),
        spec,
        attempt: 1,
        generation: 1,
        deadline: Time::from_unix_ms(1_000_000),
        checkpoint: None,
        waited: None,
    };
    Event::Assign(Box::new(assignment), Duration::from_secs(86_000))
}

fn label(assignment: &mut Assignment, value: &str) {
    let labels = vec![("a".into(), value.into())];
    assignment.spec.extras.get_or_insert_default().labels = labels;
}

fn frame(events: impl IntoIterator<Item = Event>, wording: Wording) -> Vec<Said> {
    let status = Status::new("j".to_owned(), 1, Time::default(), Applied::default());
    let mut terms = SessionTerms::of(&Config::default());
    let frame = take(&mut events.into_iter().collect(), &mut terms, wording, &status);
    let tokens = frame.leases.assigned.len();
    let said: Vec<Said> = frame.events.into_iter().filter_map(|it| it.event).collect();
    let is_told = |it: &&Said| matches!(it, Said::Assignment(_) | Said::AlikeAssignment(_));
    assert_eq!(said.iter().filter(is_told).count(), tokens, "each counts as assigned");
    said
}

/// `A` is an assignment, `a` one that is like the one before it, and a dot anything else.
fn outline(said: &[Said]) -> String {
    let letter = |it: &Said| {
        let (full, brief) =
            (matches!(it, Said::Assignment(_)), matches!(it, Said::AlikeAssignment(_)));
        if full {
            'A'
        } else if brief {
            'a'
        } else {
            '.'
        }
    };
    said.iter().map(letter).collect()
}

#[test]
fn what_is_like_the_assignment_before_it_in_its_frame_is_said_to_be_to_who_knows_that() {
    let rules = Rules::new(Arc::default(), Templates::default());
    let (call, other) = (TraceContext::generate(), TraceContext::generate());
    let row = || {
        [
            assigned(&rules, &call, "a", 1),
            assigned(&rules, &call, "a", 2),
            Event::HeartbeatAck { sequence: 1 },
            assigned(&rules, &call, "a", 3),
            assigned(&rules, &call, "b", 4),
            assigned(&rules, &call, "a", 5),
            assigned(&rules, &other, "a", 6),
            assigned(&rules, &other, "a", 7),
        ]
    };
    assert_eq!(outline(&frame(row(), Wording::Brief)), "Aa.aAAAa");
    assert_eq!(outline(&frame(row(), Wording::Full)), "AA.AAAAA", "a worker of an earlier version");
    assert_eq!(
        outline(&frame(row().into_iter().skip(1), Wording::Brief)),
        "A.aAAAa",
        "the first of a frame"
    );
}

#[test]
fn an_assignment_is_like_none_that_differs_in_what_it_would_not_say() {
    let rules = Rules::new(Arc::default(), Templates::default());
    let call = TraceContext::generate();
    let check = |what: &str, expected: &str, change: fn(&mut Assignment)| {
        let row = [1, 2, 3].map(|number| {
            let mut event = assigned(&rules, &call, "a", number);
            if let Event::Assign(assignment, _) = &mut event
                && 1 < number
            {
                change(assignment);
            }
            event
        });
        assert_eq!(outline(&frame(row, Wording::Brief)), expected, "{what}");
    };
    check("nothing", "Aaa", |_| ());
    check("labels", "AAa", |it| label(it, "b"));
    check("labels of each", "AAA", |it| label(it, &it.task.to_string()));
    check("a template", "AAA", |it| it.spec.template = Arc::new((*it.spec.template).clone()));
    // Each of them gets a trace of its own where it runs.
    check("no trace", "AAA", |it| it.spec.trace = None);
    check("another pointer to the same trace", "Aaa", |it| {
        it.spec.trace = it.spec.trace.as_deref().cloned().map(Arc::new);
    });
    check("its own", "Aaa", |it| {
        it.attempt += 1;
        it.generation += 1;
        it.checkpoint = Some(Bytes::from_static(b"saved"));
        it.spec.payload = Bytes::from_static(b"other").into();
        it.spec.total_timeout =
            (Duration::from(it.spec.total_timeout) + Duration::from_secs(1)).into();
        let extras = it.spec.extras.get_or_insert_default();
        extras.initial_delay = Duration::from_secs(1);
    });
}

#[test]
fn an_assignment_that_is_like_another_says_what_is_its_own() {
    let (rules, call) =
        (Rules::new(Arc::default(), Templates::default()), TraceContext::generate());
    let row = || [1, 2].map(|number| assigned(&rules, &call, "a", number));
    let [Said::Assignment(_), Said::Assignment(full)] = &frame(row(), Wording::Full)[..] else {
        panic!("two in full")
    };
    let [Said::Assignment(_), Said::AlikeAssignment(own)] = &frame(row(), Wording::Brief)[..]
    else {
        panic!("the second is like the first")
    };
    let expected = v1::AlikeAssignment {
        fencing_token: full.fencing_token,
        task_id: full.task_id.clone(),
        payload: full.payload.clone(),
        attempt: full.attempt,
        generation: full.generation,
        total_remaining: full.total_remaining,
        checkpoint: full.checkpoint.clone(),
    };
    assert_eq!(*own, expected);
    let (full, own) = (full.encoded_len(), own.encoded_len());
    assert!(own < full - 70, "{own} bytes, in full {full}");
}
